//! Asks the servers that hold the log whether they sync before they acknowledge.

use std::collections::BTreeSet;

use async_nats::Client;
use async_nats::jetstream::stream::Info;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::ANSWER_LIMIT;
use crate::port::Durability;

/// A server's `/varz` has some kilobytes.
const ANSWER_BYTES: u64 = 1024 * 1024;
/// The port that NATS documents for monitoring.
const MONITOR_PORT: u16 = 8222;

const REMEDY: &str = "set `jetstream { sync_interval: always }` on every server and name their monitoring addresses, \
                      --nats-monitor http://host:8222,…";

/// On disk only if each server that holds the log says so itself; a connection's own credentials do not show it.
pub(super) async fn prove(monitor_url: Option<&str>, client: &Client, log: &Info) -> Durability {
    let Some(urls) = monitor_url else {
        return unproven(format!("NATS was not asked whether it syncs before it acknowledges; {REMEDY}"));
    };
    let mut missing = members(client, log);
    for url in urls.split(',').map(str::trim) {
        match ask(url).await {
            Ok((server, true)) => {
                missing.remove(&server);
            }
            Ok((server, false)) => {
                return unproven(format!("NATS server {server} acknowledges before it syncs; {REMEDY}"));
            }
            Err(reason) => {
                return unproven(format!("{url} does not tell how NATS syncs ({reason}); {REMEDY}"));
            }
        }
    }
    if missing.is_empty() {
        return Durability::OnDisk;
    }
    let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
    unproven(format!("nobody asked the NATS servers {missing}, which hold the log, how they sync; {REMEDY}"))
}

fn unproven(reason: String) -> Durability {
    Durability::Unproven { reason }
}

/// The names of the servers that hold the log.
fn members(client: &Client, log: &Info) -> BTreeSet<String> {
    let cluster = log.cluster.iter();
    let names = cluster.flat_map(|cluster| {
        cluster.leader.iter().cloned().chain(cluster.replicas.iter().map(|replica| replica.name.clone()))
    });
    let mut names: BTreeSet<String> = names.collect();
    if names.is_empty() {
        names.insert(client.server_info().server_name);
    }
    names
}

/// A server's name, and whether it syncs always.
async fn ask(url: &str) -> Result<(String, bool), String> {
    let body = timeout(ANSWER_LIMIT, http_get(url, "/varz")).await.map_err(|_| "no answer".to_owned())??;
    let varz: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let name = varz["server_name"].as_str().ok_or("it is not NATS")?;
    Ok((name.to_owned(), varz["jetstream"]["config"]["sync_always"] == Value::Bool(true)))
}

/// One plain GET: NATS's monitoring is HTTP inside the house, and this is all we ask of it.
async fn http_get(url: &str, path: &str) -> Result<Vec<u8>, String> {
    let host = url.strip_prefix("http://").ok_or("it does not begin with http://")?.trim_end_matches('/');
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:{MONITOR_PORT}") };
    let mut stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("it is no HTTP answer")?;
    let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if status != b"200" {
        return Err(format!("HTTP status {}", String::from_utf8_lossy(status)));
    }
    Ok(answer.split_off(head + 4))
}
