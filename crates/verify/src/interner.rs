//! Values that many keys share, each kept once and named by a number: read without a lock, added by the writer alone.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{Grant, KeyId, Labels, Networks, Owner, OwnerTag, Personal, ScopeSet};
use hashbrown::HashTable;

use crate::row::{MAX_24, Refs};

/// Stored values by number; append-only. A value that no key refers to any more is not written into a snapshot, so it goes with
/// the next start.
pub(crate) struct Pool<S> {
    items: boxcar::Vec<S>,
    /// What the values hold on the heap, and the writer's directory.
    heap: AtomicUsize,
    directory: AtomicUsize,
}

impl<S> Pool<S> {
    pub(crate) fn new() -> Self {
        Self { items: boxcar::Vec::new(), heap: AtomicUsize::new(0), directory: AtomicUsize::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.count()
    }

    /// The value of a number that a row holds. Rows hold only numbers given out before, and a snapshot's numbers are
    /// checked when it is read.
    pub(crate) fn at(&self, number: u32) -> &S {
        &self.items[number as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        self.items.iter().map(|(_, item)| item)
    }

    /// Takes the next number for a value.
    pub(crate) fn push(&self, item: S, heap: usize) -> u32 {
        self.heap.fetch_add(heap, Ordering::Relaxed);
        u32::try_from(self.items.push(item)).unwrap_or(u32::MAX)
    }

    pub(crate) fn note_directory(&self, bytes: usize) {
        self.directory.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        // The vector's buckets hold 32, 64, 128 … slots, each a value and whether it is there.
        let len = self.len();
        let slots = if len == 0 { 0 } else { (len + 32).next_power_of_two().max(64) - 32 };
        slots * size_of::<(S, bool)>()
            + self.heap.load(Ordering::Relaxed)
            + self.directory.load(Ordering::Relaxed)
    }
}

/// All that rows refer to by number. Number 0 is the empty set, nobody, none; tenants have no such.
pub(crate) struct Values {
    pub(crate) owners: Pool<Arc<Owner>>,
    pub(crate) scopes: Pool<Arc<ScopeSet>>,
    pub(crate) labels: Pool<Arc<Labels>>,
    pub(crate) networks: Pool<Arc<Networks>>,
    pub(crate) issuers: Pool<KeyId>,
}

impl Values {
    /// The issuer of a number, 0 being none.
    pub(crate) fn issuer(&self, number: u32) -> Option<KeyId> {
        (number != 0).then(|| *self.issuers.at(number))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.owners.memory_bytes()
            + self.scopes.memory_bytes()
            + self.labels.memory_bytes()
            + self.networks.memory_bytes()
            + self.issuers.memory_bytes()
    }
}

/// From values back to their numbers; the writer's own.
pub(crate) struct Directory {
    hasher: RandomState,
    /// Number and tenant: the same owner tag in two tenants is two owners.
    owners: HashTable<(u32, u32)>,
    /// Owners whose name was sealed anew since: their rows keep what they had.
    former: Vec<(u32, u32)>,
    scopes: HashTable<u32>,
    labels: HashTable<u32>,
    networks: HashTable<u32>,
    issuers: HashTable<u32>,
}

/// A kind of value has more different ones than its field in a row can name.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Directory {
    /// A directory and values that hold only number 0 of each kind: nobody, the empty set, none.
    pub(crate) fn new() -> (Self, Values) {
        let mut directory = Self {
            hasher: RandomState::new(),
            owners: HashTable::new(),
            former: Vec::new(),
            scopes: HashTable::new(),
            labels: HashTable::new(),
            networks: HashTable::new(),
            issuers: HashTable::new(),
        };
        let values = Values {
            owners: Pool::new(),
            scopes: Pool::new(),
            labels: Pool::new(),
            networks: Pool::new(),
            issuers: Pool::new(),
        };
        let nobody = Owner { tag: OwnerTag::from_bytes([0; 16]), name: Personal::Sealed(Vec::new()) };
        let firsts = [
            directory.owner(&values, NO_TENANT, &nobody),
            directory.scopes(&values, &ScopeSet::default()),
            directory.labels(&values, &Labels::default()),
            directory.networks(&values, &Networks::default()),
            directory.issuer(&values, KeyId::from_u128(0)),
        ];
        debug_assert!(firsts.iter().all(|first| matches!(first, Ok(0))));
        (directory, values)
    }

    /// The numbers of all that a new key refers to.
    pub(crate) fn refs(
        &mut self,
        values: &Values,
        tenant: u32,
        grant: &Grant,
        issuer: Option<KeyId>,
    ) -> Result<Refs, TooMany> {
        Ok(Refs {
            tenant,
            owner: self.owner(values, tenant, &grant.owner)?,
            scopes: self.scopes(values, &grant.scopes)?,
            labels: self.labels(values, &grant.labels)?,
            networks: self.networks(values, &grant.networks)?,
            issuer: match issuer {
                Some(key_id) => self.issuer(values, key_id)?,
                None => 0,
            },
        })
    }

    /// The name under one tag is always the same, and so are its sealed bytes, until the owner is erased and comes back: then it
    /// is sealed under another seal, and the old bytes open no more.
    pub(crate) fn owner(&mut self, values: &Values, tenant: u32, owner: &Owner) -> Result<u32, TooMany> {
        let pool = &values.owners;
        let hash = |tenant: u32, tag: OwnerTag| self.hasher.hash_one((tenant, tag));
        let its_hash = hash(tenant, owner.tag);
        let is_it = |&(number, of): &(u32, u32)| of == tenant && pool.at(number).tag == owner.tag;
        if let Some(&(number, _)) = self.owners.find(its_hash, is_it)
            && pool.at(number).name == owner.name
        {
            return Ok(number);
        }
        if pool.len() >= u32::MAX as usize {
            return Err(TooMany);
        }
        let name = match &owner.name {
            Personal::Plain(text) => allocated(text.as_str().len()),
            Personal::Sealed(bytes) => allocated(bytes.len()),
        };
        let number = pool.push(Arc::new(owner.clone()), allocated_arc::<Owner>() + name);
        match self.owners.find_mut(its_hash, is_it) {
            Some(known) => self.former.push(std::mem::replace(known, (number, tenant))),
            None => {
                let rehash = |&(number, of): &(u32, u32)| hash(of, pool.at(number).tag);
                self.owners.insert_unique(its_hash, (number, tenant), rehash);
            }
        }
        let former = self.former.capacity() * size_of::<(u32, u32)>();
        pool.note_directory(self.owners.allocation_size() + former);
        Ok(number)
    }

    /// Each owner's tenant, by the owner's number.
    pub(crate) fn owner_tenants(&self) -> Vec<u32> {
        let mut tenants = vec![NO_TENANT; self.owners.len() + self.former.len()];
        for &(number, tenant) in self.owners.iter().chain(&self.former) {
            tenants[number as usize] = tenant;
        }
        tenants
    }

    pub(crate) fn scopes(&mut self, values: &Values, scopes: &ScopeSet) -> Result<u32, TooMany> {
        intern(&values.scopes, &mut self.scopes, &self.hasher, scopes, MAX_24, |set| {
            let texts: usize = set.iter().map(|scope| allocated(scope.as_str().len())).sum();
            allocated_arc::<ScopeSet>() + allocated(set.iter().len() * size_of::<domain::Scope>()) + texts
        })
    }

    pub(crate) fn labels(&mut self, values: &Values, labels: &Labels) -> Result<u32, TooMany> {
        intern(&values.labels, &mut self.labels, &self.hasher, labels, u32::MAX, |labels| {
            let texts: usize = labels
                .iter()
                .map(|label| allocated(label.name().len()) + allocated(label.value().len()))
                .sum();
            allocated_arc::<Labels>() + allocated(labels.iter().len() * size_of::<domain::Label>()) + texts
        })
    }

    pub(crate) fn networks(&mut self, values: &Values, networks: &Networks) -> Result<u32, TooMany> {
        intern(&values.networks, &mut self.networks, &self.hasher, networks, MAX_24, |networks| {
            allocated_arc::<Networks>() + allocated(networks.iter().map(size_of_val).sum())
        })
    }

    pub(crate) fn issuer(&mut self, values: &Values, key_id: KeyId) -> Result<u32, TooMany> {
        intern(&values.issuers, &mut self.issuers, &self.hasher, &key_id, u32::MAX, |_| 0)
    }
}

/// The tenant of nobody.
pub(crate) const NO_TENANT: u32 = u32::MAX;

fn intern<T, S>(
    pool: &Pool<S>,
    directory: &mut HashTable<u32>,
    hasher: &RandomState,
    value: &T,
    max: u32,
    heap: impl Fn(&T) -> usize,
) -> Result<u32, TooMany>
where
    T: Clone + Eq + Hash,
    S: Borrow<T> + From<T>,
{
    let hash = hasher.hash_one(value);
    if let Some(&number) = directory.find(hash, |&number| pool.at(number).borrow() == value) {
        return Ok(number);
    }
    if pool.len() > max as usize {
        return Err(TooMany);
    }
    let number = pool.push(S::from(value.clone()), heap(value));
    directory.insert_unique(hash, number, |&number| hasher.hash_one(pool.at(number).borrow()));
    pool.note_directory(directory.allocation_size());
    Ok(number)
}

/// What a common allocator takes for so many bytes: eight of its own, in steps of sixteen, at least 32.
pub(crate) fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}

/// The same for a value behind an [`Arc`] with its two counters.
pub(crate) fn allocated_arc<T>() -> usize {
    allocated(size_of::<T>() + 2 * size_of::<usize>())
}
