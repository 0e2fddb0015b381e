//! The one thread that writes: judges what waits, commits it as a group, answers; after a failure it opens the file anew.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use domain::Position;

use super::Shared;
use super::heads::{ByName, Name};
use super::queue::{Answer, Waiting};
use super::record::encode;
use super::store::{OpenError, WriteError};
use crate::port::{AppendError, StreamId, Unit};

/// How long the log stays read-only after a failed write, and between two tries to open it anew: a full disk stays full for
/// longer, and every try reads the whole file.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Takes, commits and answers until the log is closed.
pub(super) fn run(shared: &Shared) {
    while let Some(batch) = shared.queue.take() {
        if let Err(reason) = commit(shared, batch) {
            recover(shared, &reason);
        }
    }
}

/// What a group becomes once it is on disk.
#[derive(Default)]
struct Group {
    rows: Vec<Vec<u8>>,
    /// Last positions of the streams it writes to: what later units of the same group are judged against.
    fresh: ByName,
    appended: Vec<(Waiting, Vec<Position>)>,
    stale: Vec<(Waiting, StreamId, Position)>,
}

/// Writes one group. An error says why the log can no longer be written; everybody is answered all the same.
fn commit(shared: &Shared, batch: Vec<Waiting>) -> Result<(), String> {
    let head = shared.committed.borrow().head;
    let group = judge(shared, head, batch);
    if !group.rows.is_empty() {
        if let Err(error) = shared.store.write(head.next(), &group.rows) {
            return Err(fail(group, error));
        }
        let head = Position::new(head.get() + group.rows.len() as u64);
        shared.heads.write().unwrap_or_else(PoisonError::into_inner).extend(group.fresh);
        // After the heads: whoever is shown an event finds it in its stream.
        shared.committed.send_modify(|committed| committed.head = head);
    }
    for (waiting, positions) in group.appended {
        answer(waiting.answer, Answer::Appended(positions));
    }
    // Only now: the position a stale unit is told may be one of this very group.
    for (Waiting { unit, answer: to, .. }, stream, actual) in group.stale {
        answer(to, Answer::Stale { unit, stream, actual });
    }
    Ok(())
}

/// Judges each unit against the streams as the units before it leave them.
fn judge(shared: &Shared, head: Position, batch: Vec<Waiting>) -> Group {
    let heads = shared.heads.read().unwrap_or_else(PoisonError::into_inner);
    let mut group = Group { fresh: HashMap::default(), ..Group::default() };
    for waiting in batch {
        let names: Vec<Name> =
            waiting.unit.writes.iter().map(|w| shared.names.name(w.stream.as_str())).collect();
        let last = |name: &Name| {
            group.fresh.get(name).or_else(|| heads.get(name)).copied().unwrap_or(Position::NONE)
        };
        let lasts: Vec<Position> = names.iter().map(last).collect();
        let stale = waiting.unit.writes.iter().zip(&lasts).find(|(write, last)| write.expected != **last);
        if let Some((write, &actual)) = stale {
            let stream = write.stream.clone();
            group.stale.push((waiting, stream, actual));
        } else {
            let positions = add(&mut group, head, &waiting.unit, &names);
            group.appended.push((waiting, positions));
        }
    }
    group
}

/// Adds a unit's rows; its expectations hold.
fn add(group: &mut Group, head: Position, unit: &Unit, names: &[Name]) -> Vec<Position> {
    let mut positions = Vec::with_capacity(unit.event_count());
    for (write, name) in unit.writes.iter().zip(names) {
        let mut previous = write.expected;
        for event in &write.events {
            let position = Position::new(head.get() + group.rows.len() as u64 + 1);
            group.rows.push(encode(position, previous, &write.stream, event));
            positions.push(position);
            previous = position;
        }
        group.fresh.insert(*name, previous);
    }
    positions
}

/// Answers a group that was not acknowledged, by what is known of it.
fn fail(group: Group, error: WriteError) -> String {
    let (reason, error): (String, fn(String) -> AppendError) = match error {
        WriteError::NotWritten(reason) => (reason, |reason| AppendError::DidNotHappen { reason }),
        WriteError::Unknown(reason) => (reason, |reason| AppendError::MayHaveHappened { reason }),
    };
    for (waiting, _) in group.appended {
        answer(waiting.answer, Answer::Failed(error(reason.clone())));
    }
    for (waiting, ..) in group.stale {
        answer(waiting.answer, Answer::Failed(AppendError::DidNotHappen { reason: reason.clone() }));
    }
    reason
}

fn answer(to: tokio::sync::oneshot::Sender<Answer>, answer: Answer) {
    // Who no longer listens has left the outcome open by itself.
    let _ = to.send(answer);
}

/// Opens the file anew, so that it can be read again and soon be written: redb neither reads nor writes after an I/O error.
/// Ends when units are let in again or the log is closed.
fn recover(shared: &Shared, reason: &str) {
    let path = shared.store.path.display();
    tracing::error!(log.path = %path, reason, "the log could not be written: no command is taken until it can be");
    shared.queue.shut(&format!("the log {path} could not be written a moment ago: {reason}"));
    shared.store.close();
    loop {
        if shared.store.sync_failed() {
            return give_up(shared, "the disk failed to sync; check it, then restart this server");
        }
        match reopen(shared) {
            Ok(()) => break,
            Err(OpenError::Damaged { position, reason, .. }) => {
                let error = shared.store.damaged(position, reason);
                return give_up(shared, &error.to_string());
            }
            Err(error) => {
                tracing::warn!(log.path = %path, %error, "the log could not be opened again, trying on");
            }
        }
        if shared.queue.closed_within(Some(RETRY_PAUSE)) {
            return;
        }
    }
    if !shared.queue.closed_within(Some(RETRY_PAUSE)) {
        tracing::info!(log.path = %path, "the log takes commands again");
        shared.queue.admit();
    }
}

/// Nobody can know what is on disk: neither write nor read it in this process. Waits for the log to be closed.
fn give_up(shared: &Shared, reason: &str) {
    tracing::error!(log.path = %shared.store.path.display(), reason, "the log stays closed");
    shared.store.close();
    shared.queue.shut(&format!("the log {} stays closed: {reason}", shared.store.path.display()));
    shared.queue.closed_within(None);
}

/// Opens, recovers and checks with the very functions that a start uses. What was acknowledged must all be there; what was
/// in doubt may be, and becomes visible here.
fn reopen(shared: &Shared) -> Result<(), OpenError> {
    let known = shared.committed.borrow().head;
    let checked = shared.store.open(shared.log_id, &shared.names)?;
    if checked.head < known || checked.log_id != shared.log_id {
        shared.store.close();
        let missing = Some(checked.head.next());
        return Err(shared.store.damaged(missing, "an acknowledged event is gone"));
    }
    *shared.heads.write().unwrap_or_else(PoisonError::into_inner) = checked.last_by_stream;
    shared.committed.send_modify(|committed| committed.head = checked.head);
    Ok(())
}
