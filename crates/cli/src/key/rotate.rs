//! `rescind key rotate`: a successor with the same grants; both are valid until it is in place.

use clap::Args;
use serde_json::{Value, json};

use super::handover::Handover;
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, KeyFlags};
use crate::output::text;
use crate::screen;
use crate::when;

/// Rotate a key: issue its successor, and let the old one go once nobody uses it any more
#[derive(Args, Debug)]
#[command(after_help = "\
Unless told otherwise the old key goes on evidence: when the new one was used and the old one was quiet for a day, for every
service that used it in the last 30 days. `rotation list` names those that have not moved.

Examples:
  rescind key rotate 01JDA7W5W6M4Q0T3S8V2N9X1YZ --out mailer.key
  rescind key rotate 01JDA7W5W6M4Q0T3S8V2N9X1YZ --quiet 2h --look-back 7d
  rescind key rotate 01JDA7W5W6M4Q0T3S8V2N9X1YZ --finish-at 7d --format k8s-secret")]
pub(crate) struct Rotate {
    /// Which key
    key_id: String,
    /// For how long the old key must have been quiet: 90m, 24h, 7d [default: 24h]
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["finish_at", "by_hand"])]
    quiet: Option<String>,
    /// Services that used the old key within this time have to have moved [default: 30d]
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["finish_at", "by_hand"])]
    look_back: Option<String>,
    /// Let the old key go at a time, whatever was seen: 2026-12-24T12:00:00Z, or from now: 90m, 24h, 7d
    #[arg(long, value_name = "WHEN", conflicts_with = "by_hand")]
    finish_at: Option<String>,
    /// Let it go only with `rescind rotation finish`
    #[arg(long)]
    by_hand: bool,
    /// When the new key's time is up [default: as long as the old one was given]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Rotate it only if it is still at this revision, as `key show` tells it
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u32).range(1..))]
    if_match: Option<u32>,
    #[command(flatten)]
    handover: Handover,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: KeyFlags,
}

impl Rotate {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/rotate", self.flags.key_path(&self.key_id)?);
        let body = self.body()?;
        let json = self.flags.server.output.json;
        // Made before the key is: a secret that is shown once must not meet a file that cannot be written.
        let mut file = self.handover.prepare(json)?;
        let answer = client.send(&self.command.call(path, body).if_match(self.if_match))?;
        if answer.body["key"].is_null() {
            return self.shown_already(&answer.body);
        }
        let (old, new) = (text(&answer.body, "predecessor"), text(&answer.body, "key_id"));
        self.handover.give(answer.body, file.as_mut(), json)?;
        if !json {
            screen::say(&format!(
                "key {new} is to take over from {old}; both are valid until then. The new key is shown once.{}",
                self.handover.place()
            ));
            screen::say("`rescind rotation list` tells how far it is");
        }
        Ok(Exit::Ok)
    }

    fn body(&self) -> Result<Value, Failure> {
        let seconds = |name: &str, text: &Option<String>| match text {
            None => Ok(Value::Null),
            Some(text) => when::length(text)
                .map(|millis| json!(millis / 1000))
                .map_err(|why| Failure::usage(format!("--{name} is not a span")).because(why)),
        };
        let instant = |name: &str, text: &Option<String>| match text {
            None => Ok(Value::Null),
            Some(text) => when::future(text, clock::wall())
                .map(|at| json!(wire::format_rfc3339(at)))
                .map_err(|why| Failure::usage(format!("--{name} is not a time")).because(why)),
        };
        Ok(json!({
            "quiet_s": seconds("quiet", &self.quiet)?,
            "look_back_s": seconds("look-back", &self.look_back)?,
            "finish_at": instant("finish-at", &self.finish_at)?,
            "by_hand": self.by_hand,
            "expires_at": instant("expires", &self.expires)?,
        }))
    }

    fn shown_already(&self, body: &Value) -> Result<Exit, Failure> {
        if self.flags.server.output.json {
            screen::data(&body.to_string())?;
        }
        let (old, new) = (text(body, "predecessor"), text(body, "key_id"));
        let what = format!("this command began the rotation to {new} before; a secret is shown once");
        Err(Failure::new(Exit::Refused, "secret_already_shown", what)
            .remedy("if you have the secret from the first answer, all is well")
            .remedy(format!(
                "if that answer was lost: rescind rotation cancel {old} --tenant {}, then rotate again",
                self.flags.tenant
            )))
    }
}
