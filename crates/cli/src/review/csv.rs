//! A review for a spreadsheet.

/// The names of the columns.
pub(super) const HEAD: &str = "key_id,name,owner,finding,since,evidence,mend\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_its_column() {
        assert_eq!(HEAD.trim_end().split(',').count(), 7);
    }
}
