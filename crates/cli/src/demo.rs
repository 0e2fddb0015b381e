//! `rescind demo`: the whole story on a server of its own, over real HTTP, with measured times.

mod findings;
mod sender;
mod story;

use std::path::Path;
use std::sync::mpsc;

use clap::Args;
use server::Node;
use server::config::ServeConfig;
use tokio::runtime::Runtime;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::signals;

/// See the whole story in seconds: keys issued, used, one revoked under load, and the time that took
#[derive(Args, Debug)]
#[command(after_help = "\
It hosts a server on a free port with its log in a folder that is removed afterwards. Nothing else is needed.

Example:
  rescind demo")]
pub(crate) struct Demo {
    #[command(flatten)]
    output: Output,
}

impl Demo {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("rescind-demo-")
            .tempdir()
            .map_err(|error| Failure::io("cannot make a folder for the demo", &error))?;
        let runtime = Runtime::new().map_err(|error| Failure::io("cannot start the demo", &error))?;
        let told = runtime.block_on(host(folder.path(), self.output));
        // The server's last threads may hold files open: they end before the folder goes.
        drop(runtime);
        folder.close().map_err(|error| Failure::io("cannot remove the demo's folder", &error))?;
        told
    }
}

/// Hosts the server, tells the story beside it, and stops it; on Ctrl-C early.
async fn host(folder: &Path, output: Output) -> Result<Exit, Failure> {
    let mut config = ServeConfig::embedded(folder);
    config.listen.set_port(0);
    let node = Node::start(config).await.map_err(|error| {
        Failure::new(Exit::Error, "demo", "the demo's server did not start").because(error.to_string())
    })?;
    let (cue, cues) = mpsc::channel();
    let stage = story::Stage::new(&node.url(), node.operator_key_path(), output, cues);
    let mut telling = tokio::task::spawn_blocking(move || stage?.tell());
    let told = tokio::select! {
        told = &mut telling => told,
        _ = signals::asked_to_stop() => {
            // The story ends at its next pause; its senders end with it.
            let _ = cue.send(());
            telling.await
        }
    };
    node.stop().await;
    told.map_err(|_| Failure::new(Exit::Error, "demo", "the demo broke off"))?
}
