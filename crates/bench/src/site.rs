//! Where a run takes place: its settings, its folder, and what several rows share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::rush::Failure;
use crate::settings::Settings;
use crate::sown::{self, Sown};

/// Fewer keys fit into a cache and say nothing.
const TRIAL_BELOW: usize = 10_000;
/// Long enough that reports of usage, which go out each second, are in it.
const TURN: Duration = Duration::from_secs(2);
const TRIAL_TURN: Duration = Duration::from_millis(200);

/// The place of a run.
pub(crate) struct Site {
    pub(crate) settings: Settings,
    folder: PathBuf,
    /// By how many keys they have.
    sown: Mutex<HashMap<usize, Arc<Sown>>>,
    /// Removed at the end, where nobody asked to keep it.
    _own: Option<TempDir>,
}

impl Site {
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        let own = match settings.resume {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("rescind-bench-").tempdir()?),
        };
        let kept = settings.resume.clone();
        let folder = own.as_ref().map(|own| own.path().to_owned()).or(kept).unwrap_or_default();
        std::fs::create_dir_all(&folder)?;
        Ok(Self { settings, folder, sown: Mutex::default(), _own: own })
    }

    pub(crate) fn tell(&self, line: &str) {
        (self.settings.tell)(line);
    }

    /// A new empty folder on the disk that is measured, gone when it is dropped.
    pub(crate) fn temporary(&self, what: &str) -> Result<TempDir, Failure> {
        Ok(tempfile::Builder::new().prefix(&format!("{what}-")).tempdir_in(&self.folder)?)
    }

    /// Whether so few keys are asked for that nothing but the way through is looked at.
    pub(crate) const fn is_trial(&self) -> bool {
        self.settings.keys < TRIAL_BELOW
    }

    /// How long a turn of a load is.
    pub(crate) const fn turn_time(&self) -> Duration {
        if self.is_trial() { TRIAL_TURN } else { TURN }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data folder with all keys in it, made when a row first asks for it.
    pub(crate) async fn sown(&self) -> Result<Arc<Sown>, Failure> {
        self.sown_with(self.settings.keys).await
    }

    /// The same with so many keys.
    pub(crate) async fn sown_with(&self, keys: usize) -> Result<Arc<Sown>, Failure> {
        let mut sown = self.sown.lock().await;
        if let Some(there) = sown.get(&keys) {
            return Ok(Arc::clone(there));
        }
        let made = Arc::new(sown::sow(self, keys).await?);
        sown.insert(keys, Arc::clone(&made));
        Ok(made)
    }
}
