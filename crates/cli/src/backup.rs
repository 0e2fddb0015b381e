//! `rescind backup`: the log, its seals and its records kept elsewhere, and given back without giving back what was revoked.

mod create;
mod online;
mod restore;
mod settle;
mod verify;

use clap::Subcommand;
use server::keep::Settled;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupVerb {
    // Boxed: its settings would make every verb as large.
    Create(Box<create::Create>),
    Verify(verify::Verify),
    Restore(restore::Restore),
    Settle(settle::Settle),
}

impl BackupVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Create(create) => create.run(),
            Self::Verify(verify) => verify.run(),
            Self::Restore(restore) => restore.run(),
            Self::Settle(settle) => settle.run(),
        }
    }
}

/// What became of a restored log, for people.
fn settled_lines(settled: &Settled) -> Vec<String> {
    let mut lines = if settled.was == settled.log_id {
        vec![format!("nothing is known to have come after position {}: the log goes on", settled.end)]
    } else {
        vec![
            format!(
                "what came after position {} is lost; the log goes on as {}",
                settled.end, settled.log_id
            ),
            format!("(it was {}: guards and consumers begin anew, auditors see another log)", settled.was),
        ]
    };
    let applied = &settled.applied;
    lines.push(format!(
        "applied again: {} keys revoked, {} recalls, {} keys suspended, {} tenants closed",
        applied.revoked, applied.recalled, applied.suspended, applied.closed
    ));
    if applied.unknown > 0 {
        lines.push(format!(
            "{} notices were about keys issued in the lost end: they are refused",
            applied.unknown
        ));
    }
    for (tenant, position) in &applied.not_heard {
        lines.push(format!("not heard by anybody: the notice at position {position} of tenant {tenant}"));
    }
    lines
}

fn settled_json(settled: &Settled) -> serde_json::Value {
    let applied = &settled.applied;
    let not_heard: Vec<_> = applied
        .not_heard
        .iter()
        .map(|(tenant, position)| serde_json::json!({"tenant": tenant.as_str(), "position": position.get()}))
        .collect();
    serde_json::json!({
        "was": settled.was.to_string(), "log_id": settled.log_id.to_string(), "end": settled.end.get(),
        "root": settled.root.to_string(), "revoked": applied.revoked, "recalled": applied.recalled,
        "suspended": applied.suspended, "closed": applied.closed, "unknown": applied.unknown, "not_heard": not_heard,
    })
}
