//! `rescind tenant open`: a tenant that keys can be issued in.

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;
use crate::screen::printable;

/// Open a tenant: the unit of isolation that keys live in
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind tenant open acme --name 'Acme Newsletters' --prefix acme")]
pub(crate) struct Open {
    /// Its id: a-z, 0-9 and '-', at most 63
    tenant: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What its keys begin with, so that scanners find them [default: rsk]
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Open {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let mut body = json!({"tenant": self.tenant});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
        }
        if let Some(prefix) = &self.prefix {
            body["prefix"] = json!(prefix);
        }
        let answer = client.send(&self.command.call("/v1/tenants", body))?;
        self.flags.output.show(&answer.body, |body| {
            let position = text(body, "position");
            vec![format!("tenant {} is open (position {position})", printable(&self.tenant))]
        })?;
        Ok(Exit::Ok)
    }
}
