//! The tenants' seals in a key-value bucket: each is created once and read from the leader.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Config, Store};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, StorageType};
use async_trait::async_trait;
use bytes::Bytes;
use domain::TenantId;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::{ANSWER_LIMIT, ConnectError, innermost};
use super::read::{silent, unavailable};
use super::streams::{ASK_AGAIN, SETTLING_LIMIT};
use crate::port::{ReadError, SealStore};

/// The bucket, and what NATS makes its stream and subjects from.
const BUCKET: &str = "RESCIND_SEALS";
const BUCKET_SUBJECTS: &str = "$KV.RESCIND_SEALS.";

/// How long putting a seal may take, with an election in between.
const PUT_LIMIT: Duration = Duration::from_secs(4);
/// How long one look within that waits. A bucket just made on a cluster elects its leader, and a question asked before that is
/// answered by nobody: it is asked again, not waited for.
const LOOK_LIMIT: Duration = Duration::from_millis(500);
/// The wait between two looks at a seal that another handle is putting.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Seals in NATS, beside the log that they open. What is put is on as many servers as the log.
#[derive(Clone, Debug)]
pub struct JetStreamSeals {
    store: Store,
}

impl JetStreamSeals {
    pub(super) async fn open(js: &Context, replicas: usize) -> Result<Self, ConnectError> {
        let config = Config {
            bucket: BUCKET.to_owned(),
            description: "tenants' seals, written once".to_owned(),
            history: 1,
            storage: StorageType::File,
            num_replicas: replicas,
            ..Config::default()
        };
        let deadline = Instant::now() + SETTLING_LIMIT;
        loop {
            if let Ok(store) = js.get_key_value(BUCKET).await {
                return Ok(Self { store });
            }
            // Refused while another handle makes it and while a cluster elects: the next look finds it or tries again.
            match js.create_key_value(config.clone()).await {
                Ok(store) => return Ok(Self { store }),
                Err(error) if Instant::now() >= deadline => {
                    let reason = innermost(&error);
                    return Err(ConnectError::Stream { stream: format!("KV_{BUCKET}"), reason });
                }
                Err(error) => tracing::debug!(%error, "the bucket of seals was not made; looking again"),
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Not the bucket's own `get`, which a member that is behind may answer.
    async fn at_leader(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        let subject = format!("{BUCKET_SUBJECTS}{tenant}");
        let last = self.store.stream.raw_message_builder().last_by_subject(subject).send();
        match timeout(ANSWER_LIMIT, last).await.map_err(|_| silent())? {
            // A deletion by hand leaves an empty message; a seal is never empty.
            Ok(message) => Ok(Some(message.payload.to_vec()).filter(|seal| !seal.is_empty())),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

#[async_trait]
impl SealStore for JetStreamSeals {
    async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        self.at_leader(tenant).await
    }

    async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError> {
        let deadline = Instant::now() + PUT_LIMIT;
        loop {
            match timeout(LOOK_LIMIT, self.at_leader(tenant)).await.unwrap_or_else(|_| Err(silent())) {
                Ok(Some(stands)) => return Ok(stands),
                Ok(None) => {}
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "a seal could not be looked for; asking again");
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
            }
            let create = self.store.create(tenant.as_str(), Bytes::copy_from_slice(seal));
            match timeout_at(deadline, create).await.map_err(|_| silent())? {
                Ok(_) => return Ok(seal.to_vec()),
                // Another write of it stands or is under way: with replicas it shows a moment later.
                Err(error) if Instant::now() >= deadline => return Err(unavailable(&error)),
                Err(error) => tracing::debug!(%error, "a seal was not created; looking again"),
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}
