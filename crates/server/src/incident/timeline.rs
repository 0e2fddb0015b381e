//! The timeline: events, who enforced them and when, uses and attempts, in the order in which they happened.

use domain::{KeyId, Position, Timestamp};
use projection::usage::{RefusedAs, UnknownSpan};
use serde_json::Value;

use super::{Enforcement, Exactness, Facts, Happened, Turn, Verifier};

/// One line of the timeline.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When; none where it is not known, and then it stands after what it belongs to.
    pub(crate) at: Option<Timestamp>,
    pub(crate) exactness: Exactness,
    pub(crate) what: What,
}

/// What stands in a line.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An event of the log.
    Event { position: Position, shown: Value },
    /// A verifier refuses since then.
    Enforced { of: Position, verifier: Verifier },
    /// A verifier may still accept the key.
    Outstanding { of: Position, verifier: Verifier },
    /// Nobody here can tell who enforced it since when.
    NotKnown { of: Position },
    /// The first verdict `valid`.
    FirstUse,
    /// The last verdict `valid`.
    LastUse,
    /// The successor's first verdict `valid`.
    SuccessorUsed { key_id: KeyId },
    /// The key was tried and refused.
    Attempts(RefusedAs),
    /// In this span more may have happened than was reported.
    Unreported(UnknownSpan),
}

impl What {
    /// The word in API and CLI.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Event { .. } => "event",
            Self::Enforced { .. } => "enforced",
            Self::Outstanding { .. } => "outstanding",
            Self::NotKnown { .. } => "enforcement_unknown",
            Self::FirstUse => "first_use",
            Self::LastUse => "last_use",
            Self::SuccessorUsed { .. } => "successor_first_use",
            Self::Attempts(_) => "attempts",
            Self::Unreported(_) => "unreported",
        }
    }
}

/// All of it, oldest first. What stands at the same moment keeps the order of the log.
pub(crate) fn timeline(facts: &Facts, last_use: Exactness) -> Vec<Entry> {
    let mut placed: Vec<(Timestamp, Entry)> = Vec::new();
    let mut before = Timestamp::default();
    for event in facts.events.iter().filter(|event| event.turn != Turn::Aside) {
        // What cannot be read is shown after what came before it in the log.
        let at = event.at.unwrap_or(before);
        before = at;
        placed.push((at, of_event(event)));
        if let Turn::Ends(what) = event.turn {
            enforced(event.position, what, at, facts.enforcements.get(&event.position), &mut placed);
        }
    }
    used(facts, last_use, &mut placed);
    let began = facts.began().map(|edge| edge.at);
    let since = |refused: &&RefusedAs| began.is_some_and(|began| refused.last >= began);
    for refused in facts.usage.refused.iter().filter(since) {
        let entry = Entry {
            at: Some(refused.first),
            exactness: Exactness::Exact,
            what: What::Attempts(refused.clone()),
        };
        placed.push((refused.first, entry));
    }
    for span in facts.lost_since(began.unwrap_or(facts.now)) {
        let entry = Entry {
            at: Some(span.from),
            exactness: Exactness::Unknown,
            what: What::Unreported(span.clone()),
        };
        placed.push((span.from, entry));
    }
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, entry)| entry).collect()
}

fn of_event(event: &Happened) -> Entry {
    let exactness = if event.at.is_some() { Exactness::Exact } else { Exactness::Unknown };
    let what = What::Event { position: event.position, shown: event.shown.clone() };
    Entry { at: event.at, exactness, what }
}

fn enforced(
    of: Position,
    ending: &str,
    at: Timestamp,
    enforcement: Option<&Enforcement>,
    placed: &mut Vec<(Timestamp, Entry)>,
) {
    let Some(enforcement) = enforcement else {
        // Every verifier ends an expired key by itself: nobody is asked.
        if ending != "expiry" {
            placed.push((at, Entry { at: None, exactness: Exactness::Unknown, what: What::NotKnown { of } }));
        }
        return;
    };
    let effective = enforcement.effective_at();
    for verifier in &enforcement.enforced {
        let when = effective.zip(verifier.after_ms).map(|(at, after)| at.plus_millis(after));
        let exactness = match (when, verifier.by.as_deref()) {
            (None, _) => Exactness::Unknown,
            (Some(_), Some("bound")) => Exactness::AtMost,
            (Some(_), _) => Exactness::Exact,
        };
        let what = What::Enforced { of, verifier: verifier.clone() };
        placed.push((when.unwrap_or(at), Entry { at: when, exactness, what }));
    }
    for verifier in &enforcement.outstanding {
        let what = What::Outstanding { of, verifier: verifier.clone() };
        placed.push((at, Entry { at: None, exactness: Exactness::Unknown, what }));
    }
}

fn used(facts: &Facts, last_use: Exactness, placed: &mut Vec<(Timestamp, Entry)>) {
    let mut put = |at: Option<Timestamp>, exactness, what| {
        placed.extend(at.map(|at| (at, Entry { at: Some(at), exactness, what })));
    };
    let usage = &facts.usage;
    // The record may have begun after the first use.
    let issued = facts.events.first().and_then(|event| event.at).unwrap_or_default();
    let first = match usage.first_used {
        Some(first) if facts.unknown_in(issued, first).next().is_some() => Exactness::AtMost,
        _ => Exactness::Exact,
    };
    if usage.first_used != usage.last_used {
        put(usage.first_used, first, What::FirstUse);
    }
    put(usage.last_used, last_use, What::LastUse);
    if let Some(successor) = &facts.successor {
        let exactness = match successor.first_used {
            Some(first) if facts.unknown_in(issued, first).next().is_some() => Exactness::AtMost,
            _ => Exactness::Exact,
        };
        put(successor.first_used, exactness, What::SuccessorUsed { key_id: successor.key_id });
    }
}
