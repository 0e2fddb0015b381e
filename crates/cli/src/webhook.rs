//! `rescind webhook`: where a tenant's notices are sent to.

mod add;
mod dead_letters;
mod list;
mod redeliver;
mod remove;
mod rotate_secret;

use clap::Subcommand;
use serde_json::Value;

use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen;

/// The verbs of webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookVerb {
    Add(add::Add),
    List(list::List),
    Remove(remove::Remove),
    RotateSecret(rotate_secret::RotateSecret),
    DeadLetters(dead_letters::DeadLetters),
    Redeliver(redeliver::Redeliver),
}

impl WebhookVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Add(add) => add.run(),
            Self::List(list) => list.run(),
            Self::Remove(remove) => remove.run(),
            Self::RotateSecret(rotate) => rotate.run(),
            Self::DeadLetters(letters) => letters.run(),
            Self::Redeliver(redeliver) => redeliver.run(),
        }
    }
}

const PATH: &str = "/v1/webhooks";

/// `/v1/webhooks/<webhook id>`
fn path(webhook_id: &str) -> Result<String, Failure> {
    Ok(format!("{PATH}/{}", segment("webhook id", webhook_id)?))
}

/// The secret alone on stdout, so that it can be piped to where its receiver reads it.
fn show_secret(body: &Value, json: bool, webhook_id: &str) -> Result<(), Failure> {
    if json {
        screen::data(&body.to_string())?;
    }
    match body["secret"].as_str() {
        Some(_) if json => Ok(()),
        Some(secret) => screen::data(secret),
        None => Err(Failure::new(
            Exit::Refused,
            "secret_already_shown",
            "this command was done before; a secret is shown once and cannot be shown again",
        )
        .remedy(format!(
            "if that answer was lost: rescind webhook rotate-secret {webhook_id} --overlap none"
        ))),
    }
}
