//! `backup verify`: every byte of a backup against what it says of itself, and against what was signed.

use std::path::Path;

use domain::{LogId, Position};
use proof::{Checkpoint, Frontier, Hash, Vkey};

use super::backup::{About, Backup};
use super::create::{compare, read_seals};
use super::{KeepError, Progress, parts};

/// What a backup was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Whose backup it is.
    pub log_id: LogId,
    /// The last event that it answers for.
    pub head: Position,
    /// The root over all of them, computed anew.
    pub root: Hash,
    /// When it was made, RFC 3339.
    pub made_at: String,
    /// Events behind that, of a run that was stopped: no root vouches for them, and they are restored, since they can only
    /// take more away.
    pub beyond: u64,
    /// The size of the tree in its checkpoint, if it has one.
    pub checkpoint: Option<u64>,
    /// Who was found to have signed that; empty where no signer was named.
    pub signed_by: Vec<String>,
    /// How many seals are in it; none if they were left out.
    pub seals: Option<usize>,
    /// How many files of records are in it; none if they were left out.
    pub records: Option<usize>,
    /// Whether the log's signers are in it.
    pub signer: bool,
}

/// Verifies a backup without any server.
///
/// # Errors
/// [`KeepError`], which names what is wrong first.
pub fn verify(root: &Path, signers: &[Vkey], progress: &Progress) -> Result<Verified, KeepError> {
    let (backup, about) = Backup::open(root)?;
    Ok(check(&backup, &about, signers, progress)?.0)
}

/// The same for who has it open; with the tree over all its events.
pub(super) fn check(
    backup: &Backup,
    about: &About,
    signers: &[Vkey],
    progress: &Progress,
) -> Result<(Verified, Frontier), KeepError> {
    let checkpoint = backup.archive.checkpoint()?;
    let signed = checkpoint.map(|bytes| Checkpoint::parse(&bytes)).transpose()?;
    let (root, tree) = grow(backup, about, signed.as_ref(), progress)?;
    if Some(root) != about.root() {
        let reason = format!("the root of its events is {root}, not the one in backup.json");
        return Err(KeepError::BackupDiffers { reason });
    }
    let log_id = backup.archive.log_id();
    let mut signed_by = Vec::new();
    if !signers.is_empty() {
        let signed = signed.as_ref().ok_or(KeepError::NoCheckpoint)?;
        let good = signed.signed_by(&proof::origin_of(log_id), signers)?;
        signed_by = good.into_iter().map(|vkey| vkey.name().to_owned()).collect();
    }
    about.parts().try_for_each(|part| parts::check(&backup.root, part))?;
    let seals = about.seals.as_ref().map(|part| read_seals(&backup.root, part)).transpose()?;
    let verified = Verified {
        log_id,
        head: about.head(),
        root,
        made_at: about.made_at.clone(),
        beyond: tree.size() - about.head,
        checkpoint: signed.map(|signed| signed.size()),
        signed_by,
        seals: seals.map(|seals| seals.count()),
        records: about.records.as_ref().map(Vec::len),
        signer: about.signer.is_some(),
    };
    Ok((verified, tree))
}

/// The root over the events that the backup answers for, and the tree over all of them, each read and checked.
fn grow(
    backup: &Backup,
    about: &About,
    signed: Option<&Checkpoint>,
    progress: &Progress,
) -> Result<(Hash, Frontier), KeepError> {
    progress.begin(backup.archive.last().get());
    let mut tree = Frontier::default();
    let mut root = tree.root();
    for event in backup.archive.events(Position::NONE) {
        tree.push(event?.leaf(), |_, _| {});
        compare(&tree, signed)?;
        if tree.size() == about.head {
            root = tree.root();
        }
        progress.reach(tree.size());
    }
    if tree.size() < about.head {
        let reason = format!("it ends at position {}, backup.json says {}", tree.size(), about.head);
        return Err(KeepError::BackupDiffers { reason });
    }
    match signed {
        Some(signed) if signed.size() > tree.size() => {
            let reason = format!("its events end at position {}", tree.size());
            Err(KeepError::Unsigned { size: signed.size(), reason })
        }
        _ => Ok((root, tree)),
    }
}
