//! Who issues and revokes while things fail: one writer a server, each noting when a revocation was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::TENANT;
use crate::server::{Admin, Answer, IssuedKey};
use crate::sim::Rng;
use crate::witness::{Presented, Witness};

/// Between two commands of a writer: enough keys in a run, and a machine that has time for the guards.
const EACH: Duration = Duration::from_millis(40);
/// So many keys stay as they are, to be found valid in the end.
const SPARED: usize = 4;
/// How long a revocation waits for the fleet: a guard that hears has reported by then.
const WAIT_MS: u64 = 100;
/// Until then a command in doubt must be settled, longer than a cluster takes to choose leaders anew.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Writers at work, until they are told to end.
pub(super) struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

/// What writers share.
struct Shared {
    witness: Arc<Witness>,
    ended: AtomicBool,
    revoked: AtomicU64,
    /// Keys that nobody revokes yet: any writer may.
    spared: Mutex<Vec<Arc<Presented>>>,
}

struct Writer {
    admin: Admin,
    rng: Rng,
    shared: Arc<Shared>,
    /// Revocations that were not acknowledged yet.
    pending: Vec<Arc<Presented>>,
    /// Receipts that were not complete when they were last seen.
    open: Vec<(Arc<Presented>, u64)>,
}

impl Writers {
    pub(super) fn begin(admins: Vec<Admin>, witness: &Arc<Witness>, rng: &mut Rng) -> Self {
        let shared = Arc::new(Shared {
            witness: Arc::clone(witness),
            ended: AtomicBool::new(false),
            revoked: AtomicU64::new(0),
            spared: Mutex::default(),
        });
        let threads = admins.into_iter().map(|admin| {
            let shared = Arc::clone(&shared);
            let writer = Writer { admin, rng: rng.fork(), shared, pending: Vec::new(), open: Vec::new() };
            thread::spawn(move || writer.work())
        });
        Self { threads: threads.collect(), shared }
    }

    /// How many revocations were acknowledged.
    pub(super) fn revoked(&self) -> u64 {
        self.shared.revoked.load(Ordering::Relaxed)
    }

    /// Returns when every revocation that was begun is acknowledged.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.shared.ended.store(true, Ordering::Relaxed);
        let ends: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        ends.into_iter().try_for_each(|end| end.map_err(|_| "a writer panicked".to_owned())?)
    }
}

impl Drop for Writers {
    /// Also when a run fails: nobody writes on.
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Writer {
    fn work(mut self) -> Result<(), String> {
        while !self.shared.ended.load(Ordering::Relaxed) {
            self.issue()?;
            self.choose();
            self.revoke()?;
            self.read_receipt();
            thread::park_timeout(EACH);
        }
        let deadline = Instant::now() + SETTLED_WITHIN;
        while !self.pending.is_empty() {
            if Instant::now() > deadline {
                return Err(format!("not settled in time: {:?}", self.pending));
            }
            self.revoke()?;
            thread::park_timeout(EACH);
        }
        for _ in 0..self.open.len() {
            self.read_receipt();
        }
        Ok(())
    }

    fn issue(&self) -> Result<(), String> {
        let body = json!({"owner": "list sender", "scopes": ["campaigns:send"]});
        let answer = self.admin.post(&format!("/v1/tenants/{TENANT}/keys"), &body);
        if answer.status != 201 {
            return undone(&answer);
        }
        let said = answer.json();
        let word = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let position = said["position"].as_u64().unwrap_or_default();
        let key = IssuedKey { key_id: word("key_id"), key: word("key"), position };
        let presented = self.shared.witness.present(key);
        self.shared.spared.lock().push(presented);
        Ok(())
    }

    /// Takes a key that somebody issued, to revoke it.
    fn choose(&mut self) {
        let mut spared = self.shared.spared.lock();
        if spared.len() > SPARED {
            let nth = usize::try_from(self.rng.below(spared.len() as u64)).unwrap_or_default();
            self.pending.push(spared.swap_remove(nth));
        }
    }

    /// Asks for the oldest revocation that is not acknowledged, under its command id.
    fn revoke(&mut self) -> Result<(), String> {
        let Some(presented) = self.pending.first().cloned() else { return Ok(()) };
        let key_id = &presented.key.key_id;
        let path = format!("/v1/tenants/{TENANT}/keys/{key_id}/revoke?timeout_ms={WAIT_MS}");
        let body = json!({"reason": "compromised"});
        let answer = self.admin.post_as(&format!("revoke-{key_id}"), &path, &body);
        if answer.status != 200 {
            return undone(&answer);
        }
        presented.revoked(Instant::now());
        self.shared.revoked.fetch_add(1, Ordering::Relaxed);
        self.pending.remove(0);
        let said = answer.json();
        self.take_receipt(presented, said["position"].as_u64().unwrap_or_default(), &said["receipt"]);
        Ok(())
    }

    /// Looks again at the receipt that was not looked at for longest. A server that was killed has it no more.
    fn read_receipt(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (presented, position) = self.open.remove(0);
        let answer = self.admin.get(&format!("/v1/receipts/{position}"));
        match answer.status {
            200 => self.take_receipt(presented, position, &answer.json()),
            404 => {}
            _ => self.open.push((presented, position)),
        }
    }

    fn take_receipt(&mut self, presented: Arc<Presented>, position: u64, receipt: &Value) {
        self.shared.witness.take_receipt(&presented, receipt);
        if receipt["complete"] != true {
            self.open.push((presented, position));
        }
    }
}

/// A server that is away or cannot write says so; anything else is an answer that nobody expects here.
fn undone(answer: &Answer) -> Result<(), String> {
    match answer.status {
        0 | 503 | 504 => Ok(()),
        status => Err(format!("a command was answered {status}: {}", answer.text)),
    }
}
