//! Secrets that cannot be printed, cloned or serialised, and the digest that may be kept instead.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ids::KeyId;
use crate::key_format::{Environment, Prefix};

/// Base62 in the order that the checksum also uses.
pub(crate) const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 32 base62 characters (190 bits) that open a key. Wiped on drop, prints as its type name.
pub struct PlainSecret(Zeroizing<[u8; PlainSecret::LEN]>);

impl PlainSecret {
    /// Characters of a secret: 32 × log2(62) = 190 bits.
    pub const LEN: usize = 32;

    /// Draws a secret from a source of random bytes, every character equally likely.
    #[must_use]
    pub fn draw(mut fill: impl FnMut(&mut [u8])) -> Self {
        /// The largest multiple of 62 in a byte: bytes from here on would favour the first characters.
        const FAIR: u8 = 248;
        let mut secret = Zeroizing::new([0; Self::LEN]);
        let mut drawn = 0;
        while drawn < Self::LEN {
            let mut bytes = Zeroizing::new([0_u8; Self::LEN]);
            fill(bytes.as_mut());
            for byte in bytes.iter().filter(|byte| **byte < FAIR) {
                if drawn < Self::LEN {
                    secret[drawn] = BASE62[usize::from(byte % 62)];
                    drawn += 1;
                }
            }
        }
        Self(secret)
    }

    /// The characters. The callers of this are the key's text form and its digest.
    pub(crate) fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret")
    }
}

/// A whole key with its secret, as its holder presents it. Wiped on drop, prints as its type name.
pub struct PlainKey(Zeroizing<String>);

impl PlainKey {
    pub(crate) const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text to show once to who asked for the key.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey")
    }
}

/// What is kept of a secret: SHA-256 over prefix, environment, key id and secret. With 190 random bits a fast hash is right.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Bytes of a digest.
    pub const LEN: usize = 32;

    /// Says what is hashed, so that no other hash of ours can be mistaken for one. Three bytes, so that the default prefix
    /// keeps the input within one SHA-256 block: 3 + 1 + 3 + 16 + 32 = 55.
    const LABEL: &'static [u8; 3] = b"rk1";

    /// The digest of a secret under its key's public parts: a test key cannot be turned into a live one.
    #[must_use]
    pub fn of(
        prefix: &str,
        environment: Environment,
        key_id: KeyId,
        secret: &[u8; PlainSecret::LEN],
    ) -> Self {
        debug_assert!(prefix.len() <= Prefix::MAX_LEN);
        let mut input = Zeroizing::new([0_u8; 4 + Prefix::MAX_LEN + 16 + PlainSecret::LEN]);
        let key_at = 4 + prefix.len();
        let end = key_at + 16 + PlainSecret::LEN;
        input[..3].copy_from_slice(Self::LABEL);
        // Length and environment in one byte: no two inputs run into each other.
        input[3] =
            (u8::try_from(prefix.len()).unwrap_or(u8::MAX) << 1) | u8::from(environment == Environment::Test);
        input[4..key_at].copy_from_slice(prefix.as_bytes());
        input[key_at..key_at + 16].copy_from_slice(&key_id.to_bytes());
        input[key_at + 16..end].copy_from_slice(secret);
        Self(Sha256::digest(&input[..end]).into())
    }

    /// SHA-256 of a whole token, as other systems keep it: the digest of an imported key.
    #[must_use]
    pub fn of_token(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// All 32 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// The inverse of [`Self::to_bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The first 16 bytes, which is what the key index holds: 128 bits are enough against a second preimage.
    #[must_use]
    pub fn short(self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        short
    }

    /// Whether the first 16 bytes are these, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches_short(&self, short: &[u8; 16]) -> bool {
        self.0[..16].ct_eq(short).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretDigest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_as_their_type_name() {
        let secret = PlainSecret::draw(|bytes| bytes.fill(7));
        assert_eq!(format!("{secret:?}"), "PlainSecret");
        assert_eq!(secret.expose(), &[b'7'; 32]);
    }

    #[test]
    fn bytes_that_would_favour_a_character_are_drawn_again() {
        let mut calls = 0;
        let secret = PlainSecret::draw(|bytes| {
            bytes.fill(if calls == 0 { 255 } else { 61 });
            calls += 1;
        });
        assert_eq!((calls, secret.expose()), (2, &[b'z'; 32]));
    }

    #[test]
    fn every_part_enters_the_digest() {
        let key_id = KeyId::from_u128(1);
        let base = SecretDigest::of("rsk", Environment::Live, key_id, &[b'a'; 32]);
        assert_ne!(base, SecretDigest::of("rsl", Environment::Live, key_id, &[b'a'; 32]));
        assert_ne!(base, SecretDigest::of("rsk", Environment::Test, key_id, &[b'a'; 32]));
        assert_ne!(base, SecretDigest::of("rsk", Environment::Live, KeyId::from_u128(2), &[b'a'; 32]));
        assert_ne!(base, SecretDigest::of("rsk", Environment::Live, key_id, &[b'b'; 32]));
        assert!(base.matches_short(&base.short()) && !base.matches_short(&[0; 16]));
    }
}
