//! `rescind audit export`: the whole log in one folder, to be verified without the server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use domain::Position;
use proof::{Archive, ArchiveError, Checkpoint, EventRecords, Frontier, LevelWriter, log_of};
use serde_json::json;

use super::prove::once_signed;
use super::trust::{MAX_CHECKPOINTS, vkeys_of};
use crate::client::{Call, Client};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::progress::{Progress, bar};
use crate::screen;

/// How long the answer may pause.
const SILENCE: Duration = Duration::from_secs(30);

/// Copy the log with its tree and checkpoints into a folder that `rescind audit verify` checks without the server
#[derive(Args, Debug)]
#[command(after_help = "\
The same folder again goes on where the last run ended, also one that broke off.

Examples:
  rescind audit export ./audit-2026
  rescind audit verify ./audit-2026 --signer VKEY")]
pub(crate) struct Export {
    /// The folder: new, empty, or an earlier export of the same log
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Export {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let checkpoint = once_signed(&client, "/v1/log/checkpoint", MAX_CHECKPOINTS)?;
        let checkpoint = Checkpoint::parse(&checkpoint).map_err(|error| not_ours(&error.to_string()))?;
        let log_id =
            log_of(checkpoint.origin()).ok_or_else(|| not_ours("its checkpoint has another origin"))?;
        let mut archive = Archive::create(&self.folder, log_id).map_err(|error| failed(&error))?;
        let (had, size) = (archive.last(), checkpoint.size());
        if had.get() > size {
            return Err(Failure::new(
                Exit::Error,
                "export_ahead",
                "the folder holds more than the server has signed",
            )
            .because(format!(
                "{} events are in it, and the server's last checkpoint covers {size}",
                had.get()
            ))
            .remedy("keep the folder: with it `rescind audit verify` tells whether the log was cut"));
        }
        let done = Arc::new(AtomicU64::new(had.get()));
        let drawn = Arc::clone(&done);
        let progress = Progress::draw(move || {
            let done = drawn.load(Ordering::Relaxed);
            format!("{} event {done} of {size}", bar(done, size))
        });
        let mut tree = tree_of(&archive)?;
        copy(&client, &mut archive, &mut tree, size, &done)?;
        drop(progress);
        if tree.frontier().root() != checkpoint.root() {
            return Err(Failure::new(Exit::NotProven, "export_differs", "the events are not those that the checkpoint signs")
                .because(format!("their tree has another root at position {size}"))
                .remedy("keep the folder and tell whoever runs the log; if it is older, export into a new folder and compare"));
        }
        let vkeys = vkeys_of(&client)?;
        archive.put_signers(&vkeys).map_err(|error| failed(&error))?;
        let kept = kept_before(&client, size)?;
        archive.put_checkpoints(&checkpoint.to_bytes(), &kept).map_err(|error| failed(&error))?;
        let body = json!({
            "archive": self.folder, "log_id": log_id.to_string(), "events": size, "new": size - had.get(),
            "signers": vkeys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        self.flags.output.show(&body, |_| {
            vec![format!("{size} events are in {}, {} of them new", self.folder.display(), size - had.get())]
        })?;
        if !self.flags.output.json {
            screen::say(
                "verify it anywhere with `rescind audit verify`, and the signer that you were told by other ways",
            );
        }
        Ok(Exit::Ok)
    }
}

/// The tree of what is there already, made anew: so an old export is read once more before it is gone on with.
fn tree_of(archive: &Archive) -> Result<LevelWriter, Failure> {
    let folder = archive.levels();
    let mut tree =
        folder.write_on(Frontier::default()).map_err(|error| unwritable(&folder.file(0), &error))?;
    for event in archive.events(Position::NONE) {
        let event = event.map_err(|error| failed(&error))?;
        tree.push(event.leaf()).map_err(|error| unwritable(&folder.file(0), &error))?;
    }
    Ok(tree)
}

/// Takes what the archive does not have yet. What came before an answer breaks off is kept.
fn copy(
    client: &Client,
    archive: &mut Archive,
    tree: &mut LevelWriter,
    size: u64,
    done: &AtomicU64,
) -> Result<(), Failure> {
    let levels = archive.levels().file(0);
    let mut writer = archive.writer();
    let mut broken = None;
    if writer.next().get() <= size {
        let call = Call::get("/v1/log/records").with("after", writer.next().get() - 1).with("to", size);
        for event in EventRecords::new(client.stream(&call, &[], SILENCE)?) {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            writer.append(&event).map_err(|error| failed(&error))?;
            tree.push(event.leaf()).map_err(|error| unwritable(&levels, &error))?;
            done.store(event.position.get(), Ordering::Relaxed);
        }
    }
    let next = writer.next();
    writer.finish().map_err(|error| failed(&error))?;
    tree.sync().map_err(|error| unwritable(&levels, &error))?;
    if next.get() > size {
        return Ok(());
    }
    let why = broken.map_or_else(|| "the answer ended early".to_owned(), |error| error.to_string());
    Err(Failure::new(Exit::Error, "export_broke_off", format!("the log broke off before position {next}"))
        .because(why)
        .remedy("run the same command again: it goes on there"))
}

/// The earlier checkpoints that the events of the export can be held against.
fn kept_before(client: &Client, size: u64) -> Result<Vec<u8>, Failure> {
    let kept = client.bytes(&Call::get("/v1/log/checkpoints"), MAX_CHECKPOINTS)?;
    let kept = Checkpoint::parse_all(&kept).map_err(|error| not_ours(&error.to_string()))?;
    Ok(kept.iter().filter(|kept| kept.size() <= size).flat_map(Checkpoint::to_bytes).collect())
}

fn not_ours(why: &str) -> Failure {
    Failure::new(Exit::Error, "no_checkpoint", "what the server calls a checkpoint is none of a Rescind log")
        .because(why)
}

fn failed(error: &ArchiveError) -> Failure {
    Failure::new(Exit::Error, "archive", "the export was not written").because(error.to_string())
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format!("cannot write {}", path.display()), error)
}
