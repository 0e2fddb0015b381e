//! A disk in memory that loses power, fills up, rots and fails to sync.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// What a disk writes at once: a write is torn only between two of them.
const SECTOR: usize = 512;
/// What a file system gives out at once.
const BLOCK: u64 = 4096;

/// splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }
}

/// One file's bytes on a disk. A clone is the same disk.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What readers see: all that was written.
    now: Vec<u8>,
    /// What is there after a power cut at the worst moment.
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    /// Operations until the power goes.
    power_left: Option<u64>,
    /// Blocks that may still be given out, and those that were.
    blocks_left: Option<usize>,
    blocks: HashSet<u64>,
    sync_fails: bool,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            // Beyond the end of a file whose growth was lost, nothing is kept.
            Self::Write { offset, data } if *offset < image.len() => {
                let kept = data.len().min(image.len() - offset);
                image[*offset..offset + kept].copy_from_slice(&data[..kept]);
            }
            Self::Write { .. } => {}
            Self::Length(len) => image.resize(*len, 0),
        }
    }
}

impl Disk {
    pub(super) fn of(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.state().synced.clone_from(&image);
        disk.state().now = image;
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// For [`super::EmbeddedLog::open_with_backend`].
    pub(super) fn storage(&self) -> impl Fn() -> io::Result<Plug> + Send + Sync + use<> {
        let disk = self.clone();
        move || Ok(Plug(disk.clone()))
    }

    pub(super) fn image(&self) -> Vec<u8> {
        self.state().now.clone()
    }

    /// After so many more operations the power goes, in the middle of that operation.
    pub(super) fn cut_power_after(&self, operations: u64) {
        self.state().power_left = Some(operations);
    }

    pub(super) fn has_power(&self) -> bool {
        self.state().power_left != Some(0)
    }

    /// So many more blocks can be given out; `None`: as many as anyone likes.
    pub(super) fn leave_blocks(&self, blocks: Option<usize>) {
        self.state().blocks_left = blocks;
    }

    pub(super) fn fail_syncs(&self, fails: bool) {
        self.state().sync_fails = fails;
    }

    /// The disk that is found when the power is back: what was synced, and of what was not some sectors, as it happened.
    pub(super) fn after_power_cut(&self, dice: &mut Dice) -> Self {
        let state = self.state();
        let mut image = state.synced.clone();
        // From nothing kept to all kept, so that each write and each sector gets its chance to be the one that is missing.
        let kept_per_cent = [0, 50, 90, 99, 100][usize::try_from(dice.below(5)).unwrap()];
        let whole_writes = dice.below(2) == 0;
        for change in &state.unsynced {
            match change {
                Change::Write { offset, data } if !whole_writes => {
                    for part in sectors(*offset, data) {
                        if dice.below(100) < kept_per_cent {
                            part.apply(&mut image);
                        }
                    }
                }
                change if dice.below(100) < kept_per_cent => change.apply(&mut image),
                _ => {}
            }
        }
        Self::of(image)
    }
}

/// A write cut at the disk's sectors.
fn sectors(offset: usize, data: &[u8]) -> Vec<Change> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < data.len() {
        let end = data.len().min(start + SECTOR - (offset + start) % SECTOR);
        parts.push(Change::Write { offset: offset + start, data: data[start..end].to_vec() });
        start = end;
    }
    parts
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.power_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        change.apply(&mut self.now);
        self.unsynced.push(change);
        self.step()
    }

    fn give_blocks(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let (first, last) = (offset as u64 / BLOCK, (offset + len.max(1) - 1) as u64 / BLOCK);
        for block in first..=last {
            if self.blocks.contains(&block) {
                continue;
            }
            if let Some(left) = &mut self.blocks_left {
                *left = left.checked_sub(1).ok_or(ErrorKind::StorageFull)?;
            }
            self.blocks.insert(block);
        }
        Ok(())
    }
}

/// An open file on a [`Disk`].
pub(super) struct Plug(Disk);

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plug")
    }
}

impl StorageBackend for Plug {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.state();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let end = offset.checked_add(out.len()).ok_or(ErrorKind::InvalidInput)?;
        out.copy_from_slice(state.now.get(offset..end).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.state().change(Change::Length(usize::try_from(len).map_err(io::Error::other)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.state();
        state.step()?;
        if state.sync_fails {
            return Err(io::Error::other("the disk failed to sync"));
        }
        let State { synced, unsynced, .. } = &mut *state;
        unsynced.drain(..).for_each(|change| change.apply(synced));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        state.give_blocks(offset, data.len())?;
        state.change(Change::Write { offset, data: data.to_vec() })
    }
}
