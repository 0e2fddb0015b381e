//! Where the tree as it is parts from the tree as it was signed, by the archive's level files.
//!
//! The files are believed only downwards from a signed root: a hash counts if it and its neighbours hash to one that counts.

use tlog_tiles::{HASH_SIZE, Hash, Tile};

use crate::checkpoint::Checkpoint;
use crate::frontier::Frontier;
use crate::levels::{Levels, TILE_HEIGHT, TILE_WIDTH, tile_levels};
use crate::verification::walk::Walk;

/// Hashes of a full tile, as a length.
const WIDTH: usize = TILE_WIDTH as usize;

/// Where something is wrong.
pub(super) enum Suspect {
    /// Among these leaves, whose hashes as they were signed are known; the first has this index.
    Leaves { first: u64, signed: Vec<Hash> },
    /// Somewhere from one position to another: the files say nothing that can be believed there.
    Between { first: u64, last: u64 },
}

impl Suspect {
    pub(super) const fn between(first: u64, last: u64) -> Self {
        Self::Between { first, last }
    }
}

/// Looks for the first difference from the tree of a checkpoint. `None`: the level files do not lead up to its root.
pub(super) fn locate(levels: &Levels, checkpoint: &Checkpoint, walk: &Walk) -> Option<Suspect> {
    let size = checkpoint.size();
    if Frontier::of(size, levels).ok()?.root() != checkpoint.root() {
        return None;
    }
    // The right edge: one partial tile a level, from the left, which is the highest, to the right. Their hashes made the root.
    for level in (0..tile_levels(size)).rev() {
        let count = size >> (TILE_HEIGHT * level);
        let first = count - count % TILE_WIDTH;
        let hashes = read(levels, level, first, usize::try_from(count - first).ok()?)?;
        if level == 0 {
            return Some(Suspect::Leaves { first, signed: hashes });
        }
        let differs = |(n, hash): &(u64, Hash)| walk.upper(level, *n) != Some(*hash);
        if let Some((n, hash)) = (first..).zip(hashes).find(differs) {
            return Some(descend(levels, size, (level, n, hash), walk));
        }
    }
    None
}

/// Goes down from a signed hash that differs, always to the first child that does.
fn descend(levels: &Levels, size: u64, from: (u8, u64, Hash), walk: &Walk) -> Suspect {
    let (mut level, mut n, mut signed) = from;
    loop {
        let (below, first) = (level - 1, n << TILE_HEIGHT);
        let children = read(levels, below, first, WIDTH);
        let Some(children) = children.filter(|children| root_of(children) == signed) else {
            let span = TILE_HEIGHT * level;
            return Suspect::between((n << span) + 1, ((n + 1) << span).min(size));
        };
        if below == 0 {
            return Suspect::Leaves { first, signed: children };
        }
        let differs = |(n, hash): &(u64, Hash)| walk.upper(below, *n) != Some(*hash);
        let Some(child) = (first..).zip(children).find(differs) else {
            // A hash cannot differ where none below it does; say the whole span rather than nothing.
            let span = TILE_HEIGHT * level;
            return Suspect::between((n << span) + 1, ((n + 1) << span).min(size));
        };
        (level, n, signed) = (below, child.0, child.1);
    }
}

/// Some hashes of a level, if the file has them.
pub(super) fn read(levels: &Levels, level: u8, first: u64, count: usize) -> Option<Vec<Hash>> {
    let bytes = levels.hashes(level, first, count).ok()?;
    let (hashes, _) = bytes.as_chunks::<HASH_SIZE>();
    Some(hashes.iter().map(|hash| Hash(*hash)).collect())
}

fn root_of(hashes: &[Hash]) -> Hash {
    Tile::subtree_hash(hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>().as_slice())
}
