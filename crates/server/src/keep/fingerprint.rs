//! What two copies of a history are compared by: the root of their trees, and a digest over what is not in a leaf.

use eventlog::Recorded;
use proof::{Frontier, Hash, leaf_hash};
use sha2::{Digest, Sha256};

/// Taken of events in their order.
#[derive(Default)]
pub(super) struct Fingerprint {
    tree: Frontier,
    /// Streams and event ids, which the leaves do not hold.
    rest: Sha256,
}

impl Fingerprint {
    pub(super) fn take_in(&mut self, event: &Recorded) {
        self.tree.push(leaf_hash(event.position, &event.payload), |_, _| {});
        let stream = event.stream.as_str().as_bytes();
        self.rest.update((stream.len() as u64).to_be_bytes());
        self.rest.update(stream);
        self.rest.update(event.id.to_bytes());
    }

    /// The root of the tree over all that was taken in.
    pub(super) fn root(&self) -> Hash {
        self.tree.root()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.tree.size() == other.tree.size()
            && self.root() == other.root()
            && self.rest.clone().finalize() == other.rest.clone().finalize()
    }
}
