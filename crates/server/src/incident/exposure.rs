//! For how long a key could be used after it should not have been: from what set it off to the last verifier's refusal.

use domain::{Position, Timestamp};

use super::{Enforcement, Exactness, Facts, Turn};
use crate::fleet::DRIFT_MS;

/// Where a span begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) at: Timestamp,
    pub(crate) position: Position,
    /// What happened there: `leak_report`, `suspension`, `revocation`, `recall`, `rotation_finish`, `expiry`, `reinstatement`.
    pub(crate) what: &'static str,
}

/// A number of milliseconds and how well it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    /// None where nobody can tell.
    pub(crate) ms: Option<u64>,
    pub(crate) exactness: Exactness,
    /// Why it is not exact.
    pub(crate) why: Option<String>,
}

impl Figure {
    pub(super) fn exact(ms: u64) -> Self {
        Self { ms: Some(ms), exactness: Exactness::Exact, why: None }
    }

    fn at_most(ms: u64, why: &str) -> Self {
        Self { ms: Some(ms), exactness: Exactness::AtMost, why: Some(why.to_owned()) }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self { ms: None, exactness: Exactness::Unknown, why: Some(why.into()) }
    }
}

/// A time in which the key could be used and should not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Edge,
    /// What ended it; none while it lasts.
    pub(crate) until: Option<Edge>,
    /// Until the server that ended it refused.
    pub(crate) effective: Figure,
    /// Until the last verifier refused.
    pub(crate) enforced: Figure,
    /// Who may still accept the key.
    pub(crate) outstanding: Vec<String>,
}

/// The spans of an incident, oldest first. The first goes from what set it off to what came of that, which is mostly the same
/// event; each further one begins where the key was reinstated.
pub(crate) fn spans(facts: &Facts) -> Vec<Span> {
    let (mut spans, mut open, mut began) = (Vec::new(), None, false);
    for event in &facts.events {
        let Some(at) = event.at else { continue };
        match event.turn {
            Turn::Ends(what) => {
                let edge = Edge { at, position: event.position, what };
                if !std::mem::replace(&mut began, true) {
                    open = Some(edge);
                }
                if let Some(from) = open.take() {
                    spans.push(closed(from, edge, facts.enforcements.get(&event.position)));
                }
            }
            Turn::Reopens if began => {
                open = Some(Edge { at, position: event.position, what: "reinstatement" });
            }
            Turn::Reopens | Turn::Told | Turn::Aside => {}
        }
    }
    spans.extend(open.map(lasting));
    spans
}

fn lasting(from: Edge) -> Span {
    let lasts = || Figure::unknown("the key may be used");
    Span { from, until: None, effective: lasts(), enforced: lasts(), outstanding: Vec::new() }
}

fn closed(from: Edge, until: Edge, enforcement: Option<&Enforcement>) -> Span {
    let lasted = until.at.as_millis().saturating_sub(from.at.as_millis());
    let since = |at: Timestamp| lasted + at.as_millis().saturating_sub(until.at.as_millis());
    let effective = enforcement.and_then(Enforcement::effective_at).map(since);
    let outstanding = enforcement.map(|enforcement| {
        enforcement.outstanding.iter().map(|verifier| verifier.name.clone()).collect::<Vec<_>>()
    });
    let outstanding = outstanding.unwrap_or_default();
    let enforced = match (until.what, enforcement, effective) {
        ("expiry", ..) => Figure::at_most(lasted + DRIFT_MS, "each verifier ends it by its own clock"),
        (_, None, _) => Figure::unknown("no receipt of it is here: another server ended it, or it is lost"),
        (_, Some(receipt), _) if receipt.late => {
            Figure::unknown("this server did not end it, or has lost since when the verifiers refuse")
        }
        _ if !outstanding.is_empty() => {
            Figure::unknown(format!("it may still be accepted by {}", outstanding.join(", ")))
        }
        (_, Some(receipt), _) if !receipt.complete => {
            Figure::unknown("there may be verifiers that this server has not heard of")
        }
        (_, Some(_), None) => Figure::unknown("the receipt does not tell when it was effective"),
        (_, Some(receipt), Some(effective)) => after_the_last(effective, receipt),
    };
    let effective = effective.map_or_else(
        || match until.what {
            "expiry" => Figure::exact(lasted),
            _ => Figure::unknown("no receipt tells when the server that ended it refused"),
        },
        Figure::exact,
    );
    Span { from, until: Some(until), effective, enforced, outstanding }
}

/// Of a bound it is only known that it has passed: the verifier may have refused long before.
fn after_the_last(effective: u64, receipt: &Enforcement) -> Figure {
    let after = |by_bound: bool| {
        let enforced = receipt.enforced.iter().filter(|one| (one.by.as_deref() == Some("bound")) == by_bound);
        enforced.filter_map(|one| one.after_ms).max()
    };
    let (said, bound) = (after(false).unwrap_or(0), after(true));
    match bound.filter(|bound| *bound > said) {
        Some(bound) => Figure::at_most(
            effective + bound,
            "a verifier was not heard: it refuses since its bound has passed",
        ),
        None => Figure::exact(effective + said),
    }
}

/// All spans together.
pub(crate) fn total(spans: &[Span]) -> Figure {
    let worst = spans.iter().map(|span| &span.enforced).max_by_key(|figure| figure.exactness);
    Figure {
        ms: spans.iter().map(|span| span.enforced.ms).sum(),
        exactness: worst.map_or(Exactness::Exact, |figure| figure.exactness),
        why: worst.and_then(|figure| figure.why.clone()),
    }
}
