//! Checkpoints are trusted for good signatures of the signers and witnesses that were named, and for nothing else.

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::*;
use crate::signer::SignerFile;
use crate::vkey::cosigned;

const ORIGIN: &str = "rescind/A";

fn signers(seeds: &[u8]) -> Signers {
    let seed = |n: u8| Zeroizing::new([n; 32]);
    let first = SignerFile::create(ORIGIN, seed(seeds[0]));
    let file = seeds[1..].iter().fold(first, |file, n| file.with_another(seed(*n)).unwrap());
    file.signers().unwrap()
}

fn vkeys(seeds: &[u8]) -> Vec<Vkey> {
    signers(seeds).vkeys().cloned().collect()
}

fn checkpoint(size: u64, seeds: &[u8]) -> Checkpoint {
    Checkpoint::sign(ORIGIN, size, Hash([9; 32]), &signers(seeds))
}

/// A witness's vkey and its signature line for a checkpoint.
fn witnessed(checkpoint: &Checkpoint, seed: u8, time: u64) -> (Vkey, Vec<u8>) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let name = format!("witness.example/w{seed}");
    let public = [&[4], key.verifying_key().to_bytes().as_slice()].concat();
    let id = signed_note::key_id(&name, &public);
    let signature = key.sign(&cosigned(time, checkpoint.note.text()));
    let timed = [time.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
    let line = signed_note::Signature::new(name.clone(), id, timed).unwrap().to_bytes();
    let text =
        format!("{name}+{id:08x}+{}", <base64ct::Base64 as base64ct::Encoding>::encode_string(&public));
    (text.parse().unwrap(), line)
}

#[test]
fn a_checkpoint_says_origin_size_root_and_is_signed_by_all() {
    let signed = checkpoint(7, &[1, 2]);
    let bytes = signed.to_bytes();
    assert!(bytes.starts_with(
        b"rescind/A\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n\xe2\x80\x94 rescind/A "
    ));
    let read = Checkpoint::parse(&bytes).unwrap();
    assert_eq!((read.origin(), read.size(), read.root()), (ORIGIN, 7, Hash([9; 32])));
    for (trusted, good) in [(vec![1, 2], 2), (vec![1], 1), (vec![2, 3], 1)] {
        assert_eq!(read.signed_by(ORIGIN, &vkeys(&trusted)).unwrap().len(), good, "{trusted:?}");
    }
}

#[test]
fn strangers_forgers_and_other_logs_are_refused() {
    let signed = checkpoint(7, &[1]);
    assert_eq!(signed.signed_by(ORIGIN, &vkeys(&[3])).unwrap_err(), CheckpointError::Unsigned);
    assert_eq!(signed.signed_by(ORIGIN, &[]).unwrap_err(), CheckpointError::Unsigned);
    assert!(matches!(signed.signed_by("rescind/B", &vkeys(&[1])), Err(CheckpointError::OtherOrigin { .. })));
    let text = String::from_utf8(signed.to_bytes()).unwrap();
    let forged = Checkpoint::parse(text.replace("\n7\n", "\n8\n").as_bytes()).unwrap();
    assert!(matches!(forged.signed_by(ORIGIN, &vkeys(&[1])), Err(CheckpointError::Forged { .. })));
    for malformed in ["", "rescind/A\n7\n", &text.replace("\n7\n", "\n07\n"), &text.replace("\n\n", "\n")] {
        assert_eq!(
            Checkpoint::parse(malformed.as_bytes()).unwrap_err(),
            CheckpointError::Malformed,
            "{malformed}"
        );
    }
}

#[test]
fn checkpoints_lie_one_behind_the_other() {
    let sizes = [1, 5, 5, 900];
    let bytes: Vec<u8> = sizes.iter().flat_map(|size| checkpoint(*size, &[1, 2]).to_bytes()).collect();
    let read = Checkpoint::parse_all(&bytes).unwrap();
    assert_eq!(read.iter().map(Checkpoint::size).collect::<Vec<_>>(), sizes);
    assert!(Checkpoint::parse_all(b"").unwrap().is_empty());
    assert!(Checkpoint::parse_all(&bytes[..bytes.len() - 3]).is_err());
}

#[test]
fn a_witness_counts_if_it_was_named_and_signed_this_very_text() {
    let signed = checkpoint(7, &[1]);
    let (witness, line) = witnessed(&signed, 5, 1_800_000_000);
    let (other, _) = witnessed(&signed, 6, 1);
    let cosigned = signed.with_cosignatures(&line, &witness).unwrap();
    let both = [witness.clone(), other];
    assert_eq!(cosigned.cosigned_by(&both).unwrap(), [(&witness, 1_800_000_000)]);
    assert_eq!(cosigned.signed_by(ORIGIN, &vkeys(&[1])).unwrap().len(), 1);
    assert!(signed.cosigned_by(&both).unwrap().is_empty());
    let elsewhere = checkpoint(8, &[1]);
    assert!(matches!(elsewhere.with_cosignatures(&line, &witness), Err(CheckpointError::Forged { .. })));
    assert_eq!(signed.with_cosignatures(&line, &both[1]).unwrap_err(), CheckpointError::Unsigned);
    assert_eq!(signed.with_cosignatures(b"no line\n", &witness).unwrap_err(), CheckpointError::Malformed);
}
