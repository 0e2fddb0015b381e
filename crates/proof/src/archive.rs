//! An archive: a log, or its first part, in one folder of plain files; what exports, backups and archived segments are.
//!
//! ```text
//! log.json                what log it is of
//! segments/<first>-<last>.events   consecutive events, written whole, then renamed
//! levels/<L>              the tree, one file a tile level
//! checkpoint              the last checkpoint that the events were taken with
//! checkpoints             those before it that the notary kept, one behind the other
//! signers                 public parts of the signers, for information
//! ```
//!
//! Of these only the segments are needed to give a log back; the rest proves that it is that log.

mod about;
mod events;
mod record;
mod segment;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use domain::{LogId, Position};
use thiserror::Error;

use crate::archive::about::About;
use crate::files::put_durably;
use crate::levels::Levels;
use crate::vkey::Vkey;

pub use events::Events;
pub(crate) use record::Broken;
pub use record::{EventRecords, encode as encode_event};
pub use segment::SegmentWriter;
pub(crate) use segment::{Segment, SegmentReader};

/// What log the archive is of. Written first, so that a folder with anything else in it is never taken for one.
const ABOUT: &str = "log.json";
const SEGMENTS: &str = "segments";
const LEVELS: &str = "levels";
const CHECKPOINT: &str = "checkpoint";
const CHECKPOINTS: &str = "checkpoints";
const SIGNERS: &str = "signers";

/// Why an archive cannot be read or written.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// A file or folder cannot be used.
    #[error("{path} cannot be used ({source}); check its path, its rights and the space on its disk")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder is something else.
    #[error("{path} is no archive of a log: {reason}; name the folder that an export or a backup wrote")]
    NotAnArchive {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two histories would be mixed.
    #[error("{path} holds log {holds}, not log {wanted}: give each log a folder of its own")]
    OtherLog {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        holds: LogId,
        /// Whose it should be.
        wanted: LogId,
    },
    /// Events are missing between two segments, or stand in both.
    #[error(
        "{path} should go on with position {expected} and goes on with {found}: put the segments that were written there back"
    )]
    Broken {
        /// The folder.
        path: PathBuf,
        /// The position that should be next.
        expected: Position,
        /// The one that is.
        found: Position,
    },
    /// A segment is not as it was written.
    #[error("{path} is damaged at position {position}: {reason}; take this file from another copy")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// The first position that cannot be had from it.
        position: Position,
        /// What is wrong.
        reason: String,
    },
}

impl ArchiveError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// One archive, its segments dense from position 1.
#[derive(Debug)]
pub struct Archive {
    root: PathBuf,
    log_id: LogId,
    segments: Vec<Segment>,
}

impl Archive {
    /// Makes the archive of a log, or opens the one that is there to go on with it. What a writer that was stopped left
    /// half-written is removed.
    ///
    /// # Errors
    /// [`ArchiveError`]; a folder with other things in it is left alone.
    pub fn create(root: &Path, log_id: LogId) -> Result<Self, ArchiveError> {
        let about = root.join(ABOUT);
        if !about.exists() {
            refuse_strangers(root)?;
            let segments = root.join(SEGMENTS);
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&segments).map_err(|source| ArchiveError::io(&segments, source))?;
            let bytes = About::of(log_id).to_bytes();
            put_durably(&about, &bytes).map_err(|source| ArchiveError::io(&about, source))?;
        }
        let archive = Self::open(root)?;
        if archive.log_id != log_id {
            let path = root.to_owned();
            return Err(ArchiveError::OtherLog { path, holds: archive.log_id, wanted: log_id });
        }
        segment::remove_unfinished(&root.join(SEGMENTS))?;
        Ok(archive)
    }

    /// Opens an archive. Only names are read: what is in the segments shows when it is read.
    ///
    /// # Errors
    /// [`ArchiveError`] also when the segments' names leave a hole or overlap.
    pub fn open(root: &Path) -> Result<Self, ArchiveError> {
        let archive = Self::open_as_it_is(root)?;
        let mut expected = Position::new(1);
        for segment in &archive.segments {
            if segment.first != expected {
                let (path, found) = (root.to_owned(), segment.first);
                return Err(ArchiveError::Broken { path, expected, found });
            }
            expected = segment.last.next();
        }
        Ok(archive)
    }

    /// Opens an archive that may have been tampered with.
    pub(crate) fn open_as_it_is(root: &Path) -> Result<Self, ArchiveError> {
        let about = About::read(root, &root.join(ABOUT))?;
        let segments = segment::list(&root.join(SEGMENTS))?;
        Ok(Self { root: root.to_owned(), log_id: about, segments })
    }

    /// Whose history it is.
    #[must_use]
    pub const fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The last event that it holds, [`Position::NONE`] if none.
    #[must_use]
    pub fn last(&self) -> Position {
        self.segments.last().map_or(Position::NONE, |segment| segment.last)
    }

    /// Its events behind a position, in order, streamed. Each is checked against its checksum and its place.
    #[must_use]
    pub fn events(&self, after: Position) -> Events {
        Events::new(self.segments.iter().filter(|segment| segment.last > after).cloned().collect(), after)
    }

    /// Goes on with the position behind [`Archive::last`]. What is finished is durable.
    #[must_use]
    pub fn writer(&mut self) -> SegmentWriter<'_> {
        let next = self.last().next();
        SegmentWriter::new(self.root.join(SEGMENTS), &mut self.segments, next)
    }

    /// The tree's files.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::new(self.root.join(LEVELS))
    }

    /// The checkpoint that the events were taken with, if there is one.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.read(CHECKPOINT)
    }

    /// The checkpoints that were kept before it, one behind the other; empty if there are none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<u8>, ArchiveError> {
        Ok(self.read(CHECKPOINTS)?.unwrap_or_default())
    }

    /// Puts the checkpoint in place, and those before it; durable on return. Events and tree come first: a checkpoint that
    /// stands without them would look like a truncation.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn put_checkpoints(&self, checkpoint: &[u8], before: &[u8]) -> Result<(), ArchiveError> {
        for (name, bytes) in [(CHECKPOINTS, before), (CHECKPOINT, checkpoint)] {
            let path = self.root.join(name);
            put_durably(&path, bytes).map_err(|source| ArchiveError::io(&path, source))?;
        }
        Ok(())
    }

    /// Puts the public parts of the signers beside it. For information: who verifies has them from elsewhere.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn put_signers<'a>(&self, vkeys: impl IntoIterator<Item = &'a Vkey>) -> Result<(), ArchiveError> {
        let path = self.root.join(SIGNERS);
        let lines: String = vkeys.into_iter().map(|vkey| format!("{vkey}\n")).collect();
        put_durably(&path, lines.as_bytes()).map_err(|source| ArchiveError::io(&path, source))
    }

    /// Its files in the order of their names.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ArchiveError::io(&path, source)),
        }
    }
}

/// An archive begins in a folder that is new or empty.
fn refuse_strangers(root: &Path) -> Result<(), ArchiveError> {
    let found = match fs::read_dir(root) {
        Ok(mut names) => names.next().transpose(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    match found.map_err(|source| ArchiveError::io(root, source))? {
        // Made by an earlier call that was stopped before it said whose archive it is.
        Some(entry) if entry.file_name() == SEGMENTS => Ok(()),
        None => Ok(()),
        Some(entry) => {
            let reason = format!("it holds {} and no {ABOUT}", entry.file_name().display());
            Err(ArchiveError::NotAnArchive { path: root.to_owned(), reason })
        }
    }
}

#[cfg(test)]
mod tests;
