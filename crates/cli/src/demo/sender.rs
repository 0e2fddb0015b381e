//! A small service of the demo: presents its key again and again over HTTP, and notes when and with what answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::json;

use crate::client::{Call, Client};
use crate::clock;
use crate::failure::Failure;

/// More than any machine verifies over HTTP in the few seconds of the demo; the notes must not fill memory.
const MAX_NOTES: usize = 2_000_000;

/// One verify: when it was sent, when answered, and whether the key was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) accepted: bool,
}

/// A service at work.
pub(super) struct Sender {
    running: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Note>, Failure>>,
}

impl Sender {
    /// Starts presenting the key, as fast as answers come.
    pub(super) fn start(client: Client, key: &str, scope: &'static str) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let call = Call::ask("/v1/verify", json!({"key": key, "scope": scope}));
        let goes_on = Arc::clone(&running);
        let thread = thread::spawn(move || {
            let mut notes = Vec::new();
            while goes_on.load(Ordering::Acquire) && notes.len() < MAX_NOTES {
                notes.push(present(&client, &call)?);
            }
            Ok(notes)
        });
        Self { running, thread }
    }

    /// Lets it finish the verify it is at.
    pub(super) fn stop(&self) {
        self.running.store(false, Ordering::Release);
    }

    /// Its notes, in order.
    pub(super) fn notes(self) -> Result<Vec<Note>, Failure> {
        self.stop();
        self.thread.join().expect("a sender has no panic of its own")
    }
}

fn present(client: &Client, call: &Call) -> Result<Note, Failure> {
    let sent = clock::now();
    let answer = client.send(call)?;
    Ok(Note { sent, answered: clock::now(), accepted: answer.body["verdict"] == "valid" })
}
