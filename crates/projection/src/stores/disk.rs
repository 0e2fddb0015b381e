//! The views' folder on disk: one sled folder a view, and the index snapshot beside them.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Stores, Work};
use crate::tree::{SledTree, Tree, TreeError};
use crate::view::View;
use crate::views::keys::KeysView;

/// The snapshot's file, and the name it has until it is whole.
const SNAPSHOT: &str = "index.snapshot";
const SNAPSHOT_NEW: &str = "index.snapshot.new";

/// Where scratch views lie, for as long as they are compared.
const SCRATCH: &str = "scratch";

/// Between a view's name and the number of the time it was set aside.
const SET_ASIDE: &str = ".set-aside-";

/// Bytes of one read or write of the snapshot: few system calls for 100 MB, little memory.
const SNAPSHOT_BUFFER: usize = 1 << 20;

/// Bytes of pages that sled is asked to keep in memory for a view; it has been seen to keep several times that. The keys get
/// more: their rows are changed all over the tree, and a page that has to be read back costs more than the change. The other
/// views mostly grow at one end. Nothing of it is taken before it is used.
const CACHE_BYTES: u64 = 16 << 20;
const CACHE_BYTES_OF_KEYS: u64 = 128 << 20;

/// A folder that holds only disposable things.
#[derive(Clone, Debug)]
pub struct DiskStores {
    dir: PathBuf,
}

impl DiskStores {
    /// Keeps everything in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let stores = Self { dir: dir.to_owned() };
        // A process that crashed in a comparison left it.
        stores.clear_scratch()?;
        Ok(stores)
    }

    /// The folders of a view that were set aside, each with its number.
    fn aside(&self, view: &str) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_prefix(view)?.strip_prefix(SET_ASIDE)?.parse().ok());
            found.extend(number.map(|number| (number, entry.path())));
        }
        Ok(found)
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

impl Stores for DiskStores {
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        let cache_bytes = if view == KeysView::NAME { CACHE_BYTES_OF_KEYS } else { CACHE_BYTES };
        Ok(Box::new(SledTree::open(&self.dir.join(view), cache_bytes)?))
    }

    fn open_scratch(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        let failed = |error: io::Error| TreeError::Io { reason: error.to_string() };
        self.clear_scratch().map_err(failed)?;
        let dir = self.dir.join(SCRATCH);
        fs::create_dir_all(&dir).map_err(failed)?;
        let cache_bytes = if view == KeysView::NAME { CACHE_BYTES_OF_KEYS } else { CACHE_BYTES };
        Ok(Box::new(SledTree::open(&dir.join(view), cache_bytes)?))
    }

    fn clear_scratch(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.dir.join(SCRATCH)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Keeps the last one for whoever wants to look into it, and no more, so that a disk is not filled with damage.
    fn set_aside(&self, view: &'static str) -> io::Result<()> {
        let before = self.aside(view)?;
        let number = before.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
        match fs::rename(self.dir.join(view), self.dir.join(format!("{view}{SET_ASIDE}{number}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for (_, path) in before {
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(())
    }

    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let new = self.dir.join(SNAPSHOT_NEW);
        let mut file = BufWriter::with_capacity(SNAPSHOT_BUFFER, File::create(&new)?);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        // If we stop before the rename, the old snapshot stands; after it, the new one; the folder's sync makes it last.
        fs::rename(new, self.dir.join(SNAPSHOT))?;
        self.sync_dir()
    }

    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        match File::open(self.dir.join(SNAPSHOT)) {
            Ok(file) => Ok(Some(Box::new(BufReader::with_capacity(SNAPSHOT_BUFFER, file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove_snapshot(&self) -> io::Result<()> {
        match fs::remove_file(self.dir.join(SNAPSHOT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => self.sync_dir(),
        }
    }

    fn work(&self) -> Work {
        Work::Blocking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_set_aside_folder_is_kept_and_it_is_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let stores = DiskStores::open(dir.path()).unwrap();
        stores.set_aside("keys").unwrap();
        for n in 1..=3_u8 {
            fs::create_dir(dir.path().join("keys")).unwrap();
            fs::write(dir.path().join("keys/db"), [n]).unwrap();
            fs::create_dir_all(dir.path().join("keys-of-others.set-aside-7")).unwrap();
            stores.set_aside("keys").unwrap();
        }
        assert_eq!(fs::read(dir.path().join("keys.set-aside-3/db")).unwrap(), [3]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_snapshot_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let stores = DiskStores::open(dir.path()).unwrap();
        let load = || {
            let mut bytes = Vec::new();
            stores.load_snapshot().unwrap().map(|mut file| file.read_to_end(&mut bytes).unwrap());
            bytes
        };
        assert!(stores.load_snapshot().unwrap().is_none());
        stores.save_snapshot(&mut |file| file.write_all(b"first")).unwrap();
        let half = stores.save_snapshot(&mut |file| {
            file.write_all(b"sec")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(half.is_err());
        assert_eq!(load(), b"first");
        stores.save_snapshot(&mut |file| file.write_all(b"second")).unwrap();
        assert_eq!(load(), b"second");
        stores.remove_snapshot().unwrap();
        stores.remove_snapshot().unwrap();
        assert!(stores.load_snapshot().unwrap().is_none());
    }
}
