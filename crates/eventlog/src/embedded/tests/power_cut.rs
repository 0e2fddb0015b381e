//! A thousand power cuts: nothing acknowledged is lost, nothing half is there.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::EventId;
use futures_util::future::join_all;
use redb::Durability as Sync;

use super::disk::{Dice, Disk};
use super::*;
use crate::port::{NewEvent, Queue, StreamWrite};

/// Writers beside each other, so that commits hold several units.
const WRITERS: u64 = 6;
/// Power cuts of one disk, one after the other: recovery meets what recovery left.
const CUTS: u64 = 4;

/// What is known of the units sent so far.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeMap<Position, (StreamId, NewEvent)>,
    /// Units without an outcome; each may be there, whole.
    in_doubt: Vec<Unit>,
    next_id: u128,
}

fn name(number: u64) -> StreamId {
    format!("acme.list-{number}").parse().unwrap()
}

fn open(disk: &Disk, sync: Sync) -> Result<EmbeddedLog, OpenError> {
    let store = Store::new("disk".into(), Box::new(disk.storage()), sync);
    EmbeddedLog::with(store, LogId::from_u128(7), false)
}

/// One writer with two streams of its own; goes on until the power is gone.
async fn write_until_dark(
    log: &EmbeddedLog,
    writer: u64,
    first_id: u128,
    mut dice: Dice,
) -> (Vec<Unit>, Vec<Unit>) {
    let streams = [name(writer * 2), name(writer * 2 + 1)];
    let (mut done, mut doubtful) = (Vec::new(), Vec::new());
    let mut lasts = [log.shared().last(&streams[0]), log.shared().last(&streams[1])];
    for id in first_id.. {
        let which = usize::try_from(dice.below(2)).unwrap();
        let event = |id: u128, dice: &mut Dice| NewEvent {
            id: EventId::from_u128(id),
            payload: Bytes::from(vec![id as u8; usize::try_from(dice.below(900)).unwrap()]),
        };
        let mut writes = vec![StreamWrite {
            stream: streams[which].clone(),
            expected: lasts[which],
            events: vec![event(id * 10, &mut dice), event(id * 10 + 1, &mut dice)],
        }];
        if dice.below(3) == 0 {
            let other = 1 - which;
            let events = vec![event(id * 10 + 2, &mut dice)];
            writes.push(StreamWrite { stream: streams[other].clone(), expected: lasts[other], events });
        }
        let unit = Unit { writes, queue: Queue::Normal };
        match log.append(unit.clone()).await {
            Ok(Outcome::Appended { positions }) => {
                lasts[which] = positions[1];
                if let Some(&last) = positions.get(2) {
                    lasts[1 - which] = last;
                }
                done.push(with_positions(unit, &positions));
            }
            Ok(outcome) => panic!("writer {writer} is alone on its streams: {outcome:?}"),
            Err(_) => {
                doubtful.push(unit);
                break;
            }
        }
    }
    (done, doubtful)
}

/// Notes where an acknowledged unit stands, in its expectations.
fn with_positions(mut unit: Unit, positions: &[Position]) -> Unit {
    unit.writes[0].expected = positions[0];
    if let Some(write) = unit.writes.get_mut(1) {
        write.expected = positions[2];
    }
    unit
}

impl Sent {
    fn acknowledge(&mut self, unit: Unit) {
        for write in unit.writes {
            for (position, event) in (write.expected.get()..).zip(write.events) {
                self.acknowledged.insert(Position::new(position), (write.stream.clone(), event));
            }
        }
    }

    /// Many writers until the power is gone.
    async fn write_on(&mut self, log: &EmbeddedLog, seed: u64) {
        let first_id = self.next_id;
        self.next_id += 10_000;
        let writers = (0..WRITERS).map(|writer| {
            write_until_dark(log, writer, first_id + u128::from(writer) * 1000, Dice(seed * 100 + writer))
        });
        for (done, doubtful) in join_all(writers).await {
            done.into_iter().for_each(|unit| self.acknowledge(unit));
            self.in_doubt.extend(doubtful);
        }
    }

    /// Compares the log with what is known, and learns what became of the units in doubt.
    async fn check(&mut self, log: &EmbeddedLog) -> Result<(), String> {
        let mut events = Vec::new();
        let head = log.head().await.map_err(|error| error.to_string())?;
        let mut follower = log.follow(Position::NONE).await.map_err(|error| error.to_string())?;
        while (events.len() as u64) < head.get() {
            events.extend(follower.next().await.map_err(|error| error.to_string())?);
        }
        for (position, (stream, event)) in &self.acknowledged {
            let stands = events.get(usize::try_from(position.get()).unwrap() - 1);
            let stands =
                stands.ok_or_else(|| format!("acknowledged event {position} is lost, the head is {head}"))?;
            if (&stands.stream, stands.id, &stands.payload) != (stream, event.id, &event.payload) {
                return Err(format!("acknowledged event {position} is another"));
            }
        }
        for unit in std::mem::take(&mut self.in_doubt) {
            let ids: Vec<EventId> = unit.events().map(|event| event.id).collect();
            let at = events.iter().position(|event| event.id == ids[0]);
            let standing: Vec<&Recorded> = events.iter().filter(|event| ids.contains(&event.id)).collect();
            let together =
                at.is_some_and(|at| standing.iter().zip(at + 1..).all(|(e, p)| e.position.get() == p as u64));
            if !standing.is_empty() && (standing.len() != ids.len() || !together) {
                return Err(format!("{} of {} events of one unit are there", standing.len(), ids.len()));
            }
            if let Some(at) = at {
                let firsts: Vec<Position> = (at as u64 + 1..).take(3).map(Position::new).collect();
                self.acknowledge(with_positions(unit, &firsts));
            }
        }
        let unknown = events.iter().find(|event| !self.acknowledged.contains_key(&event.position));
        unknown.map_or(Ok(()), |event| Err(format!("event {} was never sent", event.position)))
    }
}

/// One disk, its cuts, and what was found after each.
async fn cut(seed: u64, sync: Sync) -> Result<usize, String> {
    let mut dice = Dice(seed);
    let mut disk = Disk::default();
    // A log in a file is whole before it has its name.
    open(&disk, Sync::Immediate).map_err(|error| error.to_string())?;
    let mut sent = Sent::default();
    for _ in 0..CUTS {
        disk.cut_power_after(1 + dice.below(250));
        match open(&disk, sync) {
            Ok(log) => {
                sent.check(&log).await?;
                sent.write_on(&log, seed).await;
            }
            Err(error) if disk.has_power() => return Err(error.to_string()),
            // The power may go while the log is being opened, too.
            Err(_) => {}
        }
        assert!(!disk.has_power(), "seed {seed}: writers end only in the dark");
        disk = disk.after_power_cut(&mut dice);
    }
    let log = open(&disk, sync).map_err(|error| error.to_string())?;
    sent.check(&log).await?;
    Ok(sent.acknowledged.len())
}

#[tokio::test]
async fn a_thousand_power_cuts_lose_nothing_acknowledged() {
    let mut acknowledged = 0;
    for seed in 0..1000 / CUTS {
        acknowledged += cut(seed, Sync::Immediate).await.unwrap_or_else(|lost| panic!("seed {seed}: {lost}"));
    }
    assert!(acknowledged > 10_000, "only {acknowledged} events could have been lost");
}

#[tokio::test]
async fn commits_that_are_not_synced_are_caught() {
    for seed in 0..20 {
        if let Err(lost) = cut(seed, Sync::None).await {
            assert!(lost.contains("is lost"), "seed {seed}: {lost}");
            return;
        }
    }
    panic!("20 disks without a sync lost nothing: the power cuts prove nothing");
}
