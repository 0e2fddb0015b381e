//! The digest of a whole token as other systems write it: SHA-256 in hex or base64.

use thiserror::Error;

use crate::secret::SecretDigest;

/// Why a text is not a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DigestTextError {
    /// As long as no form of 32 bytes.
    #[error("it is {length} characters long, and SHA-256 is 64 in hex and 43 or 44 in base64")]
    Length {
        /// How long.
        length: usize,
    },
    /// Right in length, but of other characters.
    #[error("it holds a character that is neither of hex nor of base64, or base64 with bits to spare")]
    Character,
}

impl SecretDigest {
    /// Reads the digest of a whole token: 64 characters of hex, or base64 in either alphabet, with or without padding. The
    /// length tells which.
    ///
    /// # Errors
    /// [`DigestTextError`].
    pub fn parse_token_digest(text: &str) -> Result<Self, DigestTextError> {
        let read = match text.len() {
            64 => read_digits(text.as_bytes(), 4, hex_digit),
            43 => read_digits(text.as_bytes(), 6, base64_digit),
            44 => text.strip_suffix('=').and_then(|text| read_digits(text.as_bytes(), 6, base64_digit)),
            length => return Err(DigestTextError::Length { length }),
        };
        read.map(Self::from_bytes).ok_or(DigestTextError::Character)
    }
}

fn hex_digit(character: u8) -> Option<u32> {
    char::from(character).to_digit(16)
}

fn base64_digit(character: u8) -> Option<u32> {
    Some(u32::from(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// Digits of so many bits each as 32 bytes. Bits to spare have to be zero: otherwise two texts would be one digest.
fn read_digits(text: &[u8], bits: u32, digit: fn(u8) -> Option<u32>) -> Option<[u8; SecretDigest::LEN]> {
    let mut bytes = [0; SecretDigest::LEN];
    let (mut waiting, mut held, mut at) = (0_u32, 0, 0);
    for character in text {
        waiting = waiting << bits | digit(*character)?;
        held += bits;
        if held >= 8 {
            held -= 8;
            *bytes.get_mut(at)? = u8::try_from(waiting >> held).ok()?;
            waiting &= (1 << held) - 1;
            at += 1;
        }
    }
    (at == bytes.len() && waiting == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `abc`, by other programs.
    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn hex_and_base64_are_the_same_digest() {
        let digest = SecretDigest::of_token("abc");
        let upper = HEX.to_uppercase();
        let url = BASE64.replace('+', "-").replace('/', "_");
        for text in [HEX, &upper, BASE64, BASE64.trim_end_matches('='), &url] {
            assert_eq!(SecretDigest::parse_token_digest(text), Ok(digest), "{text}");
        }
    }

    #[test]
    fn what_is_no_digest_is_refused_with_the_reason() {
        for length in [0, 32, 40, 63, 65, 128] {
            let text = "a".repeat(length);
            assert_eq!(
                SecretDigest::parse_token_digest(&text),
                Err(DigestTextError::Length { length }),
                "{text}"
            );
        }
        let spare = BASE64.replace("a0=", "a1=");
        let no_padding = BASE64.replace('=', "A");
        let foreign = HEX.replace('b', "g");
        for text in [&spare, &no_padding, &foreign, &HEX.replacen("ba", "ä", 1)] {
            assert_eq!(SecretDigest::parse_token_digest(text), Err(DigestTextError::Character), "{text}");
        }
    }
}
