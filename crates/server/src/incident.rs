//! What became of a key that was, or may have been, in the wrong hands: one timeline, and for how long it could be used.
//!
//! Concluded from facts that others gather: no I/O and no clock. A figure always says how well it is known, and what was not
//! reported is never a zero.

mod exposure;
mod later_use;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;

use domain::{Envelope, Event, KeyId, LeakResponse, Position, Timestamp};
use projection::usage::{KeyUsage, UnknownSpan, Why};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use crate::incident::exposure::{Edge, Figure, Span, spans, total};
pub(crate) use crate::incident::later_use::{Attempts, accepted, attempts};
pub(crate) use crate::incident::timeline::{Entry, What, timeline};

/// How well a figure is known; later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exactness {
    /// As it was.
    Exact,
    /// Not more than this.
    AtMost,
    /// From sums by the hour or the day, the first and the last of them counted whole.
    ByHour,
    /// Not less than this: in a span that is named more may have happened.
    AtLeast,
    /// Nobody here can tell.
    Unknown,
}

impl Exactness {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::AtMost => "at_most",
            Self::ByHour => "by_hour",
            Self::AtLeast => "at_least",
            Self::Unknown => "unknown",
        }
    }
}

/// What an event means for whether the key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// From here on it is refused, for the reason named.
    Ends(&'static str),
    /// It may be used again.
    Reopens,
    /// Belongs to the story: issue, rotation, what cannot be read.
    Told,
    /// Changes something else of the key.
    Aside,
}

/// An event of the key's history.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) position: Position,
    /// None for an event that this build cannot read.
    pub(crate) at: Option<Timestamp>,
    pub(crate) turn: Turn,
    /// As auditors read it.
    pub(crate) shown: Value,
}

/// Who enforced an ending, as its receipt shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Enforcement {
    /// When the server that ended it refused; none in a receipt that was opened late.
    #[serde(default)]
    pub(crate) effective_at: Option<String>,
    pub(crate) complete: bool,
    pub(crate) late: bool,
    pub(crate) enforced: Vec<Verifier>,
    pub(crate) outstanding: Vec<Verifier>,
}

/// A verifier in a receipt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Verifier {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) guard_id: Option<String>,
    #[serde(default)]
    pub(crate) by: Option<String>,
    #[serde(default)]
    pub(crate) after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) refuses_within_ms: Option<u64>,
}

impl Enforcement {
    /// When the server that ended it refused.
    pub(crate) fn effective_at(&self) -> Option<Timestamp> {
        self.effective_at.as_deref().and_then(|at| wire::parse_rfc3339(at).ok())
    }
}

/// The key that took over, or was to.
#[derive(Clone, Debug)]
pub(crate) struct Successor {
    pub(crate) key_id: KeyId,
    pub(crate) standing: &'static str,
    pub(crate) first_used: Option<Timestamp>,
}

/// All that is known.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Oldest first.
    pub(crate) events: Vec<Happened>,
    /// By the position of what was to be enforced.
    pub(crate) enforcements: BTreeMap<Position, Enforcement>,
    pub(crate) usage: KeyUsage,
    /// When reports are missing, oldest first.
    pub(crate) unknown: Vec<UnknownSpan>,
    pub(crate) successor: Option<Successor>,
    pub(crate) now: Timestamp,
}

impl Facts {
    /// What set it off: the first event by which the key was refused.
    pub(crate) fn began(&self) -> Option<Edge> {
        self.events.iter().find_map(|event| match event.turn {
            Turn::Ends(what) => Some(Edge { at: event.at?, position: event.position, what }),
            Turn::Reopens | Turn::Told | Turn::Aside => None,
        })
    }

    /// The same, but for what is only on its way: everything is known up to where the record has heard.
    pub(crate) fn lost_since(&self, from: Timestamp) -> impl Iterator<Item = &UnknownSpan> {
        self.unknown_in(from, self.now).filter(|span| span.why != Why::NotHeard)
    }

    /// The unknown spans that touch a span.
    pub(crate) fn unknown_in(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &UnknownSpan> {
        self.unknown.iter().filter(move |span| span.from < to && span.to > from)
    }
}

/// What an event means for whether its key can be used.
pub(crate) fn turn(envelope: &Envelope) -> Turn {
    match &envelope.event {
        Event::KeyLeaked(leaked) => match leaked.response {
            LeakResponse::Revoke | LeakResponse::Suspend => Turn::Ends("leak_report"),
        },
        Event::KeySuspended(_) => Turn::Ends("suspension"),
        Event::KeyRevoked(_) => Turn::Ends("revocation"),
        Event::KeysRecalled(_) => Turn::Ends("recall"),
        Event::RotationFinished(_) => Turn::Ends("rotation_finish"),
        Event::KeyExpired(_) => Turn::Ends("expiry"),
        Event::KeyReinstated(_) => Turn::Reopens,
        Event::KeyIssued(_)
        | Event::KeyImported(_)
        | Event::KeyRotated(_)
        | Event::RotationCancelled(_)
        | Event::KeyFirstUsed(_) => Turn::Told,
        Event::TenantOpened(_)
        | Event::TenantConfigured(_)
        | Event::TenantClosed(_)
        | Event::PolicySet(_)
        | Event::PolicyRemoved(_)
        | Event::OwnerErased(_)
        | Event::KeyRenamed(_)
        | Event::KeyRelabelled(_)
        | Event::KeyTransferred(_)
        | Event::KeyRescoped(_)
        | Event::KeyRestricted(_)
        | Event::KeyExpiryChanged(_)
        | Event::ExpiryWarned(_) => Turn::Aside,
    }
}

/// Which reports are missing, in words.
pub(crate) fn missing<'a>(spans: impl Iterator<Item = &'a UnknownSpan>) -> Option<String> {
    let mut names: Vec<&str> = spans.map(|span| span.whom.as_deref().unwrap_or("the record")).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [] => None,
        _ => Some(format!("not all was reported: {}", names.join(", "))),
    }
}
