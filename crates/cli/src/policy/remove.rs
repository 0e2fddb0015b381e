//! `rescind policy remove`: a policy holds no more.

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use super::path;
use super::set::changed;
use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};

/// Remove a policy; what it did stays done
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind policy remove house --tenant acme")]
pub(crate) struct Remove {
    /// What it is called
    name: String,
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Remove {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/{}", path(&self.tenant)?, segment("policy name", &self.name)?);
        let answer = client.send(&self.command.call(path, Value::Null).by(Method::DELETE).bare())?;
        self.flags.output.show(&answer.body, |body| changed(body, "removed", &self.name))?;
        Ok(Exit::Ok)
    }
}
