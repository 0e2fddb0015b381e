//! The view `tenants`: a row a tenant.

use std::sync::Arc;

use domain::{
    Envelope, Event, LeakResponse, Personal, Position, Prefix, Revision, StreamName, TenantId, Timestamp,
};
use eventlog::Recorded;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::stored::{StoredPersonal, instant, shown};
use super::{MAX_PAGE, RowName, tenant_in};
use crate::changes::Changes;
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::TreeError;
use crate::view::{Entry, Taken, View, decode_row, encode_row};

const ROW: u8 = b't';

/// Follows what may be shown of each tenant.
#[derive(Default)]
pub(crate) struct TenantsView;

/// The row in postcard. Any change of it raises the view's `SCHEMA`.
#[derive(Clone, Default, Serialize, Deserialize)]
struct StoredTenant {
    /// None while the opening cannot be read.
    settings: Option<StoredSettings>,
    quarantined: bool,
    /// 0 = is open.
    closed_at_ms: u64,
    revision: u32,
    position: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredSettings {
    opened_at_ms: u64,
    name: Option<StoredPersonal>,
    prefix: String,
    leak_response: String,
}

impl View for TenantsView {
    const NAME: &'static str = "tenants";
    const SCHEMA: u32 = 2;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<Taken, TreeError> {
        let StreamName::Tenant(tenant) = &entry.stream else { return Ok(Taken::Whole) };
        let name = row_name(tenant);
        let old: Option<StoredTenant> = changes.get(&name)?.map(|bytes| decode_row(&bytes)).transpose()?;
        changes.put(name, encode_row(&after(old.as_ref(), entry, tenant)));
        Ok(Taken::Whole)
    }
}

/// The row after one more event of the tenant's own, readable or not.
fn after(old: Option<&StoredTenant>, entry: &Entry<'_>, tenant: &TenantId) -> StoredTenant {
    let followed = entry.read().ok().and_then(|envelope| next(old, &envelope));
    let fits = followed.is_some();
    let mut row = followed.or_else(|| old.cloned()).unwrap_or_default();
    row.revision = old.map_or(0, |old| old.revision) + 1;
    row.position = entry.position().get();
    // Nobody could mend a service whose operators are all refused.
    row.quarantined |= !fits && !tenant.is_operators();
    row
}

/// One tenant's row as it was once, made again from its own events.
#[derive(Default)]
pub(crate) struct TenantBefore(Option<StoredTenant>);

impl TenantBefore {
    /// Takes in the next event of the tenant's stream.
    pub(crate) fn take(&mut self, event: &Recorded) {
        if let Some(entry) = Entry::of(event)
            && let StreamName::Tenant(tenant) = &entry.stream
        {
            self.0 = Some(after(self.0.as_ref(), &entry, tenant));
        }
    }

    /// The row as it is shown; none if the tenant was not open.
    pub(crate) fn show(self, tenant: &TenantId) -> Result<Option<TenantRow>, TreeError> {
        self.0.map(|row| row.show(tenant.clone())).transpose()
    }
}

/// The row after one more readable event, but for its place in the history; none if the event cannot come next.
fn next(old: Option<&StoredTenant>, envelope: &Envelope) -> Option<StoredTenant> {
    let Some(old) = old else {
        let Event::TenantOpened(opened) = &envelope.event else { return None };
        let settings = StoredSettings {
            opened_at_ms: envelope.occurred_at.as_millis(),
            name: opened.name.as_ref().map(StoredPersonal::of),
            prefix: opened.prefix.as_str().to_owned(),
            leak_response: LeakResponse::default().as_str().to_owned(),
        };
        return Some(StoredTenant { settings: Some(settings), ..StoredTenant::default() });
    };
    let mut row = old.clone();
    match &envelope.event {
        Event::TenantConfigured(configured) => {
            if let Some(settings) = &mut row.settings {
                settings.name = configured.name.as_ref().map(StoredPersonal::of);
                settings.prefix = configured.prefix.as_str().to_owned();
                settings.leak_response = configured.leak_response.as_str().to_owned();
            }
        }
        Event::TenantClosed(_) => row.closed_at_ms = envelope.occurred_at.as_millis(),
        Event::KeysRecalled(_) | Event::PolicySet(_) | Event::PolicyRemoved(_) | Event::OwnerErased(_) => {}
        _ => return None,
    }
    // What a quarantined tenant's unread events did is not known, so anything may follow them.
    (envelope.revision == Revision::new(old.revision).next() || old.quarantined).then_some(row)
}

fn row_name(tenant: &TenantId) -> Vec<u8> {
    RowName::of(ROW).tenant(tenant).done()
}

/// Everything that is shown of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub tenant: TenantId,
    /// How it is configured now; none only while its opening cannot be read here.
    pub settings: Option<TenantSettings>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Whether an event of its history cannot be read here: all its keys are refused.
    pub quarantined: bool,
    /// How many events its history has.
    pub revision: Revision,
    /// The position of the last of them.
    pub position: Position,
}

/// How a tenant is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSettings {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What people call it.
    pub name: Option<Personal>,
    /// What its new keys begin with.
    pub prefix: Prefix,
    /// What happens to a key that is reported as leaked.
    pub leak_response: LeakResponse,
}

impl StoredTenant {
    fn show(self, tenant: TenantId) -> Result<TenantRow, TreeError> {
        let bad = || TreeError::damaged("a tenant's row holds what no tenant can have");
        let settings = match self.settings {
            Some(settings) => Some(settings.try_show().ok_or_else(bad)?),
            None => None,
        };
        Ok(TenantRow {
            tenant,
            settings,
            closed_at: instant(self.closed_at_ms),
            quarantined: self.quarantined,
            revision: Revision::new(self.revision),
            position: Position::new(self.position),
        })
    }
}

impl StoredSettings {
    fn try_show(self) -> Option<TenantSettings> {
        Some(TenantSettings {
            opened_at: Timestamp::from_millis(self.opened_at_ms),
            name: shown(self.name)?,
            prefix: self.prefix.parse().ok()?,
            leak_response: self.leak_response.parse().ok()?,
        })
    }
}

/// A part of the list of tenants.
#[derive(Clone, Debug)]
pub struct TenantPage {
    /// The tenants, by id.
    pub tenants: Vec<TenantRow>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<TenantId>,
}

/// Answers from the view `tenants`.
#[derive(Clone, Debug)]
pub struct Tenants {
    pub(crate) shelf: Arc<Shelf>,
}

impl Tenants {
    /// How far the view has come; for waiting until it shows a position.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shelf.status.subscribe()
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn one(&self, tenant: &TenantId) -> Result<Option<TenantRow>, QueryError> {
        let tenant = tenant.clone();
        self.shelf
            .query(move |tree| match tree.get(&row_name(&tenant))? {
                Some(bytes) => Ok(Some(decode_row::<StoredTenant>(&bytes)?.show(tenant)?)),
                None => Ok(None),
            })
            .await
    }

    /// The tenants behind one, at most `limit` and at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn list(&self, after: Option<&TenantId>, limit: usize) -> Result<TenantPage, QueryError> {
        let (after, limit) = (after.map(row_name), limit.clamp(1, MAX_PAGE));
        self.shelf
            .query(move |tree| {
                let mut rows = tree.scan(&[ROW], after.as_deref(), limit + 1)?;
                let more = rows.len() > limit;
                rows.truncate(limit);
                let tenants = rows.into_iter().map(|(name, bytes)| {
                    let tenant = name.get(1..).and_then(|name| name.strip_suffix(&[0])).unwrap_or_default();
                    decode_row::<StoredTenant>(&bytes)?.show(tenant_in(tenant)?)
                });
                let tenants = tenants.collect::<Result<Vec<_>, _>>()?;
                let next = tenants.last().map(|row| row.tenant.clone()).filter(|_| more);
                Ok(TenantPage { tenants, next })
            })
            .await
    }
}
