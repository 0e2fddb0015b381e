//! What a server tells guards out of its index, and in which order it reads that. The routes and the simulation tell the same.

use domain::{KeyId, LogId, Position, TenantId};
use verify::{KeyFacts, KeyIndex};
use wire::guard::{Filled, FilledKey, FilledTenant, LeaseGranted};
use wire::{format_rfc3339, hex};

/// When this server last proved that it had heard everything. Taken before whatever is told with it, which is then at least
/// as new.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    proven_at: u64,
}

impl Proof {
    /// None if there never was one.
    #[must_use]
    pub fn take(index: &KeyIndex) -> Option<Self> {
        index.proven_at().map(|proven_at| Self { proven_at })
    }

    /// A lease at the boot time `now`, read after the proof was taken.
    #[must_use]
    pub fn lease(
        self,
        index: &KeyIndex,
        log_id: LogId,
        tenant: &TenantId,
        (nonce, now): (u64, u64),
    ) -> LeaseGranted {
        // The head before the notice: what is named is at least the last one up to it.
        let head = index.applied();
        let (last_notice, last_unread) = index
            .tenant(tenant)
            .map_or((Position::NONE, Position::NONE), |tenant| (tenant.last_notice, tenant.last_unread));
        LeaseGranted {
            nonce,
            log_id: log_id.to_string(),
            head: head.get(),
            last_notice: last_notice.get(),
            last_unread: last_unread.get(),
            staleness_ms: now.saturating_sub(self.proven_at),
            report_within_ms: 0,
        }
    }
}

/// What there is to know of keys.
#[must_use]
pub fn fill(index: &KeyIndex, log_id: LogId, tenant: &TenantId, keys: &[KeyId]) -> Filled {
    // The position before the rows: they are at least as new.
    let as_of = index.applied();
    Filled {
        log_id: log_id.to_string(),
        as_of: as_of.get(),
        tenant: of_tenant(index, tenant),
        keys: keys.iter().map(|key_id| index.facts(tenant, *key_id).as_ref().map(filled)).collect(),
    }
}

pub(crate) fn of_tenant(index: &KeyIndex, tenant: &TenantId) -> FilledTenant {
    let state = index.tenant(tenant);
    FilledTenant {
        closed: state.is_some_and(|tenant| tenant.closed),
        quarantined: state.is_some_and(|tenant| tenant.quarantined),
    }
}

pub(crate) fn filled(facts: &KeyFacts) -> FilledKey {
    let key = &facts.key;
    FilledKey {
        key_id: key.key_id.to_string(),
        digest: hex(&facts.digest),
        imported: facts.imported,
        standing: key.standing.as_str().to_owned(),
        since: facts.ended_at.map(format_rfc3339),
        expires_at: key.expires_at.map(format_rfc3339),
        owner_tag: hex(&key.owner.to_bytes()),
        owner: facts.owner.name.plain().map(str::to_owned),
        scopes: key.scopes.iter().map(ToString::to_string).collect(),
        labels: key.labels.iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect(),
        networks: key.networks.iter().map(ToString::to_string).collect(),
        environment: key.environment.as_str().to_owned(),
        issuer: key.issuer.map(|issuer| issuer.to_string()),
        settled_at: facts.settled_at.get(),
    }
}
