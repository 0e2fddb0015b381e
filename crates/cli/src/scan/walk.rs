//! Goes through folders: every regular file but the insides of git, whatever its name says. Links are not followed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What the kernel makes up as it is read: without end, and never where a key was left.
const OF_THE_KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What is met on the way.
#[derive(Debug)]
pub(super) enum Met {
    File(PathBuf),
    /// A folder with git's own folder in it, or such a folder that stands alone.
    Repository(PathBuf),
    Unreadable(PathBuf, io::Error),
}

/// Visits all below a file or folder, until it is told to stop. Folders are remembered, files are not: memory grows with
/// the width of the tree.
pub(super) fn walk(root: &Path, visit: &mut dyn FnMut(Met) -> ControlFlow<()>) -> ControlFlow<()> {
    match fs::metadata(root) {
        Ok(met) if met.is_dir() => {}
        // A pipe that is named is meant.
        Ok(_) => return visit(Met::File(root.to_owned())),
        Err(error) => return visit(Met::Unreadable(root.to_owned(), error)),
    }
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        if is_bare(&folder) {
            visit(Met::Repository(folder))?;
            continue;
        }
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries {
                    match entry.and_then(|entry| Ok((entry.file_type()?, entry.path()))) {
                        Ok((_, path)) if path.file_name() == Some(OsStr::new(".git")) => {
                            visit(Met::Repository(folder.clone()))?;
                        }
                        Ok((kind, path)) if kind.is_file() => visit(Met::File(path))?,
                        Ok((kind, path)) if kind.is_dir() && !is_of_the_kernel(&path) => folders.push(path),
                        Ok(_) => {}
                        Err(error) => visit(Met::Unreadable(folder.clone(), error))?,
                    }
                }
            }
            Err(error) => visit(Met::Unreadable(folder, error))?,
        }
    }
    ControlFlow::Continue(())
}

/// Git's own folder, wherever it stands: a bare repository, or the one that a submodule shares.
fn is_bare(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

fn is_of_the_kernel(folder: &Path) -> bool {
    OF_THE_KERNEL.iter().any(|path| Path::new(path) == folder)
}

/// The folder above this one that is a repository's work tree, if this is part of one. The folder itself is met on the way.
pub(super) fn enclosing(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let is_work_tree = |folder: &&Path| folder.join(".git").exists();
    path.ancestors().skip(1).find(is_work_tree).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(root: &Path) -> Vec<String> {
        let mut all = Vec::new();
        let _ = walk(root, &mut |met| {
            let (kind, path) = match &met {
                Met::File(path) => ("file", path),
                Met::Repository(path) => ("repository", path),
                Met::Unreadable(path, _) => ("unreadable", path),
            };
            let path = path.strip_prefix(root).unwrap().display();
            all.push(format!("{kind} {path}"));
            ControlFlow::Continue(())
        });
        all.sort();
        all
    }

    #[test]
    fn all_files_are_met_but_gits_own() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["lists/.hidden", "lists/.git/objects", "bare/objects", "bare/refs"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in
            ["a.env", "lists/.hidden/b.bin", "lists/.git/config", "bare/HEAD", "bare/config", ".gitignore"]
        {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("..", dir.path().join("lists/loop")).unwrap();
        std::os::unix::fs::symlink("a.env", dir.path().join("link")).unwrap();
        assert_eq!(
            met(dir.path()),
            [
                "file .gitignore",
                "file a.env",
                "file lists/.hidden/b.bin",
                "repository bare",
                "repository lists"
            ]
        );
        assert_eq!(met(&dir.path().join("a.env")), ["file "]);
        assert_eq!(met(&dir.path().join("nothing")), ["unreadable "]);
        assert_eq!(
            enclosing(&dir.path().join("lists/.hidden")),
            dir.path().join("lists").canonicalize().ok()
        );
        assert_eq!(enclosing(&dir.path().join("bare")), None);
    }

    #[test]
    fn a_walk_stops_when_told_to() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let mut visited = 0;
        let ended = walk(dir.path(), &mut |_| {
            visited += 1;
            ControlFlow::Break(())
        });
        assert_eq!((visited, ended), (1, ControlFlow::Break(())));
    }
}
