//! A bare table of digests: parse, hash, look up, compare in constant time.

use domain::{KeyId, ParsedKey};
use hashbrown::HashTable;

/// Key id and digest, and nothing else to it.
#[derive(Default)]
pub(crate) struct Table(HashTable<(KeyId, [u8; 16])>);

impl Table {
    pub(crate) fn with_capacity(keys: usize) -> Self {
        Self(HashTable::with_capacity(keys))
    }

    /// What it has allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }

    pub(crate) fn insert(&mut self, key_id: KeyId, digest: [u8; 16]) {
        self.0.insert_unique(Self::hash(key_id), (key_id, digest), |slot| Self::hash(slot.0));
    }

    pub(crate) fn verify(&self, token: &str) -> bool {
        let Ok(parsed) = ParsedKey::parse(token) else { return false };
        let digest = parsed.digest();
        let slot = self.0.find(Self::hash(parsed.key_id), |slot| slot.0 == parsed.key_id);
        slot.is_some_and(|slot| digest.matches_short(&slot.1))
    }

    fn hash(key_id: KeyId) -> u64 {
        let id = key_id.to_u128();
        let product = u128::from(id as u64 ^ 0x243f_6a88_85a3_08d3)
            * u128::from((id >> 64) as u64 ^ 0x1319_8a2e_0370_7344);
        product as u64 ^ (product >> 64) as u64
    }
}
