//! `rescind leak report`: keys that somebody found, revoked or suspended at once as their tenants want.

use clap::Args;
use serde_json::json;

use super::input::Input;
use super::send::{self, Leak};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;

/// Report keys that were found where they should not be
#[derive(Args, Debug)]
#[command(after_help = "\
The keys are read from stdin, or with --file from a file, one a line: arguments can be seen by others. Only a whole secret
identifies a key. Each is revoked, or suspended, as its tenant wants, with source and place in its history. It does not ask
first: what others have seen is no longer a secret. Reporting again does nothing more.

Exit codes: 0 all of them ended, 3 some are no keys of this service (the others ended), 5 one is refused, see its code.

Examples:
  rescind leak report --source pastebin --found-at https://example.com/paste/7 --file found.txt
  pbpaste | rescind leak report --source chat --json")]
pub(crate) struct Report {
    /// Who found them, or where: 1 to 64 of A-Z, a-z, 0-9 and ._/-
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The place itself: an address or a path
    // Not --url, which names the server everywhere.
    #[arg(long, value_name = "PLACE")]
    found_at: Option<String>,
    /// The tenant of keys that were imported; they are found only there
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Report {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let tokens = self.input.lines()?;
        let client = self.flags.client()?;
        let leaks: Vec<_> =
            tokens.into_iter().map(|token| Leak { token, url: self.found_at.clone() }).collect();
        let results = send::report(&client, &self.source, self.tenant.as_deref(), &leaks)?;
        let exit = send::exit(&results);
        self.flags.output.show(&json!({"results": results}), |_| results.iter().map(send::line).collect())?;
        Ok(exit)
    }
}
