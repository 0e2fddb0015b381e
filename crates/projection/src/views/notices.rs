//! The view `notices`: the public announcements in order, all of them and each tenant's, for whoever resumes a feed.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{LogId, Position, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use wire::{Notice, NoticeKind, notice_of};

use super::{MAX_PAGE, RowName, position_at_end};
use crate::changes::Changes;
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::{Tree, TreeError};
use crate::view::{Entry, Taken, View, decode_row, encode_row, is_announced};

/// A notice by its position.
const NOTICE: u8 = b'n';
/// A tenant's notices: no value, the position leads to the notice.
const BY_TENANT: u8 = b't';

/// The most tenants whose last notice is kept at hand; beyond that it is read from the tree again.
const LAST_CACHE: usize = 65_536;

/// Keeps the events that are announced, with what came before each.
#[derive(Default)]
pub(crate) struct NoticesView {
    last: HashMap<TenantId, Position>,
}

/// The event as it stands in the log, from which the same notice can always be made, and the one before it.
#[derive(Serialize, Deserialize)]
struct StoredRow<'a> {
    stream: &'a str,
    previous: u64,
    payload: &'a [u8],
}

impl View for NoticesView {
    const NAME: &'static str = "notices";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<Taken, TreeError> {
        let Ok(envelope) = entry.read() else { return Ok(Taken::Whole) };
        if !is_announced(&envelope) {
            return Ok(Taken::Whole);
        }
        let position = entry.position();
        let tenant = entry.stream.tenant();
        let previous = self.previous(tenant, changes)?;
        let stream = entry.recorded.stream.as_str();
        let row = StoredRow { stream, previous: previous.get(), payload: &entry.recorded.payload };
        changes.put(RowName::of(NOTICE).position(position).done(), encode_row(&row));
        changes.put(by_tenant(tenant).position(position).done(), Vec::new());
        self.last.insert(tenant.clone(), position);
        Ok(Taken::Whole)
    }
}

impl NoticesView {
    /// The tenant's last notice. It is at hand if it is only in this batch: the cache is emptied only between tenants that
    /// it does not know, and then the tree is asked, so it must not be emptied while changes wait.
    fn previous(&mut self, tenant: &TenantId, changes: &Changes<'_>) -> Result<Position, TreeError> {
        if let Some(last) = self.last.get(tenant) {
            return Ok(*last);
        }
        if self.last.len() >= LAST_CACHE && changes.is_empty() {
            self.last.clear();
        }
        match changes.last_applied(&by_tenant(tenant).done())? {
            Some(name) => position_at_end(&name),
            None => Ok(Position::NONE),
        }
    }
}

fn by_tenant(tenant: &TenantId) -> RowName {
    RowName::of(BY_TENANT).tenant(tenant)
}

/// A notice as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotice {
    /// Its id: the event's position.
    pub position: Position,
    /// The position of the tenant's notice before it.
    pub previous: Position,
    /// Whom it is for.
    pub tenant: TenantId,
    /// What it is about.
    pub kind: NoticeKind,
    /// CloudEvents JSON.
    pub json: String,
}

impl StoredNotice {
    pub(crate) fn of(notice: &Notice, log_id: LogId) -> Self {
        Self {
            position: Position::new(notice.data.position),
            previous: Position::new(notice.data.previous),
            tenant: notice.tenant.clone(),
            kind: notice.kind,
            json: notice.to_cloud_event(log_id),
        }
    }
}

/// Answers from the view `notices`.
#[derive(Clone, Debug)]
pub struct Notices {
    pub(crate) shelf: Arc<Shelf>,
}

impl Notices {
    /// How far the view has come; for waiting until it shows a position.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shelf.status.subscribe()
    }

    /// The notices behind a position, of one tenant or of all; at most `limit` and at most [`MAX_PAGE`]. Fewer than that
    /// means that there are no more by now.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn after(
        &self,
        tenant: Option<&TenantId>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredNotice>, QueryError> {
        let (tenant, limit) = (tenant.cloned(), limit.clamp(1, MAX_PAGE));
        let log_id = self.shelf.log_id;
        let work = move |tree: &dyn Tree| match tenant {
            None => {
                let start = RowName::of(NOTICE).position(after).done();
                let rows = tree.scan(&[NOTICE], Some(&start), limit)?;
                rows.iter().map(|(name, row)| show(name, row, log_id)).collect()
            }
            Some(tenant) => {
                let prefix = by_tenant(&tenant);
                let start = prefix.clone().position(after).done();
                let leads = tree.scan(&prefix.done(), Some(&start), limit)?;
                leads.iter().map(|(lead, _)| follow(tree, lead, log_id)).collect()
            }
        };
        self.shelf.query(work).await
    }

    /// The position of the last notice of a tenant, or of all; [`Position::NONE`] if there is none.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn last(&self, tenant: Option<&TenantId>) -> Result<Position, QueryError> {
        let prefix = tenant.map_or_else(|| RowName::of(NOTICE), by_tenant).done();
        let work = move |tree: &dyn Tree| match tree.last(&prefix)? {
            Some((name, _)) => position_at_end(&name),
            None => Ok(Position::NONE),
        };
        self.shelf.query(work).await
    }
}

fn follow(tree: &dyn Tree, lead: &[u8], log_id: LogId) -> Result<StoredNotice, TreeError> {
    let name = RowName::of(NOTICE).position(position_at_end(lead)?).done();
    let row = tree.get(&name)?.ok_or_else(|| TreeError::damaged("a tenant's notice is missing"))?;
    show(&name, &row, log_id)
}

fn show(name: &[u8], row: &[u8], log_id: LogId) -> Result<StoredNotice, TreeError> {
    let bad = || TreeError::damaged("a notice's row holds no notice");
    let row: StoredRow<'_> = decode_row(row)?;
    let stream = row.stream.parse().map_err(|_| bad())?;
    let envelope = wire::decode(&stream, row.payload).map_err(|_| bad())?;
    let notice = notice_of(&envelope, position_at_end(name)?, Position::new(row.previous)).ok_or_else(bad)?;
    Ok(StoredNotice::of(&notice, log_id))
}
