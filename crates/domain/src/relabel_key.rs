//! `RelabelKey`: the key has other labels.

use crate::admission;
use crate::attributes::Labels;
use crate::event::KeyRelabelled;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Gives a key other labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All its labels from then on.
    pub labels: Labels,
}

impl RelabelKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::PolicyDenies`] by a policy that is about the key only
    /// then; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyRelabelled, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.labels == self.labels {
            return Err(Refusal::Unchanged);
        }
        let changed = Key { labels: self.labels.clone(), ..key.clone() };
        admission::admit_change(&tenant.policies, key, &changed)?;
        Ok(KeyRelabelled { labels: self.labels.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, acme, denied_by, given_key, issued, labels, policy, policy_set,
        refused_in_a_closed_tenant, refused_on_ended_keys, scopes,
    };
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn relabel(texts: &[&str]) -> impl Fn(&GivenKey) -> Result<KeyRelabelled, Refusal> {
        let command = RelabelKey { tenant: acme(), key_id: KEY_ID, labels: labels(texts) };
        move |given| command.decide(&given.tenant, given.key())
    }

    #[test]
    fn a_key_gets_other_labels_or_none() {
        for texts in [&["service=mailer", "team=lists"][..], &[]] {
            given_key([issued()]).when(relabel(texts)).then(KeyRelabelled { labels: labels(texts) });
        }
    }

    #[test]
    fn the_labels_that_it_has_are_refused() {
        given_key([issued()]).when(relabel(&["service=mailer"])).refuses(Refusal::Unchanged);
    }

    #[test]
    fn a_label_cannot_bring_a_key_under_a_policy_that_it_breaks() {
        let lists_only = |label: &str| {
            let selector = Selector { label: Some(label.parse().unwrap()), ..Selector::default() };
            let rules = PolicyRules { scopes_allowed: scopes(&["lists:*"]), ..PolicyRules::default() };
            policy_set(policy("lists-only", selector, rules))
        };
        let given = given_key([issued()]).in_tenant([lists_only("team=lists")]);
        given.when(relabel(&["team=lists"])).refuses(denied_by("lists-only", "scopes_allowed"));
        given.when(relabel(&["team=campaigns"])).done();
        let broken_before = given_key([issued()]).in_tenant([lists_only("service=mailer")]);
        broken_before.when(relabel(&["service=mailer", "team=lists"])).done();
    }

    #[test]
    fn a_key_that_has_ended_keeps_its_labels() {
        refused_on_ended_keys(relabel(&[]));
        refused_in_a_closed_tenant(relabel(&[]));
    }
}
