//! Questions to the view `keys`: one key, lists with filters and cursors, and what is due to expire.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domain::{KeyId, Label, OwnerTag, Personal, Position, Scope, Standing, TenantId, Timestamp};
use thiserror::Error;
use tokio::sync::watch;

use super::row::{KeyRow, StoredRow, code_of};
use super::{BY_EXPIRY, BY_OWNER, BY_STANDING, DUE, ROW, label_prefix, may_expire, row_name};
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::{Tree, TreeError};
use crate::view::decode_row;
use crate::views::{MAX_PAGE, RowName, split_end, tenant_in};

/// The most keys that one list looks at: about 30 ms of a thread. A list that finds too little among them answers what it
/// has and a cursor.
const MAX_EXAMINED: usize = 10_000;

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
    /// This text, in any case of letters, is part of its name, its owner or its id.
    pub text: Option<String>,
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
            text: None,
            limit: MAX_PAGE,
            cursor: None,
        }
    }

    fn matches(&self, key: &KeyRow) -> bool {
        let issue = key.issue.as_ref();
        let of_issue =
            |wanted: bool, test: &dyn Fn(&super::KeyIssue) -> bool| !wanted || issue.is_some_and(test);
        self.standing.is_none_or(|standing| key.standing == standing)
            && of_issue(self.owner.is_some(), &|issue| Some(issue.owner.tag) == self.owner)
            && of_issue(self.label.is_some(), &|issue| {
                issue.labels.iter().any(|l| Some(l) == self.label.as_ref())
            })
            && self.scope.as_ref().is_none_or(|scope| {
                issue.is_some_and(|issue| issue.scopes.iter().any(|held| held.covers(scope)))
            })
            && self.expiring_before.is_none_or(|before| {
                may_expire(key.standing)
                    && issue.and_then(|issue| issue.expires_at).is_some_and(|at| at < before)
            })
            && self.text.as_ref().is_none_or(|text| contains_text(key, text))
    }
}

fn contains_text(key: &KeyRow, text: &str) -> bool {
    let text = text.to_lowercase();
    let contains = |hay: &str| hay.to_lowercase().contains(&text);
    let personal = |hay: &Personal| hay.plain().is_some_and(contains);
    contains(&key.key_id.to_string())
        || key
            .issue
            .as_ref()
            .is_some_and(|issue| personal(&issue.owner.name) || issue.name.as_ref().is_some_and(personal))
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

/// A key whose time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueKey {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// When its time was up.
    pub expires_at: Timestamp,
}

/// Answers from the view `keys`.
#[derive(Clone, Debug)]
pub struct Keys {
    pub(crate) shelf: Arc<Shelf>,
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
        let tenant = tenant.clone();
        self.shelf.query(move |tree| row(tree, &tenant, key_id)).await
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
        self.shelf.query(move |tree| Walk::new(query, way).page(tree)).await
    }

    /// The first `limit` keys of all tenants whose time is up at `now` and which nothing has ended yet, oldest expiry first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DueKey>, QueryError> {
        self.shelf
            .query(move |tree| {
                let mut due = tree
                    .scan(&[DUE], None, limit.min(MAX_EXAMINED))?
                    .iter()
                    .map(|(name, _)| due_key(name))
                    .collect::<Result<Vec<_>, _>>()?;
                due.retain(|key| key.expires_at <= now);
                Ok(due)
            })
            .await
    }

    /// The next instant at which a key's time is up, past ones included.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn next_due(&self) -> Result<Option<Timestamp>, QueryError> {
        let first = |tree: &dyn Tree| match tree.scan(&[DUE], None, 1)?.first() {
            Some((name, _)) => Ok(Some(due_key(name)?.expires_at)),
            None => Ok(None),
        };
        self.shelf.query(first).await
    }

    /// The position that the view shows.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.shelf.status.borrow().applied
    }
}

fn row(tree: &dyn Tree, tenant: &TenantId, key_id: KeyId) -> Result<Option<KeyRow>, TreeError> {
    match tree.get(&row_name(tenant, key_id))? {
        Some(bytes) => Ok(Some(decode_row::<StoredRow>(&bytes)?.show(tenant, key_id)?)),
        None => Ok(None),
    }
}

/// `DUE`, eight bytes of time, the tenant, a zero, the key id.
fn due_key(name: &[u8]) -> Result<DueKey, TreeError> {
    let bad = || TreeError::damaged("a row of what is due is too short");
    let (rest, key_id) = split_end::<16>(name)?;
    let (time, tenant) = rest.get(1..).and_then(|rest| rest.split_first_chunk()).ok_or_else(bad)?;
    Ok(DueKey {
        tenant: tenant_in(tenant.strip_suffix(&[0]).ok_or_else(bad)?)?,
        key_id: KeyId::from_bytes(key_id),
        expires_at: Timestamp::from_millis(u64::from_be_bytes(*time)),
    })
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
    limit: usize,
    examined: usize,
    keys: Vec<KeyRow>,
    /// Behind the last key that was taken.
    taken: Option<KeyCursor>,
}

impl Walk {
    fn new(query: KeyQuery, way: Way) -> Self {
        let limit = query.limit.clamp(1, MAX_PAGE);
        Self { query, way, limit, examined: 0, keys: Vec::new(), taken: None }
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
        let tenant = &self.query.tenant;
        let key = match self.way {
            Way::Rows(_) => Some(decode_row::<StoredRow>(value)?.show(tenant, at.key_id)?),
            Way::Leads(_) | Way::Expiries(..) => row(tree, tenant, at.key_id)?,
        };
        Ok(key.filter(|key| self.query.matches(key)))
    }
}
