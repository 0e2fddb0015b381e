//! `rescind audit incident`: what became of a key that was in the wrong hands, or may have been.

#[cfg(test)]
mod given;
mod html;
mod lines;
mod words;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::KeyFlags;
use crate::screen::{self, Paint};

/// What it comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Text,
    /// One page to hand on or print
    Html,
}

/// Tell what became of a key: who refused it when, its last use, and who goes on trying it
#[derive(Args, Debug)]
#[command(after_help = "\
It begins with the first event by which the key was refused: a leak report, a suspension, a revocation, a recall, the finish of
a rotation, its expiry. Each figure says how well it is known; what was not reported is unknown and never zero.

Examples:
  rescind audit incident 01JDA7W5W6M4Q0T3S8V2N9X1YZ --tenant acme
  rescind audit incident 01JDA7W5W6M4Q0T3S8V2N9X1YZ --tenant acme --format html --out incident.html")]
pub(crate) struct Incident {
    /// Which key
    key_id: String,
    /// What it comes as
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    format: Format,
    /// Into this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    flags: KeyFlags,
}

impl Incident {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/incident", self.flags.key_path(&self.key_id)?);
        let incident = client.send(&client.fresh(Call::get(path)))?.body;
        let (json, paint) = match &self.out {
            None => (self.flags.server.output.json, Paint::stdout()),
            Some(_) => (self.flags.server.output.json, Paint::plain()),
        };
        let text = match (json, self.format) {
            (true, _) => incident.to_string(),
            (false, Format::Text) => lines::of(&incident, paint).join("\n"),
            (false, Format::Html) => html::page(&incident).trim_end().to_owned(),
        };
        match &self.out {
            None => screen::data(&text)?,
            Some(path) => write(path, &text)?,
        }
        Ok(Exit::Ok)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.map_err(|error| {
        Failure::new(Exit::Error, "incident_file", format!("cannot create {}", path.display()))
            .because(error.to_string())
            .remedy("choose a path that does not exist yet, in a folder that does")
    })?;
    writeln!(file, "{text}")
        .map_err(|error| Failure::io(format!("cannot write to {}", path.display()), &error))
}
