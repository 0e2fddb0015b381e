//! The changes that a run of events makes to a tree, gathered until they are applied as one batch.

use std::collections::HashMap;

use crate::tree::{Batch, Pair, Tree, TreeError};

/// A tree as it will be once the gathered changes are applied.
pub(crate) struct Changes<'a> {
    tree: &'a dyn Tree,
    pending: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Changes<'a> {
    pub(crate) fn on(tree: &'a dyn Tree) -> Self {
        Self { tree, pending: HashMap::new() }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.tree.get(key),
        }
    }

    /// The last key under `prefix` in the tree itself; what is only gathered yet is not looked at.
    pub(crate) fn last_applied(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        Ok(self.tree.last(prefix)?.map(|(key, _)| key))
    }

    /// The first `limit` rows under `prefix` behind `after` in the tree itself; what is only gathered yet is not looked at.
    pub(crate) fn scan_applied(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, TreeError> {
        self.tree.scan(prefix, after, limit)
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.pending.insert(key, Some(value));
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.pending.insert(key, None);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// In the order of the keys: neighbours lie on the same pages of the tree.
    pub(crate) fn into_batch(self) -> Batch {
        let mut batch: Batch = self.pending.into_iter().collect();
        batch.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        batch
    }
}
