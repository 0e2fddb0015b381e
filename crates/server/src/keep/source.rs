//! A log that is read to be copied: nobody serves it meanwhile, as far as that can be known.

use std::path::Path;
use std::sync::Arc;

use domain::{LogId, Position};
use eventlog::jetstream::{JetStream, Presence};
use eventlog::{EmbeddedLog, EmbeddedSeals, EventLog, SealStore};

use super::{KeepError, LogPlace};
use crate::node::{Folder, jetstream};

/// A log that stands still.
pub(super) struct Source {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) seals: Arc<dyn SealStore>,
    /// Where it ends.
    pub(super) head: Position,
    place: String,
    on_nats: Option<(JetStream, Presence)>,
    /// Keeps servers out of the data folder.
    _folder: Option<Folder>,
}

impl Source {
    /// Opens the log in a place. In a data folder its lock keeps servers out; on NATS it is listened for their pulses.
    pub(super) async fn open(place: &LogPlace) -> Result<Self, KeepError> {
        match place {
            LogPlace::Embedded(folder) => Self::open_folder(folder, place.to_string()).await,
            LogPlace::Nats(choice) => {
                // There is a log or this fails, so the name of a new one is never used.
                let config = jetstream(choice.clone(), LogId::from_u128(0));
                let nats = JetStream::connect_existing(config).await?;
                let presence = Presence::listen(&nats).await?;
                if presence.wait().await? {
                    nats.shutdown().await;
                    return Err(KeepError::Served { place: place.to_string() });
                }
                let (log, seals) = (Arc::clone(&nats.log), Arc::new(nats.seals.clone()));
                let head = log.head().await?;
                let on_nats = Some((nats, presence));
                Ok(Self { log, seals, head, place: place.to_string(), on_nats, _folder: None })
            }
        }
    }

    /// A log on NATS under servers that go on: up to where it ends now.
    pub(super) async fn at_work(nats: JetStream, place: String) -> Result<Self, KeepError> {
        let (log, seals) = (Arc::clone(&nats.log), Arc::new(nats.seals.clone()));
        let head = log.head().await?;
        let presence = Presence::listen(&nats).await?;
        Ok(Self { log, seals, head, place, on_nats: Some((nats, presence)), _folder: None })
    }

    async fn open_folder(path: &Path, place: String) -> Result<Self, KeepError> {
        // Looked for first: taking a folder makes it.
        if !path.join("log.redb").is_file() {
            return Err(KeepError::NoLog { place });
        }
        let folder = Folder::take(path)?;
        let (file, none) = (folder.log(), LogId::from_u128(0));
        let opening = tokio::task::spawn_blocking(move || EmbeddedLog::open(&file, none)).await;
        let log = opening.map_err(|_| KeepError::Panicked { what: "opening the log" })??;
        if let Some(end) = log.restored() {
            return Err(KeepError::Unsettled { place, end });
        }
        let seals = folder.seals();
        let seals = EmbeddedSeals::open(&seals).map_err(|source| KeepError::io(&seals, source))?;
        let head = log.head().await?;
        Ok(Self {
            log: Arc::new(log),
            seals: Arc::new(seals),
            head,
            place,
            on_nats: None,
            _folder: Some(folder),
        })
    }

    /// Whether it still ends where it ended, and nobody was heard to serve it.
    pub(super) async fn check_still(&self) -> Result<(), KeepError> {
        let is = self.log.head().await?;
        if is != self.head {
            return Err(KeepError::Grew { place: self.place.clone(), was: self.head, is });
        }
        match &self.on_nats {
            Some((_, presence)) if presence.heard().await? => {
                Err(KeepError::Served { place: self.place.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Lets go of it.
    pub(super) async fn close(self) {
        if let Some((nats, _)) = self.on_nats {
            nats.shutdown().await;
        }
    }
}
