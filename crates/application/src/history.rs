//! What a stream says when it is read from the log itself: the state it makes, and whether a command id stands in it.

use domain::{
    CommandId, Envelope, Event, Key, KeyId, LeakResponse, Life, OwnerErased, Position, RequestTag, Revision,
    Standing, StreamName, Tenant, TenantId, standing_after,
};
use eventlog::{ReadError, StreamId};
use tracing::error;

use crate::application::Application;
use crate::outcome::{Changed, CommandError};

/// One stream as it stands.
pub(crate) struct History {
    stream: StreamName,
    events: Vec<(Position, Option<Envelope>)>,
}

impl History {
    /// The position of the last event; none if there is no event.
    pub(crate) fn last(&self) -> Position {
        self.events.last().map_or(Position::NONE, |(position, _)| *position)
    }

    /// The outcome of an earlier attempt under this command id, if one stands here.
    ///
    /// # Errors
    /// [`CommandError::CommandIdReused`] when it stands here for another request.
    pub(crate) fn repeated(&self, id: &CommandId, tag: RequestTag) -> Result<Option<Changed>, CommandError> {
        // The last one: a command may have made several, and its outcome is where they end.
        let last = self.events.iter().rev().find_map(|(position, envelope)| {
            envelope
                .as_ref()
                .filter(|envelope| envelope.command_id == *id)
                .map(|envelope| (*position, envelope))
        });
        match last {
            None => Ok(None),
            Some((_, envelope)) if envelope.request_tag != tag => Err(CommandError::CommandIdReused),
            Some((position, envelope)) => Ok(Some(Changed {
                position,
                revision: envelope.revision,
                occurred_at: envelope.occurred_at,
                repeated: true,
            })),
        }
    }

    /// The key that this stream makes. An event that cannot be read, or does not follow, quarantines it: it can still be
    /// revoked, so the revision goes on counting.
    pub(crate) fn key(&self) -> Option<Key> {
        self.key_at(self.last())
    }

    /// The same as it stood at an earlier position.
    pub(crate) fn key_at(&self, position: Position) -> Option<Key> {
        let StreamName::Key(tenant, key_id) = &self.stream else { return None };
        let events = &self.events[..self.events.partition_point(|(at, _)| *at <= position)];
        let mut key: Option<Key> = None;
        let mut broken = false;
        for (_, envelope) in events {
            match envelope.as_ref().map(|envelope| Key::evolve(key.clone(), envelope)) {
                Some(Ok(next)) => key = Some(next),
                // After damage a revocation still counts.
                Some(Err(_)) | None => {
                    broken = true;
                    let revoked = envelope.as_ref().and_then(|envelope| standing_after(&envelope.event))
                        == Some(Standing::Revoked);
                    let was_revoked = key.as_ref().is_some_and(|key| key.standing == Standing::Revoked);
                    let mut known = key.take().unwrap_or_else(|| placeholder(tenant, *key_id));
                    known.standing =
                        if revoked || was_revoked { Standing::Revoked } else { Standing::Quarantined };
                    key = Some(known);
                }
            }
        }
        if broken {
            error!(stream = %self.stream, "part of a key's history cannot be read by this build; the key is quarantined");
        }
        let revision = Revision::new(u32::try_from(events.len()).unwrap_or(u32::MAX));
        key.map(|key| Key { revision, ..key })
    }

    /// Whether the tenant that this stream is of recalled such a key below a position: one that was there by then, and had
    /// not ended. `key_at` tells what it was.
    pub(crate) fn recalled_below(
        &self,
        position: Position,
        key_at: impl Fn(Position) -> Option<Key>,
    ) -> bool {
        self.events.iter().take_while(|(at, _)| *at < position).any(|(at, envelope)| {
            let Some(Event::KeysRecalled(recalled)) = envelope.as_ref().map(|envelope| &envelope.event)
            else {
                return false;
            };
            key_at(*at).is_some_and(|key| !key.has_ended() && recalled.selector.matches(&key.selectable()))
        })
    }

    /// The successor of the rotation that a command called off here.
    pub(crate) fn cancelled_successor(&self, id: &CommandId) -> Option<KeyId> {
        self.envelopes().filter(|envelope| envelope.command_id == *id).find_map(|envelope| {
            match &envelope.event {
                Event::RotationCancelled(cancelled) => Some(cancelled.successor),
                _ => None,
            }
        })
    }

    /// What became of a key that a command reported as leaked here.
    pub(crate) fn leak_response(&self, id: &CommandId) -> Option<LeakResponse> {
        self.envelopes().filter(|envelope| envelope.command_id == *id).find_map(|envelope| {
            match &envelope.event {
                Event::KeyLeaked(leaked) => Some(leaked.response),
                _ => None,
            }
        })
    }

    /// The key's life, as far as it can be read.
    pub(crate) fn life(&self) -> Option<Life> {
        self.envelopes().fold(None, Life::evolve)
    }

    /// What the readable events make of `tenant`.
    pub(crate) fn tenant(&self, tenant: Option<Tenant>) -> Option<Tenant> {
        self.envelopes().fold(tenant, |tenant, envelope| {
            let before = tenant.clone();
            Tenant::evolve(tenant, envelope).ok().or(before)
        })
    }

    /// The erasures that stand here.
    pub(crate) fn erasures(&self) -> impl Iterator<Item = OwnerErased> {
        self.envelopes().filter_map(|envelope| match &envelope.event {
            Event::OwnerErased(erased) => Some(*erased),
            _ => None,
        })
    }

    fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.events.iter().filter_map(|(_, envelope)| envelope.as_ref())
    }
}

/// Stands in for a key whose very first event cannot be read.
fn placeholder(tenant: &TenantId, key_id: KeyId) -> Key {
    Key {
        tenant: tenant.clone(),
        key_id,
        environment: domain::Environment::Live,
        owner: domain::OwnerTag::from_bytes([0; 16]),
        scopes: domain::ScopeSet::default(),
        labels: domain::Labels::default(),
        networks: domain::Networks::default(),
        expires_at: None,
        issuer: None,
        standing: Standing::Quarantined,
        revision: Revision::NONE,
    }
}

impl Application {
    /// Reads a whole stream from the log: what another server wrote a moment ago is there.
    pub(crate) async fn history(&self, stream: StreamName) -> Result<History, CommandError> {
        self.history_after(stream, Position::NONE).await
    }

    /// Reads what a stream says after a position.
    pub(crate) async fn history_after(
        &self,
        stream: StreamName,
        after: Position,
    ) -> Result<History, CommandError> {
        let recorded = self
            .log
            .read_stream(&StreamId::from(&stream), after)
            .await
            .map_err(|error: ReadError| CommandError::unavailable(&error))?;
        let events = recorded
            .into_iter()
            .map(|event| (event.position, wire::decode(&stream, &event.payload).ok()))
            .collect();
        Ok(History { stream, events })
    }
}
