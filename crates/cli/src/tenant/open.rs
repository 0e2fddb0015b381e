//! `rescind tenant open`: a tenant that keys can be issued in.

use clap::Args;
use serde_json::json;

use crate::client::{Call, Client};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, text};
use crate::screen::printable;
use crate::target::Connection;

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
    /// Repeat an earlier command whose outcome is not known, under the id it had
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

impl Open {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = Client::find(&self.connection)?;
        let mut body = json!({"tenant": self.tenant});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
        }
        if let Some(prefix) = &self.prefix {
            body["prefix"] = json!(prefix);
        }
        let id = self.command_id.unwrap_or_else(clock::draw_command_id);
        let answer = client.send(&Call::command("/v1/tenants", body, &id))?;
        self.output.show(&answer.body, |body| {
            let position = text(body, "position");
            vec![format!("tenant {} is open (position {position})", printable(&self.tenant))]
        })?;
        Ok(Exit::Ok)
    }
}
