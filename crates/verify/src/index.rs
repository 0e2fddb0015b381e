//! The key index: what is known of every key, read by many at once and written by one.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use domain::{
    Key, KeyId, OwnerTag, ParsedKey, Position, Scope, SecretDigest, Selector, Standing, TenantId, Timestamp,
};
use parking_lot::RwLock;

use crate::interner::{Directory, Values};
use crate::judge;
use crate::lease::Lease;
use crate::overlay::Overlay;
use crate::planted::{Planted, RecallBug};
use crate::recalls::Pending;
use crate::request::{Answer, AsOf, Judgement, Moment, VerifyRequest};
use crate::row::{ColdRow, HotRow};
use crate::shard::Shard;
use crate::state::{KeyFacts, KeyState, TenantState};
use crate::tenants::Tenants;
use crate::writer::IndexWriter;

/// Shards: so many that a write rarely meets a read, and few enough that an empty index is small.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;

/// What is known of every key: the rows, the overlay of refused keys, and the lease. Any number of readers;
/// rows are written by the one [`IndexWriter`].
pub struct KeyIndex {
    pub(crate) shards: Box<[Aligned<RwLock<Shard>>]>,
    pub(crate) hash: KeyHash,
    pub(crate) tenants: Tenants,
    pub(crate) values: Values,
    pub(crate) overlay: Overlay,
    pub(crate) lease: Lease,
    pub(crate) keys: AtomicUsize,
    /// Passes that have brought recalls into every row, see [`crate::recalls`].
    pub(crate) settles: AtomicU64,
    /// The keys of tenant `rescind`, few and asked for together.
    pub(crate) operators: RwLock<Vec<KeyId>>,
    applied: AtomicU64,
    pub(crate) planted: Planted,
}

/// What is presented, and by which way it is looked up.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'a> {
    /// A key of our form.
    Native(ParsedKey<'a>),
    /// A token of any form: its id follows from its digest.
    Imported(KeyId, SecretDigest),
}

impl Presented<'_> {
    pub(crate) const fn key_id(&self) -> KeyId {
        match self {
            Self::Native(parsed) => parsed.key_id,
            Self::Imported(key_id, _) => *key_id,
        }
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        match self {
            Self::Native(parsed) => parsed.digest(),
            Self::Imported(_, digest) => *digest,
        }
    }

    /// Whether a row is of the kind that this way opens.
    pub(crate) fn opens(&self, row: &HotRow) -> bool {
        row.is_issued() && row.is_imported() == matches!(self, Self::Imported(..))
    }
}

/// What one look-up brings.
pub(crate) struct Found {
    /// How many passes had settled recalls before the row was copied.
    pub(crate) settles: u64,
    /// Since when the overlay refuses the key.
    pub(crate) refused: Option<Timestamp>,
    /// One that nothing matches if there is none, so that the same comparison is made.
    pub(crate) row: HotRow,
    /// Of the secret that was presented.
    pub(crate) digest: SecretDigest,
}

/// A cache line of its own, so that readers of one shard do not slow those of the next.
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub(crate) T);

/// An empty index and the only writer that it will ever have.
#[must_use]
pub fn new_index(max_staleness: Duration) -> (Arc<KeyIndex>, IndexWriter) {
    let (directory, values) = Directory::new();
    let index = Arc::new(KeyIndex {
        shards: (0..SHARDS).map(|_| Aligned(RwLock::default())).collect(),
        hash: KeyHash::new(),
        tenants: Tenants::new(),
        values,
        overlay: Overlay::default(),
        lease: Lease::new(max_staleness),
        keys: AtomicUsize::new(0),
        settles: AtomicU64::new(0),
        operators: RwLock::default(),
        applied: AtomicU64::new(0),
        planted: Planted::default(),
    });
    let writer = IndexWriter::new(Arc::clone(&index), directory);
    (index, writer)
}

impl KeyIndex {
    /// The verdict on a presented key. Allocates nothing, and does the same work for every well-formed key up to the
    /// comparison of its digest.
    #[must_use]
    pub fn verify(&self, request: &VerifyRequest<'_>, moment: Moment) -> Answer {
        self.judge(request, moment).to_answer()
    }

    /// [`Self::verify`] for who does not keep the answer: nothing of the holder is touched until it is asked for.
    #[must_use]
    pub fn judge(&self, request: &VerifyRequest<'_>, moment: Moment) -> Judgement<'_> {
        judge::judge(self, request, moment, Self::look_up)
    }

    /// The verdict that whoever holds the key's full secret would get, for one who asks about a key and has no secret:
    /// [`Verdict::Unknown`](crate::Verdict::Unknown) where no secret opens one. Nobody's right to pass rests on this.
    #[must_use]
    pub fn judge_key(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
        scope: Option<&Scope>,
        network: Option<IpAddr>,
        moment: Moment,
    ) -> Judgement<'_> {
        let request = VerifyRequest { token: "", tenant: Some(tenant), scope, network };
        judge::judge_key(self, (tenant, key_id), &request, moment)
    }

    /// Every event up to here is in the rows.
    #[must_use]
    pub fn applied(&self) -> Position {
        Position::new(self.applied.load(Ordering::Acquire))
    }

    /// A key as decisions need it; none if there is none or it belongs to another tenant.
    #[must_use]
    pub fn key(&self, tenant: &TenantId, key_id: KeyId) -> Option<KeyState> {
        let (hot, cold) = self.recalled_row(self.hash.of(key_id), key_id)?;
        let entry = self.tenants.at(hot.tenant());
        (*entry.id == *tenant).then(|| KeyState { key: self.key_of(&hot, &cold), last: hot.last() })
    }

    /// A key as another verifier needs it, at least as new as [`Self::applied`] was before the call; none if there is none
    /// that a secret could open, or it belongs to another tenant.
    #[must_use]
    pub fn facts(&self, tenant: &TenantId, key_id: KeyId) -> Option<KeyFacts> {
        let hash = self.hash.of(key_id);
        // Before the row, as every verify does; see `look_up`.
        let refused = self.overlay.since(hash, key_id);
        let (hot, cold) = self.recalled_row(hash, key_id)?;
        if !hot.is_issued() || *self.tenants.at(hot.tenant()).id != *tenant {
            return None;
        }
        let mut key = self.key_of(&hot, &cold);
        if refused.is_some() {
            key.standing = Standing::Revoked;
        }
        Some(KeyFacts {
            key,
            settled_at: hot.settled_at(),
            digest: *hot.digest(),
            imported: hot.is_imported(),
            owner: Arc::clone(self.values.owners.at(hot.owner())),
            ended_at: refused.or(hot.ended_at()),
        })
    }

    /// Whom a key belongs to.
    #[must_use]
    pub fn owner_of(&self, tenant: &TenantId, key_id: KeyId) -> Option<OwnerTag> {
        let (hot, _) = self.recalled_row(self.hash.of(key_id), key_id)?;
        let is_theirs = hot.is_issued() && *self.tenants.at(hot.tenant()).id == *tenant;
        is_theirs.then(|| self.values.owners.at(hot.owner()).tag)
    }

    /// A tenant as decisions need it; none while nothing was heard of its own history.
    #[must_use]
    pub fn tenant(&self, tenant: &TenantId) -> Option<TenantState> {
        self.tenants.state(tenant)
    }

    /// All keys of tenant `rescind`.
    #[must_use]
    pub fn keys_of_operators(&self) -> Vec<Key> {
        let ids = self.operators.read().clone();
        let tenant = TenantId::operators();
        ids.into_iter().filter_map(|key_id| self.key(&tenant, key_id)).map(|state| state.key).collect()
    }

    /// Refuses a key from now on: every verify that starts after this returns says `revoked`. To be called once the
    /// revocation is durable at `position`; ends by itself when the rows have applied it. Safe to repeat.
    pub fn refuse(&self, key_id: KeyId, position: Position, since: Timestamp) {
        self.overlay.refuse(self.hash.of(key_id), key_id, position, since, || self.applied());
    }

    /// Recalls keys from now on: to be called once the recall is durable at `position`, by the server that appended it.
    /// Every verify that starts after this returns says `recalled` for a key that matches, also for one issued before
    /// `position` that the rows learn of later; one issued after it is not hit. Ends by itself when the rows say it. Safe to
    /// repeat.
    ///
    /// A key that an event below `position` makes match is refused as soon as the rows have that event: who acknowledges a
    /// recall waits until [`Self::applied`] has reached `position`.
    pub fn recall(&self, tenant: &TenantId, position: Position, at: Timestamp, selector: &Selector) {
        if self.planted.is(RecallBug::NotPending) {
            return;
        }
        // More tenants than can be numbered: then none of their keys has a row either, and all are refused.
        let Ok(number) = self.tenants.intern(tenant) else { return };
        let recall = Pending { position, at, selector: selector.clone() };
        self.tenants.at(number).recall(recall, || self.applied() >= position);
    }

    /// How many keys are refused that the rows do not refuse yet.
    #[must_use]
    pub fn overlay_len(&self) -> usize {
        self.overlay.len()
    }

    /// Extends the lease: all up to a log head that was read after `asked_boot_ms` has been applied.
    pub fn prove_fresh(&self, asked_boot_ms: u64) {
        self.lease.prove(asked_boot_ms);
    }

    /// When the last successful proof was asked for, on the boot clock.
    #[must_use]
    pub fn proven_at(&self) -> Option<u64> {
        self.lease.proven_at()
    }

    /// Whether the lease has run out, or never began.
    #[must_use]
    pub fn is_stale(&self, boot_ms: u64) -> bool {
        self.lease.has_run_out(self.lease.proven_at(), boot_ms)
    }

    /// How many keys there are, ended and unreadable ones included.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// What all this holds in memory: rows, tables, shared values with what the allocator adds to them, the writer's
    /// directory and the overlay.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|shard| shard.0.read().memory_bytes()).sum();
        size_of::<Self>()
            + self.shards.len() * size_of::<Aligned<RwLock<Shard>>>()
            + shards
            + self.tenants.memory_bytes()
            + self.values.memory_bytes()
            + self.overlay.memory_bytes()
            + self.operators.read().capacity() * size_of::<KeyId>()
    }

    pub(crate) fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[(hash >> (u64::BITS - SHARD_BITS)) as usize].0
    }

    pub(crate) fn publish(&self, position: Position) {
        self.applied.fetch_max(position.get(), Ordering::AcqRel);
    }

    /// A key's row with the pending recalls applied to it.
    pub(crate) fn recalled_row(&self, hash: u64, key_id: KeyId) -> Option<(HotRow, ColdRow)> {
        self.recalled_row_with(hash, key_id, || {})
    }

    /// [`Self::recalled_row`] with a place for the tests to let the writer in. Goes round again only if a whole pass over
    /// all rows ended meanwhile; why it must, see [`crate::recalls`].
    pub(crate) fn recalled_row_with(
        &self,
        hash: u64,
        key_id: KeyId,
        mut between: impl FnMut(),
    ) -> Option<(HotRow, ColdRow)> {
        loop {
            let settles = self.settles();
            let (mut hot, cold) = {
                let shard = self.shard(hash).read();
                let row = shard.find(hash, key_id)?;
                (*shard.hot(row), *shard.cold(row))
            };
            between();
            if let Some(recalls) = self.tenants.at(hot.tenant()).recalls() {
                recalls.settle(&mut hot, &cold, &self.values, Position::new(u64::MAX));
            }
            if self.settles() == settles {
                return Some((hot, cold));
            }
        }
    }

    pub(crate) fn settles(&self) -> u64 {
        self.settles.load(Ordering::Acquire)
    }

    /// What is known of a presented key: since when the overlay refuses it, a copy of its row, and its digest.
    ///
    /// The overlay is read first. The writer changes the row, publishes its position and only then drops the overlay's
    /// entry; so who finds the entry gone also finds the row changed. Read the other way round, a revocation could slip
    /// between: row still active, then the writer applies it and drops the entry, then the overlay is empty.
    pub(crate) fn look_up(&self, presented: &Presented<'_>) -> Found {
        self.look_up_with(presented, || {})
    }

    /// [`Self::look_up`] with a place for the tests to let the writer in.
    pub(crate) fn look_up_with(&self, presented: &Presented<'_>, between: impl FnOnce()) -> Found {
        let settles = self.settles();
        let hash = self.hash.of(presented.key_id());
        let refused = self.overlay.since(hash, presented.key_id());
        between();
        let (row, digest) = self.row_and(hash, presented.key_id(), || presented.digest());
        Found { settles, refused, row, digest }
    }

    /// A copy of a key's row, whole, since it is taken under the shard's lock, and what `meanwhile` made. That is done
    /// under the lock too: the processor hashes while the row is on its way from memory, which an unlock would end.
    pub(crate) fn row_and<R>(&self, hash: u64, key_id: KeyId, meanwhile: impl FnOnce() -> R) -> (HotRow, R) {
        let shard = self.shard(hash).read();
        let row = shard.find(hash, key_id).map_or(&HotRow::ABSENT, |row| shard.hot(row));
        let made = meanwhile();
        (*row, made)
    }

    /// Position and proof, to be read before anything else of a verify: a proof read after the row could belong to a
    /// newer row than the one that was judged.
    pub(crate) fn as_of(&self, boot_ms: u64) -> (AsOf, bool) {
        let proven_at = self.lease.proven_at();
        let lag = proven_at
            .map_or(Duration::MAX, |proven_at| Duration::from_millis(boot_ms.saturating_sub(proven_at)));
        (AsOf { position: self.applied(), lag }, self.lease.has_run_out(proven_at, boot_ms))
    }

    fn key_of(&self, hot: &HotRow, cold: &ColdRow) -> Key {
        // Quarantine hides what the readable part made of the key, except an end that nothing can undo.
        let standing = match hot.standing() {
            Standing::Revoked => Standing::Revoked,
            Standing::Recalled => Standing::Recalled,
            _ if hot.is_quarantined() => Standing::Quarantined,
            standing => standing,
        };
        Key {
            tenant: (*self.tenants.at(hot.tenant()).id).clone(),
            key_id: hot.key_id(),
            environment: hot.environment(),
            owner: self.values.owners.at(hot.owner()).tag,
            scopes: (**self.values.scopes.at(hot.scopes())).clone(),
            labels: (**self.values.labels.at(cold.labels())).clone(),
            networks: (**self.values.networks.at(hot.networks())).clone(),
            expires_at: hot.expires_at(),
            issuer: self.values.issuer(cold.issuer()),
            standing,
            revision: cold.revision(),
        }
    }
}

impl fmt::Debug for KeyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyIndex")
            .field("applied", &self.applied())
            .field("keys", &self.key_count())
            .finish_non_exhaustive()
    }
}

/// Hashes key ids, which their tenants can choose within limits: seeded, so that nobody can make them collide.
pub(crate) struct KeyHash {
    low: u64,
    high: u64,
}

/// Without the seed.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHash").finish_non_exhaustive()
    }
}

impl KeyHash {
    pub(crate) fn new() -> Self {
        // The standard library's per-process random keys; no answer depends on them.
        let seed = RandomState::new();
        Self { low: seed.hash_one(0_u8), high: seed.hash_one(1_u8) }
    }

    /// One 64 × 64 → 128 bit product folded: every bit of the id reaches both ends of the hash.
    pub(crate) fn of(&self, key_id: KeyId) -> u64 {
        let id = key_id.to_u128();
        let product = u128::from(id as u64 ^ self.low) * u128::from((id >> 64) as u64 ^ self.high);
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
