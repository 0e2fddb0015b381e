//! `rescind key restrict`: the key may be used from other networks.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::exit::Exit;
use crate::failure::Failure;

/// Change where a key may be used from: the networks named are all that it has then
#[derive(Args, Debug)]
#[command(after_help = "\
More places than before need an operator with keys:issue.

Example:
  rescind key restrict 01JDA7W5W6M4Q0T3S8V2N9X1YZ --network 192.0.2.0/24")]
#[group(id = "restricted", required = true, multiple = false, args = ["networks", "anywhere"])]
pub(crate) struct Restrict {
    #[command(flatten)]
    change: Change,
    /// An address or a block that it may be used from; may be repeated
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// From anywhere
    #[arg(long)]
    anywhere: bool,
}

impl Restrict {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.amend(json!({"networks": self.networks}), "restricted")
    }
}
