//! The flags that verbs share: which server and as whom, which tenant, under which command id.

use clap::Args;

use crate::client::{Call, Client};
use crate::clock;
use crate::failure::Failure;
use crate::key_id;
use crate::output::Output;
use crate::target::Connection;

/// What every verb takes that asks a server.
#[derive(Args, Debug)]
pub(crate) struct ServerFlags {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl ServerFlags {
    /// A client of the server that they name.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::find(&self.connection)
    }
}

/// What every verb takes that is about keys of one tenant.
#[derive(Args, Debug)]
pub(crate) struct KeyFlags {
    /// The tenant of the key
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

impl KeyFlags {
    /// A client of the server that they name.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.server.client()
    }

    /// `/v1/tenants/<tenant>/keys`
    pub(crate) fn keys_path(&self) -> Result<String, Failure> {
        let tenant = crate::client::segment("tenant id", &self.tenant)?;
        Ok(format!("/v1/tenants/{tenant}/keys"))
    }

    /// `/v1/tenants/<tenant>/keys/<key id>`
    pub(crate) fn key_path(&self, key_id: &str) -> Result<String, Failure> {
        Ok(format!("{}/{}", self.keys_path()?, key_id::parse(key_id)?))
    }
}

/// What every verb takes that changes something.
#[derive(Args, Debug)]
pub(crate) struct CommandFlags {
    /// Repeat an earlier command whose outcome is not known, under the id it had
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
}

impl CommandFlags {
    /// A command under the id that was given, else under a fresh one.
    pub(crate) fn call(&self, path: impl Into<String>, body: serde_json::Value) -> Call {
        match &self.command_id {
            Some(id) => Call::command(path, body, id),
            None => Call::command(path, body, &clock::draw_command_id()),
        }
    }
}
