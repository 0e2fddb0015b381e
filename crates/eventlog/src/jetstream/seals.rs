//! Seals in a key-value bucket: a tenant's is created once, a subject's until it is destroyed, and each is read from the leader.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{
    Config, DeleteMessageError, DiscardPolicy, LastRawMessageErrorKind, StorageType,
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{OwnerTag, Subject, TenantId};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::{ANSWER_LIMIT, ConnectError, innermost};
use super::read::{silent, unavailable};
use super::streams::{ASK_AGAIN, SETTLING_LIMIT};
use crate::carried::CarriedSeals;
use crate::port::{ReadError, SealStore, SubjectSeal};
use crate::subject_name::{Name, name_of};

/// The bucket, and what NATS makes its stream and subjects from.
const BUCKET: &str = "RESCIND_SEALS";
const BUCKET_SUBJECTS: &str = "$KV.RESCIND_SEALS.";
const BUCKET_STREAM: &str = "KV_RESCIND_SEALS";
/// What stands before a subject's name in its key.
const SUBJECT: &str = "subject.";

/// How long putting a seal may take, with an election in between.
const PUT_LIMIT: Duration = Duration::from_secs(4);
/// How long one look within that waits. A bucket just made on a cluster elects its leader, and a question asked before that is
/// answered by nobody: it is asked again, not waited for.
const LOOK_LIMIT: Duration = Duration::from_millis(500);
/// How long all seals may take: some thousand a second.
const CARRY_LIMIT: Duration = Duration::from_secs(600);
/// The wait between two looks at a seal that another handle is putting.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Questions on their way at once: a page of a list asks for up to two hundred owners.
const ASKED_AT_ONCE: usize = 64;

/// Seals in NATS, beside the log that they open. What is put is on as many servers as the log.
#[derive(Clone, Debug)]
pub struct JetStreamSeals {
    store: Store,
}

impl JetStreamSeals {
    pub(super) async fn open(js: &Context, replicas: usize) -> Result<Self, ConnectError> {
        // As a bucket is made, but that messages can be deleted: what deletes one overwrites it where it lies. What only
        // replaces it would leave the secret on the disk until its block is rewritten.
        let config = Config {
            name: BUCKET_STREAM.to_owned(),
            description: Some("seals; what is destroyed is overwritten".to_owned()),
            subjects: vec![format!("{BUCKET_SUBJECTS}>")],
            max_messages_per_subject: 1,
            storage: StorageType::File,
            allow_rollup: true,
            deny_delete: false,
            deny_purge: false,
            allow_direct: true,
            num_replicas: replicas,
            discard: DiscardPolicy::New,
            ..Config::default()
        };
        let deadline = Instant::now() + SETTLING_LIMIT;
        loop {
            if let Ok(store) = js.get_key_value(BUCKET).await {
                return Ok(Self { store });
            }
            // Refused while another handle makes it and while a cluster elects: the next look finds it or tries again.
            match js.create_stream(config.clone()).await {
                Ok(_) => {}
                Err(error) if Instant::now() >= deadline => {
                    let reason = innermost(&error);
                    return Err(ConnectError::Stream { stream: BUCKET_STREAM.to_owned(), reason });
                }
                Err(error) => tracing::debug!(%error, "the bucket of seals was not made; looking again"),
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn of_tenant(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        // A deletion by hand leaves an empty message; a seal is never empty.
        let last = self.at_leader(tenant.as_str()).await?;
        Ok(last.map(|(_, seal)| seal).filter(|seal| !seal.is_empty()))
    }

    /// The last message of a key, and where it stands. Not the bucket's own `get`, which a member that is behind may answer.
    async fn at_leader(&self, key: &str) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
        let subject = format!("{BUCKET_SUBJECTS}{key}");
        let last = self.store.stream.raw_message_builder().last_by_subject(subject).send();
        match timeout(ANSWER_LIMIT, last).await.map_err(|_| silent())? {
            Ok(message) => Ok(Some((message.sequence, message.payload.to_vec()))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// A subject's seal and the sequence of its message; a message deleted by hand is none.
    async fn of_subject(&self, key: &str) -> Result<(u64, Option<SubjectSeal>), ReadError> {
        let last = self.at_leader(key).await?;
        Ok(last.map_or((0, None), |(sequence, bytes)| (sequence, read_subject(&bytes))))
    }

    /// Overwrites a message where it lies. A bucket of an earlier build does not let messages be deleted: then the secret
    /// leaves the disk when NATS next rewrites its block.
    async fn erase(&self, sequence: u64) -> Result<Overwritten, ReadError> {
        let deleted = timeout(ANSWER_LIMIT, self.store.stream.delete_message(sequence)).await;
        match deleted.map_err(|_| silent())? {
            Ok(_) => Ok(Overwritten::Yes),
            Err(error) if is_not_permitted(&error) => {
                tracing::warn!(
                    "the bucket of seals was made by an earlier build: a destroyed seal stays on NATS's disk for a while"
                );
                Ok(Overwritten::No)
            }
            // Whether it is there is looked at again.
            Err(error) => Err(unavailable(&error)),
        }
    }
}

/// What became of a message's bytes.
enum Overwritten {
    Yes,
    /// There was nothing to overwrite, or NATS does not do it.
    No,
}

/// The key of a subject: no tenant's name has a dot.
fn key_of(subject: &Subject) -> String {
    key_named(&name_of(subject))
}

fn key_named(name: &Name) -> String {
    format!("{SUBJECT}{:032x}", u128::from_be_bytes(*name))
}

fn named_subject(key: &str) -> Option<Name> {
    let hex = key.strip_prefix(SUBJECT).filter(|hex| hex.len() == 32)?;
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}

fn write_subject(seal: &SubjectSeal) -> Bytes {
    let mut bytes = seal.generation.to_be_bytes().to_vec();
    bytes.extend(seal.secret.iter().flatten());
    bytes.into()
}

fn read_subject(bytes: &[u8]) -> Option<SubjectSeal> {
    let (generation, secret) = bytes.split_first_chunk::<4>()?;
    Some(SubjectSeal { generation: u32::from_be_bytes(*generation), secret: secret.try_into().ok() })
}

/// NATS has no code of its own for it.
fn is_not_permitted(error: &DeleteMessageError) -> bool {
    innermost(error).contains("not permitted")
}

#[async_trait]
impl SealStore for JetStreamSeals {
    async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        self.of_tenant(tenant).await
    }

    async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError> {
        let deadline = Instant::now() + PUT_LIMIT;
        loop {
            match timeout(LOOK_LIMIT, self.of_tenant(tenant)).await.unwrap_or_else(|_| Err(silent())) {
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

    async fn subject_seals(
        &self,
        tenant: &TenantId,
        owners: &[OwnerTag],
    ) -> Result<Vec<Option<SubjectSeal>>, ReadError> {
        let keys: Vec<String> =
            owners.iter().map(|owner| key_of(&Subject { tenant: tenant.clone(), owner: *owner })).collect();
        let asked = stream::iter(keys).map(|key| async move { Ok(self.of_subject(&key).await?.1) });
        asked.buffered(ASKED_AT_ONCE).try_collect().await
    }

    async fn put_subject_seal(
        &self,
        subject: &Subject,
        offered: &SubjectSeal,
    ) -> Result<SubjectSeal, ReadError> {
        self.put_at(&key_of(subject), offered).await
    }

    async fn destroy_subject_seal(&self, subject: &Subject, generation: u32) -> Result<(), ReadError> {
        self.destroy_at(&key_of(subject), generation).await
    }

    async fn carry(&self) -> Result<CarriedSeals, ReadError> {
        let listing = async {
            let names = self.store.keys().await.map_err(|error| unavailable(&innermost(&error)))?;
            let names: Vec<String> =
                names.try_collect().await.map_err(|error| unavailable(&innermost(&error)))?;
            let read = stream::iter(names).map(|name| async move {
                let found = self.at_leader(&name).await?;
                Ok::<_, ReadError>(found.map(|(_, bytes)| (name, bytes)))
            });
            let read: Vec<Option<(String, Vec<u8>)>> = read.buffered(ASKED_AT_ONCE).try_collect().await?;
            let mut carried = CarriedSeals::default();
            for (name, bytes) in read.into_iter().flatten() {
                if let Some(subject) = named_subject(&name) {
                    carried.subjects.extend(read_subject(&bytes).map(|seal| (subject, seal)));
                } else if let (Ok(tenant), false) = (name.parse(), bytes.is_empty()) {
                    carried.tenants.push((tenant, bytes));
                }
            }
            carried.tenants.sort();
            carried.subjects.sort_by_key(|(name, _)| *name);
            Ok(carried)
        };
        timeout(CARRY_LIMIT, listing).await.map_err(|_| silent())?
    }

    async fn take_in(&self, seals: CarriedSeals) -> Result<Option<TenantId>, ReadError> {
        for (tenant, seal) in &seals.tenants {
            if self.put_seal_once(tenant, seal).await? != *seal {
                return Ok(Some(tenant.clone()));
            }
        }
        let put = stream::iter(seals.subjects).map(|(name, seal)| async move {
            let key = key_named(&name);
            match &seal.secret {
                Some(_) => self.put_at(&key, &seal).await.map(drop),
                None => self.destroy_at(&key, seal.generation).await,
            }
        });
        put.buffered(ASKED_AT_ONCE).try_collect::<()>().await?;
        Ok(None)
    }
}

impl JetStreamSeals {
    async fn put_at(&self, key: &str, offered: &SubjectSeal) -> Result<SubjectSeal, ReadError> {
        let deadline = Instant::now() + PUT_LIMIT;
        loop {
            let looked = timeout(LOOK_LIMIT, self.of_subject(key)).await.unwrap_or_else(|_| Err(silent()));
            let last = match looked {
                Ok((_, Some(stands))) if stands.outlasts(offered) => return Ok(stands),
                Ok((last, _)) => last,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "a subject's seal could not be looked for; asking again");
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
            };
            let put = self.store.update(key, write_subject(offered), last);
            match timeout_at(deadline, put).await.map_err(|_| silent())? {
                Ok(_) => return Ok(offered.clone()),
                // Another write of it stands or is under way: with replicas it shows a moment later.
                Err(error) if Instant::now() >= deadline => return Err(unavailable(&error)),
                Err(error) => tracing::debug!(%error, "a subject's seal was not put; looking again"),
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn destroy_at(&self, key: &str, generation: u32) -> Result<(), ReadError> {
        let deadline = Instant::now() + PUT_LIMIT;
        loop {
            let (last, stands) = self.of_subject(key).await?;
            let whole = match stands {
                Some(stands) if stands.generation > generation => return Ok(()),
                Some(SubjectSeal { generation: of, secret: None }) if of == generation => return Ok(()),
                stands => stands.is_some_and(|stands| stands.secret.is_some()),
            };
            // If we stop after it there is no seal, and no word that there was one: whoever asks again writes that.
            let failed = match whole {
                true => self.erase(last).await,
                false => Ok(Overwritten::No),
            };
            let failed = match failed {
                // What stands now is looked at anew.
                Ok(Overwritten::Yes) => continue,
                Ok(Overwritten::No) => {
                    let tombstone = write_subject(&SubjectSeal::destroyed(generation));
                    let put = self.store.update(key, tombstone, last);
                    match timeout_at(deadline, put).await.map_err(|_| silent())? {
                        Ok(_) => return Ok(()),
                        Err(error) => unavailable(&error),
                    }
                }
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(failed);
            }
            tracing::debug!(error = %failed, "a seal was not destroyed; looking again");
            sleep(LOOK_AGAIN).await;
        }
    }
}
