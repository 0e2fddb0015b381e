//! `rescind key relabel`: the key has other labels.

use clap::Args;
use serde_json::json;

use super::change::Change;
use super::issue::{label, label_object};
use crate::exit::Exit;
use crate::failure::Failure;

/// Give a key other labels: those named are all that it has then
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  rescind key relabel 01JDA7W5W6M4Q0T3S8V2N9X1YZ --label service=mailer --label team=lists"
)]
#[group(id = "labelled", required = true, multiple = false, args = ["labels", "no_labels"])]
pub(crate) struct Relabel {
    #[command(flatten)]
    change: Change,
    /// A label, such as service=mailer; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Take all labels away
    #[arg(long)]
    no_labels: bool,
}

impl Relabel {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.amend(json!({"labels": label_object(&self.labels)?}), "relabelled")
    }
}
