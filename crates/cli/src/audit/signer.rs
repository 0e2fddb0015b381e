//! `rescind audit signer`: what a log's checkpoints are signed with: shown, and exchanged with an overlap.

use std::fs;
use std::path::{Path, PathBuf};

use application::{Ambient, SystemAmbient};
use clap::{Args, Subcommand};
use proof::{SignerError, SignerFile, Vkey, put_privately};
use serde_json::json;
use zeroize::Zeroizing;

use super::trust::vkeys_of;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::Output;
use crate::screen;

/// A signer file is a line or two; what is larger is something else.
const MAX_FILE: u64 = 64 * 1024;

/// Show the signers of a log, and exchange them
#[derive(Debug, Subcommand)]
pub(crate) enum SignerVerb {
    Show(Show),
    Add(Add),
    Remove(Remove),
}

impl SignerVerb {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Show(show) => show.run(),
            Self::Add(add) => add.run(),
            Self::Remove(remove) => remove.run(),
        }
    }
}

/// Print the public parts, one a line, for auditors to pin; never the private ones
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rescind audit signer show\n  rescind audit signer show --file rescind-data/signer.key"
)]
pub(crate) struct Show {
    /// Read the signer file itself, instead of asking the server
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Show {
    fn run(self) -> Result<Exit, Failure> {
        let vkeys = match &self.file {
            Some(path) => vkeys_in(path, &read(path)?)?,
            None => vkeys_of(&self.flags.client()?)?,
        };
        show(self.flags.output, &vkeys)?;
        Ok(Exit::Ok)
    }
}

/// Add a new signer to the file: from its next checkpoint on the server signs with both
#[derive(Args, Debug)]
#[command(after_help = "\
To exchange a signer: add the next one, tell auditors to pin it beside the old one, and when they have, remove the old one.

Example:
  rescind audit signer add rescind-data/signer.key")]
pub(crate) struct Add {
    /// The signer file of `serve --notary`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl Add {
    fn run(self) -> Result<Exit, Failure> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemAmbient.fill(&mut *seed);
        let file = read(&self.file)?.with_another(seed).map_err(|error| refused(&self.file, &error))?;
        write(&self.file, &file)?;
        show(self.output, &vkeys_in(&self.file, &file)?)?;
        if !self.output.json {
            screen::say(
                "have auditors pin the new one, then remove the old one with `rescind audit signer remove`",
            );
        }
        Ok(Exit::Ok)
    }
}

/// Remove a signer from the file, by the eight digits in its vkey
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind audit signer remove rescind-data/signer.key 4f2a90c1")]
pub(crate) struct Remove {
    /// The signer file of `serve --notary`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which signer: the eight digits between the two plus signs of its vkey
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    output: Output,
}

impl Remove {
    fn run(self) -> Result<Exit, Failure> {
        let file = read(&self.file)?.without(&self.id).map_err(|error| refused(&self.file, &error))?;
        write(&self.file, &file)?;
        show(self.output, &vkeys_in(&self.file, &file)?)?;
        Ok(Exit::Ok)
    }
}

fn show(output: Output, vkeys: &[Vkey]) -> Result<(), Failure> {
    let texts: Vec<String> = vkeys.iter().map(ToString::to_string).collect();
    output.show(&json!({"signers": texts}), |_| texts.clone())
}

fn vkeys_in(path: &Path, file: &SignerFile) -> Result<Vec<Vkey>, Failure> {
    let signers = file.signers().map_err(|error| refused(path, &error))?;
    Ok(signers.vkeys().cloned().collect())
}

fn read(path: &Path) -> Result<SignerFile, Failure> {
    let failed = |error| {
        Failure::io(format!("cannot read {}", path.display()), &error)
            .remedy("it is signer.key in the data folder of the server, or what its --notary names")
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
        return Err(Failure::usage(format!("{} is too large for a signer file", path.display())));
    }
    Ok(SignerFile::new(fs::read_to_string(path).map_err(failed)?))
}

fn write(path: &Path, file: &SignerFile) -> Result<(), Failure> {
    put_privately(path, file.expose())
        .map_err(|error| Failure::io(format!("cannot write {}; it is as it was", path.display()), &error))
}

fn refused(path: &Path, error: &SignerError) -> Failure {
    Failure::new(Exit::Refused, "signer_file", format!("{} cannot be used", path.display()))
        .because(error.to_string())
}
