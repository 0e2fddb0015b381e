//! A feed of server-sent events that says what a test wants it to say, and notes from where it was resumed.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// A consumer connects again after its back-off; a loaded machine takes its time.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// One connection after the other, each with what it says; the last one stays open.
pub(crate) struct ForgedFeed {
    url: String,
    resumed: Receiver<String>,
}

impl ForgedFeed {
    /// Says one text to each connection and closes it, but not the last.
    pub(crate) fn saying(connections: Vec<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, resumed) = channel();
        // Ends with the test's process: after the last text it holds its connection open.
        thread::spawn(move || {
            let mut open = Vec::new();
            for text in connections {
                let asked = loop {
                    let (stream, _) = listener.accept().unwrap();
                    open.clear();
                    // A client that had to wait too long may have gone without a question.
                    if let Some(asked) = question(&stream) {
                        break (stream, asked);
                    }
                };
                open.push(answer(asked, &text, &tell));
            }
            let _ = listener.accept();
        });
        Self { url, resumed }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The Last-Event-ID of the next connection.
    #[track_caller]
    pub(crate) fn resumed_from(&self) -> String {
        self.resumed.recv_timeout(CONNECT_LIMIT).expect("the consumer connects")
    }
}

fn question(stream: &TcpStream) -> Option<Vec<String>> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    (!head.is_empty()).then_some(head)
}

fn answer((mut stream, head): (TcpStream, Vec<String>), text: &str, tell: &Sender<String>) -> TcpStream {
    let last =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("last-event-id: ").map(str::to_owned));
    let _ = tell.send(last.unwrap_or_default());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(format!("{head}{text}").as_bytes());
    stream
}

/// The first event of each connection.
pub(crate) fn hello(log_id: &str, head: u64, last_notice: u64) -> String {
    format!(
        "event: hello\ndata: {{\"log_id\":\"{log_id}\",\"head\":{head},\"last_notice\":{last_notice}}}\n\n"
    )
}

pub(crate) fn heartbeat(head: u64, last_notice: u64) -> String {
    format!("event: heartbeat\nid: {head}\ndata: {{\"head\":{head},\"last_notice\":{last_notice}}}\n\n")
}

/// A notice of tenant `acme`.
pub(crate) fn notice(log_id: &str, kind: &str, key: &str, position: u64, previous: u64) -> String {
    let data = serde_json::json!({
        "specversion": "1.0", "id": position.to_string(), "source": format!("/logs/{log_id}"),
        "type": format!("rescind.key.{kind}.v1"), "subject": format!("acme/{key}"),
        "data": {"position": position, "previous": previous, "occurred_at": "2026-11-23T12:00:00.000Z"},
    });
    format!("event: {kind}\nid: {position}\ndata: {data}\n\n")
}
