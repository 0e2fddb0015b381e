//! Webhooks: notices sent to whoever asked for them, signed as Standard Webhooks has it, until they were received.
//!
//! **Whose they are.** A webhook is in the record of the server where it was added, and that server alone sends for it. With
//! several servers on one log nobody sends twice; while that server is away its webhooks wait.
//!
//! **Order and at least once.** One notice at a time, in the order of positions, the next only when the one before was
//! received or given up. The queue is the log itself: a webhook keeps the position up to which all is done, and the view of
//! notices has the rest, so nothing grows while a receiver is away. The position is written after the answer, so a crash in
//! between sends a notice again, under the same `webhook-id`.

mod address;
mod hook;
mod record;
mod secret;
mod send;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use domain::{LogId, TenantId};
use parking_lot::{Mutex, RwLock};
use projection::RecordPlace;
use projection::tree::{Batch, Tree, TreeError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::error;

pub(crate) use self::address::{Reach, look_up, read_url};
pub(crate) use self::hook::{DeadLetter, State, Webhook, WebhookId};
use self::record::Remembered;
pub(crate) use self::secret::WebhookSecret;
pub(crate) use self::worker::run;

/// Webhooks of one tenant.
pub(crate) const TENANT_MAX: usize = 16;
/// Webhooks of one server: each has a task and at most one connection.
const SERVER_MAX: usize = 256;

/// The record, shared by those who change webhooks and those who send. A clone is the same.
#[derive(Clone)]
pub(crate) struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    place: RecordPlace,
    log_id: LogId,
    reach: Reach,
    schedule: Vec<Duration>,
    /// Held by the one that writes.
    tree: Mutex<Opened>,
    /// Exchanged under the writer's lock, after the batch that says the same is applied.
    remembered: RwLock<Remembered>,
    /// Counted up whenever somebody added, removed or changed a webhook.
    changed: watch::Sender<u64>,
}

/// The record's store.
enum Opened {
    /// It is not needed before there is a webhook, or it did not open: tried again when somebody asks.
    NotYet,
    Open(Box<dyn Tree>),
    /// The server stops.
    Closed,
}

/// What became of a webhook to be added.
pub(crate) enum Added {
    New,
    /// The same command added it before, as it stands here.
    There(Box<Webhook>),
    TooMany,
}

/// What an attempt does beside changing the webhook.
pub(super) enum Letters {
    Untouched,
    Put(u64, DeadLetter),
    Remove(u64),
}

impl Webhooks {
    /// Opens the record if there is one. If that cannot be, webhooks are neither shown nor sent until it does, and the log
    /// says so.
    pub(crate) async fn open(
        place: RecordPlace,
        log_id: LogId,
        reach: Reach,
        schedule: Vec<Duration>,
    ) -> Self {
        let is_there = place.is_there();
        let webhooks = Self {
            inner: Arc::new(Inner {
                place,
                log_id,
                reach,
                schedule,
                tree: Mutex::new(Opened::NotYet),
                remembered: RwLock::new(Remembered::default()),
                changed: watch::Sender::new(0),
            }),
        };
        if is_there && let Err(error) = webhooks.on_disk(|_, _| Ok(())).await {
            error!(%error, "the record of webhooks does not open; none is sent until it does");
        }
        webhooks
    }

    pub(crate) fn reach(&self) -> Reach {
        self.inner.reach
    }

    /// Those of a tenant, or all, by id.
    pub(crate) fn list(&self, tenant: Option<&TenantId>) -> Vec<(WebhookId, Webhook)> {
        let remembered = self.inner.remembered.read();
        let wanted = remembered.webhooks.iter();
        let wanted = wanted.filter(|(_, webhook)| tenant.is_none_or(|tenant| webhook.tenant == *tenant));
        wanted.map(|(id, webhook)| (*id, webhook.clone())).collect()
    }

    pub(crate) fn find(&self, id: WebhookId) -> Option<Webhook> {
        self.inner.remembered.read().webhooks.get(&id).cloned()
    }

    /// Adds a webhook. Durable on return.
    pub(crate) async fn add(&self, id: WebhookId, webhook: Webhook) -> Result<Added, TreeError> {
        self.write(move |inner, tree| {
            {
                let there = inner.remembered.read();
                if let Some(webhook) = there.webhooks.get(&id) {
                    return Ok(Added::There(Box::new(webhook.clone())));
                }
                let of_tenant = there.webhooks.values().filter(|other| other.tenant == webhook.tenant);
                if of_tenant.count() >= TENANT_MAX || there.webhooks.len() >= SERVER_MAX {
                    return Ok(Added::TooMany);
                }
            }
            let mut batch = Batch::new();
            record::put_webhook(&mut batch, id, &webhook);
            tree.apply(batch)?;
            tree.flush()?;
            inner.remembered.write().webhooks.insert(id, webhook);
            Ok(Added::New)
        })
        .await
    }

    /// Removes a webhook and its dead letters. Durable on return.
    pub(crate) async fn remove(&self, id: WebhookId) -> Result<(), TreeError> {
        self.write(move |inner, tree| {
            let mut batch = Batch::new();
            record::remove_webhook(tree, &mut batch, id)?;
            tree.apply(batch)?;
            tree.flush()?;
            let mut remembered = inner.remembered.write();
            remembered.webhooks.remove(&id);
            remembered.due.retain(|(of, _)| *of != id);
            Ok(())
        })
        .await
    }

    /// Signs with a new secret, and with the one before until a time. Durable on return; false if this command did so before.
    pub(crate) async fn rotate(
        &self,
        id: WebhookId,
        secret: WebhookSecret,
        until: u64,
        command: String,
    ) -> Result<bool, TreeError> {
        self.write(move |inner, tree| {
            let Some(mut webhook) = inner.webhook(id) else { return Ok(false) };
            if webhook.rotated_by.as_ref() == Some(&command) {
                return Ok(false);
            }
            webhook.rotate(secret, until, &command);
            let mut batch = Batch::new();
            record::put_webhook(&mut batch, id, &webhook);
            tree.apply(batch)?;
            tree.flush()?;
            inner.remembered.write().webhooks.insert(id, webhook);
            Ok(true)
        })
        .await
    }

    /// Has dead letters sent again, those at the positions or all, and enables the webhook. Durable on return; says how many.
    pub(crate) async fn redeliver(&self, id: WebhookId, positions: Vec<u64>) -> Result<u32, TreeError> {
        self.write(move |inner, tree| {
            let Some(mut webhook) = inner.webhook(id) else { return Ok(0) };
            webhook.enable();
            let mut letters = record::letters(tree, id, 0, usize::MAX)?;
            letters.retain(|(position, _)| positions.is_empty() || positions.contains(position));
            let mut batch = Batch::new();
            record::put_webhook(&mut batch, id, &webhook);
            for (position, letter) in &mut letters {
                letter.due = true;
                record::put_letter(&mut batch, id, *position, letter);
            }
            tree.apply(batch)?;
            tree.flush()?;
            let mut remembered = inner.remembered.write();
            remembered.webhooks.insert(id, webhook);
            remembered.due.extend(letters.iter().map(|(position, _)| (id, *position)));
            Ok(u32::try_from(letters.len()).unwrap_or(u32::MAX))
        })
        .await
    }

    /// The dead letters behind a position.
    pub(crate) async fn dead_letters(
        &self,
        id: WebhookId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, DeadLetter)>, TreeError> {
        self.on_disk(move |_, tree| record::letters(tree, id, after, limit)).await
    }

    /// Makes durable what attempts changed.
    pub(crate) async fn flush(&self) {
        let inner = Arc::clone(&self.inner);
        let flush = move || match &*inner.tree.lock() {
            Opened::Open(tree) => tree.flush(),
            Opened::NotYet | Opened::Closed => Ok(()),
        };
        if let Err(error) = spawn_blocking(flush).await.unwrap_or_else(|_| Err(closed())) {
            error!(%error, "the record of webhooks cannot be written; after a restart notices are sent again");
        }
    }

    /// Writes the rest and closes the record.
    pub(crate) async fn close(&self) {
        self.flush().await;
        *self.inner.tree.lock() = Opened::Closed;
    }

    /// What an attempt changed. Not durable yet: if we stop before the next flush, the notice is sent again. Without a disk it
    /// is only remembered, so that a receiver is not sent the same thing over and over.
    async fn progress<T: Send + 'static>(
        &self,
        id: WebhookId,
        change: impl FnOnce(&mut Webhook) -> (T, Letters) + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(&self.inner);
        let work = move || {
            let tree = inner.tree.lock();
            let mut webhook = inner.webhook(id)?;
            let (outcome, letters) = change(&mut webhook);
            let written = match &*tree {
                Opened::Open(tree) => write_progress(&**tree, id, &webhook, &letters),
                Opened::NotYet | Opened::Closed => Err(closed()),
            };
            if let Err(error) = written {
                error!(%error, webhook.id = %id, "the record of webhooks cannot be written");
            }
            let mut remembered = inner.remembered.write();
            if let Letters::Put(position, _) | Letters::Remove(position) = letters {
                remembered.due.remove(&(id, position));
            }
            remembered.webhooks.insert(id, webhook);
            Some(outcome)
        };
        spawn_blocking(work).await.ok().flatten()
    }

    /// The first dead letter of a webhook that is to be sent again.
    fn first_due(&self, id: WebhookId) -> Option<u64> {
        let remembered = self.inner.remembered.read();
        remembered.due.range((id, 0)..=(id, u64::MAX)).next().map(|(_, position)| *position)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &dyn Tree) -> Result<T, TreeError> + Send + 'static,
    ) -> Result<T, TreeError> {
        let done = self.on_disk(work).await?;
        self.inner.changed.send_modify(|changes| *changes += 1);
        Ok(done)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &dyn Tree) -> Result<T, TreeError> + Send + 'static,
    ) -> Result<T, TreeError> {
        let inner = Arc::clone(&self.inner);
        let work = move || {
            let mut tree = inner.tree.lock();
            inner.be_open(&mut tree)?;
            match &*tree {
                Opened::Open(tree) => work(&inner, &**tree),
                Opened::NotYet | Opened::Closed => Err(closed()),
            }
        };
        spawn_blocking(work).await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Inner {
    fn webhook(&self, id: WebhookId) -> Option<Webhook> {
        self.remembered.read().webhooks.get(&id).cloned()
    }

    fn be_open(&self, tree: &mut Opened) -> Result<(), TreeError> {
        if matches!(tree, Opened::NotYet) {
            let (opened, remembered) = record::open(&self.place, self.log_id)?;
            *self.remembered.write() = remembered;
            *tree = Opened::Open(opened);
            self.changed.send_modify(|changes| *changes += 1);
        }
        Ok(())
    }
}

fn write_progress(
    tree: &dyn Tree,
    id: WebhookId,
    webhook: &Webhook,
    letters: &Letters,
) -> Result<(), TreeError> {
    let mut batch = Batch::new();
    match letters {
        Letters::Untouched => {}
        Letters::Put(position, letter) => record::put_letter(&mut batch, id, *position, letter),
        Letters::Remove(position) => record::remove_letter(&mut batch, id, *position),
    }
    record::put_webhook(&mut batch, id, webhook);
    tree.apply(batch)
}

fn closed() -> TreeError {
    TreeError::Io { reason: "the record of webhooks is closed".to_owned() }
}

#[cfg(test)]
mod tests;
