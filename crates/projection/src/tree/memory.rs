//! The tree in memory: deterministic, with a disk that can lose what was not flushed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Pair, Tree, TreeError};

/// What outlives the process that the simulation stands for. A clone is another hold on the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    flushed: BTreeMap<Vec<u8>, Vec<u8>>,
    current: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Applied since the last flush, oldest first.
    unflushed: Vec<Batch>,
    #[cfg(any(test, feature = "planted"))]
    torn: bool,
}

impl State {
    fn take(&mut self, batch: Batch) {
        self.unflushed.push(batch.clone());
        change(&mut self.current, batch);
    }
}

impl MemoryDisk {
    /// Forgets all that was not flushed, as a power cut does.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// Forgets what was not flushed but for the first `batches` applied since: a cut in the middle of writing out.
    pub fn crash_keeping(&self, batches: usize) {
        let mut state = self.state.lock();
        let kept: Vec<Batch> = state.unflushed.drain(..).take(batches).collect();
        state.current = state.flushed.clone();
        for batch in kept {
            change(&mut state.current, batch);
        }
        state.flushed = state.current.clone();
    }

    /// How many batches a crash may lose.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        self.state.lock().unflushed.len()
    }

    /// A bug for the simulation to find: from now on a view's bookmark is applied apart from its data.
    #[cfg(any(test, feature = "planted"))]
    pub fn plant_torn_bookmark(&self) {
        self.state.lock().torn = true;
    }

    /// All that it holds now, for comparing.
    #[must_use]
    pub fn dump(&self) -> Vec<Pair> {
        self.state.lock().current.clone().into_iter().collect()
    }

    /// The tree on this disk.
    #[must_use]
    pub fn open(&self) -> MemoryTree {
        MemoryTree { disk: self.clone() }
    }
}

/// A tree on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryTree {
    disk: MemoryDisk,
}

fn change(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}

impl Tree for MemoryTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        Ok(self.disk.state.lock().current.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let state = self.disk.state.lock();
        let rows = state.current.range::<[u8], _>((start, Bound::Unbounded)).take(limit);
        Ok(rows.take_while(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError> {
        let state = self.disk.state.lock();
        // The first text above all that begin with the prefix: its last byte that can grow, grown.
        let end = prefix.iter().rposition(|&byte| byte != u8::MAX).map(|at| {
            let mut end = prefix[..=at].to_vec();
            end[at] += 1;
            end
        });
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = state.current.range::<[u8], _>((Bound::Included(prefix), end));
        Ok(rows.next_back().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        let mut state = self.disk.state.lock();
        #[cfg(any(test, feature = "planted"))]
        let batch = match batch.iter().position(|(key, _)| state.torn && key == crate::view::META) {
            Some(at) => {
                let mut rest = batch;
                let bookmark = vec![rest.swap_remove(at)];
                state.take(bookmark);
                rest
            }
            None => batch,
        };
        state.take(batch);
        Ok(())
    }

    fn flush(&self) -> Result<(), TreeError> {
        let mut state = self.disk.state.lock();
        let State { flushed, unflushed, .. } = &mut *state;
        for batch in unflushed.drain(..) {
            change(flushed, batch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::conformance;

    #[test]
    fn memory_conforms() {
        let disk = MemoryDisk::default();
        conformance::check(&|| Ok(disk.open()));
    }

    #[test]
    fn a_crash_keeps_what_was_flushed_and_a_prefix_of_the_rest() {
        let disk = MemoryDisk::default();
        let tree = disk.open();
        let put = |n: u8| tree.apply(vec![(vec![n], Some(vec![n]))]).unwrap();
        put(1);
        tree.flush().unwrap();
        put(2);
        put(3);
        disk.crash_keeping(1);
        assert_eq!(disk.dump().len(), 2);
        put(4);
        disk.crash();
        assert_eq!(disk.dump(), [(vec![1], vec![1]), (vec![2], vec![2])]);
    }
}
