//! The story of the demo, step by step; every number in it is measured in this run.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::findings::{Counts, Revocation, broken_promises};
use super::sender::{Note, Sender};
use crate::client::{Call, Client};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, history_table, items, keys_table, text};
use crate::screen::{self, Paint};
use crate::target::{FoundKey, OperatorKey, Url, key_in_file};

/// The tenant of the story.
const TENANT: &str = "newsletters";
/// How long the senders work before the revocation, and after it: enough for thousands of verifies each.
const ACT: Duration = Duration::from_secs(2);

/// A service of the story: its name, whom its key belongs to, and the one thing it may do.
struct Role {
    name: &'static str,
    owner: &'static str,
    scope: &'static str,
}

/// The first one's key is the one that gets lost.
const ROLES: [Role; 3] = [
    Role { name: "campaign mailer", owner: "campaign-team", scope: "campaigns:send" },
    Role { name: "list importer", owner: "list-team", scope: "lists:write" },
    Role { name: "receipt sender", owner: "shop", scope: "receipts:send" },
];

/// Where the story happens.
pub(super) struct Stage {
    url: Url,
    client: Client,
    output: Output,
    paint: Paint,
    /// Says that it is time to go.
    cues: Receiver<()>,
}

/// A key of the story.
struct Issued {
    key_id: String,
    key: String,
}

/// The moments of the revocation, and what the server said.
struct Revoked {
    sent: Instant,
    acknowledged: Instant,
    answer: Value,
}

impl Stage {
    pub(super) fn new(
        url: &str,
        key_file: &Path,
        output: Output,
        cues: Receiver<()>,
    ) -> Result<Self, Failure> {
        let url = Url { text: url.trim_end_matches('/').to_owned(), origin: "the demo" };
        let key = key_in_file(key_file)?;
        let client = Client::new(url.clone(), Some(&key), None)?;
        let paint = if output.json { Paint::stderr() } else { Paint::stdout() };
        Ok(Self { url, client, output, paint, cues })
    }

    pub(super) fn tell(&self) -> Result<Exit, Failure> {
        self.act("A server of our own")?;
        self.say(&format!("It listens at {}, its log is in a temporary folder: each change is on disk before it is acknowledged.", self.url.text))?;
        let verifier = self.verifier()?;

        self.act("Three services get a key each")?;
        self.command("/v1/tenants", json!({"tenant": TENANT, "name": "Newsletters"}))?;
        let keys = self.issue_keys()?;

        self.act("All three present their keys, as fast as answers come")?;
        let senders = self.start_senders(&verifier, &keys)?;
        self.pause(ACT)?;

        self.act(&format!("The {}'s key was seen in a public list: revoke it", ROLES[0].name))?;
        let revoked = self.revoke(&keys[0])?;
        self.pause(ACT)?;
        let notes = finish(senders)?;
        self.conclude(&keys, &revoked, &notes)
    }

    /// An operator that may do nothing but ask for verdicts, as a service should have it.
    fn verifier(&self) -> Result<FoundKey, Failure> {
        let body = json!({"owner": "demo", "name": "verifier of the demo", "scopes": ["verify"]});
        let answer = self.command("/v1/tenants/rescind/keys", body)?;
        let key = OperatorKey::new(answer["key"].as_str().unwrap_or_default());
        Ok(FoundKey { key, origin: "the demo".to_owned(), file: None })
    }

    fn issue_keys(&self) -> Result<Vec<Issued>, Failure> {
        let mut issued = Vec::new();
        for role in &ROLES {
            let body = json!({
                "owner": role.owner, "name": role.name, "scopes": [role.scope], "labels": {"service": role.name.replace(' ', "-")}
            });
            let started = clock::now();
            let answer = self.command(&format!("/v1/tenants/{TENANT}/keys"), body)?;
            let took = clock::display(started.elapsed());
            let key_id = text(&answer, "key_id");
            self.say(&format!("  issued {key_id} to the {} for {} in {took}", role.name, role.scope))?;
            issued.push(Issued { key_id, key: text(&answer, "key") });
        }
        Ok(issued)
    }

    fn start_senders(&self, verifier: &FoundKey, keys: &[Issued]) -> Result<Senders, Failure> {
        let mut senders = Senders(Vec::new());
        for (role, key) in ROLES.iter().zip(keys) {
            let client = Client::new(self.url.clone(), Some(verifier), None)?;
            senders.0.push(Sender::start(client, &key.key, role.scope));
        }
        Ok(senders)
    }

    fn revoke(&self, key: &Issued) -> Result<Revoked, Failure> {
        let path = format!("/v1/tenants/{TENANT}/keys/{}/revoke", key.key_id);
        let body = json!({"reason": "compromised", "note": "seen in a public list"});
        let call = Call::command(path, body, &clock::draw_command_id());
        let sent = clock::now();
        let answer = self.client.send(&call)?.body;
        let acknowledged = clock::now();
        let took = clock::display(acknowledged.saturating_duration_since(sent));
        self.say(&format!(
            "  revoked {} at position {}, acknowledged after {took}",
            key.key_id,
            text(&answer, "position")
        ))?;
        Ok(Revoked { sent, acknowledged, answer })
    }

    fn conclude(&self, keys: &[Issued], revoked: &Revoked, notes: &[Vec<Note>]) -> Result<Exit, Failure> {
        let counts: Vec<_> = notes.iter().map(|notes| Counts::of(notes, revoked.acknowledged)).collect();
        let revocation = Revocation::of(&notes[0], revoked.sent, revoked.acknowledged);
        let position = text(&revoked.answer, "position");
        let path = format!("/v1/tenants/{TENANT}/keys");
        let history = self.read(&format!("{path}/{}/events", keys[0].key_id), &position)?;
        let list = self.read(&path, &position)?;
        let others: Vec<_> = ROLES.iter().map(|role| role.name).zip(counts.iter().copied()).skip(1).collect();
        let broken = broken_promises(counts[0], &others);
        if self.output.json {
            let services = ROLES.iter().zip(keys).zip(&counts).map(|((role, key), counts)| {
                json!({
                    "name": role.name, "key_id": key.key_id, "accepted": counts.accepted, "refused": counts.refused,
                    "asked_after_acknowledgement": counts.asked_after, "accepted_after_acknowledgement": counts.accepted_after
                })
            });
            let mut summary =
                json!({"services": services.collect::<Vec<_>>(), "revocation": revocation.to_json()});
            summary["revocation"]["position"] = revoked.answer["position"].clone();
            summary["history"] = history["events"].clone();
            summary["keys"] = list["keys"].clone();
            summary["broken_promises"] = json!(broken);
            screen::data(&summary.to_string())?;
        } else {
            self.tell_measured(&counts, revocation)?;
            self.tell_record(&history, &list)?;
        }
        self.judge(&broken)
    }

    fn tell_measured(&self, counts: &[Counts], revocation: Revocation) -> Result<(), Failure> {
        self.act("What the services met")?;
        for (role, counts) in ROLES.iter().zip(counts) {
            self.say(&format!(
                "  {:<16} accepted {:>6}   refused {:>6}",
                role.name, counts.accepted, counts.refused
            ))?;
        }
        self.act("Measured from the moment the command was sent")?;
        let shown = |us: Option<i128>| us.map_or_else(|| "never".to_owned(), signed);
        self.say(&format!("  last verify accepted      {:>12}", shown(revocation.last_accepted_us)))?;
        self.say(&format!("  first verify refused      {:>12}", shown(revocation.first_refused_us)))?;
        self.say(&format!("  revocation acknowledged   {:>12}", signed(revocation.acknowledged_us)))?;
        self.say(&format!(
            "  accepted after that       {:>12}   of {} verifies sent later with that key",
            counts[0].accepted_after, counts[0].asked_after
        ))
    }

    fn tell_record(&self, history: &Value, list: &Value) -> Result<(), Failure> {
        self.act("What the log says about the key, for auditors")?;
        self.lines(&history_table(items(history, "events"), self.paint))?;
        self.act("The keys now")?;
        self.lines(&keys_table(items(list, "keys"), self.paint))
    }

    fn judge(&self, broken: &[String]) -> Result<Exit, Failure> {
        if broken.is_empty() {
            self.say("")?;
            self.say(
                &self
                    .paint
                    .green("Revoked meant refused, and nobody else noticed. Now your own: rescind serve"),
            )?;
            return Ok(Exit::Ok);
        }
        Err(Failure::new(Exit::Error, "promise_broken", "this run did not show what was promised")
            .because(broken.join("; ")))
    }

    fn command(&self, path: &str, body: Value) -> Result<Value, Failure> {
        Ok(self.client.send(&Call::command(path, body, &clock::draw_command_id()))?.body)
    }

    /// Reads what follows the log once it has come as far as this.
    fn read(&self, path: &str, position: &str) -> Result<Value, Failure> {
        Ok(self.client.send(&Call::get(path).with("min_position", position))?.body)
    }

    /// Lets the senders work, and ends the story early when asked to.
    fn pause(&self, time: Duration) -> Result<(), Failure> {
        match self.cues.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::new(Exit::Interrupted, "interrupted", "stopped before the end of the story"))
            }
        }
    }

    fn act(&self, title: &str) -> Result<(), Failure> {
        self.say("")?;
        self.say(&self.paint.bold(title))
    }

    fn lines(&self, lines: &[String]) -> Result<(), Failure> {
        lines.iter().try_for_each(|line| self.say(&format!("  {line}")))
    }

    /// The tale is the data, unless a script wants the summary.
    fn say(&self, line: &str) -> Result<(), Failure> {
        if self.output.json {
            screen::say(line);
            return Ok(());
        }
        screen::data(line)
    }
}

/// Senders at work; whatever ends the story ends them.
struct Senders(Vec<Sender>);

impl Drop for Senders {
    fn drop(&mut self) {
        self.0.iter().for_each(Sender::stop);
    }
}

fn finish(mut senders: Senders) -> Result<Vec<Vec<Note>>, Failure> {
    senders.0.iter().for_each(Sender::stop);
    std::mem::take(&mut senders.0).into_iter().map(Sender::notes).collect()
}

fn signed(us: i128) -> String {
    let sign = if us < 0 { "-" } else { "+" };
    let us = u64::try_from(us.unsigned_abs()).unwrap_or(u64::MAX);
    format!("{sign}{}", clock::display(Duration::from_micros(us)))
}
