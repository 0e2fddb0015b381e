//! Hints to whoever listens now: told once, kept nowhere, and nobody waits for them.

use std::sync::Arc;

use bytes::Bytes;
use domain::TenantId;
use futures_util::FutureExt;

use super::log::Core;
use super::streams::HINTS_PREFIX;

/// A mouth for hints. A clone is the same.
#[derive(Clone, Debug)]
pub struct HintSpeaker {
    core: Arc<Core>,
}

impl HintSpeaker {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Says it to those who listen for this tenant's hints. What the connection does not take at once is not said: what comes
    /// later than the notice helps nobody.
    pub fn say(&self, tenant: &TenantId, token: &str, bytes: Bytes) {
        if self.core.is_away() {
            return;
        }
        let subject = format!("{HINTS_PREFIX}{tenant}.{token}");
        match self.core.client.publish(subject, bytes).now_or_never() {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "a hint was not told"),
            None => tracing::debug!("a hint was not told: the connection takes nothing now"),
        }
    }
}
