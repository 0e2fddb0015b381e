//! The text form of a key: `<prefix>_<live|test>_<key id><secret><checksum>`, written and read in one place.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::ids::KeyId;
use crate::secret::{BASE62, PlainKey, PlainSecret, SecretDigest};

const KEY_ID_LEN: usize = 26;
const CHECKSUM_LEN: usize = 6;
/// Characters after the last `_`.
const TAIL_LEN: usize = KEY_ID_LEN + PlainSecret::LEN + CHECKSUM_LEN;

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyFormatError {
    /// Not of the form at all.
    #[error("a key looks like rsk_live_ and 64 letters and digits")]
    Shape,
    /// Right form, wrong checksum: a typing or copying mistake.
    #[error("the key's checksum does not fit: it was cut off or mistyped")]
    Checksum,
}

/// Where a key is meant to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// Real campaigns to real lists.
    #[default]
    Live,
    /// Trying things out.
    Test,
}

impl Environment {
    /// The token inside a key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = KeyFormatError;

    fn from_str(text: &str) -> Result<Self, KeyFormatError> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(KeyFormatError::Shape),
        }
    }
}

/// What a tenant's keys begin with: `[a-z][a-z0-9]{1,15}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// The longest prefix, in bytes.
    pub const MAX_LEN: usize = 16;

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn fits(text: &str) -> bool {
        (2..=Self::MAX_LEN).contains(&text.len())
            && text.as_bytes()[0].is_ascii_lowercase()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("rsk".into())
    }
}

/// A text that is no prefix.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a prefix is 2 to 16 of a-z and 0-9, and starts with a letter")]
pub struct PrefixError;

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if Self::fits(text) { Ok(Self(text.into())) } else { Err(PrefixError) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key's text taken apart, borrowing from it. Holds the secret: not `Debug`.
#[derive(Clone, Copy)]
pub struct ParsedKey<'a> {
    /// What it begins with.
    pub prefix: &'a str,
    /// Where it is meant to be used.
    pub environment: Environment,
    /// Its public half.
    pub key_id: KeyId,
    secret: &'a [u8; PlainSecret::LEN],
}

impl<'a> ParsedKey<'a> {
    /// The longest text that can be a key, with `secret-token:` in front.
    pub const MAX_LEN: usize = Self::RFC_8959.len() + Prefix::MAX_LEN + "_live_".len() + TAIL_LEN;
    /// The scheme of RFC 8959, which may stand in front.
    const RFC_8959: &'static str = "secret-token:";

    /// Takes a key apart without allocating; the checksum is checked.
    ///
    /// # Errors
    /// [`KeyFormatError`], whose text never repeats the input.
    pub fn parse(text: &'a str) -> Result<Self, KeyFormatError> {
        let text = text.strip_prefix(Self::RFC_8959).unwrap_or(text);
        if !text.is_ascii() || text.len() > Self::MAX_LEN {
            return Err(KeyFormatError::Shape);
        }
        let mut parts = text.split('_');
        let (Some(prefix), Some(environment), Some(tail), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyFormatError::Shape);
        };
        let environment = environment.parse()?;
        if !Prefix::fits(prefix) || tail.len() != TAIL_LEN || !tail.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err(KeyFormatError::Shape);
        }
        let (covered, checksum) = text.as_bytes().split_at(text.len() - CHECKSUM_LEN);
        if checksum_of(covered) != checksum {
            return Err(KeyFormatError::Checksum);
        }
        let (key_id, rest) = tail.as_bytes().split_at(KEY_ID_LEN);
        let key_id = KeyId::from_ascii(key_id).map_err(|_| KeyFormatError::Shape)?;
        let secret = rest.first_chunk().ok_or(KeyFormatError::Shape)?;
        Ok(Self { prefix, environment, key_id, secret })
    }

    /// The digest under which the presented secret would be kept.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.prefix, self.environment, self.key_id, self.secret)
    }
}

/// Writes a key's text form, to be shown once.
#[must_use]
pub fn format_key(
    prefix: &Prefix,
    environment: Environment,
    key_id: KeyId,
    secret: &PlainSecret,
) -> PlainKey {
    // Sized before it is filled: a string that grew would leave an unwiped copy behind.
    let mut text = Zeroizing::new(String::with_capacity(ParsedKey::MAX_LEN));
    text.push_str(prefix.as_str());
    text.push('_');
    text.push_str(environment.as_str());
    text.push('_');
    text.push_str(&key_id.to_string());
    text.extend(secret.expose().iter().map(|byte| char::from(*byte)));
    let checksum = checksum_of(text.as_bytes());
    text.extend(checksum.iter().map(|byte| char::from(*byte)));
    PlainKey::new(text)
}

/// The digest to keep for a key that is being issued.
#[must_use]
pub fn digest_key(
    prefix: &Prefix,
    environment: Environment,
    key_id: KeyId,
    secret: &PlainSecret,
) -> SecretDigest {
    SecretDigest::of(prefix.as_str(), environment, key_id, secret.expose())
}

/// CRC-32/ISO-HDLC as six base62 digits, most significant first.
fn checksum_of(covered: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut value = crc32fast::hash(covered);
    let mut digits = [0; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(value % 62) as usize];
        value /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PlainKey {
        let secret = PlainSecret::draw(|bytes| bytes.iter_mut().zip(0..).for_each(|(b, i)| *b = i));
        format_key(
            &Prefix::default(),
            Environment::Live,
            KeyId::from_u128(0x0193_4a7e_15c6_a12e_0d0f_28d8_aaf6_87df),
            &secret,
        )
    }

    #[test]
    fn a_key_has_the_published_form() {
        // A vector: another implementation must make the same text of the same parts.
        assert_eq!(
            sample().expose(),
            "rsk_live_01JD57W5E6M4Q0T3S8V2NFD1YZ0123456789ABCDEFGHIJKLMNOPQRSTUV1W00Rk"
        );
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926, "CRC-32/ISO-HDLC check value");
    }

    #[test]
    fn a_key_parses_back_with_or_without_the_scheme() {
        let key = sample();
        let parsed = ParsedKey::parse(key.expose()).unwrap();
        assert_eq!((parsed.prefix, parsed.environment), ("rsk", Environment::Live));
        let schemed = format!("secret-token:{}", key.expose());
        assert_eq!(ParsedKey::parse(&schemed).unwrap().digest(), parsed.digest());
    }

    #[test]
    fn every_single_changed_or_missing_character_is_noticed() {
        let key = sample();
        let text = key.expose();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert!(ParsedKey::parse(std::str::from_utf8(&changed).unwrap()).is_err(), "changed at {at}");
            let cut = [&text[..at], &text[at + 1..]].concat();
            assert!(ParsedKey::parse(&cut).is_err(), "missing at {at}");
        }
    }

    #[test]
    fn other_texts_are_malformed() {
        let long = "x".repeat(10_000);
        let key = sample();
        let spaced = format!(" {}", key.expose());
        let more = format!("{}0", key.expose());
        for text in ["", "_", "rsk_live_", "rsk_prod_x", "Bearer x", "rsk_live_é", &long, &spaced, &more] {
            assert_eq!(ParsedKey::parse(text).err(), Some(KeyFormatError::Shape), "{text:.20}");
        }
    }
}
