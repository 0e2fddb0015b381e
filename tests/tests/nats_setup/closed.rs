//! What must not go: every known way for a consumer to read of others, to write, or to have the server do so. Tried twice:
//! as set up, and with the consumer's permissions taken away, so that the wall between the accounts stands alone.

use async_nats::Subscriber;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::scene::{Heard, SOON, Scene};

/// What is in the streams, and where the durables of others stand.
#[derive(Debug, PartialEq, Eq)]
struct State {
    streams: Vec<(String, u64, u64, usize)>,
    durables: Vec<(String, u64, usize, Value)>,
}

async fn state(js: &Context) -> State {
    let mut streams = Vec::new();
    for name in ["RESCIND_LOG", "RESCIND_FEED"] {
        let info = js.get_stream(name).await.unwrap().cached_info().clone();
        let consumers = if name == "RESCIND_FEED" { info.state.consumer_count } else { 0 };
        streams.push((name.to_owned(), info.state.messages, info.state.last_sequence, consumers));
    }
    let feed = js.get_stream("RESCIND_FEED").await.unwrap();
    let mut durables = Vec::new();
    for name in ["acme_reports", "beta_mailer"] {
        let info = feed.consumer_info(name).await.unwrap();
        let config = serde_json::to_value(&info.config).unwrap();
        durables.push((name.to_owned(), info.delivered.consumer_sequence, info.num_ack_pending, config));
    }
    State { streams, durables }
}

/// Places where a consumer's calls go: its own, and the one that every account has.
const PREFIXES: [&str; 2] = ["rescind.api", "$JS.API"];

/// Asks, and gets nothing, or a refusal. All at once: what is not answered is waited for.
async fn ask_all(heard: &Heard, calls: Vec<(String, Value)>) {
    let asked = calls.into_iter().map(|(subject, body)| {
        let client = heard.client.clone();
        async move {
            let answer = client.request(subject.clone(), body.to_string().into()).await;
            if let Ok(message) = answer {
                let told: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                // From the consumer's own account, which has no JetStream.
                assert!(told["error"]["code"].is_u64(), "{subject} was answered: {message:?}");
            }
        }
    });
    futures_util::future::join_all(asked).await;
}

/// Making a consumer of other notices, or of one's own that delivers elsewhere.
fn making_consumers() -> Vec<(String, Value)> {
    let mut calls = Vec::new();
    for prefix in PREFIXES {
        let mut call = |rest: &str, config: Value| {
            calls.push((
                format!("{prefix}.CONSUMER.{rest}"),
                json!({"stream_name": "RESCIND_FEED", "config": config}),
            ));
        };
        let name = json!({"name": "spy", "ack_policy": "none"});
        call("CREATE.RESCIND_FEED", name.clone());
        call("CREATE.RESCIND_FEED.spy", name);
        call(
            "CREATE.RESCIND_FEED.spy",
            json!({"name": "spy", "filter_subjects": ["rescind.notices.acme.>", "rescind.notices.beta.>"]}),
        );
        call(
            "CREATE.RESCIND_FEED.spy.rescind.notices.acme.>",
            json!({"name": "spy", "filter_subject": "rescind.notices.acme.>"}),
        );
        call(
            "CREATE.RESCIND_FEED.spy.rescind.notices.beta.>",
            json!({"name": "spy", "filter_subject": "rescind.notices.beta.>"}),
        );
        let into_log = json!({"durable_name": "spy", "filter_subject": "rescind.notices.acme.>", "deliver_subject": "rescind.events.acme._tenant"});
        call("DURABLE.CREATE.RESCIND_FEED.spy", into_log);
        let wider = json!({"durable_name": "acme_mailer", "filter_subject": "rescind.notices.>"});
        call("CREATE.RESCIND_FEED.acme_mailer.rescind.notices.>", wider);
        call("DELETE.RESCIND_FEED.beta_mailer", json!({}));
    }
    calls
}

/// Reading of others: by their durables, by the stream itself.
fn reading() -> Vec<(String, Value)> {
    let mut calls = Vec::new();
    for prefix in PREFIXES {
        let mut call = |rest: &str, body: Value| calls.push((format!("{prefix}.{rest}"), body));
        for durable in ["beta_mailer", "acme_reports"] {
            call(&format!("CONSUMER.MSG.NEXT.RESCIND_FEED.{durable}"), json!({"batch": 1, "no_wait": true}));
            call(&format!("CONSUMER.INFO.RESCIND_FEED.{durable}"), json!({}));
        }
        call("CONSUMER.NAMES.RESCIND_FEED", json!({}));
        call("STREAM.NAMES", json!({}));
        call("STREAM.INFO.RESCIND_FEED", json!({}));
        call("STREAM.MSG.GET.RESCIND_FEED", json!({"seq": 1}));
        call("STREAM.MSG.GET.RESCIND_LOG", json!({"seq": 1}));
        call("DIRECT.GET.RESCIND_FEED", json!({"seq": 1}));
        call("DIRECT.GET.RESCIND_FEED.rescind.notices.beta.>", json!({}));
        call("DIRECT.GET.RESCIND_LOG", json!({"multi_last": ["rescind.events.>"]}));
    }
    calls
}

/// Subjects where a consumer would like something to be said, by itself or by the server.
fn wished(key: &str) -> Vec<String> {
    let mut subjects = vec![
        format!("rescind.notices.acme.revoked.{key}"),
        format!("rescind.notices.beta.revoked.{key}"),
        "rescind.events.acme._tenant".to_owned(),
        format!("rescind.events.acme.{key}"),
        format!("rescind.live.beta.revoked.{key}"),
        format!("rescind.hints.acme.{key}"),
        format!("rescind.hints.beta.{key}"),
        "rescind.pulse.forged".to_owned(),
        "rescind.usage.forged.sums".to_owned(),
        "$KV.RESCIND_SEALS.acme".to_owned(),
    ];
    for prefix in PREFIXES {
        for call in [
            "STREAM.PURGE.RESCIND_FEED",
            "CONSUMER.MSG.NEXT.RESCIND_FEED.acme_reports",
            "CONSUMER.MSG.NEXT.RESCIND_FEED.beta_mailer",
        ] {
            subjects.push(format!("{prefix}.{call}"));
        }
    }
    subjects
}

/// Hears what it should not.
async fn listen(heard: &Heard) -> Vec<(String, Subscriber)> {
    let subjects = [
        "rescind.live.beta.>",
        "rescind.live.>",
        "rescind.hints.beta.>",
        "rescind.hints.>",
        "rescind.notices.>",
        "rescind.events.>",
        "_INBOX_beta_mailer.>",
        "$JS.ACK.>",
        ">",
    ];
    let mut subscribed = Vec::new();
    for subject in subjects {
        subscribed.push((subject.to_owned(), heard.client.subscribe(subject).await.unwrap()));
    }
    heard.client.flush().await.unwrap();
    subscribed
}

async fn try_everything(scene: &Scene, has_leave: bool) {
    let inside = scene.inside().await;
    let beta = scene.consumer("beta_mailer").await;
    let mut beta_live = beta.client.subscribe("rescind.live.beta.>").await.unwrap();
    let mut beta_hints = beta.client.subscribe("rescind.hints.beta.>").await.unwrap();
    beta.client.flush().await.unwrap();
    let key = scene.admin.issue("acme", "list-sender");
    let wished = wished(&key.key_id);
    // A notice for each subject that the server is asked to answer to.
    for _ in 1..wished.len() {
        let _ = scene.admin.issue("acme", "list-sender");
    }
    let secret = scene.admin.issue("beta", "list-sender");
    let before_forgery = timeout(SOON, beta_live.next()).await.unwrap().unwrap();
    assert!(before_forgery.subject.ends_with(&secret.key_id));
    let before = state(&inside).await;

    let thief = scene.consumer("acme_mailer").await;
    let overheard = listen(&thief).await;
    ask_all(&thief, making_consumers()).await;
    ask_all(&thief, reading()).await;
    for subject in &wished {
        thief.client.publish(subject.clone(), r#"{"id":"forged"}"#.into()).await.unwrap();
        // The server answers where it is told to, whatever the consumer itself may publish.
        let next = "rescind.api.CONSUMER.MSG.NEXT.RESCIND_FEED.acme_mailer";
        let pull = json!({"batch": 1, "no_wait": true}).to_string();
        thief.client.publish_with_reply(next, subject.clone(), pull.into()).await.unwrap();
    }
    thief.client.flush().await.unwrap();

    // What was done in vain has been done by the time that another notice comes through, and the hint ahead of it.
    let _ = scene.admin.revoke("beta", &secret.key_id).expect(200);
    let heard = timeout(SOON, beta_live.next()).await.unwrap().unwrap();
    assert_eq!(heard.subject.as_str(), format!("rescind.live.beta.revoked.{}", secret.key_id));
    let hinted = timeout(SOON, beta_hints.next()).await.unwrap().unwrap();
    assert!(hinted.subject.ends_with(&secret.key_id), "a forged hint came first: {hinted:?}");
    let mut after = state(&inside).await;
    assert_eq!(after.streams[1].1, before.streams[1].1 + 1, "only the sentinel came into the feed");
    assert_eq!(after.streams[0].1, before.streams[0].1 + 1, "only the sentinel came into the log");
    for (stream, messages, last, _) in &mut after.streams {
        assert!(*messages == *last, "{stream} lost something");
        (*messages, *last) = (*messages - 1, *last - 1);
    }
    assert_eq!(after, before);
    for (subject, mut subscriber) in overheard {
        while let Some(Some(message)) = subscriber.next().now_or_never() {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            let of_others = text.contains(&secret.key_id) || text.contains("beta/");
            assert!(!of_others, "heard on {subject}: {message:?}");
            assert!(has_leave || !subject.contains("beta"), "heard on {subject}: {message:?}");
        }
    }
    if !has_leave {
        let complaints = thief.complaints.lock().unwrap().join("\n").to_lowercase();
        for subject in &wished {
            assert!(complaints.contains(&subject.to_lowercase()), "{subject} was no violation: {complaints}");
        }
        for subject in ["rescind.live.beta.>", "rescind.hints.beta.>"] {
            assert!(complaints.contains(&format!("subscription to \"{subject}\"")), "{complaints}");
        }
    }
    // And it is still a consumer of its own: each of its calls was answered, and nowhere that matters.
    let stream = thief.api().get_stream_no_info("RESCIND_FEED").await.unwrap();
    let own: PullConsumer = stream.get_consumer("acme_mailer").await.unwrap();
    assert_eq!(own.cached_info().config.filter_subject, "rescind.notices.acme.>");
    let answered = own.cached_info().delivered.consumer_sequence;
    // Where nobody listens the server may let a call go; who has leave listens everywhere.
    assert!(answered == wished.len() as u64 || !has_leave && answered > 0, "{answered} of {}", wished.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_reads_nothing_of_others_and_writes_nothing() {
    let scene = Scene::set(1, |accounts| accounts).await;
    try_everything(&scene, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_between_the_accounts_holds_without_any_permissions() {
    let scene = Scene::set(1, |accounts| {
        let mut bare = String::new();
        let mut rest = accounts.as_str();
        while let Some((before, permissions)) = rest.split_once(", permissions: {") {
            bare.push_str(before);
            bare.push_str(" }");
            rest = permissions.split_once("    } }").expect("permissions end").1;
        }
        bare + rest
    })
    .await;
    try_everything(&scene, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_a_seed() {
    let scene = Scene::set(1, |accounts| accounts).await;
    assert!(async_nats::connect(scene.nats.urls()).await.is_err());
    let url = scene.nats.url();
    let output = crate::scene::rescind(&["nats", "durable", "acme/mailer", "--log", &url]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("seed"), "{said}");
    let seed = scene.path("consumers/acme_mailer.nkey");
    let output = crate::scene::rescind(&[
        "nats",
        "durable",
        "acme/spy",
        "--log",
        &url,
        "--nats-nkey",
        seed.to_str().unwrap(),
    ]);
    assert!(!output.status.success(), "a consumer makes no durables");
}
