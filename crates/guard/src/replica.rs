//! A replica's task: loads all keys of the tenant, and asks for those that change before anybody presents them.

use std::time::Duration;

use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;
use wire::guard::{AskFill, FilledKey, SnapshotBegin, SnapshotEnd};

use crate::backoff::Backoff;
use crate::client::CallError;
use crate::core::{Load, LoadTicket};
use crate::link::Link;

/// A server begins to send at once, after it has reached what the snapshot must rest on.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// Between two pieces of a snapshot.
const SILENCE: Duration = Duration::from_secs(10);

/// The longest line: one key with all that it can have.
const MAX_LINE: usize = 256 << 10;

/// Changed keys are asked for within that, or once more.
const CHANGED_WITHIN: Duration = Duration::from_secs(5);

/// What changes wakes this task; past this it looks by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Keeps the replica whole, until it is dropped.
pub(crate) async fn run(link: &Link) {
    let mut backoff = Backoff::new();
    let mut changes = link.notes.changes();
    loop {
        changes.borrow_and_update();
        let seen = link.registered().await;
        if link.core.is_whole() {
            let changed = link.core.changed_keys(AskFill::MAX_KEYS);
            if changed.is_empty() {
                // Nobody tells when the guard is dropped: this task is, too.
                let _ = timeout(LOOK_AGAIN, changes.changed()).await;
            } else {
                link.filler.ask_all(&changed, Instant::now() + CHANGED_WITHIN).await;
            }
            continue;
        }
        match load(link).await {
            Ok(Load::GoesOn) => {
                backoff.calm();
                link.works();
                info!(guard.id = link.guard_id(), keys = link.core.held(), "the replica is whole");
                link.notes.touch();
            }
            Ok(Load::Over) => sleep(backoff.pause()).await,
            Err(CallError::GuardUnknown) => link.register_again(seen).await,
            Err(error) => sleep(link.failed("loading all keys", &error, &mut backoff)).await,
        }
    }
}

async fn load(link: &Link) -> Result<Load, CallError> {
    // No feed yet: nothing could fence what is loaded.
    let Some(mut ticket) = link.core.begin_load() else { return Ok(Load::Over) };
    let path = format!("/v1/guard/snapshot?guard_id={}&at_least={}", link.guard_id(), ticket.at_least());
    let mut body = link.client.open(&path, &[], OPEN_WITHIN).await?;
    let mut lines = Lines::default();
    loop {
        let frame = timeout(SILENCE, body.frame()).await.map_err(|_| CallError::TimedOut(SILENCE))?;
        let Some(frame) = frame else {
            return Err(CallError::Unreadable("the snapshot broke off".to_owned()));
        };
        let frame = frame.map_err(|error| CallError::Away(error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        if let Some(end) = lines.take(&piece, link, &mut ticket)? {
            return Ok(end);
        }
    }
}

/// The lines of a snapshot as they come.
#[derive(Default)]
struct Lines {
    open: Vec<u8>,
    has_begun: bool,
    keys: u64,
}

impl Lines {
    /// Says so when the load ended, whichever way.
    fn take(
        &mut self,
        piece: &[u8],
        link: &Link,
        ticket: &mut LoadTicket,
    ) -> Result<Option<Load>, CallError> {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(at);
            rest = &after[1..];
            self.open.extend_from_slice(line);
            let line = std::mem::take(&mut self.open);
            if let Some(end) = self.line(&line, link, ticket)? {
                return Ok(Some(end));
            }
        }
        self.open.extend_from_slice(rest);
        if self.open.len() > MAX_LINE {
            return Err(CallError::Unreadable("a line of the snapshot has no end".to_owned()));
        }
        Ok(None)
    }

    fn line(&mut self, line: &[u8], link: &Link, ticket: &mut LoadTicket) -> Result<Option<Load>, CallError> {
        let boot_ms = link.clock.boot_ms();
        let stays = if !self.has_begun {
            self.has_begun = true;
            link.core.on_load_begin(ticket, &read::<SnapshotBegin>(line)?, boot_ms)
        } else if let Ok(key) = serde_json::from_slice::<FilledKey>(line) {
            self.keys += 1;
            link.core.on_loaded(ticket, &key, boot_ms)
        } else {
            let end: SnapshotEnd = read(line)?;
            if end.keys != self.keys {
                return Err(CallError::Unreadable(format!("{} of {} keys arrived", self.keys, end.keys)));
            }
            return Ok(Some(self.end(link, ticket)));
        };
        Ok((stays == Load::Over).then_some(Load::Over))
    }

    fn end(&self, link: &Link, ticket: &LoadTicket) -> Load {
        let end = link.core.on_load_end(ticket);
        if end == Load::Over {
            let text =
                format!("loading all keys: {} keys did not find room, or had to be dropped", self.keys);
            link.notes.note(|noted| noted.call_error = Some(text));
        }
        end
    }
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(line).map_err(|error| CallError::Unreadable(error.to_string()))
}
