//! A receiver of webhooks that answers what a test wants, and keeps what it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A delivery follows its notice within milliseconds, its retry within the test's own schedule; a loaded machine takes its
/// time.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);

/// What it does about one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers with this status and these header lines.
    Status(u16, String),
    /// Reads the request and never answers.
    Hang,
    /// Never reads.
    Deaf,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn notice(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The kind and the key id of its notice.
    pub(crate) fn about(&self) -> (String, String) {
        let notice = self.notice();
        let kind = notice["type"].as_str().unwrap().split('.').nth(2).unwrap().to_owned();
        (kind, notice["subject"].as_str().unwrap().split('/').nth(1).unwrap().to_owned())
    }
}

#[derive(Default)]
struct Inbox {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
}

pub(crate) struct Receiver {
    port: u16,
    inbox: Arc<Inbox>,
}

impl Receiver {
    /// Gives these replies, one a request, and answers all later ones with 204.
    pub(crate) fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inbox =
            Arc::new(Inbox { replies: Mutex::new(replies.into_iter().collect()), ..Inbox::default() });
        let serving = Arc::clone(&inbox);
        // Both kinds of threads end with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let inbox = Arc::clone(&serving);
                thread::spawn(move || inbox.serve(stream));
            }
        });
        Self { port, inbox }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/rescind", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inbox.received.lock().unwrap().clone()
    }

    /// Waits until it was sent what is asked for, and gives all that it was sent.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let received = self.inbox.received.lock().unwrap();
        let waited = self.inbox.arrived.wait_timeout_while(received, ARRIVE_WITHIN, |all| !enough(all));
        let (received, timed_out) = waited.unwrap();
        let ids: Vec<_> = received.iter().map(Received::id).collect();
        assert!(!timed_out.timed_out(), "not in time: {what}; was sent {ids:?}");
        received.clone()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} requests"), |all| all.len() >= count)
    }
}

impl Inbox {
    fn serve(&self, stream: TcpStream) {
        let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(204, String::new()));
        if matches!(reply, Reply::Deaf) {
            return thread::park_timeout(ARRIVE_WITHIN);
        }
        let Some(received) = read(&stream) else { return };
        self.received.lock().unwrap().push(received);
        self.arrived.notify_all();
        match reply {
            Reply::Status(status, more) => {
                let answer =
                    format!("HTTP/1.1 {status} Said\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n");
                let _ = (&stream).write_all(answer.as_bytes());
            }
            Reply::Hang | Reply::Deaf => thread::park_timeout(ARRIVE_WITHIN),
        }
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body: String::from_utf8(body).ok()? })
}
