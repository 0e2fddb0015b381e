//! What a view is, and the store that keeps one: its rows and its bookmark move together or not at all.

use domain::{Envelope, Event, LogId, Position, StreamName};
use eventlog::Recorded;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wire::Unreadable;

use crate::changes::Changes;
use crate::tree::{Tree, TreeError};

/// The row that says what the tree is and how far it has come. No view's own rows begin with this byte.
pub(crate) const META: &[u8] = b"\0meta";

/// The most events of one batch: large enough that the bookmark's row costs nothing, small enough that readers of all views
/// get their turn, since sled lets nobody read in any of its trees while it applies a batch.
const BATCH_EVENTS: usize = 200;

/// After so many parts of events the tree is flushed: as many rows as the worker lets gather between two flushes.
const FLUSH_PARTS: usize = 64;

/// How much of an event a view has taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Taken {
    /// All of it.
    Whole,
    /// A bounded part, or nothing yet since changes of events before it wait: what is gathered must be in the tree before
    /// the same event is applied again for the rest.
    Part,
}

/// A read model: a pure function of the log, kept as rows of one tree.
///
/// An event may be applied again after a crash, but then to the rows as they were before it, or with some of its own parts
/// already made: never with anything of a later event. A view that takes an event in parts must find its own parts and
/// leave them.
/// Whatever a view keeps in itself must be a cache of its tree, since it is dropped whenever a batch fails.
pub(crate) trait View: Default + Send + Sync + 'static {
    /// Its folder and its name in metrics.
    const NAME: &'static str;
    /// The form of its rows. Another number means that it is rebuilt.
    const SCHEMA: u32;

    /// Takes in one event, readable or not.
    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<Taken, TreeError>;
}

/// One event of the log as views see it.
pub(crate) struct Entry<'a> {
    pub(crate) stream: StreamName,
    pub(crate) recorded: &'a Recorded,
}

impl<'a> Entry<'a> {
    /// None for a stream that is neither a key's nor a tenant's: there is nothing to show it under.
    pub(crate) fn of(recorded: &'a Recorded) -> Option<Self> {
        Some(Self { stream: recorded.stream.as_str().parse().ok()?, recorded })
    }

    pub(crate) const fn position(&self) -> Position {
        self.recorded.position
    }

    pub(crate) fn read(&self) -> Result<Envelope, Unreadable> {
        wire::decode(&self.stream, &self.recorded.payload)
    }
}

/// Why a tree is not this view of this log.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Unfit {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("it has rows but does not say what they are")]
    NoMeta,
    #[error("its rows have form {found}, this build writes form {wanted}")]
    Schema { found: u32, wanted: u32 },
    #[error("it shows the log {found}, this is the log {wanted}")]
    OtherLog { found: LogId, wanted: LogId },
    #[error("it was written at reader level {found}, this build reads at {wanted}")]
    OtherReader { found: u32, wanted: u32 },
    #[error("its bookmark {bookmark} is beyond the head {head} of the log")]
    AheadOfLog { bookmark: Position, head: Position },
}

/// Why a run of events could not be taken in.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the log goes on at position {found}, not at {expected}")]
    Hole { expected: Position, found: Position },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    schema: u32,
    log_id: [u8; 16],
    /// What its writer understood: a build that reads more may read what was unreadable then.
    reader: u32,
    position: u64,
}

/// The bookmark of a tree, after checking that it is view `V` of this log; [`Position::NONE`] for an empty tree.
pub(crate) fn bookmark<V: View>(tree: &dyn Tree, log_id: LogId, head: Position) -> Result<Position, Unfit> {
    let Some(bytes) = tree.get(META)? else {
        return if tree.scan(b"", None, 1)?.is_empty() { Ok(Position::NONE) } else { Err(Unfit::NoMeta) };
    };
    let meta: Meta = decode_row(&bytes)?;
    let (found, bookmark) = (LogId::from_bytes(meta.log_id), Position::new(meta.position));
    if meta.schema != V::SCHEMA {
        Err(Unfit::Schema { found: meta.schema, wanted: V::SCHEMA })
    } else if found != log_id {
        Err(Unfit::OtherLog { found, wanted: log_id })
    } else if meta.reader != wire::READER_LEVEL {
        Err(Unfit::OtherReader { found: meta.reader, wanted: wire::READER_LEVEL })
    } else if bookmark > head {
        Err(Unfit::AheadOfLog { bookmark, head })
    } else {
        Ok(bookmark)
    }
}

/// A view and how far its tree has come. Owned by the view's worker, the only writer of the tree.
pub(crate) struct ViewStore<V> {
    view: V,
    log_id: LogId,
    applied: Position,
    /// Parts of events since the last flush of one.
    parts: usize,
}

impl<V: View> ViewStore<V> {
    pub(crate) fn new(log_id: LogId, applied: Position) -> Self {
        Self { view: V::default(), log_id, applied, parts: 0 }
    }

    pub(crate) const fn applied(&self) -> Position {
        self.applied
    }

    /// Takes in a run of events, or as much of it as `go_on` lets it. What the tree has is skipped.
    pub(crate) fn apply(
        &mut self,
        tree: &dyn Tree,
        events: &[Recorded],
        go_on: impl Fn() -> bool,
    ) -> Result<(), ApplyError> {
        let known = events.partition_point(|event| event.position <= self.applied);
        let mut rest = &events[known..];
        while !rest.is_empty() && go_on() {
            let whole = self.batch(tree, rest)?;
            rest = &rest[whole..];
        }
        Ok(())
    }

    /// Applies one batch with the bookmark that belongs to it, and answers how many events it is the end of.
    ///
    /// An event that is too large for one batch is applied in parts. The bookmark moves only with the last of them, and no
    /// later event is looked at before that. If we stop between two parts, the tree holds the rows as they were before the
    /// event, and some as they are after it; the bookmark still says *before*, so the event is applied from its beginning
    /// again, and leaves those that it has changed already.
    fn batch(&mut self, tree: &dyn Tree, events: &[Recorded]) -> Result<usize, ApplyError> {
        let mut changes = Changes::on(tree);
        let (mut applied, mut whole, mut taken) = (self.applied, 0, Taken::Whole);
        for event in events.iter().take(BATCH_EVENTS) {
            if event.position != applied.next() {
                return Err(ApplyError::Hole { expected: applied.next(), found: event.position });
            }
            if let Some(entry) = Entry::of(event) {
                taken = self.view.apply(&entry, &mut changes)?;
            }
            if taken == Taken::Part {
                break;
            }
            (applied, whole) = (event.position, whole + 1);
        }
        if whole > 0 || !changes.is_empty() {
            changes.put(META.to_vec(), self.meta(applied));
            tree.apply(changes.into_batch())?;
            self.applied = applied;
        }
        self.parts += usize::from(taken == Taken::Part);
        if self.parts >= FLUSH_PARTS {
            tree.flush()?;
            self.parts = 0;
        }
        Ok(whole)
    }

    fn meta(&self, applied: Position) -> Vec<u8> {
        encode_row(&Meta {
            schema: V::SCHEMA,
            log_id: self.log_id.to_bytes(),
            reader: wire::READER_LEVEL,
            position: applied.get(),
        })
    }
}

/// The bookmark in a tree's own row.
pub(crate) fn position_of(meta: &[u8]) -> Result<Position, TreeError> {
    Ok(Position::new(decode_row::<Meta>(meta)?.position))
}

/// A tree's own row with this bookmark.
#[cfg(test)]
pub(crate) fn meta_at(position: Position) -> Vec<u8> {
    encode_row(&Meta { schema: 1, log_id: [0; 16], reader: 1, position: position.get() })
}

/// Whether an event has a notice; says the same as [`wire::notice_of`] without making one.
pub(crate) const fn is_announced(envelope: &Envelope) -> bool {
    match &envelope.event {
        Event::KeysRecalled(_) | Event::TenantClosed(_) => matches!(envelope.stream, StreamName::Tenant(_)),
        Event::KeyIssued(_)
        | Event::KeyImported(_)
        | Event::KeyRelabelled(_)
        | Event::KeyTransferred(_)
        | Event::KeyRescoped(_)
        | Event::KeyRestricted(_)
        | Event::KeyExpiryChanged(_)
        | Event::KeySuspended(_)
        | Event::KeyReinstated(_)
        | Event::KeyRotated(_)
        | Event::RotationFinished(_)
        | Event::KeyLeaked(_)
        | Event::KeyRevoked(_)
        | Event::ExpiryWarned(_)
        | Event::KeyExpired(_) => matches!(envelope.stream, StreamName::Key(..)),
        Event::TenantOpened(_)
        | Event::TenantConfigured(_)
        | Event::PolicySet(_)
        | Event::PolicyRemoved(_)
        | Event::OwnerErased(_)
        | Event::KeyRenamed(_)
        | Event::KeyFirstUsed(_)
        | Event::RotationCancelled(_) => false,
    }
}

/// The postcard form of a row.
pub(crate) fn encode_row<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).expect("rows are numbers, texts and lists, which postcard always writes")
}

/// Reads a row; bytes left over are damage, since postcard itself would not mind them.
pub(crate) fn decode_row<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, TreeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((row, [])) => Ok(row),
        Ok(_) | Err(_) => Err(TreeError::damaged("a row is not of the form that this view writes")),
    }
}

#[cfg(test)]
mod tests;
