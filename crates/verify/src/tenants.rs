//! The tenants that the index knows: what a verdict needs of them without a lock, and where their history stands.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use domain::{Position, Revision, TenantId};
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};

use crate::interner::{Pool, TooMany, allocated, allocated_arc};
use crate::recalls::{Pending, Recalls};
use crate::row::MAX_24;
use crate::state::TenantState;

const CLOSED: u8 = 1;
const QUARANTINED: u8 = 2;
/// Recalls are pending, which the rows do not say yet.
const RECALLING: u8 = 4;
/// Every flag that a snapshot holds.
pub(crate) const FLAGS: u8 = CLOSED | QUARANTINED;

/// What is true of all keys of a tenant, read at once.
#[derive(Clone, Copy)]
pub(crate) struct TenantFlags(u8);

impl TenantFlags {
    pub(crate) const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(crate) const fn is_quarantined(self) -> bool {
        self.0 & QUARANTINED != 0
    }

    pub(crate) const fn is_recalling(self) -> bool {
        self.0 & RECALLING != 0
    }

    /// As a snapshot holds them.
    pub(crate) const fn to_byte(self) -> u8 {
        self.0 & FLAGS
    }
}

/// One tenant. Changed by the writer alone, but for recalls, which whoever appended them adds too.
pub(crate) struct TenantEntry {
    pub(crate) id: Arc<TenantId>,
    flags: AtomicU8,
    last_notice: AtomicU64,
    last_unread: AtomicU64,
    history: Mutex<TenantHistory>,
    recalls: Recalls,
}

/// Where a tenant's own stream stands; revision 0 = nothing heard of it but keys.
#[derive(Clone, Copy, Default)]
pub(crate) struct TenantHistory {
    pub(crate) revision: Revision,
    pub(crate) last: Position,
}

impl TenantEntry {
    pub(crate) fn new(id: &TenantId, history: TenantHistory, last_notice: Position, flags: u8) -> Self {
        Self {
            id: Arc::new(id.clone()),
            flags: AtomicU8::new(flags & FLAGS),
            last_notice: AtomicU64::new(last_notice.get()),
            last_unread: AtomicU64::new(0),
            history: Mutex::new(history),
            recalls: Recalls::default(),
        }
    }

    pub(crate) fn flags(&self) -> TenantFlags {
        TenantFlags(self.flags.load(Ordering::Acquire))
    }

    pub(crate) fn quarantine(&self) {
        self.flags.fetch_or(QUARANTINED, Ordering::AcqRel);
    }

    pub(crate) fn close(&self) {
        self.flags.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Adds a recall, see [`Recalls::add`].
    pub(crate) fn recall(&self, recall: Pending, is_published: impl FnOnce() -> bool) {
        self.recalls.add(recall, is_published, || {
            self.flags.fetch_or(RECALLING, Ordering::AcqRel);
        });
    }

    /// The recalls that are pending; none is locked if there are none.
    pub(crate) fn recalls(&self) -> Option<&Recalls> {
        self.flags().is_recalling().then_some(&self.recalls)
    }

    /// Drops the recalls that every row says.
    pub(crate) fn drop_recalls(&self, limit: Position) {
        self.recalls.drop_up_to(limit, || {
            self.flags.fetch_and(!RECALLING, Ordering::AcqRel);
        });
    }

    pub(crate) fn last_notice(&self) -> Position {
        Position::new(self.last_notice.load(Ordering::Acquire))
    }

    pub(crate) fn note_notice(&self, position: Position) {
        self.last_notice.fetch_max(position.get(), Ordering::AcqRel);
    }

    pub(crate) fn last_unread(&self) -> Position {
        Position::new(self.last_unread.load(Ordering::Acquire))
    }

    pub(crate) fn note_unread(&self, position: Position) {
        self.last_unread.fetch_max(position.get(), Ordering::AcqRel);
    }

    pub(crate) fn history(&self) -> TenantHistory {
        *self.history.lock()
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut TenantHistory) -> R) -> R {
        change(&mut self.history.lock())
    }
}

/// All tenants by number and by id.
pub(crate) struct Tenants {
    entries: Pool<TenantEntry>,
    hasher: RandomState,
    by_id: RwLock<HashTable<u32>>,
}

impl Tenants {
    pub(crate) fn new() -> Self {
        Self { entries: Pool::new(), hasher: RandomState::new(), by_id: RwLock::new(HashTable::new()) }
    }

    pub(crate) fn at(&self, number: u32) -> &TenantEntry {
        self.entries.at(number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TenantEntry> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn find(&self, id: &TenantId) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.by_id.read().find(hash, |&number| *self.at(number).id == *id).copied()
    }

    /// The number of a tenant, new if it must be.
    pub(crate) fn intern(&self, id: &TenantId) -> Result<u32, TooMany> {
        match self.find(id) {
            Some(number) => Ok(number),
            None => self.add(TenantEntry::new(id, TenantHistory::default(), Position::NONE, 0)),
        }
    }

    /// Adds a tenant, unless somebody was faster: then that one's number. The writer and who recalls may both come here.
    pub(crate) fn add(&self, entry: TenantEntry) -> Result<u32, TooMany> {
        let mut by_id = self.by_id.write();
        let hash = self.hasher.hash_one(&*entry.id);
        if let Some(&number) = by_id.find(hash, |&number| *self.at(number).id == *entry.id) {
            return Ok(number);
        }
        if self.len() > MAX_24 as usize {
            return Err(TooMany);
        }
        let heap = allocated_arc::<TenantId>() + allocated(entry.id.as_str().len());
        let number = self.entries.push(entry, heap);
        by_id.insert_unique(hash, number, |&number| self.hasher.hash_one(&*self.at(number).id));
        self.entries.note_directory(by_id.allocation_size());
        Ok(number)
    }

    /// None until its own stream was heard of.
    pub(crate) fn state(&self, id: &TenantId) -> Option<TenantState> {
        let entry = self.at(self.find(id)?);
        let (history, flags) = (entry.history(), entry.flags());
        (history.revision != Revision::NONE).then(|| TenantState {
            closed: flags.is_closed(),
            quarantined: flags.is_quarantined(),
            revision: history.revision,
            last: history.last,
            last_notice: entry.last_notice(),
            last_unread: entry.last_unread(),
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let recalls =
            self.entries.iter().filter_map(TenantEntry::recalls).map(Recalls::memory_bytes).sum::<usize>();
        self.entries.memory_bytes() + recalls
    }
}
