//! One part of all keys: rows in chunks that never move, and the table that finds them.

use std::collections::HashMap;

use domain::KeyId;

use crate::row::{ColdRow, HotRow};
use crate::table::{MAX_ROWS, Table};

/// Rows a chunk: large enough that the list of chunks is small, small enough that the last, partly empty one
/// wastes little.
const CHUNK_ROWS: usize = 256;

struct Chunk {
    hot: [HotRow; CHUNK_ROWS],
    cold: [ColdRow; CHUNK_ROWS],
}

/// Rows are added and changed, never removed: a key that has ended is still told apart from one that never was.
#[derive(Default)]
pub(crate) struct Shard {
    table: Table,
    chunks: Vec<Box<Chunk>>,
    len: u32,
    /// While the shard is pinned; see [`crate::pin`].
    aside: Option<Box<Aside>>,
}

/// The shard as it was when it was pinned: how many rows it had, up to which they were read since, and the rows behind that
/// which have changed, as they were.
#[derive(Default)]
struct Aside {
    len: u32,
    read: u32,
    rows: HashMap<u32, (HotRow, ColdRow)>,
}

/// The shard holds as many rows as its table can tell apart.
pub(crate) struct ShardFull;

impl Shard {
    /// The number of a key's row.
    pub(crate) fn find(&self, hash: u64, key_id: KeyId) -> Option<u32> {
        self.table.find(hash, |row| self.hot(row).key_id() == key_id)
    }

    pub(crate) fn hot(&self, row: u32) -> &HotRow {
        let row = row as usize;
        &self.chunks[row / CHUNK_ROWS].hot[row % CHUNK_ROWS]
    }

    pub(crate) fn cold(&self, row: u32) -> &ColdRow {
        let row = row as usize;
        &self.chunks[row / CHUNK_ROWS].cold[row % CHUNK_ROWS]
    }

    pub(crate) fn set(&mut self, row: u32, hot: HotRow, cold: ColdRow) {
        self.put_aside(row);
        let row = row as usize;
        let chunk = &mut self.chunks[row / CHUNK_ROWS];
        chunk.hot[row % CHUNK_ROWS] = hot;
        chunk.cold[row % CHUNK_ROWS] = cold;
    }

    /// Adds a key that is not there. `hash_of` is the hash that `hash` was made with.
    pub(crate) fn add(
        &mut self,
        hash: u64,
        hot: HotRow,
        cold: ColdRow,
        hash_of: impl Fn(KeyId) -> u64,
    ) -> Result<(), ShardFull> {
        if self.len >= MAX_ROWS {
            return Err(ShardFull);
        }
        if self.table.is_full() {
            self.rebuild(self.table.grown_capacity(), hash_of);
        }
        let row = self.len;
        if row as usize == self.chunks.len() * CHUNK_ROWS {
            let chunk = Chunk { hot: [HotRow::ABSENT; CHUNK_ROWS], cold: [ColdRow::ABSENT; CHUNK_ROWS] };
            self.chunks.push(Box::new(chunk));
        }
        self.set(row, hot, cold);
        self.table.insert(hash, row);
        self.len += 1;
        Ok(())
    }

    /// From now on rows that change are put aside as they are, until they were read.
    pub(crate) fn pin(&mut self) {
        self.aside = Some(Box::new(Aside { len: self.len, ..Aside::default() }));
    }

    pub(crate) fn unpin(&mut self) {
        self.aside = None;
    }

    /// The next rows as they were when the shard was pinned, at most so many; none when all were read.
    pub(crate) fn read_pinned(&mut self, limit: u32) -> Vec<(HotRow, ColdRow)> {
        let Some(mut aside) = self.aside.take() else { return Vec::new() };
        let to = aside.len.min(aside.read.saturating_add(limit));
        let mut was = |row: u32| aside.rows.remove(&row).unwrap_or((*self.hot(row), *self.cold(row)));
        let rows = (aside.read..to).map(&mut was).collect();
        aside.read = to;
        self.aside = Some(aside);
        rows
    }

    fn put_aside(&mut self, row: u32) {
        let Some(mut aside) = self.aside.take() else { return };
        if row < aside.len && row >= aside.read {
            aside.rows.entry(row).or_insert_with(|| (*self.hot(row), *self.cold(row)));
        }
        self.aside = Some(aside);
    }

    /// Makes room for so many rows at once.
    pub(crate) fn reserve(&mut self, rows: usize, hash_of: impl Fn(KeyId) -> u64) {
        self.rebuild(Table::capacity_for(rows), hash_of);
    }

    fn rebuild(&mut self, capacity: usize, hash_of: impl Fn(KeyId) -> u64) {
        let mut table = std::mem::take(&mut self.table);
        table.rebuild(capacity, self.rows().map(|(hot, _)| hash_of(hot.key_id())));
        self.table = table;
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// All rows in the order of their numbers.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&HotRow, &ColdRow)> {
        (0..self.len).map(|row| (self.hot(row), self.cold(row)))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
            + self.chunks.capacity() * size_of::<Box<Chunk>>()
            + self.chunks.len() * size_of::<Chunk>()
    }
}

#[cfg(test)]
mod tests {
    use domain::{Position, Revision};

    use super::*;
    use crate::row::Refs;

    #[test]
    fn rows_stay_where_they_are_while_chunks_and_table_grow() {
        let mut shard = Shard::default();
        let hash_of = |key_id: KeyId| (key_id.to_u128() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 1..=1_000_u32 {
            let key_id = KeyId::from_u128(n.into());
            let hot = HotRow::unread(key_id, n, Position::new(n.into()));
            let cold = ColdRow::new(Refs { labels: n, ..Refs::default() }, Revision::new(n));
            assert!(shard.add(hash_of(key_id), hot, cold, hash_of).is_ok());
        }
        for n in 1..=1_000_u32 {
            let key_id = KeyId::from_u128(n.into());
            let row = shard.find(hash_of(key_id), key_id).unwrap();
            assert_eq!((row, shard.hot(row).tenant(), shard.cold(row).labels()), (n - 1, n, n));
        }
        let absent = KeyId::from_u128(5_000);
        assert_eq!(shard.find(hash_of(absent), absent), None);
        assert_eq!(shard.rows().count(), 1_000);
    }
}
