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
            // A closed tenant takes no command, so nothing can come after but the erasure of its owners.
            (Some(tenant), event) if !tenant.closed || matches!(event, Event::OwnerErased(_)) => {
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
            Event::KeysRecalled(_) | Event::OwnerErased(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PolicyRemoved;
    use crate::given::{
        acme, envelope, given_tenant, issued, policy, policy_set, suspends_what_leaks, tenant_closed,
        tenant_opened,
    };
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn warns(name: &str, ms: u64) -> Policy {
        let rules = PolicyRules { warn_before_expiry_ms: vec![ms], ..PolicyRules::default() };
        policy(name, Selector::ALL, rules)
    }

    #[test]
    fn settings_and_policies_follow_their_events() {
        let removed = Event::PolicyRemoved(PolicyRemoved { name: "b".parse().unwrap() });
        let tenant = given_tenant([
            tenant_opened(),
            suspends_what_leaks(),
            policy_set(warns("c", 1_000)),
            policy_set(warns("a", 1_000)),
            policy_set(warns("b", 1_000)),
            policy_set(warns("c", 2_000)),
            removed,
        ]);
        let tenant = tenant.0.unwrap();
        assert_eq!(tenant.leak_response, LeakResponse::Suspend);
        assert_eq!(tenant.policies, [warns("a", 1_000), warns("c", 2_000)]);
        assert_eq!((tenant.closed, tenant.revision.get()), (false, 7));
    }

    #[test]
    fn an_event_out_of_its_place_is_damage() {
        let follow = |events: &[(u32, Event)]| {
            events.iter().try_fold(None, |tenant, (revision, event)| {
                let envelope = envelope(StreamName::Tenant(acme()), *revision, event.clone());
                Tenant::evolve(tenant, &envelope).map(Some)
            })
        };
        assert!(follow(&[(1, tenant_opened()), (2, tenant_closed())]).is_ok());
        for (damage, events) in [
            ("a gap", vec![(1, tenant_opened()), (3, tenant_closed())]),
            ("a second opening", vec![(1, tenant_opened()), (2, tenant_opened())]),
            ("an end without a beginning", vec![(1, tenant_closed())]),
            ("a key's event", vec![(1, tenant_opened()), (2, issued())]),
            (
                "something after the end",
                vec![(1, tenant_opened()), (2, tenant_closed()), (3, suspends_what_leaks())],
            ),
        ] {
            assert!(follow(&events).is_err(), "{damage}");
        }
    }
}
