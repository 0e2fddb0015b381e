//! What a verification found.

use std::fmt;

use domain::{LogId, Position};

use crate::vkey::Vkey;

/// One kind of wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The event is not the one that was signed.
    Changed,
    /// An event that was signed is not there.
    Missing,
    /// An event is there that was never signed.
    Added,
    /// An event that was signed stands at another position.
    OutOfOrder,
    /// The last events that a known checkpoint has are not there.
    Truncated,
    /// The log's signer has signed two histories.
    Forked,
    /// The event is as it was signed, and is not the next one of its stream.
    StreamBroken,
    /// A signature is missing or not good.
    BadSignature,
    /// No witness that was named has seen it.
    Unwitnessed,
}

impl Wrong {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Added => "added",
            Self::OutOfOrder => "out_of_order",
            Self::Truncated => "truncated",
            Self::Forked => "forked",
            Self::StreamBroken => "stream_broken",
            Self::BadSignature => "bad_signature",
            Self::Unwitnessed => "unwitnessed",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that is wrong, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub wrong: Wrong,
    /// The first position, or the first at which it can be: nothing before it is touched.
    pub first: Position,
    /// Up to where it can begin; equal to `first` if that is the very one.
    pub last: Position,
    /// What was seen, in a sentence.
    pub seen: String,
}

impl Finding {
    pub(super) const fn at(wrong: Wrong, first: Position, seen: String) -> Self {
        Self { wrong, first, last: first, seen }
    }

    pub(super) const fn between(wrong: Wrong, first: Position, last: Position, seen: String) -> Self {
        Self { wrong, first, last, seen }
    }
}

/// A witness that has seen this history.
#[derive(Clone, Debug, PartialEq)]
pub struct Witnessed {
    /// Which one.
    pub witness: Vkey,
    /// The last event that it has vouched for.
    pub upto: Position,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// What a verification found, and what it rests on.
#[derive(Debug)]
pub struct Report {
    /// Whose history it is, as the archive says and its signatures confirm.
    pub log_id: LogId,
    /// Events in the archive.
    pub events: Position,
    /// How far its last checkpoint goes, if it has one.
    pub checkpoint: Option<Position>,
    /// Checkpoints with a good signature, the last one included.
    pub checkpoints: usize,
    /// Earlier checkpoints that none of the named signers has signed: they count for nothing.
    pub of_others: usize,
    /// Which of the named signers have signed the last one.
    pub signed_by: Vec<Vkey>,
    /// Which of the named witnesses have seen it, and how far.
    pub witnessed: Vec<Witnessed>,
    /// The sizes of the known checkpoints that it was held against.
    pub known: Vec<Position>,
    /// Events whose bytes do not tell this build which stream they are of; they are proven all the same.
    pub unreadable: u64,
    /// How many streams were found whole, each with all revisions from 1 on, where nothing is wrong with the events themselves.
    pub streams: Option<u64>,
    /// What is wrong, by position. Empty: all is as it was signed.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) const fn new(log_id: LogId) -> Self {
        Self {
            log_id,
            events: Position::NONE,
            checkpoint: None,
            checkpoints: 0,
            of_others: 0,
            signed_by: Vec::new(),
            witnessed: Vec::new(),
            known: Vec::new(),
            unreadable: 0,
            streams: None,
            findings: Vec::new(),
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether it was held against anything that the log's own signer cannot make: without, a history that the signer wrote
    /// anew or cut cannot be seen.
    #[must_use]
    pub const fn is_held_against_others(&self) -> bool {
        !self.known.is_empty() || !self.witnessed.is_empty()
    }

    pub(super) fn witnessed_by(&mut self, vkey: &Vkey, upto: Position, time: u64) {
        match self.witnessed.iter_mut().find(|witnessed| witnessed.witness == *vkey) {
            Some(before) if before.upto >= upto => {}
            Some(before) => (before.upto, before.time) = (upto, time),
            None => self.witnessed.push(Witnessed { witness: vkey.clone(), upto, time }),
        }
    }
}
