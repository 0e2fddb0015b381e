//! The events of a tenant, as they are read back.

use domain::{
    KeysRecalled, Label, OwnerErased, OwnerTag, Policy, PolicyRemoved, PolicyRules, PolicySet, Selector,
    TenantClosed, TenantConfigured, TenantOpened,
};

use super::{Unreadable, field, parts};
use crate::proto;

pub(super) fn opened(stored: proto::TenantOpened) -> Result<TenantOpened, Unreadable> {
    Ok(TenantOpened {
        name: parts::optional_personal(stored.name, "tenant_opened.name")?,
        prefix: stored.prefix.parse().map_err(|_| field("tenant_opened.prefix"))?,
    })
}

pub(super) fn configured(stored: proto::TenantConfigured) -> Result<TenantConfigured, Unreadable> {
    Ok(TenantConfigured {
        name: parts::optional_personal(stored.name, "tenant_configured.name")?,
        prefix: stored.prefix.parse().map_err(|_| field("tenant_configured.prefix"))?,
        leak_response: parts::leak_response(stored.leak_response, "tenant_configured.leak_response")?,
    })
}

pub(super) fn closed(stored: proto::TenantClosed) -> Result<TenantClosed, Unreadable> {
    Ok(TenantClosed { note: parts::optional_personal(stored.note, "tenant_closed.note")? })
}

pub(super) fn recalled(stored: proto::KeysRecalled) -> Result<KeysRecalled, Unreadable> {
    // An empty selector means all keys, so a lost one must not be read as empty.
    let stored_selector = stored.selector.ok_or(field("keys_recalled.selector"))?;
    Ok(KeysRecalled {
        selector: selector(stored_selector)?,
        reason: parts::revoke_reason(stored.reason, "keys_recalled.reason")?,
        note: parts::optional_personal(stored.note, "keys_recalled.note")?,
    })
}

pub(super) fn policy_set(stored: proto::PolicySet) -> Result<PolicySet, Unreadable> {
    let span = |ms: u64| Some(ms).filter(|ms| *ms != 0);
    let rules = PolicyRules {
        default_lifetime_ms: span(stored.default_lifetime_ms),
        longest_lifetime_ms: span(stored.longest_lifetime_ms),
        rotate_after_ms: span(stored.rotate_after_ms),
        suspend_idle_after_ms: span(stored.suspend_idle_after_ms),
        revoke_idle_after_ms: span(stored.revoke_idle_after_ms),
        warn_before_expiry_ms: stored.warn_before_expiry_ms,
        scopes_allowed: parts::scopes(&stored.scopes_allowed, "policy_set.scopes_allowed")?,
        scopes_denied: parts::scopes(&stored.scopes_denied, "policy_set.scopes_denied")?,
        networks_required: stored.networks_required,
        networks_allowed: parts::networks(&stored.networks_allowed, "policy_set.networks_allowed")?,
    };
    let name = stored.name.parse().map_err(|_| field("policy_set.name"))?;
    let selector = selector(stored.selector.ok_or(field("policy_set.selector"))?)?;
    let policy = Policy::new(name, selector, rules).map_err(|_| field("policy_set"))?;
    Ok(PolicySet { policy })
}

pub(super) fn policy_removed(stored: &proto::PolicyRemoved) -> Result<PolicyRemoved, Unreadable> {
    Ok(PolicyRemoved { name: stored.name.parse().map_err(|_| field("policy_removed.name"))? })
}

pub(super) fn owner_erased(stored: &proto::OwnerErased) -> Result<OwnerErased, Unreadable> {
    let owner = OwnerTag::from_bytes(parts::bytes16(&stored.owner_tag, "owner_erased.owner_tag")?);
    Ok(OwnerErased { owner, generation: stored.generation })
}

fn selector(stored: proto::Selector) -> Result<Selector, Unreadable> {
    let label = |label: proto::Label| Label::new(&label.name, &label.value);
    let owner = match (stored.owner_tag.is_empty(), stored.owner) {
        (true, None) => None,
        (_, owner) => Some(parts::owner(&stored.owner_tag, owner, ("selector.owner_tag", "selector.owner"))?),
    };
    Ok(Selector {
        owner,
        label: stored.label.map(label).transpose().map_err(|_| field("selector.label"))?,
        scope: Some(stored.scope)
            .filter(|text| !text.is_empty())
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| field("selector.scope"))?,
        issuer: parts::optional_key_id(&stored.issuer, "selector.issuer")?,
        environment: match proto::Environment::try_from(stored.environment) {
            Ok(proto::Environment::Unspecified) => None,
            _ => Some(parts::environment(stored.environment, "selector.environment")?),
        },
    })
}
