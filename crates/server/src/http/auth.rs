//! Who asks: the operator key of a request, and what its scopes let it do where.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use domain::{Issuer, KeyId, Permission, ScopeSet, Standing, TenantId, Widening, operator};
use verify::{Answer, Holder, Verdict, VerifyRequest};

use crate::http::app::App;
use crate::http::codes;
use crate::http::extract::peer;
use crate::http::problem::Problem;

/// An operator whose full secret was presented and is good on a live lease.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) key_id: KeyId,
    pub(crate) scopes: Arc<ScopeSet>,
    pub(crate) network: Option<IpAddr>,
}

/// An operator that asks for a verdict. Without a lease it is heard all the same: what it gets is the verdict `stale`, which
/// is what its service has to know, and which lets nobody pass.
#[derive(Clone, Debug)]
pub(crate) struct Asker(pub(crate) Operator);

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (answer, network) = Self::presented(parts, app)?;
        Self::of(&answer, network)
    }
}

impl FromRequestParts<Arc<App>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (answer, network) = Operator::presented(parts, app)?;
        Self::of(&answer, network)
    }
}

impl Asker {
    /// The operator whose key this is, wherever in the request it was.
    pub(crate) fn holding(token: &str, parts: &Parts, app: &App) -> Result<Self, Problem> {
        let network = peer(parts);
        Self::of(&Operator::judged(token, network, app), network)
    }

    fn of(answer: &Answer, network: Option<IpAddr>) -> Result<Self, Problem> {
        match (&answer.verdict, &answer.holder) {
            (Verdict::Stale, Some(holder)) => Ok(Self(Operator::holding(holder, network))),
            _ => Operator::of(answer, network).map(Self),
        }
    }
}

/// What `Authorization` holds. A secret: not `Debug`.
pub(crate) enum Bearer<'a> {
    Token(&'a str),
    /// Nothing, more than one, or of another scheme.
    Missing,
    Malformed,
}

/// The token that a request presents.
pub(crate) fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else { return Bearer::Missing };
    match value.to_str().ok().and_then(|text| text.split_once(' ')) {
        None => Bearer::Malformed,
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Bearer::Token(token.trim()),
        Some(_) => Bearer::Missing,
    }
}

impl Operator {
    /// The verdict on the key that a request presents.
    fn presented(parts: &Parts, app: &App) -> Result<(Answer, Option<IpAddr>), Problem> {
        let token = match bearer(&parts.headers) {
            Bearer::Token(token) => token,
            Bearer::Missing => return Err(Problem::new(&codes::OPERATOR_MISSING)),
            Bearer::Malformed => return Err(Problem::new(&codes::OPERATOR_MALFORMED)),
        };
        let network = peer(parts);
        Ok((Self::judged(token, network, app), network))
    }

    /// An index that has not heard everything, as after a start, does not know who is no operator.
    fn judged(token: &str, network: Option<IpAddr>, app: &App) -> Answer {
        let moment = app.moment();
        let was_stale = app.index.is_stale(moment.boot_ms);
        let request = VerifyRequest { token, tenant: Some(&app.operators), scope: None, network };
        let answer = app.index.verify(&request, moment);
        match answer.verdict {
            Verdict::Unknown if was_stale => Answer { verdict: Verdict::Stale, ..answer },
            _ => answer,
        }
    }

    fn holding(holder: &Holder, network: Option<IpAddr>) -> Self {
        Self { key_id: holder.key_id, scopes: Arc::clone(&holder.scopes), network }
    }

    /// Who grants, as decisions need it.
    pub(crate) fn as_issuer(&self) -> Issuer {
        Issuer { key_id: self.key_id, scopes: (*self.scopes).clone() }
    }

    /// Whether it may give a key of this tenant more than the key has.
    pub(crate) fn widening(&self, tenant: &TenantId) -> Widening {
        match self.require_write(Permission::KeysIssue, tenant) {
            Ok(()) => Widening::Allowed,
            Err(_) => Widening::Refused,
        }
    }

    /// What the verdict makes of who asks. More than "unknown" is told only to who holds the full secret.
    fn of(answer: &Answer, network: Option<IpAddr>) -> Result<Self, Problem> {
        let code = match answer.verdict {
            Verdict::Valid => {
                let holder = answer.holder.as_ref().ok_or_else(|| Problem::new(&codes::OPERATOR_UNKNOWN))?;
                return Ok(Self::holding(holder, network));
            }
            Verdict::Malformed => &codes::OPERATOR_MALFORMED,
            // No scope is asked for here, and tenant `rescind` cannot be closed.
            Verdict::Unknown | Verdict::ScopeDenied | Verdict::TenantClosed => &codes::OPERATOR_UNKNOWN,
            Verdict::Revoked | Verdict::Recalled => &codes::OPERATOR_REVOKED,
            Verdict::Quarantined => &codes::OPERATOR_QUARANTINED,
            Verdict::Expired => &codes::OPERATOR_EXPIRED,
            Verdict::Suspended => &codes::OPERATOR_SUSPENDED,
            Verdict::NetworkDenied => &codes::NETWORK_DENIED,
            Verdict::Stale => return Err(Problem::new(&codes::STALE).retry()),
        };
        Err(Problem::new(code))
    }

    /// Demands a permission in one tenant. Whoever may do nothing there is told that it does not exist.
    pub(crate) fn require_in(&self, permission: Permission, tenant: &TenantId) -> Result<(), Problem> {
        if operator::permits_in(&self.scopes, permission, tenant) {
            return Ok(());
        }
        let knows = Permission::ALL.iter().any(|any| operator::permits_in(&self.scopes, *any, tenant));
        if knows || !self.permits_somewhere(permission) {
            Err(scope_missing(permission, Some(tenant)))
        } else {
            Err(Problem::new(&codes::NOT_FOUND))
        }
    }

    /// Demands the permission to change keys: in tenant `rescind` they are operators, and that is another matter.
    pub(crate) fn require_write(&self, permission: Permission, tenant: &TenantId) -> Result<(), Problem> {
        let permission = if tenant.is_operators() { Permission::TenantsAdmin } else { permission };
        self.require_in(permission, tenant)
    }

    /// Demands a permission in every tenant.
    pub(crate) fn require_everywhere(&self, permission: Permission) -> Result<(), Problem> {
        if operator::permits_everywhere(&self.scopes, permission) {
            return Ok(());
        }
        Err(scope_missing(permission, None))
    }

    /// Demands a permission in the tenant named, or in every tenant where none is.
    pub(crate) fn require_for(
        &self,
        permission: Permission,
        tenant: Option<&TenantId>,
    ) -> Result<(), Problem> {
        match tenant {
            Some(tenant) => self.require_in(permission, tenant),
            None if operator::permits_everywhere(&self.scopes, permission) => Ok(()),
            None if self.permits_somewhere(permission) => Err(Problem::new(&codes::TENANT_NEEDED)),
            None => Err(scope_missing(permission, None)),
        }
    }

    /// Whether the key that was presented may still be used, and for this: what lasts longer than a request asks again.
    pub(crate) fn still_may(&self, app: &App, permission: Permission, tenant: Option<&TenantId>) -> bool {
        let Some(state) = app.index.key(&app.operators, self.key_id) else { return false };
        let key = state.key;
        let lives =
            key.standing == Standing::Active && key.expires_at.is_none_or(|at| at > app.ambient.now());
        lives
            && key.networks.admit(self.network)
            && match tenant {
                Some(tenant) => operator::permits_in(&key.scopes, permission, tenant),
                None => operator::permits_everywhere(&key.scopes, permission),
            }
    }

    /// Whether the permission is held in any tenant at all.
    pub(crate) fn permits_somewhere(&self, permission: Permission) -> bool {
        operator::permits_everywhere(&self.scopes, permission)
            || self.bound_to().any(|tenant| operator::permits_in(&self.scopes, permission, &tenant))
    }

    /// The tenant in which alone the permission is held.
    pub(crate) fn only_tenant(&self, permission: Permission) -> Option<TenantId> {
        let mut tenants =
            self.bound_to().filter(|tenant| operator::permits_in(&self.scopes, permission, tenant));
        let only = tenants.next()?;
        let is_only =
            !operator::permits_everywhere(&self.scopes, permission) && tenants.all(|tenant| tenant == only);
        is_only.then_some(only)
    }

    /// The tenants that scopes are bound to.
    fn bound_to(&self) -> impl Iterator<Item = TenantId> {
        self.scopes.iter().filter_map(|scope| scope.as_str().split_once('/')?.0.parse().ok())
    }
}

pub(crate) fn scope_missing(permission: Permission, tenant: Option<&TenantId>) -> Problem {
    let detail = match tenant {
        Some(tenant) => format!("it needs {permission}, or {tenant}/{permission}"),
        None => format!("it needs {permission}"),
    };
    Problem::new(&codes::SCOPE_MISSING).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(scopes: &[&str]) -> Operator {
        Operator {
            key_id: KeyId::from_u128(1),
            scopes: Arc::new(ScopeSet::parse(scopes).unwrap()),
            network: None,
        }
    }

    #[track_caller]
    fn check(scopes: &[&str], permission: Permission, tenant: &str, code: Option<&str>) {
        let outcome = operator(scopes).require_write(permission, &tenant.parse().unwrap());
        assert_eq!(outcome.err().map(|problem| problem.code.code), code, "{scopes:?} {tenant}");
    }

    #[test]
    fn a_foreign_tenant_does_not_exist_and_a_missing_scope_is_named() {
        check(&["keys:revoke"], Permission::KeysRevoke, "acme", None);
        check(&["acme/keys:revoke"], Permission::KeysRevoke, "acme", None);
        check(&["acme/keys:revoke"], Permission::KeysRevoke, "other", Some("not_found"));
        check(&["acme/keys:read"], Permission::KeysRevoke, "acme", Some("scope_missing"));
        check(&["acme/keys:read"], Permission::KeysRevoke, "other", Some("scope_missing"));
        check(
            &["acme/keys:read", "other/keys:revoke"],
            Permission::KeysRevoke,
            "acme",
            Some("scope_missing"),
        );
    }

    #[test]
    fn an_operator_of_one_tenant_is_told_from_one_of_many() {
        let only = |scopes: &[&str]| {
            operator(scopes).only_tenant(Permission::Verify).map(|tenant| tenant.as_str().to_owned())
        };
        assert_eq!(only(&["acme/verify", "acme/keys:read", "other/feed"]).as_deref(), Some("acme"));
        assert_eq!(only(&["acme/verify", "other/verify"]), None);
        assert_eq!(only(&["acme/verify", "verify"]), None);
        assert_eq!(only(&["acme/keys:read"]), None);
    }

    #[test]
    fn operators_are_changed_by_administrators_only() {
        check(&["keys:revoke", "keys:issue"], Permission::KeysRevoke, "rescind", Some("scope_missing"));
        check(&["tenants:admin"], Permission::KeysRevoke, "rescind", None);
        check(&["tenants:admin"], Permission::KeysRevoke, "acme", Some("scope_missing"));
    }
}
