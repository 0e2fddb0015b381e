//! `rescind key`: a key's whole life.

mod issue;
mod list;
mod revoke;
mod show;
mod verify;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::failure::Failure;

/// The most that the server gives in one page.
const PAGE: u16 = 200;

/// The verbs of keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    Issue(issue::Issue),
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Revoke(revoke::Revoke),
}

impl KeyVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Issue(issue) => issue.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Verify(verify) => verify.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

/// In which tenant.
#[derive(Args, Debug)]
pub(crate) struct InTenant {
    /// The tenant of the key
    #[arg(long, default_value = "default")]
    tenant: String,
}

impl InTenant {
    /// `/v1/tenants/<tenant>/keys`
    fn keys_path(&self) -> Result<String, Failure> {
        let tenant = crate::client::segment("tenant id", &self.tenant)?;
        Ok(format!("/v1/tenants/{tenant}/keys"))
    }

    /// `/v1/tenants/<tenant>/keys/<key id>`
    fn key_path(&self, key_id: &str) -> Result<String, Failure> {
        Ok(format!("{}/{}", self.keys_path()?, crate::key_id::parse(key_id)?))
    }
}
