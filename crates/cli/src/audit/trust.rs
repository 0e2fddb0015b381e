//! What an auditor brings along: signers, witnesses, checkpoints that were seen before.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use proof::{Checkpoint, SignerKind, Trust, Vkey};
use serde_json::Value;

use crate::client::{Call, Client};
use crate::exit::Exit;
use crate::failure::Failure;

/// Bytes of all checkpoints that a server keeps, with room.
pub(super) const MAX_CHECKPOINTS: u64 = 16 << 20;
/// A file with vkeys or a checkpoint is larger only by mistake.
const MAX_FILE: u64 = MAX_CHECKPOINTS;

/// Who is trusted.
#[derive(Args, Debug)]
pub(super) struct TrustFlags {
    /// The public part of the log's signer (name+id+key, from `rescind audit signer show`), or a file with one a line; again for each
    #[arg(long = "signer", value_name = "VKEY|FILE", required = true)]
    signers: Vec<String>,
    /// The vkey of a witness, or a file with one a line: one of those named must have cosigned
    #[arg(long = "witness", value_name = "VKEY|FILE")]
    witnesses: Vec<String>,
    /// A file with a checkpoint that was seen before: forks and truncation are found against it; again for each
    #[arg(long = "known", value_name = "FILE")]
    known: Vec<PathBuf>,
}

impl TrustFlags {
    pub(super) fn read(&self) -> Result<Trust, Failure> {
        let mut known = Vec::new();
        for path in &self.known {
            let refuse =
                |why: String| Failure::usage(format!("{} holds no checkpoint", path.display())).because(why);
            let read = Checkpoint::parse_all(&read(path)?).map_err(|error| refuse(error.to_string()))?;
            if read.is_empty() {
                return Err(refuse("it is empty".to_owned()));
            }
            known.extend(read);
        }
        Ok(Trust {
            signers: vkeys("--signer", SignerKind::Log, &self.signers)?,
            witnesses: vkeys("--witness", SignerKind::Witness, &self.witnesses)?,
            known,
        })
    }
}

fn vkeys(flag: &str, kind: SignerKind, texts: &[String]) -> Result<Vec<Vkey>, Failure> {
    let mut vkeys = Vec::new();
    for text in texts {
        let refuse = |why: String| Failure::usage(format!("{flag} is not usable")).because(why);
        let parsed = match text.parse::<Vkey>() {
            Ok(vkey) => vec![vkey],
            Err(_) if Path::new(text).is_file() => {
                let lines = String::from_utf8_lossy(&read(Path::new(text))?).into_owned();
                let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
                let read: Result<Vec<Vkey>, _> = lines.map(str::parse).collect();
                read.map_err(|error| refuse(format!("{text}: {error}")))?
            }
            Err(error) => return Err(refuse(error.to_string())),
        };
        if let Some(other) = parsed.iter().find(|vkey| vkey.kind() != kind) {
            return Err(refuse(format!(
                "{} is of another kind: logs sign with type 1, witnesses with type 4",
                other.name()
            )));
        }
        vkeys.extend(parsed);
    }
    Ok(vkeys)
}

/// A small file whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io(format!("cannot read {}", path.display()), &error);
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
        return Err(Failure::usage(format!("{} is too large for what is asked for", path.display())));
    }
    fs::read(path).map_err(failed)
}

/// The public parts of a server's signers, as it tells them.
pub(super) fn vkeys_of(client: &Client) -> Result<Vec<Vkey>, Failure> {
    let body = client.send(&Call::get("/v1/log/signers"))?.body;
    let told = body["signers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let vkeys: Option<Vec<Vkey>> = told.iter().map(|vkey: &Value| vkey.as_str()?.parse().ok()).collect();
    vkeys.ok_or_else(|| Failure::new(Exit::Error, "signers", "what the server calls its signers are none"))
}
