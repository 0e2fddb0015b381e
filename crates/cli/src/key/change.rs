//! What all verbs have in common that change one key: which key, under which condition, and what is said then.

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, KeyFlags};
use crate::output::text;
use crate::receipt::{self, Waiting};

/// Which key, and the revision it must have.
#[derive(Args, Debug)]
pub(crate) struct Change {
    /// Which key
    key_id: String,
    /// Change it only if it is still at this revision, as `key show` tells it
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u32).range(1..))]
    if_match: Option<u32>,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: KeyFlags,
}

impl Change {
    /// The key's id in its one form.
    pub(crate) fn key_id(&self) -> Result<String, Failure> {
        crate::key_id::parse(&self.key_id).map(|id| id.to_string())
    }

    /// Changes what the key is; `done` says what was done, such as `renamed`.
    pub(super) fn amend(&self, body: Value, done: &str) -> Result<Exit, Failure> {
        let call = self.command.call(self.flags.key_path(&self.key_id)?, body).by(Method::PATCH);
        self.send(call, done)
    }

    /// Does to the key what the last part of the path says.
    pub(crate) fn act(&self, action: &str, body: Value, done: &str) -> Result<Exit, Failure> {
        let path = self.flags.key_path(&self.key_id)?;
        self.send(self.command.call(format!("{path}/{action}"), body), done)
    }

    /// The same with what takes the key away from whoever holds it.
    pub(crate) fn end(
        &self,
        action: &str,
        body: Value,
        done: &str,
        waiting: &Waiting,
    ) -> Result<Exit, Failure> {
        let path = self.flags.key_path(&self.key_id)?;
        let call = Waiting::begin(self.command.call(format!("{path}/{action}"), body));
        let client = self.flags.client()?;
        let mut answer = client.send(&call.if_match(self.if_match))?;
        let exit = waiting.follow(&client, &mut answer.body)?;
        self.show(&answer.body, done)?;
        Ok(exit)
    }

    fn send(&self, call: Call, done: &str) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let answer = client.send(&call.if_match(self.if_match))?;
        self.show(&answer.body, done)?;
        Ok(Exit::Ok)
    }

    fn show(&self, body: &Value, done: &str) -> Result<(), Failure> {
        self.flags.server.output.show(body, |body| {
            let part = |name| text(body, name);
            let mut lines = vec![format!(
                "{done} key {} at position {}, now at revision {}",
                part("key_id"),
                part("position"),
                part("revision")
            )];
            if body["repeated"] == true {
                lines.push(format!("this command had done so before, at {}", part("changed_at")));
            } else if body["effective"] == false {
                lines.push(
                    "not effective yet: the server's index is behind; `rescind doctor` tells".to_owned(),
                );
            }
            if !body["receipt"].is_null() {
                lines.extend(receipt::told(&body["receipt"]));
            }
            lines
        })
    }
}
