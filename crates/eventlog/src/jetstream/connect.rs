//! Reaches NATS, checks what it finds there, and makes what is missing.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::stream::Config as StreamConfig;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use domain::LogId;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::durability;
use super::feed::NoticeFeed;
use super::fleet::FleetRegistry;
use super::hints::HintSpeaker;
use super::log::{Core, JetStreamLog};
use super::seals::JetStreamSeals;
use super::streams::{
    self, Missing, copy_config, feed_config, fleet_config, log_config, pulse_config, usage_config,
};
use super::usage::UsageStream;
use crate::port::{Durability, NewEvent};

/// How long a start waits for NATS: services are often started side by side with it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How often a start tries again within that.
const CONNECT_AGAIN: Duration = Duration::from_millis(250);
/// Two unanswered pings end a connection, so a half-open one is noticed within 6 s.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// The longest wait between two attempts to connect again: verifiers go stale in 5 s.
const RECONNECT_MAX: Duration = Duration::from_millis(500);
/// How long one request or publish waits for its answer before its outcome counts as unknown.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Publishes that wait for their acknowledgement at once, notices included.
const ACKS_IN_FLIGHT: usize = 4096;
/// The first server with atomic batches.
const OLDEST: (i64, i64, i64) = (2, 12, 0);
/// Headers and subject beside a payload: far more than ours take.
const MESSAGE_OVERHEAD: usize = 8 * 1024;

/// Where the log is and how to get in.
#[derive(Clone)]
pub struct JetStreamConfig {
    /// One or more servers, `nats://host:port` or `tls://host:port`, separated by commas.
    pub url: String,
    /// A credentials file of the account that holds the streams.
    pub creds: Option<PathBuf>,
    /// A file with the nkey seed of that account's user, in place of credentials.
    pub nkey: Option<PathBuf>,
    /// The authority that signed the servers' certificates, where it is not a public one; demands TLS.
    pub ca: Option<PathBuf>,
    /// How many servers hold each stream that is made here; existing ones are taken as they are.
    pub replicas: usize,
    /// The name of the history if it is this handle that begins it.
    pub new_log_id: LogId,
    /// Where the servers answer `/varz`, `http://host:port`, separated by commas: proof that they sync before they acknowledge.
    pub monitor_url: Option<String>,
}

/// A URL may hold a password.
impl fmt::Debug for JetStreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamConfig")
            .field("url", &without_password(&self.url))
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

/// Why there is no log on NATS to work with.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nobody answers there.
    #[error(
        "NATS at {url} cannot be reached ({reason}); start it, or name the server that runs, as nats://host:port"
    )]
    Away {
        /// Where it was looked for.
        url: String,
        /// What the last attempt met.
        reason: String,
    },
    /// It answers and does not let us in.
    #[error(
        "NATS at {url} refuses this client ({reason}); give it the credentials file, or the nkey seed, of the account that holds the log"
    )]
    Refused {
        /// Whom we asked.
        url: String,
        /// What it said.
        reason: String,
    },
    /// No address at all.
    #[error("{url} is no address of a NATS server ({reason}); write nats://host:port or tls://host:port")]
    Address {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials, the seed or the certificate cannot be used.
    #[error("the NATS credentials, seed or certificate file {path} cannot be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// A server that lacks what the log needs.
    #[error("NATS at {url} is version {version}, and the log needs 2.12 or later; upgrade the server")]
    TooOld {
        /// Whom we asked.
        url: String,
        /// What it said it is.
        version: String,
    },
    /// A server without JetStream, or an account without it.
    #[error(
        "this NATS account has no JetStream ({reason}); enable it in the server's configuration and for the account"
    )]
    NoJetStream {
        /// What the server said.
        reason: String,
    },
    /// A server that takes smaller messages than an event may be.
    #[error("the NATS server's max_payload is {is} bytes, and the log needs {needs}; raise it")]
    SmallPayload {
        /// What the server takes.
        is: usize,
        /// What an event may need.
        needs: usize,
    },
    /// A stream that can neither be found nor made.
    #[error("stream {stream} can neither be found nor made: {reason}")]
    Stream {
        /// Which stream or bucket.
        stream: String,
        /// What the server said last.
        reason: String,
    },
    /// A stream that somebody set up in a way that the log cannot rely on.
    #[error("stream {stream} cannot hold what it should: {reason}")]
    Unusable {
        /// Which stream.
        stream: String,
        /// What must be otherwise.
        reason: String,
    },
}

/// One connection and all that the service keeps behind it.
#[derive(Clone, Debug)]
pub struct JetStream {
    /// The log.
    pub log: Arc<JetStreamLog>,
    /// The tenants' seals.
    pub seals: JetStreamSeals,
    /// The public announcements.
    pub feed: NoticeFeed,
    /// What servers report of usage.
    pub usage: UsageStream,
    /// Which servers and guards there are.
    pub fleet: FleetRegistry,
    /// Word of endings ahead of the feed.
    pub hints: HintSpeaker,
}

impl JetStream {
    /// Connects, finds or makes the streams, and says what an acknowledgement means there.
    ///
    /// # Errors
    /// [`ConnectError`], within some seconds, with what to do about it.
    pub async fn connect(config: JetStreamConfig) -> Result<Self, ConnectError> {
        let make = log_config(config.replicas, config.new_log_id);
        let (opened, is_copying) = Self::open(config, Some(make)).await?;
        if is_copying { Err(unfinished()) } else { Ok(opened) }
    }

    /// The same, but makes no log: there has to be one.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_existing(config: JetStreamConfig) -> Result<Self, ConnectError> {
        let (opened, is_copying) = Self::open(config, None).await?;
        if is_copying { Err(unfinished()) } else { Ok(opened) }
    }

    /// The same for whoever copies a history into it; whether the stream says that it is no log yet.
    pub(super) async fn connect_copying(config: JetStreamConfig) -> Result<(Self, bool), ConnectError> {
        let make = copy_config(config.replicas, config.new_log_id);
        Self::open(config, Some(make)).await
    }

    /// `make` is the log's stream if there is none.
    async fn open(config: JetStreamConfig, make: Option<StreamConfig>) -> Result<(Self, bool), ConnectError> {
        let (client, connects) = reach(&config).await?;
        let js = ContextBuilder::new()
            .timeout(ANSWER_LIMIT)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        check_server(&client, &config.url)?;
        let make = match make {
            Some(make) => make,
            None => match streams::find(&js, streams::LOG).await {
                Err(Missing::NotThere) => {
                    let reason = "there is no log on this NATS".to_owned();
                    return Err(ConnectError::Stream { stream: streams::LOG.to_owned(), reason });
                }
                // What else is wrong is told by whoever makes sure of it.
                _ => log_config(config.replicas, config.new_log_id),
            },
        };
        let info = streams::ensure(&js, make).await?;
        let is_copying = streams::is_copying(&info);
        let log_id = streams::log_id(&info).ok_or_else(|| ConnectError::Unusable {
            stream: streams::LOG.to_owned(),
            reason: "its metadata has no rescind.log_id; it was not made by this program".to_owned(),
        })?;
        streams::ensure(&js, pulse_config(config.replicas)).await?;
        streams::ensure(&js, feed_config(config.replicas)).await?;
        streams::ensure(&js, usage_config(config.replicas)).await?;
        streams::ensure(&js, fleet_config(config.replicas)).await?;
        let seals = JetStreamSeals::open(&js, config.replicas).await?;
        let replicas = info.config.num_replicas;
        if replicas == 1 && client.server_info().cluster.is_some() {
            tracing::warn!(
                stream = streams::LOG,
                "the log has one replica on a NATS cluster: if that server is lost, so is the log"
            );
        }
        let durability = durability::prove(config.monitor_url.as_deref(), &client, &info).await;
        if let Durability::Unproven { reason } = &durability {
            tracing::warn!(reason, "durability: unproven; what is acknowledged may not be on disk yet");
        }
        let core = Arc::new(Core::new(client, js, log_id, replicas, durability, connects).await?);
        let log = Arc::new(JetStreamLog::start(Arc::clone(&core)));
        let (feed, usage) = (NoticeFeed::new(Arc::clone(&core)), UsageStream::new(Arc::clone(&core)));
        let hints = HintSpeaker::new(Arc::clone(&core));
        let opened = Self { log, seals, feed, usage, fleet: FleetRegistry::new(core), hints };
        Ok((opened, is_copying))
    }

    /// Takes no more appends, waits a bounded time for those that are under way, and says good-bye to the server.
    pub async fn shutdown(&self) {
        self.log.shutdown().await;
    }
}

fn unfinished() -> ConnectError {
    ConnectError::Unusable {
        stream: streams::LOG.to_owned(),
        reason: "a copy into it was not finished; run the same `rescind log copy` again, which goes on where it stopped"
            .to_owned(),
    }
}

/// Connects within [`CONNECT_LIMIT`]. The receiver's number grows with every connection made.
pub(super) async fn reach(config: &JetStreamConfig) -> Result<(Client, watch::Receiver<u64>), ConnectError> {
    let url = without_password(&config.url);
    let servers: Vec<&str> = config.url.split(',').map(str::trim).collect();
    let deadline = Instant::now() + CONNECT_LIMIT;
    loop {
        let (sender, connects) = watch::channel(0);
        let attempt = options(config, sender).await?.connect(&servers[..]);
        let reason = match timeout(CONNECT_LIMIT, attempt).await {
            Ok(Ok(client)) => return Ok((client, connects)),
            Ok(Err(error)) => match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    return Err(ConnectError::Refused { url, reason: error.kind().to_string() });
                }
                ConnectErrorKind::ServerParse => {
                    return Err(ConnectError::Address { url, reason: innermost(&error) });
                }
                _ => innermost(&error),
            },
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() >= deadline {
            return Err(ConnectError::Away { url, reason });
        }
        tokio::time::sleep(CONNECT_AGAIN).await;
    }
}

async fn options(
    config: &JetStreamConfig,
    connects: watch::Sender<u64>,
) -> Result<ConnectOptions, ConnectError> {
    let unusable = |path: &PathBuf| {
        let path = path.clone();
        move |source| ConnectError::File { path, source }
    };
    let mut options = ConnectOptions::new();
    if let Some((user, password)) = config.url.split(',').find_map(user_and_password) {
        options = options.user_and_password(user, password);
    }
    if let Some(creds) = &config.creds {
        options = options.credentials_file(creds).await.map_err(unusable(creds))?;
    }
    if let Some(nkey) = &config.nkey {
        let seed = tokio::fs::read_to_string(nkey).await.map_err(unusable(nkey))?;
        options = options.nkey(seed.trim().to_owned());
    }
    if let Some(ca) = &config.ca {
        tokio::fs::metadata(ca).await.map_err(unusable(ca))?;
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    Ok(options
        .name("rescind")
        .ping_interval(PING_INTERVAL)
        .connection_timeout(ANSWER_LIMIT)
        .request_timeout(Some(ANSWER_LIMIT))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            tell(&event);
            if matches!(event, Event::Connected) {
                connects.send_modify(|connects| *connects += 1);
            }
            std::future::ready(())
        }))
}

/// Doubles from 4 ms and strays by half, so that a fleet does not come back in one instant.
fn reconnect_delay(attempts: usize) -> Duration {
    use std::hash::BuildHasher;
    let full = Duration::from_millis(4 << attempts.min(7)).min(RECONNECT_MAX);
    let stray = std::collections::hash_map::RandomState::new().hash_one(attempts) % 512;
    full / 2 + full.mul_f64(stray as f64 / 1024.0)
}

fn tell(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is gone; connecting again"),
        Event::SlowConsumer(id) => {
            tracing::warn!(subscription = id, "NATS messages were dropped here; reading them again");
        }
        Event::ServerError(error) => tracing::warn!(%error, "the NATS server reports an error"),
        Event::ClientError(error) => tracing::debug!(%error, "the NATS client reports an error"),
        Event::LameDuckMode => tracing::warn!("the NATS server is about to stop"),
        Event::Draining | Event::Closed => tracing::debug!("the connection to NATS is closing"),
    }
}

fn check_server(client: &Client, url: &str) -> Result<(), ConnectError> {
    let info = client.server_info();
    if !client.is_server_compatible(OLDEST.0, OLDEST.1, OLDEST.2) {
        return Err(ConnectError::TooOld { url: without_password(url), version: info.version });
    }
    let needs = NewEvent::MAX_PAYLOAD + MESSAGE_OVERHEAD;
    if info.max_payload < needs {
        return Err(ConnectError::SmallPayload { is: info.max_payload, needs });
    }
    Ok(())
}

/// What went wrong at the bottom: the outer errors only say that something did.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The user in a URL, which the client itself does not look for.
fn user_and_password(url: &str) -> Option<(String, String)> {
    let address: ServerAddr = url.trim().parse().ok()?;
    Some((unescaped(address.username()?), unescaped(address.password().unwrap_or_default())))
}

/// `%40` is `@`: a password in a URL is written so.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        let hex = others.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The servers' addresses as they may be shown.
pub(super) fn without_password(urls: &str) -> String {
    let shown = urls.split(',').map(|url| {
        let url = url.trim();
        let (scheme, rest) =
            url.split_once("://").map_or(("", url), |(_, rest)| (&url[..url.len() - rest.len()], rest));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}{host}")
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        assert_eq!(
            without_password("nats://mailer:pass@word@a:4222, tls://b:4222"),
            "nats://a:4222,tls://b:4222"
        );
        assert_eq!(without_password("mailer:secret@a:4222"), "a:4222");
    }

    #[test]
    fn a_user_in_a_url_is_found() {
        let found = user_and_password(" nats://mailer:p%40ss%2Fw%zz@a:4222");
        assert_eq!(found, Some(("mailer".to_owned(), "p@ss/w%zz".to_owned())));
        assert_eq!(user_and_password("nats://a:4222"), None);
    }

    #[test]
    fn a_connection_is_tried_again_within_half_a_second() {
        for attempts in 0..100 {
            let delay = reconnect_delay(attempts);
            assert!(delay <= RECONNECT_MAX && delay >= Duration::from_millis(2), "{attempts}: {delay:?}");
        }
    }
}
