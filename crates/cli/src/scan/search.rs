//! One run of the search: several workers on the files, and the one place where what is found is counted and printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use domain::{KeyId, ParsedKey};
use zeroize::Zeroizing;

use super::finding::{Object, Origin, line, reported, to_json};
use super::window::{Place, Window};
use crate::failure::Failure;
use crate::leak::send::Leak;
use crate::progress::Progress;
use crate::screen::{self, printable};

/// More workers than this wait for one disk.
const MAX_WORKERS: usize = 8;
/// Paths handed to a worker at once: taking turns costs as much as opening a small file.
const BATCH: usize = 32;
/// Batches that wait for a worker, so that the walk does not fill memory.
const BATCHES: usize = 64;
/// Unreadable places that are named; the rest is counted.
const MAX_NAMED: u64 = 50;

/// Keys that one run reports; another run finds the rest, since what was reported can be left out with --ignore.
pub(super) const MAX_LEAKS: usize = 10_000;

/// How far the search is. Counted by workers, read for the progress line.
#[derive(Debug, Default)]
pub(super) struct Counts {
    files: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    found: AtomicU64,
    unread: AtomicU64,
    commits: AtomicU64,
    commits_expected: AtomicU64,
}

fn add(counter: &AtomicU64, more: u64) -> u64 {
    counter.fetch_add(more, Ordering::Relaxed) + more
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counts {
    pub(super) fn files(&self) -> u64 {
        get(&self.files)
    }

    pub(super) fn objects(&self) -> u64 {
        get(&self.objects)
    }

    pub(super) fn bytes(&self) -> u64 {
        get(&self.bytes)
    }

    /// Places with a key in them.
    pub(super) fn found(&self) -> u64 {
        get(&self.found)
    }

    pub(super) fn unread(&self) -> u64 {
        get(&self.unread)
    }

    /// Commits of the repository at hand: searched, and in all.
    pub(super) fn commits(&self) -> (u64, u64) {
        (get(&self.commits), get(&self.commits_expected))
    }

    /// The next repository has so many.
    pub(super) fn expect_commits(&self, count: u64) {
        self.commits.store(0, Ordering::Relaxed);
        self.commits_expected.store(count, Ordering::Relaxed);
    }
}

/// What the workers share.
pub(super) struct Search<'a> {
    pub(super) counts: &'a Counts,
    progress: &'a Progress,
    wanted: Wanted,
    stop: AtomicBool,
    // Printing goes through this lock, so that lines do not mix.
    told: Mutex<Told>,
}

/// What of the findings is wanted.
pub(super) struct Wanted {
    /// Nothing of these keys.
    pub(super) ignored: BTreeSet<KeyId>,
    /// Each as a line of JSON.
    pub(super) json: bool,
    /// The secrets too, to report them afterwards.
    pub(super) secrets: bool,
}

#[derive(Default)]
struct Told {
    keys: BTreeSet<KeyId>,
    // By the digest of the secret: beside a key there may be others with its id that somebody made up.
    leaks: BTreeMap<[u8; 32], (KeyId, Leak)>,
    // Repository, path, key: a file that changes a hundred times holds its key in a hundred blobs.
    in_history: BTreeSet<(PathBuf, String, KeyId)>,
    failure: Option<Failure>,
}

impl<'a> Search<'a> {
    pub(super) fn new(counts: &'a Counts, progress: &'a Progress, wanted: Wanted) -> Self {
        Self { counts, progress, wanted, stop: AtomicBool::new(false), told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody reads the output any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The failure to print, if that is what ended the search.
    pub(super) fn stopped(&self) -> Result<(), Failure> {
        self.told().failure.take().map_or(Ok(()), Err)
    }

    /// The keys that were found.
    pub(super) fn found(&self) -> BTreeSet<KeyId> {
        self.told().keys.clone()
    }

    /// What is to be reported, by key. Leaves nothing of it here.
    pub(super) fn take_leaks(&self) -> Vec<(KeyId, Leak)> {
        let mut leaks: Vec<_> = std::mem::take(&mut self.told().leaks).into_values().collect();
        leaks.sort_by_key(|(key_id, _)| *key_id);
        leaks
    }

    /// Tells of what could not be searched: then "none found" would say too much.
    pub(super) fn unread(&self, place: &str, why: &str) {
        if add(&self.counts.unread, 1) <= MAX_NAMED {
            let line = format!("cannot search {}: {}", printable(place), printable(why));
            self.progress.aside(|| screen::say(&line));
        }
    }

    pub(super) fn stdin(&self) {
        let _ = add(&self.counts.files, 1);
        let searched = self.text(&mut Window::new(), &Origin::Stdin, &mut io::stdin().lock());
        if let Err(error) = searched {
            self.unread("stdin", &error.to_string());
        }
    }

    pub(super) fn object(
        &self,
        window: &mut Window,
        object: Object<'_>,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let _ = add(&self.counts.objects, 1);
        if object.kind == "commit" {
            let _ = add(&self.counts.commits, 1);
        }
        self.text(window, &Origin::Object(object), content)
    }

    fn file(&self, window: &mut Window, path: &PathBuf) {
        let searched =
            File::open(path).and_then(|mut file| self.text(window, &Origin::File(path), &mut file));
        match searched {
            Ok(()) => drop(add(&self.counts.files, 1)),
            // Removed since the walk met it: there is nothing left to search.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unread(&path.to_string_lossy(), &error.to_string()),
        }
    }

    fn text(&self, window: &mut Window, origin: &Origin<'_>, mut text: &mut dyn Read) -> io::Result<()> {
        let length = window.search(&mut text, &mut |place, key| self.tell(origin, place, &key))?;
        let _ = add(&self.counts.bytes, length);
        Ok(())
    }

    fn tell(&self, origin: &Origin<'_>, place: Place, text: &Zeroizing<String>) {
        // What is found has parsed once.
        let Ok(key) = ParsedKey::parse(text) else { return };
        if self.wanted.ignored.contains(&key.key_id) {
            return;
        }
        let line = if self.wanted.json {
            to_json(origin, place, &key).to_string()
        } else {
            line(origin, place, &key)
        };
        let mut told = self.told();
        if let Origin::Object(object) = origin
            && object.kind == "blob"
            && !told.in_history.insert((object.repository.to_owned(), object.path.to_owned(), key.key_id))
        {
            return;
        }
        let _ = add(&self.counts.found, 1);
        told.keys.insert(key.key_id);
        if self.wanted.secrets && told.leaks.len() < MAX_LEAKS {
            let leak = || Leak { token: text.clone(), url: Some(reported(origin, place)) };
            told.leaks.entry(key.digest().to_bytes()).or_insert_with(|| (key.key_id, leak()));
        }
        if let Err(failure) = self.progress.aside(|| screen::data(&line)) {
            told.failure.get_or_insert(failure);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Searches every file that `walk` gives, on several workers at once.
pub(super) fn each_file<T>(search: &Search<'_>, walk: impl FnOnce(&mut dyn FnMut(PathBuf)) -> T) {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    let (batches, waiting) = sync_channel::<Vec<PathBuf>>(BATCHES);
    let waiting = Mutex::new(waiting);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(search, &waiting));
        }
        let mut batch = Vec::with_capacity(BATCH);
        walk(&mut |path| {
            batch.push(path);
            if batch.len() == BATCH {
                // The workers outlive the walk: there is always one to take it.
                drop(batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))));
            }
        });
        drop(batches.send(batch));
        // The workers end once nothing more can come.
        drop(batches);
    });
}

fn work(search: &Search<'_>, waiting: &Mutex<Receiver<Vec<PathBuf>>>) {
    let mut window = Window::new();
    loop {
        let batch = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        for path in batch.iter().take_while(|_| !search.is_stopped()) {
            search.file(&mut window, path);
        }
    }
}
