//! `backup create`: what is new since the last run, from a server at work, a folder at rest or NATS.

use std::path::{Path, PathBuf};

use application::{Ambient, SystemAmbient};
use base64ct::{Base64, Encoding};
use domain::{LogId, Position, TenantId};
use eventlog::{CarriedSeals, SubjectSeal};
use proof::{Checkpoint, Frontier, Hash, LevelWriter, LogEvent};
use serde::{Deserialize, Serialize};
use wire::format_rfc3339;

use super::backup::{About, Backup, Part};
use super::{KeepError, Progress, parts};
use crate::planted::Bug;

/// Where a backup is taken from: the server's own client over HTTP, or a log that is opened here.
pub trait BackupSource {
    /// Whose history it is.
    fn log_id(&self) -> LogId;

    /// Where it ended when this source was opened, never below what the checkpoint covers.
    fn head(&self) -> Position;

    /// The last checkpoint that was published before [`head`](Self::head) was read, and the kept ones before it; none where
    /// there is no notary.
    ///
    /// # Errors
    /// [`KeepError`].
    fn checkpoints(&mut self) -> Result<Option<Checkpoints>, KeepError>;

    /// The next events behind a position below the head, at least one. Positions only go on from call to call.
    ///
    /// # Errors
    /// [`KeepError`].
    fn events_after(&mut self, after: Position) -> Result<Vec<LogEvent>, KeepError>;

    /// Every seal there is now.
    ///
    /// # Errors
    /// [`KeepError`].
    fn seals(&mut self) -> Result<Vec<Seal>, KeepError>;

    /// The folder with the records, if they can be taken as they lie: nobody is writing to them.
    fn records(&self) -> Option<PathBuf>;

    /// The file with the log's signers, if it is at hand.
    fn signer(&self) -> Option<PathBuf>;
}

/// Checkpoints as they were served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The last one.
    pub last: Vec<u8>,
    /// Those that were kept before it, one behind the other.
    pub before: Vec<u8>,
}

/// One seal on its way into a backup and back. A secret: not `Debug`.
#[derive(Deserialize, Serialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Seal {
    /// A tenant's.
    Tenant {
        /// Whose.
        tenant: String,
        /// Its bytes, in base64.
        seal: String,
    },
    /// The newest one of a subject.
    Subject {
        /// The subject's name in every store, in base64.
        subject: String,
        /// Which of the subject's seals it is.
        generation: u32,
        /// Its secret, in base64; none once it was destroyed.
        secret: Option<String>,
    },
}

impl Seal {
    /// All that a store holds.
    pub(crate) fn of_all(carried: &CarriedSeals) -> Vec<Self> {
        let of_tenant = |(tenant, seal): &(TenantId, Vec<u8>)| Self::Tenant {
            tenant: tenant.to_string(),
            seal: Base64::encode_string(seal),
        };
        let of_subject = |(name, seal): &([u8; 16], SubjectSeal)| Self::Subject {
            subject: Base64::encode_string(name),
            generation: seal.generation,
            secret: seal.secret.as_ref().map(|secret| Base64::encode_string(secret)),
        };
        let tenants = carried.tenants.iter().map(of_tenant);
        tenants.chain(carried.subjects.iter().map(of_subject)).collect()
    }

    /// Adds it to what is carried; none if it is no seal that this build reads.
    fn add_to(&self, carried: &mut CarriedSeals) -> Option<()> {
        match self {
            Self::Tenant { tenant, seal } => {
                carried.tenants.push((tenant.parse().ok()?, Base64::decode_vec(seal).ok()?));
            }
            Self::Subject { subject, generation, secret } => {
                let name = Base64::decode_vec(subject).ok()?.try_into().ok()?;
                let secret = match secret {
                    Some(secret) => Some(Base64::decode_vec(secret).ok()?.try_into().ok()?),
                    None => None,
                };
                carried.subjects.push((name, SubjectSeal { generation: *generation, secret }));
            }
        }
        Some(())
    }
}

/// What of a log goes into its backup beside events and checkpoints.
#[derive(Clone, Copy, Debug)]
pub struct BackupChoice {
    /// The seals, without which personal fields cannot be read and no key of their tenants is issued or changed.
    pub seals: bool,
    /// The log's signers, without which the chain of checkpoints goes on under another key.
    pub signer: bool,
}

/// What a run has done.
#[derive(Clone, Debug, PartialEq)]
pub struct BackedUp {
    /// Whose backup it is.
    pub log_id: LogId,
    /// The last event in it.
    pub head: Position,
    /// How many events are new.
    pub added: u64,
    /// The root over all of them.
    pub root: Hash,
    /// The size of the tree in its checkpoint, if it has one.
    pub checkpoint: Option<u64>,
    /// How many seals are in it; none if they were left out.
    pub seals: Option<usize>,
    /// How many files of records are in it; none where they could not be taken.
    pub records: Option<usize>,
    /// Whether the signers are in it.
    pub signer: bool,
}

/// Makes a backup, or adds what is new to the one that is there.
///
/// # Errors
/// [`KeepError`]; the backup is then as the last run left it, with more events perhaps.
pub fn create(
    root: &Path,
    source: &mut dyn BackupSource,
    choice: BackupChoice,
    progress: &Progress,
) -> Result<BackedUp, KeepError> {
    let checkpoints = source.checkpoints()?;
    let mut backup = Backup::create(root, source.log_id())?;
    let was = backup.archive.last();
    if was > source.head() {
        return Err(KeepError::Longer { target: was, from: source.head() });
    }
    check_goes_on(&backup, source)?;
    progress.begin(source.head().get());
    add_events(&mut backup, source, progress)?;
    let (mut tree, checkpoint) = write_tree(&backup, checkpoints.as_ref(), source.head())?;
    tree.sync().map_err(|error| KeepError::io(root, error))?;
    let tree = tree.frontier().clone();
    if let Some(Checkpoints { last, before }) = &checkpoints {
        backup.archive.put_checkpoints(last, before)?;
    }
    let run = backup.about.as_ref().map_or(1, |about| about.run + 1);
    let mut about = About::new(source.log_id(), &tree, format_rfc3339(SystemAmbient.now()), run);
    let seals = if choice.seals { Some(source.seals()?) } else { None };
    if let Some(seals) = &seals {
        about.seals = Some(put_seals(root, run, seals)?).filter(|_| !Bug::PartForgotten.is_planted());
    }
    if let Some(records) = source.records() {
        about.records = Some(parts::put_folder(root, &format!("records-{run}"), &records)?);
    }
    if choice.signer {
        let file = source.signer().ok_or(KeepError::NoSigner)?;
        about.signer = Some(parts::put_file(root, &format!("signer-{run}"), &file)?);
    }
    let (records, signer) = (about.records.as_ref().map(Vec::len), about.signer.is_some());
    // If we stop before this line, the backup is the one of the run before, with more events.
    backup.put_about(about)?;
    if !Bug::OldPartsStay.is_planted() {
        backup.remove_other_parts()?;
    }
    Ok(BackedUp {
        log_id: source.log_id(),
        head: source.head(),
        added: source.head().get() - was.get(),
        root: tree.root(),
        checkpoint,
        seals: seals.map(|seals| seals.len()),
        records,
        signer,
    })
}

/// Whether the last event that the backup holds stands in the log as it stands in the backup. Its id is random, so a history
/// that shares it is the same up to there.
fn check_goes_on(backup: &Backup, source: &mut dyn BackupSource) -> Result<(), KeepError> {
    let last = backup.archive.last();
    if last == Position::NONE {
        return Ok(());
    }
    let before = Position::new(last.get() - 1);
    let held = backup.archive.events(before).next().transpose()?;
    let stands = source.events_after(before)?.into_iter().next();
    if held == stands { Ok(()) } else { Err(KeepError::Differs { position: last }) }
}

fn add_events(
    backup: &mut Backup,
    source: &mut dyn BackupSource,
    progress: &Progress,
) -> Result<(), KeepError> {
    let (mut at, head) = (backup.archive.last(), source.head());
    let mut writer = backup.archive.writer();
    while at < head {
        for event in source.events_after(at)? {
            if event.position <= head {
                at = event.position;
                writer.append(&event)?;
            }
        }
        progress.reach(at.get());
    }
    Ok(writer.finish()?)
}

/// Brings the tree up to the head, and compares it with the checkpoint on the way: a log that is not what was signed is not
/// backed up as if it were.
fn write_tree(
    backup: &Backup,
    checkpoints: Option<&Checkpoints>,
    head: Position,
) -> Result<(LevelWriter, Option<u64>), KeepError> {
    let signed = checkpoints.map(|checkpoints| Checkpoint::parse(&checkpoints.last)).transpose()?;
    let (mut frontier, levels) = backup.frontier();
    if signed.as_ref().is_some_and(|signed| signed.size() < frontier.size()) {
        // An older checkpoint than the last run saw: its root is inside the tree.
        frontier = Frontier::default();
    }
    let mut at = Position::new(frontier.size());
    let failed = |error| KeepError::io(&backup.root, error);
    let mut tree = levels.write_on(frontier).map_err(failed)?;
    compare(tree.frontier(), signed.as_ref())?;
    for event in backup.archive.events(at) {
        let event = event?;
        if event.position > head {
            break;
        }
        at = event.position;
        tree.push(event.leaf()).map_err(failed)?;
        compare(tree.frontier(), signed.as_ref())?;
    }
    match &signed {
        Some(signed) if signed.size() > at.get() => {
            Err(KeepError::Unsigned { size: signed.size(), reason: format!("the log ends at {at}") })
        }
        _ => Ok((tree, signed.map(|signed| signed.size()))),
    }
}

/// Whether the tree has the signed root when it has the signed size.
pub(super) fn compare(tree: &Frontier, signed: Option<&Checkpoint>) -> Result<(), KeepError> {
    match signed {
        Some(signed) if signed.size() == tree.size() && signed.root() != tree.root() => {
            let reason = format!("the root of its events is {}, signed is {}", tree.root(), signed.root());
            Err(KeepError::Unsigned { size: signed.size(), reason })
        }
        _ => Ok(()),
    }
}

fn put_seals(root: &Path, run: u64, seals: &[Seal]) -> Result<Part, KeepError> {
    let mut lines = Vec::new();
    for seal in seals {
        serde_json::to_writer(&mut lines, seal).expect("texts always serialise into memory");
        lines.push(b'\n');
    }
    parts::put(root, &format!("seals-{run}"), &lines)
}

/// The seals of a backup, checked.
pub(super) fn read_seals(root: &Path, part: &Part) -> Result<CarriedSeals, KeepError> {
    let lines = parts::read(root, part)?;
    let mut carried = CarriedSeals::default();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let added = serde_json::from_slice::<Seal>(line).ok().and_then(|seal| seal.add_to(&mut carried));
        added.ok_or_else(|| KeepError::PartDamaged {
            path: root.join(&part.path),
            reason: "a line of it is no seal that this build reads".to_owned(),
        })?;
    }
    Ok(carried)
}
