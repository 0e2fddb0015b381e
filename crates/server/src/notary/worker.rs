//! The worker: follows the log, hashes, and signs when there is news.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use application::Ambient;
use domain::{Position, Timestamp};
use eventlog::{EventLog, ReadError, Recorded};
use proof::{Checkpoint, Hash, LevelWriter, leaf_hash};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, error, warn};

use crate::notary::chain::Chain;
use crate::notary::errors::NotaryError;
use crate::notary::opening::{self, compare};
use crate::notary::signing::Signing;
use crate::notary::{CHECKPOINT, Notary};

/// Events wait this long for others before they are signed together.
const COLLECT: Duration = Duration::from_millis(50);
/// Between two checkpoints lies at least this: an event is covered half a second after it at the latest, and the disk is
/// asked to sync some eight times a second at most.
const SIGN_EVERY: Duration = Duration::from_millis(450);
/// A log in which nothing happens is signed again after this, so that the age of its checkpoint tells whether anybody still
/// signs; witnesses cosign it anew with their time. Rare enough to cost nothing.
pub(super) const SIGN_AGAIN_AFTER: Duration = Duration::from_secs(3600);
/// How long it waits before it tries again what a disk or a log refused.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What the worker alone owns.
pub(crate) struct Work {
    notary: Arc<Notary>,
    log: Arc<dyn EventLog>,
    ambient: Arc<dyn Ambient>,
    /// None while a blocking task has it, and after that failed.
    desk: Option<Desk>,
    /// The tree from this leaf on was compared with the log.
    pub(super) compared_from: u64,
}

/// Files and signers: what is used away from the runtime.
struct Desk {
    writer: LevelWriter,
    signing: Signing,
    chain: Chain,
}

/// Why following ended.
enum Ended {
    /// The log is away or the disk refuses: later may do.
    ForNow(String),
    /// The log is not what was written.
    ForGood(ReadError),
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => Self::ForNow(error.to_string()),
            ReadError::Damaged { .. } | ReadError::AheadOfLog { .. } => Self::ForGood(error),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::ForNow(format!("the notary's files cannot be written: {error}"))
    }
}

impl Work {
    pub(super) fn new(
        notary: Arc<Notary>,
        log: Arc<dyn EventLog>,
        ambient: Arc<dyn Ambient>,
        (writer, signing, chain): (LevelWriter, Signing, Chain),
        compared_from: u64,
    ) -> Self {
        Self { notary, log, ambient, desk: Some(Desk { writer, signing, chain }), compared_from }
    }

    /// Runs until it is dropped. Ends only when nothing more may be signed.
    pub(crate) async fn run(mut self) {
        if !self.compare_the_rest().await {
            return;
        }
        loop {
            match self.follow().await {
                Ended::ForGood(reason) => {
                    error!(error = %reason, "the notary stops: the log is not what it was");
                    return self.notary.fails(reason.to_string(), true);
                }
                Ended::ForNow(reason) => {
                    warn!(%reason, "nothing is signed now; it is tried again");
                    self.notary.fails(reason, false);
                }
            }
            sleep(TRY_AGAIN).await;
            self.begin_again();
        }
    }

    /// What the start left for later. Until then nothing is signed.
    async fn compare_the_rest(&mut self) -> bool {
        loop {
            let compared = match compare(&self.notary.levels(), &*self.log, 0, self.compared_from).await {
                Err(NotaryError::LogDiffers { position }) => self.mend(position).await,
                compared => compared,
            };
            match compared {
                Ok(()) => return true,
                Err(reason @ (NotaryError::Slow(_) | NotaryError::Log(ReadError::Unavailable { .. }))) => {
                    self.notary.fails(reason.to_string(), false);
                    sleep(TRY_AGAIN).await;
                }
                Err(reason) => {
                    error!(error = %reason, "the notary stops, and signs nothing more");
                    self.notary.fails(reason.to_string(), true);
                    return false;
                }
            }
        }
    }

    /// The log and the tree differ at a position: one of them is wrong.
    async fn mend(&mut self, position: Position) -> Result<(), NotaryError> {
        let Some(last) = self.notary.published() else { return Err(NotaryError::LogDiffers { position }) };
        let last = Checkpoint::parse(&last.bytes).map_err(|reason| NotaryError::Checkpoint {
            path: self.notary.folder.join(CHECKPOINT),
            reason,
        })?;
        let writer = opening::mend(&last, &self.notary.levels(), &*self.log, Some(position)).await?;
        if let Some(desk) = &mut self.desk {
            desk.writer = writer;
        }
        Ok(())
    }

    async fn follow(&mut self) -> Ended {
        match self.follow_until_it_fails().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow_until_it_fails(&mut self) -> Result<std::convert::Infallible, Ended> {
        let from = self.desk.as_ref().map(|desk| desk.writer.frontier().size());
        let from = from.ok_or_else(|| Ended::ForNow("the notary's files could not be opened".to_owned()))?;
        let mut follower = self.log.follow(Position::new(from)).await?;
        let mut signed_at: Option<Instant> = None;
        let mut due: Option<Instant> = None;
        let mut again = self.signs_again().await?;
        loop {
            let events = match due.or(again) {
                None => Some(follower.next().await?),
                Some(at) => timeout_at(at, follower.next()).await.ok().transpose()?,
            };
            let is_time = events.is_none();
            if let Some(events) = events {
                self.hash(events).await?;
                let now = Instant::now();
                let earliest = signed_at.map_or(now, |at| at + SIGN_EVERY);
                due.get_or_insert_with(|| earliest.max(now + COLLECT));
            }
            let began = Instant::now();
            if is_time || due.is_some_and(|at| began >= at) {
                self.sign().await?;
                (signed_at, due, again) = (Some(Instant::now()), None, Some(began + SIGN_AGAIN_AFTER));
            }
        }
    }

    /// When a checkpoint that an earlier run or try has left is due to be signed again: at once after a failure, once the log
    /// answers, since what is signed then says that it is over.
    async fn signs_again(&self) -> Result<Option<Instant>, Ended> {
        let Some(last) = self.notary.published() else { return Ok(None) };
        if self.notary.going().trouble.is_some() {
            self.log.head().await?;
            return Ok(Some(Instant::now()));
        }
        let age = Duration::from_millis(last.age_ms(self.ambient.now()));
        Ok(Some(Instant::now() + SIGN_AGAIN_AFTER.saturating_sub(age)))
    }

    /// Appends the events' leaves to the tree; not durable yet.
    async fn hash(&mut self, events: Vec<Recorded>) -> Result<(), Ended> {
        self.at_the_desk(move |desk| {
            for event in events {
                desk.writer.push(leaf_hash(event.position, &event.payload))?;
            }
            Ok(())
        })
        .await
    }

    /// Makes the tree durable, then the checkpoint, then tells. Whatever stops it in between, the checkpoint that stands is
    /// covered by the tree that stands.
    async fn sign(&mut self) -> Result<(), Ended> {
        let notary = Arc::clone(&self.notary);
        let now = (self.ambient.now(), self.ambient.boot_ms());
        self.at_the_desk(move |desk| {
            desk.writer.sync()?;
            // If we stop here, the files hold leaves that no checkpoint covers: the next start cuts them off.
            let (size, root) = (desk.writer.frontier().size(), desk.writer.frontier().root());
            desk.publish(&notary, size, root, now)?;
            debug!(log.position = size, "a checkpoint is published");
            Ok(())
        })
        .await
    }

    async fn at_the_desk(
        &mut self,
        act: impl FnOnce(&mut Desk) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Ended> {
        let gone = || Ended::ForNow("the notary's files are closed".to_owned());
        let mut desk = self.desk.take().ok_or_else(gone)?;
        let done = spawn_blocking(move || act(&mut desk).map(|()| desk)).await;
        // A desk whose files refused is not used again: what is in its buffers is not known.
        self.desk = Some(done.map_err(|_| gone())??);
        Ok(())
    }

    /// Goes back to the last checkpoint, by the way that a start goes.
    fn begin_again(&mut self) {
        match opening::reopen(&self.notary) {
            Ok((writer, signing, chain)) => self.desk = Some(Desk { writer, signing, chain }),
            Err(reason) => warn!(error = %reason, "the notary's files cannot be opened"),
        }
    }
}

impl Desk {
    fn publish(
        &mut self,
        notary: &Notary,
        size: u64,
        root: Hash,
        (now, boot_ms): (Timestamp, u64),
    ) -> io::Result<()> {
        let (signers, bad) = self.signing.current();
        if let Some(bad) = bad {
            warn!(error = %bad, "the signer file has changed and is no good; the signers from before go on");
        }
        let checkpoint = Checkpoint::sign(&notary.origin(), size, root, signers);
        *notary.vkeys.write() = signers.vkeys().cloned().collect();
        if let Some(before) = notary.published() {
            self.chain.keep(&before.bytes, boot_ms)?;
        }
        notary.publish(&checkpoint, now)
    }
}
