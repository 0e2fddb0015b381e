//! `rescind rotation cancel`: the old key stays, and the successor is retired.

use clap::Args;
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::Change;

/// Call a rotation off: the old key stays, and the new one is refused from then on
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind rotation cancel 01JDA7W5W6M4Q0T3S8V2N9X1YZ")]
pub(crate) struct Cancel {
    #[command(flatten)]
    change: Change,
}

impl Cancel {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.act("rotation/cancel", Value::Null, "called off the rotation of")
    }
}
