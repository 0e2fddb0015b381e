//! The events of a tenant, as they are stored.

use domain::{
    KeysRecalled, OwnerErased, PolicyRemoved, PolicySet, Selector, TenantClosed, TenantConfigured,
    TenantOpened,
};

use super::parts;
use crate::proto;

pub(super) fn opened(event: &TenantOpened) -> proto::TenantOpened {
    proto::TenantOpened {
        name: parts::optional_personal(event.name.as_ref()),
        prefix: event.prefix.to_string(),
    }
}

pub(super) fn configured(event: &TenantConfigured) -> proto::TenantConfigured {
    proto::TenantConfigured {
        name: parts::optional_personal(event.name.as_ref()),
        prefix: event.prefix.to_string(),
        leak_response: parts::leak_response(event.leak_response).into(),
    }
}

pub(super) fn closed(event: &TenantClosed) -> proto::TenantClosed {
    proto::TenantClosed { note: parts::optional_personal(event.note.as_ref()) }
}

pub(super) fn recalled(event: &KeysRecalled) -> proto::KeysRecalled {
    proto::KeysRecalled {
        selector: Some(selector(&event.selector)),
        reason: parts::revoke_reason(event.reason).into(),
        note: parts::optional_personal(event.note.as_ref()),
    }
}

pub(super) fn policy_set(event: &PolicySet) -> proto::PolicySet {
    let (policy, rules) = (&event.policy, &event.policy.rules);
    proto::PolicySet {
        name: policy.name.to_string(),
        selector: Some(selector(&policy.selector)),
        // No rule's span is 0, so that 0 can mean that it is not asked.
        default_lifetime_ms: rules.default_lifetime_ms.unwrap_or_default(),
        longest_lifetime_ms: rules.longest_lifetime_ms.unwrap_or_default(),
        rotate_after_ms: rules.rotate_after_ms.unwrap_or_default(),
        suspend_idle_after_ms: rules.suspend_idle_after_ms.unwrap_or_default(),
        revoke_idle_after_ms: rules.revoke_idle_after_ms.unwrap_or_default(),
        warn_before_expiry_ms: rules.warn_before_expiry_ms.clone(),
        scopes_allowed: parts::scopes(&rules.scopes_allowed),
        scopes_denied: parts::scopes(&rules.scopes_denied),
        networks_required: rules.networks_required,
        networks_allowed: parts::networks(&rules.networks_allowed),
    }
}

pub(super) fn policy_removed(event: &PolicyRemoved) -> proto::PolicyRemoved {
    proto::PolicyRemoved { name: event.name.to_string() }
}

pub(super) fn owner_erased(event: &OwnerErased) -> proto::OwnerErased {
    proto::OwnerErased { owner_tag: event.owner.to_bytes().to_vec().into(), generation: event.generation }
}

fn selector(selector: &Selector) -> proto::Selector {
    let owner = selector.owner.as_ref();
    proto::Selector {
        owner_tag: owner.map(|owner| owner.tag.to_bytes().to_vec().into()).unwrap_or_default(),
        owner: owner.map(|owner| parts::personal(&owner.name)),
        label: selector.label.as_ref().map(parts::label),
        scope: selector.scope.as_ref().map(ToString::to_string).unwrap_or_default(),
        issuer: parts::optional_key_id(selector.issuer),
        environment: selector.environment.map_or(proto::Environment::Unspecified, parts::environment).into(),
    }
}
