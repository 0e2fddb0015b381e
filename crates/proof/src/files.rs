//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a file is called while it is written.
const ASIDE: &str = "part";

/// Writes a file aside, syncs it and puts it in its place. On return it is durable; a stop before that leaves the old one.
///
/// # Errors
/// Whatever the disk says.
pub fn put_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, OpenOptions::new().mode(0o666))
}

/// The same for a file that only its owner may read.
///
/// # Errors
/// Whatever the disk says.
pub fn put_privately(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, OpenOptions::new().mode(0o600))
}

fn put(path: &Path, bytes: &[u8], mode: &mut OpenOptions) -> io::Result<()> {
    let aside = path.with_added_extension(ASIDE);
    // What an earlier call left there may be open to others: the file is made anew.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = mode.write(true).create_new(true).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    // If we stop here, the file aside is made anew the next time.
    fs::rename(&aside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
