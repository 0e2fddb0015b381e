//! What is asked of the servers: commands as the simulation keeps them, to ask again and to compare.

use std::fmt;

use application::{IssueRequest, Request};
use domain::{
    Actor, Cause, CommandId, Environment, Event, ExpireKey, IssueKey, KeyId, Labels, Networks, OpenTenant,
    PersonalText, Prefix, RevokeKey, RevokeReason, ScopeSet, StreamName, TenantId, Timestamp,
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
    Issue(Box<Issue>),
    Revoke { tenant: TenantId, key_id: KeyId, reason: RevokeReason },
    Expire { tenant: TenantId, key_id: KeyId, expires_at: Timestamp },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) tenant: TenantId,
    pub(crate) environment: Environment,
    pub(crate) owner: PersonalText,
    pub(crate) scopes: ScopeSet,
    pub(crate) labels: Labels,
    pub(crate) networks: Networks,
    pub(crate) expires_at: Option<Timestamp>,
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
            Verb::Open { tenant, .. } => StreamName::Tenant(tenant.clone()),
            Verb::Issue(issue) => {
                StreamName::Key(issue.tenant.clone(), IssueKey::key_id(&issue.tenant, &self.command_id))
            }
            Verb::Revoke { tenant, key_id, .. } | Verb::Expire { tenant, key_id, .. } => {
                StreamName::Key(tenant.clone(), *key_id)
            }
        }
    }

    /// Whether what it changes stood in the log: then nobody may say that it is not found.
    pub(crate) fn target_exists(&self, truth: &Truth) -> bool {
        match &self.verb {
            Verb::Open { .. } => true,
            Verb::Issue(issue) => truth.tenants.contains_key(&issue.tenant),
            Verb::Revoke { tenant, key_id, .. } | Verb::Expire { tenant, key_id, .. } => {
                truth.keys.contains_key(&(tenant.clone(), *key_id))
            }
        }
    }

    /// Whether this event is what it asks for.
    pub(crate) fn made(&self, event: &Event) -> bool {
        match (&self.verb, event) {
            (Verb::Open { prefix, .. }, Event::TenantOpened(opened)) => opened.prefix == *prefix,
            (Verb::Issue(issue), Event::KeyIssued(issued)) => {
                issued.environment == issue.environment
                    && issued.owner.name.plain() == Some(issue.owner.as_str())
                    && (&issued.scopes, &issued.labels) == (&issue.scopes, &issue.labels)
                    && (&issued.networks, issued.expires_at) == (&issue.networks, issue.expires_at)
            }
            (Verb::Revoke { reason, .. }, Event::KeyRevoked(revoked)) => revoked.reason == *reason,
            (Verb::Expire { expires_at, .. }, Event::KeyExpired(expired)) => {
                expired.expires_at == *expires_at
            }
            _ => false,
        }
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            actor: Actor::System,
            cause: Cause::Command,
            command_id: self.command_id.clone(),
            may_be_repeat: self.may_be_repeat,
            trace_context: None,
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.verb, Verb::Open { .. })
    }

    pub(crate) const fn is_issue(&self) -> bool {
        matches!(self.verb, Verb::Issue(_))
    }

    pub(crate) const fn is_revoke(&self) -> bool {
        matches!(self.verb, Verb::Revoke { .. })
    }

    pub(crate) const fn is_expire(&self) -> bool {
        matches!(self.verb, Verb::Expire { .. })
    }
}

impl Issue {
    pub(crate) fn request(&self) -> IssueRequest {
        IssueRequest {
            tenant: self.tenant.clone(),
            environment: self.environment,
            name: None,
            owner: self.owner.clone(),
            scopes: self.scopes.clone(),
            labels: self.labels.clone(),
            networks: self.networks.clone(),
            expires_at: self.expires_at,
            issuer: None,
        }
    }
}

pub(crate) fn open_tenant(tenant: &TenantId, prefix: &Prefix) -> OpenTenant {
    OpenTenant { tenant: tenant.clone(), name: None, prefix: prefix.clone() }
}

pub(crate) fn revoke_key(tenant: &TenantId, key_id: KeyId, reason: RevokeReason) -> RevokeKey {
    RevokeKey { tenant: tenant.clone(), key_id, reason, note: None }
}

pub(crate) fn expire_key(tenant: &TenantId, key_id: KeyId) -> ExpireKey {
    ExpireKey { tenant: tenant.clone(), key_id }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.command_id;
        match &self.verb {
            Verb::Open { tenant, .. } => write!(f, "open {tenant} ({id})"),
            Verb::Issue(issue) => write!(f, "issue in {} for {} ({id})", issue.tenant, issue.owner.as_str()),
            Verb::Revoke { tenant, key_id, reason } => {
                write!(f, "revoke {tenant}.{key_id} as {reason} ({id})")
            }
            Verb::Expire { tenant, key_id, .. } => write!(f, "expire {tenant}.{key_id}"),
        }
    }
}
