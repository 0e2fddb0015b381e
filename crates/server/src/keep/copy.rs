//! `log copy`: a history from one place to another, every byte, until both are proven to be the same.

use std::collections::VecDeque;

use domain::{LogId, Position};
use eventlog::jetstream::{JetStream, JetStreamCopy, Presence};
use eventlog::{EmbeddedCopy, EmbeddedSeals, Follower, LogCopy, Recorded, SealStore};
use proof::Hash;

use super::fingerprint::Fingerprint;
use super::source::Source;
use super::{KeepError, LogPlace, Progress, seals};
use crate::node::{Folder, jetstream};

/// What was copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// The history.
    pub log_id: LogId,
    /// Where it ends, there as here.
    pub head: Position,
    /// How many of its events were there before.
    pub found: Position,
    /// The root of the tree over all events, computed of each by itself.
    pub root: Hash,
    /// How many seals went along.
    pub seals: usize,
}

/// Copies a log. What an earlier run has copied is compared and gone on with; the target is a log only once all of it is
/// proven to be equal.
///
/// # Errors
/// [`KeepError`]; the source is never changed.
pub async fn copy(from: &LogPlace, to: &LogPlace, progress: &Progress) -> Result<Copied, KeepError> {
    let source = Source::open(from).await?;
    let copied = copy_to(&source, to, progress).await;
    source.close().await;
    copied
}

async fn copy_to(source: &Source, to: &LogPlace, progress: &Progress) -> Result<Copied, KeepError> {
    let mut target = Target::open(to, source.log.log_id(), source.head).await?;
    let copied = fill(source, &mut target, progress).await;
    target.close().await;
    copied
}

async fn fill(source: &Source, target: &mut Target, progress: &Progress) -> Result<Copied, KeepError> {
    let (log_id, head) = (source.log.log_id(), source.head);
    let found = target.copy.head();
    if found > head {
        return Err(KeepError::Longer { target: found, from: head });
    }
    // Twice over: once to copy, once to prove.
    progress.begin(head.get() * 2);
    let here = add(source, &mut *target.copy, progress).await?;
    // Seals before the log is one: without them its events say less.
    let seals = seals::take_in(&*target.seals, source.seals.carry().await?).await?;
    source.check_still().await?;
    target.check_still().await?;
    let there = read_back(&mut *target.copy, progress).await?;
    if !here.is(&there) {
        let reason = format!("its root is {}, the source's is {}", there.root(), here.root());
        return Err(KeepError::Unequal { reason });
    }
    // If we stop here, the copy is whole and not yet a log: the next run finds that and says so.
    target.copy.finish().await?;
    Ok(Copied { log_id, head, found, root: here.root(), seals })
}

/// Compares what is there, and adds the rest.
async fn add(
    source: &Source,
    target: &mut dyn LogCopy,
    progress: &Progress,
) -> Result<Fingerprint, KeepError> {
    let mut taken = Fingerprint::default();
    let mut standing = Standing { end: target.head(), at: Position::NONE, read: VecDeque::new() };
    let mut at = Position::NONE;
    let mut follower = source.log.follow(at).await?;
    while at < source.head {
        let events = next(&mut *follower, source.head).await?;
        let there = standing.compare(target, &events).await?;
        target.write(&events[there..]).await?;
        events.iter().for_each(|event| taken.take_in(event));
        at = events.last().map_or(at, |event| event.position);
        progress.reach(at.get());
    }
    Ok(taken)
}

async fn next(follower: &mut dyn Follower, head: Position) -> Result<Vec<Recorded>, KeepError> {
    let mut events = follower.next().await?;
    events.retain(|event| event.position <= head);
    Ok(events)
}

/// What the target held before, on its way to be compared.
struct Standing {
    end: Position,
    /// The last event read of it.
    at: Position,
    read: VecDeque<Recorded>,
}

impl Standing {
    /// How many of these events are there already; each is what it should be.
    async fn compare(&mut self, target: &mut dyn LogCopy, events: &[Recorded]) -> Result<usize, KeepError> {
        let mut there = 0;
        for event in events.iter().take_while(|event| event.position <= self.end) {
            if self.read.is_empty() {
                self.read.extend(target.read_after(self.at).await?);
                self.at = self.read.back().map_or(self.at, |event| event.position);
            }
            if self.read.pop_front().as_ref() != Some(event) {
                return Err(KeepError::Differs { position: event.position });
            }
            there += 1;
        }
        Ok(there)
    }
}

async fn read_back(target: &mut dyn LogCopy, progress: &Progress) -> Result<Fingerprint, KeepError> {
    let mut taken = Fingerprint::default();
    let (mut at, head) = (Position::NONE, target.head());
    while at < head {
        let events = target.read_after(at).await?;
        for event in &events {
            if event.position != at.next() {
                let reason = format!("position {} follows {at}", event.position);
                return Err(KeepError::Unequal { reason });
            }
            at = event.position;
            taken.take_in(event);
        }
        progress.reach(head.get() + at.get());
    }
    Ok(taken)
}

/// Where a history goes.
struct Target {
    copy: Box<dyn LogCopy>,
    seals: Box<dyn SealStore>,
    place: String,
    on_nats: Option<(JetStream, Presence)>,
    /// Keeps servers out of the data folder.
    _folder: Option<Folder>,
}

impl Target {
    async fn open(place: &LogPlace, log_id: LogId, until: Position) -> Result<Self, KeepError> {
        match place {
            LogPlace::Embedded(path) => {
                let folder = Folder::take(path)?;
                let file = folder.log();
                let opening = tokio::task::spawn_blocking(move || EmbeddedCopy::open(&file, log_id)).await;
                let copy = opening.map_err(|_| KeepError::Panicked { what: "opening the target" })??;
                let seals = folder.seals();
                let seals = EmbeddedSeals::open(&seals).map_err(|source| KeepError::io(&seals, source))?;
                Ok(Self {
                    copy: Box::new(copy),
                    seals: Box::new(seals),
                    place: place.to_string(),
                    on_nats: None,
                    _folder: Some(folder),
                })
            }
            LogPlace::Nats(choice) => {
                let copy = JetStreamCopy::open(jetstream(choice.clone(), log_id), log_id, until).await?;
                let nats = copy.beside.clone();
                let presence = Presence::listen(&nats).await?;
                if presence.wait().await? {
                    nats.shutdown().await;
                    return Err(KeepError::Served { place: place.to_string() });
                }
                Ok(Self {
                    copy: Box::new(copy),
                    seals: Box::new(nats.seals.clone()),
                    place: place.to_string(),
                    on_nats: Some((nats, presence)),
                    _folder: None,
                })
            }
        }
    }

    async fn check_still(&self) -> Result<(), KeepError> {
        match &self.on_nats {
            Some((_, presence)) if presence.heard().await? => {
                Err(KeepError::Served { place: self.place.clone() })
            }
            _ => Ok(()),
        }
    }

    async fn close(self) {
        drop(self.copy);
        if let Some((nats, _)) = self.on_nats {
            nats.shutdown().await;
        }
    }
}
