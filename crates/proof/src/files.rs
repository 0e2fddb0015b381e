//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What a file is called while it is written.
const ASIDE: &str = "part";

/// Writes a file aside, syncs it and puts it in its place. On return it is durable; a stop before that leaves the old one.
///
/// # Errors
/// Whatever the disk says.
pub fn put_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_added_extension(ASIDE);
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    // If we stop here, the file aside is written over the next time.
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
