//! That one event is in the log: its path in the tree and a checkpoint, in one small file by C2SP tlog-proof.

use base64ct::{Base64, Encoding};
use domain::Position;
use thiserror::Error;
use tlog_tiles::{Error as TreeError, Hash, check_record, check_tree, prove_record, prove_tree};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::leaf::{MAX_PAYLOAD, leaf_hash};
use crate::levels::Levels;
use crate::vkey::Vkey;

/// The first line of a proof file.
const FORM: &str = "c2sp.org/tlog-proof@v1";
/// Hashes of the longest path.
const MAX_HASHES: usize = 64;
/// A proof file is larger than this only by mistake: the event in base64, a path and a checkpoint.
pub const MAX_PROOF_FILE: u64 = 128 * 1024;

/// Why a proof proves nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// Not in that form.
    #[error("it is no proof of an event, as `rescind audit prove` writes it: {0}")]
    Malformed(&'static str),
    /// The checkpoint is not to be trusted.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead to the root.
    #[error(
        "the event at position {position} is not in the log that the checkpoint signs: the event or the proof was changed"
    )]
    NotIncluded {
        /// What it is said to prove.
        position: Position,
    },
}

/// The path from an event's leaf to the root of the tree of a checkpoint's size.
///
/// # Errors
/// When the tree's files cannot be read, or end before the position.
pub fn prove(levels: &Levels, size: u64, position: Position) -> Result<Vec<Hash>, TreeError> {
    let index =
        position.get().checked_sub(1).ok_or_else(|| TreeError::InvalidInput("no event".to_owned()))?;
    prove_record(size, index, levels)
}

/// That a tree goes on from a smaller one: hashes from which both roots follow.
///
/// # Errors
/// When the tree's files cannot be read, or end before the larger size.
pub fn prove_growth(levels: &Levels, from: Position, to: Position) -> Result<Vec<Hash>, TreeError> {
    prove_tree(to.get(), from.get(), levels)
}

/// Whether such hashes lead from the root of a smaller tree to that of a larger one.
#[must_use]
pub fn check_growth(hashes: &[Hash], from: &Checkpoint, to: &Checkpoint) -> bool {
    check_tree(&hashes.to_vec(), to.size(), to.root(), from.size(), from.root()).is_ok()
}

/// One event, and the proof that it is in a log.
#[derive(Debug)]
pub struct EventProof {
    /// Where it stands.
    pub position: Position,
    /// Its bytes as stored. The form calls them extra data, not authenticated; here they are what is proven.
    pub payload: Vec<u8>,
    /// The path from its leaf to the root.
    pub hashes: Vec<Hash>,
    /// What the path leads to.
    pub checkpoint: Checkpoint,
}

impl EventProof {
    /// The file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let index = self.position.get().saturating_sub(1);
        let mut text = format!("{FORM}\nextra {}\nindex {index}\n", Base64::encode_string(&self.payload));
        for hash in &self.hashes {
            text.push_str(&format!("{hash}\n"));
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.checkpoint.to_bytes()));
        text
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`ProofError`], which says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let malformed = ProofError::Malformed;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(malformed("it ends before its checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORM) {
            return Err(malformed("its first line is another"));
        }
        let extra = lines
            .next()
            .and_then(|line| line.strip_prefix("extra "))
            .ok_or(malformed("the event is not in it"))?;
        let payload = Base64::decode_vec(extra).map_err(|_| malformed("the event is not in base64"))?;
        let index =
            lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(malformed("it has no index"))?;
        let number: u64 = index.parse().map_err(|_| malformed("its index is no number"))?;
        if payload.len() > MAX_PAYLOAD || number.to_string() != index || number == u64::MAX {
            return Err(malformed("its event or index is too large"));
        }
        let hashes: Result<Vec<Hash>, _> = lines.map(Hash::parse_hash).collect();
        let hashes = hashes.map_err(|_| malformed("its path is not of hashes"))?;
        if hashes.len() > MAX_HASHES {
            return Err(malformed("its path is too long"));
        }
        let checkpoint = Checkpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { position: Position::new(number + 1), payload, hashes, checkpoint })
    }

    /// That the event is in the log, by the signature of one of these signers.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify<'a>(&self, signers: &'a [Vkey]) -> Result<Vec<&'a Vkey>, ProofError> {
        // A proof names its log by the origin; which one that is, is for who pinned the signer to know.
        let signed_by = self.checkpoint.signed_by(self.checkpoint.origin(), signers)?;
        if let Some(other) = signed_by.iter().find(|vkey| vkey.name() != self.checkpoint.origin()) {
            let (found, wanted) = (self.checkpoint.origin().to_owned(), other.name().to_owned());
            return Err(CheckpointError::OtherOrigin { found, wanted }.into());
        }
        let leaf = leaf_hash(self.position, &self.payload);
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        check_record(&self.hashes, size, root, self.position.get() - 1, leaf)
            .map_err(|_| ProofError::NotIncluded { position: self.position })?;
        Ok(signed_by)
    }
}

#[cfg(test)]
mod tests {
    use domain::LogId;
    use zeroize::Zeroizing;

    use super::*;
    use crate::frontier::Frontier;
    use crate::signer::{SignerFile, origin_of};

    fn signers(seed: u8) -> crate::signer::Signers {
        SignerFile::create(&origin_of(LogId::from_u128(7)), Zeroizing::new([seed; 32])).signers().unwrap()
    }

    fn vkeys(seed: u8) -> Vec<Vkey> {
        signers(seed).vkeys().cloned().collect()
    }

    fn proof(position: u64, size: u64) -> EventProof {
        let dir = tempfile::tempdir().unwrap();
        let levels = Levels::new(dir.path());
        let mut writer = levels.write_on(Frontier::default()).unwrap();
        let payload = |n: u64| format!("list {n}").into_bytes();
        (1..=size).for_each(|n| writer.push(leaf_hash(Position::new(n), &payload(n))).unwrap());
        writer.sync().unwrap();
        let origin = origin_of(LogId::from_u128(7));
        let checkpoint = Checkpoint::sign(&origin, size, writer.frontier().root(), &signers(1));
        let hashes = prove(&levels, size, Position::new(position)).unwrap();
        EventProof { position: Position::new(position), payload: payload(position), hashes, checkpoint }
    }

    #[test]
    fn every_event_of_trees_of_many_sizes_is_proven() {
        for size in [1, 2, 3, 255, 256, 257, 1000] {
            for position in [1, size / 2 + 1, size] {
                let text = proof(position, size).to_text();
                let read = EventProof::parse(&text).unwrap();
                assert_eq!(read.to_text(), text);
                assert_eq!(read.verify(&vkeys(1)).unwrap().len(), 1, "{position} of {size}");
            }
        }
    }

    #[test]
    fn whatever_is_changed_in_a_proof_it_proves_nothing() {
        let text = proof(300, 1000).to_text();
        assert_eq!(
            EventProof::parse(&text).unwrap().verify(&vkeys(2)).unwrap_err(),
            CheckpointError::Unsigned.into()
        );
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let verified = EventProof::parse(&changed)
                .and_then(|proof| proof.verify(&vkeys(1)).map(|signed| signed.len()));
            assert!(verified.is_err(), "byte {at}: {changed}");
        }
        for cut in [0, 10, text.len() / 2, text.len() - 1] {
            assert!(EventProof::parse(&text[..cut]).is_err(), "cut to {cut}");
        }
    }
}
