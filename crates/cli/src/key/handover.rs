//! How a new key leaves: in which form, on stdout or in a file of its own. For every verb that makes one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::key_file::KeyFile;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::text;
use crate::screen;
use crate::variable;

/// The variable that a service reads its key from, unless told otherwise. Not `RESCIND_KEY`: that is the operator's.
const DEFAULT_VARIABLE: &str = "API_KEY";
/// Longest name of an object in Kubernetes (RFC 1123 subdomain).
const MAX_OBJECT_NAME: usize = 253;

/// In which form the key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The key alone on a line
    #[default]
    Plain,
    /// NAME=key, for a shell, Docker or systemd
    Dotenv,
    /// The API's answer
    Json,
    /// A Secret for `kubectl apply -f`
    K8sSecret,
}

/// Where a new key goes, and how.
#[derive(Args, Debug)]
pub(crate) struct Handover {
    /// Write the key into this file, which must not exist yet; only you may read it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the key is written, into the file or to stdout [default: plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Its variable in dotenv and k8s-secret [default: API_KEY]
    #[arg(long, value_name = "NAME", value_parser = variable::parse)]
    variable: Option<String>,
    /// What the Secret of k8s-secret is called [default: rescind- and the key id]
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    secret_name: Option<String>,
}

fn object_name(text: &str) -> Result<String, String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=MAX_OBJECT_NAME).contains(&text.len())
        && text.bytes().all(|b| inner(b) || matches!(b, b'-' | b'.'))
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner);
    if fits { Ok(text.to_owned()) } else { Err("a name is a-z, 0-9, '-' and '.', such as mailer-key".into()) }
}

impl Handover {
    /// To be called before the key is made: a secret that is shown once must not meet a form that cannot be written, nor a
    /// file that cannot be made.
    pub(super) fn prepare(&self, json: bool) -> Result<Option<KeyFile>, Failure> {
        let format = self.format.unwrap_or_default();
        if json && self.out.is_none() && !matches!(self.format, None | Some(Format::Json)) {
            return Err(Failure::usage("--json puts the key into the answer; no other form fits on stdout")
                .remedy("leave out --json, or name a file with --out"));
        }
        if self.variable.is_some() && !matches!(format, Format::Dotenv | Format::K8sSecret) {
            return Err(Failure::usage("--variable is for --format dotenv and k8s-secret"));
        }
        if self.secret_name.is_some() && format != Format::K8sSecret {
            return Err(Failure::usage("--secret-name is for --format k8s-secret"));
        }
        self.out.as_deref().map(KeyFile::create).transpose()
    }

    /// Writes the key of an answer that holds one, and with `json` the answer itself.
    pub(super) fn give(
        &self,
        mut body: Value,
        file: Option<&mut KeyFile>,
        json: bool,
    ) -> Result<(), Failure> {
        let Value::String(key) = body["key"].take() else {
            return Err(Failure::new(Exit::Error, "unexpected_answer", "the server's answer holds no key"));
        };
        let key = Zeroizing::new(key);
        let format = if json && file.is_none() { Format::Json } else { self.format.unwrap_or_default() };
        let text = self.write(format, &key, &body);
        let Some(file) = file else { return screen::data(&text) };
        file.keep(&text)?;
        if json {
            body["key_file"] = json!(file.path());
            screen::data(&body.to_string())?;
        }
        Ok(())
    }

    /// Where it lies now, for people.
    pub(super) fn place(&self) -> String {
        self.out.as_ref().map(|path| format!(" It is in {}.", path.display())).unwrap_or_default()
    }

    /// `body` is the answer without its key.
    fn write(&self, format: Format, key: &str, body: &Value) -> Zeroizing<String> {
        let key_id = text(body, "key_id");
        let variable = self.variable.as_deref().unwrap_or(DEFAULT_VARIABLE);
        Zeroizing::new(match format {
            Format::Plain => key.to_owned(),
            Format::Dotenv => format!("# Rescind key {key_id}\n{variable}={key}"),
            Format::Json => {
                let mut whole = body.clone();
                whole["key"] = json!(key);
                whole.to_string()
            }
            // Strings of JSON are strings of YAML. `stringData`, not base64: people and scanners see what it is.
            Format::K8sSecret => {
                let name = self.secret_name.clone();
                let name = name.unwrap_or_else(|| format!("rescind-{}", key_id.to_ascii_lowercase()));
                format!(
                    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  annotations:\n    rescind/key-id: {}\n\
                     type: Opaque\nstringData:\n  {variable}: {}",
                    json!(name),
                    json!(key_id),
                    json!(key)
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover(format: Option<Format>) -> Handover {
        Handover { out: None, format, variable: None, secret_name: None }
    }

    #[test]
    fn each_form_holds_the_key() {
        let body = json!({"key_id": "01JDA7W5W6M4Q0T3S8V2N9X1YZ", "position": 7});
        for (format, text) in [
            (Format::Plain, "rsk_live_x"),
            (Format::Dotenv, "# Rescind key 01JDA7W5W6M4Q0T3S8V2N9X1YZ\nAPI_KEY=rsk_live_x"),
            (Format::Json, r#"{"key":"rsk_live_x","key_id":"01JDA7W5W6M4Q0T3S8V2N9X1YZ","position":7}"#),
            (
                Format::K8sSecret,
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"rescind-01jda7w5w6m4q0t3s8v2n9x1yz\"\n  annotations:\n    \
                 rescind/key-id: \"01JDA7W5W6M4Q0T3S8V2N9X1YZ\"\ntype: Opaque\nstringData:\n  API_KEY: \"rsk_live_x\"",
            ),
        ] {
            assert_eq!(&*handover(Some(format)).write(format, "rsk_live_x", &body), text);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused_before_there_is_a_key() {
        assert!(handover(Some(Format::Dotenv)).prepare(true).is_err(), "two forms on one stdout");
        assert!(handover(Some(Format::Json)).prepare(true).is_ok());
        assert!(handover(None).prepare(true).is_ok());
        let named = |format| Handover { variable: Some("MAILER_KEY".into()), ..handover(Some(format)) };
        assert!(named(Format::Plain).prepare(false).is_err());
        assert!(named(Format::Dotenv).prepare(false).is_ok());
        let secret = |format| Handover { secret_name: Some("mailer".into()), ..handover(Some(format)) };
        assert!(secret(Format::Dotenv).prepare(false).is_err());
        assert!(secret(Format::K8sSecret).prepare(false).is_ok());
    }

    #[test]
    fn an_object_has_a_name_that_kubernetes_takes() {
        for good in ["mailer", "a", "mailer-key.v1"] {
            assert!(object_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Mailer", "-mailer", "mailer.", "mailer_key", &"a".repeat(MAX_OBJECT_NAME + 1)] {
            assert!(object_name(bad).is_err(), "{bad}");
        }
    }
}
