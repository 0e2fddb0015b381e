//! `rescind nats durable`: makes the place that a consumer reads from, which it may not make itself.

use clap::Args;
use serde_json::json;
use server::config::NatsArgs;
use server::make_durable;
use tokio::runtime::Runtime;

use super::consumer::Consumer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Make the durable that a consumer of notices reads through; nothing happens to one that is there
#[derive(Args, Debug)]
#[command(after_help = "\
It begins with the tenant's first notice and remembers what its consumer has acknowledged. The feed is there once a server
has started on this NATS. Consumers may not make durables: one could be made to deliver into the log.

Examples:
  rescind nats durable acme/mailer --log nats://127.0.0.1:4222 --nats-nkey nats/rescind.nkey")]
pub(crate) struct Durable {
    /// Whose notices, and for whom
    #[arg(value_name = "TENANT/NAME")]
    consumer: Consumer,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    output: Output,
}

impl Durable {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let (consumer, durable) = (self.consumer.to_string(), self.consumer.durable());
        let runtime = Runtime::new().map_err(|error| Failure::io("cannot start", &error))?;
        let made = runtime.block_on(make_durable(self.nats, &self.consumer.tenant, &durable));
        made.map_err(|error| {
            Failure::new(Exit::Error, "nats_durable", format!("the durable of {consumer} was not made"))
                .because(error.to_string())
        })?;
        self.output.show(&json!({"consumer": consumer, "durable": durable}), |_| {
            vec![format!("{consumer} reads through the durable {durable}")]
        })?;
        Ok(Exit::Ok)
    }
}
