//! Aligned columns for people; scripts take `--json`.

use crate::screen::{Paint, printable};

/// Spaces between columns.
const GAP: &str = "  ";
/// A longer cell is cut, so that one odd name cannot push all else off the screen.
const WIDEST: usize = 48;

/// A table with a heading, filled row by row.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells are made printable and cut.
    pub(crate) fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// The lines, heading first, without trailing spaces.
    pub(crate) fn lines(&self, paint: Paint) -> Vec<String> {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| {
                let cells =
                    self.rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count());
                cells.max().unwrap_or(0).max(self.heads[column].len())
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<_> = cells.zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
            padded.join(GAP).trim_end().to_owned()
        };
        let head = paint.dim(&line(&mut self.heads.iter().copied()));
        let rows = self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
        std::iter::once(head).chain(rows).collect()
    }
}

fn cell(text: &str) -> String {
    let text = printable(text);
    if text.is_empty() {
        return "-".to_owned();
    }
    if text.chars().count() <= WIDEST {
        return text.into_owned();
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_drives_the_terminal() {
        let mut table = Table::new(&["NAME", "OWNER"]);
        table.row(["mailer\u{1b}[2J", "team"]);
        table.row(["", &"x".repeat(60)]);
        let lines = table.lines(Paint::plain());
        assert_eq!(lines[0], "NAME        OWNER");
        assert_eq!(lines[1], "mailer\u{fffd}[2J  team");
        assert_eq!(lines[2], format!("-           {}…", "x".repeat(47)));
    }
}
