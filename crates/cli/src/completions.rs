//! `rescind completions`: the command line for a shell to complete.

use std::io::Write;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen;

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  rescind completions bash > ~/.local/share/bash-completion/completions/rescind"
)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut command: Command) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, "rescind", &mut script);
        std::io::stdout().lock().write_all(&script).map_err(|error| screen::writing_failed(&error))?;
        Ok(Exit::Ok)
    }
}
