//! The last position of every stream, in memory: what expectations are judged against.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use domain::Position;

/// A stream's name as 128 bits, under keys drawn for this process: about 36 bytes of memory a stream instead of a hundred.
/// Whoever chooses stream names does not know the keys, so two names meet with a probability of 2⁻¹²⁸ per pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name(u64, u64);

impl std::hash::Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A [`Name`] is random already: its first half is its hash.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a name hashes as one number");
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// Last positions by name.
pub(crate) type ByName = HashMap<Name, Position, BuildHasherDefault<AsItIs>>;

/// How names are made; fixed for as long as the log is open.
pub(crate) struct Names([RandomState; 2]);

impl Names {
    pub(crate) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    pub(crate) fn name(&self, stream: &str) -> Name {
        Name(self.0[0].hash_one(stream), self.0[1].hash_one(stream))
    }
}
