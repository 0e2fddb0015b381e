//! Starts and stops: what a second one meets, what survives, and who the operator is after each.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use domain::{Environment, KeyId, ParsedKey, PlainSecret, Prefix, TenantId, format_key};
use tempfile::TempDir;

use super::{FirstStart, Node, StartError};
use crate::config::ServeConfig;

/// More than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(dir: &TempDir) -> ServeConfig {
    let mut config = ServeConfig::embedded(dir.path().join("data"));
    config.listen = "127.0.0.1:0".parse().unwrap();
    config
}

fn key_in(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Whether this whole key is an operator of the node.
fn is_operator(node: &Node, key: &str) -> bool {
    let parsed = ParsedKey::parse(key).unwrap();
    node.app.index.key(&TenantId::operators(), parsed.key_id).is_some()
}

/// The status line of an answer over the wire.
fn status_of(node: &Node, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(node.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: rescind\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_an_operator_and_a_restart_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    let path = node.operator_key_path().to_owned();
    assert_eq!(*node.first_start(), FirstStart::NewOperator(path.clone()));
    let key = key_in(&path);
    assert!(is_operator(&node, &key));
    assert_eq!(status_of(&node, "/readyz").unwrap(), "HTTP/1.1 200 OK");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let (log_id, head) = (node.log_id(), node.app.index.applied());
    node.stop().await;

    let node = Node::start(config(&dir)).await.unwrap();
    assert_eq!((node.first_start(), node.log_id()), (&FirstStart::Existing, log_id));
    assert_eq!((key_in(&path), node.app.index.applied()), (key, head));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_is_told_what_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    let error = Node::start(config(&dir)).await.err().unwrap();
    assert!(matches!(&error, StartError::InUse { path } if path.ends_with("data")), "{error}");
    let same_port = ServeConfig { listen: node.address(), ..config(&other) };
    let error = Node::start(same_port).await.err().unwrap().to_string();
    assert!(error.contains(&node.address().to_string()) && error.contains("--listen"), "{error}");
    node.stop().await;
    Node::start(config(&dir)).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_key_was_written_goes_on_with_that_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = config(&dir).data;
    std::fs::create_dir(&data).unwrap();
    let secret = PlainSecret::draw(|bytes| bytes.fill(3));
    let key = format_key(&Prefix::default(), Environment::Live, KeyId::from_u128(5), &secret);
    std::fs::write(data.join("operator.key"), format!("{}\n", key.expose())).unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    assert_eq!(*node.first_start(), FirstStart::NewOperator(data.join("operator.key")));
    assert!(is_operator(&node, key.expose()));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_log_is_set_aside_and_a_text_that_is_no_key_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    let path = node.operator_key_path().to_owned();
    node.stop().await;
    let secret = PlainSecret::draw(|bytes| bytes.fill(3));
    let foreign = format_key(&Prefix::default(), Environment::Live, KeyId::from_u128(5), &secret);
    std::fs::write(&path, foreign.expose()).unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    assert_eq!((node.first_start(), path.exists()), (&FirstStart::Existing, false));
    assert_eq!(key_in(&path.with_extension("key.other")), foreign.expose());
    node.stop().await;
    std::fs::write(&path, "not a key").unwrap();
    let error = Node::start(config(&dir)).await.err().unwrap();
    assert!(matches!(error, StartError::OperatorFile { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_the_log_gets_another_operator() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    let path = node.operator_key_path().to_owned();
    let first = key_in(&path);
    node.stop().await;
    let recovering = ServeConfig { recover_operator: true, ..config(&dir) };
    let node = Node::start(recovering).await.unwrap();
    assert_eq!(*node.first_start(), FirstStart::Recovered(path.clone()));
    let second = key_in(&path);
    assert_ne!(first, second);
    assert_eq!(key_in(&path.with_extension("key.old")), first);
    assert!(is_operator(&node, &first) && is_operator(&node, &second));
    node.stop().await;
    let node = Node::start(config(&dir)).await.unwrap();
    assert_eq!((node.first_start(), key_in(&path)), (&FirstStart::Existing, second));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_frees_the_address_and_leaves_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(config(&dir)).await.unwrap();
    let address = node.address();
    assert_eq!(status_of(&node, "/livez").unwrap(), "HTTP/1.1 200 OK");
    node.stop().await;
    assert!(TcpStream::connect(address).is_err());
    assert!(config(&dir).data.join("views/index.snapshot").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(config(&dir)).await.unwrap();
    let (failed, failure) = tokio::sync::watch::channel(None);
    node.failure = failure;
    node.workers
        .spawn(super::supervise("test worker", node.app.clone(), failed, async { panic!("planted") }));
    let reason = tokio::time::timeout(PATIENCE, node.stopped()).await.unwrap();
    assert_eq!(reason, "the test worker panicked");
    assert_eq!(status_of(&node, "/livez").unwrap(), "HTTP/1.1 503 Service Unavailable");
    node.stop().await;
}
