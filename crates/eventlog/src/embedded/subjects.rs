//! The subjects' seals: one file of slots, appended in groups and destroyed in place.
//!
//! A slot is 64 bytes and never moves. Its head, which is never overwritten, says whose it is and of which generation; its
//! body holds the secret, or zeros once it was destroyed. Each has its own checksum. A body that does not check out is as good
//! as destroyed: the power went while it was being overwritten. A head that does not is of a slot that was being appended when
//! somebody stopped, which nobody was told of.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Subject;

use crate::port::SubjectSeal;
use crate::subject_name::{Name, name_of};

/// The file's name in the folder of seals: with a dot in it, no tenant's.
const NAME: &str = "subjects.seals";
const SLOT: usize = 64;
const SLOT_LEN: u64 = 64;
const HEAD: usize = 24;
/// Before the secret in the body of a slot that was not destroyed.
const WHOLE: u32 = 1;
/// Slots read at a time: 1 MiB.
const LOADED_AT_ONCE: usize = 16_384;

/// The file, and where in it each subject's newest seal is. What it answers was synced.
#[derive(Debug)]
pub(super) struct SubjectFile {
    path: PathBuf,
    /// None until the file is used, and again once it is another file than it was.
    open: Mutex<Option<Open>>,
    /// After a sync that failed nobody in this process knows what is on disk.
    sync_failed: AtomicBool,
}

#[derive(Debug)]
struct Open {
    file: File,
    stamp: Stamp,
    slots: HashMap<Name, Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    at: u64,
    generation: u32,
}

/// What tells that somebody else wrote the file, or put another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let changed = (found.mtime(), found.mtime_nsec());
        Ok(Self { inode: found.ino(), len: found.len(), changed })
    }
}

impl SubjectFile {
    /// Makes the file if it is not there. Nothing is read yet.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => super::storage::sync_folder_of(&path)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self { path, open: Mutex::new(None), sync_failed: AtomicBool::new(false) })
    }

    /// The newest seal of each.
    pub(super) fn read(&self, subjects: &[Subject]) -> io::Result<Vec<Option<SubjectSeal>>> {
        let mut held = self.held();
        let open = self.current(&mut held)?;
        subjects.iter().map(|subject| open.read(&name_of(subject))).collect()
    }

    /// Puts all of them with one sync, and answers what each subject has now.
    pub(super) fn put(&self, offered: &[(Subject, SubjectSeal)]) -> io::Result<Vec<SubjectSeal>> {
        self.writing(|open| {
            let (mut staged, mut bytes) = (HashMap::<Name, SubjectSeal>::new(), Vec::new());
            let mut answers = Vec::with_capacity(offered.len());
            for (subject, seal) in offered {
                let name = name_of(subject);
                let stands = match staged.get(&name) {
                    Some(staged) => Some(staged.clone()),
                    None => open.read(&name)?,
                };
                match stands {
                    Some(stands) if stands.outlasts(seal) => answers.push(stands),
                    _ => {
                        bytes.extend(slot(&name, seal));
                        staged.insert(name, seal.clone());
                        answers.push(seal.clone());
                    }
                }
            }
            self.append(open, &bytes)?;
            Ok(answers)
        })
    }

    /// Every subject's newest seal, by its name.
    pub(super) fn read_all(&self) -> io::Result<Vec<(Name, SubjectSeal)>> {
        let mut held = self.held();
        let open = self.current(&mut held)?;
        let mut seals = Vec::with_capacity(open.slots.len());
        for name in open.slots.keys() {
            seals.extend(open.read(name)?.map(|seal| (*name, seal)));
        }
        seals.sort_by_key(|(name, _)| *name);
        Ok(seals)
    }

    /// Puts seals of another store under their names, with one sync; what is destroyed there is destroyed here.
    pub(super) fn take_in(&self, seals: &[(Name, SubjectSeal)]) -> io::Result<()> {
        self.writing(|open| {
            let mut bytes = Vec::new();
            for (name, seal) in seals {
                match open.read(name)? {
                    Some(stands) if seal.secret.is_some() && stands.outlasts(seal) => {}
                    _ if seal.secret.is_some() => bytes.extend(slot(name, seal)),
                    _ => self.destroy_in(open, name, seal.generation)?,
                }
            }
            self.append(open, &bytes)
        })
    }

    /// Overwrites the secret where it lies.
    pub(super) fn destroy(&self, subject: &Subject, generation: u32) -> io::Result<()> {
        self.writing(|open| self.destroy_in(open, &name_of(subject), generation))
    }

    fn destroy_in(&self, open: &mut Open, name: &Name, generation: u32) -> io::Result<()> {
        match open.slots.get(name).copied() {
            Some(slot) if slot.generation > generation => Ok(()),
            Some(slot) if slot.generation == generation => {
                open.file.write_all_at(&[0; SLOT - HEAD], slot.at + HEAD as u64)?;
                self.sync(open)
            }
            _ => self.append(open, &slot_of_destroyed(name, generation)),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file as it is now: read anew if it is not as this handle left it.
    fn current<'a>(&self, held: &'a mut Option<Open>) -> io::Result<&'a mut Open> {
        let stamp = Stamp::of(&self.path)?;
        if held.as_ref().is_none_or(|open| open.stamp != stamp) {
            let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            // Whoever writes holds the lock until its slots are synced.
            file.lock()?;
            let loaded = Open::load(file);
            *held = Some(loaded?.unlocked(&self.path)?);
        }
        held.as_mut().ok_or_else(|| io::Error::other("the file of subjects' seals is not open"))
    }

    /// Runs with the file locked against every other handle, and as it is now.
    fn writing<T>(&self, run: impl FnOnce(&mut Open) -> io::Result<T>) -> io::Result<T> {
        let mut held = self.held();
        loop {
            let open = self.current(&mut held)?;
            if self.sync_failed.load(Ordering::SeqCst) {
                return Err(io::Error::other("a sync failed before; restart this server"));
            }
            open.file.lock()?;
            // Another handle may have written between the look and the lock.
            match Stamp::of(&self.path) {
                Ok(stamp) if stamp == open.stamp => {}
                stamp => {
                    open.file.unlock()?;
                    stamp?;
                    continue;
                }
            }
            let ran = run(open);
            let stamped = Stamp::of(&self.path).map(|stamp| open.stamp = stamp);
            open.file.unlock()?;
            stamped?;
            return ran;
        }
    }
}

impl SubjectFile {
    /// After the last whole slot: what is behind that was never answered to anybody.
    fn append(&self, open: &mut Open, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let begin = open.file.metadata()?.len() / SLOT_LEN * SLOT_LEN;
        open.file.write_all_at(bytes, begin)?;
        self.sync(open)?;
        for (number, slot) in bytes.chunks_exact(SLOT).enumerate() {
            if let Some((name, generation)) = head(slot) {
                open.slots.insert(name, Slot { at: begin + number as u64 * SLOT_LEN, generation });
            }
        }
        Ok(())
    }

    fn sync(&self, open: &Open) -> io::Result<()> {
        open.file.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::SeqCst))
    }
}

impl Open {
    /// Reads all heads. What it finds may have been left unsynced by whoever stopped, so it is synced before it counts.
    fn load(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        file.sync_all()?;
        let mut slots = HashMap::with_capacity(usize::try_from(len / SLOT_LEN).unwrap_or(0));
        let mut bytes = vec![0; LOADED_AT_ONCE * SLOT];
        let mut at = 0;
        while at + SLOT_LEN <= len {
            let count = usize::try_from((len - at) / SLOT_LEN).unwrap_or(usize::MAX).min(LOADED_AT_ONCE);
            let part = &mut bytes[..count * SLOT];
            file.read_exact_at(part, at)?;
            for slot in part.chunks_exact(SLOT) {
                if let Some((name, generation)) = head(slot) {
                    let newest = slots.entry(name).or_insert(Slot { at, generation });
                    if newest.generation <= generation {
                        *newest = Slot { at, generation };
                    }
                }
                at += SLOT_LEN;
            }
        }
        let stamp = Stamp { inode: 0, len, changed: (0, 0) };
        Ok(Self { file, stamp, slots })
    }

    fn unlocked(mut self, path: &Path) -> io::Result<Self> {
        self.stamp = Stamp::of(path)?;
        self.file.unlock()?;
        Ok(self)
    }

    fn read(&self, name: &Name) -> io::Result<Option<SubjectSeal>> {
        let Some(slot) = self.slots.get(name) else { return Ok(None) };
        let mut bytes = [0; SLOT];
        self.file.read_exact_at(&mut bytes, slot.at)?;
        if head(&bytes) != Some((*name, slot.generation)) {
            return Err(io::Error::other("a slot is not what it was; restart this server"));
        }
        Ok(Some(SubjectSeal { generation: slot.generation, secret: body(&bytes) }))
    }
}

fn slot(name: &Name, seal: &SubjectSeal) -> [u8; SLOT] {
    let mut slot = slot_of_destroyed(name, seal.generation);
    if let Some(secret) = &seal.secret {
        slot[HEAD..HEAD + 4].copy_from_slice(&WHOLE.to_le_bytes());
        slot[HEAD + 4..SLOT - 4].copy_from_slice(secret);
        let sum = crc32fast::hash(&slot[HEAD..SLOT - 4]);
        slot[SLOT - 4..].copy_from_slice(&sum.to_le_bytes());
    }
    slot
}

fn slot_of_destroyed(name: &Name, generation: u32) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..16].copy_from_slice(name);
    slot[16..20].copy_from_slice(&generation.to_le_bytes());
    let sum = crc32fast::hash(&slot[..20]);
    slot[20..HEAD].copy_from_slice(&sum.to_le_bytes());
    slot
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

/// Whose a slot is, if its head is whole.
fn head(slot: &[u8]) -> Option<(Name, u32)> {
    let whole = crc32fast::hash(&slot[..20]) == number(&slot[20..HEAD]);
    whole.then_some((slot[..16].try_into().ok()?, number(&slot[16..20])))
}

/// The secret, unless it was destroyed.
fn body(slot: &[u8]) -> Option<[u8; SubjectSeal::LEN]> {
    let whole = number(&slot[HEAD..HEAD + 4]) == WHOLE
        && crc32fast::hash(&slot[HEAD..SLOT - 4]) == number(&slot[SLOT - 4..]);
    whole.then(|| slot[HEAD + 4..SLOT - 4].try_into().ok()).flatten()
}

/// Puts that wait for one sync. Whoever finds nobody writing writes for all that came meanwhile.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
}

type Answer = tokio::sync::oneshot::Sender<io::Result<SubjectSeal>>;

#[derive(Debug, Default)]
struct Queue {
    puts: Vec<(Subject, SubjectSeal, Answer)>,
    writing: bool,
}

impl Waiting {
    /// The most puts of one write: 64 KiB.
    const AT_ONCE: usize = 1024;

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one seal. As many wait as commands are under way, which the server bounds.
    pub(super) async fn put(
        self: &Arc<Self>,
        file: &Arc<SubjectFile>,
        subject: Subject,
        offered: SubjectSeal,
    ) -> io::Result<SubjectSeal> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let first = {
            let mut queue = self.queue();
            queue.puts.push((subject, offered, answer));
            !std::mem::replace(&mut queue.writing, true)
        };
        if first {
            let (this, file) = (Arc::clone(self), Arc::clone(file));
            // Ends by itself once nothing waits; whoever waits hears of its end by its answer.
            drop(tokio::task::spawn_blocking(move || this.write_all(&file)));
        }
        answered.await.unwrap_or_else(|_| Err(io::Error::other("the writer of seals stopped")))
    }

    fn write_all(&self, file: &SubjectFile) {
        loop {
            let mut taken = {
                let mut queue = self.queue();
                if queue.puts.is_empty() {
                    queue.writing = false;
                    return;
                }
                let count = queue.puts.len().min(Self::AT_ONCE);
                queue.puts.drain(..count).collect::<Vec<_>>()
            };
            let offered: Vec<_> =
                taken.iter().map(|(subject, seal, _)| (subject.clone(), seal.clone())).collect();
            match file.put(&offered) {
                Ok(seals) => {
                    for ((_, _, answer), seal) in taken.drain(..).zip(seals) {
                        let _ = answer.send(Ok(seal));
                    }
                }
                Err(error) => {
                    for (_, _, answer) in taken.drain(..) {
                        let _ = answer.send(Err(io::Error::new(error.kind(), error.to_string())));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
