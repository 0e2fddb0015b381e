//! `rescind tenant close`: the tenant takes no command any more, and all its keys are refused.

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use super::changed;
use crate::client::segment;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};

/// Close a tenant for good: all its keys are refused from then on
#[derive(Args, Debug)]
#[command(after_help = "\
It asks for the tenant's id. Scripts pass it with --confirm=.

Example:
  rescind tenant close acme --note 'moved to another region' --confirm=acme")]
pub(crate) struct Close {
    /// Which tenant
    tenant: String,
    /// Why; kept in the log
    #[arg(long)]
    note: Option<String>,
    /// The tenant's id: for scripts, instead of being asked
    #[arg(long, value_name = "TENANT")]
    confirm: Option<String>,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Close {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("/v1/tenants/{}", segment("tenant id", &self.tenant)?);
        let what = format!("close tenant {} and refuse all its keys for ever", self.tenant);
        confirm::confirm(&what, &self.tenant, self.confirm.as_deref())?;
        let call = self.command.call(path, Value::Null).by(Method::DELETE).bare();
        let answer = client.send(&call.with_some("note", self.note.as_deref()))?;
        self.flags.output.show(&answer.body, |body| changed(body, "closed"))?;
        Ok(Exit::Ok)
    }
}
