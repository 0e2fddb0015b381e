//! The right edge of the tree: all that must be kept to append leaves and to know the root.

use tlog_tiles::{EMPTY_HASH, Error, Hash, HashReader, node_hash, split_stored_hash_index, sub_tree_index};

use crate::levels::TILE_HEIGHT;

/// The perfect subtrees that a tree of some size is made of, the largest first. At most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frontier {
    size: u64,
    /// Height and root of each; the heights fall.
    subtrees: Vec<(u8, Hash)>,
}

impl Frontier {
    /// The edge of a tree whose hashes are stored.
    ///
    /// # Errors
    /// Whatever the reader meets.
    pub fn of<R: HashReader>(size: u64, stored: &R) -> Result<Self, Error> {
        let indexes = if size == 0 { Vec::new() } else { sub_tree_index(0, size, Vec::new()) };
        let hashes = stored.read_hashes(&indexes)?;
        let heights = indexes.iter().map(|index| split_stored_hash_index(*index).0);
        Ok(Self { size, subtrees: heights.zip(hashes).collect() })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and tells each hash that becomes part of a tile: its tile level and the hash, in the order of the
    /// levels. A level's hashes come in their order.
    pub fn push(&mut self, leaf: Hash, mut tiled: impl FnMut(u8, Hash)) {
        let (mut height, mut hash) = (0, leaf);
        tiled(0, hash);
        while let Some((_, left)) = self.subtrees.pop_if(|(top, _)| *top == height) {
            hash = node_hash(left, hash);
            height += 1;
            if height % TILE_HEIGHT == 0 {
                tiled(height / TILE_HEIGHT, hash);
            }
        }
        self.subtrees.push((height, hash));
        self.size += 1;
    }

    /// The tree's root; of an empty tree the hash of nothing, as RFC 6962 has it.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut rest = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        let last = rest.next().unwrap_or(EMPTY_HASH);
        rest.fold(last, |right, left| node_hash(left, right))
    }
}
