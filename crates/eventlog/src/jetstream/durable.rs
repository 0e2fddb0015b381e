//! The places in the feed that consumers read from. They are made here, by the account that holds the log: whoever may make one
//! may have it deliver anywhere in that account.

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use domain::TenantId;
use tokio::time::timeout;

use super::connect::{ANSWER_LIMIT, ConnectError, JetStream, JetStreamConfig, innermost, reach};
use super::streams::{FEED, NOTICES_PREFIX};

impl JetStream {
    /// Makes the durable of one consumer of one tenant's notices, from the first one on; finds it if it is there.
    ///
    /// # Errors
    /// [`ConnectError`], also when a durable of that name reads something else.
    pub async fn make_durable(
        config: &JetStreamConfig,
        tenant: &TenantId,
        name: &str,
    ) -> Result<(), ConnectError> {
        let (client, _connects) = reach(config).await?;
        let js = jetstream::new(client);
        let not_made =
            |reason: String| ConnectError::Stream { stream: format!("{FEED}, durable {name}"), reason };
        let durable = Config {
            durable_name: Some(name.to_owned()),
            filter_subject: format!("{NOTICES_PREFIX}{tenant}.>"),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ..Config::default()
        };
        let make = async {
            let stream = js.get_stream(FEED).await.map_err(|error| not_made(innermost(&error)))?;
            stream.create_consumer_strict(durable).await.map_err(|error| not_made(innermost(&error)))
        };
        timeout(2 * ANSWER_LIMIT, make)
            .await
            .map_err(|_| not_made("NATS did not answer in time".to_owned()))??;
        Ok(())
    }
}
