//! `rescind key issue`: a new key, whose secret is shown this once.

use clap::Args;
use serde_json::{Map, Value, json};

use super::handover::Handover;
use super::key_file::KeyFile;
use crate::client::{Answer, Call};
use crate::clock;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, KeyFlags};
use crate::output::text;
use crate::screen;
use crate::when;

/// Issue a key; its secret is shown this once
#[derive(Args, Debug)]
#[command(after_help = "\
The key alone goes to stdout, or with --out into a new file that only you may read. A file that is there is never
written over: a key in it may be the only copy.

Examples:
  rescind key issue --owner campaign-team --name 'campaign mailer' --scope campaigns:send --label service=mailer --out mailer.key
  rescind key issue --owner campaign-team --scope 'lists:*' --expires 90d --json
  rescind key issue --owner campaign-team --format dotenv --variable MAILER_KEY --out mailer.env
  rescind key issue --owner campaign-team --format k8s-secret --secret-name mailer | kubectl apply -f -")]
pub(crate) struct Issue {
    /// Whom it belongs to: a person or a machine
    #[arg(long)]
    owner: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it may do, such as campaigns:send or lists:*; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A label, such as service=mailer; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Where it may be used from, such as 10.0.0.0/8; may be repeated
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// When its time is up: 2027-01-01T00:00:00Z, or 90d from now
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Real campaigns, or trying things out
    #[arg(long, value_name = "live|test", value_parser = ["live", "test"], default_value = "live", hide_possible_values = true)]
    environment: String,
    #[command(flatten)]
    handover: Handover,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: KeyFlags,
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE".to_owned()),
    }
}

/// Labels as the API takes them.
pub(super) fn label_object(labels: &[(String, String)]) -> Result<Value, Failure> {
    let object: Map<_, _> = labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    if object.len() != labels.len() {
        return Err(Failure::usage("a label name is given twice"));
    }
    Ok(Value::Object(object))
}

impl Issue {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = self.flags.keys_path()?;
        let body = self.body()?;
        // Made before the key is: a secret that is shown once must not meet a file that cannot be written.
        let mut file = self.handover.prepare(self.flags.server.output.json)?;
        let mut answer = client.send(&self.command.call(&path, body.clone()))?;
        if answer.body["key"].is_null() {
            if !self.replaces(&answer)? {
                return self.shown_already(&answer);
            }
            let key_id = text(&answer.body, "key_id");
            let revoke =
                json!({"reason": "superseded", "note": "its secret was lost with the answer that showed it"});
            client.send(&Call::command(
                format!("{path}/{key_id}/revoke"),
                revoke,
                &clock::draw_command_id(),
            ))?;
            answer = client.send(&Call::command(&path, body, &clock::draw_command_id()))?;
        }
        self.hand_over(answer.body, file.as_mut())
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({"owner": self.owner, "environment": self.environment, "scopes": self.scopes});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
        }
        if !self.labels.is_empty() {
            body["labels"] = label_object(&self.labels)?;
        }
        if !self.networks.is_empty() {
            body["networks"] = json!(self.networks);
        }
        if let Some(expires) = &self.expires {
            let at = when::future(expires, clock::wall())
                .map_err(|why| Failure::usage("--expires is not a time").because(why))?;
            body["expires_at"] = json!(wire::format_rfc3339(at));
        }
        Ok(body)
    }

    /// Offers, to a person, to take the place of a key whose secret nobody has.
    fn replaces(&self, answer: &Answer) -> Result<bool, Failure> {
        if self.flags.server.output.json || !screen::is_interactive() {
            return Ok(false);
        }
        screen::say(&format!(
            "key {} was issued by this command before, and its secret was shown then",
            text(&answer.body, "key_id")
        ));
        confirm::yes("If that answer was lost: revoke it as superseded and issue a new one now?")
    }

    fn shown_already(&self, answer: &Answer) -> Result<Exit, Failure> {
        if self.flags.server.output.json {
            screen::data(&answer.body.to_string())?;
        }
        let key_id = text(&answer.body, "key_id");
        Err(Failure::new(
            Exit::Refused,
            "secret_already_shown",
            format!(
                "this command issued key {key_id} before; a secret is shown once and cannot be shown again"
            ),
        )
        .remedy("if you have the secret from the first answer, all is well: there is one key")
        .remedy(format!(
            "if that answer was lost: rescind key revoke {key_id} --tenant {} --reason superseded",
            self.flags.tenant
        ))
        .remedy("then issue a new one, without --command-id"))
    }

    fn hand_over(&self, body: Value, file: Option<&mut KeyFile>) -> Result<Exit, Failure> {
        let key_id = text(&body, "key_id");
        let json = self.flags.server.output.json;
        self.handover.give(body, file, json)?;
        if !json {
            screen::say(&format!(
                "issued key {key_id} for {}. The key is shown once: keep it where its service reads it.{}",
                screen::printable(&self.owner),
                self.handover.place()
            ));
            screen::say(&format!(
                "  to revoke it: rescind key revoke {key_id} --tenant {} --reason …",
                self.flags.tenant
            ));
        }
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_name() {
        assert_eq!(label("service=mailer").unwrap(), ("service".into(), "mailer".into()));
        assert_eq!(label("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert!(label("mailer").is_err());
        assert!(label("=mailer").is_err());
    }
}
