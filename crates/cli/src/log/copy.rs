//! `rescind log copy`: a log from a data folder to NATS, or back, as the same log.

use clap::Args;
use serde_json::json;
use server::keep::{self, LogPlace};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::keeping::{NatsEntry, failed, run_drawn};
use crate::output::Output;

/// Copy a log between a data folder and NATS: every byte, position and id, with the seals, proven equal at the end
#[derive(Args, Debug)]
#[command(after_help = "\
A place is embedded:DIR, the data folder of a server, or nats://host:port. Nobody may serve either log meanwhile: a data
folder is locked; on NATS it is listened for the servers' pulses, at the begin and until the end. Stopped in the middle,
run it again: it compares what is there and goes on. Until it is finished no server takes the target for a log.

What is on record in a data folder (usage, receipts, webhooks) stays there: serve with the same --data. Afterwards serve
only one of the two logs: they have one name, and would part.

Examples:
  rescind log copy --from embedded:rescind-data --to nats://127.0.0.1:4222
  rescind log copy --from nats://127.0.0.1:4222 --to embedded:/srv/rescind")]
pub(crate) struct Copy {
    /// The log that is copied
    #[arg(long, value_name = "embedded:DIR|nats://…")]
    from: String,
    /// Where to: an empty place, or one where an earlier run stopped
    #[arg(long, value_name = "embedded:DIR|nats://…")]
    to: String,
    #[command(flatten)]
    nats: NatsEntry,
    /// How many NATS servers hold each stream that is made; 3 survives the loss of one [default: 1]
    #[arg(long, env = "RESCIND_NATS_REPLICAS", hide_env_values = true, value_name = "N")]
    nats_replicas: Option<usize>,
    #[command(flatten)]
    output: Output,
}

impl Copy {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let place = |setting, text: &str| {
            let parsed = LogPlace::parse(setting, text, &self.nats.args(), self.nats_replicas);
            parsed.map_err(|error| {
                Failure::usage(format!("--{setting} is not a place of a log")).because(error.to_string())
            })
        };
        let (from, to) = (place("from", &self.from)?, place("to", &self.to)?);
        if from == to {
            return Err(Failure::usage("--from and --to are the same place"));
        }
        let copied = run_drawn(|progress| async move { keep::copy(&from, &to, &progress).await })?
            .map_err(|error| failed("the log was not copied", &error))?;
        let body = json!({
            "log_id": copied.log_id.to_string(), "head": copied.head.get(), "found": copied.found.get(),
            "root": copied.root.to_string(), "seals": copied.seals,
        });
        self.output.show(&body, |_| {
            vec![
                format!(
                    "log {}: {} events copied, {} were there, {} seals",
                    copied.log_id,
                    copied.head.get() - copied.found.get(),
                    copied.found,
                    copied.seals
                ),
                format!("both logs end at position {} with root {}", copied.head, copied.root),
                "serve only one of them from now on".to_owned(),
            ]
        })?;
        Ok(Exit::Ok)
    }
}
