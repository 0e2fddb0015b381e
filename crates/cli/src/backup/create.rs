//! `rescind backup create`: what is new since the last run, into the same folder.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use server::keep::{self, AtRest, BackedUp, BackupChoice, BackupSource, LogPlace};

use super::online::Online;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::keeping::{NatsEntry, drawn, failed};

/// Back up a log, with its checkpoint and its seals; run again it adds what is new
#[derive(Args, Debug)]
#[command(after_help = "\
From a server at work, over HTTP, as an operator with audit:read and tenants:admin in every tenant; with --from from the
data folder of a stopped server, which also gives its records (usage, receipts, webhooks), or from NATS under servers at
work. Stopped in the middle, run it again.

The folder is an archive: the verb `audit verify` takes it as it is. The seals in it make personal data readable: keep it
where you keep secrets, or leave them out with --without-seals and keep them elsewhere. They are taken anew each time, so
what was erased is not in a backup made after.

Examples:
  rescind backup create /srv/backups/rescind
  rescind backup create /srv/backups/rescind --from embedded:rescind-data --with-signer
  rescind backup create /srv/backups/rescind --from nats://127.0.0.1:4222")]
pub(crate) struct Create {
    /// The folder of the backup; it is made if it is not there
    folder: PathBuf,
    /// Not from the server, but from a stopped one's data folder, or from NATS
    #[arg(long, value_name = "embedded:DIR|nats://…")]
    from: Option<String>,
    /// Leave the seals out: keys of a log restored without them can be verified and revoked, and none issued or changed
    #[arg(long)]
    without_seals: bool,
    /// With the signers of the checkpoints, from the data folder of --from: whoever has them can sign another history
    #[arg(long)]
    with_signer: bool,
    #[command(flatten)]
    nats: NatsEntry,
    #[command(flatten)]
    server: ServerFlags,
}

impl Create {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let choice = BackupChoice { seals: !self.without_seals, signer: self.with_signer };
        let made = match &self.from {
            Some(from) => {
                let place = LogPlace::parse("from", from, &self.nats.args(), None).map_err(|error| {
                    Failure::usage("--from is not a place of a log").because(error.to_string())
                })?;
                let mut source = AtRest::open(&place).map_err(|error| not_made(&error))?;
                let made = self.take(&mut source, choice);
                source.close();
                made?
            }
            None => self.take(&mut Online::open(self.server.client()?)?, choice)?,
        };
        let body = json!({
            "log_id": made.log_id.to_string(), "head": made.head.get(), "added": made.added,
            "root": made.root.to_string(), "checkpoint": made.checkpoint, "seals": made.seals,
            "records": made.records, "signer": made.signer,
        });
        self.server.output.show(&body, |_| lines(&made))?;
        Ok(Exit::Ok)
    }

    fn take(&self, source: &mut dyn BackupSource, choice: BackupChoice) -> Result<BackedUp, Failure> {
        let made = drawn(|progress| keep::create(&self.folder, source, choice, progress));
        made.map_err(|error| not_made(&error))
    }
}

fn not_made(error: &keep::KeepError) -> Failure {
    failed("the backup was not made", error)
}

fn lines(made: &BackedUp) -> Vec<String> {
    let or_not = |count: Option<usize>, what: &str| match count {
        Some(count) => format!("{count} {what}"),
        None => format!("no {what}"),
    };
    vec![
        format!("log {}: {} events added, the last at position {}", made.log_id, made.added, made.head),
        match made.checkpoint {
            Some(size) => format!("root {}, checkpoint of {size} events", made.root),
            None => format!("root {}, no checkpoint: there is no notary", made.root),
        },
        format!(
            "{}, {}, {}",
            or_not(made.seals, "seals"),
            or_not(made.records, "files of records"),
            if made.signer { "the signers" } else { "no signers" }
        ),
    ]
}
