//! Parse, digest, look up, compare, judge: from a presented key to its verdict.

use domain::{ParsedKey, Standing, Timestamp};

use crate::index::{Found, KeyIndex};
use crate::request::{HolderRef, Judgement, Moment, VerifyRequest};
use crate::row::HotRow;
use crate::tenants::TenantEntry;
use crate::verdict::Verdict;

/// Judges a request by what `look_up` finds; the index passes its own, the tests a wrong one too.
pub(crate) fn judge<'a>(
    index: &'a KeyIndex,
    request: &VerifyRequest<'_>,
    moment: Moment,
    look_up: impl FnOnce(&KeyIndex, &ParsedKey<'_>) -> Found,
) -> Judgement<'a> {
    let (as_of, stale) = index.as_of(moment.boot_ms);
    let nobody = |verdict| Judgement { verdict, holder: None, as_of };
    let Ok(parsed) = ParsedKey::parse(request.token) else { return nobody(Verdict::Malformed) };
    let Found { refused, row, digest } = look_up(index, &parsed);
    let matches = digest.matches_short(row.digest());
    if !(matches && row.is_issued()) {
        return nobody(Verdict::Unknown);
    }
    let tenant = index.tenants.at(row.tenant());
    if request.tenant.is_some_and(|wanted| *wanted != *tenant.id) {
        return nobody(Verdict::Unknown);
    }
    let case = Case { index, request, moment, stale, refused, row: &row, tenant };
    let verdict = case.verdict();
    let since = case.since(verdict);
    Judgement { verdict, holder: Some(HolderRef::new(index, &row, since)), as_of }
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
    fn since(&self, verdict: Verdict) -> Option<Timestamp> {
        match verdict {
            Verdict::Revoked => self.refused.or(self.row.ended_at()),
            Verdict::Recalled => self.row.ended_at(),
            Verdict::Expired => self.row.ended_at().or(self.row.expires_at()),
            _ => None,
        }
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
        } else if !self.networks_admit() {
            Verdict::NetworkDenied
        } else if self.request.scope.is_some_and(|wanted| !self.scopes_cover(wanted)) {
            Verdict::ScopeDenied
        } else {
            Verdict::Valid
        }
    }

    fn networks_admit(&self) -> bool {
        // Most keys have none, number 0: they may be used from anywhere.
        let number = self.row.networks();
        number == 0 || self.index.values.networks.at(number).admit(self.request.network)
    }

    fn scopes_cover(&self, wanted: &domain::Scope) -> bool {
        self.index.values.scopes.at(self.row.scopes()).covers(wanted)
    }
}

#[cfg(test)]
mod tests;
