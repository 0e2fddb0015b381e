//! `rescind audit prove`: one event with its proof, in a file to hand on.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use proof::{EventProof, MAX_PROOF_FILE, put_durably};
use serde_json::json;

use crate::client::{Call, Client};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::KeyFlags;
use crate::output::items;

/// How long a proof that is pending is waited for: one comes within a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked again.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Events of one page of a key's history.
const PAGE: usize = 200;

/// Write one event and the proof that it is in the log to a small file that anybody can check
#[derive(Args, Debug)]
#[command(after_help = "\
Of a key its last event is proven: of a revoked key, that it was revoked.

Example:
  rescind audit prove 01JDA7W5W6M4Q0T3S8V2N9X1YZ --out revoked.tlog-proof
  rescind audit verify revoked.tlog-proof --signer VKEY")]
pub(crate) struct Prove {
    /// A position of the log, or a key
    #[arg(value_name = "KEY_ID|POSITION")]
    what: String,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    flags: KeyFlags,
}

impl Prove {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let position = match self.what.parse::<u64>() {
            Ok(position) => position,
            Err(_) => last_event(&client, &self.flags.key_path(&self.what)?)?,
        };
        let text = once_signed(&client, &format!("/v1/log/proof/{position}"), MAX_PROOF_FILE)?;
        // It is not checked whose signature it is: that is for whoever gets the file, and has pinned a signer.
        let bad = |why: String| {
            Failure::new(Exit::NotProven, "not_proven", "what the server answered proves nothing")
                .because(why)
        };
        let text = String::from_utf8(text).map_err(|error| bad(error.to_string()))?;
        let proof = EventProof::parse(&text).map_err(|error| bad(error.to_string()))?;
        if proof.position.get() != position {
            return Err(bad(format!("it is of position {}", proof.position)));
        }
        let failed = |error| Failure::io(format!("cannot write {}", self.out.display()), &error);
        put_durably(&self.out, text.as_bytes()).map_err(failed)?;
        let body = json!({"position": position, "checkpoint": proof.checkpoint.size(), "out": self.out, "bytes": text.len()});
        self.flags.server.output.show(&body, |_| {
            vec![format!(
                "the proof of position {position} is in {}: {} bytes",
                self.out.display(),
                text.len()
            )]
        })?;
        Ok(Exit::Ok)
    }
}

/// Asks until a checkpoint is there that has what is asked for.
pub(super) fn once_signed(client: &Client, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let until = clock::now() + PATIENCE;
    loop {
        match client.bytes(&Call::get(path), most) {
            Err(failure) if is_pending(&failure) && clock::now() < until => thread::sleep(ASK_EVERY),
            answered => return answered,
        }
    }
}

fn is_pending(failure: &Failure) -> bool {
    ["proof_pending", "no_checkpoint_yet"].contains(&failure.code.as_str())
}

/// The position of a key's last event.
fn last_event(client: &Client, key_path: &str) -> Result<u64, Failure> {
    let mut after = None;
    let mut last = None;
    loop {
        let call = Call::get(format!("{key_path}/events")).with("limit", PAGE).with_some("after", after);
        let page = client.send(&client.fresh(call))?.body;
        last = items(&page, "events").last().and_then(|event| event["position"].as_u64()).or(last);
        after = page["next"].as_u64();
        if after.is_none() {
            return last.ok_or_else(|| Failure::new(Exit::NotFound, "not_found", "the key has no events"));
        }
    }
}
