//! A history copied into a file, and what a restored log refuses until it is settled.

use async_trait::async_trait;

use super::*;
use crate::conformance::{CopyPlace, conformance_of_copies};
use crate::copying::{CopyError, LogCopy};
use crate::port::NewEvent;

struct Target {
    folder: tempfile::TempDir,
}

impl Target {
    fn fresh() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("log.redb")
    }
}

#[async_trait]
impl CopyPlace for Target {
    async fn copy(&mut self, of: LogId, _until: Position) -> Result<Box<dyn LogCopy>, CopyError> {
        Ok(Box::new(EmbeddedCopy::open(&self.path(), of)?))
    }

    async fn open_log(&mut self) -> Result<Arc<dyn EventLog>, String> {
        let opened = EmbeddedLog::open(&self.path(), LOG_ID).map_err(|error| error.to_string())?;
        Ok(Arc::new(opened))
    }

    async fn close(&mut self) {}
}

#[tokio::test]
async fn a_history_copied_into_a_file_conforms() {
    conformance_of_copies(async || Target::fresh()).await;
}

fn event(position: u64) -> Recorded {
    let payload = bytes::Bytes::from(format!("event {position}"));
    let id = domain::EventId::from_u128(u128::from(position));
    Recorded { position: Position::new(position), stream: "acme.list".parse().unwrap(), id, payload }
}

fn next(position: u64) -> Unit {
    let Recorded { stream, id, payload, .. } = event(position);
    let expected = Position::new(position - 1);
    Unit::single(stream, expected, NewEvent { id, payload }, crate::port::Queue::Normal)
}

async fn restored(target: &Target) {
    let end = Position::new(3);
    let mut copy = EmbeddedCopy::open_restoring(&target.path(), LOG_ID, end).unwrap();
    copy.write(&[event(1), event(2), event(3)]).await.unwrap();
    copy.finish().await.unwrap();
}

#[tokio::test]
async fn a_restored_log_is_read_and_takes_nothing_until_it_is_settled() {
    let target = Target::fresh();
    restored(&target).await;
    for _ in 0..2 {
        let log = EmbeddedLog::open(&target.path(), LOG_ID).unwrap();
        assert_eq!(log.restored(), Some(Position::new(3)));
        let read = log.read_stream(&"acme.list".parse().unwrap(), Position::NONE).await.unwrap();
        assert_eq!(read, [event(1), event(2), event(3)]);
        let refused = log.append(next(4)).await.unwrap_err();
        assert!(matches!(&refused, AppendError::DidNotHappen { reason } if reason.contains("settle")));
        assert!(log.pulse().await.unwrap_err().to_string().contains("position 3"), "and gives no lease");
    }
    // Whoever settles it may add what is known of the lost end; a stop before it is settled changes nothing.
    let settling = EmbeddedLog::open_settling(&target.path()).unwrap();
    assert!(matches!(settling.append(next(4)).await, Ok(Outcome::Appended { .. })));
    drop(settling);
    let log = EmbeddedLog::open(&target.path(), LOG_ID).unwrap();
    assert_eq!((log.restored(), log.head().await.unwrap()), (Some(Position::new(3)), Position::new(4)));
    assert!(log.append(next(5)).await.is_err());
    drop(log);
    let other = LogId::from_u128(8);
    settle(&target.path(), other).unwrap();
    settle(&target.path(), LogId::from_u128(9)).unwrap();
    let log = EmbeddedLog::open(&target.path(), LOG_ID).unwrap();
    assert_eq!((log.log_id(), log.restored()), (other, None), "settled once, for good");
    assert!(matches!(log.append(next(5)).await, Ok(Outcome::Appended { .. })));
    assert!(log.pulse().await.is_ok());
}

#[tokio::test]
async fn nothing_is_restored_over_a_log_and_no_half_copy_is_settled() {
    let target = Target::fresh();
    drop(EmbeddedLog::open(&target.path(), LOG_ID).unwrap());
    let error = EmbeddedCopy::open_restoring(&target.path(), LOG_ID, Position::new(3)).unwrap_err();
    assert!(error.to_string().contains("empty folder"), "{error}");
    let target = Target::fresh();
    drop(EmbeddedCopy::open(&target.path(), LOG_ID).unwrap());
    assert!(matches!(settle(&target.path(), LOG_ID), Err(OpenError::Unfinished { .. })));
    assert!(matches!(EmbeddedLog::open_settling(&target.path()), Err(OpenError::Unfinished { .. })));
}

#[tokio::test]
async fn a_copy_holds_the_lock_of_the_file() {
    let target = Target::fresh();
    let copy = EmbeddedCopy::open(&target.path(), LOG_ID).unwrap();
    assert!(matches!(EmbeddedLog::open(&target.path(), LOG_ID), Err(OpenError::InUse { .. })));
    drop(copy);
    let log = EmbeddedLog::open(&Target::fresh().path(), LOG_ID).unwrap();
    assert_eq!(log.restored(), None);
}
