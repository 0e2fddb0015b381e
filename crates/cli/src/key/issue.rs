//! `rescind key issue`: a new key, whose secret is shown this once, alone on stdout or in a file of its own.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::InTenant;
use crate::client::{Answer, Call, Client};
use crate::clock;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, text};
use crate::screen;
use crate::target::Connection;
use crate::when;

/// Issue a key; its secret is shown this once
#[derive(Args, Debug)]
#[command(after_help = "\
The key alone goes to stdout, or with --out into a new file that only you may read.

Examples:
  rescind key issue --owner campaign-team --name 'campaign mailer' --scope campaigns:send --label service=mailer --out mailer.key
  rescind key issue --owner campaign-team --scope 'lists:*' --expires 90d --json")]
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
    /// Write the key into this file, which must not exist yet; only you may read it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Repeat an earlier command whose outcome is not known, under the id it had
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
    #[command(flatten)]
    tenant: InTenant,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE".to_owned()),
    }
}

impl Issue {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = Client::find(&self.connection)?;
        let path = self.tenant.keys_path()?;
        let body = self.body()?;
        // Made before the key is: a secret that is shown once must not meet a file that cannot be written.
        let mut file = self.out.as_deref().map(KeyFile::create).transpose()?;
        let id = self.command_id.clone().unwrap_or_else(clock::draw_command_id);
        let mut answer = client.send(&Call::command(&path, body.clone(), &id))?;
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
            let labels: Map<_, _> =
                self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            if labels.len() != self.labels.len() {
                return Err(Failure::usage("a label name is given twice"));
            }
            body["labels"] = Value::Object(labels);
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
        if self.output.json || !screen::is_interactive() {
            return Ok(false);
        }
        screen::say(&format!(
            "key {} was issued by this command before, and its secret was shown then",
            text(&answer.body, "key_id")
        ));
        confirm::yes("If that answer was lost: revoke it as superseded and issue a new one now?")
    }

    fn shown_already(&self, answer: &Answer) -> Result<Exit, Failure> {
        if self.output.json {
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
            self.tenant.tenant
        ))
        .remedy("then issue a new one, without --command-id"))
    }

    fn hand_over(&self, mut body: Value, file: Option<&mut KeyFile>) -> Result<Exit, Failure> {
        let key_id = text(&body, "key_id");
        let Value::String(key) = body["key"].take() else {
            return Err(Failure::new(Exit::Error, "unexpected_answer", "the server's answer holds no key"));
        };
        if let Some(file) = file {
            file.keep(&key)?;
            body["key_file"] = json!(file.path);
        } else if self.output.json {
            body["key"] = Value::String(key);
        } else {
            screen::data(&key)?;
        }
        if self.output.json {
            screen::data(&body.to_string())?;
        } else {
            let place =
                self.out.as_ref().map(|path| format!(" It is in {}.", path.display())).unwrap_or_default();
            screen::say(&format!(
                "issued key {key_id} for {}. The key is shown once: keep it where its service reads it.{place}",
                screen::printable(&self.owner)
            ));
            screen::say(&format!(
                "  to revoke it: rescind key revoke {key_id} --tenant {} --reason …",
                self.tenant.tenant
            ));
        }
        Ok(Exit::Ok)
    }
}

/// A new file for one key, removed again unless the key came to lie in it.
struct KeyFile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl KeyFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = created.map_err(|error| {
            Failure::new(
                Exit::Error,
                "key_file",
                format!("cannot create {}; no key was issued", path.display()),
            )
            .because(error.to_string())
            .remedy("choose a path that does not exist yet, in a folder that does")
        })?;
        Ok(Self { path: path.to_owned(), file, kept: false })
    }

    fn keep(&mut self, key: &str) -> Result<(), Failure> {
        let written = self.file.write_all(format!("{key}\n").as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            Failure::io(format!("cannot write the key to {}", self.path.display()), &error)
                .remedy("its secret is lost: revoke the key as superseded and issue another")
        })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if !self.kept {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_new_private_and_gone_without_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailer.key");
        drop(KeyFile::create(&path).unwrap());
        assert!(!path.exists(), "no key, no file");

        let mut file = KeyFile::create(&path).unwrap();
        file.keep("rsk_live_x").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "rsk_live_x\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(KeyFile::create(&path).is_err(), "a file that is there is not written over");
    }

    #[test]
    fn a_label_has_a_name() {
        assert_eq!(label("service=mailer").unwrap(), ("service".into(), "mailer".into()));
        assert_eq!(label("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert!(label("mailer").is_err());
        assert!(label("=mailer").is_err());
    }
}
