//! `rescind backup restore`: a backup into an empty data folder, not trusted before it is known what came after.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use server::keep;

use super::settle::KnownFlags;
use super::verify::vkeys;
use super::{settled_json, settled_lines};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keeping::{drawn, failed};
use crate::output::Output;

/// Restore a backup, which is verified first, into an empty data folder
#[derive(Args, Debug)]
#[command(after_help = "\
A backup does not know who was revoked after it. So a server on a restored log refuses every key, and takes no command,
until `backup settle`, or the same flags here, have said what came after. Stopped in the middle, run it again.

operator.key is in no backup: put yours back, or start once with --recover-operator.

Examples:
  rescind backup restore /srv/backups/rescind --data rescind-data --known checkpoint
  rescind backup restore /srv/backups/rescind --data rescind-data --heard notices.ndjson --accept-loss 48210")]
pub(crate) struct Restore {
    /// The folder of the backup
    folder: PathBuf,
    /// The data folder to restore into
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A public key of the log: one of them must have signed the backup's checkpoint
    #[arg(long, value_name = "VKEY")]
    signer: Vec<String>,
    #[command(flatten)]
    known: KnownFlags,
    #[command(flatten)]
    output: Output,
}

impl Restore {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let (signers, known) = (vkeys(&self.signer)?, self.known.read()?);
        let restored = drawn(|progress| keep::restore(&self.folder, &self.data, &signers, progress))
            .map_err(|error| failed("the backup was not restored", &error))?;
        let settled = match self.known.says_anything() {
            true => drawn(|progress| keep::settle(&self.data, &known, progress))
                .map_err(|error| failed("the backup was restored, and its log is not trusted yet", &error))?,
            false => None,
        };
        let body = json!({
            "log_id": restored.log_id.to_string(), "head": restored.head.get(), "root": restored.root.to_string(),
            "made_at": restored.made_at, "seals": restored.seals, "records": restored.records,
            "signer": restored.signer, "settled": settled.as_ref().map(settled_json),
        });
        self.output.show(&body, |_| {
            let mut lines = vec![format!(
                "log {} restored up to position {}, as of {}",
                restored.log_id, restored.head, restored.made_at
            )];
            match &settled {
                Some(settled) => lines.extend(settled_lines(settled)),
                None => lines.push(
                    "a server on it refuses every key until `rescind backup settle` says what came after"
                        .to_owned(),
                ),
            }
            lines
        })?;
        Ok(Exit::Ok)
    }
}
