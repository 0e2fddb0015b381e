//! `rescind backup settle`: says what came after a backup, so that its restored log is trusted again.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use domain::Position;
use serde_json::json;
use server::keep::{self, Known};

use super::{settled_json, settled_lines};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keeping::{drawn, failed};
use crate::output::Output;

/// Say what came after a backup that was restored: then its log is trusted again
#[derive(Args, Debug)]
#[command(after_help = "\
If nothing came after the backup: --known with the newest checkpoint that anybody has (an auditor, a witness, an export).
The log goes on as the same log.

If its end is lost: --accept-loss with the position that the backup ends at, and --heard with all notices that anybody has
of the time after it, a CloudEvent a line, as `watch --json` prints them. Whoever lost a key there does not get it
again; what cannot be made again suspends the key. The log goes on under another name, so that guards, consumers and
auditors who have seen the lost end begin anew; its records go along, its signers do not. All of it is on record in
records/restores.ndjson.

Examples:
  rescind backup settle --data rescind-data --known checkpoint
  rescind backup settle --data rescind-data --heard mailer.ndjson --heard reports.ndjson --accept-loss 48210")]
pub(crate) struct Settle {
    /// The data folder with the restored log
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    known: KnownFlags,
    #[command(flatten)]
    output: Output,
}

/// What is known of the time after a backup.
#[derive(Args, Debug)]
pub(super) struct KnownFlags {
    /// A file with a checkpoint of this log, from anywhere
    #[arg(long, value_name = "FILE")]
    known: Vec<PathBuf>,
    /// A file of notices, one a line, that somebody heard after the backup
    #[arg(long, value_name = "FILE")]
    heard: Vec<PathBuf>,
    /// Take the loss of what came after this position, the last one in the backup
    #[arg(long, value_name = "POSITION")]
    accept_loss: Option<u64>,
}

impl KnownFlags {
    pub(super) const fn says_anything(&self) -> bool {
        !self.known.is_empty() || !self.heard.is_empty() || self.accept_loss.is_some()
    }

    pub(super) fn read(&self) -> Result<Known, Failure> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|error| Failure::io(format!("cannot read {}", path.display()), &error))
        };
        Ok(Known {
            checkpoints: self.known.iter().map(read).collect::<Result<_, _>>()?,
            heard: self.heard.clone(),
            accepted: self.accept_loss.map(Position::new),
        })
    }
}

impl Settle {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let known = self.known.read()?;
        let settled = drawn(|progress| keep::settle(&self.data, &known, progress))
            .map_err(|error| failed("the restored log is not trusted yet", &error))?;
        let body = settled.as_ref().map_or_else(|| json!({"settled": null}), settled_json);
        self.output.show(&body, |_| match &settled {
            Some(settled) => settled_lines(settled),
            None => vec!["this log is trusted already: it was not restored, or settled before".to_owned()],
        })?;
        Ok(Exit::Ok)
    }
}
