//! The notary: makes a transparency log of the log, and signs its head at most a second after an event.
//!
//! It lies in `records/notary/`: the tree in `levels/`, the last checkpoint in `checkpoint`, some of those before it in
//! `checkpoints`. There is one notary a log. It stands beside the write path: an event is acknowledged before the notary has
//! heard of it, and a notary that is slow or ill holds up nobody.

mod chain;
mod errors;
mod opening;
mod signing;
mod witness;
mod worker;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{LogId, Position, Timestamp};
use parking_lot::{Mutex, RwLock};
use proof::{Checkpoint, CheckpointError, Levels, Vkey, origin_of, put_durably};
use thiserror::Error;
use tokio::sync::watch;

pub use errors::NotaryError;
pub(crate) use opening::open;
pub(crate) use witness::ask as ask_witness;
pub(crate) use worker::Work;

const LEVELS: &str = "levels";
const CHECKPOINT: &str = "checkpoint";
const CHECKPOINTS: &str = "checkpoints";

/// The notary as routes see it: what it has published. The worker alone writes it.
#[derive(Debug)]
pub(crate) struct Notary {
    log_id: LogId,
    folder: PathBuf,
    signer: PathBuf,
    published: watch::Sender<Option<Published>>,
    /// The public parts of what it signs with now.
    vkeys: RwLock<Vec<Vkey>>,
    /// Held while the checkpoint on disk and the published one change, so that both are always the same.
    publishing: Mutex<()>,
    /// The last checkpoint that came back cosigned after another had taken its place.
    cosigned_late: RwLock<Option<Published>>,
    going: RwLock<Going>,
}

/// How its work goes, for whoever looks after this server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Going {
    /// How often it could not go on, since this server started.
    pub(crate) failures: u64,
    /// Why nothing is signed now; none while it works.
    pub(crate) trouble: Option<String>,
    /// Whether it has given up: the log is not what was signed.
    pub(crate) stopped: bool,
}

/// A checkpoint that is durable, and the tree below it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Events that it covers.
    pub(crate) size: u64,
    /// The signed note.
    pub(crate) bytes: Bytes,
    /// When it was signed last; what a restart finds was signed when its file was written.
    pub(crate) signed_at: Timestamp,
}

impl Published {
    fn of(checkpoint: &Checkpoint, signed_at: Timestamp) -> Self {
        Self { size: checkpoint.size(), bytes: checkpoint.to_bytes().into(), signed_at }
    }

    /// How long ago it was signed last.
    pub(crate) fn age_ms(&self, now: Timestamp) -> u64 {
        now.as_millis().saturating_sub(self.signed_at.as_millis())
    }
}

impl Notary {
    fn new(
        log_id: LogId,
        (folder, signer): (&Path, &Path),
        published: Option<Published>,
        vkeys: Vec<Vkey>,
    ) -> Self {
        let published = watch::Sender::new(published);
        Self {
            log_id,
            folder: folder.to_owned(),
            signer: signer.to_owned(),
            published,
            vkeys: RwLock::new(vkeys),
            publishing: Mutex::new(()),
            cosigned_late: RwLock::new(None),
            going: RwLock::default(),
        }
    }

    /// How its work goes.
    pub(crate) fn going(&self) -> Going {
        self.going.read().clone()
    }

    /// It could not go on; if it was for good, it never will before a start.
    fn fails(&self, trouble: String, stopped: bool) {
        let mut going = self.going.write();
        *going = Going { failures: going.failures + 1, trouble: Some(trouble), stopped };
    }

    /// The origin of its checkpoints.
    pub(crate) fn origin(&self) -> String {
        origin_of(self.log_id)
    }

    /// The last checkpoint; none before the first event.
    pub(crate) fn published(&self) -> Option<Published> {
        self.published.borrow().clone()
    }

    /// Changes with each checkpoint.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<Published>> {
        self.published.subscribe()
    }

    /// How far the last checkpoint goes.
    pub(crate) fn covers(&self) -> Position {
        self.published.borrow().as_ref().map_or(Position::NONE, |published| Position::new(published.size))
    }

    /// The tree. What a checkpoint covers is there and never changes.
    pub(crate) fn levels(&self) -> Levels {
        Levels::new(self.folder.join(LEVELS))
    }

    /// The public parts of its signers.
    pub(crate) fn vkeys(&self) -> Vec<Vkey> {
        self.vkeys.read().clone()
    }

    /// The checkpoints that were kept before the last one, one behind the other; the last that was cosigned is among them.
    pub(crate) fn kept(&self) -> io::Result<Vec<u8>> {
        let mut kept = chain::read(&self.folder.join(CHECKPOINTS))?;
        if let Some(late) = &*self.cosigned_late.read() {
            kept.extend_from_slice(&late.bytes);
        }
        Ok(kept)
    }

    /// Puts a checkpoint in the place of the last one: durable, then told. The tree below it is durable already.
    fn publish(&self, checkpoint: &Checkpoint, signed_at: Timestamp) -> io::Result<()> {
        let _held = self.publishing.lock();
        self.put(checkpoint, signed_at)?;
        self.going.write().trouble = None;
        Ok(())
    }

    /// Adds what a witness answered to the checkpoint of that size. One whose place another has taken is kept beside it.
    fn cosign(&self, asked: &Published, lines: &[u8], witness: &Vkey) -> Result<(), Uncosigned> {
        let _held = self.publishing.lock();
        let now = self.published().filter(|now| now.size == asked.size);
        let late = self.cosigned_late.read().clone().filter(|late| late.size == asked.size);
        let is_last = now.is_some();
        let base = now.or(late).unwrap_or_else(|| asked.clone());
        let cosigned = Checkpoint::parse(&base.bytes)?.with_cosignatures(lines, witness)?;
        if is_last {
            self.put(&cosigned, base.signed_at)?;
        } else {
            *self.cosigned_late.write() = Some(Published::of(&cosigned, base.signed_at));
        }
        Ok(())
    }

    fn put(&self, checkpoint: &Checkpoint, signed_at: Timestamp) -> io::Result<()> {
        put_durably(&self.folder.join(CHECKPOINT), &checkpoint.to_bytes())?;
        // From here on this is the last checkpoint, whether somebody was told or not.
        self.published.send_replace(Some(Published::of(checkpoint, signed_at)));
        Ok(())
    }
}

/// Why an answer of a witness is no use.
#[derive(Debug, Error)]
enum Uncosigned {
    #[error("its answer: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("the checkpoint cannot be written: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;
