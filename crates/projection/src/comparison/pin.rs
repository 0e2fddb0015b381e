//! A tree as it was at one position while its writer goes on: rows that are about to change are put aside until they were read.
//!
//! sled has no snapshots, and holding the writer while millions of rows are read would hold up everybody who waits for the
//! view. So the writer is held only for a piece of reading at a time, and before it changes a row that was not read yet it
//! puts the row aside as it is.

use std::collections::BTreeMap;

use domain::Position;
use parking_lot::Mutex;

use crate::tree::{Batch, Pair, Tree, TreeError};
use crate::view::{META, position_of};

/// Bytes put aside at most: what a busy service changes in the minute that reading a large view takes. Beyond it the pin is
/// given up.
const ASIDE_MAX: usize = 128 << 20;
/// What a row put aside costs beside its bytes.
const ENTRY: usize = 96;

/// Between the batches of one tree.
#[derive(Debug)]
pub(crate) struct Border {
    /// Whether the last batch ended with a whole event.
    whole: bool,
    pin: Option<Pin>,
    aside_max: usize,
}

impl Default for Border {
    fn default() -> Self {
        Self { whole: true, pin: None, aside_max: ASIDE_MAX }
    }
}

#[derive(Debug)]
struct Pin {
    /// The last name that was read.
    read: Option<Vec<u8>>,
    /// All of it was read.
    done: bool,
    /// What has changed behind that, as it was; none for what was not there.
    aside: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

/// What reading a pinned tree brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The next rows by name, the tree's own bookmark left out; more follow.
    Rows(Vec<Pair>),
    /// The last rows.
    Last(Vec<Pair>),
    /// The pin is gone: the tree was closed, or changes too fast.
    Gone,
}

impl Border {
    /// Pins the tree where it is; none between two parts of an event, which no position describes.
    pub(crate) fn pin(&mut self, tree: &dyn Tree) -> Result<Option<Position>, TreeError> {
        if !self.whole {
            return Ok(None);
        }
        let position = tree.get(META)?.map_or(Ok(Position::NONE), |meta| position_of(&meta))?;
        self.pin = Some(Pin { read: None, done: false, aside: BTreeMap::new(), bytes: 0 });
        Ok(Some(position))
    }

    pub(crate) fn unpin(&mut self) {
        self.pin = None;
    }

    /// To be called by the writer before each batch, and the lock held until the batch is applied.
    fn before(&mut self, tree: &dyn Tree, batch: &Batch) -> Result<(), TreeError> {
        let meta = batch.iter().find(|(name, _)| name == META).and_then(|(_, value)| value.as_deref());
        if let Some(meta) = meta {
            let was = tree.get(META)?.map_or(Ok(Position::NONE), |meta| position_of(&meta))?;
            self.whole = position_of(meta)? != was;
        }
        let Some(pin) = self.pin.as_mut().filter(|pin| !pin.done) else { return Ok(()) };
        for (name, _) in batch {
            let read = pin.read.as_ref().is_some_and(|read| name <= read);
            if read || name == META || pin.aside.contains_key(name) {
                continue;
            }
            let old = tree.get(name)?;
            pin.bytes += name.len() + old.as_ref().map_or(0, Vec::len) + ENTRY;
            pin.aside.insert(name.clone(), old);
        }
        if pin.bytes > self.aside_max {
            self.pin = None;
        }
        Ok(())
    }

    /// The next rows as they were when the tree was pinned.
    pub(crate) fn read(&mut self, tree: &dyn Tree, limit: usize) -> Result<Read, TreeError> {
        let Some(pin) = &mut self.pin else { return Ok(Read::Gone) };
        if pin.done {
            return Ok(Read::Last(Vec::new()));
        }
        let live = tree.scan(b"", pin.read.as_deref(), limit)?;
        let to = live.last().filter(|_| live.len() == limit).map(|(name, _)| name.clone());
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = live.into_iter().collect();
        let behind = match &to {
            // What comes right after it in the order of names stays.
            Some(to) => pin.aside.split_off(&[to, &[0][..]].concat()),
            None => BTreeMap::new(),
        };
        for (name, old) in std::mem::replace(&mut pin.aside, behind) {
            pin.bytes -= name.len() + old.as_ref().map_or(0, Vec::len) + ENTRY;
            match old {
                Some(old) => rows.insert(name, old),
                None => rows.remove(&name),
            };
        }
        rows.remove(META);
        let rows = rows.into_iter().collect();
        (pin.done, pin.read) = (to.is_none(), to);
        Ok(if pin.done { Read::Last(rows) } else { Read::Rows(rows) })
    }
}

/// A tree as its writer writes it.
pub(crate) struct Watched<'a> {
    pub(crate) tree: &'a dyn Tree,
    pub(crate) border: &'a Mutex<Border>,
}

impl Tree for Watched<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.tree.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError> {
        self.tree.scan(prefix, after, limit)
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError> {
        self.tree.last(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        let mut border = self.border.lock();
        border.before(self.tree, &batch)?;
        self.tree.apply(batch)
    }

    fn flush(&self) -> Result<(), TreeError> {
        self.tree.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryDisk;
    use crate::view::meta_at;

    fn put(name: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    fn at(position: u64) -> (Vec<u8>, Option<Vec<u8>>) {
        (META.to_vec(), Some(meta_at(Position::new(position))))
    }

    fn texts(rows: Vec<Pair>) -> Vec<String> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        rows.into_iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
    }

    #[test]
    fn a_pinned_tree_is_read_as_it_was() {
        let (tree, border) = (MemoryDisk::default().open(), Mutex::new(Border::default()));
        let watched = Watched { tree: &tree, border: &border };
        watched.apply(vec![at(1), put("a", "1"), put("c", "1"), put("e", "1"), put("g", "1")]).unwrap();
        assert_eq!(border.lock().pin(&tree).unwrap(), Some(Position::new(1)));
        let Read::Rows(rows) = border.lock().read(&tree, 3).unwrap() else { panic!("there are more") };
        // The bookmark is one of the three.
        assert_eq!(texts(rows), ["a=1", "c=1"]);
        // Before and behind what was read: changed twice, made, removed, made and removed.
        let removed = |name: &str| (name.as_bytes().to_vec(), None);
        watched
            .apply(vec![at(2), put("a", "2"), put("e", "2"), put("d", "2"), put("x", "2"), put("f", "2")])
            .unwrap();
        watched.apply(vec![at(3), put("e", "3"), removed("g"), removed("f"), put("b", "3")]).unwrap();
        let read = border.lock().read(&tree, 100).unwrap();
        let Read::Last(rows) = read else { panic!("{read:?}") };
        assert_eq!(texts(rows), ["e=1", "g=1"]);
        assert_eq!(border.lock().read(&tree, 100).unwrap(), Read::Last(Vec::new()));
        border.lock().unpin();
        assert_eq!(border.lock().read(&tree, 100).unwrap(), Read::Gone);
    }

    #[test]
    fn between_two_parts_of_an_event_there_is_nothing_to_pin() {
        let (tree, border) = (MemoryDisk::default().open(), Mutex::new(Border::default()));
        let watched = Watched { tree: &tree, border: &border };
        watched.apply(vec![at(4), put("a", "1")]).unwrap();
        watched.apply(vec![at(4), put("a", "2")]).unwrap();
        assert_eq!(border.lock().pin(&tree).unwrap(), None);
        watched.apply(vec![at(5), put("b", "2")]).unwrap();
        assert_eq!(border.lock().pin(&tree).unwrap(), Some(Position::new(5)));
    }

    #[test]
    fn what_changes_too_fast_is_let_go() {
        let (tree, border) = (MemoryDisk::default().open(), Mutex::new(Border::default()));
        let watched = Watched { tree: &tree, border: &border };
        border.lock().aside_max = 2_000;
        watched.apply(vec![at(1), put("a", &"x".repeat(1_000)), put("b", &"x".repeat(1_000))]).unwrap();
        border.lock().pin(&tree).unwrap();
        watched.apply(vec![at(2), put("a", "y")]).unwrap();
        assert!(matches!(border.lock().read(&tree, 1).unwrap(), Read::Rows(_)));
        watched.apply(vec![at(3), put("b", "y")]).unwrap();
        assert_eq!(border.lock().read(&tree, 1).unwrap(), Read::Gone);
    }
}
