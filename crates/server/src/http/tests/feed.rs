//! The feed: hello, notices, heartbeats, resume, reset; read as a stream, never slept for.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kit::Kit;

/// Longer than any heartbeat.
const PATIENCE: Duration = Duration::from_secs(10);

struct Feed {
    stream: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Heard {
    event: String,
    id: Option<u64>,
    data: Value,
}

impl Feed {
    async fn open(kit: &Kit, query: &str, last_event_id: Option<u64>) -> Self {
        Self::open_as(kit, &kit.root, query, last_event_id).await
    }

    async fn open_as(kit: &Kit, key: &str, query: &str, last_event_id: Option<u64>) -> Self {
        let mut ask = kit.get(&format!("/v1/feed{query}"));
        if let Some(id) = last_event_id {
            ask = ask.header("last-event-id", &id.to_string());
        }
        let response = ask.with_key(key).response().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { stream: Body::into_data_stream(response.into_body()), text: String::new() }
    }

    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .map(str::to_owned)
                };
                return Some(Heard {
                    event: field("event").unwrap(),
                    id: field("id").map(|id| id.parse().unwrap()),
                    data: serde_json::from_str(&field("data").unwrap()).unwrap(),
                });
            }
            let piece = timeout(PATIENCE, self.stream.next()).await.expect("the feed went silent")?;
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    /// The next that is no heartbeat.
    async fn next_notice(&mut self) -> Heard {
        loop {
            let heard = self.next().await.expect("the feed ended");
            if heard.event != "heartbeat" {
                return heard;
            }
        }
    }

    /// The next heartbeat, whatever comes before it.
    async fn heartbeat_after_notices(&mut self) {
        while self.next().await.expect("the feed ended").event != "heartbeat" {}
    }

    /// The first heartbeat that reaches a position; what else is heard on the way is not allowed.
    async fn heartbeat_at(&mut self, position: u64) -> Heard {
        loop {
            let heard = self.next().await.expect("the feed ended");
            assert_eq!(heard.event, "heartbeat", "{heard:?}");
            if heard.id >= Some(position) {
                return heard;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_says_hello_then_what_happens_then_that_all_is_well() {
    let kit = Kit::start().await;
    let before = kit.issue(json!({})).await;
    let mut feed = Feed::open(&kit, "?tenant=default", None).await;
    let hello = feed.next().await.unwrap();
    assert_eq!((hello.event.as_str(), hello.id), ("hello", None));
    assert_eq!(hello.data["log_id"], kit.node.log_id().to_string());
    assert_eq!((&hello.data["head"], &hello.data["last_notice"]), (&before["position"], &before["position"]));
    let mut head = 0;
    for _ in 0..3 {
        let key = kit.issue(json!({})).await;
        let heard = feed.next_notice().await;
        assert_eq!((heard.event.as_str(), heard.id), ("issued", key["position"].as_u64()));
        let revoked = kit.revoke(key["key_id"].as_str().unwrap()).await;
        let heard = feed.next_notice().await;
        assert_eq!((heard.event.as_str(), heard.id), ("revoked", revoked["position"].as_u64()));
        assert_eq!(heard.data["type"], "rescind.key.revoked.v1");
        assert_eq!(heard.data["data"]["previous"], key["position"]);
        assert_eq!(heard.data["data"]["reason"], "compromised");
        head = revoked["position"].as_u64().unwrap();
    }
    let beat = feed.heartbeat_at(head).await;
    assert_eq!(beat.data, json!({"head": head, "last_notice": head}));
    kit.node.stop().await;
    while let Some(heard) = feed.next().await {
        assert_eq!(heard.event, "heartbeat", "a stop ends the feed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_resumes_where_it_was_left() {
    let kit = Kit::start().await;
    let mut positions = Vec::new();
    for _ in 0..450 {
        positions.push(kit.issue(json!({})).await["position"].as_u64().unwrap());
    }
    let mut feed = Feed::open(&kit, "?tenant=default", Some(positions[9])).await;
    assert_eq!(feed.next().await.unwrap().event, "hello");
    for position in &positions[10..] {
        assert_eq!(feed.next_notice().await.id, Some(*position));
    }
    let later = kit.issue(json!({})).await["position"].as_u64();
    assert_eq!(feed.next_notice().await.id, later);
    feed.heartbeat_at(later.unwrap()).await;
    kit.node.stop().await;
}

/// Hears so many notices and heartbeats and holds each notice to the one before it, and each heartbeat to what was heard.
async fn hear_without_a_gap(feed: &mut Feed, count: usize, beats: usize) {
    let hello = feed.next().await.unwrap();
    let (mut last, mut heard_up_to) = (hello.data["last_notice"].as_u64(), hello.data["head"].as_u64());
    let (mut heard_count, mut heard_beats) = (0, 0);
    while heard_count < count || heard_beats < beats {
        let heard = feed.next().await.expect("the feed ended");
        if heard.event == "heartbeat" {
            assert_eq!(heard.data["last_notice"].as_u64(), last, "a heartbeat tells of what was not sent");
            heard_beats += 1;
        } else {
            assert_eq!(heard.data["data"]["previous"].as_u64(), last, "a notice is missing");
            assert!(heard.id > heard_up_to, "a heartbeat came too early");
            last = heard.id;
            heard_count += 1;
        }
        heard_up_to = heard.id.max(heard_up_to);
    }
}

async fn issue_many(kit: &Kit, count: u64, at_once: usize) {
    let app = &kit.node.app;
    let issue = async |n: u64| {
        let request = application::Request {
            actor: domain::Actor::System,
            cause: domain::Cause::Command,
            command_id: domain::CommandId::from_u128((u128::from(n) << 64) | 77),
            may_be_repeat: false,
            if_match: None,
            trace_context: None,
        };
        let asked = application::IssueRequest {
            tenant: "default".parse().unwrap(),
            grant: application::AskedGrant {
                environment: domain::Environment::Live,
                name: None,
                owner: domain::PersonalText::name("list-sender").unwrap(),
                scopes: domain::ScopeSet::default(),
                labels: domain::Labels::default(),
                networks: domain::Networks::default(),
                expires_at: None,
            },
            issuer: None,
        };
        app.application.issue_key(&request, asked).await.unwrap();
    };
    futures_util::stream::iter(1..=count).for_each_concurrent(at_once, issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_that_begin_under_load_miss_nothing() {
    let kit = Kit::start().await;
    let feeds = async {
        for _ in 0..20 {
            let mut feed = Feed::open(&kit, "?tenant=default", None).await;
            hear_without_a_gap(&mut feed, 100, 0).await;
        }
        let mut feed = Feed::open(&kit, "?tenant=default", None).await;
        hear_without_a_gap(&mut feed, 100, 3).await;
    };
    // One after the other: a feed opens once its view is there, and the view has to keep up on a busy machine too.
    let load = issue_many(&kit, 1_000_000, 1);
    tokio::select! {
        () = feeds => {}
        () = load => panic!("the load ended before the feeds had heard enough"),
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_too_slowly_still_hears_everything() {
    // More than the channel of live notices holds.
    const MANY: u64 = 17_000;
    let kit = Kit::start().await;
    let mut feed = Feed::open(&kit, "?tenant=default", None).await;
    issue_many(&kit, MANY, 256).await;
    hear_without_a_gap(&mut feed, usize::try_from(MANY).unwrap(), 1).await;
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_heartbeat_waits_for_the_notices_before_it() {
    let kit = Kit::start().await;
    let mut feed = Feed::open(&kit, "?tenant=default", None).await;
    let mut other = Feed::open(&kit, "?tenant=default", None).await;
    let hello = feed.next().await.unwrap();
    issue_many(&kit, 1, 256).await;
    let first = feed.next_notice().await;
    assert_eq!(first.data["data"]["previous"], hello.data["last_notice"]);
    // Nobody reads the feed while notices pass and its heartbeat becomes due; the other feed tells when that is.
    let mut last = first.id;
    for _ in 0..5 {
        last = kit.issue(json!({})).await["position"].as_u64();
    }
    for _ in 0..2 {
        other.heartbeat_after_notices().await;
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        let next = feed.next().await.unwrap();
        assert_ne!(next.event, "heartbeat", "before {heard:?} was followed by {last:?}");
        heard.push(next.id);
    }
    assert_eq!(heard.len(), 5);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_another_log_is_reset() {
    let kit = Kit::start().await;
    let mut feed = Feed::open(&kit, "", Some(1_000_000)).await;
    assert_eq!(feed.next().await.unwrap().event, "hello");
    let reset = feed.next().await.unwrap();
    let head = kit.node.app.index.applied().get();
    assert_eq!((reset.event.as_str(), reset.id, &reset.data["head"]), ("reset", Some(head), &json!(head)));
    let key = kit.issue(json!({})).await;
    assert_eq!(feed.next_notice().await.id, key["position"].as_u64());
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_tells_a_tenants_notices_to_who_may_hear_them() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let bound = kit.operator(&["acme/feed"]).await;
    kit.get("/v1/feed").with_key(&bound).answer().await.is_problem(400, "tenant_needed");
    kit.get("/v1/feed?tenant=default").with_key(&bound).answer().await.is_problem(404, "not_found");
    kit.get("/v1/feed?tenant=nowhere").answer().await.is_problem(404, "not_found");
    kit.get("/v1/feed").header("last-event-id", "x").answer().await.is_problem(400, "bad_header");
    let mut feed = Feed::open(&kit, "?tenant=acme", None).await;
    assert_eq!(feed.next().await.unwrap().data["last_notice"], 0);
    kit.issue(json!({})).await;
    let acme = kit.post("/v1/tenants/acme/keys", &json!({"owner": "a"})).answer().await.is(201);
    let heard = feed.next_notice().await;
    assert_eq!((heard.id, &heard.data["data"]["previous"]), (acme["position"].as_u64(), &json!(0)));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_no_longer_hear_is_let_go() {
    let kit = Kit::start().await;
    let (ended, narrowed) = (kit.operator(&["default/feed"]).await, kit.operator(&["default/feed"]).await);
    let mut feeds = Vec::new();
    for key in [&ended, &narrowed] {
        let mut feed = Feed::open_as(&kit, key, "?tenant=default", None).await;
        assert_eq!(feed.next().await.unwrap().event, "hello");
        feeds.push(feed);
    }
    let path = |key: &str| format!("/v1/tenants/rescind/keys/{}", &key["rsk_live_".len()..][..26]);
    let revoke = format!("{}/revoke", path(&ended));
    kit.post(&revoke, &json!({"reason": "compromised"})).answer().await.is(200);
    let rescope =
        kit.ask(axum::http::Method::PATCH, &path(&narrowed)).header("content-type", "application/json");
    rescope.body(json!({"scopes": ["default/verify"]}).to_string()).answer().await.is(200);
    for feed in &mut feeds {
        // Heartbeats that were under way may still come.
        while feed.next().await.is_some() {}
    }
    kit.node.stop().await;
}
