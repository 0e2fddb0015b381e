//! Holds an archive against its signatures, and names the first position that is not what was signed.
//!
//! The events are hashed as they stand and the tree is built anew, so nothing in the archive is believed but what a signature
//! covers. Only when a root differs are the archive's own level files asked, and of them only hashes that lead up to a signed
//! root: they are what the events were when they were signed.

mod locate;
mod naming;
mod report;
mod streams;
mod walk;

use std::path::Path;

use domain::Position;
use thiserror::Error;
use tlog_tiles::Hash;

use crate::archive::{Archive, ArchiveError};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::signer::origin_of;
use crate::verification::locate::{Suspect, locate};
use crate::verification::walk::Walk;
use crate::vkey::Vkey;

pub use report::{Finding, Report, Witnessed, Wrong};

/// What an auditor brings along. Nothing of it comes from the archive.
#[derive(Debug, Default)]
pub struct Trust {
    /// Public parts of the log's signers, at least one.
    pub signers: Vec<Vkey>,
    /// Public parts of witnesses. If any is named, one of them must have cosigned.
    pub witnesses: Vec<Vkey>,
    /// Checkpoints that were seen before.
    pub known: Vec<Checkpoint>,
}

/// Why nothing can be said about an archive.
#[derive(Debug, Error)]
pub enum VerificationError {
    /// It cannot be read, or is none.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Nothing to hold it against.
    #[error(
        "no signer was named: give the vkey that `rescind audit signer show` prints where the log is served"
    )]
    NoSigner,
    /// A checkpoint that the auditor brings along is no use.
    #[error("the known checkpoint {which} cannot be used: {reason}")]
    Known {
        /// Which of them, from 1.
        which: usize,
        /// What is wrong with it.
        reason: CheckpointError,
    },
}

/// Verifies a whole archive. `progress` is told each now and then up to which position it has come.
///
/// # Errors
/// [`VerificationError`] when there is nothing to say. What is wrong with the log is in the report.
pub fn verify_archive(
    root: &Path,
    trust: &Trust,
    progress: &mut dyn FnMut(Position),
) -> Result<Report, VerificationError> {
    if trust.signers.is_empty() {
        return Err(VerificationError::NoSigner);
    }
    let archive = Archive::open_as_it_is(root)?;
    let origin = origin_of(archive.log_id());
    for (known, which) in trust.known.iter().zip(1..) {
        let signed = known.signed_by(&origin, &trust.signers);
        signed.map_err(|reason| VerificationError::Known { which, reason })?;
    }
    let mut report = Report::new(archive.log_id());
    let signed = read_checkpoints(&archive, &origin, trust, &mut report)?;
    let mut sizes: Vec<u64> = signed.iter().chain(&trust.known).map(Checkpoint::size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut walk = Walk::through(&archive, &sizes, progress)?;
    report.events = Position::new(walk.events());
    report.unreadable = walk.unreadable;
    let found = compare_with_signed(&archive, &walk, &signed)?;
    let edited = found.iter().any(|finding| finding.wrong != Wrong::Forked);
    report.findings.extend(found);
    compare_with_known(&walk, &signed, trust, edited, &mut report);
    let is_as_signed = report.findings.is_empty() && walk.beside.is_empty();
    if is_as_signed {
        report.streams = Some(walk.streams.rest(&archive)?);
    }
    walk.beside.append(&mut walk.streams.broken);
    // Behind the first event that is not the signed one all may be shifted: only what is wrong before it says more.
    let first =
        report.findings.iter().map(|finding| finding.first).filter(|first| *first > Position::NONE).min();
    report
        .findings
        .extend(walk.beside.into_iter().filter(|beside| first.is_none_or(|first| beside.first < first)));
    report.findings.sort_by_key(|finding| finding.first);
    Ok(report)
}

/// The archive's checkpoints whose signatures are good, by size.
fn read_checkpoints(
    archive: &Archive,
    origin: &str,
    trust: &Trust,
    report: &mut Report,
) -> Result<Vec<Checkpoint>, VerificationError> {
    let mut signed = Vec::new();
    let mut bad = |which: &str, size: u64, reason: &CheckpointError| {
        let wrong = Wrong::BadSignature;
        report.findings.push(Finding::at(wrong, Position::new(size), format!("{which}: {reason}")));
    };
    let last = archive.checkpoint()?;
    let chain = Checkpoint::parse_all(&archive.checkpoints()?);
    let last = last.as_deref().map(Checkpoint::parse);
    match (&last, &chain) {
        (Some(Err(reason)), _) => bad("the archive's checkpoint", 0, reason),
        (_, Err(reason)) => bad("the archive's earlier checkpoints", 0, reason),
        _ => {}
    }
    let last = last.and_then(Result::ok);
    report.checkpoint = last.as_ref().map(|last| Position::new(last.size()));
    for checkpoint in chain.unwrap_or_default().into_iter().chain(last) {
        match checkpoint.signed_by(origin, &trust.signers) {
            Ok(_) => signed.push(checkpoint),
            // An earlier one of a signer that was exchanged since, or of a stranger: it says nothing to who did not pin it.
            Err(CheckpointError::Unsigned) if report.checkpoint != Some(Position::new(checkpoint.size())) => {
                report.of_others += 1;
            }
            Err(reason) => bad("a checkpoint of the archive", checkpoint.size(), &reason),
        }
    }
    signed.sort_by_key(Checkpoint::size);
    report.checkpoints = signed.len();
    if let Some(last) = signed.last() {
        report.signed_by =
            last.signed_by(origin, &trust.signers).unwrap_or_default().into_iter().cloned().collect();
    } else {
        let reason =
            "no signature covers any of it: the archive has no checkpoint of the signers that you named";
        report.findings.push(Finding::at(Wrong::BadSignature, Position::NONE, reason.to_owned()));
    }
    read_cosignatures(&signed, trust, report);
    Ok(signed)
}

/// Up to where witnesses have seen this history, by checkpoints of the archive and by those that were brought along.
fn read_cosignatures(signed: &[Checkpoint], trust: &Trust, report: &mut Report) {
    for checkpoint in signed.iter().chain(&trust.known) {
        match checkpoint.cosigned_by(&trust.witnesses) {
            Ok(cosigned) => {
                for (vkey, time) in cosigned {
                    report.witnessed_by(vkey, Position::new(checkpoint.size()), time);
                }
            }
            Err(reason) => {
                let first = Position::new(checkpoint.size());
                report.findings.push(Finding::at(
                    Wrong::BadSignature,
                    first,
                    format!("a cosignature: {reason}"),
                ));
            }
        }
    }
    if !trust.witnesses.is_empty() && report.witnessed.is_empty() {
        let reason = "none of the witnesses that you named has cosigned any of its checkpoints";
        report.findings.push(Finding::at(Wrong::Unwitnessed, Position::new(1), reason.to_owned()));
    }
}

/// What differs from the archive's own signed checkpoints.
fn compare_with_signed(
    archive: &Archive,
    walk: &Walk,
    signed: &[Checkpoint],
) -> Result<Vec<Finding>, ArchiveError> {
    let Some(last) = signed.last() else { return Ok(Vec::new()) };
    let agrees = |checkpoint: &&Checkpoint| walk.root_at(checkpoint.size()) == Some(checkpoint.root());
    let Some(differs) = signed.iter().find(|checkpoint| !agrees(checkpoint)) else {
        return Ok(naming::beyond(walk, last.size()).into_iter().collect());
    };
    let good = signed.iter().take_while(agrees).last().map_or(0, Checkpoint::size);
    if agrees(&last) {
        // The events are what the last checkpoint signed, so the signer has signed two histories.
        let reason = format!(
            "the log's signer has signed another history too: its checkpoint of size {} has another root",
            differs.size()
        );
        let (first, upto) = (Position::new(good + 1), Position::new(differs.size()));
        return Ok(vec![Finding::between(Wrong::Forked, first, upto, reason)]);
    }
    // The larger tree vouches for as much as the smaller one, if its files still lead up to its root.
    for checkpoint in [differs, last] {
        if let Some(suspect) = locate(&archive.levels(), checkpoint, walk) {
            return naming::name(archive, walk, checkpoint, suspect);
        }
    }
    naming::name(archive, walk, differs, Suspect::between(good + 1, differs.size()))
}

/// What differs from checkpoints that did not come with the archive.
fn compare_with_known(walk: &Walk, signed: &[Checkpoint], trust: &Trust, edited: bool, report: &mut Report) {
    let mut known: Vec<&Checkpoint> = trust.known.iter().collect();
    known.sort_by_key(|checkpoint| checkpoint.size());
    let size = walk.events();
    let mut good = 0;
    for checkpoint in known {
        report.known.push(Position::new(checkpoint.size()));
        let signed_here = |size: u64| -> Option<Hash> {
            signed.iter().find(|signed| signed.size() == size).map(Checkpoint::root)
        };
        let here = walk.root_at(checkpoint.size());
        if here == Some(checkpoint.root()) {
            good = checkpoint.size();
        } else if checkpoint.size() > size {
            let reason = format!("a known checkpoint has {} events, the archive {size}", checkpoint.size());
            let (first, last) = (Position::new(size + 1), Position::new(checkpoint.size()));
            report.findings.push(Finding::between(Wrong::Truncated, first, last, reason));
            return;
        } else if !edited || signed_here(checkpoint.size()).is_some_and(|root| root != checkpoint.root()) {
            let reason = format!("the known checkpoint of size {} has another root", checkpoint.size());
            let (first, last) = (Position::new(good + 1), Position::new(checkpoint.size()));
            report.findings.push(Finding::between(Wrong::Forked, first, last, reason));
            return;
        }
    }
}

#[cfg(test)]
mod tests;
