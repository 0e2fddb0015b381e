//! A tenant as its history makes it.

use crate::attributes::Personal;
use crate::event::{Envelope, Event};
use crate::ids::{Revision, StreamName, TenantId};
use crate::key::HistoryError;
use crate::key_format::Prefix;
use crate::leak::LeakResponse;
use crate::policy::Policy;
use crate::refusal::Refusal;

/// What decisions about a tenant rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What people call it.
    pub name: Option<Personal>,
    /// What its new keys begin with.
    pub prefix: Prefix,
    /// What happens to a key that is reported as leaked.
    pub leak_response: LeakResponse,
    /// What it asks of its keys, by name.
    pub policies: Vec<Policy>,
    /// Whether it was closed: its keys are refused and it takes no command.
    pub closed: bool,
    /// How many events its history has.
    pub revision: Revision,
}

impl Tenant {
    /// A tenant that was just opened.
    #[must_use]
    pub const fn opened(id: TenantId, name: Option<Personal>, prefix: Prefix) -> Self {
        Self {
            id,
            name,
            prefix,
            leak_response: LeakResponse::Revoke,
            policies: Vec::new(),
            closed: false,
            revision: Revision::new(1),
        }
    }

    /// Whether it takes commands.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`].
    pub(crate) const fn open(&self) -> Result<(), Refusal> {
        if self.closed { Err(Refusal::TenantClosed) } else { Ok(()) }
    }

    /// The tenant after one more event of its history.
    ///
    /// # Errors
    /// [`HistoryError`] when the event is not the one that can come next.
    pub fn evolve(tenant: Option<Self>, envelope: &Envelope) -> Result<Self, HistoryError> {
        let after = tenant.as_ref().map_or(Revision::NONE, |tenant| tenant.revision);
        let misfit = || HistoryError {
            event: envelope.event.name(),
            stream: envelope.stream.clone(),
            found: envelope.revision,
            after,
        };
        let StreamName::Tenant(id) = &envelope.stream else { return Err(misfit()) };
        if envelope.revision != after.next() {
            return Err(misfit());
        }
        match (tenant, &envelope.event) {
            (None, Event::TenantOpened(opened)) => {
                Ok(Self::opened(id.clone(), opened.name.clone(), opened.prefix.clone()))
            }
            // A closed tenant takes no command, so nothing can come after.
            (Some(tenant), event) if !tenant.closed => {
                let tenant = Self { revision: envelope.revision, ..tenant };
                tenant.changed_by(event).ok_or_else(misfit)
            }
            _ => Err(misfit()),
        }
    }

    /// None for an event that does not change a tenant that exists.
    fn changed_by(mut self, event: &Event) -> Option<Self> {
        match event {
            Event::TenantConfigured(configured) => {
                self.name.clone_from(&configured.name);
                self.prefix = configured.prefix.clone();
                self.leak_response = configured.leak_response;
            }
            Event::TenantClosed(_) => self.closed = true,
            Event::KeysRecalled(_) => {}
            Event::PolicySet(set) => {
                match self.policies.binary_search_by(|policy| policy.name.cmp(&set.policy.name)) {
                    Ok(at) => self.policies[at] = set.policy.clone(),
                    Err(at) => self.policies.insert(at, set.policy.clone()),
                }
            }
            Event::PolicyRemoved(removed) => self.policies.retain(|policy| policy.name != removed.name),
            _ => return None,
        }
        Some(self)
    }
}
