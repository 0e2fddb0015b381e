//! From the command that revokes a key to the last guard's refusal, beside what NATS alone needs to tell as many subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use guard::{Guard, NatsFeed, Requirement, Verdict};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::load::Line;
use crate::nats::NatsPlace;
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Needs, Row};
use crate::rush::Failure;
use crate::settings::{Nats, Settings};
use crate::site::Site;
use crate::statistics::quantile;

/// Revocations of a turn: of a hundred, one may be slower than the 99th.
const ROUNDS: usize = 100;
const TRIAL_ROUNDS: usize = 5;
/// Before each round, and this much longer for each listener: what the new key left to do is done by then, the guards' reports
/// too. A longer rest lets the virtual disk fall asleep.
const REST: Duration = Duration::from_millis(5);
const REST_EACH: Duration = Duration::from_micros(400);
/// A round that takes longer has lost somebody.
const LIMIT: Duration = Duration::from_secs(20);
/// Other commands a second beside the revocations, where it is busy.
const BUSY: u32 = 5_000;
/// Connections that they come over.
const BUSY_LINES: u32 = 50;
const SUBJECT: &str = "bare.notices";
/// About as large as a notice.
const PAYLOAD: &[u8] = &[b'x'; 400];

/// Where log and feed are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Sse,
    Nats,
}

/// The rows.
pub(crate) fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    for (feed, place, over) in
        [(Feed::Sse, "", "embedded log, guards on SSE"), (Feed::Nats, "nats-", "log and guards on NATS")]
    {
        for &guards in &settings.guards {
            for (busy, ending) in [(0, ""), (BUSY, "-busy")] {
                let name = format!("revoke-enforced-{place}{guards}{ending}");
                let beside = if busy > 0 { format!(", {busy} commands/s beside it") } else { String::new() };
                let about = format!(
                    "from the command to the refusal of the last of {guards} guard(s), {over}{beside}, against core NATS to as many subscribers"
                );
                let row = Row::new(name, ("ms", Better::Less), about, move |site| {
                    prepare(site, feed, guards, busy)
                });
                let (ms, beside) = (("ms", Better::Less), ("beside", "commands/s", Better::More));
                let mut measures = vec![("p50", ms.0, ms.1), ("p99", ms.0, ms.1)];
                // How many there were: what keeps no pace is not as busy as the row says.
                measures.extend((busy > 0).then_some(beside));
                let row = row.measuring(&measures);
                rows.push(if feed == Feed::Nats { row.needing(Needs::Nats(1)) } else { row });
            }
        }
    }
    rows
}

struct Enforced {
    ours: Fleet,
    floor: Option<Bare>,
    rounds: usize,
    traffic: Option<Traffic>,
    nats: Option<Arc<NatsPlace>>,
    _folder: TempDir,
}

async fn prepare(site: Arc<Site>, feed: Feed, guards: usize, busy: u32) -> Result<Box<dyn Contest>, Failure> {
    let folder = site.temporary("enforced")?;
    let floor = match site.settings.nats {
        Nats::None => None,
        Nats::Binary(_) | Nats::Running(_) => {
            Some(Bare::start(NatsPlace::open(&site, 1).await?, guards).await?)
        }
    };
    let nats = if feed == Feed::Nats { Some(NatsPlace::open(&site, 1).await?) } else { None };
    let used = nats.as_ref();
    let arguments = used.map(|nats| nats.arguments()).unwrap_or_default();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Program::start(&site.settings.program, &folder.path().join("data"), &arguments).await?;
    let traffic = if busy > 0 { Some(Traffic::start(&server, busy).await?) } else { None };
    let ours = Fleet::gather(server, used.map(|nats| nats.url.as_str()), guards).await?;
    let rounds = if site.is_trial() { TRIAL_ROUNDS } else { ROUNDS };
    Ok(Box::new(Enforced { ours, floor, rounds, traffic, nats, _folder: folder }))
}

#[async_trait]
impl Contest for Enforced {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let (began, before) = (Instant::now(), self.traffic.as_ref().map(Traffic::sent));
        let mut took = Vec::new();
        for _ in 0..self.rounds {
            took.push(self.ours.round().await?);
        }
        let mut figures = figures(&took);
        if let Some((traffic, before)) = self.traffic.as_ref().zip(before) {
            if traffic.has_ended() {
                return Err("the commands beside it broke off".into());
            }
            figures.push((traffic.sent() - before) as f64 / began.elapsed().as_secs_f64());
        }
        Ok(figures)
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let Some(bare) = &mut self.floor else { return Ok(None) };
        let mut took = Vec::new();
        for _ in 0..self.rounds {
            took.push(bare.round().await?);
        }
        let mut figures = figures(&took);
        // The same commands go on beside it, and are none of its own.
        figures.extend(self.traffic.as_ref().map(|_| 0.0));
        Ok(Some(figures))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        if let Some(traffic) = self.traffic {
            traffic.stop().await?;
        }
        join_all(self.ours.guards.into_iter().map(Guard::close)).await;
        self.ours.server.stop().await?;
        match self.nats {
            Some(nats) => nats.clear(&[]).await,
            None => Ok(()),
        }
    }
}

fn figures(took: &[Duration]) -> Figures {
    let ms: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1e3).collect();
    vec![quantile(&ms, 0.5), quantile(&ms, 0.99)]
}

async fn rest(listeners: usize) {
    sleep(REST + REST_EACH * u32::try_from(listeners).unwrap_or(u32::MAX)).await;
}

/// Waits until all have heard; how long after `began` the last one had.
async fn last_of(
    heard: &mut UnboundedReceiver<Instant>,
    listeners: usize,
    began: Instant,
) -> Result<Duration, Failure> {
    let mut last = began;
    for _ in 0..listeners {
        let at = timeout(LIMIT, heard.recv()).await.map_err(|_| "not everybody heard")?;
        last = last.max(at.ok_or("a listener is gone")?);
    }
    Ok(last - began)
}

/// Ours: a server, guards, and a key that all of them hold.
struct Fleet {
    server: Program,
    line: Line,
    guards: Vec<Guard>,
    /// The key that every guard is watching.
    watched: watch::Sender<String>,
    heard: UnboundedReceiver<Instant>,
}

impl Fleet {
    async fn gather(server: Program, nats: Option<&str>, guards: usize) -> Result<Self, Failure> {
        server.open_tenant("acme").await?;
        let body = json!({"name": "guard", "owner": "mailer", "scopes": ["acme/feed", "acme/verify"]});
        let credential = server.post("/v1/tenants/rescind/keys", &body).await?;
        let credential = credential["key"].as_str().ok_or("no key was issued")?.to_owned();
        let (says, heard) = unbounded_channel();
        let watched = watch::Sender::new(String::new());
        let url = format!("http://{}", server.address);
        let mut gathered = Vec::new();
        for _ in 0..guards {
            let builder = Guard::builder(&url, &credential).tenant("acme").name("mailer");
            let builder = builder.first_sight_within(LIMIT).connect_within(LIMIT);
            let builder = match nats {
                Some(url) => builder.nats(NatsFeed::new(url)),
                None => builder,
            };
            let guard = builder.connect().await?;
            tokio::spawn(watch_refusals(guard.clone(), watched.subscribe(), says.clone()));
            gathered.push(guard);
        }
        let line = Line::open(server.address).await?;
        Ok(Self { server, line, guards: gathered, watched, heard })
    }

    async fn round(&mut self) -> Result<Duration, Failure> {
        let issue = json!({"name": "campaign sender", "owner": "list-sender", "scopes": ["campaigns:send"]});
        let issue = self.server.request("POST", "/v1/tenants/acme/keys", Some(&issue));
        let issued = self.line.ask(&issue).await?.succeeded()?;
        let text = |name: &str| issued[name].as_str().ok_or("an issue tells key and id");
        let (key, key_id) = (text("key")?, text("key_id")?);
        self.watched.send_replace(key.to_owned());
        let any = Requirement::any();
        let asked: Vec<_> = self.guards.iter().map(|guard| guard.verify(key, &any)).collect();
        for decision in join_all(asked).await {
            if decision.verdict != Verdict::Valid {
                return Err(format!("a guard says {:?} of a new key", decision.verdict).into());
            }
        }
        rest(self.guards.len()).await;
        let path = format!("/v1/tenants/acme/keys/{key_id}/revoke");
        let revoke = self.server.request("POST", &path, Some(&json!({"reason": "compromised"})));
        let began = Instant::now();
        let answer = self.line.ask(&revoke).await?.succeeded()?;
        if answer["receipt"]["outstanding"].as_array().is_some_and(|outstanding| !outstanding.is_empty()) {
            return Err(format!("the receipt is not complete: {answer}").into());
        }
        last_of(&mut self.heard, self.guards.len(), began).await
    }
}

/// Says when this guard first refuses the key that is watched.
async fn watch_refusals(guard: Guard, watched: watch::Receiver<String>, says: UnboundedSender<Instant>) {
    let mut applied = guard.applied();
    let any = Requirement::any();
    let mut refused = String::new();
    while applied.changed().await.is_ok() {
        let key = watched.borrow().clone();
        let verdict = guard.check(&key, &any).map(|decision| decision.verdict);
        if verdict == Some(Verdict::Revoked) && refused != key {
            // Who is no longer asked ends at the next change.
            let _ = says.send(Instant::now());
            refused = key;
        }
    }
}

/// The floor: one who publishes, and subscribers with a connection each.
struct Bare {
    client: async_nats::Client,
    heard: UnboundedReceiver<Instant>,
    listeners: usize,
    _nats: Arc<NatsPlace>,
}

impl Bare {
    async fn start(nats: Arc<NatsPlace>, listeners: usize) -> Result<Self, Failure> {
        let (says, heard) = unbounded_channel();
        for _ in 0..listeners {
            let client = nats.client().await?;
            let mut messages = client.subscribe(SUBJECT).await?;
            client.flush().await?;
            let says = says.clone();
            tokio::spawn(async move {
                while messages.next().await.is_some() {
                    // As above.
                    let _ = says.send(Instant::now());
                }
                drop(client);
            });
        }
        Ok(Self { client: nats.client().await?, heard, listeners, _nats: nats })
    }

    async fn round(&mut self) -> Result<Duration, Failure> {
        rest(self.listeners).await;
        let began = Instant::now();
        self.client.publish(SUBJECT, Bytes::from_static(PAYLOAD)).await?;
        self.client.flush().await?;
        last_of(&mut self.heard, self.listeners, began).await
    }
}

/// Commands beside what is measured, at a steady pace.
struct Traffic {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    lines: Vec<JoinHandle<Result<(), Failure>>>,
}

impl Traffic {
    async fn start(server: &Program, per_second: u32) -> Result<Self, Failure> {
        server.open_tenant("lists").await?;
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let body = json!({"name": "campaign", "owner": "list-sender", "scopes": ["campaigns:send"]});
        let issue = server.request("POST", "/v1/tenants/lists/keys", Some(&body));
        let mut lines = Vec::new();
        for _ in 0..BUSY_LINES {
            let (mut line, issue) = (Line::open(server.address).await?, issue.clone());
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            lines.push(tokio::spawn(async move {
                let mut due = interval(Duration::from_secs(1) * BUSY_LINES / per_second);
                due.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while !stop.load(Ordering::Relaxed) {
                    due.tick().await;
                    line.ask(&issue).await?.succeeded()?;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        Ok(Self { sent, stop, lines })
    }

    fn has_ended(&self) -> bool {
        self.lines.iter().any(JoinHandle::is_finished)
    }

    /// How many there were.
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    async fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        for line in self.lines {
            line.await??;
        }
        Ok(())
    }
}
