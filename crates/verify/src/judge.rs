//! Parse, digest, look up, compare, judge: from a presented key to its verdict.

use std::sync::Arc;

use domain::{KeyId, ParsedKey, Standing, TenantId, Timestamp};

use crate::index::KeyIndex;
use crate::request::{Answer, AsOf, Holder, Moment, VerifyRequest};
use crate::row::HotRow;
use crate::tenants::TenantEntry;
use crate::verdict::Verdict;

/// Answers a request with what `look_up` finds; the index passes its own, the tests a wrong one too.
pub(crate) fn answer(
    index: &KeyIndex,
    request: &VerifyRequest<'_>,
    moment: Moment,
    look_up: impl FnOnce(&KeyIndex, u64, KeyId) -> (Option<Timestamp>, Option<HotRow>),
) -> Answer {
    let (as_of, stale) = index.as_of(moment.boot_ms);
    let nobody = |verdict| Answer { verdict, holder: None, as_of };
    let Ok(parsed) = ParsedKey::parse(request.token) else { return nobody(Verdict::Malformed) };
    let digest = parsed.digest();
    let (refused, row) = look_up(index, index.hash.of(parsed.key_id), parsed.key_id);
    // Without a row the same comparison is made against one that nothing matches.
    let row = row.unwrap_or(HotRow::ABSENT);
    let matches = digest.matches_short(row.digest());
    if !(matches && row.is_issued()) {
        return nobody(Verdict::Unknown);
    }
    let tenant = index.tenants.at(row.tenant());
    if request.tenant.is_some_and(|wanted| *wanted != *tenant.id) {
        return nobody(Verdict::Unknown);
    }
    Case { index, request, moment, stale, refused, row: &row, tenant }.answer(as_of)
}

/// A key whose full secret was presented, and all that the verdict rests on.
struct Case<'a> {
    index: &'a KeyIndex,
    request: &'a VerifyRequest<'a>,
    moment: Moment,
    stale: bool,
    refused: Option<Timestamp>,
    row: &'a HotRow,
    tenant: &'a TenantEntry,
}

impl Case<'_> {
    fn answer(&self, as_of: AsOf) -> Answer {
        let verdict = self.verdict();
        let holder = Holder {
            tenant: Arc::<TenantId>::clone(&self.tenant.id),
            key_id: self.row.key_id(),
            owner: Arc::clone(self.index.values.owners.at(self.row.owner())),
            scopes: Arc::clone(self.index.values.scopes.at(self.row.scopes())),
            environment: self.row.environment(),
            expires_at: self.row.expires_at(),
            since: match verdict {
                Verdict::Revoked => self.refused.or(self.row.ended_at()),
                Verdict::Recalled => self.row.ended_at(),
                Verdict::Expired => self.row.ended_at().or(self.row.expires_at()),
                _ => None,
            },
        };
        Answer { verdict, holder: Some(holder), as_of }
    }

    /// The first that applies, in the order of [`Verdict::ALL`].
    fn verdict(&self) -> Verdict {
        let standing = self.row.standing();
        let time_is_up = self.row.expires_at().is_some_and(|at| at <= self.moment.now);
        if self.refused.is_some() || standing == Standing::Revoked {
            Verdict::Revoked
        } else if standing == Standing::Recalled {
            Verdict::Recalled
        } else if self.row.is_quarantined() || self.tenant.is_quarantined() {
            Verdict::Quarantined
        } else if standing == Standing::Expired || time_is_up {
            Verdict::Expired
        } else if standing == Standing::Suspended {
            Verdict::Suspended
        } else if self.tenant.is_closed() {
            Verdict::TenantClosed
        } else if self.stale {
            Verdict::Stale
        } else if !self.index.values.networks.at(self.row.networks()).admit(self.request.network) {
            Verdict::NetworkDenied
        } else if self.request.scope.is_some_and(|wanted| !self.scopes_cover(wanted)) {
            Verdict::ScopeDenied
        } else {
            Verdict::Valid
        }
    }

    fn scopes_cover(&self, wanted: &domain::Scope) -> bool {
        self.index.values.scopes.at(self.row.scopes()).covers(wanted)
    }
}

#[cfg(test)]
mod tests;
