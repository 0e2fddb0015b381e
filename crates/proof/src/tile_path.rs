//! Which tile a path means, as C2SP tlog-tiles writes it.

use std::io;

use tlog_tiles::Tile;

use crate::levels::{Levels, TILE_HEIGHT, TILE_WIDTH, tile_levels};

/// A tile of hashes, full or partial; of level 0 also the entries behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilePath(Tile);

impl TilePath {
    /// Reads `<L>` and `<N>[.p/<W>]`. Anything but the one spelling of a tile is none.
    #[must_use]
    pub fn parse(level: &str, index: &str) -> Option<Self> {
        // What the library would panic on goes first: levels above any tree of 64 bits, and tiles of no width.
        let number: u8 = level.parse().ok().filter(|number| *number < tile_levels(u64::MAX))?;
        let width = index.rsplit_once(".p/").and_then(|(_, width)| width.parse::<u32>().ok());
        if number.to_string() != level || width == Some(0) {
            return None;
        }
        // It has the tile's height in the path, as the Go original.
        Tile::from_path(&format!("tile/{TILE_HEIGHT}/{level}/{index}")).ok().map(Self)
    }

    /// Whether a tree of this size has all of it.
    #[must_use]
    pub fn is_in(&self, size: u64) -> bool {
        let there = size >> (TILE_HEIGHT * self.0.level());
        let end =
            self.0.level_index().checked_mul(TILE_WIDTH).and_then(|n| n.checked_add(self.0.width().into()));
        end.is_some_and(|end| end <= there)
    }

    /// The index of its first hash in its level.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.0.level_index().saturating_mul(TILE_WIDTH)
    }

    /// How many hashes it has.
    #[must_use]
    pub fn width(&self) -> usize {
        usize::try_from(self.0.width()).expect("a tile has at most 256 hashes")
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When the tree's files cannot be read, or do not have it.
    pub fn hashes(&self, levels: &Levels) -> io::Result<Vec<u8>> {
        levels.hashes(self.0.level(), self.first(), self.width())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_one_spelling() {
        let tile = TilePath::parse("0", "x001/x234/067").unwrap();
        assert_eq!((tile.first(), tile.width()), (1_234_067 * 256, 256));
        let partial = TilePath::parse("1", "000.p/17").unwrap();
        assert_eq!((partial.first(), partial.width()), (0, 17));
        for (level, index) in [
            ("0", "0"),
            ("0", "001/067"),
            ("0", "x000/067"),
            ("0", "000.p/0"),
            ("0", "000.p/256"),
            ("0", "000.p/07"),
            ("00", "000"),
            ("data", "000"),
            ("8", "000"),
            ("64", "000"),
            ("0", "000.p/00"),
            ("-1", "000"),
            ("0", "000/../001"),
            ("0", ""),
            ("", "000"),
            ("0", "x999/x999/x999/x999/x999/x999/x999/999"),
        ] {
            assert_eq!(TilePath::parse(level, index), None, "{level}/{index}");
        }
    }

    #[test]
    fn a_tree_has_the_tiles_that_its_size_fills() {
        // The example of the specification: 273 full tiles and one of 112; one full tile above, and one of 17; one of 1.
        let has = |level, index: &str| TilePath::parse(level, index).unwrap().is_in(70_000);
        for (level, index) in
            [("0", "272"), ("0", "273.p/112"), ("1", "000"), ("1", "001.p/17"), ("2", "000.p/1")]
        {
            assert!(has(level, index), "{level}/{index}");
        }
        for (level, index) in
            [("0", "273"), ("0", "273.p/113"), ("1", "001.p/18"), ("2", "000.p/2"), ("3", "000.p/1")]
        {
            assert!(!has(level, index), "{level}/{index}");
        }
    }
}
