//! Leak reports that a scanner signs: whose signature counts, and where the keys to check it with come from.

mod fetch;
mod key_list;
mod signature;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use p256::ecdsa::VerifyingKey;
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::warn;

use crate::config::KeyListPlace;
use key_list::KeyList;

/// How often the list is asked for again, at most: whoever makes up key ids must not make us a nuisance to its host.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// A list older than this is asked for again before it is used. Until it comes the old one counts: who can forge a report
/// still needs the secrets of the keys in it, and with them could revoke these anyway.
const LIST_GROWS_OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// Signed reports under way at once: 64 MiB of bodies at most. They may be larger than other bodies and are read before
/// anybody has shown a right to send them.
const REPORTS: usize = 64;

/// Why a signed report is not heard.
#[derive(Debug, Error)]
pub(crate) enum SignedError {
    /// The service was not told whose signatures count.
    #[error("no key list is configured")]
    Off,
    /// The list cannot be had, and there is no older one.
    #[error("{0}")]
    NoKeys(String),
    /// No key of that id is in the list.
    #[error("no key of that id is in the list")]
    UnknownKey,
    /// The signature is not one of that key over that body.
    #[error("the signature does not fit the body")]
    Mismatch,
}

/// Whose signatures under leak reports count.
pub(crate) struct Signers {
    place: Option<KeyListPlace>,
    list: RwLock<Arc<KeyList>>,
    /// Held while the list is asked for, so that one asks for all; when that was last tried, and when it last worked.
    asked: Mutex<Asked>,
    reports: Semaphore,
}

#[derive(Default)]
struct Asked {
    tried: Option<Instant>,
    came: Option<Instant>,
}

impl Signers {
    /// A list in a file is read now, so that a bad one is told at the start; one that is fetched waits for the first report.
    ///
    /// # Errors
    /// What is wrong with the file, one lower-case clause.
    pub(crate) fn start(place: Option<KeyListPlace>) -> Result<Self, String> {
        let (list, asked) = match &place {
            Some(KeyListPlace::File(path)) => {
                let now = Some(Instant::now());
                (key_list::read(path)?, Asked { tried: now, came: now })
            }
            Some(KeyListPlace::Url(_)) | None => (KeyList::default(), Asked::default()),
        };
        Ok(Self {
            place,
            list: RwLock::new(Arc::new(list)),
            asked: Mutex::new(asked),
            reports: Semaphore::new(REPORTS),
        })
    }

    /// A place among the signed reports under way; none if too many are.
    pub(crate) fn admit(&self) -> Option<SemaphorePermit<'_>> {
        self.reports.try_acquire().ok()
    }

    /// Whether signed reports are heard at all.
    pub(crate) fn are_known(&self) -> Result<(), SignedError> {
        self.place.as_ref().map(drop).ok_or(SignedError::Off)
    }

    /// Checks that the named key signed exactly these bytes.
    pub(crate) async fn check(&self, key_id: &str, signature: &str, body: &[u8]) -> Result<(), SignedError> {
        let key = self.key(key_id).await?;
        if signature::fits(&key, signature, body) { Ok(()) } else { Err(SignedError::Mismatch) }
    }

    async fn key(&self, key_id: &str) -> Result<VerifyingKey, SignedError> {
        let place = self.place.as_ref().ok_or(SignedError::Off)?;
        let known = self.list().key(key_id);
        let mut asked = match (self.asked.try_lock(), known) {
            (Ok(asked), _) => asked,
            // Somebody is asking already, and what is known will do.
            (Err(_), Some(key)) => return Ok(key),
            (Err(_), None) => self.asked.lock().await,
        };
        let has_aged = asked.came.is_none_or(|came| came.elapsed() >= LIST_GROWS_OLD);
        let may_ask = asked.tried.is_none_or(|tried| tried.elapsed() >= REFRESH_EVERY);
        let mut failure = None;
        if (known.is_none() || has_aged) && may_ask {
            asked.tried = Some(Instant::now());
            match fetch::list(place, self.list()).await {
                Ok(list) => {
                    asked.came = asked.tried;
                    *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
                }
                Err(reason) => {
                    warn!(reason, "the key list for signed leak reports cannot be had");
                    failure = Some(reason);
                }
            }
        }
        drop(asked);
        match self.list().key(key_id).or(known) {
            Some(key) => Ok(key),
            None if self.list().is_empty() => {
                let reason = failure.unwrap_or_else(|| "it is asked for at most once a minute".to_owned());
                Err(SignedError::NoKeys(reason))
            }
            None => Err(SignedError::UnknownKey),
        }
    }

    fn list(&self) -> Arc<KeyList> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
pub(crate) mod tests;
