//! What a start finds: nobody there, somebody else's streams, another handle that starts too.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use domain::LogId;
use eventlog::jetstream::{ConnectError, JetStream};
use eventlog::{Durability, EventLog};
use tests::nats::{NatsCluster, NatsServer, NatsSetup};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::given::{PATIENCE, append, appended, config, connect, everything, one, outsider};

async fn two_starts_make_one_history(urls: [String; 2], replicas: usize) {
    let [first, second] = urls;
    let (first, second) = tokio::join!(
        JetStream::connect(config(first, replicas, 11)),
        JetStream::connect(config(second, replicas, 22)),
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.log.log_id(), second.log.log_id());
    assert!([11, 22].map(LogId::from_u128).contains(&first.log.log_id()));
    assert_eq!(append(&first.log, one("acme.a", 0, 1)).await, appended(&[1]));
    assert_eq!(append(&second.log, one("acme.a", 1, 2)).await, appended(&[2]));
    assert_eq!(everything(&first.log).await, everything(&second.log).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_starts_on_an_empty_server_make_one_history() {
    let server = NatsServer::start().await;
    two_starts_make_one_history([server.url(), server.url()], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_proven_by_all_its_members() {
    let cluster = NatsCluster::start(3).await;
    let urls = cluster.urls();
    two_starts_make_one_history([urls[0].clone(), urls[1].clone()], 3).await;
    let monitors = cluster.monitor_url();
    let mut all = config(cluster.url(), 3, 1);
    all.monitor_url = Some(monitors.clone());
    assert_eq!(JetStream::connect(all.clone()).await.unwrap().log.durability(), Durability::OnDisk);
    all.monitor_url = monitors.rsplit_once(',').map(|(two, _)| two.to_owned());
    match JetStream::connect(all).await.unwrap().log.durability() {
        Durability::Unproven { reason } => assert!(reason.contains("node2"), "{reason}"),
        other => panic!("two of three members prove nothing, but: {other:?}"),
    }
}

#[tokio::test]
async fn nobody_there_is_told_within_seconds_and_without_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let error =
        JetStream::connect(config(format!("nats://mailer:s3cret@127.0.0.1:{port}"), 1, 1)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let text = error.to_string();
    assert!(matches!(error, ConnectError::Away { .. }), "{text}");
    assert!(text.contains(&format!("nats://127.0.0.1:{port}")) && text.contains("start it"), "{text}");
    assert!(!text.contains("s3cret") && !format!("{error:?}").contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_closed_door_is_told_at_once() {
    let extra = "authorization { user: mailer, password: s3cret }".to_owned();
    let server = NatsServer::start_with(&NatsSetup { extra, ..NatsSetup::default() }).await;
    let error = JetStream::connect(config(server.url(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    let url = server.url().replace("nats://", "nats://mailer:s3cret@");
    assert!(JetStream::connect(config(url, 1, 1)).await.is_ok());
}

#[tokio::test]
async fn an_older_server_is_refused_with_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let old = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let info =
            r#"INFO {"server_id":"OLD","version":"2.11.9","max_payload":1048576,"headers":true,"proto":1}"#;
        socket.write_all(format!("{info}\r\nPONG\r\n").as_bytes()).await.unwrap();
        socket
    });
    let error = timeout(PATIENCE, JetStream::connect(config(url, 1, 1))).await.unwrap().unwrap_err();
    assert!(matches!(&error, ConnectError::TooOld { version, .. } if version == "2.11.9"), "{error}");
    drop(old.await);
}

#[tokio::test]
async fn a_server_without_jetstream_is_told() {
    let server = NatsServer::start_with(&NatsSetup { no_jetstream: true, ..NatsSetup::default() }).await;
    let error = JetStream::connect(config(server.url(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoJetStream { .. }), "{error}");
}

/// Each of these would lose or reorder what was acknowledged.
#[tokio::test]
async fn a_log_that_could_lose_events_is_refused() {
    let server = NatsServer::start().await;
    drop(connect(&server).await);
    let js = outsider(&server.url()).await;
    let good = js.get_stream("RESCIND_LOG").await.unwrap().cached_info().config.clone();
    type Spoil = fn(&mut Config);
    let bad: [(&str, Spoil); 6] = [
        ("deny_delete", |config| config.deny_delete = false),
        ("age", |config| config.max_age = Duration::from_secs(86_400)),
        ("limit", |config| config.max_messages = 1_000_000),
        ("allow_atomic", |config| config.allow_atomic_publish = false),
        ("log_id", |config| config.metadata.clear()),
        ("subjects", |config| config.subjects = vec!["rescind.events.>".into()]),
    ];
    for (word, spoil) in bad {
        js.delete_stream("RESCIND_LOG").await.unwrap();
        let mut config_as_found = good.clone();
        spoil(&mut config_as_found);
        js.create_stream(config_as_found.clone()).await.unwrap();
        let error = JetStream::connect(config(server.url(), 1, 1)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unusable { .. }), "{word}: {error}");
        assert!(error.to_string().contains(word), "{word}: {error}");
        let now = js.get_stream("RESCIND_LOG").await.unwrap().cached_info().config.clone();
        assert_eq!(now.subjects, config_as_found.subjects, "what was found is not changed");
    }
}

#[tokio::test]
async fn durability_is_what_the_server_says_of_itself() {
    let server = NatsServer::start().await;
    assert!(matches!(connect(&server).await.log.durability(), Durability::Unproven { .. }), "nobody asked");
    let mut asked = config(server.url(), 1, 1);
    asked.monitor_url = Some(server.monitor_url());
    assert_eq!(JetStream::connect(asked.clone()).await.unwrap().log.durability(), Durability::OnDisk);

    let lazy = NatsServer::start_with(&NatsSetup { lazy_sync: true, ..NatsSetup::default() }).await;
    let mut asked_lazy = config(lazy.url(), 1, 1);
    asked_lazy.monitor_url = Some(lazy.monitor_url());
    match JetStream::connect(asked_lazy).await.unwrap().log.durability() {
        Durability::Unproven { reason } => assert!(reason.contains("sync_interval: always"), "{reason}"),
        other => panic!("a lazy server is no proof, but: {other:?}"),
    }
    asked.monitor_url = Some(lazy.monitor_url());
    let elsewhere = JetStream::connect(asked).await.unwrap().log.durability();
    assert!(matches!(elsewhere, Durability::Unproven { .. }), "another server's word");
}
