//! What operators may do: scopes of keys in tenant `rescind`, each optionally bound to one tenant (`acme/keys:revoke`).

use std::fmt;

use crate::ids::TenantId;
use crate::scope::{Scope, ScopeSet};

/// A right that a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Open tenants and change operators.
    TenantsAdmin,
    /// Issue keys.
    KeysIssue,
    /// Change keys.
    KeysWrite,
    /// Revoke keys.
    KeysRevoke,
    /// Read keys and their history.
    KeysRead,
    /// Ask for verdicts.
    Verify,
    /// Hear notices.
    Feed,
    /// Read the log.
    AuditRead,
}

impl Permission {
    /// All of them: what the first operator holds.
    pub const ALL: [Self; 8] = [
        Self::TenantsAdmin,
        Self::KeysIssue,
        Self::KeysWrite,
        Self::KeysRevoke,
        Self::KeysRead,
        Self::Verify,
        Self::Feed,
        Self::AuditRead,
    ];

    /// The scope that grants it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantsAdmin => "tenants:admin",
            Self::KeysIssue => "keys:issue",
            Self::KeysWrite => "keys:write",
            Self::KeysRevoke => "keys:revoke",
            Self::KeysRead => "keys:read",
            Self::Verify => "verify",
            Self::Feed => "feed",
            Self::AuditRead => "audit:read",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether these scopes grant the permission in every tenant.
#[must_use]
pub fn permits_everywhere(scopes: &ScopeSet, permission: Permission) -> bool {
    scopes.iter().any(|held| held.covers_str(permission.as_str()))
}

/// Whether these scopes grant the permission in one tenant.
#[must_use]
pub fn permits_in(scopes: &ScopeSet, permission: Permission, tenant: &TenantId) -> bool {
    permits_everywhere(scopes, permission)
        || scopes.iter().any(|held| match bound(held) {
            Some((to, rest)) => to == tenant.as_str() && covers(rest, permission.as_str()),
            None => false,
        })
}

/// The first of `wanted` that `held` does not cover. A scope held without a tenant covers the same scope bound to any.
#[must_use]
pub fn first_not_held<'a>(held: &ScopeSet, wanted: &'a ScopeSet) -> Option<&'a Scope> {
    wanted.iter().find(|wanted| !holds(held, wanted))
}

/// Whether `held` covers what is wanted, as it stands or free of the tenant that it is bound to.
pub(crate) fn holds(held: &ScopeSet, wanted: &Scope) -> bool {
    let free = bound(wanted).map(|(_, rest)| rest);
    held.iter().any(|held| held.covers(wanted) || free.is_some_and(|free| held.covers_str(free)))
}

/// Splits `acme/keys:revoke` into tenant and rest.
fn bound(scope: &Scope) -> Option<(&str, &str)> {
    scope.as_str().split_once('/')
}

fn covers(held: &str, wanted: &str) -> bool {
    held.parse::<Scope>().is_ok_and(|held| held.covers_str(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_scope_counts_in_its_tenant_only() {
        let (acme, other) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let scopes = ScopeSet::parse(["acme/keys:revoke", "keys:read", "acme/audit:*"]).unwrap();
        assert!(permits_in(&scopes, Permission::KeysRevoke, &acme));
        assert!(permits_in(&scopes, Permission::AuditRead, &acme));
        assert!(!permits_in(&scopes, Permission::KeysRevoke, &other));
        assert!(permits_in(&scopes, Permission::KeysRead, &other));
        assert!(!permits_everywhere(&scopes, Permission::KeysRevoke));
        assert!(permits_everywhere(&ScopeSet::parse(["*"]).unwrap(), Permission::TenantsAdmin));
    }

    #[test]
    fn who_holds_a_scope_free_holds_it_bound_and_not_the_other_way() {
        for (held, wanted, holds_it) in [
            ("keys:issue", "acme/keys:issue", true),
            ("keys:*", "acme/keys:issue", true),
            ("acme/keys:issue", "keys:issue", false),
            ("acme/keys:issue", "other/keys:issue", false),
            ("acme/keys:*", "acme/keys:issue", true),
            ("keys:issue", "acme/keys:*", false),
        ] {
            let scopes = |text: &str| ScopeSet::parse([text]).unwrap();
            let missing = scopes(wanted);
            assert_eq!(first_not_held(&scopes(held), &missing).is_none(), holds_it, "{held} {wanted}");
        }
    }
}
