//! A server of the tests' own: it says what it is told to, counts what it is asked, and answers when it may.

use std::collections::HashMap;
use std::sync::Arc;

use guard::{Builder, Guard};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

use crate::given::LIMIT;

pub(crate) const LOG: &str = "00000000000000000000000007";

/// What the server says, and what it was asked.
pub(crate) struct Says {
    pub(crate) log_id: String,
    pub(crate) head: u64,
    pub(crate) last_notice: u64,
    /// What a fill tells of a key, by its id.
    pub(crate) keys: HashMap<String, Value>,
    /// The requests for keys that came, by the ids in them.
    pub(crate) fills: Vec<Vec<String>>,
    /// Where each feed was to go on.
    pub(crate) feeds: Vec<Option<u64>>,
    pub(crate) applied: Vec<u64>,
    pub(crate) registrations: usize,
}

/// The server. Its tasks end with the test's runtime.
pub(crate) struct Lying {
    pub(crate) url: String,
    says: Arc<Mutex<Says>>,
    feed: broadcast::Sender<String>,
    /// Fills are answered while this is true.
    fills: watch::Sender<bool>,
}

impl Lying {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let says = Says {
            log_id: LOG.to_owned(),
            head: 10,
            last_notice: 10,
            keys: HashMap::new(),
            fills: Vec::new(),
            feeds: Vec::new(),
            applied: Vec::new(),
            registrations: 0,
        };
        let (feed, _) = broadcast::channel(64);
        let (fills, _) = watch::channel(true);
        let lying = Self { url, says: Arc::new(Mutex::new(says)), feed, fills };
        let shared = lying.share();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = shared.share();
                tokio::spawn(async move { connection.serve(stream).await });
            }
        });
        lying
    }

    fn share(&self) -> Self {
        Self {
            url: self.url.clone(),
            says: Arc::clone(&self.says),
            feed: self.feed.clone(),
            fills: self.fills.clone(),
        }
    }

    pub(crate) fn builder(&self) -> Builder {
        Guard::builder(&self.url, "rsk_live_x").tenant("acme").connect_within(LIMIT).first_sight_within(LIMIT)
    }

    pub(crate) fn says<T>(&self, change: impl FnOnce(&mut Says) -> T) -> T {
        change(&mut self.says.lock())
    }

    /// Answers no more fills until [`Self::let_go`].
    pub(crate) fn hold_fills(&self) {
        self.fills.send_replace(false);
    }

    pub(crate) fn let_go(&self) {
        self.fills.send_replace(true);
    }

    /// Puts text on every feed that is open; `\0` closes them.
    pub(crate) fn tell(&self, text: impl Into<String>) {
        let _ = self.feed.send(text.into());
    }

    pub(crate) fn heartbeat(&self) {
        let (head, last) = self.says(|says| (says.head, says.last_notice));
        self.tell(format!(
            "event: heartbeat\nid: {head}\ndata: {{\"head\":{head},\"last_notice\":{last}}}\n\n"
        ));
    }

    /// A notice that is also what the server knows from now on.
    pub(crate) fn notice(&self, position: u64, previous: u64, kind: &str, key_id: &str) {
        self.says(|says| (says.head, says.last_notice) = (position, position));
        self.tell(notice(position, previous, kind, key_id));
    }

    async fn serve(&self, stream: TcpStream) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        while let Some((line, headers, body)) = request(&mut reader).await {
            let path = line.split(' ').nth(1).unwrap_or_default();
            if path.starts_with("/v1/feed") {
                let from = headers.get("last-event-id").and_then(|id| id.parse().ok());
                return self.serve_feed(writer, from).await;
            }
            let answer =
                self.answer(path, &serde_json::from_slice(&body).unwrap_or_default()).await.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            if writer.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, path: &str, body: &Value) -> Value {
        match path {
            "/v1/guard/register" => self.says(|says| {
                says.registrations += 1;
                json!({"log_id": says.log_id, "at_least": says.head, "max_staleness_ms": body["max_staleness_ms"],
                    "server": "lying"})
            }),
            "/v1/guard/lease" => self.says(|says| {
                json!({"nonce": body["nonce"], "log_id": says.log_id, "head": says.head,
                    "last_notice": says.last_notice, "staleness_ms": 0})
            }),
            "/v1/guard/fill" => self.fill(body).await,
            "/v1/guard/applied" => {
                self.says(|says| says.applied.push(body["position"].as_u64().unwrap()));
                Value::Null
            }
            _ => Value::Null,
        }
    }

    /// What was known when it was asked, told when it may be.
    async fn fill(&self, body: &Value) -> Value {
        let ids = body["keys"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        let answer = self.says(|says| {
            let keys: Vec<_> = ids.iter().map(|id| says.keys.get(id).cloned().unwrap_or_default()).collect();
            says.fills.push(ids);
            json!({"log_id": says.log_id, "as_of": says.head, "keys": keys,
                "tenant": {"closed": false, "quarantined": false}})
        });
        let _ = self.fills.subscribe().wait_for(|may| *may).await;
        answer
    }

    async fn serve_feed(&self, mut writer: OwnedWriteHalf, from: Option<u64>) {
        let mut told = self.feed.subscribe();
        let hello = self.says(|says| {
            says.feeds.push(from);
            let hello = json!({"log_id": says.log_id, "head": says.head, "last_notice": says.last_notice});
            format!("event: hello\ndata: {hello}\n\n")
        });
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let mut next = format!("{head}{hello}");
        while writer.write_all(next.as_bytes()).await.is_ok() {
            match told.recv().await {
                Ok(text) if text != "\0" => next = text,
                _ => return,
            }
        }
    }
}

/// A notice as it stands on a feed.
pub(crate) fn notice(position: u64, previous: u64, kind: &str, key_id: &str) -> String {
    let event = event(position, previous, kind, key_id);
    format!("event: {kind}\nid: {position}\ndata: {event}\n\n")
}

/// A notice as it stands on NATS.
pub(crate) fn event(position: u64, previous: u64, kind: &str, key_id: &str) -> Value {
    json!({"specversion": "1.0", "id": position.to_string(), "source": format!("/logs/{LOG}"),
        "type": format!("rescind.key.{kind}.v1"), "subject": format!("acme/{key_id}"), "data":
        {"position": position, "previous": previous, "occurred_at": "2026-11-23T12:00:00.000Z"}})
}

type Request = (String, HashMap<String, String>, Vec<u8>);

async fn request(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Request> {
    let mut first = String::new();
    if reader.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some((first, headers, body))
}
