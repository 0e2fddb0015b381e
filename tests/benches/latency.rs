//! From the command that revokes a key to the last guard's refusal, beside what NATS alone needs to tell as many subscribers.
//!
//! `cargo bench -p tests --bench latency`; on an otherwise idle machine. All sides take turns in one run. Each guard and each
//! subscriber has a connection of its own; all share the two cores with the servers.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use futures_util::StreamExt;
use futures_util::future::join_all;
use guard::{Guard, NatsFeed, Requirement, Verdict};
use serde_json::json;
use tests::nats::NatsServer;
use tests::server::{Admin, IssuedKey, ServerSetup, TestServer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

const MANY: usize = 100;
/// Turns that every side takes, and rounds in each.
const TURNS: usize = 10;
const ROUNDS: usize = 30;
/// Before each round, and this much longer for each listener: what the new key left to do is done by then, the guards' reports
/// too. A longer rest lets the virtual disk fall asleep.
const REST: Duration = Duration::from_millis(5);
const REST_EACH: Duration = Duration::from_micros(400);
/// A round that takes longer has lost somebody.
const LIMIT: Duration = Duration::from_secs(20);
const SUBJECT: &str = "bare.notices";
/// About as large as a notice.
const PAYLOAD: [u8; 400] = [b'x'; 400];

/// When somebody heard.
type Heard = UnboundedReceiver<Instant>;

/// Somebody who tells, and `listeners` who hear.
struct Side {
    name: &'static str,
    teller: Teller,
    heard: Heard,
    listeners: usize,
    took: Vec<Duration>,
}

enum Teller {
    Core(async_nats::Client),
    Stream(async_nats::jetstream::Context),
    Rescind(Box<Fleet>),
}

struct Fleet {
    admin: Admin,
    guards: Vec<Guard>,
    key: IssuedKey,
    /// The key that every guard is watching.
    watched: watch::Sender<String>,
    _server: TestServer,
}

impl Side {
    async fn round(&mut self) {
        if let Teller::Rescind(fleet) = &mut self.teller {
            fleet.present().await;
        }
        sleep(REST + REST_EACH * u32::try_from(self.listeners).unwrap()).await;
        let began = match &mut self.teller {
            Teller::Core(client) => {
                let began = Instant::now();
                client.publish(SUBJECT, PAYLOAD.to_vec().into()).await.unwrap();
                client.flush().await.unwrap();
                began
            }
            Teller::Stream(js) => {
                let began = Instant::now();
                js.publish(SUBJECT, PAYLOAD.to_vec().into()).await.unwrap().await.unwrap();
                began
            }
            Teller::Rescind(fleet) => fleet.revoke(),
        };
        let mut last = began;
        for _ in 0..self.listeners {
            last = last.max(timeout(LIMIT, self.heard.recv()).await.expect("all hear").unwrap());
        }
        self.took.push(last - began);
    }

    /// In milliseconds, at this share of all rounds.
    fn at(&self, share: f64) -> f64 {
        let mut took = self.took.clone();
        took.sort();
        took[((took.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
    }

    fn tell(&self, floor: &Self) {
        println!(
            "| {}, {} | {:.2} | {:.2} ({:.2} x) | {:.2} | {:.2} |",
            self.name,
            self.listeners,
            self.at(0.5),
            self.at(0.99),
            self.at(0.99) / floor.at(0.99),
            self.at(0.0),
            self.at(1.0),
        );
    }
}

impl Fleet {
    /// Has every guard hold a new key.
    async fn present(&mut self) {
        self.key = block_in_place(|| self.admin.issue("acme", "list-sender"));
        self.watched.send_replace(self.key.key.clone());
        let any = Requirement::any();
        for decision in join_all(self.guards.iter().map(|guard| guard.verify(&self.key.key, &any))).await {
            assert_eq!(decision.verdict, Verdict::Valid);
        }
    }

    /// Answers when the command was sent. It has returned by then, with its receipt.
    fn revoke(&self) -> Instant {
        block_in_place(|| {
            let began = Instant::now();
            let _ = self.admin.revoke("acme", &self.key.key_id).expect(200);
            began
        })
    }
}

async fn fleet(name: &'static str, setup: ServerSetup, nats: Option<&str>, listeners: usize) -> Side {
    let server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let body = json!({"name": "guard", "owner": "mailer", "scopes": ["acme/feed", "acme/verify"]});
    let issued = admin.post("/v1/tenants/rescind/keys", &body).expect(201).json();
    let key = admin.issue("acme", "list-sender");
    let (says, heard) = unbounded_channel();
    let watched = watch::Sender::new(String::new());
    let mut guards = Vec::new();
    for _ in 0..listeners {
        let builder = Guard::builder(server.url(), issued["key"].as_str().unwrap()).tenant("acme");
        let builder = builder.name("mailer").first_sight_within(LIMIT).connect_within(LIMIT);
        let builder = match nats {
            Some(url) => builder.nats(NatsFeed::new(url)),
            None => builder,
        };
        let guard = builder.connect().await.unwrap();
        tokio::spawn(watch_refusals(guard.clone(), watched.subscribe(), says.clone()));
        guards.push(guard);
    }
    let teller = Teller::Rescind(Box::new(Fleet { admin, guards, key, watched, _server: server }));
    Side { name, teller, heard, listeners, took: Vec::new() }
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
            let _ = says.send(Instant::now());
            refused = key;
        }
    }
}

async fn bare_core(url: &str, listeners: usize) -> Side {
    let (says, heard) = unbounded_channel();
    for _ in 0..listeners {
        let client = async_nats::connect(url).await.unwrap();
        let mut messages = client.subscribe(SUBJECT).await.unwrap();
        client.flush().await.unwrap();
        let says = says.clone();
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                let _ = says.send(Instant::now());
            }
            drop(client);
        });
    }
    let teller = Teller::Core(async_nats::connect(url).await.unwrap());
    Side { name: "NATS alone, core publish", teller, heard, listeners, took: Vec::new() }
}

async fn bare_push(url: &str, listeners: usize) -> Side {
    let js = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
    let config = async_nats::jetstream::stream::Config {
        name: "BARE".to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        ..Default::default()
    };
    js.create_stream(config).await.unwrap();
    let (says, heard) = unbounded_channel();
    for _ in 0..listeners {
        let client = async_nats::connect(url).await.unwrap();
        let config = push::Config {
            deliver_subject: client.new_inbox(),
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::New,
            memory_storage: true,
            ..Default::default()
        };
        let stream = async_nats::jetstream::new(client).get_stream("BARE").await.unwrap();
        let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
        let says = says.clone();
        tokio::spawn(async move {
            while let Some(Ok(_)) = messages.next().await {
                let _ = says.send(Instant::now());
            }
        });
    }
    Side {
        name: "NATS alone, JetStream publish to push consumers",
        teller: Teller::Stream(js),
        heard,
        listeners,
        took: Vec::new(),
    }
}

async fn compare(listeners: usize) {
    // A server of its own for each, so that nobody hears of the others.
    let (core, stream, shared) =
        (NatsServer::start().await, NatsServer::start().await, NatsServer::start().await);
    let url = shared.url();
    let on_nats = ServerSetup::nats(&url);
    let mut sides = [
        bare_core(&core.url(), listeners).await,
        bare_push(&stream.url(), listeners).await,
        fleet("log on NATS, guards on NATS", on_nats, Some(&url), listeners).await,
        fleet("embedded log, guards on SSE", ServerSetup::embedded(), None, listeners).await,
    ];
    for _ in 0..TURNS {
        for side in &mut sides {
            for _ in 0..ROUNDS {
                side.round().await;
            }
        }
    }
    for side in &sides {
        side.tell(&sides[0]);
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("{} rounds each; milliseconds", TURNS * ROUNDS);
    println!("| to the last of | p50 | p99 (against core) | min | max |");
    compare(1).await;
    compare(MANY).await;
}
