//! An import under way: many lines at once into the log, their outcomes in the order in which they came.

use std::collections::HashSet;
use std::time::Duration;

use application::{CommandError, ImportRequest, Importable, Imported, Request};
use axum::body::Bytes;
use domain::{Permission, Position, SecretDigest, Standing, TenantId};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::imports::line;
use crate::http::imports::lines::{End, Lines, Text};
use crate::http::imports::tally::{Tally, report};
use crate::http::problem::Problem;

/// Lines under way at once: what one commit of the embedded log takes, and one batch of a log on NATS.
const UNDER_WAY: usize = 1024;
/// How often it is told how far it is, and looked whether it may go on.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// After so many lines it is told as well, so that a client that comes again has little to repeat.
const TELL_LINES: u64 = 10_000;
/// Outcomes that are taken at once, before anything else is looked at.
const AT_HAND: usize = 256;
/// How long a client may leave its answers unread once there is no more room for them.
const HEARD_WITHIN: Duration = Duration::from_secs(30);
/// How long the end waits until this server goes by all of it.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// Digests that are remembered, to tell a line that is there twice: 35 MB. Beyond, the second is told as known.
const REMEMBERED: usize = 1_800_000;

/// Whether lines change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Import,
    None,
}

/// One import.
pub(super) struct Import {
    pub(super) app: Shared,
    pub(super) tenant: TenantId,
    pub(super) operator: Operator,
    pub(super) request: Request,
    pub(super) effect: Effect,
    pub(super) answers: Sender<Bytes>,
}

/// What became of a line.
enum Became {
    Blank,
    New(Option<Position>),
    Known {
        differs: Vec<&'static str>,
    },
    Refused(Problem),
    /// It is not settled, nor can those after it be.
    Stopped(Problem),
}

/// A line that was read, or why there is none.
enum Step {
    Line(u64, Result<Option<ImportRequest>, Problem>),
    End(End),
}

/// Nobody hears the answers.
struct Gone;

/// How an import ended.
enum Ended {
    Done,
    Stopped(Problem),
    /// There is nobody to tell.
    Unheard,
}

impl Import {
    pub(super) async fn run(self, lines: Lines) {
        let started = Instant::now();
        let mut tally = Tally::before(lines.first());
        let ended = self.import(lines, &mut tally).await;
        let code = match &ended {
            Ended::Done => "ok",
            Ended::Stopped(problem) => problem.code.code,
            Ended::Unheard => "client_gone",
        };
        self.app.meters.command("import_keys", code, started.elapsed());
        let lines = tally.lines();
        tracing::info!(tenant = %self.tenant, lines, code, ?tally, "an import ended");
        let dry_run = self.effect == Effect::None;
        let last = match &ended {
            Ended::Done => tally.done(dry_run, self.is_effective(&tally).await),
            Ended::Stopped(problem) => tally.ended(dry_run, problem),
            Ended::Unheard => return,
        };
        let _ = self.tell(last).await;
    }

    async fn import(&self, lines: Lines, tally: &mut Tally) -> Ended {
        let mut outcomes = Box::pin(self.outcomes(lines).ready_chunks(AT_HAND));
        let mut tick = interval(TELL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = self.stopping();
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                biased;
                () = self.answers.closed() => return Ended::Unheard,
                () = &mut stopping => return Ended::Stopped(Problem::new(&codes::SHUTTING_DOWN)),
                _ = tick.tick() => {
                    if let Err(problem) = self.still_permitted() {
                        return Ended::Stopped(problem);
                    }
                    if self.tell(tally.progress()).await.is_err() {
                        return Ended::Unheard;
                    }
                }
                at_hand = outcomes.next() => {
                    for outcome in at_hand.unwrap_or_else(|| vec![Err(End::Sent)]) {
                        if let Some(ended) = self.take(tally, outcome).await {
                            return ended;
                        }
                    }
                }
            }
        }
    }

    /// Takes in one outcome; how the import ends, if it does.
    async fn take(&self, tally: &mut Tally, outcome: Result<(u64, Became), End>) -> Option<Ended> {
        match outcome {
            Err(End::Sent) => Some(Ended::Done),
            Err(End::Broken) => Some(Ended::Unheard),
            Err(End::Idle) => Some(Ended::Stopped(Problem::new(&codes::IMPORT_IDLE))),
            Ok((_, Became::Stopped(problem))) => Some(Ended::Stopped(problem)),
            Ok((line, became)) => self.settle(tally, line, became).await.err().map(|Gone| Ended::Unheard),
        }
    }

    async fn stopping(&self) {
        // Without a node there is nothing to stop for, and nothing to go on for.
        let _ = self.app.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// The outcomes of all lines, in their order, with many under way. No line is read before there is room for it, which
    /// holds the client back.
    fn outcomes(&self, lines: Lines) -> impl Stream<Item = Result<(u64, Became), End>> {
        let mut remembered = HashSet::new();
        let steps = stream::unfold(Some(lines), |lines| async {
            let mut lines = lines?;
            match lines.next().await {
                Ok((number, text)) => Some((Ok((number, text)), Some(lines))),
                Err(end) => Some((Err(end), None)),
            }
        });
        let steps = steps.map(move |read| match read {
            Ok((number, text)) => Step::Line(number, self.read(&text, &mut remembered)),
            Err(end) => Step::End(end),
        });
        steps
            .map(move |step| async move {
                match step {
                    Step::Line(number, asked) => Ok((number, self.became(asked).await)),
                    Step::End(end) => Err(end),
                }
            })
            .buffered(UNDER_WAY)
    }

    fn read(
        &self,
        text: &Text,
        remembered: &mut HashSet<[u8; 16]>,
    ) -> Result<Option<ImportRequest>, Problem> {
        let Text::Whole(text) = text else { return Err(Problem::new(&codes::LINE_TOO_LONG)) };
        let asked = line::read(text, &self.tenant, self.operator.key_id)?;
        if asked.as_ref().is_some_and(|asked| is_second(remembered, asked.digest)) {
            return Err(Problem::new(&codes::DUPLICATE));
        }
        Ok(asked)
    }

    async fn became(&self, asked: Result<Option<ImportRequest>, Problem>) -> Became {
        let asked = match asked {
            Ok(Some(asked)) => asked,
            Ok(None) => return Became::Blank,
            Err(problem) => return Became::Refused(problem),
        };
        let became = match self.effect {
            Effect::Import => match self.app.application.import_key(&self.request, asked).await {
                Ok(Imported::New { changed, .. }) => Ok(Became::New(Some(changed.position))),
                Ok(Imported::Known { differs, .. }) => Ok(Became::Known { differs }),
                Err(error) => Err(error),
            },
            Effect::None => match self.app.application.try_import(asked).await {
                Ok(Importable::New) => Ok(Became::New(None)),
                Ok(Importable::Known { differs }) => Ok(Became::Known { differs }),
                Err(error) => Err(error),
            },
        };
        became.unwrap_or_else(|error| match error {
            // A tenant that was closed meanwhile refuses every line, so no line is to blame.
            CommandError::Refused(domain::Refusal::TenantClosed) => Became::Stopped(error.into()),
            CommandError::Refused(_) => Became::Refused(error.into()),
            error => Became::Stopped(error.into()),
        })
    }

    /// Counts a line and tells what is to be told of it.
    async fn settle(&self, tally: &mut Tally, line: u64, became: Became) -> Result<(), Gone> {
        tally.settle(line);
        match became {
            Became::Blank | Became::Stopped(_) => {}
            Became::New(position) => tally.import(position),
            Became::Known { differs } => {
                tally.know(!differs.is_empty());
                if !differs.is_empty() {
                    let detail = format!("what stands has another {}", differs.join(", "));
                    let problem = Problem::new(&codes::KNOWN_OTHERWISE).detail(detail);
                    self.tell(report(line, &problem)).await?;
                }
            }
            Became::Refused(problem) => {
                tally.refuse();
                self.tell(report(line, &problem)).await?;
            }
        }
        if line.is_multiple_of(TELL_LINES) { self.tell(tally.progress()).await } else { Ok(()) }
    }

    async fn tell(&self, answer: Bytes) -> Result<(), Gone> {
        match timeout(HEARD_WITHIN, self.answers.send(answer)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// An import is long: who was revoked meanwhile imports no more.
    fn still_permitted(&self) -> Result<(), Problem> {
        if self.app.index.is_stale(self.app.ambient.boot_ms()) {
            return Err(Problem::new(&codes::STALE));
        }
        let state = self.app.index.key(&self.app.operators, self.operator.key_id);
        let key = state.ok_or_else(|| Problem::new(&codes::OPERATOR_UNKNOWN))?.key;
        let code = match key.standing {
            Standing::Active if key.expires_at.is_none_or(|at| at > self.app.ambient.now()) => {
                let operator = Operator { scopes: key.scopes.into(), ..self.operator.clone() };
                return operator.require_write(Permission::KeysIssue, &self.tenant);
            }
            Standing::Active | Standing::Expired => &codes::OPERATOR_EXPIRED,
            Standing::Suspended => &codes::OPERATOR_SUSPENDED,
            Standing::Quarantined => &codes::OPERATOR_QUARANTINED,
            Standing::Revoked | Standing::Recalled => &codes::OPERATOR_REVOKED,
        };
        Err(Problem::new(code))
    }

    async fn is_effective(&self, tally: &Tally) -> bool {
        match tally.position() {
            Some(position) => self.app.application.wait_applied(position, SHOWN_WITHIN).await,
            None => true,
        }
    }
}

/// Whether a digest came before in the same stream, as far as that is remembered.
fn is_second(remembered: &mut HashSet<[u8; 16]>, digest: SecretDigest) -> bool {
    if remembered.len() < REMEMBERED {
        !remembered.insert(digest.short())
    } else {
        remembered.contains(&digest.short())
    }
}
