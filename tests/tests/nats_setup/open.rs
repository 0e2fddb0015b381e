//! What is to go: Rescind serves, a consumer hears its tenant live and goes on where it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;
use wire::Hint;

use crate::scene::{CONSUMERS, Heard, SOON, Scene, configure, rescind};

async fn durable(heard: &Heard, name: &str) -> Consumer<pull::Config> {
    let stream = heard.api().get_stream_no_info("RESCIND_FEED").await.unwrap();
    timeout(SOON, stream.get_consumer(name)).await.unwrap().unwrap()
}

/// The next notices, each acknowledged and the acknowledgement awaited.
async fn read(heard: &Heard, name: &str, count: usize) -> Vec<Value> {
    let consumer = durable(heard, name).await;
    let mut messages = consumer.stream().max_messages_per_batch(1).messages().await.unwrap();
    let mut notices = Vec::new();
    while notices.len() < count {
        let message = timeout(SOON, messages.next()).await.unwrap().unwrap().unwrap();
        message.double_ack().await.unwrap();
        notices.push(serde_json::from_slice(&message.payload).unwrap());
    }
    notices
}

fn about(notices: &[Value]) -> Vec<(&str, &str)> {
    notices
        .iter()
        .map(|notice| (notice["type"].as_str().unwrap(), notice["subject"].as_str().unwrap()))
        .collect()
}

async fn a_consumer_hears_and_goes_on(nodes: u8) {
    let scene = Scene::set(nodes, |accounts| accounts).await;
    let mailer = scene.consumer("acme_mailer").await;
    let mut live = mailer.client.subscribe("rescind.live.acme.>").await.unwrap();
    mailer.client.flush().await.unwrap();
    let mut hints = mailer.client.subscribe("rescind.hints.acme.>").await.unwrap();
    mailer.client.flush().await.unwrap();
    let reports = scene.consumer("acme_reports").await;
    let mut live_too = reports.client.subscribe("rescind.live.acme.issued.>").await.unwrap();
    reports.client.flush().await.unwrap();

    let others = scene.admin.issue("beta", "list-sender");
    let first = scene.admin.issue("acme", "list-sender");
    let _ = scene.admin.revoke("beta", &others.key_id).expect(200);
    let _ = scene.admin.revoke("acme", &first.key_id).expect(200);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let message = timeout(SOON, live.next()).await.unwrap().unwrap();
        heard.push((message.subject.to_string(), serde_json::from_slice::<Value>(&message.payload).unwrap()));
    }
    assert_eq!(heard[0].0, format!("rescind.live.acme.issued.{}", first.key_id));
    assert_eq!(heard[1].0, format!("rescind.live.acme.revoked.{}", first.key_id));

    let hint = timeout(SOON, hints.next()).await.unwrap().unwrap();
    assert_eq!(hint.subject.as_str(), format!("rescind.hints.acme.{}", first.key_id));
    let told = Hint::parse(&hint.payload).unwrap();
    let notice: Value = heard[1].1.clone();
    assert_eq!(notice["data"]["position"], told.position.get(), "it names the place of the notice");
    drop(hints);

    let subject = format!("acme/{}", first.key_id);
    let issued = ("rescind.key.issued.v1", subject.as_str());
    assert_eq!(about(&read(&mailer, "acme_mailer", 1).await), [issued]);
    drop((live, mailer));
    // Another process of the same consumer, later: it goes on behind what was acknowledged.
    let second = scene.admin.issue("acme", "list-sender");
    let again = scene.consumer("acme_mailer").await;
    let later = format!("acme/{}", second.key_id);
    assert_eq!(
        about(&read(&again, "acme_mailer", 2).await),
        [("rescind.key.revoked.v1", subject.as_str()), ("rescind.key.issued.v1", later.as_str())]
    );
    // Each durable is at its own place.
    assert!(timeout(SOON, live_too.next()).await.unwrap().unwrap().subject.ends_with(&first.key_id));
    assert_eq!(about(&read(&reports, "acme_reports", 1).await), [issued]);
    assert!(again.complaints.lock().unwrap().is_empty(), "{:?}", again.complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_hears_its_tenant_and_goes_on_where_it_was() {
    a_consumer_hears_and_goes_on(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_it_is_the_same() {
    a_consumer_hears_and_goes_on(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rescind_acknowledges_there_is_on_disk_and_its_files_are_its_own() {
    let scene = Scene::set(1, |accounts| accounts).await;
    let ready = scene.admin.get("/readyz?verbose").expect(200).json();
    assert!(ready.to_string().contains("on_disk"), "{ready}");
    let mut files = vec![scene.path("rescind.nkey"), scene.path("accounts.conf"), scene.path("node0.conf")];
    files.extend(
        CONSUMERS.map(|consumer| scene.path(&format!("consumers/{}.nkey", consumer.replace('/', "_")))),
    );
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    for seed in files.iter().filter(|file| file.extension().is_some_and(|end| end == "nkey")) {
        let seed = fs::read_to_string(seed).unwrap();
        let shown = [fs::read_to_string(&files[1]).unwrap(), fs::read_to_string(&files[2]).unwrap()];
        assert!(
            shown.iter().all(|text| !text.contains(seed.trim())),
            "the configuration has public keys only"
        );
        assert!(!scene.server.stderr().contains(seed.trim()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_let_in_later_and_another_is_let_go() {
    let scene = Scene::set(1, |accounts| accounts).await;
    let url = scene.nats.urls()[0].clone();
    let port = |url: &str| url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let ports = [port(&url), 1, port(&scene.nats.monitor_url())];
    let leaving = scene.consumer("beta_mailer").await;
    let nodes = ["node0=127.0.0.1".to_owned()];
    let written = configure(&scene.dir.path().join("nats"), ports, &nodes, &["acme/mailer", "acme/archive"]);
    assert!(!written.to_string().contains("SU"), "no seed is shown: {written}");
    scene.nats.reload();
    let gone = async {
        while leaving.client.connection_state() == State::Connected
            || scene.let_in("beta_mailer").await.is_ok()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, gone).await.expect("who is not in the configuration is let go");
    // What a new account takes from another is there with the second reading, as of nats-server 2.15.
    scene.nats.reload();
    scene.make_durable("acme/archive");
    let issued = scene.admin.issue("acme", "list-sender");
    let archive = scene.consumer("acme_archive").await;
    let subject = format!("acme/{}", issued.key_id);
    assert_eq!(
        about(&read(&archive, "acme_archive", 1).await),
        [("rescind.key.issued.v1", subject.as_str())]
    );
}

#[test]
fn what_could_not_be_safe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("nats");
    let refused = |more: &[&str], words: &str| {
        let arguments = [&["nats", "config", "--out", out.to_str().unwrap()], more].concat();
        let output = rescind(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{more:?}: {said}");
        assert!(!out.exists(), "{more:?} wrote something");
    };
    refused(&["--node", "a=192.0.2.1"], "--tls-cert");
    refused(&["--node", "a=127.0.0.1", "--node", "b=127.0.0.2"], "3 or 5");
    refused(&["--node", "a=127.0.0.1", "--node", "a=127.0.0.2", "--node", "c=127.0.0.3"], "own name");
    refused(&["--node", "accounts=127.0.0.1"], "own name");
    refused(&["--node", "a=x\"y"], "NAME=HOST");
    refused(&["--consumer", "acme/*"], "TENANT/NAME");
    refused(&["--store", "a\"b"], "such a path");
    refused(&["--max-file", "1"], "2..=");
}
