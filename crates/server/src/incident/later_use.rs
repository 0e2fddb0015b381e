//! Whether the key was accepted after it should not have been, and who went on trying it.

use domain::Timestamp;
use projection::usage::{Bucket, RefusedAs, Requests, SeenService, UsageOther, UsagePart};

use super::{Edge, Exactness, Facts, Span, missing};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Verdicts that only a key gets that was ended, suspended or cannot be read.
const ENDED: [&str; 5] = ["revoked", "recalled", "suspended", "expired", "quarantined"];

/// The last use that was accepted, and how many there were after the incident began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The last verdict `valid` that is known, by the clock of who gave it.
    pub(crate) last: Option<Timestamp>,
    /// Whether it is the last: a later one may be in what was not reported.
    pub(crate) last_exactness: Exactness,
    /// Verdicts `valid` after the incident began and before its last end was enforced.
    pub(crate) count: u64,
    pub(crate) count_exactness: Exactness,
    /// Why either is not exact.
    pub(crate) why: Option<String>,
}

/// Tells it from the sums. Up to when a use could be accepted follows from the spans: to their end where that is known, else
/// up to now.
pub(crate) fn accepted(facts: &Facts, began: Option<Edge>, spans: &[Span]) -> Accepted {
    let usage = &facts.usage;
    let until = until(facts, spans);
    let last = usage.last_used;
    let missing_later = missing(facts.unknown_in(last.unwrap_or_default(), until));
    let last_exactness = if missing_later.is_some() { Exactness::AtLeast } else { Exactness::Exact };
    let Some(from) = began.map(|edge| edge.at) else {
        let count_exactness = Exactness::Exact;
        return Accepted { last, last_exactness, count: 0, count_exactness, why: missing_later };
    };
    let missing_since = missing(facts.unknown_in(from, until));
    let (count, rough) = match last.filter(|last| *last >= from) {
        None => (0, false),
        Some(_) => (valid_in(facts, from, until), true),
    };
    let count_exactness = match (missing_since.is_some(), rough) {
        (false, false) => Exactness::Exact,
        (false, true) => Exactness::ByHour,
        (true, false) => Exactness::AtLeast,
        (true, true) => Exactness::Unknown,
    };
    let counted_whole = || rough.then(|| "the hour or day in which it began counts whole".to_owned());
    let why = missing_since.or(missing_later).or_else(counted_whole);
    Accepted { last, last_exactness, count, count_exactness, why }
}

/// When the last verifier refused, if that is known.
fn until(facts: &Facts, spans: &[Span]) -> Timestamp {
    let ended = spans.last().and_then(|span| Some(span.from.at.plus_millis(span.enforced.ms?)));
    ended.unwrap_or(facts.now).min(facts.now)
}

fn valid_in(facts: &Facts, from: Timestamp, until: Timestamp) -> u64 {
    let (buckets, each_ms) = buckets(facts, from);
    let within = |bucket: &&Bucket| bucket.start <= until && bucket.start.plus_millis(each_ms) > from;
    buckets.iter().filter(within).map(|bucket| bucket.requests.valid).sum()
}

/// By the hour where the hours reach back so far, else by the day.
fn buckets(facts: &Facts, from: Timestamp) -> (&[Bucket], u64) {
    let hours_from = Timestamp::from_millis(facts.now.as_millis().saturating_sub(7 * DAY_MS - HOUR_MS));
    if from >= hours_from { (&facts.usage.hours, HOUR_MS) } else { (&facts.usage.days, DAY_MS) }
}

/// Who went on trying the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// How often it was refused because it had ended.
    pub(crate) count: u64,
    pub(crate) exactness: Exactness,
    pub(crate) why: Option<String>,
    /// By verdict, the last one first.
    pub(crate) verdicts: Vec<RefusedAs>,
    /// Services that asked about it since it began, the last one first; of each all its verdicts are counted.
    pub(crate) services: Vec<SeenService>,
    pub(crate) other_services: Option<UsageOther>,
    /// Networks that it came from since it began; of each all its verdicts are counted.
    pub(crate) networks: Vec<UsagePart>,
    pub(crate) other_networks: Option<UsageOther>,
    /// Hours or days with a refusal since it began.
    pub(crate) hours: Vec<Bucket>,
}

/// Tells it from the sums, which are whole up to where the record has heard.
pub(crate) fn attempts(facts: &Facts, began: Option<Edge>) -> Option<Attempts> {
    let from = began?.at;
    let usage = &facts.usage;
    let ended = |refused: &&RefusedAs| ENDED.contains(&&*refused.verdict) && refused.last >= from;
    let verdicts: Vec<RefusedAs> = usage.refused.iter().filter(ended).cloned().collect();
    let was_refused = |requests: Requests, seen: Timestamp| requests.refused > 0 && seen >= from;
    let services = usage.services.iter().filter(|one| was_refused(one.requests, one.last_seen));
    let networks = usage.networks.iter().filter(|one| was_refused(one.requests, one.last_seen));
    let (buckets, each_ms) = buckets(facts, from);
    let hours =
        buckets.iter().filter(|one| one.requests.refused > 0 && one.start.plus_millis(each_ms) > from);
    let why = missing(facts.lost_since(from));
    Some(Attempts {
        count: verdicts.iter().map(|one| one.count).sum(),
        exactness: if why.is_some() { Exactness::AtLeast } else { Exactness::Exact },
        why,
        verdicts,
        services: services.cloned().collect(),
        other_services: others(usage.services_other.as_ref(), from),
        networks: networks.cloned().collect(),
        other_networks: others(usage.networks_other.as_ref(), from),
        hours: hours.copied().collect(),
    })
}

fn others(other: Option<&UsageOther>, from: Timestamp) -> Option<UsageOther> {
    other.filter(|other| other.requests.refused > 0 && other.last_seen >= from).cloned()
}
