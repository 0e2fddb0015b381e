//! What the worker that applies policies has seen: how many keys, and for whose reports it waits.

use std::collections::{BTreeMap, BTreeSet};

use domain::{PolicyName, TenantId, Timestamp};
use parking_lot::Mutex;

/// The most verifiers that are named.
const NAMED: usize = 20;

/// What one pass over a policy's keys saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    /// When it ended.
    pub(crate) at: Timestamp,
    /// Keys that were looked at.
    pub(crate) keys: u64,
    /// What was done.
    pub(crate) warned: u64,
    pub(crate) suspended: u64,
    pub(crate) revoked: u64,
    /// Keys that would be idle, if it were known that nobody used them.
    pub(crate) waiting: u64,
    /// Whose reports are missing.
    pub(crate) unreported: BTreeSet<Box<str>>,
}

impl Pass {
    pub(crate) fn waits_for(&mut self, whom: Option<&str>) {
        if let Some(whom) = whom
            && self.unreported.len() < NAMED
        {
            self.unreported.insert(whom.into());
        }
    }
}

/// The last pass over each policy. Written by the worker alone; bounded by the policies that there are.
#[derive(Debug, Default)]
pub(crate) struct PolicyWatch(Mutex<BTreeMap<(TenantId, PolicyName), Pass>>);

impl PolicyWatch {
    /// The last pass of this server over a policy.
    pub(crate) fn of(&self, tenant: &TenantId, policy: &PolicyName) -> Option<Pass> {
        self.0.lock().get(&(tenant.clone(), policy.clone())).cloned()
    }

    pub(crate) fn passed(&self, tenant: &TenantId, policy: &PolicyName, pass: Pass) {
        self.0.lock().insert((tenant.clone(), policy.clone()), pass);
    }

    /// Forgets what is not there any more.
    pub(crate) fn keep(&self, there: impl Fn(&TenantId, &PolicyName) -> bool) {
        self.0.lock().retain(|(tenant, policy), _| there(tenant, policy));
    }

    /// Keys that wait, of all policies.
    pub(crate) fn waiting(&self) -> u64 {
        self.0.lock().values().map(|pass| pass.waiting).sum()
    }
}
