//! The streams: how they are made, and what of an existing one we rely on.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, Info, PersistenceMode, Republish, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use domain::LogId;
use tokio::time::Instant;

use super::connect::ConnectError;

/// The stream that is the log.
pub(super) const LOG: &str = "RESCIND_LOG";
/// The stream of lease proofs, one message a handle.
pub(super) const PULSE: &str = "RESCIND_PULSE";
/// The stream of public notices.
pub(super) const FEED: &str = "RESCIND_FEED";

/// The stream of usage reports.
pub(super) const USAGE: &str = "RESCIND_USAGE";
/// The stream behind the key-value bucket `RESCIND_FLEET`: who is in the fleet, one message a server and guard.
pub(super) const FLEET: &str = "KV_RESCIND_FLEET";

/// What stands before a stream's name in the subject of its events.
pub(super) const EVENTS_PREFIX: &str = "rescind.events.";
/// What stands before a handle's id in the subject of its pulse.
pub(super) const PULSE_PREFIX: &str = "rescind.pulse.";
/// What stands before tenant, kind and key in the subject of a notice.
pub(super) const NOTICES_PREFIX: &str = "rescind.notices.";
/// What stands before run and kind in the subject of a usage report.
pub(super) const USAGE_PREFIX: &str = "rescind.usage.";
/// What stands before the name of a server or a guard in the subject of its entry.
pub(super) const FLEET_PREFIX: &str = "$KV.RESCIND_FLEET.";
/// What stands before a server's run in the subject of what it tells the others; kept nowhere.
pub(super) const FLEET_TELLS_PREFIX: &str = "rescind.fleet.";
/// What stands before tenant and key in the subject of a hint; kept nowhere, and in no stream's subjects.
pub(super) const HINTS_PREFIX: &str = "rescind.hints.";
/// Where the server repeats each notice for whoever listens now: outside the feed's own subjects.
const LIVE: &str = "rescind.live.>";

/// The metadata that names the history; drawn by whoever made the stream, never changed.
const LOG_ID: &str = "rescind.log_id";
/// The metadata that keeps a stream from being used as a log: a history is being copied into it.
pub(super) const STAGE: &str = "rescind.stage";
pub(super) const STAGE_COPYING: &str = "copying";
/// A handle that has not pulsed for so long is gone, and so is its message: handles come and go for years.
const PULSE_MAX_AGE: Duration = Duration::from_secs(3600);
/// Sums are kept by the day for 90 days, so a server that begins anew can add up as much.
const USAGE_MAX_AGE: Duration = Duration::from_hours(91 * 24);
/// Some 5 million sums of a key. What leaves the stream earlier is in the records of the servers that were there.
const USAGE_MAX_BYTES: i64 = 1 << 30;
/// A cluster that has just started elects for some seconds before it makes or finds a stream.
pub(super) const SETTLING_LIMIT: Duration = Duration::from_secs(15);
/// How often a settling cluster is asked again.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(100);

pub(super) fn log_config(replicas: usize, log_id: LogId) -> Config {
    Config {
        subjects: vec![format!("{EVENTS_PREFIX}*.*")],
        metadata: [(LOG_ID.to_owned(), log_id.to_string())].into(),
        ..history_config(LOG, replicas)
    }
}

/// The log's stream as a copy makes it: no log until that is finished.
pub(super) fn copy_config(replicas: usize, log_id: LogId) -> Config {
    let mut config = log_config(replicas, log_id);
    config.metadata.insert(STAGE.to_owned(), STAGE_COPYING.to_owned());
    config
}

pub(super) fn feed_config(replicas: usize) -> Config {
    Config {
        subjects: vec![format!("{NOTICES_PREFIX}>")],
        republish: Some(Republish {
            source: format!("{NOTICES_PREFIX}>"),
            destination: LIVE.to_owned(),
            headers_only: false,
        }),
        ..history_config(FEED, replicas)
    }
}

pub(super) fn pulse_config(replicas: usize) -> Config {
    Config {
        name: PULSE.to_owned(),
        subjects: vec![format!("{PULSE_PREFIX}*")],
        max_messages_per_subject: 1,
        max_age: PULSE_MAX_AGE,
        storage: StorageType::File,
        num_replicas: replicas,
        ..Config::default()
    }
}

/// Reports leave it by age and size, and those that a later one replaces at once.
pub(super) fn usage_config(replicas: usize) -> Config {
    Config {
        name: USAGE.to_owned(),
        subjects: vec![format!("{USAGE_PREFIX}*.*")],
        max_messages_per_subject: -1,
        max_age: USAGE_MAX_AGE,
        max_bytes: USAGE_MAX_BYTES,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_rollup: true,
        ..Config::default()
    }
}

/// An entry stays until it is deleted, and what marks its deletion goes by itself: guards come and go for years.
pub(super) fn fleet_config(replicas: usize) -> Config {
    Config {
        name: FLEET.to_owned(),
        subjects: vec![format!("{FLEET_PREFIX}>")],
        max_messages_per_subject: 1,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_direct: true,
        allow_rollup: true,
        allow_message_ttl: true,
        ..Config::default()
    }
}

/// Nothing ever leaves it, by age, by number or by hand.
fn history_config(name: &str, replicas: usize) -> Config {
    Config {
        name: name.to_owned(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        allow_atomic_publish: true,
        ..Config::default()
    }
}

/// The stream as it is: found, or made now. Of two that make it at once, the loser finds the winner's; neither changes it.
pub(super) async fn ensure(js: &Context, config: Config) -> Result<Info, ConnectError> {
    let stream = config.name.clone();
    let deadline = Instant::now() + SETTLING_LIMIT;
    loop {
        let reason = match find_or_make(js, &config).await {
            Ok(info) => return check(info, &config),
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Settling(reason)) => reason,
        };
        if Instant::now() >= deadline {
            return Err(ConnectError::Stream { stream, reason });
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

enum Trouble {
    /// The cluster elects, or another handle makes the same stream right now.
    Settling(String),
    Fatal(ConnectError),
}

async fn find_or_make(js: &Context, config: &Config) -> Result<Info, Trouble> {
    match find(js, &config.name).await {
        Err(Missing::NotThere) => {}
        Err(Missing::Unknown(reason)) => return Err(Trouble::Settling(reason)),
        Err(Missing::NoJetStream(reason)) => {
            return Err(Trouble::Fatal(ConnectError::NoJetStream { reason }));
        }
        Ok(info) => return Ok(info),
    }
    match js.create_stream(config.clone()).await {
        Ok(stream) => Ok(stream.cached_info().clone()),
        Err(error) => match error.kind() {
            CreateStreamErrorKind::JetStream(refusal) if !lost_the_race_or_early(refusal.error_code()) => {
                Err(Trouble::Fatal(ConnectError::Stream {
                    stream: config.name.clone(),
                    reason: refusal.to_string(),
                }))
            }
            _ => Err(Trouble::Settling(error.to_string())),
        },
    }
}

fn lost_the_race_or_early(code: ErrorCode) -> bool {
    let passing = [
        ErrorCode::STREAM_NAME_EXIST,
        ErrorCode::STREAM_SUBJECT_OVERLAP,
        ErrorCode::CLUSTER_NOT_AVAILABLE,
        ErrorCode::CLUSTER_NO_PEERS,
    ];
    passing.contains(&code)
}

pub(super) enum Missing {
    NotThere,
    NoJetStream(String),
    Unknown(String),
}

/// Asks the stream's leader what it is and where it ends.
pub(super) async fn find(js: &Context, stream: &str) -> Result<Info, Missing> {
    let answer: Result<Response<Info>, _> = js.request(format!("STREAM.INFO.{stream}"), &()).await;
    match answer {
        Ok(Response::Ok(info)) => Ok(info),
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Err(Missing::NotThere)
        }
        Ok(Response::Err { error })
            if [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT]
                .contains(&error.error_code()) =>
        {
            Err(Missing::NoJetStream(error.to_string()))
        }
        Ok(Response::Err { error }) => Err(Missing::Unknown(error.to_string())),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            Err(Missing::NoJetStream(error.to_string()))
        }
        Err(error) => Err(Missing::Unknown(error.to_string())),
    }
}

/// The name of the history that a stream holds.
pub(super) fn log_id(info: &Info) -> Option<LogId> {
    info.config.metadata.get(LOG_ID)?.parse().ok()
}

/// What keeps a stream from being used as a log, if anything does.
pub(super) fn stage(config: &serde_json::Value) -> Option<&str> {
    config["metadata"][STAGE].as_str()
}

/// Whether a history is being copied into a stream.
pub(super) fn is_copying(info: &Info) -> bool {
    info.config.metadata.contains_key(STAGE)
}

/// Refuses a stream that somebody set up in a way that could lose or reorder what we acknowledge.
fn check(info: Info, wanted: &Config) -> Result<Info, ConnectError> {
    let is = &info.config;
    let history = wanted.deny_delete;
    let endless = |limit: i64| limit <= 0;
    let wrong = if is.subjects != wanted.subjects {
        Some(format!("its subjects are {:?}, not {:?}", is.subjects, wanted.subjects))
    } else if is.storage != StorageType::File {
        Some("it does not use file storage".to_owned())
    } else if is.persist_mode == Some(PersistenceMode::Async) {
        Some("its persist_mode is async, which acknowledges before writing".to_owned())
    } else if is.mirror.is_some() || is.sources.is_some() || is.subject_transform.is_some() {
        Some("it is a mirror, has sources or transforms subjects".to_owned())
    } else if is.sealed || is.no_ack {
        Some("it is sealed or does not acknowledge".to_owned())
    } else if !history {
        if is.max_messages_per_subject != wanted.max_messages_per_subject {
            Some(format!("max_msgs_per_subject is not {}", wanted.max_messages_per_subject))
        } else if wanted.allow_message_ttl && !is.allow_message_ttl {
            Some("allow_msg_ttl must be set".to_owned())
        } else {
            (wanted.allow_rollup && !is.allow_rollup).then(|| "allow_rollup_hdrs must be set".to_owned())
        }
    } else if !(is.deny_delete && is.deny_purge) || is.allow_rollup {
        Some("deny_delete and deny_purge must be set, allow_rollup_hdrs not".to_owned())
    } else if !is.max_age.is_zero() || is.retention != RetentionPolicy::Limits || is.allow_message_ttl {
        Some("messages may leave it by age, TTL or retention".to_owned())
    } else if !(endless(is.max_messages) && endless(is.max_bytes) && endless(is.max_messages_per_subject)) {
        Some("it has a limit of messages or bytes".to_owned())
    } else if !(is.allow_atomic_publish && is.allow_direct) {
        Some("allow_atomic and allow_direct must be set".to_owned())
    } else if info.state.first_sequence > 1 || info.state.messages != info.state.last_sequence {
        Some(format!(
            "messages are missing: it holds {} of {}",
            info.state.messages, info.state.last_sequence
        ))
    } else if is.republish.as_ref().map(|r| (&r.source, &r.destination))
        != wanted.republish.as_ref().map(|r| (&r.source, &r.destination))
    {
        Some("its republish rule is another".to_owned())
    } else {
        None
    };
    match wrong {
        Some(reason) => Err(ConnectError::Unusable { stream: is.name.clone(), reason }),
        None => Ok(info),
    }
}
