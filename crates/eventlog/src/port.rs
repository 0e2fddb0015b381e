//! The log's port: what every adapter promises about order, durability and doubt.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{EventId, LogId, OwnerTag, Position, Subject, TenantId, Timestamp};
use thiserror::Error;

use crate::carried::CarriedSeals;

/// One append-only, totally ordered history.
///
/// **Order.** Events stand at dense positions from 1. A reader that sees a hole sees damage and stops.
///
/// **Units.** [`append`](Self::append) writes a whole [`Unit`] or nothing of it, at consecutive positions, and no other
/// unit's event stands between them.
///
/// **Durability.** When `append` returns [`Outcome::Appended`] the unit is on disk as [`durability`](Self::durability) says;
/// a reader is never shown an event that is not.
///
/// **Expectation.** Each write of a unit names the position of its stream's last event. If any of them is not that, nothing
/// is written and the first such stream is answered with its real last position.
///
/// **Repeats.** A unit that already stands in the log, the same event ids after the same expectations, is answered
/// [`Outcome::Appended`] with the positions it has, however often it is sent. So whoever is left in doubt
/// ([`AppendError::MayHaveHappened`]) sends the identical unit again; only a `Conflict` proves that it never will be there.
///
/// **Concurrency.** All methods may be called from any number of tasks; two handles on one log behave as one. Dropping an
/// `append` future leaves the outcome unknown, never half a unit.
#[async_trait]
pub trait EventLog: Send + Sync + fmt::Debug {
    /// The history's own name: equal for every handle on it, for ever.
    fn log_id(&self) -> LogId;

    /// What "appended" means on this log, as far as this process could prove it.
    fn durability(&self) -> Durability;

    /// Writes one unit, or says why not; see the contract above.
    ///
    /// # Errors
    /// [`AppendError::DidNotHappen`] when this call has not written and will not write anything (an earlier sending of the
    /// same unit that ended in doubt stays in doubt); [`AppendError::MayHaveHappened`] when that is not known: the unit may
    /// be there already, or appear seconds later.
    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError>;

    /// Every event of one stream after a position of the log, oldest first; empty if there is none, also beyond the head.
    /// Reads what any `append` on any handle had acknowledged before the call.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read now, or is damaged.
    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError>;

    /// The position of the last event, [`Position::NONE`] when there is none. Never lower than any position that was
    /// acknowledged before the call.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the log cannot be reached.
    async fn head(&self) -> Result<Position, ReadError>;

    /// All events after a position, in order, without a hole, then live for as long as the follower is held.
    ///
    /// # Errors
    /// [`ReadError::AheadOfLog`] when `after` is beyond the head: the follower has seen another history.
    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError>;

    /// Proves that this process still reaches whoever decides what is appended, and reads the head after that proof.
    /// A lease rests on it: every event acknowledged before the call began is at or below [`Pulse::head`].
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when that cannot be proved within the adapter's time-out.
    async fn pulse(&self) -> Result<Pulse, ReadError>;
}

/// A reader that follows the log. Owned by one task.
#[async_trait]
pub trait Follower: Send {
    /// The next events, at least one, at the positions right after the last ones; waits while there are none.
    /// Cancel-safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]: follow again from the last position applied. [`ReadError::Damaged`]: stop.
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError>;
}

/// Where seals are kept: small secrets outside the log that open what it holds, so that they can be destroyed.
///
/// A **tenant's** seal is written once and never changed. A **subject's** has generations, from 1: it is whole until it is
/// destroyed, and the next one is another secret. A whole seal is never replaced, and what was destroyed never comes back.
///
/// **Durability.** What a method answers, or has done, survives kill -9 and power loss of the node as the log does.
///
/// **Concurrency.** Two handles on one store behave as one, in one process or in two.
#[async_trait]
pub trait SealStore: Send + Sync + fmt::Debug {
    /// The seal of a tenant, if one was ever put.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the store cannot be read; absent is `Ok(None)`.
    async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError>;

    /// Puts the seal of a tenant unless it has one, and answers the one that it has now. Durable on return. Of two racing
    /// writers both are answered the same bytes.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the store cannot be written; asking again is safe.
    async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError>;

    /// The newest seal of each of these owners of a tenant, at the owner's place; none where there never was one.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the store cannot be read.
    async fn subject_seals(
        &self,
        tenant: &TenantId,
        owners: &[OwnerTag],
    ) -> Result<Vec<Option<SubjectSeal>>, ReadError>;

    /// Puts a subject's seal unless it has a whole one, or a newer one than `offered`, and answers the one that it has now.
    /// Durable on return. Of racing writers all are answered the same.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the store cannot be written; asking again is safe.
    async fn put_subject_seal(
        &self,
        subject: &Subject,
        offered: &SubjectSeal,
    ) -> Result<SubjectSeal, ReadError>;

    /// Destroys a subject's seal of this generation, and keeps that it was destroyed; a newer one stays. On return its
    /// secret is nowhere in the store, as far as the store can tell. Safe to ask again.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when that is not certain; asking again is safe.
    async fn destroy_subject_seal(&self, subject: &Subject, generation: u32) -> Result<(), ReadError>;

    /// Every seal there is, those that were destroyed as destroyed.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the store cannot be read.
    async fn carry(&self) -> Result<CarriedSeals, ReadError>;

    /// Puts every seal of another store by the rules above: whole seals stay, and what was destroyed in either store is
    /// destroyed. Durable on return. Answers a tenant that has another seal here, if one has; nothing of a subject is put then.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when some may not have been put; asking again is safe.
    async fn take_in(&self, seals: CarriedSeals) -> Result<Option<TenantId>, ReadError>;
}

/// One generation of a subject's seal.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectSeal {
    /// Which, from 1.
    pub generation: u32,
    /// Its secret; none once it was destroyed.
    pub secret: Option<[u8; SubjectSeal::LEN]>,
}

impl SubjectSeal {
    /// Bytes of a secret.
    pub const LEN: usize = 32;

    /// A seal that was destroyed.
    #[must_use]
    pub const fn destroyed(generation: u32) -> Self {
        Self { generation, secret: None }
    }

    /// Whether it stays although `offered` is to be put.
    #[must_use]
    pub const fn outlasts(&self, offered: &Self) -> bool {
        self.secret.is_some() || self.generation >= offered.generation
    }
}

impl fmt::Debug for SubjectSeal {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.secret.is_some() { "whole" } else { "destroyed" };
        write!(f, "SubjectSeal({} {is})", self.generation)
    }
}

/// What is written together or not at all: one stream's events, or two streams'.
#[derive(Clone, Debug)]
pub struct Unit {
    /// One or two writes, never two to the same stream, [`Unit::MAX_EVENTS`] events at most.
    pub writes: Vec<StreamWrite>,
    /// Which queue it waits in.
    pub queue: Queue,
}

impl Unit {
    /// The most streams one unit may touch: a rotation changes two keys, nothing changes more.
    pub const MAX_STREAMS: usize = 2;

    /// The most events of one unit: a command makes one or two, and every adapter can write this many at once.
    pub const MAX_EVENTS: usize = 64;

    /// Whether it keeps to the bounds written on its fields; every adapter asks before it writes.
    ///
    /// # Errors
    /// [`AppendError::DidNotHappen`] with the bound that it breaks.
    pub fn check(&self) -> Result<(), AppendError> {
        let streams = self.writes.len();
        let broken = if streams == 0 || streams > Self::MAX_STREAMS {
            format!("a unit writes to 1 or {} streams, not {streams}", Self::MAX_STREAMS)
        } else if self.writes.iter().any(|write| write.events.is_empty()) {
            "a unit has at least one event for each of its streams".into()
        } else if streams == 2 && self.writes[0].stream == self.writes[1].stream {
            format!("a unit writes to stream {} twice", self.writes[0].stream)
        } else if self.event_count() > Self::MAX_EVENTS {
            format!("a unit has at most {} events, not {}", Self::MAX_EVENTS, self.event_count())
        } else if let Some(event) = self.events().find(|event| event.payload.len() > NewEvent::MAX_PAYLOAD) {
            format!("an event has at most {} bytes, not {}", NewEvent::MAX_PAYLOAD, event.payload.len())
        } else {
            return Ok(());
        };
        Err(AppendError::DidNotHappen { reason: broken })
    }

    /// Its events in the order of their positions.
    pub fn events(&self) -> impl Iterator<Item = &NewEvent> {
        self.writes.iter().flat_map(|write| &write.events)
    }

    /// A unit of one event in one stream.
    #[must_use]
    pub fn single(stream: StreamId, expected: Position, event: NewEvent, queue: Queue) -> Self {
        Self { writes: vec![StreamWrite { stream, expected, events: vec![event] }], queue }
    }

    /// How many events it holds.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.writes.iter().map(|write| write.events.len()).sum()
    }
}

/// One stream's part of a unit.
#[derive(Clone, Debug)]
pub struct StreamWrite {
    /// The stream to append to.
    pub stream: StreamId,
    /// The position of the stream's last event; [`Position::NONE`] if it must not exist yet.
    pub expected: Position,
    /// At least one event.
    pub events: Vec<NewEvent>,
}

/// An event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id, which tells this attempt from another of the same command.
    pub id: EventId,
    /// Its bytes, opaque here, at most [`NewEvent::MAX_PAYLOAD`].
    pub payload: Bytes,
}

impl NewEvent {
    /// The most bytes of one event: with its position it is an entry of the transparency log, which counts an entry's bytes
    /// in 16 bits. No command becomes as large, and every adapter takes more.
    pub const MAX_PAYLOAD: usize = 65_527;
}

/// Which units go first when more wait than one commit takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// Takes something away from somebody who may hold it: before all else.
    Urgent,
    /// What people and programs ask for.
    Normal,
    /// What the service does by itself.
    Background,
}

/// An event that stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// The id it was written with.
    pub id: EventId,
    /// Its bytes, exactly as written.
    pub payload: Bytes,
}

/// How an append ended, when that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The unit stands in the log, on disk, at these positions (in the order of its writes and events).
    Appended {
        /// One position an event, consecutive.
        positions: Vec<Position>,
    },
    /// Another event stands where this unit expected none. Nothing of it was or will be written.
    Conflict {
        /// The first stream of the unit whose expectation failed.
        stream: StreamId,
        /// The position of that stream's last event.
        actual: Position,
    },
}

/// Why an append has no outcome.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Nothing was written and nothing will be.
    #[error("the event was not appended: {reason}")]
    DidNotHappen {
        /// What went wrong, one lower-case clause.
        reason: String,
    },
    /// The unit may stand in the log already or appear there later.
    #[error("it is not known whether the event was appended: {reason}")]
    MayHaveHappened {
        /// What went wrong, one lower-case clause.
        reason: String,
    },
}

/// Why a log could not be read.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// Not now; later may do.
    #[error("the log cannot be read now: {reason}")]
    Unavailable {
        /// What went wrong, one lower-case clause.
        reason: String,
    },
    /// The log is not what was written: do not go on.
    #[error("the log is damaged at position {position}: {reason}")]
    Damaged {
        /// The first position that is missing or wrong.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
    /// The reader's bookmark is beyond the head.
    #[error("position {after} is beyond the head {head} of this log")]
    AheadOfLog {
        /// Where the reader wanted to go on from.
        after: Position,
        /// Where the log ends.
        head: Position,
    },
}

/// What a log's acknowledgement survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Kill -9 and power loss of the node: synced before acknowledged.
    OnDisk,
    /// Nothing: the log lives in memory.
    Volatile,
    /// It could not be shown that acknowledged events are synced.
    Unproven {
        /// What was asked and what to do about it.
        reason: String,
    },
}

/// The answer to [`EventLog::pulse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The log's head, read after the proof.
    pub head: Position,
    /// The log's own wall clock at the proof, where it is not this process's.
    pub stamp: Option<Timestamp>,
    /// How long the proof took.
    pub took: Duration,
}

/// A stream's name as the log knows it: `<token>.<token>`, each of `[A-Za-z0-9_-]`, at most 100 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Box<str>);

/// A text that names no stream.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a stream id is two tokens of A-Z, a-z, 0-9, '_' and '-' with a dot between, at most 100 bytes")]
pub struct StreamIdError;

impl StreamId {
    /// The longest name: a tenant of 63, a dot and a key id of 26 fit with room.
    pub const MAX_LEN: usize = 100;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let token =
            |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        match text.split_once('.') {
            Some((first, second)) if text.len() <= Self::MAX_LEN && token(first) && token(second) => {
                Ok(Self(text.into()))
            }
            _ => Err(StreamIdError),
        }
    }
}

impl From<&domain::StreamName> for StreamId {
    fn from(name: &domain::StreamName) -> Self {
        Self(name.to_string().into())
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
