//! The book: every command that was sent, with what was answered, held against the server after each kill.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Tally, load};
use crate::server::{Admin, Answer};

/// Until then a command in doubt must be settled: far longer than the server itself stays in doubt (6 s).
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Keys of one batch: within the size that a request's body may have.
const BATCH: usize = 500;

/// Events of one answer: some 6 MB, where the client takes 10.
const PAGE: usize = 10_000;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not sent.
    None,
    /// It was sent, and no answer said what became of it.
    Open,
    /// It stands at this position.
    Done { position: u64 },
    /// The answer said that nothing was changed.
    Denied,
}

impl Fate {
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// A key's life as its client sees it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) issue_id: String,
    pub(super) issue: Fate,
    pub(super) key_id: Option<String>,
    /// The whole key; none when the answer that showed it was lost.
    pub(super) key: Option<String>,
    pub(super) revoke: Fate,
}

impl fmt::Debug for Entry {
    /// Without the key, as everywhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issue_id, issue, key_id, revoke, .. } = self;
        write!(f, "{issue_id} of key {key_id:?}: issue {issue:?}, revoke {revoke:?}")
    }
}

impl Entry {
    pub(super) fn new(issue_id: &str) -> Self {
        Self { issue_id: issue_id.to_owned(), issue: Fate::Open, key_id: None, key: None, revoke: Fate::None }
    }

    pub(super) fn revoke_id(&self) -> String {
        format!("revoke-{}", self.issue_id)
    }

    /// Takes the answer to an issue. `again`: it was sent before.
    pub(super) fn issued(&mut self, answer: &Answer, again: bool) -> Result<(), String> {
        let said = answer.json();
        let key = said["key"].as_str().map(str::to_owned);
        match (answer.status, again) {
            (201, _) if key.is_some() => self.key = key,
            (200, true) if key.is_none() && said["secret_already_shown"] == json!(true) => {}
            _ => return undone(&mut self.issue, answer, again),
        }
        self.key_id = said["key_id"].as_str().map(str::to_owned);
        self.issue = done(&said)?;
        Ok(())
    }

    /// Takes the answer to a revocation.
    pub(super) fn revoked(&mut self, answer: &Answer, again: bool) -> Result<(), String> {
        if answer.status != 200 {
            return undone(&mut self.revoke, answer, again);
        }
        self.revoke = done(&answer.json())?;
        Ok(())
    }

    /// What a verify may say of the key.
    pub(super) const fn verdicts(&self) -> &'static [&'static str] {
        match self.revoke {
            Fate::None | Fate::Denied => &["valid"],
            Fate::Open => &["valid", "revoked"],
            Fate::Done { .. } => &["revoked"],
        }
    }
}

fn done(said: &Value) -> Result<Fate, String> {
    let position =
        said["position"].as_u64().ok_or_else(|| format!("a success without a position: {said}"))?;
    Ok(Fate::Done { position })
}

/// 503 says that nothing was changed; but what an earlier sending did stays open.
fn undone(fate: &mut Fate, answer: &Answer, again: bool) -> Result<(), String> {
    *fate = match answer.status {
        503 if !again => Fate::Denied,
        0 | 503 | 504 => Fate::Open,
        status => return Err(format!("a command was answered {status}: {}", answer.text)),
    };
    Ok(())
}

/// Everything that was ever asked.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: Vec<Entry>,
    pub(super) tally: Tally,
}

impl Book {
    pub(super) fn take(&mut self, entries: Vec<Entry>) {
        for entry in &entries {
            for fate in [&entry.issue, &entry.revoke] {
                self.tally.lost += u64::from(*fate == Fate::Open);
                self.tally.denied += u64::from(*fate == Fate::Denied);
            }
            self.tally.issued += u64::from(entry.issue.is_done());
            self.tally.revoked += u64::from(entry.revoke.is_done());
        }
        self.entries.extend(entries);
    }

    /// Sends every command whose answer was lost once more under its command id, until it is known to stand.
    pub(super) fn ask_again(&mut self, admin: &Admin) -> Result<(), String> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        for entry in &mut self.entries {
            while entry.issue == Fate::Open {
                let answer = load::issue(admin, &entry.issue_id);
                entry.issued(&answer, true)?;
                self.tally.had_happened += u64::from(answer.status == 200);
                wait_unless(entry.issue.is_done(), deadline, &answer)?;
            }
            while entry.revoke == Fate::Open {
                let answer = load::revoke(admin, entry);
                entry.revoked(&answer, true)?;
                self.tally.had_happened += u64::from(answer.json()["repeated"] == json!(true));
                wait_unless(entry.revoke.is_done(), deadline, &answer)?;
            }
        }
        Ok(())
    }

    /// Every key of the last cycle and some older ones answer as they were left.
    pub(super) fn check_verdicts(&self, admin: &Admin, older: usize) -> Result<(), String> {
        let first = self.entries.len().saturating_sub(older);
        let known: Vec<(&Entry, &String)> =
            self.entries[first..].iter().filter_map(|entry| Some((entry, entry.key.as_ref()?))).collect();
        for batch in known.chunks(BATCH) {
            let requests: Vec<Value> = batch.iter().map(|(_, key)| json!({"key": key})).collect();
            let answer = admin.post("/v1/verify/batch", &json!({"requests": requests}));
            let said = answer.json();
            let results =
                said["results"].as_array().ok_or_else(|| format!("no verdicts: {}", answer.text))?;
            for ((entry, _), result) in batch.iter().zip(results) {
                let verdict = result["verdict"].as_str().unwrap_or_default();
                if !entry.verdicts().contains(&verdict) {
                    return Err(format!("after a restart a key is {verdict}: {entry:?}"));
                }
            }
        }
        Ok(())
    }

    /// The log holds each command once where it was acknowledged, and none that was said not to have happened.
    pub(super) fn check_events(&mut self, admin: &Admin) -> Result<(), String> {
        let mut log = String::new();
        for from in (1..).step_by(PAGE) {
            let path = format!("/v1/events?from={from}&to={}", from + PAGE - 1);
            let page = admin.get(&path).expect(200).text;
            if page.is_empty() {
                break;
            }
            log.push_str(&page);
        }
        self.check_log(&log)
    }

    fn check_log(&mut self, text: &str) -> Result<(), String> {
        let mut stand: HashMap<(String, String), Vec<u64>> = HashMap::new();
        for (line, expected) in text.lines().zip(1_u64..) {
            let event: Value =
                serde_json::from_str(line).map_err(|error| format!("no event: {error}: {line}"))?;
            if event["position"].as_u64() != Some(expected) {
                return Err(format!("the log goes on with {line}, not at {expected}"));
            }
            let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            stand.entry((field("type"), field("command_id"))).or_default().push(expected);
            self.tally.events = expected;
        }
        let none = Vec::new();
        for entry in &self.entries {
            let commands = [
                ("KeyIssued", entry.issue_id.clone(), &entry.issue),
                ("KeyRevoked", entry.revoke_id(), &entry.revoke),
            ];
            for (kind, id, fate) in commands {
                let found = stand.remove(&(kind.to_owned(), id)).unwrap_or_else(|| none.clone());
                let right = match fate {
                    Fate::Done { position } => found == [*position],
                    Fate::None | Fate::Denied => found.is_empty(),
                    Fate::Open => false,
                };
                if !right {
                    return Err(format!("{kind} stands at {found:?} of {entry:?}"));
                }
            }
        }
        let unasked = stand.keys().find(|(_, id)| id.starts_with("issue-") || id.starts_with("revoke-"));
        unasked.map_or(Ok(()), |(kind, id)| Err(format!("{kind} of {id} stands, but nobody asked for it")))
    }
}

fn wait_unless(done: bool, deadline: Instant, answer: &Answer) -> Result<(), String> {
    if done {
        return Ok(());
    }
    if Instant::now() > deadline {
        return Err(format!("a command stays in doubt: {} {}", answer.status, answer.text));
    }
    std::thread::park_timeout(ASK_AGAIN);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(position: u64, kind: &str, id: &str) -> String {
        json!({"position": position, "type": kind, "command_id": id}).to_string()
    }

    fn entry(issue: Fate, revoke: Fate) -> Entry {
        Entry { issue, revoke, ..Entry::new("issue-spring") }
    }

    fn check(entry: Entry, lines: &[String]) -> Result<(), String> {
        Book { entries: vec![entry], tally: Tally::default() }.check_log(&lines.join("\n"))
    }

    #[test]
    fn a_log_that_is_not_as_acknowledged_is_seen() {
        let (issued, revoked) =
            (line(1, "KeyIssued", "issue-spring"), line(2, "KeyRevoked", "revoke-issue-spring"));
        let at = |position| Fate::Done { position };
        let both = [issued.clone(), revoked];
        assert_eq!(check(entry(at(1), at(2)), &both), Ok(()));
        assert_eq!(check(entry(at(1), Fate::Denied), &both[..1]), Ok(()));
        for (wrong, lines) in [
            (entry(at(1), at(2)), &both[..1]),
            (entry(at(1), Fate::Denied), &both),
            (entry(at(1), Fate::None), &both),
            (entry(at(2), Fate::None), &both[..1]),
            (entry(Fate::Open, Fate::None), &both[..1]),
            (entry(at(1), Fate::None), &[issued.clone(), line(2, "KeyIssued", "issue-spring")]),
            (entry(at(1), Fate::None), &[issued.clone(), line(3, "TenantOpened", "open")]),
            (entry(at(1), Fate::None), &[issued.clone(), line(2, "KeyIssued", "issue-autumn")]),
        ] {
            assert!(check(wrong.clone(), lines).is_err(), "{wrong:?} {lines:?}");
        }
    }
}
