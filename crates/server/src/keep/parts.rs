//! The parts of a backup beside the events: written under the number of their run, checked before they are used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::KeepError;
use super::backup::Part;

/// Bytes copied at a time.
const PIECE: usize = 256 * 1024;
/// How deep records lie at most: a folder a record, and what a database makes in it.
const MAX_DEPTH: usize = 8;

/// Writes a part from bytes, for this user only; durable on return but for its name.
pub(super) fn put(root: &Path, name: &str, bytes: &[u8]) -> Result<Part, KeepError> {
    let mut from = bytes;
    put_from(root, name, &mut from)
}

/// Copies a file into a part.
pub(super) fn put_file(root: &Path, name: &str, file: &Path) -> Result<Part, KeepError> {
    let mut from = File::open(file).map_err(|source| KeepError::io(file, source))?;
    put_from(root, name, &mut from)
}

/// Copies every file below a folder; links and other things are not records.
pub(super) fn put_folder(root: &Path, name: &str, folder: &Path) -> Result<Vec<Part>, KeepError> {
    let mut parts = Vec::new();
    put_below(root, name, folder, MAX_DEPTH, &mut parts)?;
    Ok(parts)
}

fn put_below(
    root: &Path,
    name: &str,
    folder: &Path,
    depth: usize,
    parts: &mut Vec<Part>,
) -> Result<(), KeepError> {
    let failed = |source| KeepError::io(folder, source);
    if depth == 0 {
        return Err(failed(io::Error::other("its folders lie too deep")));
    }
    let mut entries =
        fs::read_dir(folder).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let Some(own) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let below = format!("{name}/{own}");
        if kind.is_dir() {
            put_below(root, &below, &entry.path(), depth - 1, parts)?;
        } else if kind.is_file() {
            parts.push(put_file(root, &below, &entry.path())?);
        }
    }
    Ok(())
}

fn put_from(root: &Path, name: &str, from: &mut dyn Read) -> Result<Part, KeepError> {
    let path = root.join(name);
    let mut write = || -> io::Result<(u64, String)> {
        make_private(path.parent().unwrap_or(root))?;
        // A run that was stopped may have left it half-written.
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        let mut to = BufWriter::with_capacity(PIECE, &file);
        let digest = pass(from, &mut to)?;
        to.flush()?;
        drop(to);
        file.sync_all()?;
        Ok(digest)
    };
    let (bytes, sha256) = write().map_err(|source| KeepError::io(&path, source))?;
    Ok(Part { path: name.to_owned(), bytes, sha256 })
}

/// Passes bytes on; how many, and their digest in hexadecimal.
fn pass(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let (mut digest, mut count, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&piece[..read])?;
        digest.update(&piece[..read]);
        count += read as u64;
    }
    let hex = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((count, hex))
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether a part is what it was.
pub(super) fn check(root: &Path, part: &Part) -> Result<(), KeepError> {
    give(root, part, &mut io::sink())
}

/// A part's bytes, checked.
pub(super) fn read(root: &Path, part: &Part) -> Result<Vec<u8>, KeepError> {
    let mut bytes = Vec::new();
    give(root, part, &mut bytes)?;
    Ok(bytes)
}

/// Gives a part back as a file, for this user only, whole and durable.
pub(super) fn give_file(root: &Path, part: &Part, to: &Path) -> Result<(), KeepError> {
    let failed = |source| KeepError::io(to, source);
    let folder = to.parent().unwrap_or(root);
    make_private(folder).map_err(failed)?;
    let draft = draft_of(to);
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft);
    let mut file = file.map_err(failed)?;
    give(root, part, &mut file)?;
    let named = || -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&draft, to)?;
        File::open(folder)?.sync_all()
    };
    named().map_err(failed)
}

fn draft_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.restoring"))
}

fn give(root: &Path, part: &Part, to: &mut dyn Write) -> Result<(), KeepError> {
    let path = root.join(&part.path);
    let failed = |source| KeepError::io(&path, source);
    let mut from = BufReader::with_capacity(PIECE, File::open(&path).map_err(failed)?);
    let (bytes, sha256) = pass(&mut from, to).map_err(failed)?;
    if bytes == part.bytes && sha256 == part.sha256 {
        return Ok(());
    }
    let reason =
        format!("it has {bytes} bytes of digest {sha256}, written were {} of {}", part.bytes, part.sha256);
    Err(KeepError::PartDamaged { path, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_comes_back_as_it_went_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let records = dir.path().join("records");
        fs::create_dir_all(records.join("usage")).unwrap();
        fs::write(records.join("usage/db"), [7; 300_000]).unwrap();
        fs::write(records.join("list"), b"webhooks").unwrap();
        let root = dir.path().join("backup");
        let parts = put_folder(&root, "records-1", &records).unwrap();
        let paths: Vec<_> = parts.iter().map(|part| part.path.as_str()).collect();
        assert_eq!(paths, ["records-1/list", "records-1/usage/db"]);
        let back = dir.path().join("back");
        for part in &parts {
            check(&root, part).unwrap();
            give_file(&root, part, &back.join(&part.path)).unwrap();
        }
        assert_eq!(fs::read(back.join("records-1/usage/db")).unwrap(), [7; 300_000]);
        for damage in [&[8; 300_000][..], &[7; 299_999], &[7; 300_001]] {
            fs::write(root.join("records-1/usage/db"), damage).unwrap();
            assert!(matches!(check(&root, &parts[1]), Err(KeepError::PartDamaged { .. })));
            assert!(give_file(&root, &parts[1], &back.join("usage")).is_err());
            assert!(!back.join("usage").exists(), "nothing half restored has its name");
        }
    }
}
