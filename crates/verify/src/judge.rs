//! Parse, digest, look up, compare, judge: from a presented key to its verdict.

use domain::{ImportKey, KeyId, ParsedKey, SecretDigest, Standing, TenantId, Timestamp};

use crate::index::{Found, KeyIndex, Presented};
use crate::request::{HolderRef, Judgement, Moment, VerifyRequest};
use crate::row::HotRow;
use crate::tenants::TenantFlags;
use crate::verdict::Verdict;

/// The longest token of another system that is looked up: a bound on the work of a guess.
const MAX_IMPORTED_TOKEN: usize = 512;

/// Judges a request by what `look_up` finds; the index passes its own, the tests a wrong one too.
pub(crate) fn judge<'a>(
    index: &'a KeyIndex,
    request: &VerifyRequest<'_>,
    moment: Moment,
    mut look_up: impl FnMut(&KeyIndex, &Presented<'_>) -> Found,
) -> Judgement<'a> {
    let (as_of, stale) = index.as_of(moment.boot_ms);
    let parsed = ParsedKey::parse(request.token);
    let nobody = if parsed.is_ok() { Verdict::Unknown } else { Verdict::Malformed };
    let opened = parsed
        .ok()
        .and_then(|parsed| open(index, request, &Presented::Native(parsed), &mut look_up))
        .or_else(|| open(index, request, &as_imported(request)?, &mut look_up));
    let Some(opened) = opened else { return Judgement { verdict: nobody, holder: None, as_of } };
    let case = Case { index, request, moment, stale, opened: &opened };
    let verdict = case.verdict();
    let since = case.since(verdict);
    Judgement { verdict, holder: Some(HolderRef::new(index, &opened.row, since)), as_of }
}

/// Judges a key by its id, as if its full secret were presented in the way that opens it.
pub(crate) fn judge_key<'a>(
    index: &'a KeyIndex,
    (tenant, key_id): (&TenantId, KeyId),
    request: &VerifyRequest<'_>,
    moment: Moment,
) -> Judgement<'a> {
    let (as_of, stale) = index.as_of(moment.boot_ms);
    let hash = index.hash.of(key_id);
    // Before the row, as every verify does; see `look_up`.
    let refused = index.overlay.since(hash, key_id);
    let opened = index.recalled_row(hash, key_id).and_then(|(row, _)| {
        let entry = index.tenants.at(row.tenant());
        let opens = row.is_issued() && *entry.id == *tenant;
        opens.then(|| Opened { refused, row, flags: entry.flags() })
    });
    let Some(opened) = opened else { return Judgement { verdict: Verdict::Unknown, holder: None, as_of } };
    let case = Case { index, request, moment, stale, opened: &opened };
    let verdict = case.verdict();
    let since = case.since(verdict);
    Judgement { verdict, holder: Some(HolderRef::new(index, &opened.row, since)), as_of }
}

/// A key whose full secret was presented.
struct Opened {
    refused: Option<Timestamp>,
    row: HotRow,
    flags: TenantFlags,
}

/// None for a key that is not there, or another tenant's, or with another secret: after the same work.
fn open(
    index: &KeyIndex,
    request: &VerifyRequest<'_>,
    presented: &Presented<'_>,
    look_up: impl FnOnce(&KeyIndex, &Presented<'_>) -> Found,
) -> Option<Opened> {
    let Found { settles, refused, mut row, digest } = look_up(index, presented);
    let matches = digest.matches_short(row.digest());
    if !(matches && presented.opens(&row)) {
        return None;
    }
    let tenant = index.tenants.at(row.tenant());
    if request.tenant.is_some_and(|wanted| *wanted != *tenant.id) {
        return None;
    }
    let flags = tenant.flags();
    // In this order, see `crate::recalls`: the flag after the row, the passes after the flag.
    if flags.is_recalling() || index.settles() != settles {
        (row, _) = index.recalled_row(index.hash.of(row.key_id()), row.key_id())?;
    }
    Some(Opened { refused, row, flags })
}

/// The token as another system's key, which only its tenant knows.
fn as_imported(request: &VerifyRequest<'_>) -> Option<Presented<'static>> {
    let tenant = request.tenant.filter(|_| request.token.len() <= MAX_IMPORTED_TOKEN)?;
    let digest = SecretDigest::of_token(request.token);
    Some(Presented::Imported(ImportKey::key_id(tenant, &digest), digest))
}

/// All that the verdict on an opened key rests on.
struct Case<'a> {
    index: &'a KeyIndex,
    request: &'a VerifyRequest<'a>,
    moment: Moment,
    stale: bool,
    opened: &'a Opened,
}

impl Case<'_> {
    fn since(&self, verdict: Verdict) -> Option<Timestamp> {
        match verdict {
            Verdict::Revoked => self.opened.refused.or(self.opened.row.ended_at()),
            Verdict::Recalled => self.opened.row.ended_at(),
            Verdict::Expired => self.opened.row.ended_at().or(self.opened.row.expires_at()),
            _ => None,
        }
    }

    /// The first that applies, in the order of [`Verdict::ALL`].
    fn verdict(&self) -> Verdict {
        let Opened { refused, row, flags } = self.opened;
        let standing = row.standing();
        let time_is_up = row.expires_at().is_some_and(|at| at <= self.moment.now);
        if refused.is_some() || standing == Standing::Revoked {
            Verdict::Revoked
        } else if standing == Standing::Recalled {
            Verdict::Recalled
        } else if row.is_quarantined() || flags.is_quarantined() {
            Verdict::Quarantined
        } else if standing == Standing::Expired || time_is_up {
            Verdict::Expired
        } else if standing == Standing::Suspended {
            Verdict::Suspended
        } else if flags.is_closed() {
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
        let number = self.opened.row.networks();
        number == 0 || self.index.values.networks.at(number).admit(self.request.network)
    }

    fn scopes_cover(&self, wanted: &domain::Scope) -> bool {
        self.index.values.scopes.at(self.opened.row.scopes()).covers(wanted)
    }
}

#[cfg(test)]
mod tests;
