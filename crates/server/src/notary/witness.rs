//! Asks one witness to cosign each checkpoint, by C2SP tlog-witness. It holds up nobody: what it answers is added when it comes.

use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use proof::{Checkpoint, Levels, prove_growth};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{debug, error, warn};
use ureq::Agent;
use ureq::config::Config;

use crate::config::Witness;
use crate::notary::{Notary, Published};

/// How long a witness may take for all of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What is read of an answer: some signature lines.
const ANSWER_MAX: u64 = 16 * 1024;
/// The first wait after a failure; doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A witness that was away is asked again within a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What came of asking.
enum Asked {
    /// It has cosigned the size that it was asked for.
    Cosigned,
    /// The last size that it knows.
    KnowsSize(u64),
    /// It is away, or refuses.
    Failed(String),
}

/// Runs until it is dropped.
pub(crate) async fn ask(notary: Arc<Notary>, witness: Witness) {
    let agent = agent();
    let mut published = notary.follow();
    // What the witness has cosigned last. It says so itself if that is wrong, as after a start.
    let mut knows = 0;
    // Which signing that was: one of the same size is cosigned again, with the witness's time.
    let mut cosigned = None;
    let mut wait = FIRST_WAIT;
    let mut told = false;
    loop {
        let last = published.borrow_and_update().clone();
        let is_new = |last: &Published| last.size > knows || cosigned.is_some_and(|at| last.signed_at > at);
        let Some(last) = last.filter(is_new) else {
            if published.changed().await.is_err() {
                return;
            }
            continue;
        };
        match ask_once(&agent, &notary, &witness, knows, last.clone()).await {
            Asked::Cosigned => {
                debug!(witness = witness.vkey.name(), log.position = last.size, "a witness has cosigned");
                (knows, cosigned, wait, told) = (last.size, Some(last.signed_at), FIRST_WAIT, false);
                continue;
            }
            Asked::KnowsSize(size) if size <= last.size && size != knows => {
                (knows, cosigned) = (size, Some(last.signed_at));
                continue;
            }
            Asked::KnowsSize(size) if size > last.size => {
                error!(
                    witness = witness.vkey.name(),
                    log.position = last.size,
                    witnessed = size,
                    "a witness has seen more of this log than there is: it was cut, or signed twice"
                );
            }
            Asked::KnowsSize(size) => {
                error!(
                    witness = witness.vkey.name(),
                    log.position = size,
                    "a witness has seen another history of this log: it was signed twice"
                );
            }
            Asked::Failed(reason) if !told => {
                // Once, until it answers again.
                warn!(witness = witness.vkey.name(), %reason, "a witness does not cosign; it is asked again");
                told = true;
            }
            Asked::Failed(_) => {}
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn ask_once(
    agent: &Agent,
    notary: &Arc<Notary>,
    witness: &Witness,
    knows: u64,
    last: Published,
) -> Asked {
    let (agent, notary, witness) = (agent.clone(), Arc::clone(notary), witness.clone());
    let asked = spawn_blocking(move || {
        let body = match body(&notary.levels(), knows, &last) {
            Ok(body) => body,
            Err(reason) => return Asked::Failed(reason),
        };
        match post(&agent, &witness.url, &body) {
            Ok((200, answer)) => match notary.cosign(&last, &answer, &witness.vkey) {
                Ok(()) => Asked::Cosigned,
                Err(reason) => Asked::Failed(reason.to_string()),
            },
            Ok((409, answer)) => {
                let size = std::str::from_utf8(&answer).ok().and_then(|text| text.trim_end().parse().ok());
                size.map_or_else(
                    || Asked::Failed("it answered 409 without its size".to_owned()),
                    Asked::KnowsSize,
                )
            }
            Ok((status, _)) => Asked::Failed(format!("it answered {status}")),
            Err(reason) => Asked::Failed(reason),
        }
    });
    asked.await.unwrap_or_else(|_| Asked::Failed("asking it panicked".to_owned()))
}

/// The old size, the proof that the log only grew since, and the checkpoint.
fn body(levels: &Levels, knows: u64, last: &Published) -> Result<Vec<u8>, String> {
    let proof = if knows == 0 || knows == last.size {
        Vec::new()
    } else {
        prove_growth(levels, Position::new(knows), Position::new(last.size))
            .map_err(|error| error.to_string())?
    };
    let checkpoint = Checkpoint::parse(&last.bytes).map_err(|error| error.to_string())?;
    let mut body = format!("old {knows}\n");
    for hash in proof {
        body.push_str(&format!("{hash}\n"));
    }
    body.push('\n');
    Ok([body.as_bytes(), &checkpoint.to_bytes()].concat())
}

fn post(agent: &Agent, url: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let mut response =
        agent.post(format!("{url}/add-checkpoint")).send(body).map_err(|error| error.to_string())?;
    let answer = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
    Ok((response.status().as_u16(), answer.map_err(|error| error.to_string())?))
}

fn agent() -> Agent {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_global(Some(ANSWER_WITHIN));
    config.build().into()
}
