//! One key's row as it was once, made again from the events that concern it.

use domain::{Event, KeyId, StreamName, TenantId};
use eventlog::Recorded;

use super::fold;
use super::row::KeyRow;
use super::stored::StoredRow;
use crate::tree::TreeError;
use crate::view::Entry;

/// The row after so many events, in the order of the log: the key's own and its tenant's.
#[derive(Default)]
pub(crate) struct KeyThen(Option<StoredRow>);

impl KeyThen {
    /// Takes in the next event of the key's or of its tenant's stream.
    pub(crate) fn take(&mut self, event: &Recorded) -> Result<(), TreeError> {
        let Some(entry) = Entry::of(event) else { return Ok(()) };
        match &entry.stream {
            StreamName::Key(..) => self.0 = Some(fold::after(self.0.as_ref(), &entry).0),
            StreamName::Tenant(_) => {
                if let Some(old) = &self.0
                    && let Ok(envelope) = entry.read()
                    && let Event::KeysRecalled(recalled) = &envelope.event
                    && let Some(new) = fold::recalled(old, recalled, envelope.occurred_at, entry.position())?
                {
                    self.0 = Some(new);
                }
            }
        }
        Ok(())
    }

    /// The key that is to take over in its last rotation.
    pub(crate) fn successor(&self) -> Option<KeyId> {
        let rotation = self.0.as_ref()?.rotation.as_ref()?;
        Some(KeyId::from_bytes(rotation.successor))
    }

    /// Takes in an event of the successor's stream: its first use is told of this key too.
    pub(crate) fn hear(&mut self, event: &Recorded) {
        let Some(entry) = Entry::of(event) else { return };
        let (Some(successor), Ok(envelope)) = (entry.stream.key_id(), entry.read()) else { return };
        if let (Some(old), Event::KeyFirstUsed(used)) = (&self.0, &envelope.event)
            && let Some(new) = fold::adopted(old, successor.to_bytes(), used.first_used_at.as_millis())
        {
            self.0 = Some(new);
        }
    }

    /// The row as it is shown; none if there was no key.
    pub(crate) fn show(self, tenant: &TenantId, key_id: KeyId) -> Result<Option<KeyRow>, TreeError> {
        self.0.map(|row| row.show(tenant, key_id)).transpose()
    }
}
