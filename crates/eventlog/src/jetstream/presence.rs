//! Whether anybody serves a log right now: every server pulses once a second, and nobody else does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::JetStream;
use super::log::Core;
use super::read::unavailable;
use super::streams::{self, Missing, PULSE};
use crate::port::ReadError;

/// Two pulses of whoever serves, and half a second for the way.
const LISTEN: Duration = Duration::from_millis(2500);

/// Listens for the pulses of servers.
#[derive(Debug)]
pub struct Presence {
    core: Arc<Core>,
    /// The last pulse when listening began.
    last: u64,
}

impl Presence {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    pub async fn listen(beside: &JetStream) -> Result<Self, ReadError> {
        let core = beside.log.shared_core();
        let last = last_pulse(&core).await?;
        Ok(Self { core, last })
    }

    /// Waits as long as two pulses take, unless there never was one; whether any came.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    pub async fn wait(&self) -> Result<bool, ReadError> {
        if self.last > 0 {
            sleep(LISTEN).await;
        }
        self.heard().await
    }

    /// Whether any pulse came since listening began.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    pub async fn heard(&self) -> Result<bool, ReadError> {
        Ok(last_pulse(&self.core).await? != self.last)
    }
}

async fn last_pulse(core: &Core) -> Result<u64, ReadError> {
    match streams::find(&core.js, PULSE).await {
        Ok(info) => Ok(info.state.last_sequence),
        Err(Missing::NotThere) => Ok(0),
        Err(Missing::NoJetStream(reason) | Missing::Unknown(reason)) => Err(unavailable(&reason)),
    }
}
