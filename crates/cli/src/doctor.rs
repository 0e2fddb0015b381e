//! `rescind doctor`: looks at server, key, log and clocks, and says what is wrong and what to do.

mod check;
mod server;

use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::client::Client;
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::screen::{self, Paint, printable};
use check::{Check, State};

/// How often `--wait` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Check server, operator key, log and clocks, and say what to do; exit code 1 if something is broken
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind doctor --url https://keys.example.com --key-file ops.key")]
pub(crate) struct Doctor {
    /// Look again for so many seconds while something is broken, as right after a start
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3600))]
    wait: u64,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let begun = clock::now();
        let (checks, broken) = loop {
            let checks = self.look()?;
            let broken = checks.iter().any(|check| check.state == State::Fail);
            if !broken || begun.elapsed() >= Duration::from_secs(self.wait) {
                break (checks, broken);
            }
            thread::sleep(LOOK_AGAIN);
        };
        if self.flags.output.json {
            let checks: Vec<_> = checks.iter().map(Check::to_json).collect();
            screen::data(&json!({"ok": !broken, "checks": checks}).to_string())?;
        } else {
            tell(&checks)?;
        }
        Ok(if broken { Exit::Error } else { Exit::Ok })
    }

    fn look(&self) -> Result<Vec<Check>, Failure> {
        let mut checks = Vec::new();
        let url = match self.flags.connection.url() {
            Ok(url) => url,
            Err(failure) => return Ok(vec![Check::failed("address", &failure)]),
        };
        checks.push(Check::ok("address", format!("{} (from {})", url.text, url.origin)));
        let key = match self.flags.connection.key() {
            Ok(key) => {
                checks.push(Check::ok("operator key", format!("found in {}", key.origin)));
                checks.extend(key.file.as_deref().map(check::key_file));
                Some(key)
            }
            Err(failure) => {
                checks.push(Check::failed("operator key", &failure));
                None
            }
        };
        let client = Client::of(&self.flags.connection, url, key.as_ref())?;
        checks.extend(server::look(&client, key.as_ref()));
        Ok(checks)
    }
}

fn tell(checks: &[Check]) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let mark = match check.state {
            State::Ok => paint.green("ok  "),
            State::Warn => paint.yellow("warn"),
            State::Fail => paint.red("FAIL"),
        };
        screen::data(&format!("{mark}  {:<width$}  {}", check.name, printable(&check.said)))?;
        if let Some(remedy) = &check.remedy {
            screen::data(&format!("      {:<width$}  -> {}", "", printable(remedy)))?;
        }
    }
    Ok(())
}
