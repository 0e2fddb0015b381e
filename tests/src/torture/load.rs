//! The load: threads that issue, verify and revoke over HTTP, each noting what it asked for before it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::TENANT;
use super::book::{Entry, Fate};
use crate::server::{Admin, Answer};
use crate::sim::Rng;

/// Clients at once: enough that a group commit holds several, few enough for two processors.
const THREADS: u64 = 8;

/// Threads that put a server under load until they are told to end, or the server is gone.
pub(super) struct Load {
    acknowledged: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Entry>, String>>>,
}

impl Load {
    pub(super) fn begin(admin: &Admin, cycle: u64) -> Self {
        let (acknowledged, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let threads = (0..THREADS)
            .map(|number| {
                let client = Client {
                    admin: admin.clone(),
                    name: format!("{cycle}-{number}"),
                    rng: Rng::new(cycle * THREADS + number),
                    entries: Vec::new(),
                    acknowledged: Arc::clone(&acknowledged),
                };
                let ended = Arc::clone(&ended);
                thread::spawn(move || client.work(&ended))
            })
            .collect();
        Self { acknowledged, ended, threads }
    }

    /// How many commands were acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the load and tells all that was asked for.
    pub(super) fn end(self) -> Result<Vec<Entry>, String> {
        self.ended.store(true, Ordering::Relaxed);
        let mut entries = Vec::new();
        for thread in self.threads {
            entries.extend(thread.join().map_err(|_| "a client panicked".to_owned())??);
        }
        Ok(entries)
    }
}

struct Client {
    admin: Admin,
    name: String,
    rng: Rng,
    entries: Vec<Entry>,
    acknowledged: Arc<AtomicU64>,
}

impl Client {
    fn work(mut self, ended: &AtomicBool) -> Result<Vec<Entry>, String> {
        while !ended.load(Ordering::Relaxed) {
            let reached = match self.rng.below(10) {
                0..6 => self.issue()?,
                6..9 => self.revoke()?,
                _ => self.verify()?,
            };
            if !reached {
                break;
            }
        }
        Ok(self.entries)
    }

    fn note(&self, fate: &Fate) {
        if matches!(fate, Fate::Done { .. }) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Issues a key; whether there was an answer.
    fn issue(&mut self) -> Result<bool, String> {
        let mut entry = Entry::new(&format!("issue-{}-{}", self.name, self.entries.len()));
        let answer = issue(&self.admin, &entry.issue_id);
        entry.issued(&answer, false)?;
        self.note(&entry.issue);
        self.entries.push(entry);
        Ok(answer.status != 0)
    }

    /// Revokes one of the keys issued here, and presents it.
    fn revoke(&mut self) -> Result<bool, String> {
        let ready = |entry: &&mut Entry| entry.issue.is_done() && entry.revoke == Fate::None;
        let Some(entry) = self.entries.iter_mut().filter(ready).last() else { return Ok(true) };
        let answer = revoke(&self.admin, entry);
        entry.revoked(&answer, false)?;
        let (fate, key) = (entry.revoke.clone(), entry.key.clone());
        self.note(&fate);
        match key {
            Some(key) if fate.is_done() => self.present(&key, &["revoked"]),
            _ => Ok(answer.status != 0),
        }
    }

    fn verify(&mut self) -> Result<bool, String> {
        let entry = self.rng.pick(&self.entries).filter(|entry| entry.issue.is_done());
        let Some((entry, key)) = entry.and_then(|entry| Some((entry, entry.key.clone()?))) else {
            return Ok(true);
        };
        let expected = entry.verdicts();
        self.present(&key, expected)
    }

    /// Asks for a verdict. While its log is away a server may say `stale`, or trust no operator.
    fn present(&self, key: &str, expected: &[&str]) -> Result<bool, String> {
        let answer = self.admin.post("/v1/verify", &json!({"key": key}));
        match answer.status {
            0 => Ok(false),
            503 => Ok(true),
            200 => {
                let verdict = answer.json()["verdict"].as_str().unwrap_or_default().to_owned();
                let stale = verdict == "stale" && expected != ["revoked"];
                if stale || expected.contains(&verdict.as_str()) {
                    return Ok(true);
                }
                Err(format!("under load a key is {verdict}, not {expected:?}"))
            }
            status => Err(format!("a verify was answered {status}: {}", answer.text)),
        }
    }
}

pub(super) fn issue(admin: &Admin, command_id: &str) -> Answer {
    let body: Value = json!({"owner": "list sender", "scopes": ["campaigns:send"]});
    admin.post_as(command_id, &format!("/v1/tenants/{TENANT}/keys"), &body)
}

pub(super) fn revoke(admin: &Admin, entry: &Entry) -> Answer {
    let path = format!("/v1/tenants/{TENANT}/keys/{}/revoke", entry.key_id.as_deref().unwrap_or_default());
    admin.post_as(&entry.revoke_id(), &path, &json!({"reason": "compromised"}))
}
