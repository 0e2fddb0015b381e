//! The tree on disk: one file a tile level, each only ever appended to.
//!
//! The file of level L holds the roots of all perfect subtrees of 256^L leaves, one behind the other. Tile L/N is then the
//! bytes from `N × 8192` on, and every partial tile is a prefix of its full one: static content, cut where it is asked for.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::PathBuf;

use tlog_tiles::{Error, HASH_SIZE, Hash, HashReader, Tile, split_stored_hash_index};

use crate::files::sync_folder;
use crate::frontier::Frontier;

/// Levels of the tree that one tile covers, as C2SP tlog-tiles fixes it.
pub(crate) const TILE_HEIGHT: u8 = 8;

/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// Bytes a hash has in a file.
const STRIDE: u64 = HASH_SIZE as u64;

/// How many tile levels a tree of some size has.
#[must_use]
pub const fn tile_levels(size: u64) -> u8 {
    let (mut levels, mut left) = (0, size);
    while left > 0 {
        levels += 1;
        left >>= TILE_HEIGHT;
    }
    levels
}

/// The folder with the level files. Readers and the one writer may use the same files: what a reader asks for was synced
/// before the checkpoint that made it ask.
#[derive(Debug)]
pub struct Levels {
    folder: PathBuf,
}

impl Levels {
    /// The folder need not be there yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where one level lies.
    #[must_use]
    pub fn file(&self, level: u8) -> PathBuf {
        self.folder.join(level.to_string())
    }

    /// Some hashes of a level.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] or [`io::ErrorKind::NotFound`] if they are not there.
    pub fn hashes(&self, level: u8, first: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count * HASH_SIZE];
        File::open(self.file(level))?.read_exact_at(&mut bytes, first.saturating_mul(STRIDE))?;
        Ok(bytes)
    }

    /// How many hashes of a level are there.
    ///
    /// # Errors
    /// When the file cannot be looked at; one that is not there has none.
    pub fn len(&self, level: u8) -> io::Result<u64> {
        match self.file(level).metadata() {
            Ok(file) => Ok(file.len() / STRIDE),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Goes on writing behind a tree of the frontier's size: what lies beyond it in the files was never vouched for, and
    /// goes. Makes the folder if it is not there.
    ///
    /// # Errors
    /// When the files cannot be written, or hold less than the frontier says.
    pub fn write_on(&self, frontier: Frontier) -> io::Result<LevelWriter> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut writer =
            LevelWriter { levels: Self::new(&self.folder), files: Vec::new(), frontier, made: false };
        let size = writer.frontier.size();
        for level in 0..tile_levels(u64::MAX) {
            let keep = size >> (TILE_HEIGHT * level);
            let there = self.len(level)?;
            if there < keep {
                let reason = format!("{} holds {there} hashes of {keep}", self.file(level).display());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            if level < tile_levels(size) {
                writer.open_level(keep)?;
            } else if self.file(level).exists() {
                std::fs::remove_file(self.file(level))?;
            }
        }
        Ok(writer)
    }
}

impl HashReader for Levels {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        // Every hash between two tile levels is the root of hashes of the lower one.
        let read = |index: &u64| {
            let (height, n) = split_stored_hash_index(*index);
            let within = height % TILE_HEIGHT;
            let bytes = self.hashes(height / TILE_HEIGHT, n << within, 1 << within);
            bytes.map(|bytes| Tile::subtree_hash(&bytes))
        };
        let hashes: io::Result<Vec<Hash>> = indexes.iter().map(read).collect();
        hashes.map_err(|error| Error::InvalidInput(format!("the tree's files cannot be read: {error}")))
    }
}

/// The one that appends. Nothing is durable before [`LevelWriter::sync`] returns.
#[derive(Debug)]
pub struct LevelWriter {
    levels: Levels,
    files: Vec<BufWriter<File>>,
    frontier: Frontier,
    /// Whether a file is new, so that its name is not durable yet.
    made: bool,
}

impl LevelWriter {
    /// The tree as written so far.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Appends a leaf to the files' buffers.
    ///
    /// # Errors
    /// When a file cannot be written. The writer must not be used after that.
    pub fn push(&mut self, leaf: Hash) -> io::Result<()> {
        let mut tiled = Vec::with_capacity(1);
        self.frontier.push(leaf, |level, hash| tiled.push((level, hash)));
        for (level, hash) in tiled {
            while self.files.len() <= usize::from(level) {
                // It begins with this very hash: what an earlier run left here is gone.
                self.open_level(0)?;
            }
            self.files[usize::from(level)].write_all(&hash.0)?;
        }
        Ok(())
    }

    /// Makes all that was pushed durable.
    ///
    /// # Errors
    /// When a file cannot be written or synced. The writer must not be used after that.
    pub fn sync(&mut self) -> io::Result<()> {
        for file in &mut self.files {
            file.flush()?;
            file.get_ref().sync_data()?;
        }
        if self.made {
            sync_folder(&self.levels.folder)?;
            self.made = false;
        }
        Ok(())
    }

    /// Opens the next level's file, cut to so many hashes.
    fn open_level(&mut self, keep: u64) -> io::Result<()> {
        let level = u8::try_from(self.files.len()).expect("a tree of 2^64 leaves has eight tile levels");
        let path = self.levels.file(level);
        self.made |= !path.exists();
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(keep * STRIDE)?;
        self.files.push(BufWriter::new(file));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tlog_tiles::{
        check_record, check_tree, prove_record, prove_tree, record_hash, stored_hash_index, stored_hashes,
    };

    use super::*;

    /// All hashes of a tree in memory, as the library we check against stores them.
    struct Oracle(Vec<Hash>);

    impl HashReader for Oracle {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
            Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
        }
    }

    fn leaf(n: u64) -> Hash {
        record_hash(&n.to_be_bytes())
    }

    #[test]
    fn roots_proofs_and_tiles_are_those_of_the_library() {
        let dir = tempfile::tempdir().unwrap();
        let levels = Levels::new(dir.path().join("levels"));
        let mut writer = levels.write_on(Frontier::default()).unwrap();
        let mut oracle = Oracle(Vec::new());
        let mut roots = vec![writer.frontier().root()];
        for n in 0..66_000 {
            let stored = stored_hashes(n, &n.to_be_bytes(), &oracle).unwrap();
            oracle.0.extend(stored);
            writer.push(leaf(n)).unwrap();
            if n < 700 || n % 4099 == 0 {
                assert_eq!(writer.frontier().root(), tlog_tiles::tree_hash(n + 1, &oracle).unwrap(), "{n}");
            }
            roots.push(writer.frontier().root());
        }
        writer.sync().unwrap();
        assert_eq!(
            (levels.len(0).unwrap(), levels.len(1).unwrap(), levels.len(2).unwrap()),
            (66_000, 257, 1)
        );
        for n in [0, 1, 255, 256, 65_535, 65_536, 65_999] {
            let proof = prove_record(66_000, n, &levels).unwrap();
            check_record(&proof, 66_000, roots[66_000], n, leaf(n)).unwrap();
        }
        for size in [1_u64, 255, 256, 257, 65_536, 65_999] {
            let proof = prove_tree(66_000, size, &levels).unwrap();
            check_tree(&proof, 66_000, roots[66_000], size, roots[usize::try_from(size).unwrap()]).unwrap();
            assert_eq!(Frontier::of(size, &levels).unwrap().root(), roots[usize::try_from(size).unwrap()]);
        }
        let tile = Tile::new(8, 1, 0, 256, false).read_data(&oracle).unwrap();
        assert_eq!(levels.hashes(1, 0, 256).unwrap(), tile);
        assert_eq!(
            oracle.0[usize::try_from(stored_hash_index(16, 0)).unwrap()].0[..],
            levels.hashes(2, 0, 1).unwrap()
        );
    }

    #[test]
    fn a_writer_that_goes_on_from_an_earlier_size_makes_the_same_files() {
        let dir = tempfile::tempdir().unwrap();
        let levels = Levels::new(dir.path());
        let mut writer = levels.write_on(Frontier::default()).unwrap();
        (0..66_000).for_each(|n| writer.push(leaf(n)).unwrap());
        writer.sync().unwrap();
        let files = || [0, 1, 2].map(|level| std::fs::read(levels.file(level)).unwrap());
        let whole = files();
        for size in [65_999, 65_536, 65_535, 256, 255, 1, 0] {
            let mut writer = levels.write_on(Frontier::of(size, &levels).unwrap()).unwrap();
            (size..66_000).for_each(|n| writer.push(leaf(n)).unwrap());
            writer.sync().unwrap();
            assert!(files() == whole, "from {size}");
        }
    }

    #[test]
    fn files_that_hold_less_than_the_tree_are_not_written_on() {
        let dir = tempfile::tempdir().unwrap();
        let levels = Levels::new(dir.path());
        let mut writer = levels.write_on(Frontier::default()).unwrap();
        (0..300).for_each(|n| writer.push(leaf(n)).unwrap());
        writer.sync().unwrap();
        let frontier = writer.frontier().clone();
        File::options().write(true).open(levels.file(0)).unwrap().set_len(299 * STRIDE).unwrap();
        let error = levels.write_on(frontier).unwrap_err();
        assert!(error.to_string().contains("299 hashes of 300"), "{error}");
    }
}
