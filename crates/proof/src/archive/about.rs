//! `log.json`: what an archive is of.

use std::path::Path;

use domain::LogId;
use serde::{Deserialize, Serialize};

use crate::archive::ArchiveError;

/// The one form there is. A build that meets another says so and reads nothing.
const FORMAT: u32 = 1;

/// What the file says.
#[derive(Deserialize, Serialize)]
pub(super) struct About {
    format: u32,
    log_id: String,
}

impl About {
    pub(super) fn of(log_id: LogId) -> Self {
        Self { format: FORMAT, log_id: log_id.to_string() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a number and a text always serialise");
        bytes.push(b'\n');
        bytes
    }

    /// Whose archive it is.
    pub(super) fn read(root: &Path, path: &Path) -> Result<LogId, ArchiveError> {
        let not_one = |reason: String| ArchiveError::NotAnArchive { path: root.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| not_one(format!("its log.json: {error}")))?;
        let about: Self =
            serde_json::from_slice(&bytes).map_err(|error| not_one(format!("its log.json: {error}")))?;
        if about.format != FORMAT {
            return Err(not_one(format!("it has form {}, this build reads form {FORMAT}", about.format)));
        }
        about.log_id.parse().map_err(|_| not_one("its log.json names no log".to_owned()))
    }
}
