//! `rescind backup verify`: whether a backup is whole, without any server.

use std::path::PathBuf;

use clap::Args;
use proof::Vkey;
use serde_json::json;
use server::keep::{self, Verified};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::keeping::{drawn, failed};
use crate::output::Output;

/// Check every byte of a backup: checksums, the root of its events, its checkpoint, seals and records
#[derive(Args, Debug)]
#[command(after_help = "\
Without --signer it is told whether the backup is what was written, not who vouches for it. The whole chain of checkpoints
is checked by `audit verify`, which takes the same folder.

Examples:
  rescind backup verify /srv/backups/rescind
  rescind backup verify /srv/backups/rescind --signer \"$(cat signer.vkey)\"")]
pub(crate) struct Verify {
    /// The folder of the backup
    folder: PathBuf,
    /// A public key of the log, as `rescind audit signer show` prints it: one of them must have signed the checkpoint
    #[arg(long, value_name = "VKEY")]
    signer: Vec<String>,
    #[command(flatten)]
    output: Output,
}

/// The public keys that were named.
pub(super) fn vkeys(texts: &[String]) -> Result<Vec<Vkey>, Failure> {
    let read = texts.iter().map(|text| text.parse::<Vkey>());
    read.collect::<Result<_, _>>()
        .map_err(|error| Failure::usage("--signer is not a public key of a log").because(error.to_string()))
}

impl Verify {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let signers = vkeys(&self.signer)?;
        let verified = drawn(|progress| keep::verify(&self.folder, &signers, progress))
            .map_err(|error| failed("the backup is not good", &error))?;
        let body = json!({
            "log_id": verified.log_id.to_string(), "head": verified.head.get(), "root": verified.root.to_string(),
            "made_at": verified.made_at, "beyond": verified.beyond, "checkpoint": verified.checkpoint,
            "signed_by": verified.signed_by, "seals": verified.seals, "records": verified.records,
            "signer": verified.signer,
        });
        self.output.show(&body, |_| lines(&verified))?;
        Ok(Exit::Ok)
    }
}

fn lines(verified: &Verified) -> Vec<String> {
    let mut lines = vec![
        format!("log {}: {} events, as of {}", verified.log_id, verified.head, verified.made_at),
        format!("root {}", verified.root),
    ];
    lines.push(match (verified.checkpoint, &verified.signed_by[..]) {
        (Some(size), []) => {
            format!("its checkpoint of {size} events has their root; name --signer to see who signed it")
        }
        (Some(size), signed_by) => format!("checkpoint of {size} events, signed by {}", signed_by.join(", ")),
        (None, _) => "no checkpoint: nobody vouches for it".to_owned(),
    });
    if verified.beyond > 0 {
        lines.push(format!("{} events more of a run that was stopped", verified.beyond));
    }
    let held = [
        verified.seals.map(|count| format!("{count} seals")),
        verified.records.map(|count| format!("{count} files of records")),
        verified.signer.then(|| "the signers".to_owned()),
    ];
    let held: Vec<String> = held.into_iter().flatten().collect();
    lines.push(if held.is_empty() { "nothing beside it".to_owned() } else { held.join(", ") });
    lines
}
