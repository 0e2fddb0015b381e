//! What was promised so far: every attempt of every command with how it ended, held against what stands in the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use application::{Changed, CommandError, Issued};
use domain::{CommandId, Event, KeyId, ParsedKey, Position, Refusal, StreamName, TenantId, Timestamp};
use parking_lot::Mutex;

use super::asked::Body;
use super::seen::Seen;
use super::truth::{Truth, Witnessed};

/// Stream and command id: what has one effect at most.
pub(crate) type Effect = (StreamName, CommandId);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Not yet, or its server died under it: it may have an effect.
    Open,
    /// The change stands.
    Done(Position),
    /// Told that nothing happened.
    Nothing,
    /// Told that nobody knows.
    Unknown,
}

/// All attempts of one command.
#[derive(Debug, Default)]
struct Attempts {
    endings: Vec<Ending>,
    /// Where it stands, once that was told, and the body that it was told for.
    acknowledged: Option<(Position, Body)>,
    secrets_shown: u32,
}

/// A key whose secret was shown.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) tenant: TenantId,
    pub(crate) key_id: KeyId,
    /// The whole key. Test data, so that it may be kept here.
    pub(crate) token: String,
}

/// One attempt, from its begin to its end.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) effect: Effect,
    pub(crate) node: usize,
    number: usize,
    body: Body,
    acknowledged_before: bool,
    exists_before: bool,
}

#[derive(Debug)]
pub(crate) struct Model {
    truth: Arc<Mutex<Truth>>,
    attempts: HashMap<Effect, Attempts>,
    /// What may be asked again.
    pub(crate) asked: Vec<Body>,
    pub(crate) held: BTreeMap<KeyId, Held>,
    /// The revocations that each node has acknowledged.
    refused_by: BTreeMap<usize, BTreeSet<KeyId>>,
    /// All that was said in words and in `Debug`, to be searched for secrets.
    pub(crate) said: String,
    /// How often commands ended how.
    pub(crate) seen: Seen,
    /// The first broken promise that an attempt's end showed.
    pub(crate) fault: Option<String>,
}

impl Model {
    pub(crate) fn new(truth: Arc<Mutex<Truth>>) -> Self {
        Self {
            truth,
            attempts: HashMap::new(),
            asked: Vec::new(),
            held: BTreeMap::new(),
            refused_by: BTreeMap::new(),
            said: String::new(),
            seen: Seen::default(),
            fault: None,
        }
    }

    pub(crate) fn has_refused(&self, node: usize, key_id: KeyId) -> bool {
        self.refused_by.get(&node).is_some_and(|keys| keys.contains(&key_id))
    }

    /// Notes that an attempt begins.
    pub(crate) fn begin(&mut self, node: usize, body: Body) -> Attempt {
        let effect = (body.stream(), body.command_id.clone());
        let exists_before = body.target_exists(&self.truth.lock());
        let attempts = self.attempts.entry(effect.clone()).or_default();
        attempts.endings.push(Ending::Open);
        let acknowledged_before = attempts.acknowledged.as_ref().is_some_and(|(_, first)| *first == body);
        let number = attempts.endings.len() - 1;
        Attempt { effect, node, number, body, acknowledged_before, exists_before }
    }

    /// Notes how an attempt ended, and whether it could end so.
    pub(crate) fn end_change(
        &mut self,
        attempt: &Attempt,
        ending: &Result<Changed, CommandError>,
        now: Timestamp,
    ) -> String {
        self.hear(ending);
        let checked = match ending {
            Ok(changed) => self.done(attempt, changed).map(|_| ()),
            Err(error) => self.not_done(attempt, error, now),
        };
        if let (Ok(_), Ok(()), StreamName::Key(_, key_id), true) =
            (ending, &checked, &attempt.effect.0, attempt.body.is_revoke())
        {
            self.refused_by.entry(attempt.node).or_default().insert(*key_id);
        }
        self.note(checked);
        self.told(ending.as_ref(), "done")
    }

    /// Notes how an issue ended, and whether it could end so.
    pub(crate) fn end_issue(
        &mut self,
        attempt: &Attempt,
        ending: &Result<Issued, CommandError>,
        now: Timestamp,
    ) -> String {
        self.hear(ending);
        let checked = match ending {
            Ok(issued) => self.done_issue(attempt, issued),
            Err(error) => self.not_done(attempt, error, now),
        };
        self.note(checked);
        self.told(ending.as_ref().map(|issued| &issued.changed), "issued")
    }

    /// The ending in a word, counted.
    fn told(&mut self, ending: Result<&Changed, &CommandError>, done: &str) -> String {
        match ending {
            Ok(changed) => {
                let done = if changed.repeated { format!("{done} before") } else { done.to_owned() };
                self.seen.note(&done);
                format!("{done}, at {}", changed.position)
            }
            Err(error) => {
                self.seen.note(brief(error));
                brief(error).to_owned()
            }
        }
    }

    fn note(&mut self, checked: Result<(), String>) {
        if let Err(fault) = checked {
            self.fault.get_or_insert(fault);
        }
    }

    /// Keeps what was said, in words and in `Debug`.
    pub(crate) fn hear<T: std::fmt::Debug>(&mut self, ending: &Result<T, CommandError>) {
        use std::fmt::Write as _;
        let _ = writeln!(self.said, "{ending:?}");
        if let Err(error) = ending {
            let _ = writeln!(self.said, "{error}");
        }
    }

    /// The change must stand where the answer says, made by this very command, and where it stood in every answer before.
    fn done(&mut self, attempt: &Attempt, changed: &Changed) -> Result<Event, String> {
        let Attempt { effect, number, body, .. } = attempt;
        let what = || format!("{body} was acknowledged at position {}", changed.position);
        let event = {
            let truth = self.truth.lock();
            let Some(Witnessed { envelope, .. }) = truth.at(changed.position) else {
                return Err(format!("{}, which is not in the log (head {})", what(), truth.head()));
            };
            if (&envelope.stream, &envelope.command_id) != (&effect.0, &effect.1) {
                return Err(format!("{}, where something else stands", what()));
            }
            if (envelope.revision, envelope.occurred_at) != (changed.revision, changed.occurred_at) {
                return Err(format!("{} with another revision or time than it has", what()));
            }
            if !body.made(&envelope.event) {
                return Err(format!("{}, but another request under its command id was carried out", what()));
            }
            envelope.event.clone()
        };
        let attempts = self.attempts.entry(effect.clone()).or_default();
        attempts.endings[*number] = Ending::Done(changed.position);
        match &attempts.acknowledged {
            Some((first, _)) if *first != changed.position => {
                return Err(format!("{}, and before at {first}", what()));
            }
            Some(_) => {}
            None => attempts.acknowledged = Some((changed.position, body.clone())),
        }
        Ok(event)
    }

    fn done_issue(&mut self, attempt: &Attempt, issued: &Issued) -> Result<(), String> {
        let event = self.done(attempt, &issued.changed)?;
        let body = &attempt.body;
        let StreamName::Key(tenant, key_id) = &attempt.effect.0 else {
            return Err("an issue is a key's".to_owned());
        };
        if issued.key_id != *key_id {
            return Err(format!("{body} answered with another key id"));
        }
        if issued.key.is_some() == issued.changed.repeated {
            return Err(format!(
                "{body}: the secret is shown by the attempt that issued the key and by no other"
            ));
        }
        let Some(key) = &issued.key else { return Ok(()) };
        let parsed =
            ParsedKey::parse(key.expose()).map_err(|error| format!("{body} showed no key: {error}"))?;
        let opens = matches!(&event, Event::KeyIssued(event) if event.digest == parsed.digest());
        if parsed.key_id != *key_id || !opens {
            return Err(format!("{body} showed a secret that does not open the key that stands"));
        }
        let attempts = self.attempts.entry(attempt.effect.clone()).or_default();
        attempts.secrets_shown += 1;
        if attempts.secrets_shown > 1 {
            return Err(format!("{body} showed a secret for the second time"));
        }
        let held = Held { tenant: tenant.clone(), key_id: *key_id, token: key.expose().to_owned() };
        self.held.insert(*key_id, held);
        Ok(())
    }

    /// A refusal must be true, and what was acknowledged before is not refused.
    fn not_done(&mut self, attempt: &Attempt, error: &CommandError, now: Timestamp) -> Result<(), String> {
        let Attempt { effect, number, body, .. } = attempt;
        let ending = match error {
            CommandError::OutcomeUnknown { .. } => Ending::Unknown,
            _ => Ending::Nothing,
        };
        self.attempts.entry(effect.clone()).or_default().endings[*number] = ending;
        let wrong = |why: &str| Err(format!("{body} was answered {}, but {why}", brief(error)));
        let truth = self.truth.lock();
        if attempt.acknowledged_before && error_settles(error) {
            return wrong("it had been acknowledged before");
        }
        match error {
            CommandError::Refused(refusal) if !is_true(refusal, body, &truth, now) => wrong("that is not so"),
            CommandError::NotFound if attempt.exists_before => wrong("it existed when it was asked for"),
            CommandError::CommandIdReused => match truth.effect(&effect.0, &effect.1) {
                Some(other) if !body.made(&other.envelope.event) => Ok(()),
                Some(_) => wrong("it is the very request that stands under its command id"),
                None => wrong("the command id does not stand in its stream"),
            },
            CommandError::OutcomeUnknown { command_id, key_id, .. } => {
                let named = key_id.is_none_or(|key_id| effect.0.key_id() == Some(key_id));
                if *command_id == effect.1 && named {
                    Ok(())
                } else {
                    wrong("it names another command or key")
                }
            }
            CommandError::ClockSkew { .. } => wrong("no clock is so far off"),
            CommandError::Refused(_) | CommandError::NotFound | CommandError::Unavailable { .. } => Ok(()),
        }
    }

    /// Once nothing is under way any more: what was acknowledged stands once, what was said not to have happened does not
    /// stand, and what nobody knew stands once or not at all.
    pub(crate) fn settled(&self) -> Result<(), String> {
        let truth = self.truth.lock();
        for ((stream, id), attempts) in &self.attempts {
            let stands = truth.effects.get(&(stream.clone(), id.clone())).map_or(0, Vec::len);
            let nothing = attempts.endings.iter().all(|ending| *ending == Ending::Nothing);
            if nothing && stands != 0 {
                return Err(format!(
                    "command {id} on {stream} was said to have changed nothing, but it stands"
                ));
            }
            if attempts.acknowledged.is_some() && stands != 1 {
                return Err(format!(
                    "command {id} on {stream} was acknowledged, but it stands {stands} times"
                ));
            }
        }
        let asked = |effect: &Effect| self.attempts.contains_key(effect) || effect.0.tenant().is_operators();
        let unasked = truth.effects.keys().find(|effect| !asked(effect));
        unasked.map_or(Ok(()), |(stream, id)| {
            Err(format!("command {id} stands in {stream}, but nobody asked for it"))
        })
    }
}

/// Whether an answer says that the command has not been carried out, for good.
const fn error_settles(error: &CommandError) -> bool {
    match error {
        CommandError::Refused(_) | CommandError::NotFound | CommandError::CommandIdReused => true,
        CommandError::Unavailable { .. }
        | CommandError::ClockSkew { .. }
        | CommandError::OutcomeUnknown { .. } => false,
    }
}

fn is_true(refusal: &Refusal, body: &Body, truth: &Truth, now: Timestamp) -> bool {
    let facts = match body.stream() {
        StreamName::Key(tenant, key_id) => truth.keys.get(&(tenant, key_id)),
        StreamName::Tenant(_) => None,
    };
    match refusal {
        Refusal::TenantAlreadyOpen => body.is_open() && truth.tenants.contains_key(body.stream().tenant()),
        Refusal::ExpiryInPast { expires_at } => body.is_issue() && *expires_at <= now,
        Refusal::AlreadyRevoked => facts.is_some_and(|facts| facts.revoked.is_some()),
        Refusal::AlreadyExpired => facts.is_some_and(|facts| facts.expired.is_some()),
        Refusal::NotYetExpired => {
            // The decision was made a moment ago; the clock may have passed the expiry since.
            body.is_expire()
                && facts.is_some_and(|facts| facts.issued.expires_at.is_none_or(|at| body.asked_at < at))
        }
        Refusal::TenantClosed
        | Refusal::KeyAlreadyIssued
        | Refusal::ScopeNotHeld { .. }
        | Refusal::AlreadyRecalled
        | Refusal::KeyQuarantined
        | Refusal::LastOperator => false,
    }
}

const fn brief(error: &CommandError) -> &'static str {
    match error {
        CommandError::Refused(refusal) => refusal.code(),
        CommandError::NotFound => "not found",
        CommandError::CommandIdReused => "command id reused",
        CommandError::Unavailable { .. } => "unavailable",
        CommandError::ClockSkew { .. } => "clock skew",
        CommandError::OutcomeUnknown { .. } => "outcome unknown",
    }
}
