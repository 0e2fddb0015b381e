//! One number for any set of rows, whatever their order.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The sum of the SHA-256 of every row, modulo 2^256. Two that are equal are of the same rows unless somebody searched long for
/// others; it shows damage and mistakes, and is no proof against who can choose rows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Digest {
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let mut hash = Sha256::new();
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
        hash.update(value);
        let bytes: [u8; 32] = hash.finalize().into();
        let mut carry = false;
        for (sum, part) in self.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            let (once, over) = sum.overflowing_add(u64::from_le_bytes(*part));
            let (twice, again) = once.overflowing_add(u64::from(carry));
            (*sum, carry) = (twice, over || again);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|part| write!(f, "{part:016x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(&str, &str)]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|(name, value)| digest.add(name.as_bytes(), value.as_bytes()));
        digest
    }

    #[test]
    fn the_order_does_not_matter_and_all_else_does() {
        let rows = [("a", "1"), ("b", "2"), ("c", "3")];
        let digest = of(&rows);
        assert_eq!(digest, of(&[rows[2], rows[0], rows[1]]));
        for other in [&[("a", "1"), ("b", "2")][..], &[("a", "1"), ("b", "2"), ("c3", "")]] {
            assert_ne!(digest, of(other));
        }
        // Twice the same row is not none of it.
        assert_ne!(of(&[rows[0], rows[0]]), of(&[]));
        assert_eq!(digest.to_string().len(), 64);
    }
}
