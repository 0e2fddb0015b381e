//! A server at work as the source of a backup: its log over HTTP, its seals as an operator who administers everything.

use std::path::PathBuf;
use std::time::Duration;

use domain::{LogId, Position};
use proof::{Checkpoint, EventRecords, LogEvent};
use server::keep::{BackupSource, Checkpoints, KeepError, Seal};

use crate::client::{Call, Client, Lines};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lines::next_line;

/// How long an answer may pause: the log gives its next events within seconds or breaks off.
const SILENCE: Duration = Duration::from_secs(30);
/// Events handed on at a time.
const PIECE: usize = 4096;
/// The kept checkpoints are about a megabyte at most.
const MAX_CHECKPOINTS: u64 = 16 * 1024 * 1024;

/// A server that is asked.
pub(super) struct Online {
    client: Client,
    log_id: LogId,
    head: Position,
    checkpoints: Option<Checkpoints>,
    /// The answer under way, and the last event taken from it.
    reading: Option<(Position, EventRecords<Lines>)>,
}

impl Online {
    /// Asks for the checkpoint first and for the head then, so that the log covers it.
    pub(super) fn open(client: Client) -> Result<Self, Failure> {
        let checkpoints = checkpoints(&client)?;
        let ready = client.once(&Call::get("/readyz").with("verbose", ""))?;
        let log = &ready.body["checks"]["log"];
        let log_id = log["log_id"].as_str().and_then(|id| id.parse().ok());
        let (Some(log_id), Some(head)) = (log_id, log["head"].as_u64()) else {
            return Err(Failure::new(Exit::Unavailable, "log_away", "the server does not reach its log now")
                .remedy("`rescind doctor` tells what is away"));
        };
        Ok(Self { client, log_id, head: Position::new(head), checkpoints, reading: None })
    }

    fn ask(&self, after: Position) -> Result<EventRecords<Lines>, KeepError> {
        let call = Call::get("/v1/log/records").with("after", after.get()).with("to", self.head.get());
        let answer = self.client.stream(&call, &[], SILENCE).map_err(|failure| asked(&failure))?;
        Ok(EventRecords::new(answer))
    }
}

/// The last checkpoint and the kept ones before it; none where the server has no notary.
fn checkpoints(client: &Client) -> Result<Option<Checkpoints>, Failure> {
    let last = match client.bytes(&Call::get("/v1/log/checkpoint"), MAX_CHECKPOINTS) {
        Ok(last) => last,
        Err(failure) if NO_CHECKPOINT.contains(&failure.code.as_str()) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let kept = client.bytes(&Call::get("/v1/log/checkpoints"), MAX_CHECKPOINTS)?;
    let read = || {
        let size = Checkpoint::parse(&last)?.size();
        // One that was kept since is of events that this backup may not have.
        let kept = Checkpoint::parse_all(&kept)?.into_iter().filter(|kept| kept.size() <= size);
        Ok::<_, proof::CheckpointError>(kept.flat_map(|kept| kept.to_bytes()).collect())
    };
    let before = read().map_err(|error| {
        Failure::new(Exit::Error, "checkpoint_differs", "what the server calls a checkpoint is none")
            .because(error.to_string())
    })?;
    Ok(Some(Checkpoints { last, before }))
}

/// How a server says that it signs nothing, or has signed nothing yet.
const NO_CHECKPOINT: [&str; 2] = ["no_notary", "no_checkpoint_yet"];

fn asked(failure: &Failure) -> KeepError {
    let why = failure.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    KeepError::Server { code: failure.code.clone(), reason: format!("{}{why}", failure.what) }
}

fn broken(reason: String) -> KeepError {
    KeepError::Server { code: "log_broke_off".to_owned(), reason }
}

impl BackupSource for Online {
    fn log_id(&self) -> LogId {
        self.log_id
    }

    fn head(&self) -> Position {
        self.head
    }

    fn checkpoints(&mut self) -> Result<Option<Checkpoints>, KeepError> {
        Ok(self.checkpoints.clone())
    }

    fn events_after(&mut self, after: Position) -> Result<Vec<LogEvent>, KeepError> {
        let (mut at, mut answer) = match self.reading.take() {
            Some((at, answer)) if at == after => (at, answer),
            _ => (after, self.ask(after)?),
        };
        let mut events = Vec::new();
        while events.len() < PIECE && at < self.head {
            match answer.next() {
                Some(Ok(event)) if event.position == at.next() => {
                    at = event.position;
                    events.push(event);
                }
                Some(Ok(event)) => {
                    return Err(broken(format!("position {} follows {at}", event.position)));
                }
                Some(Err(error)) => return Err(broken(format!("after position {at}: {error}"))),
                None => break,
            }
        }
        if events.is_empty() {
            return Err(broken(format!("it ends at position {at}, the head is {}", self.head)));
        }
        self.reading = Some((at, answer));
        Ok(events)
    }

    fn seals(&mut self) -> Result<Vec<Seal>, KeepError> {
        let call = Call::get("/v1/backup/seals");
        let mut answer = self.client.stream(&call, &[], SILENCE).map_err(|failure| asked(&failure))?;
        let mut seals = Vec::new();
        while let Some(line) = next_line(&mut answer).map_err(|error| broken(error.to_string()))? {
            // What serde says may quote the seal.
            let seal = serde_json::from_str(&line).map_err(|_| broken("a line is no seal".to_owned()))?;
            seals.push(seal);
        }
        Ok(seals)
    }

    /// Somebody is writing to them.
    fn records(&self) -> Option<PathBuf> {
        None
    }

    fn signer(&self) -> Option<PathBuf> {
        None
    }
}
