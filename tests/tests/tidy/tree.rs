//! The files of the tree as they lie on disk, without what is built or served.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source: git's own, and what `.gitignore` names.
const NO_SOURCE: [&str; 5] = [".git", "target", "rescind-data", "node_modules", "__pycache__"];

/// A text file, by its path from the root with `/` between names.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the tests lie in the workspace")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// Every text file, sorted by path.
pub(crate) fn files() -> Vec<File> {
    let (root, mut found) = (root(), Vec::new());
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub(crate) fn rust_files() -> Vec<File> {
    let mut files = files();
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree can be listed") {
        let path = entry.expect("an entry of the tree can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !NO_SOURCE.contains(&name) {
                walk(root, &path, found);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("the walk began at the root");
            found.push(File { path: path.display().to_string(), text });
        }
    }
}

/// Fails with all findings at once, each of which says what to do.
#[track_caller]
pub(crate) fn hold(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "\n  {}\n", findings.join("\n  "));
}

#[test]
fn the_walk_sees_the_source_and_not_what_is_built() {
    let files = files();
    for expected in ["Cargo.toml", ".ci/run", "crates/domain/src/lib.rs", "proto/rescind/v1/event.proto"] {
        assert!(files.iter().any(|file| file.path == expected), "{expected} is not seen");
    }
    assert!(!files.iter().any(|file| file.path.starts_with("target/") || file.path.starts_with(".git/")));
}
