//! `rescind tenant configure`: a tenant's settings.

use clap::Args;
use serde_json::json;
use ureq::http::Method;

use super::changed;
use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};

/// Change a tenant's settings; what is not named stays
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind tenant configure acme --leak-response suspend")]
#[group(id = "settings", required = true, multiple = true, args = ["name", "prefix", "leak_response"])]
pub(crate) struct Configure {
    /// Which tenant
    tenant: String,
    /// What people will call it
    #[arg(long)]
    name: Option<String>,
    /// What its new keys will begin with; those that exist stay valid
    #[arg(long)]
    prefix: Option<String>,
    /// What will happen to a key that is reported as leaked
    #[arg(long, value_parser = ["revoke", "suspend"])]
    leak_response: Option<String>,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Configure {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let mut body = json!({});
        for (member, value) in
            [("name", &self.name), ("prefix", &self.prefix), ("leak_response", &self.leak_response)]
        {
            if let Some(value) = value {
                body[member] = json!(value);
            }
        }
        let path = format!("/v1/tenants/{}", segment("tenant id", &self.tenant)?);
        let answer = client.send(&self.command.call(path, body).by(Method::PATCH))?;
        self.flags.output.show(&answer.body, |body| changed(body, "configured"))?;
        Ok(Exit::Ok)
    }
}
