//! What a key is presented for.

use std::net::IpAddr;
use std::sync::Arc;

use domain::{Scope, ScopeError};

/// What a route does when the guard can not prove that it has heard everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PastLease {
    /// It refuses with `stale`.
    #[default]
    Refuse,
    /// It asks the server for this one verdict, within the deadline. The presented key goes to the server, which must let the
    /// guard's credential `verify`.
    AskServer,
}

/// What a key is presented for. Made once for a route; a clone counts up and copies nothing.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    scope: Option<Arc<Scope>>,
    network: Option<IpAddr>,
    past_lease: PastLease,
}

impl Requirement {
    /// May the key be used at all?
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// May it be used for this, such as `campaigns:send`?
    ///
    /// # Errors
    /// [`ScopeError`] for a text that is no scope.
    pub fn of_scope(scope: &str) -> Result<Self, ScopeError> {
        Ok(Self { scope: Some(Arc::new(scope.parse()?)), ..Self::default() })
    }

    /// Presented from this address. Without one, a key that is bound to networks is refused.
    #[must_use]
    pub fn at(self, network: IpAddr) -> Self {
        Self { network: Some(network), ..self }
    }

    /// What happens past the lease.
    #[must_use]
    pub fn past_lease(self, past_lease: PastLease) -> Self {
        Self { past_lease, ..self }
    }

    /// What it is to be used for; none asks only whether it may be used at all.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_deref()
    }

    /// The same, shared.
    pub(crate) fn shared_scope(&self) -> Option<Arc<Scope>> {
        self.scope.clone()
    }

    /// Where it is presented from.
    #[must_use]
    pub const fn network(&self) -> Option<IpAddr> {
        self.network
    }

    /// Whether the server is asked when the guard may not answer.
    #[must_use]
    pub fn asks_server(&self) -> bool {
        self.past_lease == PastLease::AskServer
    }
}
