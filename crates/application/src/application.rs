//! The application's parts, and the waits that make its writes readable.

use std::sync::Arc;
use std::time::Duration;

use domain::{Key, KeyId, OwnerTag, Permission, Position, TenantId, Timestamp, operator};
use eventlog::jetstream::HintSpeaker;
use eventlog::{EventLog, SealStore};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::timeout;
use verify::KeyIndex;
use wire::Hint;

use crate::ambient::Ambient;
use crate::lease::LeaseState;
use crate::outcome::CommandError;
use crate::planted::Planted;
use crate::seals::Seals;
use crate::tag_secrets::TagSecrets;
use crate::tenant_states::TenantStates;

/// How long a change waits for this server's own index, so that whoever asks next finds it. The index is microseconds
/// behind; if it takes longer, the answer's position lets the client wait for it.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// Carries out commands. Shared by all that ask; holds no state of keys of its own.
///
/// Its writes go to the log and, once acknowledged, into the index's overlay of refused keys; the index's rows are written by
/// the projection alone.
pub struct Application {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: Arc<KeyIndex>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) tag_secrets: TagSecrets,
    pub(crate) seals: Seals,
    pub(crate) tenant_states: TenantStates,
    pub(crate) lease: Arc<LeaseState>,
    /// See [`Self::alone_among_operators`].
    pub(crate) last_operator: Mutex<()>,
    pub(crate) planted: Planted,
    hints: Option<HintSpeaker>,
    applied: watch::Receiver<Position>,
    not_written: watch::Sender<Option<NotWritten>>,
}

/// Why the log took no event, since when: from the first command that failed on it to the next that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotWritten {
    /// When the first one failed.
    pub since: Timestamp,
    /// What the last one met, one lower-case clause.
    pub reason: String,
}

impl Application {
    /// Puts the parts together. `applied` tells how far the index has come.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        seals: Arc<dyn SealStore>,
        index: Arc<KeyIndex>,
        applied: watch::Receiver<Position>,
        ambient: Arc<dyn Ambient>,
        lease: Arc<LeaseState>,
    ) -> Self {
        Self {
            log,
            index,
            ambient,
            tag_secrets: TagSecrets::new(Arc::clone(&seals)),
            seals: Seals::new(seals),
            tenant_states: TenantStates::default(),
            lease,
            last_operator: Mutex::new(()),
            planted: Planted::default(),
            hints: None,
            applied,
            not_written: watch::Sender::default(),
        }
    }

    /// Also tells guards on NATS of each key that it ends, ahead of the notice.
    #[must_use]
    pub fn hinting(self, hints: HintSpeaker) -> Self {
        Self { hints: Some(hints), ..self }
    }

    /// Forgets to seal what goes into the log first, for the tests to find.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn leaving_texts_unsealed(self) -> Self {
        Self { planted: Planted::UNSEALED, ..self }
    }

    /// Makes the end of a key effective: it stands in the log at this position, and from here on this server refuses the key,
    /// however far behind its index is. Guards that listen refuse it by the hint before its notice is written; nothing rests
    /// on whether they hear it.
    pub(crate) fn refuse(&self, tenant: &TenantId, key_id: KeyId, position: Position, at: Timestamp) {
        self.index.refuse(key_id, position, at);
        if let Some(hints) = &self.hints {
            let hint = Hint { log_id: self.log.log_id(), tenant: tenant.clone(), key_id, position, at };
            hints.say(tenant, &key_id.to_string(), hint.to_cloud_event().into());
        }
    }

    /// What opens texts about people.
    #[must_use]
    pub const fn seals(&self) -> &Seals {
        &self.seals
    }

    /// Whether the last command that reached the log could not be written to it.
    #[must_use]
    pub fn not_written(&self) -> Option<NotWritten> {
        self.not_written.borrow().clone()
    }

    /// Keeps how an append ended.
    pub(crate) fn note_append(&self, failure: Option<&str>) {
        // Almost always both are none: then nobody waits for anybody.
        if failure.is_none() && self.not_written.borrow().is_none() {
            return;
        }
        let since = self.ambient.now();
        self.not_written.send_modify(|before| {
            *before = failure.map(|reason| NotWritten {
                since: before.as_ref().map_or(since, |before| before.since),
                reason: reason.to_owned(),
            });
        });
    }

    /// Waits until the index has applied `position`; whether it did within `at_most`.
    pub async fn wait_applied(&self, position: Position, at_most: Duration) -> bool {
        if self.index.applied() >= position {
            return true;
        }
        let mut applied = self.applied.clone();
        matches!(timeout(at_most, applied.wait_for(|at| *at >= position)).await, Ok(Ok(_)))
    }

    /// Waits a moment until this server's index shows a change; whether it does.
    pub(crate) async fn wait_shown(&self, position: Position) -> bool {
        self.wait_applied(position, SHOWN_WITHIN).await
    }

    /// Held while a change in the operators' tenant is decided and until the index shows it: two that end operators at once
    /// must not both see the other stay. None in other tenants.
    pub(crate) async fn alone_among_operators(&self, tenant: &TenantId) -> Option<MutexGuard<'_, ()>> {
        self.alone_if(tenant.is_operators()).await
    }

    /// The same for what may reach into the operators' tenant from another.
    pub(crate) async fn alone_if(&self, reaches_operators: bool) -> Option<MutexGuard<'_, ()>> {
        match reaches_operators {
            true => Some(self.last_operator.lock().await),
            false => None,
        }
    }

    /// The tag under which an owner's keys are found.
    ///
    /// # Errors
    /// [`CommandError::NotFound`], [`CommandError::SealMissing`] or [`CommandError::Unavailable`].
    pub async fn owner_tag(&self, tenant: &TenantId, owner: &str) -> Result<OwnerTag, CommandError> {
        Ok(self.tag_secret(tenant).await?.owner_tag(owner))
    }

    /// Whether the service would have no unexpiring administrator without this key. Judged on this server's index; a race
    /// with another server is mended by recovering the operator.
    pub(crate) fn is_last_operator(&self, key: &Key) -> bool {
        key.tenant.is_operators()
            && administers(key)
            && !self
                .index
                .keys_of_operators()
                .iter()
                .any(|other| other.key_id != key.key_id && administers(other))
    }
}

/// Whether a key of the operators' tenant can issue operators, for ever.
pub(crate) fn administers(key: &Key) -> bool {
    key.standing == domain::Standing::Active
        && key.expires_at.is_none()
        && operator::permits_everywhere(&key.scopes, Permission::TenantsAdmin)
}
