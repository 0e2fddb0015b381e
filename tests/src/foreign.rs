//! What a later build leaves behind: an event of a type that does not exist yet, in a stopped server's log.

use domain::{LogId, Position};
use eventlog::{EmbeddedLog, EventLog, NewEvent, Outcome, Queue, StreamId, Unit};

use crate::server::ServerSetup;

/// Appends it to a stream whose last event is at `expected`.
///
/// # Panics
/// When the log does not take it.
pub fn append_foreign(setup: &ServerSetup, stream: &str, expected: u64) {
    let path = setup.data().join("log.redb");
    let stream: StreamId = stream.parse().expect("the stream has a name");
    // A log of this adapter belongs to a runtime of its own; a test may have one already.
    let append = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("there is room for a runtime").block_on(async {
            let log = EmbeddedLog::open(&path, LogId::from_u128(1)).expect("the log opens");
            let event = NewEvent {
                id: domain::EventId::from_u128(9),
                payload: b"\x08\x01\xc2\x02\x00".as_slice().into(),
            };
            let unit = Unit::single(stream, Position::new(expected), event, Queue::Normal);
            assert!(matches!(log.append(unit).await, Ok(Outcome::Appended { .. })), "it is not appended");
        });
    };
    std::thread::spawn(append).join().expect("it is appended");
}
