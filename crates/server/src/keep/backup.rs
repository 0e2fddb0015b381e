//! A backup: an archive of the log with what lies beside it, added to by position and described by one file that is written
//! last.
//!
//! ```text
//! log.json, segments/, levels/, checkpoint, checkpoints      the archive: `rescind audit verify` takes it as it is
//! backup.json             what the backup holds and how to tell; written last, whole
//! seals-<n>, signer-<n>, records-<n>/                        replaced whole by each run; backup.json says which count
//! ```
//!
//! A run that is stopped anywhere leaves the backup of the run before it: events only get more, and of the parts those count
//! that backup.json names.

use std::fs;
use std::path::{Path, PathBuf};

use domain::{LogId, Position};
use proof::{Archive, Frontier, Hash, Levels};
use serde::{Deserialize, Serialize};

use super::KeepError;

/// The file that describes a backup.
const ABOUT: &str = "backup.json";
/// The one form there is. A build that meets another says so and reads nothing.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    format: u32,
    log_id: String,
    /// The last event that it answers for.
    pub(super) head: u64,
    /// The root of the tree over all events up to there.
    root: String,
    /// When it was made, RFC 3339.
    pub(super) made_at: String,
    /// Counts the runs: the parts of this one carry it in their names.
    pub(super) run: u64,
    pub(super) seals: Option<Part>,
    pub(super) signer: Option<Part>,
    /// The records' files, below `records-<run>`; none if they were not taken.
    pub(super) records: Option<Vec<Part>>,
}

/// A file, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Its path below the backup.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A backup in its folder.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) root: PathBuf,
    pub(super) archive: Archive,
    /// What it was when it was last whole; none before its first run has ended.
    pub(super) about: Option<About>,
}

impl Backup {
    /// Makes the backup of a log, or opens the one that is there to add to it.
    pub(super) fn create(root: &Path, log_id: LogId) -> Result<Self, KeepError> {
        let archive = Archive::create(root, log_id)?;
        let about = read_about(root, log_id)?;
        Ok(Self { root: root.to_owned(), archive, about })
    }

    /// Opens a backup that was whole once.
    pub(super) fn open(root: &Path) -> Result<(Self, About), KeepError> {
        let archive = Archive::open(root)?;
        let about = read_about(root, archive.log_id())?;
        let whole = about.clone().ok_or_else(|| KeepError::NotWhole { path: root.to_owned() })?;
        Ok((Self { root: root.to_owned(), archive, about }, whole))
    }

    /// The tree as far as it was written when the backup was last whole; from the beginning if it cannot be gone on with.
    pub(super) fn frontier(&self) -> (Frontier, Levels) {
        let levels = self.archive.levels();
        let size = self.about.as_ref().map_or(0, |about| about.head);
        let vouched = self.about.as_ref().and_then(About::root);
        let frontier = Frontier::of(size, &levels).ok().filter(|tree| Some(tree.root()) == vouched);
        (frontier.unwrap_or_default(), levels)
    }

    /// Says durably what the backup holds from now on.
    pub(super) fn put_about(&mut self, about: About) -> Result<(), KeepError> {
        let path = self.root.join(ABOUT);
        let mut bytes = serde_json::to_vec_pretty(&about).expect("texts and numbers always serialise");
        bytes.push(b'\n');
        proof::put_durably(&path, &bytes).map_err(|source| KeepError::io(&path, source))?;
        self.about = Some(about);
        Ok(())
    }

    /// Removes parts that do not count: what an erasure has destroyed must not be left in one.
    pub(super) fn remove_other_parts(&self) -> Result<(), KeepError> {
        let run = self.about.as_ref().map_or(0, |about| about.run);
        for entry in fs::read_dir(&self.root).map_err(|source| KeepError::io(&self.root, source))? {
            let path = entry.map_err(|source| KeepError::io(&self.root, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let of_run = name.rsplit_once('-').filter(|(kind, _)| PARTS.contains(kind));
            let Some(of_run) = of_run.and_then(|(_, run)| run.parse::<u64>().ok()) else { continue };
            if of_run != run {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|source| KeepError::io(&path, source))?;
            }
        }
        Ok(())
    }
}

/// What parts are called before the number of their run.
const PARTS: [&str; 3] = ["seals", "signer", "records"];

impl About {
    pub(super) fn new(log_id: LogId, tree: &Frontier, made_at: String, run: u64) -> Self {
        let (head, root) = (tree.size(), tree.root().to_string());
        let log_id = log_id.to_string();
        Self { format: FORMAT, log_id, head, root, made_at, run, seals: None, signer: None, records: None }
    }

    pub(super) fn head(&self) -> Position {
        Position::new(self.head)
    }

    pub(super) fn root(&self) -> Option<Hash> {
        Hash::parse_hash(&self.root).ok()
    }

    /// Every part that it names.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.seals.iter().chain(&self.signer).chain(self.records.iter().flatten())
    }
}

fn read_about(root: &Path, log_id: LogId) -> Result<Option<About>, KeepError> {
    let path = root.join(ABOUT);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeepError::io(&path, source)),
    };
    let unreadable = |reason: String| KeepError::PartDamaged { path: path.clone(), reason };
    let about: About = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if about.format != FORMAT {
        return Err(unreadable(format!("it has form {}, this build reads form {FORMAT}", about.format)));
    }
    if about.log_id != log_id.to_string() {
        return Err(unreadable(format!("it is of log {}, and the archive of log {log_id}", about.log_id)));
    }
    if about.parts().any(|part| is_outside(&part.path)) {
        return Err(unreadable("it names a file outside the backup".to_owned()));
    }
    Ok(Some(about))
}

/// A backup may come from anywhere: what it names is taken from itself alone.
fn is_outside(path: &str) -> bool {
    let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    path.is_empty() || !Path::new(path).components().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backup_names_lies_in_it() {
        for (path, outside) in [
            ("seals-1", false),
            ("records-1/usage/db", false),
            ("", true),
            ("/etc/passwd", true),
            ("../x", true),
            ("records-1/../../x", true),
        ] {
            assert_eq!(is_outside(path), outside, "{path}");
        }
    }
}
