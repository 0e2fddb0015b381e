//! The checkpoints that are kept: with them a change is told between two of them, also where the tree was changed as well.

use std::io;
use std::path::{Path, PathBuf};

use proof::{Checkpoint, put_durably};

/// At most one is kept in this time: finer tells nothing that the tree does not.
pub(super) const KEEP_EVERY_MS: u64 = 60_000;
/// So many are kept, about a megabyte; of more, every second one of the older half goes.
const MOST: usize = 4096;

/// The kept checkpoints, oldest first. A file that is written anew as a whole: at most once a minute, and small.
pub(super) struct Chain {
    path: PathBuf,
    kept: Vec<Vec<u8>>,
    /// The last one's time, on the clock that counts from the machine's start.
    kept_at: Option<u64>,
}

impl Chain {
    /// What is there; a file that is not whole was not ours, and begins anew.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let bytes = read(&path)?;
        let kept = Checkpoint::parse_all(&bytes).map_err(io::Error::other)?;
        let kept = kept.iter().map(Checkpoint::to_bytes).collect();
        Ok(Self { path, kept, kept_at: None })
    }

    /// Keeps a checkpoint that another takes the place of, if it is time for one. Durable on return.
    pub(super) fn keep(&mut self, checkpoint: &[u8], now_ms: u64) -> io::Result<()> {
        if self.kept_at.is_some_and(|at| now_ms.saturating_sub(at) < KEEP_EVERY_MS)
            || self.kept.last().is_some_and(|last| last == checkpoint)
        {
            return Ok(());
        }
        self.kept.push(checkpoint.to_vec());
        if self.kept.len() > MOST {
            let mut n = 0;
            self.kept.retain(|_| {
                n += 1;
                n > MOST / 2 || n % 2 == 0
            });
        }
        put_durably(&self.path, &self.kept.concat())?;
        self.kept_at = Some(now_ms);
        Ok(())
    }
}

/// All that are kept, one behind the other.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(size: usize) -> Vec<u8> {
        format!("rescind/A\n{size}\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n\u{2014} rescind/A AAAAAAAAAAA=\n")
            .into_bytes()
    }

    #[test]
    fn one_a_minute_is_kept_and_old_ones_are_thinned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints");
        let mut chain = Chain::open(path.clone()).unwrap();
        chain.keep(&checkpoint(1), 5).unwrap();
        chain.keep(&checkpoint(2), 5 + KEEP_EVERY_MS - 1).unwrap();
        chain.keep(&checkpoint(3), 5 + KEEP_EVERY_MS).unwrap();
        let sizes = |path: &Path| -> Vec<u64> {
            Checkpoint::parse_all(&read(path).unwrap()).unwrap().iter().map(Checkpoint::size).collect()
        };
        assert_eq!(sizes(&path), [1, 3]);
        let mut chain = Chain::open(path.clone()).unwrap();
        chain.keep(&checkpoint(3), 0).unwrap();
        assert_eq!(sizes(&path), [1, 3], "the same is kept once");
        chain.kept = (0..MOST).map(checkpoint).collect();
        chain.keep(&checkpoint(MOST), u64::MAX).unwrap();
        let left = sizes(&path);
        assert_eq!(left.len(), MOST / 2 + MOST / 4 + 1);
        assert_eq!((left[0], left[1], left[left.len() - 1]), (1, 3, MOST as u64));
    }
}
