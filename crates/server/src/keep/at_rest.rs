//! A log that is opened here to be backed up: of a stopped server's folder, or on NATS under servers at work.

use std::path::PathBuf;

use domain::{LogId, Position};
use eventlog::Follower;
use eventlog::jetstream::JetStream;
use proof::LogEvent;
use tokio::runtime::Runtime;

use super::create::{BackupSource, Checkpoints, Seal};
use super::source::Source;
use super::{KeepError, LogPlace};
use crate::node::jetstream;

/// A log opened for a backup.
pub struct AtRest {
    runtime: Runtime,
    source: Source,
    /// Where it goes on without opening the log anew.
    reading: Option<(Position, Box<dyn Follower>)>,
    folder: Option<PathBuf>,
}

impl AtRest {
    /// Opens the log. A data folder must be at rest; on NATS servers may go on.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn open(place: &LogPlace) -> Result<Self, KeepError> {
        let runtime = Runtime::new().map_err(|error| KeepError::io("the runtime".as_ref(), error))?;
        let (source, folder) = match place {
            LogPlace::Embedded(folder) => (runtime.block_on(Source::open(place))?, Some(folder.clone())),
            LogPlace::Nats(choice) => {
                let config = jetstream(choice.clone(), LogId::from_u128(0));
                let nats = runtime.block_on(JetStream::connect_existing(config))?;
                (runtime.block_on(Source::at_work(nats, place.to_string()))?, None)
            }
        };
        Ok(Self { runtime, source, reading: None, folder })
    }

    /// Lets go of it.
    pub fn close(self) {
        self.runtime.block_on(self.source.close());
    }
}

impl BackupSource for AtRest {
    fn log_id(&self) -> LogId {
        self.source.log.log_id()
    }

    fn head(&self) -> Position {
        self.source.head
    }

    fn checkpoints(&mut self) -> Result<Option<Checkpoints>, KeepError> {
        match &self.folder {
            Some(folder) => super::notary::kept(folder),
            None => Ok(None),
        }
    }

    fn events_after(&mut self, after: Position) -> Result<Vec<LogEvent>, KeepError> {
        let log = &self.source.log;
        let mut follower = match self.reading.take() {
            Some((at, follower)) if at == after => follower,
            _ => self.runtime.block_on(log.follow(after))?,
        };
        let events = self.runtime.block_on(follower.next())?;
        let reached = events.last().map_or(after, |event| event.position);
        self.reading = Some((reached, follower));
        let taken = events.into_iter().map(|event| LogEvent {
            position: event.position,
            stream: event.stream.as_str().into(),
            id: event.id,
            payload: event.payload,
        });
        Ok(taken.collect())
    }

    fn seals(&mut self) -> Result<Vec<Seal>, KeepError> {
        Ok(Seal::of_all(&self.runtime.block_on(self.source.seals.carry())?))
    }

    fn records(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("records")).filter(|records| records.is_dir())
    }

    fn signer(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("signer.key")).filter(|signer| signer.is_file())
    }
}
