//! The view `tenants`: a row a tenant.

use std::sync::Arc;

use domain::{Event, Personal, PersonalText, Position, Prefix, Revision, StreamName, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{MAX_PAGE, RowName, tenant_in};
use crate::changes::Changes;
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::TreeError;
use crate::view::{Entry, View, decode_row, encode_row};

const ROW: u8 = b't';

/// Follows what may be shown of each tenant.
#[derive(Default)]
pub(crate) struct TenantsView;

/// The row in postcard. Any change of it raises the view's `SCHEMA`.
#[derive(Serialize, Deserialize)]
struct StoredTenant {
    /// None while the opening cannot be read.
    opened: Option<StoredOpening>,
    quarantined: bool,
    revision: u32,
    position: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredOpening {
    at_ms: u64,
    name: Option<String>,
    sealed_name: Option<Vec<u8>>,
    prefix: String,
}

impl View for TenantsView {
    const NAME: &'static str = "tenants";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<(), TreeError> {
        let StreamName::Tenant(tenant) = &entry.stream else { return Ok(()) };
        let name = row_name(tenant);
        let old: Option<StoredTenant> = changes.get(&name)?.map(|bytes| decode_row(&bytes)).transpose()?;
        let envelope = entry.read().ok();
        let opened = match (&old, envelope.as_ref().map(|envelope| (envelope, &envelope.event))) {
            (None, Some((envelope, Event::TenantOpened(opened)))) => Some(StoredOpening {
                at_ms: envelope.occurred_at.as_millis(),
                name: opened.name.as_ref().and_then(Personal::plain).map(str::to_owned),
                sealed_name: match &opened.name {
                    Some(Personal::Sealed(bytes)) => Some(bytes.clone()),
                    Some(Personal::Plain(_)) | None => None,
                },
                prefix: opened.prefix.as_str().to_owned(),
            }),
            _ => None,
        };
        // Nobody could mend a service whose operators are all refused.
        let fits = opened.is_some() || tenant.is_operators();
        let row = StoredTenant {
            quarantined: !fits || old.as_ref().is_some_and(|old| old.quarantined),
            revision: old.as_ref().map_or(0, |old| old.revision) + 1,
            position: entry.position().get(),
            opened: opened.or(old.and_then(|old| old.opened)),
        };
        changes.put(name, encode_row(&row));
        Ok(())
    }
}

fn row_name(tenant: &TenantId) -> Vec<u8> {
    RowName::of(ROW).tenant(tenant).done()
}

/// Everything that is shown of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub tenant: TenantId,
    /// What was said when it was opened; none only while that cannot be read here.
    pub opening: Option<TenantOpening>,
    /// Whether an event of its history cannot be read here: all its keys are refused.
    pub quarantined: bool,
    /// How many events its history has.
    pub revision: Revision,
    /// The position of the last of them.
    pub position: Position,
}

/// What was said of a tenant when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantOpening {
    /// When.
    pub opened_at: Timestamp,
    /// What people call it.
    pub name: Option<Personal>,
    /// What its new keys begin with.
    pub prefix: Prefix,
}

impl StoredTenant {
    fn show(self, tenant: TenantId) -> Result<TenantRow, TreeError> {
        Ok(TenantRow {
            tenant,
            opening: self.opened.map(StoredOpening::show).transpose()?,
            quarantined: self.quarantined,
            revision: Revision::new(self.revision),
            position: Position::new(self.position),
        })
    }
}

impl StoredOpening {
    fn show(self) -> Result<TenantOpening, TreeError> {
        let bad = || TreeError::damaged("a tenant's row holds what no tenant can have");
        let plain = self.name.map(|name| PersonalText::note(&name).map_err(|_| bad())).transpose()?;
        Ok(TenantOpening {
            opened_at: Timestamp::from_millis(self.at_ms),
            name: plain.map(Personal::Plain).or(self.sealed_name.map(Personal::Sealed)),
            prefix: self.prefix.parse().map_err(|_| bad())?,
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
