//! The signature of a report: ECDSA on P-256 with SHA-256 over the body as it came.

use base64ct::{Base64, Encoding};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};

/// Bytes of the longest signature in DER: two integers of 33 bytes, each with its tag and length, in a sequence.
const DER_MAX: usize = 72;

/// Whether this key signed exactly these bytes.
pub(super) fn fits(key: &VerifyingKey, signature: &str, body: &[u8]) -> bool {
    let mut room = [0; DER_MAX];
    let der = Base64::decode(signature, &mut room).ok();
    let signature = der.and_then(|der| Signature::from_der(der).ok());
    signature.is_some_and(|signature| key.verify(body, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::key_list::KeyList;
    use super::super::tests::{REAL_BODY, REAL_KEY_ID, REAL_LIST, REAL_SIGNATURE};
    use super::*;

    fn real_key() -> VerifyingKey {
        KeyList::parse(REAL_LIST.as_bytes()).unwrap().key(REAL_KEY_ID).unwrap()
    }

    #[test]
    fn a_report_that_github_signed_is_accepted() {
        assert!(fits(&real_key(), REAL_SIGNATURE, REAL_BODY.as_bytes()));
    }

    #[test]
    fn the_same_with_any_byte_changed_missing_or_more_is_refused() {
        let (key, body) = (real_key(), REAL_BODY.as_bytes());
        for at in 0..body.len() {
            let mut changed = body.to_vec();
            changed[at] ^= 1;
            assert!(!fits(&key, REAL_SIGNATURE, &changed), "at {at}");
        }
        assert!(!fits(&key, REAL_SIGNATURE, &body[1..]));
        assert!(!fits(&key, REAL_SIGNATURE, &[body, b"\n"].concat()));
        assert!(!fits(&key, REAL_SIGNATURE, b""));
    }

    #[test]
    fn what_is_no_signature_of_that_key_is_refused() {
        let (key, body) = (real_key(), REAL_BODY.as_bytes());
        let mut der = Base64::decode_vec(REAL_SIGNATURE).unwrap();
        for at in 0..der.len() {
            der[at] ^= 1;
            assert!(!fits(&key, &Base64::encode_string(&der), body), "at {at}");
            der[at] ^= 1;
        }
        let more = Base64::encode_string(&[&der[..], &[0]].concat());
        let long = "A".repeat(10_000);
        let raw = Base64::encode_string(&[0; 64]);
        // A sequence of two zeros, which some verifiers took for a signature of everything.
        let zeros = Base64::encode_string(&[0x30, 6, 2, 1, 0, 2, 1, 0]);
        for bad in ["", "=", "not base64", &REAL_SIGNATURE[1..], &more, &long, &raw, &zeros] {
            assert!(!fits(&key, bad, body), "{bad:.80}");
        }
    }
}
