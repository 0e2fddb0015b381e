//! `rescind rotation finish`: the successor takes over now.

use clap::Args;
use serde_json::json;

use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::Change;

/// Finish a rotation now: the old key is refused from then on
#[derive(Args, Debug)]
#[command(after_help = "\
Refused while the new key was never used, unless forced: whoever still holds the old one is locked out then. It asks for the
old key's id. Scripts pass it with --confirm=.

Example:
  rescind rotation finish 01JDA7W5W6M4Q0T3S8V2N9X1YZ --confirm=01JDA7W5W6M4Q0T3S8V2N9X1YZ")]
pub(crate) struct Finish {
    #[command(flatten)]
    change: Change,
    /// Even if the new key was never used
    #[arg(long)]
    force: bool,
    /// The old key's id: for scripts, instead of being asked
    #[arg(long, value_name = "KEY_ID")]
    confirm: Option<String>,
}

impl Finish {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let key_id = self.change.key_id()?;
        confirm::confirm(&format!("refuse key {key_id} for ever"), &key_id, self.confirm.as_deref())?;
        self.change.act("rotation/finish", json!({"force": self.force}), "finished the rotation of")
    }
}
