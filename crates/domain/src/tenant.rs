//! A tenant as its history makes it.

use crate::event::{Envelope, Event};
use crate::ids::{Revision, StreamName, TenantId};
use crate::key::HistoryError;
use crate::key_format::Prefix;

/// What decisions about a tenant rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What its new keys begin with.
    pub prefix: Prefix,
    /// Whether it was closed: its keys are refused and it takes no command.
    pub closed: bool,
    /// How many events its history has.
    pub revision: Revision,
}

impl Tenant {
    /// The tenant after one more event of its history.
    ///
    /// # Errors
    /// [`HistoryError`] when the event is not the one that can come next.
    pub fn evolve(tenant: Option<Self>, envelope: &Envelope) -> Result<Self, HistoryError> {
        let after = tenant.as_ref().map_or(Revision::NONE, |tenant| tenant.revision);
        match (&tenant, &envelope.stream, &envelope.event) {
            (None, StreamName::Tenant(id), Event::TenantOpened(opened))
                if envelope.revision == after.next() =>
            {
                Ok(Self {
                    id: id.clone(),
                    prefix: opened.prefix.clone(),
                    closed: false,
                    revision: envelope.revision,
                })
            }
            _ => Err(HistoryError {
                event: envelope.event.name(),
                stream: envelope.stream.clone(),
                found: envelope.revision,
                after,
            }),
        }
    }
}
