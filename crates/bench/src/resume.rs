//! Finished rows on disk, one file each, so that a run that was stopped goes on at the next row.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::rush::Failure;

/// The folder of finished rows, if they are kept.
pub(crate) struct Finished {
    folder: Option<PathBuf>,
    /// What a kept row must have been measured with.
    with: Value,
}

impl Finished {
    pub(crate) fn new(folder: Option<&Path>, with: Value) -> Result<Self, Failure> {
        let folder = folder.map(|folder| folder.join("rows"));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { folder, with })
    }

    /// The row as an earlier run of the same build with the same settings left it.
    pub(crate) fn find(&self, name: &str) -> Option<Vec<Value>> {
        let text = fs::read(self.file(name)?).ok()?;
        let mut kept: Value = serde_json::from_slice(&text).ok()?;
        let rows = kept["rows"].take();
        (kept["with"] == self.with).then(|| rows.as_array().cloned()).flatten()
    }

    /// Keeps it: written aside first, so that a file that is there is whole.
    pub(crate) fn keep(&self, name: &str, rows: &[Value]) -> Result<(), Failure> {
        let Some(file) = self.file(name) else { return Ok(()) };
        let draft = file.with_extension("new");
        fs::write(&draft, serde_json::json!({"with": self.with, "rows": rows}).to_string())?;
        Ok(fs::rename(draft, file)?)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{name}.json")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_of_another_build_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let of = |build: &str| Finished::new(Some(folder.path()), json!({"build": build})).unwrap();
        let rows = [json!({"row": "verify-hit"})];
        assert_eq!(of("a").find("verify-hit"), None);
        of("a").keep("verify-hit", &rows).unwrap();
        assert_eq!(of("a").find("verify-hit").as_deref(), Some(&rows[..]));
        assert_eq!(of("b").find("verify-hit"), None);
        let nowhere = Finished::new(None, json!({"build": "a"})).unwrap();
        nowhere.keep("verify-hit", &rows).unwrap();
        assert_eq!(nowhere.find("verify-hit"), None);
    }
}
