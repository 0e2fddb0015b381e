//! Questions to the view `keys`: one key, and lists with filters and cursors.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domain::{Environment, KeyId, Label, OwnerTag, Position, Scope, Standing, TenantId, Timestamp};
use thiserror::Error;
use tokio::sync::watch;
use verify::KeyIndex;

use super::leads::{BY_EXPIRY, BY_OWNER, BY_STANDING, ROW, label_prefix, row_name};
use super::row::{KeyGrant, KeyRow, has_ended, may_expire};
use super::stored::{StoredRow, code_of};
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::{Tree, TreeError};
use crate::view::decode_row;
use crate::views::{MAX_PAGE, RowName, split_end};

/// The most keys that one list looks at: about 30 ms of a thread. A list that finds too little among them answers what it
/// has and a cursor.
pub const MAX_EXAMINED: usize = 10_000;

/// The most names read at a time.
const SCAN: usize = 256;

/// Which keys of a tenant to list; what is `None` does not matter.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// The tenant.
    pub tenant: TenantId,
    /// Belongs to this owner.
    pub owner: Option<OwnerTag>,
    /// Has this label.
    pub label: Option<Label>,
    /// Is this.
    pub standing: Option<Standing>,
    /// May do this: holds the scope, or one that covers it.
    pub scope: Option<Scope>,
    /// Its time will be up before this instant, and it has not ended otherwise.
    pub expiring_before: Option<Timestamp>,
    /// Never expires.
    pub never_expiring: bool,
    /// Was issued or imported by this key.
    pub issued_by: Option<KeyId>,
    /// Was issued or imported before this instant.
    pub issued_before: Option<Timestamp>,
    /// Is live, or test.
    pub environment: Option<Environment>,
    /// The most keys to answer; at least 1, at most [`MAX_PAGE`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<KeyCursor>,
}

impl KeyQuery {
    /// All keys of a tenant.
    #[must_use]
    pub const fn all(tenant: TenantId) -> Self {
        Self {
            tenant,
            owner: None,
            label: None,
            standing: None,
            scope: None,
            expiring_before: None,
            never_expiring: false,
            issued_by: None,
            issued_before: None,
            environment: None,
            limit: MAX_PAGE,
            cursor: None,
        }
    }

    /// The cursor of a page of this list that ends with this key.
    #[must_use]
    pub fn cursor_behind(&self, key: &KeyRow) -> KeyCursor {
        let expires_at = key.grant.as_ref().and_then(|grant| grant.expires_at);
        let expiry = expires_at.filter(|_| Way::of(self).by_expiry()).map(Timestamp::as_millis);
        KeyCursor { expiry, key_id: key.key_id }
    }

    /// Whether it means a key that comes with this. A key of which that is not known is meant by no filter of it.
    fn matches_grant(&self, grant: Option<&KeyGrant>) -> bool {
        let filter = |wanted: bool, test: &dyn Fn(&KeyGrant) -> bool| !wanted || grant.is_some_and(test);
        filter(self.owner.is_some(), &|grant| Some(grant.owner.tag) == self.owner)
            && filter(self.label.is_some(), &|grant| {
                grant.labels.iter().any(|l| Some(l) == self.label.as_ref())
            })
            && filter(self.never_expiring, &|grant| grant.expires_at.is_none())
            && filter(self.issued_by.is_some(), &|grant| grant.issued_by == self.issued_by)
            && filter(self.environment.is_some(), &|grant| Some(grant.environment) == self.environment)
            && self.scope.as_ref().is_none_or(|scope| grant.is_some_and(|grant| grant.scopes.covers(scope)))
            && self.issued_before.is_none_or(|at| grant.is_some_and(|grant| grant.issued_at < at))
            && self
                .expiring_before
                .is_none_or(|before| grant.and_then(|grant| grant.expires_at).is_some_and(|at| at < before))
    }

    fn matches_standing(&self, standing: Standing) -> bool {
        self.standing.is_none_or(|wanted| standing == wanted)
            && (self.expiring_before.is_none() || may_expire(standing))
    }
}

/// Where a page ended. It stays good while keys come and go: the next page begins behind it, whatever is there by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCursor {
    /// In a list by expiry: the expiry.
    expiry: Option<u64>,
    key_id: KeyId,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the cursor is not one that a list answered")]
pub struct KeyCursorError;

impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expiry {
            Some(expiry) => write!(f, "{expiry}-{}", self.key_id),
            None => self.key_id.fmt(f),
        }
    }
}

impl FromStr for KeyCursor {
    type Err = KeyCursorError;

    fn from_str(text: &str) -> Result<Self, KeyCursorError> {
        let (expiry, key_id) = match text.split_once('-') {
            Some((expiry, key_id)) => (Some(expiry.parse().map_err(|_| KeyCursorError)?), key_id),
            None => (None, text),
        };
        Ok(Self { expiry, key_id: key_id.parse().map_err(|_| KeyCursorError)? })
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys, by id; in a list by expiry, by expiry.
    pub keys: Vec<KeyRow>,
    /// Where the next page begins; none if this is the last. A page with a cursor may be short, even empty.
    pub next: Option<KeyCursor>,
}

/// Answers from the view `keys`.
///
/// A recall of many keys takes its time on its way through the rows, while the key index knows at once whom it hit. So a row
/// that has not ended is shown as recalled if the index says so, and a list for which it is then none of those asked for
/// leaves it out. A list of the recalled keys is whole once the view shows the recall's position.
#[derive(Clone, Debug)]
pub struct Keys {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) index: Arc<KeyIndex>,
}

impl Keys {
    /// How far the view has come; for waiting until it shows a position.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shelf.status.subscribe()
    }

    /// One key.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn one(&self, tenant: &TenantId, key_id: KeyId) -> Result<Option<KeyRow>, QueryError> {
        let (tenant, index) = (tenant.clone(), Arc::clone(&self.index));
        self.shelf.query(move |tree| row(tree, &index, &tenant, key_id)).await
    }

    /// A page of a list.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn list(&self, query: KeyQuery) -> Result<KeyPage, QueryError> {
        let way = Way::of(&query);
        if query.cursor.is_some_and(|cursor| cursor.expiry.is_some() != way.by_expiry()) {
            return Err(QueryError::OtherCursor);
        }
        let index = Arc::clone(&self.index);
        self.shelf.query(move |tree| Walk::new(query, way, index).page(tree)).await
    }

    /// The position that the view shows.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.shelf.status.borrow().applied
    }
}

/// A key's row, if there is one.
pub(super) fn row(
    tree: &dyn Tree,
    index: &KeyIndex,
    tenant: &TenantId,
    key_id: KeyId,
) -> Result<Option<KeyRow>, TreeError> {
    Ok(stored(tree, tenant, key_id)?.map(|key| as_recalled(key, index)))
}

fn stored(tree: &dyn Tree, tenant: &TenantId, key_id: KeyId) -> Result<Option<KeyRow>, TreeError> {
    match tree.get(&row_name(tenant, key_id))? {
        Some(bytes) => Ok(Some(decode_row::<StoredRow>(&bytes)?.show(tenant, key_id)?)),
        None => Ok(None),
    }
}

/// The row with what the index knows of a recall that has not reached it yet.
fn as_recalled(key: KeyRow, index: &KeyIndex) -> KeyRow {
    let is_hit =
        || index.key(&key.tenant, key.key_id).is_some_and(|state| state.key.standing == Standing::Recalled);
    if !has_ended(key.standing) && is_hit() { key.hit() } else { key }
}

/// The rows that lead to a query's keys: those of the filter that leaves the fewest.
#[derive(Clone)]
enum Way {
    /// All keys of the tenant; the row itself is there.
    Rows(Vec<u8>),
    /// Rows that end in a key id.
    Leads(Vec<u8>),
    /// Rows that end in an expiry and a key id, up to this expiry.
    Expiries(Vec<u8>, Timestamp),
}

impl Way {
    fn of(query: &KeyQuery) -> Self {
        let of = |kind| RowName::of(kind).tenant(&query.tenant);
        let by_standing = |standing| Self::Leads(of(BY_STANDING).bytes(&[code_of(standing)]).done());
        match query {
            KeyQuery { owner: Some(owner), .. } => Self::Leads(of(BY_OWNER).bytes(&owner.to_bytes()).done()),
            KeyQuery { label: Some(label), .. } => {
                Self::Leads(label_prefix(&query.tenant, label.name(), label.value()).done())
            }
            KeyQuery { expiring_before: Some(before), .. } => Self::Expiries(of(BY_EXPIRY).done(), *before),
            KeyQuery { standing: Some(standing), .. } => by_standing(*standing),
            _ => Self::Rows(of(ROW).done()),
        }
    }

    const fn by_expiry(&self) -> bool {
        matches!(self, Self::Expiries(..))
    }

    fn prefix(&self) -> &[u8] {
        match self {
            Self::Rows(prefix) | Self::Leads(prefix) | Self::Expiries(prefix, _) => prefix,
        }
    }

    fn name_of(&self, cursor: KeyCursor) -> Vec<u8> {
        let mut name = self.prefix().to_vec();
        name.extend(cursor.expiry.map(u64::to_be_bytes).into_iter().flatten());
        name.extend(cursor.key_id.to_bytes());
        name
    }

    fn cursor_at(&self, name: &[u8]) -> Result<KeyCursor, TreeError> {
        let (rest, key_id) = split_end::<16>(name)?;
        let expiry = match self {
            Self::Expiries(..) => Some(u64::from_be_bytes(split_end(rest)?.1)),
            Self::Rows(_) | Self::Leads(_) => None,
        };
        Ok(KeyCursor { expiry, key_id: KeyId::from_bytes(key_id) })
    }
}

/// One page in the making.
struct Walk {
    query: KeyQuery,
    way: Way,
    index: Arc<KeyIndex>,
    limit: usize,
    examined: usize,
    keys: Vec<KeyRow>,
    /// Behind the last key that was taken.
    taken: Option<KeyCursor>,
}

impl Walk {
    fn new(query: KeyQuery, way: Way, index: Arc<KeyIndex>) -> Self {
        let limit = query.limit.clamp(1, MAX_PAGE);
        Self { query, way, index, limit, examined: 0, keys: Vec::new(), taken: None }
    }

    fn page(mut self, tree: &dyn Tree) -> Result<KeyPage, TreeError> {
        let mut after = self.query.cursor.map(|cursor| self.way.name_of(cursor));
        loop {
            let rows = tree.scan(self.way.prefix(), after.as_deref(), SCAN)?;
            for (name, value) in &rows {
                let at = self.way.cursor_at(name)?;
                if self.is_past_the_end(at) {
                    return Ok(KeyPage { keys: self.keys, next: None });
                }
                if let Some(key) = self.look_at(tree, at, value)? {
                    if self.keys.len() == self.limit {
                        // There is at least one more: the page after this one is not empty.
                        return Ok(KeyPage { keys: self.keys, next: self.taken });
                    }
                    self.keys.push(key);
                    self.taken = Some(at);
                }
                self.examined += 1;
                if self.examined == MAX_EXAMINED {
                    return Ok(KeyPage { keys: self.keys, next: Some(at) });
                }
            }
            if rows.len() < SCAN {
                return Ok(KeyPage { keys: self.keys, next: None });
            }
            after = rows.into_iter().next_back().map(|(name, _)| name);
        }
    }

    fn is_past_the_end(&self, at: KeyCursor) -> bool {
        match (&self.way, at.expiry) {
            (Way::Expiries(_, before), Some(expiry)) => expiry >= before.as_millis(),
            _ => false,
        }
    }

    /// The key that a row leads to, if it is one of those asked for. A lead may be older than the row, when the view moves
    /// on while we read: the row decides.
    fn look_at(&self, tree: &dyn Tree, at: KeyCursor, value: &[u8]) -> Result<Option<KeyRow>, TreeError> {
        let query = &self.query;
        let key = match self.way {
            Way::Rows(_) => Some(decode_row::<StoredRow>(value)?.show(&query.tenant, at.key_id)?),
            Way::Leads(_) | Way::Expiries(..) => stored(tree, &query.tenant, at.key_id)?,
        };
        // The index is asked last, and only about keys that are otherwise meant.
        let meant = key.filter(|key| query.matches_grant(key.grant.as_ref()));
        let shown = meant.map(|key| as_recalled(key, &self.index));
        Ok(shown.filter(|key| query.matches_standing(key.standing)))
    }
}
