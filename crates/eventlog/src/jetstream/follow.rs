//! Follows the log with a consumer that keeps nothing on the server: whatever happens to it, a new one goes on from the last
//! position handed out.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{self, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_trait::async_trait;
use domain::Position;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

use super::log::Core;
use super::read::{stored, unavailable};
use crate::port::{Follower, ReadError, Recorded};

/// Measured: 836,000 events a second in batches of 5000, 603,000 in batches of 500.
const PULL_BATCH: usize = 5000;
/// How long one pull waits on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(5);
/// The server speaks so often while there is nothing; two missed beats end a consumer.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The server forgets a consumer whose follower is gone after so long.
const CONSUMER_IDLE: Duration = Duration::from_secs(30);
/// How long a follower looks for the log again before it says that it cannot: verifiers go stale in 5 s.
const RESUME_LIMIT: Duration = Duration::from_secs(5);
/// The wait between two attempts within that.
const RESUME_AGAIN: Duration = Duration::from_millis(50);

/// One reader of the log. Never the client's ordered consumer: re-created before its first message it starts at 1.
pub(super) struct JetStreamFollower {
    core: Arc<Core>,
    /// The last position handed out.
    last: Position,
    source: Option<Source>,
    /// A new connection may have lost what the old one carried, so a consumer never outlives its connection.
    connects: watch::Receiver<u64>,
    /// Since when there has been nothing but trouble.
    trouble: Option<Instant>,
}

struct Source {
    messages: pull::Stream,
    opened: Instant,
    /// Nothing came through it yet: a hole at its start is in the log itself, a later one may have been lost on the way.
    fresh: bool,
}

enum Next {
    Event(Recorded),
    Again,
    Lost,
}

impl JetStreamFollower {
    pub(super) async fn open(core: Arc<Core>, after: Position) -> Result<Self, ReadError> {
        let connects = core.connects.clone();
        let mut follower = Self { core, last: after, source: None, connects, trouble: None };
        follower.connect().await?;
        Ok(follower)
    }

    /// Asks the leader for the head each time: a log that has become shorter is another log.
    async fn connect(&mut self) -> Result<(), ReadError> {
        self.connects.mark_unchanged();
        let head = self.core.head().await?;
        if self.last > head {
            return Err(ReadError::AheadOfLog { after: self.last, head });
        }
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last.next().get() },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: CONSUMER_IDLE,
            ..Config::default()
        };
        let consumer = self.core.log.create_consumer(config).await.map_err(|error| unavailable(&error))?;
        let pull =
            consumer.stream().max_messages_per_batch(PULL_BATCH).expires(PULL_EXPIRES).heartbeat(HEARTBEAT);
        let messages = pull.messages().await.map_err(|error| unavailable(&error))?;
        self.source = Some(Source { messages, opened: Instant::now(), fresh: true });
        Ok(())
    }

    /// Lets the consumer go. One that was fine for long begins a new trouble, one that was not goes on with the old.
    fn let_go(&mut self) {
        let now = Instant::now();
        let was_fine = self.source.take().is_some_and(|source| now - source.opened > 2 * RESUME_LIMIT);
        if was_fine || self.trouble.is_none() {
            self.trouble = Some(now);
        }
    }

    /// Waits for the next message and reads it. Only the waiting can be cancelled.
    async fn receive(&mut self) -> Result<Next, ReadError> {
        let Some(source) = &mut self.source else { return Ok(Next::Lost) };
        tokio::select! {
            biased;
            _ = self.connects.changed() => Ok(Next::Lost),
            message = source.messages.next() => match message {
                Some(Ok(message)) => self.accept(message),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a consumer of the log ended");
                    Ok(Next::Lost)
                }
                None => Ok(Next::Lost),
            },
        }
    }

    fn accept(&mut self, message: Message) -> Result<Next, ReadError> {
        let sequence = message.info().map_err(|error| unavailable(&error))?.stream_sequence;
        let (message, _) = message.split();
        let fresh = self.source.as_mut().is_some_and(|source| std::mem::replace(&mut source.fresh, false));
        let wanted = self.last.next();
        if sequence < wanted.get() {
            return Ok(Next::Again);
        }
        if sequence > wanted.get() {
            if fresh {
                let reason = format!("the next event is at position {sequence}");
                return Err(ReadError::Damaged { position: wanted, reason });
            }
            return Ok(Next::Lost);
        }
        let stored = stored(&message.subject, sequence, message.headers.as_ref(), message.payload)?;
        self.last = wanted;
        self.trouble = None;
        Ok(Next::Event(stored.event))
    }

    /// What has arrived already behind the first event, without waiting. Trouble in it is met again by the next call.
    fn drain(&mut self, first: Recorded) -> Result<Vec<Recorded>, ReadError> {
        let mut events = vec![first];
        while events.len() < PULL_BATCH {
            match unconstrained(self.receive()).now_or_never() {
                Some(Ok(Next::Event(event))) => events.push(event),
                Some(Ok(Next::Again)) => {}
                Some(Ok(Next::Lost) | Err(_)) => {
                    self.let_go();
                    break;
                }
                None => break,
            }
        }
        Ok(events)
    }
}

#[async_trait]
impl Follower for JetStreamFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        loop {
            if self.source.is_none() {
                match self.connect().await {
                    Ok(()) => {}
                    Err(ReadError::Unavailable { reason }) => {
                        let since = *self.trouble.get_or_insert_with(Instant::now);
                        if since.elapsed() > RESUME_LIMIT {
                            self.trouble = None;
                            return Err(ReadError::Unavailable { reason });
                        }
                        sleep(RESUME_AGAIN).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            match self.receive().await? {
                Next::Event(first) => return self.drain(first),
                Next::Again => {}
                Next::Lost => self.let_go(),
            }
        }
    }
}
