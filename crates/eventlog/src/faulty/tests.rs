//! The faults happen, in both halves, and the contract holds through them.

use bytes::Bytes;
use domain::EventId;

use super::*;
use crate::MemoryLog;
use crate::conformance::{LogPlace, conformance};
use crate::port::{NewEvent, Queue};

const LOG_ID: LogId = LogId::from_u128(7);

fn log(seed: u64, rates: Rates) -> FaultyLog<MemoryLog> {
    FaultyLog::new(MemoryLog::create(LOG_ID), seed, rates)
}

fn only(fault: Fault) -> Rates {
    Rates::NONE.with(fault, 1000)
}

fn unit(expected: Position, id: u128) -> Unit {
    let event = NewEvent { id: EventId::from_u128(id), payload: Bytes::from_static(b"campaigns") };
    Unit::single("acme.list".parse().unwrap(), expected, event, Queue::Normal)
}

async fn standing(log: &FaultyLog<MemoryLog>) -> u64 {
    log.inner().head().await.unwrap().get()
}

struct Place(FaultyLog<MemoryLog>);

#[async_trait]
impl LogPlace for Place {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        Arc::new(self.0.clone())
    }

    async fn close(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn without_faults_it_is_the_log_inside() {
    conformance(async || Place(log(1, Rates::NONE))).await;
}

#[tokio::test(start_paused = true)]
async fn doubled_appends_conform() {
    conformance(async || Place(log(1, only(Fault::Doubled)))).await;
}

#[tokio::test(start_paused = true)]
async fn an_append_fails_with_and_without_being_written() {
    for (fault, written, in_doubt) in [
        (Fault::Lost, 0, false),
        (Fault::LostInDoubt, 0, true),
        (Fault::Kept, 1, true),
        (Fault::Late, 0, true),
    ] {
        let log = log(1, only(fault));
        let error = log.append(unit(Position::NONE, 1)).await.unwrap_err();
        assert_eq!(matches!(error, AppendError::MayHaveHappened { .. }), in_doubt, "{fault:?}: {error}");
        assert_eq!((standing(&log).await, log.happened(fault)), (written, 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_append_lands_once_whoever_resends_it() {
    let log = log(1, only(Fault::Late));
    log.append(unit(Position::NONE, 1)).await.unwrap_err();
    log.set_rates(Rates::NONE);
    let first = Outcome::Appended { positions: vec![Position::new(1)] };
    assert_eq!(log.append(unit(Position::NONE, 1)).await.unwrap(), first);
    log.settle().await;
    assert_eq!(standing(&log).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_append_lands_beside_later_calls_or_at_the_end() {
    let beside = log(1, only(Fault::Late));
    beside.append(unit(Position::NONE, 1)).await.unwrap_err();
    beside.set_rates(Rates::NONE);
    for _ in 0..100 {
        beside.head().await.unwrap();
    }
    assert_eq!(standing(&beside).await, 1);

    let memory = MemoryLog::create(LOG_ID);
    let dropped = FaultyLog::new(memory.clone(), 1, only(Fault::Late));
    dropped.append(unit(Position::NONE, 1)).await.unwrap_err();
    drop(dropped);
    assert_eq!(memory.head().await.unwrap(), Position::new(1));
}

#[tokio::test(start_paused = true)]
async fn a_delay_takes_time() {
    let log = log(1, only(Fault::Delayed));
    let before = tokio::time::Instant::now();
    let _ = log.append(unit(Position::NONE, 1)).await.unwrap();
    let took = before.elapsed();
    assert!(took > Duration::ZERO && took < 2 * Fault::MAX_DELAY, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn reads_pulse_and_followers_fail_apart() {
    let log = log(1, only(Fault::Unreadable));
    let stream: StreamId = "acme.list".parse().unwrap();
    log.head().await.unwrap_err();
    log.read_stream(&stream, Position::NONE).await.unwrap_err();
    assert!(log.follow(Position::NONE).await.is_err());
    log.pulse().await.unwrap();
    log.set_rates(only(Fault::Pulseless));
    log.pulse().await.unwrap_err();
    log.head().await.unwrap();

    log.set_rates(Rates::NONE);
    let mut follower = log.follow(Position::NONE).await.unwrap();
    let _ = log.append(unit(Position::NONE, 1)).await.unwrap();
    log.set_rates(only(Fault::Broken));
    follower.next().await.unwrap_err();
    log.set_rates(Rates::NONE);
    follower.next().await.unwrap_err();
    assert_eq!(log.follow(Position::NONE).await.unwrap().next().await.unwrap().len(), 1);
}

/// One writer that uses the port as its contract says: in doubt it sends the same again, and only then goes on.
async fn diligent(seed: u64) -> (FaultyLog<MemoryLog>, Vec<Recorded>) {
    let log = log(seed, Rates::all(100));
    let mut last = Position::NONE;
    for id in 0..200 {
        let outcome = loop {
            match log.append(unit(last, id)).await {
                Ok(outcome) => break outcome,
                Err(AppendError::DidNotHappen { .. } | AppendError::MayHaveHappened { .. }) => {}
            }
        };
        match outcome {
            Outcome::Appended { positions } => last = positions[0],
            Outcome::Conflict { actual, .. } => {
                panic!("seed {seed}: nobody else writes, but {actual} stands")
            }
        }
    }
    log.settle().await;
    let events = log.inner().read_stream(&"acme.list".parse().unwrap(), Position::NONE).await.unwrap();
    (log, events)
}

#[tokio::test(start_paused = true)]
async fn who_sends_again_in_doubt_has_one_effect_and_a_seed_repeats() {
    for seed in 0..50 {
        let (log, events) = diligent(seed).await;
        let ids: Vec<u128> = events.iter().map(|event| event.id.to_u128()).collect();
        assert_eq!(ids, (0..200).collect::<Vec<_>>(), "seed {seed}");
        for fault in
            [Fault::Lost, Fault::LostInDoubt, Fault::Kept, Fault::Late, Fault::Delayed, Fault::Doubled]
        {
            assert!(log.happened(fault) > 0, "seed {seed}: {fault:?} never happened");
        }
        let (again, _) = diligent(seed).await;
        let happened = |log: &FaultyLog<MemoryLog>| Fault::ALL.map(|fault| log.happened(fault));
        assert_eq!(happened(&log), happened(&again), "seed {seed}");
    }
}
