//! Subscribers that never read: they cost the server a bounded amount, hold up nobody, and are let go and counted.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tests::importing::{digest, token};
use tests::server::{Client, ServerSetup, TestServer};

use crate::eventually;

/// Some 6 MB of notices: more than the system keeps for a connection on loopback.
const NOTICES: u64 = 12_000;
const SUBSCRIBERS: usize = 20;
/// What they may cost together in memory, where each was sent 6 MB: the pieces under way, and what an allocator keeps.
const MEMORY_MAX_KIB: u64 = 64 << 10;
/// A feed that reads brings something each second.
const SILENT_AT_MOST: Duration = Duration::from_secs(30);

fn subscribe(server: &TestServer, from: Option<u64>) -> TcpStream {
    let host = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(SILENT_AT_MOST)).unwrap();
    let resume = from.map(|from| format!("last-event-id: {from}\r\n")).unwrap_or_default();
    let key = server.operator_key();
    let request = format!(
        "GET /v1/feed?tenant=acme HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n{resume}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Reads until a text has come.
fn hears(stream: &mut TcpStream, text: &str) -> bool {
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => heard.extend_from_slice(&piece[..read]),
            _ => return false,
        }
        if heard.windows(text.len()).any(|part| part == text.as_bytes()) {
            return true;
        }
    }
}

fn memory_kib(server: &TestServer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// The value of a metric without labels.
fn metric(server: &TestServer, name: &str) -> u64 {
    let text = Client::default().send("GET", &format!("{}/metrics", server.url()), &[], None).text;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    value.map_or(0, |value| value as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_never_read_are_let_go_and_hold_up_nobody() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let lines = (0..NOTICES).fold(String::new(), |mut lines, line| {
        let key =
            json!({"digest": digest(&token(line)), "owner": "list-sender", "scopes": ["campaigns:send"]});
        let _ = writeln!(lines, "{key}");
        lines
    });
    let authorization = format!("Bearer {}", server.operator_key());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/x-ndjson")];
    let path = format!("{}/v1/tenants/acme/imports", server.url());
    let imported = Client::default().send("POST", &path, &headers, Some(lines.as_bytes())).expect(200);
    assert!(imported.text.lines().count() > 0, "{imported:?}");
    server.wait_views();

    let mut reader = subscribe(&server, None);
    assert!(hears(&mut reader, "event: hello"));
    let before = memory_kib(&server);
    let stuck: Vec<TcpStream> = (0..SUBSCRIBERS).map(|_| subscribe(&server, Some(1))).collect();
    eventually("all are there", async || metric(&server, "rescind_feed_clients") == SUBSCRIBERS as u64 + 1)
        .await;
    // As long as they are there, others hear what happens.
    let key = admin.issue("acme", "list-sender");
    assert!(hears(&mut reader, &format!("acme/{}", key.key_id)));
    eventually("each is let go and counted", async || {
        metric(&server, "rescind_feeds_stuck_total") == SUBSCRIBERS as u64
    })
    .await;
    eventually("the reader stays", async || metric(&server, "rescind_feed_clients") == 1).await;
    let grown = memory_kib(&server).saturating_sub(before);
    assert!(grown < MEMORY_MAX_KIB, "{grown} KiB for {SUBSCRIBERS} subscribers");
    assert!(hears(&mut reader, "event: heartbeat"));
    drop(stuck);
}

#[test]
fn who_comes_beyond_the_bound_is_told_so() {
    let server = ServerSetup::embedded().arg("--max-feeds").arg("2").start();
    server.admin().open_tenant("acme");
    let mut feeds = [subscribe(&server, None), subscribe(&server, None)];
    for feed in &mut feeds {
        assert!(hears(feed, "event: hello"));
    }
    assert_eq!(metric(&server, "rescind_feed_clients"), 2);
    let refused = server.admin().get("/v1/feed?tenant=acme");
    assert_eq!((refused.status, refused.code()), (503, "too_many_clients".to_owned()), "{refused:?}");
    assert!(refused.header("retry-after").is_some());
}
