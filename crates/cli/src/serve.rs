//! `rescind serve`: hosts a server until it is asked to stop, and says what to type next.

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;
use serde_json::json;
use server::config::{ServeArgs, ServeConfig};
use server::{FirstStart, Node, StartError, logging};
use tokio::runtime::Runtime;

use crate::confirm::quoted;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::output::Output;
use crate::screen;
use crate::signals::asked_to_stop;
use crate::target::{DEFAULT_KEY_FILE, DEFAULT_URL, key_in_file};

/// Host a server; with no flags the log is embedded in ./rescind-data and only this machine is served
#[derive(Args, Debug)]
#[command(after_help = "\
Settings: flags go first, then RESCIND_* in the environment, then the file of --config, then the defaults.
Ctrl-C or SIGTERM ends it: what is under way is finished first.

Examples:
  rescind serve
  rescind serve --listen 127.0.0.1:9000 --data /var/lib/rescind
  rescind serve --log nats://127.0.0.1:4222 --nats-monitor http://127.0.0.1:8222")]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: ServeArgs,
    #[command(flatten)]
    output: Output,
}

impl Serve {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let config = ServeConfig::resolve(self.settings).map_err(|error| bad_config(&error.to_string()))?;
        logging::init(&config).map_err(|error| bad_config(&error.to_string()))?;
        let runtime = Runtime::new().map_err(|error| Failure::io("cannot start", &error))?;
        runtime.block_on(host(config, self.output))
    }
}

fn bad_config(why: &str) -> Failure {
    Failure::new(Exit::Config, "config", "the settings do not hold together")
        .because(why)
        .remedy("`rescind serve --help` lists every setting")
}

async fn host(config: ServeConfig, output: Output) -> Result<Exit, Failure> {
    let node = Node::start(config).await.map_err(|error| not_started(&error))?;
    if let Err(failure) = announce(&node, output) {
        // A server is for its clients: it goes on when whoever started it does not read what it says.
        screen::say(&format!("{}; rescind is listening on {}", failure.what, node.url()));
    }
    let ended = tokio::select! {
        reason = node.stopped() => Err(Failure::new(Exit::Error, "server_stopped", "the server stopped by itself")
            .because(reason)
            .remedy("its log on stderr tells more; start it again, and report it if it stays")),
        asked = asked_to_stop() => asked.map_err(|error| Failure::io("cannot wait for signals", &error)),
    };
    screen::say("stopping: what is under way is finished first; Ctrl-C again ends at once");
    tokio::select! {
        () = node.stop() => {}
        _ = asked_to_stop() => return Ok(Exit::Interrupted),
    }
    ended.map(|()| Exit::Ok)
}

/// What a script needs, or what a person needs and can type.
fn announce(node: &Node, output: Output) -> Result<(), Failure> {
    let key_path = node.operator_key_path();
    if output.json {
        let first_start = match node.first_start() {
            FirstStart::NewOperator(_) => "new_operator",
            FirstStart::Recovered(_) => "recovered",
            FirstStart::Existing => "existing",
            FirstStart::NotAsked => "not_asked",
        };
        let started = json!({
            "url": node.url(), "log_id": node.log_id().to_string(), "operator_key_path": key_path, "first_start": first_start
        });
        return screen::data(&started.to_string());
    }
    screen::data(&format!("rescind is listening on {} (log {})", node.url(), node.log_id()))?;
    if let FirstStart::NewOperator(path) | FirstStart::Recovered(path) = node.first_start() {
        screen::data(&format!(
            "A new operator's key is in {}: whoever has it may do everything",
            path.display()
        ))?;
        if io::stdout().is_terminal() {
            let found = key_in_file(path)?;
            screen::data(&format!("  {}   (shown on a terminal only, and not again)", found.key.expose()))?;
        }
    } else if key_path.exists() {
        screen::data(&format!("The operator's key is in {}", key_path.display()))?;
    } else {
        screen::data("The operator's key is with whoever started the first server on this log")?;
    }
    screen::data("\nNext, in another terminal:")?;
    next_commands(&node.url(), key_path).iter().try_for_each(|line| screen::data(&format!("  {line}")))
}

/// The first steps, as they can be pasted: with the binary as it was called here, and flags only where they are needed.
fn next_commands(url: &str, key_path: &Path) -> [String; 3] {
    let rescind = std::env::args().next().unwrap_or_else(|| "rescind".to_owned());
    let mut flags = String::new();
    if url.trim_end_matches('/') != DEFAULT_URL {
        flags.push_str(&format!(" --url {url}"));
    }
    if key_path.strip_prefix(".").unwrap_or(key_path) != Path::new(DEFAULT_KEY_FILE) {
        flags.push_str(&format!(" --key-file {}", quoted(&key_path.display().to_string())));
    }
    [
        format!(
            "{rescind} key issue --owner campaign-team --name mailer --scope campaigns:send --out mailer.key{flags}"
        ),
        format!("{rescind} key verify --file mailer.key --scope campaigns:send{flags}"),
        format!("{rescind} key list{flags}"),
    ]
}

/// The server's words say what to do; here is only what this command line can add.
fn not_started(error: &StartError) -> Failure {
    let is_setting = matches!(error, StartError::Tls { .. } | StartError::LeakKeys { .. });
    let exit = if is_setting { Exit::Config } else { Exit::Error };
    let (code, remedy) = match error {
        StartError::InUse { .. } => {
            ("data_in_use", Some("rescind serve --data ANOTHER-FOLDER --listen 127.0.0.1:0"))
        }
        StartError::Listen { .. } => (
            "listen",
            Some("--listen 127.0.0.1:9000 chooses another port, --listen 127.0.0.1:0 any free one"),
        ),
        StartError::Tls { .. } => (
            "config",
            Some(
                "--tls-cert names a PEM file with the chain of certificates, --tls-key one with its private key",
            ),
        ),
        StartError::LeakKeys { .. } => (
            "config",
            Some("--leaks-github-keys names a file with the list, or the https:// address that publishes it"),
        ),
        StartError::Io { .. } => {
            ("io", Some("--data DIR chooses another data folder; it is made if it is not there"))
        }
        StartError::Log(_) => {
            ("log", Some("the data folder of --data holds the log; what is damaged is left as it is"))
        }
        StartError::Nats(_) => ("nats", None),
        StartError::Notary(_) => {
            ("notary", Some("--notary FILE names another signer file, --notary off signs nothing"))
        }
        StartError::OperatorFile { .. } => ("operator_file", None),
        StartError::Bootstrap(_) => ("bootstrap", None),
        StartError::Panicked { .. } => ("internal", None),
    };
    let failure = Failure::new(exit, code, "the server did not start").because(chain(error));
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_start_that_fails_names_the_thing_the_reason_and_a_way_out() {
        let denied = || io::Error::other("the reason");
        let path = PathBuf::from("/srv/rescind");
        for error in [
            StartError::Io { path: path.clone(), source: denied() },
            StartError::Tls { setting: "--tls-cert", path, reason: "the reason".to_owned() },
        ] {
            let failure = not_started(&error);
            let why = failure.why.unwrap();
            assert!(why.contains("/srv/rescind") && why.matches("the reason").count() == 1, "{why}");
            assert!(!failure.remedies.is_empty(), "{why}");
        }
    }
}
