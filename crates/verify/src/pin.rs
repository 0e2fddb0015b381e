//! The index as it was at one position, row by row, while its writer goes on: for comparing it with another one.
//!
//! The writer is held only to begin: it settles its recalls and has every shard put aside, from then on, the rows that it is
//! about to change. A row is put aside once at most and let go of when it was read, so that this never holds more than one
//! index of rows.

use std::sync::Arc;

use domain::{KeyId, Position, Revision, TenantId};

use crate::index::KeyIndex;
use crate::row::{ColdRow, HotRow};
use crate::writer::IndexWriter;

/// Rows copied under one lock: some microseconds, so that nobody who verifies waits for it.
const BLOCK_ROWS: u32 = 256;

/// The index at one position. Dropping it lets the rows go that were put aside.
pub struct IndexPin {
    index: Arc<KeyIndex>,
    position: Position,
    tenants: Vec<TenantFacts>,
    shard: usize,
}

/// Everything that the index knows of a key and that follows from the log alone, as bytes that are equal iff it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFacts {
    /// The key.
    pub key_id: KeyId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The position of its stream's last event.
    pub last: Position,
    /// All that it knows, but for what depends on when the service was started: the readable owner and up to where recalls
    /// were compared.
    pub bytes: Vec<u8>,
}

/// The same of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFacts {
    /// The tenant.
    pub tenant: TenantId,
    /// The position of its stream's last event.
    pub last: Position,
    /// All that is known.
    pub bytes: Vec<u8>,
}

impl IndexWriter {
    /// Pins the index at its published position, all recalls settled. One pin at a time: another one takes its place.
    pub fn pin(&mut self) -> IndexPin {
        self.settle();
        let index = Arc::clone(self.index());
        for shard in &index.shards {
            shard.0.write().pin();
        }
        let tenants = index.tenant_facts();
        IndexPin { position: index.applied(), index, tenants, shard: 0 }
    }
}

impl IndexPin {
    /// Where it is pinned.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The tenants as they were, by id.
    #[must_use]
    pub fn tenants(&self) -> &[TenantFacts] {
        &self.tenants
    }

    /// Whether the index has a key, now.
    #[must_use]
    pub fn has(&self, key_id: KeyId) -> bool {
        let hash = self.index.hash.of(key_id);
        self.index.shard(hash).read().find(hash, key_id).is_some()
    }

    /// The next keys as they were, in no order; none when all were read.
    pub fn read(&mut self) -> Vec<RowFacts> {
        while let Some(shard) = self.index.shards.get(self.shard) {
            let rows = shard.0.write().read_pinned(BLOCK_ROWS);
            if !rows.is_empty() {
                return rows.iter().map(|(hot, cold)| self.index.facts_of_row(hot, cold)).collect();
            }
            self.shard += 1;
        }
        Vec::new()
    }
}

impl Drop for IndexPin {
    fn drop(&mut self) {
        for shard in &self.index.shards {
            shard.0.write().unpin();
        }
    }
}

impl KeyIndex {
    /// What is known of a key, pending recalls included; none if there is no such key.
    #[must_use]
    pub fn row_facts(&self, key_id: KeyId) -> Option<RowFacts> {
        let (hot, cold) = self.recalled_row(self.hash.of(key_id), key_id)?;
        Some(self.facts_of_row(&hot, &cold))
    }

    /// What is known of a tenant; none if nothing is.
    #[must_use]
    pub fn facts_of_tenant(&self, tenant: &TenantId) -> Option<TenantFacts> {
        let entry = self.tenants.at(self.tenants.find(tenant)?);
        let (history, flags, notice) = (entry.history(), entry.flags(), entry.last_notice());
        if history.revision == Revision::NONE && notice == Position::NONE {
            return None;
        }
        let numbers = [u64::from(history.revision.get()), history.last.get(), notice.get()];
        let mut bytes = vec![flags.to_byte()];
        numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        Some(TenantFacts { tenant: tenant.clone(), last: history.last, bytes })
    }

    /// Of all tenants of which anything is known, by id.
    #[must_use]
    pub fn tenant_facts(&self) -> Vec<TenantFacts> {
        let mut facts: Vec<_> =
            self.tenants.iter().filter_map(|entry| self.facts_of_tenant(&entry.id)).collect();
        facts.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        facts
    }

    fn facts_of_row(&self, hot: &HotRow, cold: &ColdRow) -> RowFacts {
        let tenant = (*self.tenants.at(hot.tenant()).id).clone();
        let mut bytes = Vec::with_capacity(256);
        let row = hot.to_bytes();
        // Key id, digest, the time that it ends or ended, its last event; the flags. Numbers of values mean nothing elsewhere.
        bytes.extend_from_slice(&row[..44]);
        bytes.push(row[HotRow::BYTES - 1]);
        bytes.extend(cold.revision().get().to_be_bytes());
        bytes.extend(self.values.owners.at(hot.owner()).tag.to_bytes());
        let issuer = self.values.issuer(cold.issuer()).map(KeyId::to_bytes).unwrap_or_default();
        bytes.extend(issuer);
        texts(&mut bytes, std::iter::once(tenant.as_str().to_owned()));
        texts(&mut bytes, self.values.scopes.at(hot.scopes()).iter().map(ToString::to_string));
        texts(&mut bytes, self.values.networks.at(hot.networks()).iter().map(ToString::to_string));
        texts(&mut bytes, self.values.labels.at(cold.labels()).iter().map(ToString::to_string));
        RowFacts { key_id: hot.key_id(), tenant, last: hot.last(), bytes }
    }
}

/// A list of texts so that no two lists have the same bytes: each with its length, the count behind.
fn texts(bytes: &mut Vec<u8>, all: impl Iterator<Item = String>) {
    let mut count = 0_u32;
    for text in all {
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        count += 1;
    }
    bytes.extend(count.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{acme, at, given_acme, issued, key_id, revoked};
    use crate::{Applied, given::NOW};

    const KEYS: u32 = 2_000;

    fn change(writer: &mut IndexWriter, n: u32, revision: u32) {
        let position = at(u64::from(revision) * 10_000 + u64::from(n));
        let done = writer.change(position, &acme(), key_id(n), Revision::new(revision), NOW, &revoked());
        assert_eq!(done, Applied::Done);
    }

    #[test]
    fn a_pinned_index_stays_as_it_was_while_the_writer_goes_on() {
        let (index, mut writer) = given_acme();
        for n in 1..=KEYS {
            let _ = writer.issue(at(u64::from(n) + 1), &acme(), key_id(n), &issued(n));
        }
        writer.advance(at(u64::from(KEYS) + 1));
        let of = |n| index.row_facts(key_id(n)).unwrap();
        let mut before: Vec<_> = (1..=KEYS).map(|n| of(n).bytes).collect();
        let mut pin = writer.pin();
        assert_eq!(pin.position(), at(u64::from(KEYS) + 1));
        // Some rows are read before they change, the others after; some are new.
        let mut read: Vec<_> = pin.read();
        assert!(!read.is_empty() && read.len() < KEYS as usize / 2);
        (1..=KEYS).for_each(|n| change(&mut writer, n, 2));
        for n in KEYS + 1..=KEYS + 500 {
            let _ = writer.issue(at(90_000 + u64::from(n)), &acme(), key_id(n), &issued(n));
        }
        loop {
            let rows = pin.read();
            if rows.is_empty() {
                break;
            }
            read.extend(rows);
        }
        let mut read: Vec<_> = read.into_iter().map(|row| row.bytes).collect();
        read.sort_unstable();
        before.sort_unstable();
        assert!(read == before, "every row, each as it was");
        assert_ne!(of(7).bytes, before[6]);
        drop(pin);
        assert_eq!(index.shards.iter().map(|shard| shard.0.write().read_pinned(1).len()).sum::<usize>(), 0);
    }

    #[test]
    fn two_indexes_of_one_log_say_the_same_though_they_number_their_values_differently() {
        let (one, mut first) = given_acme();
        let (other, mut second) = given_acme();
        let key = |writer: &mut IndexWriter, n: u32| {
            let _ = writer.issue(at(u64::from(n) + 1), &acme(), key_id(n), &issued(n));
        };
        (1..=9).for_each(|n| key(&mut first, n));
        (1..=9).rev().for_each(|n| key(&mut second, n));
        for n in 1..=9 {
            assert_eq!(one.row_facts(key_id(n)), other.row_facts(key_id(n)));
        }
        assert_eq!(one.tenant_facts(), other.tenant_facts());
        change(&mut second, 3, 2);
        assert_ne!(one.row_facts(key_id(3)), other.row_facts(key_id(3)));
    }

    #[test]
    fn lists_that_differ_have_other_bytes() {
        let of = |all: &[&str]| {
            let mut bytes = Vec::new();
            texts(&mut bytes, all.iter().map(ToString::to_string));
            bytes
        };
        assert_ne!(of(&["ab"]), of(&["a", "b"]));
        assert_ne!(of(&[]), of(&[""]));
    }
}
