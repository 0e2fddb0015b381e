//! Checkpoints: signed tree heads, notes in the form of C2SP tlog-checkpoint.

use std::fmt;

use signed_note::{Note, NoteError, VerifierList, Verifiers as _};
use thiserror::Error;
use tlog_tiles::Hash;

use crate::signer::Signers;
use crate::vkey::{SignerKind, Vkey, split_cosignature};

/// How a signature line begins.
const SIGNATURE: &str = "\u{2014} ";

/// Why bytes are no checkpoint that can be trusted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// Not in that form.
    #[error(
        "it is no checkpoint: three lines, an empty one and signatures, as /v1/log/checkpoint answers it"
    )]
    Malformed,
    /// Another log's.
    #[error("it is of {found}, not of {wanted}")]
    OtherOrigin {
        /// Its first line.
        found: String,
        /// The log's.
        wanted: String,
    },
    /// None of the signers that are trusted has signed.
    #[error("none of the signers that you named has signed it")]
    Unsigned,
    /// One of them is said to have, and has not.
    #[error("the signature in the name of {name} is not good")]
    Forged {
        /// The name on the signature.
        name: String,
    },
}

/// A checkpoint with its signatures, well-formed. Whether they are good is asked with [`Checkpoint::signed_by`].
#[derive(Debug)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    note: Note,
}

impl Checkpoint {
    /// Signs a tree head with every signer.
    ///
    /// # Panics
    /// Never: origin and names are of log ids, which are valid, and Ed25519 always signs.
    #[must_use]
    pub fn sign(origin: &str, size: u64, root: Hash, signers: &Signers) -> Self {
        let text = format!("{origin}\n{size}\n{root}\n");
        let mut note = Note::new(text.as_bytes(), &[]).expect("a log id, a number and base64 are printable");
        note.add_sigs(&signers.as_signers()).expect("signers have valid names, and Ed25519 always signs");
        Self { origin: origin.to_owned(), size, root, note }
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let malformed = |_| CheckpointError::Malformed;
        let note = Note::from_bytes(bytes).map_err(malformed)?;
        let head = tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)?;
        let (origin, size, root) = (head.origin().to_owned(), head.size(), *head.hash());
        Ok(Self { origin, size, root, note })
    }

    /// Reads checkpoints that lie one behind the other.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] if any of them is.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, CheckpointError> {
        let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::Malformed)?;
        let mut found = Vec::new();
        let (mut start, mut at, mut in_signatures) = (0, 0, false);
        for line in text.split_inclusive('\n') {
            let is_signature = line.starts_with(SIGNATURE);
            if in_signatures && !is_signature {
                found.push(Self::parse(&bytes[start..at])?);
                start = at;
            }
            in_signatures = is_signature;
            at += line.len();
        }
        if start < at {
            found.push(Self::parse(&bytes[start..at])?);
        }
        Ok(found)
    }

    /// Whose tree it is the head of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves the tree has: the position of its last event.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    #[must_use]
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// It and its signatures, as it is served.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }

    /// That it is of this log and that at least one of its signers has signed; which of them did.
    ///
    /// # Errors
    /// [`CheckpointError`]; a bad signature in the name of any of them spoils it.
    pub fn signed_by<'a>(&self, origin: &str, signers: &'a [Vkey]) -> Result<Vec<&'a Vkey>, CheckpointError> {
        if self.origin != origin {
            let (found, wanted) = (self.origin.clone(), origin.to_owned());
            return Err(CheckpointError::OtherOrigin { found, wanted });
        }
        let of_log: Vec<&Vkey> = signers.iter().filter(|vkey| vkey.kind() == SignerKind::Log).collect();
        let good = self.verify(&of_log)?;
        Ok(good.into_iter().map(|(vkey, _)| vkey).collect())
    }

    /// Which of these witnesses have cosigned it, and when (seconds since 1970). Empty if none has.
    ///
    /// # Errors
    /// [`CheckpointError::Forged`].
    pub fn cosigned_by<'a>(&self, witnesses: &'a [Vkey]) -> Result<Vec<(&'a Vkey, u64)>, CheckpointError> {
        let known: Vec<&Vkey> = witnesses.iter().filter(|vkey| vkey.kind() == SignerKind::Witness).collect();
        let good = match self.verify(&known) {
            Err(CheckpointError::Unsigned) => Vec::new(),
            other => other?,
        };
        let with_time = |(vkey, signature): (&'a Vkey, Vec<u8>)| {
            split_cosignature(&signature).map(|(time, _)| (vkey, time))
        };
        Ok(good.into_iter().filter_map(with_time).collect())
    }

    /// It with the cosignatures of a witness that are good; the lines are what the witness answered. Others are left out.
    ///
    /// # Errors
    /// [`CheckpointError`] when no line is a good cosignature of that witness.
    pub fn with_cosignatures(&self, lines: &[u8], witness: &Vkey) -> Result<Self, CheckpointError> {
        let answered = Self::parse(&[self.note.text(), b"\n", lines].concat())?;
        let good = answered.verify(&[witness])?;
        let mut bytes = self.to_bytes();
        for (vkey, signature) in good {
            let id = u32::from_str_radix(&vkey.short_id(), 16).map_err(|_| CheckpointError::Malformed)?;
            let line = signed_note::Signature::new(vkey.name().to_owned(), id, signature);
            bytes.extend(line.map_err(|_| CheckpointError::Malformed)?.to_bytes());
        }
        Self::parse(&bytes)
    }

    fn verify<'a>(&self, known: &[&'a Vkey]) -> Result<Vec<(&'a Vkey, Vec<u8>)>, CheckpointError> {
        let verifiers = VerifierList::new(known.iter().map(|vkey| vkey.verifier()).collect());
        let (good, _) = self.note.verify(&verifiers).map_err(|error| match error {
            NoteError::UnverifiedNote => CheckpointError::Unsigned,
            NoteError::InvalidSignature { name, .. } => CheckpointError::Forged { name },
            _ => CheckpointError::Malformed,
        })?;
        let of = |signature: signed_note::Signature| {
            verifiers.verifier(signature.name(), signature.id()).ok()?;
            let id = format!("{:08x}", signature.id());
            let vkey = known.iter().find(|vkey| vkey.name() == signature.name() && vkey.short_id() == id)?;
            Some((*vkey, signature.signature().to_vec()))
        };
        Ok(good.into_iter().filter_map(of).collect())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.origin, self.size)
    }
}

#[cfg(test)]
mod tests;
