//! Bugs of the kind that such services have, each planted where it would be made, and each seen by the simulation.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::{LogId, Position};
use eventlog::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};
use projection::tree::MemoryDisk;
use projection::{Past, PastBug, Projection, ProjectionConfig};
use tests::sim::{Length, Plants, Setup, run, run_many};
use verify::{IndexWriter, RecallBug};

/// So many seeds are tried until one shows the bug.
const WITHIN: u64 = 100;

/// Some seed must fail, and for one of these reasons.
#[track_caller]
fn is_caught(plants: Plants, reasons: &[&str]) {
    let setup = Setup { plants, ..Setup::default() };
    let failure = (0..WITHIN).find_map(|seed| run(seed, setup).err());
    let Some(failure) = failure else { panic!("no seed of {WITHIN} shows the planted bug") };
    assert!(reasons.iter().any(|reason| failure.what.contains(reason)), "seen for another reason: {failure}");
    assert!(!failure.what.contains("panicked"), "{failure}");
    let told = failure.to_string();
    assert!(told.contains(&format!("--seed {}", failure.seed)), "a failure says how to repeat it: {told}");
    assert!(failure.steps.len() > 5, "a failure tells what went before: {told}");
}

#[test]
fn an_acknowledgement_before_the_append_is_caught() {
    let plants =
        Plants { log: |log| Arc::new(Planted::around(log, Bug::AcknowledgesFirst)), ..Plants::default() };
    is_caught(plants, &["which is not in the log", "where something else stands", "with 0 operators"]);
}

#[test]
fn an_unknown_outcome_told_as_nothing_is_caught() {
    let plants = Plants { log: |log| Arc::new(Planted::around(log, Bug::DeniesDoubt)), ..Plants::default() };
    is_caught(plants, &["was said to have changed nothing, but it stands"]);
}

#[test]
fn a_lease_that_proves_nothing_is_caught() {
    let plants = Plants { log: |log| Arc::new(Planted::around(log, Bug::PulsesAlone)), ..Plants::default() };
    is_caught(plants, &["its log has been away", "its revocation was committed"]);
}

#[test]
fn an_older_event_that_overwrites_a_newer_one_is_caught() {
    let plants = Plants {
        log: |log| Arc::new(Planted::around(log, Bug::TellsAgain)),
        projection: |config, log| {
            Box::pin(Projection::start_planted(config, log, IndexWriter::plant_older_overwrites))
        },
        ..Plants::default()
    };
    is_caught(
        plants,
        // Whatever the newer one had ended or suspended passes again.
        &["acknowledged its revocation", "its revocation was committed", "it should say"],
    );
}

#[test]
fn an_event_told_again_changes_nothing_without_that_bug() {
    let plants = Plants { log: |log| Arc::new(Planted::around(log, Bug::TellsAgain)), ..Plants::default() };
    let setup = Setup { plants, ..Setup::default() };
    run_many(0..WITHIN, setup, |_| {}).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_bookmark_that_moves_apart_from_its_data_is_caught() {
    let plants = Plants { disk: MemoryDisk::plant_torn_bookmark, ..Plants::default() };
    is_caught(plants, &["differs from a rebuilt one"]);
}

#[test]
fn a_key_issued_after_the_recall_that_is_hit_is_caught() {
    let plants = Plants { projection: with_recall_bug::<HITS_LATER>, ..Plants::default() };
    is_caught_short(plants, &["says recalled", "otherwise than a rebuilt"]);
}

#[test]
fn a_transfer_applied_before_earlier_recalls_are_settled_is_caught() {
    let plants = Plants { projection: with_recall_bug::<SETTLES_LATE>, ..Plants::default() };
    is_caught_short(
        plants,
        &["it should say recalled", "acknowledged its recall", "otherwise than a rebuilt"],
    );
}

#[test]
fn a_recall_that_is_acknowledged_before_it_is_pending_is_caught() {
    let plants = Plants { projection: with_recall_bug::<NOT_PENDING>, ..Plants::default() };
    is_caught_short(plants, &["acknowledged its recall"]);
}

/// The log is asked about verdicts that were given, by code with a bug in it.
#[track_caller]
fn is_caught_in_hindsight(plant: fn(&mut Past)) {
    is_caught(Plants { past: plant, ..Plants::default() }, &["and the log says", "decided"]);
}

#[test]
fn a_past_that_counts_one_event_too_many_is_caught() {
    is_caught_in_hindsight(|past| past.plant(PastBug::OneTooMany));
}

#[test]
fn a_past_that_counts_one_event_too_few_is_caught() {
    is_caught_in_hindsight(|past| past.plant(PastBug::OneTooFew));
}

#[test]
fn a_past_in_which_recalls_hit_keys_issued_later_is_caught() {
    is_caught_in_hindsight(|past| past.plant(PastBug::RecallHitsLater));
}

#[test]
fn a_past_in_which_keys_expire_by_the_time_of_the_log_is_caught() {
    is_caught_in_hindsight(|past| past.plant(PastBug::ExpiresByLogTime));
}

const BUGS: [RecallBug; 3] = [RecallBug::HitsLater, RecallBug::SettlesLate, RecallBug::NotPending];
const HITS_LATER: usize = 0;
const SETTLES_LATE: usize = 1;
const NOT_PENDING: usize = 2;
/// Short runs are cheap, and only few of them let a recall and a change meet on a slow line.
const WITHIN_SHORT: u64 = 3_000;

fn with_recall_bug<const BUG: usize>(
    config: ProjectionConfig,
    log: Arc<dyn EventLog>,
) -> Pin<Box<dyn Future<Output = Projection> + Send>> {
    Box::pin(Projection::start_planted(config, log, |writer| writer.plant_recall_bug(BUGS[BUG])))
}

/// Some short seed must fail, and for one of these reasons.
#[track_caller]
fn is_caught_short(plants: Plants, reasons: &[&str]) {
    let setup = Setup { plants, length: Length::Short, ..Setup::default() };
    let failure = (0..WITHIN_SHORT).find_map(|seed| run(seed, setup).err());
    let Some(failure) = failure else { panic!("no seed of {WITHIN_SHORT} shows the planted bug") };
    assert!(reasons.iter().any(|reason| failure.what.contains(reason)), "seen for another reason: {failure}");
}

/// What a log does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// It answers an append and carries it out before the next one.
    AcknowledgesFirst,
    /// Whatever went wrong with an append, it says that nothing happened.
    DeniesDoubt,
    /// It answers the pulse without asking anybody.
    PulsesAlone,
    /// Its followers are told an event again now and then.
    TellsAgain,
}

#[derive(Debug)]
struct Planted {
    log: Arc<dyn EventLog>,
    bug: Bug,
    /// Acknowledged, but not appended.
    waiting: Mutex<Option<Unit>>,
    /// The last head that anybody heard of.
    head: AtomicU64,
}

impl Planted {
    fn around(log: Arc<dyn EventLog>, bug: Bug) -> Self {
        Self { log, bug, waiting: Mutex::default(), head: AtomicU64::new(0) }
    }

    fn wait(&self, unit: Option<Unit>) -> Option<Unit> {
        std::mem::replace(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner), unit)
    }

    async fn acknowledge_first(&self, unit: Unit) -> Result<Outcome, AppendError> {
        if let Some(before) = self.wait(None) {
            let _ = self.log.append(before).await;
        }
        let head =
            self.log.head().await.map_err(|error| AppendError::DidNotHappen { reason: error.to_string() })?;
        let count = unit.event_count() as u64;
        self.wait(Some(unit));
        Ok(Outcome::Appended { positions: (1..=count).map(|n| Position::new(head.get() + n)).collect() })
    }
}

#[async_trait]
impl EventLog for Planted {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        match self.bug {
            Bug::AcknowledgesFirst => self.acknowledge_first(unit).await,
            Bug::DeniesDoubt => self.log.append(unit).await.map_err(|error| match error {
                AppendError::MayHaveHappened { reason } => AppendError::DidNotHappen { reason },
                AppendError::DidNotHappen { .. } => error,
            }),
            Bug::PulsesAlone | Bug::TellsAgain => self.log.append(unit).await,
        }
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.log.read_stream(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let head = self.log.head().await?;
        self.head.fetch_max(head.get(), Ordering::Relaxed);
        Ok(head)
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        let follower = self.log.follow(after).await?;
        if self.bug != Bug::TellsAgain {
            return Ok(follower);
        }
        Ok(Box::new(Repeating { follower, told: VecDeque::new(), calls: after.get() }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        match self.log.pulse().await {
            Err(_) if self.bug == Bug::PulsesAlone => {
                let head = Position::new(self.head.load(Ordering::Relaxed));
                Ok(Pulse { head, stamp: None, took: std::time::Duration::ZERO })
            }
            pulse => pulse,
        }
    }
}

/// Tells one of the last events again before every third run of new ones.
struct Repeating {
    follower: Box<dyn Follower>,
    told: VecDeque<Recorded>,
    calls: u64,
}

impl Repeating {
    const KEPT: usize = 16;
    const EVERY: u64 = 3;
}

#[async_trait]
impl Follower for Repeating {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        let mut events = self.follower.next().await?;
        self.calls += 1;
        let again = match self.told.len() {
            0 => None,
            len if self.calls.is_multiple_of(Self::EVERY) => {
                self.told.get(usize::try_from(self.calls).unwrap_or(0) % len).cloned()
            }
            _ => None,
        };
        self.told.extend(events.iter().cloned());
        self.told.drain(..self.told.len().saturating_sub(Self::KEPT));
        if let Some(again) = again {
            events.insert(0, again);
        }
        Ok(events)
    }
}
