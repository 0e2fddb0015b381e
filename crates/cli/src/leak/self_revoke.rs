//! `rescind leak self-revoke`: whoever holds a key ends it; no operator is needed.

use clap::Args;
use domain::ParsedKey;
use serde_json::{Value, json};

use super::input::Input;
use crate::client::Client;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;
use crate::screen::{Paint, printable};
use crate::target::{FoundKey, OperatorKey};

/// What is typed for a key that another system made: its id is not in its text.
const NO_ID: &str = "revoke";

/// Revoke the key that you hold: it is refused from then on, for ever
#[derive(Args, Debug)]
#[command(after_help = "\
The key is read from stdin, or with --file from a file, and is all that is needed: no operator key is looked for. It asks
for the key's id (the 26 letters and digits after _live_ or _test_). Scripts pass it with --confirm=.

Exit codes: 0 revoked, 4 that is not the whole secret of any key here, 5 it ended before or is the last operator's.

Examples:
  rescind leak self-revoke --file mailer.key --confirm=01JDA7W5W6M4Q0T3S8V2N9X1YZ
  printenv MAILER_KEY | rescind leak self-revoke --confirm=01JDA7W5W6M4Q0T3S8V2N9X1YZ --note 'shown on a screen'")]
pub(crate) struct SelfRevoke {
    /// Why; kept in the log
    #[arg(long, value_parser = reasons(), default_value = "compromised")]
    reason: String,
    /// More on why; kept in the log
    #[arg(long)]
    note: Option<String>,
    /// The tenant of a key that was imported; it is found only there
    #[arg(long)]
    tenant: Option<String>,
    /// The key's id, or `revoke` for a key that was imported: for scripts, instead of being asked
    #[arg(long, value_name = "KEY_ID")]
    confirm: Option<String>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

fn reasons() -> Vec<&'static str> {
    domain::RevokeReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

impl SelfRevoke {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let lines = self.input.lines()?;
        let [token] = lines.as_slice() else {
            return Err(Failure::usage("the input has several lines, and one key is wanted"));
        };
        let typed = ParsedKey::parse(token).map_or_else(|_| NO_ID.to_owned(), |key| key.key_id.to_string());
        confirm::confirm("revoke this key", &typed, self.confirm.as_deref())?;
        let connection = &self.flags.connection;
        let held = FoundKey { key: OperatorKey::new(token), origin: "the input".to_owned(), file: None };
        let client = Client::of(connection, connection.url()?, Some(&held))?;
        let mut body = json!({"reason": self.reason});
        for (name, value) in [("note", &self.note), ("tenant", &self.tenant)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let answer = client.send(&self.command.call("/v1/self/revoke", body))?;
        self.flags.output.show(&answer.body, tell)?;
        Ok(Exit::Ok)
    }
}

fn tell(body: &Value) -> Vec<String> {
    let paint = Paint::stdout();
    let member = |name: &str| printable(&text(body, name)).into_owned();
    let (key_id, tenant, position) = (member("key_id"), member("tenant"), member("position"));
    let mut lines =
        vec![format!("{} key {key_id} of tenant {tenant} at position {position}", paint.red("revoked"))];
    if body["effective"] == true {
        lines.push("effective: this server refuses it".to_owned());
    }
    lines
}
