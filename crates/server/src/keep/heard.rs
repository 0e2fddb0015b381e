//! What somebody heard of a log's lost end, applied to what a backup gave back: nobody who lost a key there gets it again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use application::{Application, CommandError, LeaseState, Request, SystemAmbient};
use domain::{
    Cause, CloseTenant, CommandId, KeyId, LogId, Personal, PersonalText, Position, RecallKeys, Refusal,
    RevokeKey, RevokeReason, SuspendKey, SuspendReason, TenantId,
};
use eventlog::{EmbeddedLog, EmbeddedSeals, EventLog};
use projection::stores::MemoryStores;
use projection::{Keeps, Projection, ProjectionConfig};
use wire::{Heard, NoticeKind};

use super::KeepError;

/// The longest line that is a notice: one with every scope, network and label that a key can have is shorter.
const MAX_LINE: u64 = 256 * 1024;
/// How long the index may take to read the restored log: a million events a second, on a slow machine a tenth of it.
const INDEX_WITHIN: Duration = Duration::from_secs(600);
/// A lease is never asked for here.
const STALENESS: Duration = Duration::from_secs(5);

/// What was applied of a lost end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Keys revoked again.
    pub revoked: u64,
    /// Recalls made again.
    pub recalled: u64,
    /// Keys suspended, those among them that were changed in a way that nobody can make again for whoever did.
    pub suspended: u64,
    /// Tenants closed again.
    pub closed: u64,
    /// Notices about keys that the backup does not know: they were issued in the lost end, and are refused as unknown.
    pub unknown: u64,
    /// Notices that nobody brought: their positions and tenants, as later ones name them.
    pub not_heard: Vec<(TenantId, Position)>,
}

/// Notices of the lost end by their positions, once each.
pub(super) type Notices = BTreeMap<Position, Heard>;

/// Reads files of notices. Those up to the end of the backup are in it already.
pub(super) fn read(files: &[PathBuf], log_id: LogId, end: Position) -> Result<Notices, KeepError> {
    let mut notices = Notices::new();
    for path in files {
        let file = File::open(path).map_err(|source| KeepError::io(path, source))?;
        let mut file = BufReader::new(file);
        for line in 1.. {
            let Some(text) = next_line(&mut file).map_err(|source| KeepError::io(path, source))? else {
                break;
            };
            if text.trim_ascii().is_empty() {
                continue;
            }
            let heard = read_line(&text, log_id).map_err(|reason| unreadable(path, line, reason))?;
            if heard.position() > end {
                notices.insert(heard.position(), heard);
            }
        }
    }
    Ok(notices)
}

fn next_line(file: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = file.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok((read > 0).then_some(line))
}

/// A kind of a later version may end a key: it is not passed over.
fn read_line(text: &[u8], log_id: LogId) -> Result<Heard, String> {
    let heard = Heard::parse(text).map_err(|error| error.to_string())?;
    if heard.log_id != log_id {
        return Err(format!("it is of log {}, and the restored log is {log_id}", heard.log_id));
    }
    match heard.kind {
        Some(_) => Ok(heard),
        None => Err("this build does not know its kind".to_owned()),
    }
}

fn unreadable(path: &Path, line: u64, reason: String) -> KeepError {
    KeepError::Heard { path: path.to_owned(), line, reason }
}

/// Applies notices in their order to the restored log. Command ids follow from positions, so a run after one that was
/// stopped finds what it did.
pub(super) async fn apply(
    log: &EmbeddedLog,
    seals: EmbeddedSeals,
    was: LogId,
    end: Position,
    notices: Notices,
) -> Result<Applied, KeepError> {
    let mut applied = Applied { not_heard: not_heard(&notices, end), ..Applied::default() };
    if notices.is_empty() {
        return Ok(applied);
    }
    let log: Arc<dyn EventLog> = Arc::new(log.clone());
    let config = ProjectionConfig {
        stores: Arc::new(MemoryStores::new()),
        keeps: Keeps::IndexOnly,
        max_staleness: STALENESS,
    };
    let projection = Projection::start(config, Arc::clone(&log)).await;
    let application = Application::new(
        Arc::clone(&log),
        Arc::new(seals),
        Arc::clone(&projection.index),
        projection.applied(),
        Arc::new(SystemAmbient),
        Arc::new(LeaseState::default()),
    );
    let done = apply_on(&application, &*log, was, &notices, &mut applied).await;
    drop(application);
    projection.stop().await;
    done.map(|()| applied)
}

async fn apply_on(
    application: &Application,
    log: &dyn EventLog,
    was: LogId,
    notices: &Notices,
    applied: &mut Applied,
) -> Result<(), KeepError> {
    let head = log.head().await?;
    if !application.wait_applied(head, INDEX_WITHIN).await {
        let reason = "its events were not taken in in time".to_owned();
        return Err(eventlog::ReadError::Unavailable { reason }.into());
    }
    let again = Again { application, was, reinstated: reinstated(notices), recalling: last_recalls(notices) };
    for (position, heard) in notices {
        let outcome = again.apply(heard, applied).await;
        outcome.map_err(|source| KeepError::NotApplied { position: *position, source })?;
    }
    Ok(())
}

/// Notices that a later one names as the tenant's one before it, and that nobody brought.
fn not_heard(notices: &Notices, end: Position) -> Vec<(TenantId, Position)> {
    let missing =
        notices.values().filter(|heard| heard.previous() > end && !notices.contains_key(&heard.previous()));
    missing.map(|heard| (heard.tenant.clone(), heard.previous())).collect()
}

/// Keys that were reinstated after they were last suspended there.
fn reinstated(notices: &Notices) -> HashSet<KeyId> {
    let mut reinstated = HashSet::new();
    for heard in notices.values() {
        match (heard.kind, heard.key_id) {
            (Some(NoticeKind::Reinstated), Some(key_id)) => reinstated.insert(key_id),
            (Some(NoticeKind::Suspended), Some(key_id)) => reinstated.remove(&key_id),
            _ => false,
        };
    }
    reinstated
}

/// Where each tenant last recalled keys there.
fn last_recalls(notices: &Notices) -> HashMap<TenantId, Position> {
    let recalls = notices.iter().filter(|(_, heard)| heard.kind == Some(NoticeKind::Recalled));
    recalls.map(|(position, heard)| (heard.tenant.clone(), *position)).collect()
}

/// What became of one command.
enum Became {
    Done,
    /// It was so already.
    Already,
    /// There is no such key.
    Unknown,
}

struct Again<'a> {
    application: &'a Application,
    was: LogId,
    reinstated: HashSet<KeyId>,
    recalling: HashMap<TenantId, Position>,
}

impl Again<'_> {
    async fn apply(&self, heard: &Heard, applied: &mut Applied) -> Result<(), CommandError> {
        use NoticeKind as Kind;
        let kind = heard.kind.unwrap_or(Kind::Revoked);
        let (became, counted) = match kind {
            Kind::Recalled => (self.recall(heard).await?, &mut applied.recalled),
            Kind::Closed => (self.close(heard).await?, &mut applied.closed),
            Kind::Revoked | Kind::Expired => (self.revoke(heard).await?, &mut applied.revoked),
            Kind::Suspended if heard.key_id.is_some_and(|key_id| self.reinstated.contains(&key_id)) => {
                (Became::Already, &mut applied.suspended)
            }
            // What was taken away there cannot be made again in the name of who did it: nobody uses the key until
            // somebody has looked at it.
            Kind::Suspended | Kind::Rescoped | Kind::Restricted | Kind::ExpiryChanged => {
                (self.suspend(heard).await?, &mut applied.suspended)
            }
            // A recall after it may have gone by what the key had become.
            Kind::Relabelled | Kind::Transferred
                if self.recalling.get(&heard.tenant).is_some_and(|last| *last > heard.position()) =>
            {
                (self.suspend(heard).await?, &mut applied.suspended)
            }
            Kind::Issued => (Became::Unknown, &mut applied.unknown),
            // Nobody passes by these who did not before.
            Kind::Reinstated | Kind::Expiring | Kind::Relabelled | Kind::Transferred | Kind::Rotated => {
                return Ok(());
            }
        };
        match became {
            Became::Done => *counted += 1,
            Became::Already => {}
            Became::Unknown => applied.unknown += 1,
        }
        Ok(())
    }

    fn request(&self, heard: &Heard) -> Request {
        let id = format!("restored-{}-{}", self.was, heard.position());
        let id: CommandId = id.parse().expect("an id and a number are printable ASCII");
        Request::system(Cause::Command, id)
    }

    fn note(&self, heard: &Heard) -> Option<Personal> {
        let kind = heard.kind.map_or("ended", NoticeKind::as_str);
        let text = format!("{kind} at position {} of log {}, whose end was lost", heard.position(), self.was);
        PersonalText::note(&text).ok().map(Personal::Plain)
    }

    async fn revoke(&self, heard: &Heard) -> Result<Became, CommandError> {
        let Some(key_id) = heard.key_id else { return Ok(Became::Unknown) };
        let reason = heard.data.reason.as_deref().and_then(|reason| reason.parse().ok());
        let command = RevokeKey {
            tenant: heard.tenant.clone(),
            key_id,
            reason: reason.unwrap_or(RevokeReason::Other),
            note: self.note(heard),
        };
        let request = self.request(heard);
        match became(self.application.revoke_key(&request, command.clone()).await) {
            Err(CommandError::Refused(Refusal::LastOperator)) => {
                // The lost end had another operator. Somebody has to be left who can issue operators; that one's key is
                // made by `serve --recover-operator`, so until then a key of which nobody has the secret stands for it.
                self.application.recover_operator().await?;
                became(self.application.revoke_key(&request, command).await)
            }
            became => became,
        }
    }

    async fn suspend(&self, heard: &Heard) -> Result<Became, CommandError> {
        let Some(key_id) = heard.key_id else { return Ok(Became::Unknown) };
        let (tenant, note) = (heard.tenant.clone(), self.note(heard));
        let command = SuspendKey { tenant, key_id, reason: SuspendReason::Investigating, note, until: None };
        let request = self.request(heard);
        match became(self.application.suspend_key(&request, command.clone()).await) {
            Err(CommandError::Refused(Refusal::LastOperator)) => {
                self.application.recover_operator().await?;
                became(self.application.suspend_key(&request, command).await)
            }
            became => became,
        }
    }

    async fn recall(&self, heard: &Heard) -> Result<Became, CommandError> {
        let unreadable = |reason: &str| CommandError::Unavailable { reason: reason.to_owned() };
        let told = heard.data.selector.as_ref().ok_or_else(|| unreadable("the notice names no keys"))?;
        let selector = told.parse().map_err(|error| unreadable(&error.to_string()))?;
        let reason = heard.data.reason.as_deref().and_then(|reason| reason.parse().ok());
        let command = RecallKeys {
            tenant: heard.tenant.clone(),
            selector,
            reason: reason.unwrap_or(RevokeReason::Other),
            note: self.note(heard),
        };
        became(self.application.recall_again(&self.request(heard), &command).await)
    }

    async fn close(&self, heard: &Heard) -> Result<Became, CommandError> {
        let command = CloseTenant { tenant: heard.tenant.clone(), note: self.note(heard) };
        became(self.application.close_tenant(&self.request(heard), command).await)
    }
}

/// What is so already was in the backup, or in what another notice did.
fn became<T>(outcome: Result<T, CommandError>) -> Result<Became, CommandError> {
    match outcome {
        Ok(_) => Ok(Became::Done),
        Err(CommandError::NotFound) => Ok(Became::Unknown),
        Err(CommandError::Refused(
            Refusal::AlreadyRevoked
            | Refusal::AlreadyRecalled
            | Refusal::AlreadyExpired
            | Refusal::AlreadySuspended
            | Refusal::KeyQuarantined
            | Refusal::NothingMatches
            | Refusal::TenantClosed,
        )) => Ok(Became::Already),
        Err(error) => Err(error),
    }
}
