//! The public part of a signer, as a text that people pin: `name+id+base64`, the vkey of C2SP signed-note.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use signed_note::{StandardVerifier, Verifier, key_id};
use thiserror::Error;

/// Signature types of C2SP signed-note that we know.
const ED25519: u8 = 1;
const COSIGNATURE: u8 = 4;
/// Bytes of the time in front of a cosignature.
const TIME_LEN: usize = 8;

/// Whose signature a vkey checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerKind {
    /// A log's: it made the checkpoint.
    Log,
    /// A witness's: it saw that the checkpoint goes on from the one before.
    Witness,
}

/// A text that is no vkey.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VkeyError {
    /// Not of that form, or cut.
    #[error("it is not name+id+key, as `rescind audit signer show` prints it; copy the whole line")]
    Form,
    /// Name or key were changed.
    #[error("its id does not fit its name and key; copy the whole line again")]
    Id,
    /// Another kind of signature.
    #[error("it is of signature type {0}, and only Ed25519 signers (1) and witnesses (4) are known")]
    Type(u8),
}

/// A signer's public part.
#[derive(Clone)]
pub struct Vkey {
    text: Box<str>,
    name: Box<str>,
    id: u32,
    kind: SignerKind,
    public: VerifyingKey,
}

impl Vkey {
    /// The vkey of a log's signer.
    pub(crate) fn of_log(name: &str, public: VerifyingKey) -> Self {
        Self::new(name, SignerKind::Log, public)
    }

    fn new(name: &str, kind: SignerKind, public: VerifyingKey) -> Self {
        let encoded = encoded(kind, &public);
        let id = key_id(name, &encoded);
        let text = format!("{name}+{id:08x}+{}", Base64::encode_string(&encoded)).into();
        Self { text, name: name.into(), id, kind, public }
    }

    /// The signer's name: a log's is the origin of its checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its short id, eight digits, as the text has it.
    #[must_use]
    pub fn short_id(&self) -> String {
        format!("{:08x}", self.id)
    }

    /// Whose signatures it checks.
    #[must_use]
    pub const fn kind(&self) -> SignerKind {
        self.kind
    }

    /// For a note to be checked.
    pub(crate) fn verifier(&self) -> Box<dyn Verifier> {
        Box::new(self.clone())
    }
}

fn encoded(kind: SignerKind, public: &VerifyingKey) -> Vec<u8> {
    let kind = match kind {
        SignerKind::Log => ED25519,
        SignerKind::Witness => COSIGNATURE,
    };
    [&[kind], public.as_bytes().as_slice()].concat()
}

impl Verifier for Vkey {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            SignerKind::Log => StandardVerifier::new(&self.text).is_ok_and(|log| log.verify(text, signature)),
            SignerKind::Witness => {
                let Some((time, signature)) = split_cosignature(signature) else { return false };
                let message = cosigned(time, text);
                Signature::from_slice(signature)
                    .is_ok_and(|signature| self.public.verify_strict(&message, &signature).is_ok())
            }
        }
    }
}

/// When a witness cosigned, in seconds since 1970, and its signature.
pub(crate) fn split_cosignature(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = bytes.split_first_chunk::<TIME_LEN>()?;
    Some((u64::from_be_bytes(*time), signature))
}

/// What a witness signs: C2SP tlog-cosignature v1.
#[must_use]
pub fn cosigned(time: u64, text: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), text].concat()
}

impl FromStr for Vkey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VkeyError::Form);
        };
        let encoded = Base64::decode_vec(key).map_err(|_| VkeyError::Form)?;
        let (&kind, public) = encoded.split_first().ok_or(VkeyError::Form)?;
        let kind = match kind {
            ED25519 => SignerKind::Log,
            COSIGNATURE => SignerKind::Witness,
            other => return Err(VkeyError::Type(other)),
        };
        let public = <&[u8; 32]>::try_from(public).map_err(|_| VkeyError::Form)?;
        let public = VerifyingKey::from_bytes(public).map_err(|_| VkeyError::Form)?;
        if !signed_note::is_key_name_valid(name) {
            return Err(VkeyError::Form);
        }
        let vkey = Self::new(name, kind, public);
        if vkey.short_id() == id { Ok(vkey) } else { Err(VkeyError::Id) }
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Vkey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Vkey {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Go documentation of sumdb/note.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn vkeys_read_as_they_are_written() {
        let peter: Vkey = PETER.parse().unwrap();
        assert_eq!(
            (peter.name(), peter.kind(), peter.to_string()),
            ("PeterNeumann", SignerKind::Log, PETER.into())
        );
        let witness = Vkey::new("witness.example/w1", SignerKind::Witness, peter.public);
        let again: Vkey = witness.to_string().parse().unwrap();
        assert_eq!((again.kind(), &again), (SignerKind::Witness, &witness));
        assert_ne!(again.short_id(), peter.short_id());
    }

    #[test]
    fn a_vkey_that_was_cut_or_changed_is_refused() {
        for (text, error) in [
            ("PeterNeumann", VkeyError::Form),
            ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", VkeyError::Form),
            ("Peter+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VkeyError::Id),
            ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VkeyError::Id),
            ("PeterNeumann+c74f20a3+Bhpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VkeyError::Type(6)),
        ] {
            assert_eq!(text.parse::<Vkey>().unwrap_err(), error, "{text}");
        }
    }
}
