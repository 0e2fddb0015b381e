//! What is asked of the servers: commands as the simulation keeps them, to ask again and to compare.

use std::fmt;

use application::{AskedGrant, AskedSelector, Request};
use domain::{
    Actor, Cause, CommandId, Environment, Event, Finish, ImportKey, IssueKey, KeyId, Labels, LeakResponse,
    Networks, PersonalText, Policy, PolicyName, Prefix, RevokeReason, RotationRule, ScopeSet, SecretDigest,
    StreamName, SuspendReason, TenantId, Timestamp,
};

use super::truth::Truth;

/// One request in full: the same again is a repeat.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) command_id: CommandId,
    pub(crate) verb: Verb,
    /// What the node's clock showed at the latest attempt's begin; no part of the request.
    pub(crate) asked_at: Timestamp,
    /// Whether the id was made up for this one attempt; no part of the request either.
    pub(crate) may_be_repeat: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Open { tenant: TenantId, prefix: Prefix },
    Issue(Box<Granted>),
    Import(Box<Granted>, String),
    OnKey(TenantId, KeyId, Change),
    OnTenant(TenantId, Setting),
}

/// What a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) tenant: TenantId,
    pub(crate) environment: Environment,
    pub(crate) owner: PersonalText,
    pub(crate) scopes: ScopeSet,
    pub(crate) labels: Labels,
    pub(crate) networks: Networks,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) issuer: Option<KeyId>,
}

/// What is to become of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Revoke(RevokeReason),
    Expire(Timestamp),
    Amend(Box<Amend>),
    Suspend(SuspendReason, Option<Timestamp>),
    Reinstate,
    EndSuspension(Timestamp),
    Rotate(RotationRule),
    FirstUse(Timestamp),
    Finish(Finish),
    Cancel,
    Leak,
    Warn(Timestamp, u64),
}

/// Several small changes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amend {
    pub(crate) name: Option<PersonalText>,
    pub(crate) labels: Option<Labels>,
    pub(crate) owner: Option<PersonalText>,
    pub(crate) scopes: Option<ScopeSet>,
    pub(crate) networks: Option<Networks>,
    pub(crate) expires_at: Option<Option<Timestamp>>,
}

/// What is to become of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Leaks(LeakResponse),
    Close,
    SetPolicy(Box<Policy>),
    RemovePolicy(PolicyName),
    Recall(Box<Recall>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recall {
    pub(crate) owner: Option<PersonalText>,
    pub(crate) label: Option<domain::Label>,
    pub(crate) scope: Option<domain::Scope>,
    pub(crate) issuer: Option<KeyId>,
    pub(crate) environment: Option<Environment>,
    /// A preview goes before, and its token with it.
    pub(crate) previewed: bool,
    pub(crate) cascade: bool,
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        (&self.command_id, &self.verb) == (&other.command_id, &other.verb)
    }
}

impl Eq for Body {}

impl Body {
    pub(crate) fn stream(&self) -> StreamName {
        match &self.verb {
            Verb::Open { tenant, .. } | Verb::OnTenant(tenant, _) => StreamName::Tenant(tenant.clone()),
            Verb::Issue(issue) => {
                StreamName::Key(issue.tenant.clone(), IssueKey::key_id(&issue.tenant, &self.command_id))
            }
            Verb::Import(import, token) => StreamName::Key(
                import.tenant.clone(),
                ImportKey::key_id(&import.tenant, &SecretDigest::of_token(token)),
            ),
            Verb::OnKey(tenant, key_id, _) => StreamName::Key(tenant.clone(), *key_id),
        }
    }

    pub(crate) const fn change(&self) -> Option<&Change> {
        match &self.verb {
            Verb::OnKey(_, _, change) => Some(change),
            _ => None,
        }
    }

    pub(crate) const fn setting(&self) -> Option<&Setting> {
        match &self.verb {
            Verb::OnTenant(_, setting) => Some(setting),
            _ => None,
        }
    }

    /// Whether what it changes stood in the log: then nobody may say that it is not found.
    pub(crate) fn target_exists(&self, truth: &Truth) -> bool {
        match &self.verb {
            Verb::Open { .. } => true,
            Verb::Issue(granted) | Verb::Import(granted, _) => truth.tenants.contains_key(&granted.tenant),
            Verb::OnTenant(tenant, _) => truth.tenants.contains_key(tenant),
            Verb::OnKey(tenant, key_id, _) => truth.keys.contains_key(&(tenant.clone(), *key_id)),
        }
    }

    /// Whether this event is what it asks for.
    pub(crate) fn made(&self, event: &Event) -> bool {
        match (&self.verb, event) {
            (Verb::Open { prefix, .. }, Event::TenantOpened(opened)) => opened.prefix == *prefix,
            (Verb::Issue(asked), Event::KeyIssued(issued)) => {
                asked.is(&issued.grant) && issued.issuer == asked.issuer
            }
            (Verb::Import(asked, token), Event::KeyImported(imported)) => {
                asked.is(&imported.grant) && imported.digest == SecretDigest::of_token(token)
            }
            (Verb::OnKey(_, _, change), event) => change.made(event),
            (Verb::OnTenant(_, setting), event) => setting.made(event),
            _ => false,
        }
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            actor: Actor::System,
            cause: Cause::Command,
            command_id: self.command_id.clone(),
            may_be_repeat: self.may_be_repeat,
            if_match: None,
            trace_context: None,
        }
    }

    /// The key that it makes, or is about; of a tenant's command none that is.
    pub(crate) fn made_key(&self) -> KeyId {
        match &self.verb {
            Verb::Issue(asked) => IssueKey::key_id(&asked.tenant, &self.command_id),
            Verb::OnKey(tenant, _, Change::Rotate(_)) => IssueKey::key_id(tenant, &self.command_id),
            _ => self.stream().key_id().unwrap_or(KeyId::from_u128(0)),
        }
    }

    /// Whether all that was asked for is so at the position at which it was done.
    pub(crate) fn is_all_done(&self, truth: &Truth, position: domain::Position) -> bool {
        let Some(Change::Amend(amend)) = self.change() else { return true };
        let id = (self.stream().tenant().clone(), self.made_key());
        truth.keys.get(&id).and_then(|facts| facts.at(position)).is_some_and(|version| {
            let (key, grant) = (&version.key, &version.life.grant);
            amend.labels.as_ref().is_none_or(|labels| *labels == key.labels)
                && amend.scopes.as_ref().is_none_or(|scopes| *scopes == key.scopes)
                && amend.networks.as_ref().is_none_or(|networks| *networks == key.networks)
                && amend.expires_at.is_none_or(|expires_at| expires_at == key.expires_at)
                && amend.owner.as_ref().is_none_or(|owner| grant.owner.name.plain() == Some(owner.as_str()))
        })
    }

    /// Whether it is over only when the server's own index shows it, if that comes within a second.
    pub(crate) const fn is_shown(&self) -> bool {
        matches!(
            &self.verb,
            Verb::OnKey(
                _,
                _,
                Change::Amend(_) | Change::Suspend(..) | Change::Reinstate | Change::Leak | Change::Rotate(_)
            ) | Verb::OnTenant(_, Setting::Close | Setting::SetPolicy(_) | Setting::Recall(_))
        )
    }

    /// The word for it when it was done.
    pub(crate) const fn name(&self) -> &'static str {
        match &self.verb {
            Verb::Open { .. } => "opened",
            Verb::Issue(_) => "issued",
            Verb::Import(..) => "imported",
            Verb::OnKey(_, _, change) => match change {
                Change::Revoke(_) => "revoked key",
                Change::Expire(_) => "expired key",
                Change::Amend(_) => "amended",
                Change::Suspend(..) => "suspended key",
                Change::Reinstate => "reinstated",
                Change::EndSuspension(_) => "suspension ended",
                Change::Rotate(_) => "rotated",
                Change::FirstUse(_) => "first used",
                Change::Finish(_) => "rotation finished",
                Change::Cancel => "rotation cancelled",
                Change::Leak => "leaked",
                Change::Warn(..) => "warned",
            },
            Verb::OnTenant(_, setting) => match setting {
                Setting::Leaks(_) => "configured",
                Setting::Close => "closed",
                Setting::SetPolicy(_) => "policy set",
                Setting::RemovePolicy(_) => "policy removed",
                Setting::Recall(_) => "recalled",
            },
        }
    }

    /// Whether a server that has carried it out refuses the key from then on.
    pub(crate) const fn ends_a_key(&self) -> bool {
        matches!(self.change(), Some(Change::Revoke(_) | Change::Finish(_)))
    }
}

impl Change {
    fn made(&self, event: &Event) -> bool {
        match (self, event) {
            (Self::Revoke(reason), Event::KeyRevoked(revoked)) => revoked.reason == *reason,
            (Self::Expire(at), Event::KeyExpired(expired)) => expired.expires_at == *at,
            (Self::Amend(amend), event) => amend.made(event),
            (Self::Suspend(reason, until), Event::KeySuspended(suspended)) => {
                (suspended.reason, suspended.until) == (*reason, *until)
            }
            (Self::Finish(finish), Event::RotationFinished(finished)) => {
                finished.forced == (*finish == Finish::Forced)
            }
            (Self::Rotate(rule), Event::KeyRotated(rotated)) => rotated.rule == *rule,
            (Self::FirstUse(at), Event::KeyFirstUsed(used)) => used.first_used_at == *at,
            (Self::Warn(at, _), Event::ExpiryWarned(warned)) => warned.expires_at == *at,
            (Self::Reinstate | Self::EndSuspension(_), Event::KeyReinstated(_))
            | (Self::Cancel, Event::RotationCancelled(_))
            | (Self::Leak, Event::KeyLeaked(_)) => true,
            _ => false,
        }
    }
}

impl Amend {
    fn made(&self, event: &Event) -> bool {
        match event {
            Event::KeyRenamed(to) => {
                self.name.as_ref().map(PersonalText::as_str) == to.name.as_ref().and_then(|name| name.plain())
            }
            Event::KeyRelabelled(to) => self.labels.as_ref() == Some(&to.labels),
            Event::KeyTransferred(to) => {
                self.owner.as_ref().map(PersonalText::as_str) == to.owner.name.plain()
            }
            Event::KeyRescoped(to) => self.scopes.as_ref() == Some(&to.scopes),
            Event::KeyRestricted(to) => self.networks.as_ref() == Some(&to.networks),
            Event::KeyExpiryChanged(to) => self.expires_at == Some(to.expires_at),
            _ => false,
        }
    }
}

impl Setting {
    fn made(&self, event: &Event) -> bool {
        match (self, event) {
            (Self::Leaks(response), Event::TenantConfigured(to)) => to.leak_response == *response,
            (Self::Close, Event::TenantClosed(_)) => true,
            (Self::SetPolicy(policy), Event::PolicySet(set)) => set.policy == **policy,
            (Self::RemovePolicy(name), Event::PolicyRemoved(removed)) => removed.name == *name,
            (Self::Recall(asked), Event::KeysRecalled(recalled)) => {
                let selector = &recalled.selector;
                let owner = selector.owner.as_ref().and_then(|owner| owner.name.plain());
                asked.owner.as_ref().map(PersonalText::as_str) == owner
                    && (&asked.label, &asked.scope) == (&selector.label, &selector.scope)
                    && (asked.issuer, asked.environment) == (selector.issuer, selector.environment)
            }
            _ => false,
        }
    }
}

impl Recall {
    pub(crate) fn selector(&self) -> AskedSelector {
        AskedSelector {
            owner: self.owner.clone(),
            label: self.label.clone(),
            scope: self.scope.clone(),
            issuer: self.issuer,
            environment: self.environment,
        }
    }
}

impl Granted {
    /// Whether this is what was asked for; an expiry that was not asked for may come from a policy.
    fn is(&self, grant: &domain::Grant) -> bool {
        grant.environment == self.environment
            && grant.owner.name.plain() == Some(self.owner.as_str())
            && (&grant.scopes, &grant.labels) == (&self.scopes, &self.labels)
            && grant.networks == self.networks
            && (self.expires_at.is_none() || grant.expires_at == self.expires_at)
    }

    pub(crate) fn grant(&self) -> AskedGrant {
        AskedGrant {
            environment: self.environment,
            name: None,
            owner: self.owner.clone(),
            scopes: self.scopes.clone(),
            labels: self.labels.clone(),
            networks: self.networks.clone(),
            expires_at: self.expires_at,
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.command_id;
        match &self.verb {
            Verb::Open { tenant, .. } => write!(f, "open {tenant} ({id})"),
            Verb::Issue(asked) => {
                write!(f, "issue in {} for {} ({id})", asked.tenant, asked.owner.as_str())
            }
            Verb::Import(asked, _) => {
                write!(f, "import in {} for {} ({id})", asked.tenant, asked.owner.as_str())
            }
            Verb::OnKey(tenant, key_id, change) => write!(f, "{tenant}.{key_id}: {change:?} ({id})"),
            Verb::OnTenant(tenant, setting) => write!(f, "{tenant}: {setting:?} ({id})"),
        }
    }
}
