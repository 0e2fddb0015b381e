//! From a key's hash to its row's number: an open-addressed table of four bytes a slot.

/// Eight bits of the hash beside 24 bits of row number: a foreign slot costs a look at its row once in 256 times.
#[derive(Default)]
pub(crate) struct Table {
    /// 0 = empty, else tag and row number + 1.
    slots: Vec<u32>,
    used: usize,
}

/// The rows that one table can tell apart.
pub(crate) const MAX_ROWS: u32 = (1 << 24) - 1;

const NUMBER: u32 = (1 << 24) - 1;
const FIRST_CAPACITY: usize = 16;

impl Table {
    /// The number of the row that `is_it`.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let tag = tag(hash);
        let mut at = self.start(hash);
        // Ends, since the load never reaches one: there is an empty slot.
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot & !NUMBER == tag && is_it((slot & NUMBER) - 1) {
                return Some((slot & NUMBER) - 1);
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    /// Whether one more row needs [`Self::rebuild`] first. A load of 7/8 keeps a hit at about four slots side by side.
    pub(crate) fn is_full(&self) -> bool {
        (self.used + 1) * 8 > self.slots.len() * 7
    }

    /// Adds a row that is not there. The caller has made room.
    pub(crate) fn insert(&mut self, hash: u64, row: u32) {
        debug_assert!(row < MAX_ROWS && self.used < self.slots.len());
        let mut at = self.start(hash);
        while self.slots[at] != 0 {
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
        self.slots[at] = tag(hash) | (row + 1);
        self.used += 1;
    }

    /// Half as large again, since doubling would leave the table half empty on average.
    pub(crate) fn grown_capacity(&self) -> usize {
        (self.slots.len() + self.slots.len() / 2).max(FIRST_CAPACITY)
    }

    /// The capacity that holds so many rows without growing.
    pub(crate) fn capacity_for(rows: usize) -> usize {
        (rows * 8 / 7 + 2).max(FIRST_CAPACITY)
    }

    /// A new table of the same rows, given in the order of their numbers.
    pub(crate) fn rebuild(&mut self, capacity: usize, hashes: impl Iterator<Item = u64>) {
        // The old one first: both at once would be the peak of memory.
        *self = Self::default();
        self.slots = vec![0; capacity];
        for (row, hash) in (0..).zip(hashes) {
            self.insert(hash, row);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    /// Multiply-shift: any capacity will do, not only powers of two.
    fn start(&self, hash: u64) -> usize {
        // Bits 26 to 57: the six above choose the shard, the eight lowest are the tag.
        let fraction = (hash >> 26) & 0xffff_ffff;
        ((fraction * self.slots.len() as u64) >> 32) as usize
    }
}

fn tag(hash: u64) -> u32 {
    ((hash & 0xff) as u32) << 24
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }

    #[test]
    fn every_row_is_found_and_no_other() {
        let hashes: Vec<u64> = (0..5_000).map(hash).collect();
        let mut table = Table::default();
        assert_eq!(table.find(1, |_| true), None);
        for (row, &h) in (0_u32..).zip(&hashes) {
            if table.is_full() {
                table.rebuild(table.grown_capacity(), hashes[..row as usize].iter().copied());
            }
            table.insert(h, row);
        }
        for (row, &h) in (0_u32..).zip(&hashes) {
            assert_eq!(table.find(h, |r| hashes[r as usize] == h), Some(row));
        }
        for n in 5_000..10_000 {
            assert_eq!(table.find(hash(n), |r| hashes[r as usize] == hash(n)), None);
        }
        assert!(table.used * 8 <= table.slots.len() * 7, "the load stays below 7/8");
        assert!(table.memory_bytes() <= 5_000 * 4 * 8 / 7 * 3 / 2 + 64, "no more than half as much again");
    }

    #[test]
    fn hashes_that_all_collide_still_find_their_rows() {
        let mut table = Table::default();
        table.rebuild(Table::capacity_for(100), std::iter::empty());
        for row in 0..100 {
            assert!(!table.is_full());
            table.insert(u64::MAX, row);
        }
        for row in 0..100 {
            assert_eq!(table.find(u64::MAX, |r| r == row), Some(row));
        }
    }
}
