//! What the verbs that keep a log share: how their work is run and drawn, and how it fails.

use std::path::PathBuf;

use clap::Args;
use server::config::NatsArgs;
use server::keep::{KeepError, Progress as Kept};
use tokio::runtime::Runtime;

use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::progress::{Progress, bar};
use crate::signals::asked_to_stop;

/// How NATS is entered, apart from its address.
#[derive(Args, Debug)]
pub(crate) struct NatsEntry {
    /// NATS credentials file of the account that holds the log
    #[arg(long, env = "RESCIND_NATS_CREDS", hide_env_values = true, value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// File with the nkey seed of the log's user, as `rescind nats config` writes it
    #[arg(long, env = "RESCIND_NATS_NKEY", hide_env_values = true, value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// The authority that signed the NATS servers' certificates, where it is not a public one
    #[arg(long, env = "RESCIND_NATS_CA", hide_env_values = true, value_name = "FILE")]
    nats_ca: Option<PathBuf>,
}

impl NatsEntry {
    pub(crate) fn args(&self) -> NatsArgs {
        NatsArgs {
            log: None,
            nats_creds: self.nats_creds.clone(),
            nats_nkey: self.nats_nkey.clone(),
            nats_ca: self.nats_ca.clone(),
        }
    }
}

/// Runs work and draws how far it is. Ctrl-C ends it: everything that is kept goes on where it stopped.
pub(crate) fn run_drawn<T, F: Future<Output = T>>(work: impl FnOnce(Kept) -> F) -> Result<T, Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::io("cannot start", &error))?;
    let kept = Kept::default();
    let _progress = draw(&kept);
    runtime.block_on(async {
        tokio::select! {
            done = work(kept) => Ok(done),
            _ = asked_to_stop() => Err(Failure::new(Exit::Interrupted, "interrupted", "stopped before the end")
                .remedy("run it again: it goes on where it stopped")),
        }
    })
}

/// Runs work that blocks and draws how far it is. Killed at any moment it leaves what it made to go on with.
pub(crate) fn drawn<T>(work: impl FnOnce(&Kept) -> T) -> T {
    let kept = Kept::default();
    let _progress = draw(&kept);
    work(&kept)
}

fn draw(kept: &Kept) -> Progress {
    let shown = kept.clone();
    Progress::draw(move || {
        let (done, total) = shown.now();
        format!("{}  {done} of {total}", bar(done, total.max(1)))
    })
}

/// The failure of a verb.
pub(crate) fn failed(what: &str, error: &KeepError) -> Failure {
    let exit = match error {
        KeepError::Served { .. } | KeepError::Grew { .. } => Exit::Unavailable,
        _ => Exit::Error,
    };
    Failure::new(exit, error.code(), what).because(chain(error))
}
