//! `rescind key verify`: may this key be used now? Read from stdin or a file, never from the command line.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{fields, text};
use crate::screen::{self, Paint, printable};

/// Longest input that is read; a foreign key may be long, but not so long.
const MAX_INPUT: u64 = 8192;

/// Ask whether a key may be used now; exit code 10 if not
#[derive(Args, Debug)]
#[command(after_help = "\
The key is read from stdin, or with --file from a file: arguments can be seen by others.

Examples:
  rescind key verify --file mailer.key --scope campaigns:send
  printenv MAILER_KEY | rescind key verify --json")]
pub(crate) struct Verify {
    // Only `-` is taken. Anything else is most likely a key, and must not be repeated in clap's words.
    #[arg(hide = true, value_name = "-")]
    source: Option<String>,
    /// The file with the key; `-` is stdin
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Whether it may do this
    #[arg(long)]
    scope: Option<String>,
    /// Whether it may be used from this address
    #[arg(long, value_name = "IP")]
    network: Option<String>,
    /// Whether it is a key of this tenant
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Verify {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let key = self.read_key()?;
        let client = self.flags.client()?;
        let mut body = json!({"key": &*key});
        for (name, value) in [("scope", &self.scope), ("network", &self.network), ("tenant", &self.tenant)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let answer = client.send(&Call::ask("/v1/verify", body))?;
        let verdict = text(&answer.body, "verdict");
        self.flags.output.show(&answer.body, tell)?;
        if let Some(advice) = advice(&verdict).filter(|_| !self.flags.output.json) {
            screen::say(advice);
        }
        Ok(if verdict == "valid" { Exit::Ok } else { Exit::NotValid })
    }

    fn read_key(&self) -> Result<Zeroizing<String>, Failure> {
        if self.source.as_deref().is_some_and(|source| source != "-") {
            return Err(Failure::usage("a key is not taken from the command line")
                .because("arguments are seen by other users of this machine and kept in the shell's history")
                .remedy("pass it on stdin, or name its file with --file")
                .remedy("if that was a real key, consider to revoke it as leaked"));
        }
        let from_stdin = self.file.as_deref().is_none_or(|path| path.as_os_str() == "-");
        let mut input = Zeroizing::new(String::new());
        let read = if from_stdin {
            if io::stdin().is_terminal() {
                screen::say("paste the key, then Enter and Ctrl-D:");
            }
            io::stdin().lock().take(MAX_INPUT).read_to_string(&mut input)
        } else {
            let path = self.file.as_deref().unwrap_or_else(|| "-".as_ref());
            File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut input))
        };
        let what = match self.file.as_deref().filter(|_| !from_stdin) {
            Some(path) => format!("cannot read the key in {}", path.display()),
            None => "cannot read the key from stdin".to_owned(),
        };
        read.map_err(|error| Failure::io(what, &error))?;
        one_line(&input)
    }
}

fn one_line(input: &str) -> Result<Zeroizing<String>, Failure> {
    let mut lines = input.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(Zeroizing::new(line.to_owned())),
        (Some(_), Some(_)) => Err(Failure::usage("the input has several lines, and one key is wanted")),
        (None, _) => {
            Err(Failure::usage("the input holds no key")
                .remedy("pass the key on stdin, or its file with --file"))
        }
    }
}

/// What whoever presented the key can do.
fn advice(verdict: &str) -> Option<&'static str> {
    Some(match verdict {
        "malformed" => "it is cut off or mistyped: copy the whole key again",
        "unknown" => "no such key, or not its secret; nobody is told which",
        "revoked" | "recalled" => "it never works again: ask for a new key",
        "expired" => "its time is up: ask for a new key",
        "suspended" => "it works again once it is reinstated",
        "quarantined" => "part of its history cannot be read by the server's build: upgrade the server",
        "tenant_closed" => "its tenant was closed",
        "stale" => {
            "the server cannot prove that it has heard every revocation: ask again, or ask another server"
        }
        "network_denied" => "it may not be used from that address",
        "scope_denied" => "it may not do that; its scopes say what it may do",
        _ => return None,
    })
}

fn tell(body: &Value) -> Vec<String> {
    let paint = Paint::stdout();
    let verdict = text(body, "verdict");
    let word = printable(&verdict);
    let mut lines = vec![if verdict == "valid" { paint.green(&word) } else { paint.red(&word) }];
    lines.extend(fields(
        body,
        &[
            ("key id", "key_id"),
            ("tenant", "tenant"),
            ("owner", "owner"),
            ("scopes", "scopes"),
            ("expires", "expires_at"),
            ("environment", "environment"),
            ("since", "since"),
        ],
    ));
    let as_of = &body["as_of"];
    if as_of.is_object() {
        let proven = as_of["lag_ms"]
            .as_u64()
            .map_or_else(|| "not proven".to_owned(), |ms| format!("proven {ms} ms ago"));
        lines.push(format!("as of position {} ({proven} to be all there is)", text(as_of, "position")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_one_key() {
        assert_eq!(&*one_line("\n  rsk_live_x \n").unwrap(), "rsk_live_x");
        assert!(one_line("").is_err());
        let failure = one_line("rsk_live_secret\nrsk_live_other\n").unwrap_err();
        assert!(!format!("{failure:?}").contains("rsk_live"));
    }
}
