//! What was promised so far: every attempt of every command with how it ended, held against what stands in the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use application::{Changed, CommandError, Imported, Issued, Leaked, Recalled, Rotated};
use domain::{CommandId, Event, KeyId, ParsedKey, PlainKey, Position, StreamName, TenantId, Timestamp};
use parking_lot::Mutex;

use super::asked::{Body, Change, Verb};
use super::refusals::is_true;
use super::rng::Rng;
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
    /// Another system made it.
    pub(crate) imported: bool,
}

/// One attempt, from its begin to its end.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) effect: Effect,
    pub(crate) node: usize,
    number: usize,
    pub(crate) body: Body,
    /// Where the log ended when it began.
    pub(crate) began_at: Position,
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
    /// The recalls that each node has acknowledged.
    recalled_by: BTreeMap<usize, BTreeSet<Position>>,
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
            recalled_by: BTreeMap::new(),
            said: String::new(),
            seen: Seen::default(),
            fault: None,
        }
    }

    pub(crate) fn has_refused(&self, node: usize, key_id: KeyId) -> bool {
        self.refused_by.get(&node).is_some_and(|keys| keys.contains(&key_id))
    }

    pub(crate) fn has_recalled(&self, node: usize, position: Position) -> bool {
        self.recalled_by.get(&node).is_some_and(|recalls| recalls.contains(&position))
    }

    /// Something that was asked before, if its client can know the id: one that the server made up is told with the answer.
    pub(crate) fn to_ask_again(&self, rng: &mut Rng) -> Option<Body> {
        let body = rng.pick(&self.asked)?;
        let first = || self.attempts.get(&(body.stream(), body.command_id.clone()))?.endings.first();
        let is_known = body.may_be_repeat || first().is_some_and(|ending| *ending != Ending::Open);
        is_known.then(|| body.clone())
    }

    /// Notes that an attempt begins.
    pub(crate) fn begin(&mut self, node: usize, body: Body) -> Attempt {
        let effect = (body.stream(), body.command_id.clone());
        let (exists_before, began_at) = {
            let truth = self.truth.lock();
            (body.target_exists(&truth), truth.head())
        };
        let attempts = self.attempts.entry(effect.clone()).or_default();
        attempts.endings.push(Ending::Open);
        let acknowledged_before = attempts.acknowledged.as_ref().is_some_and(|(_, first)| *first == body);
        let number = attempts.endings.len() - 1;
        Attempt { effect, node, number, body, began_at, acknowledged_before, exists_before }
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
            (ending, &checked, &attempt.effect.0, attempt.body.ends_a_key())
        {
            self.refused_by.entry(attempt.node).or_default().insert(*key_id);
        }
        if let (Ok(_), Ok(()), Some(Change::Cancel)) = (ending, &checked, attempt.body.change()) {
            self.note_retired(attempt);
        }
        self.note(checked);
        self.told(ending.as_ref(), attempt.body.name())
    }

    /// A rotation that was called off has retired its successor, if that had not ended before.
    fn note_retired(&mut self, attempt: &Attempt) {
        let truth = self.truth.lock();
        let Some((_, last)) = truth.span(&attempt.effect.0, &attempt.effect.1) else { return };
        let retired = truth.at(last).filter(|last| matches!(last.envelope.event, Event::KeyRevoked(_)));
        if let Some(key_id) = retired.and_then(|retired| retired.envelope.stream.key_id()) {
            self.refused_by.entry(attempt.node).or_default().insert(key_id);
        }
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
            Ok(issued) => self.done_secret(attempt, &issued.changed, issued.key_id, issued.key.as_ref()),
            Err(error) => self.not_done(attempt, error, now),
        };
        self.note(checked);
        self.told(ending.as_ref().map(|issued| &issued.changed), "issued")
    }

    /// Notes how the begin of a rotation ended, and whether it could end so.
    pub(crate) fn end_rotate(
        &mut self,
        attempt: &Attempt,
        ending: &Result<Rotated, CommandError>,
        now: Timestamp,
    ) -> String {
        self.hear(ending);
        let checked = match ending {
            Ok(rotated) => {
                self.done_secret(attempt, &rotated.changed, rotated.successor, rotated.key.as_ref())
            }
            Err(error) => self.not_done(attempt, error, now),
        };
        self.note(checked);
        self.told(ending.as_ref().map(|rotated| &rotated.changed), "rotated")
    }

    /// Notes how an import ended, and whether it could end so.
    pub(crate) fn end_import(
        &mut self,
        attempt: &Attempt,
        ending: &Result<Imported, CommandError>,
        now: Timestamp,
    ) -> String {
        self.hear(ending);
        let checked = match ending {
            Ok(Imported::New { changed, .. }) => self.done(attempt, changed).map(|_| ()),
            Ok(Imported::Known { .. }) => {
                self.attempts.entry(attempt.effect.clone()).or_default().endings[attempt.number] =
                    Ending::Nothing;
                let stands = attempt.effect.0.key_id().is_some_and(|key_id| {
                    let id = (attempt.effect.0.tenant().clone(), key_id);
                    self.truth.lock().keys.contains_key(&id)
                });
                if stands { Ok(()) } else { Err(format!("{} is not known", attempt.body)) }
            }
            Err(error) => self.not_done(attempt, error, now),
        };
        if let (Ok(_), Ok(()), StreamName::Key(tenant, key_id), Verb::Import(_, token)) =
            (ending, &checked, &attempt.effect.0, &attempt.body.verb)
        {
            let held = Held { tenant: tenant.clone(), key_id: *key_id, token: token.clone(), imported: true };
            self.held.insert(*key_id, held);
        }
        self.note(checked);
        match ending {
            Ok(Imported::Known { .. }) => {
                self.seen.note("imported before");
                "imported before".to_owned()
            }
            Ok(Imported::New { changed, .. }) => self.told(Ok(changed), "imported"),
            Err(error) => self.told(Err(error), "imported"),
        }
    }

    /// Notes how a recall ended, and whether it could end so.
    pub(crate) fn end_recall(
        &mut self,
        attempt: &Attempt,
        ending: &Result<Recalled, CommandError>,
        now: Timestamp,
    ) -> String {
        self.hear(ending);
        let checked = match ending {
            Ok(recalled) => self.done(attempt, &recalled.changed).map(|_| ()),
            Err(error) => self.not_done(attempt, error, now),
        };
        if let (Ok(recalled), Ok(())) = (ending, &checked) {
            let cascaded = recalled.cascaded.iter().map(|cascaded| cascaded.position);
            for position in [recalled.changed.position].into_iter().chain(cascaded) {
                self.recalled_by.entry(attempt.node).or_default().insert(position);
            }
            self.seen.note_times("cascaded", recalled.cascaded.len() as u64);
        }
        self.note(checked);
        self.told(ending.as_ref().map(|recalled| &recalled.changed), "recalled")
    }

    /// Notes how a report of a leak ended, and whether it could end so.
    pub(crate) fn end_leak(
        &mut self,
        attempt: &Attempt,
        ending: &Result<Leaked, CommandError>,
        now: Timestamp,
    ) -> String {
        self.hear(ending);
        let checked = match ending {
            Ok(leaked) => self.done(attempt, &leaked.changed).and_then(|event| match event {
                Event::KeyLeaked(stands) if stands.response == leaked.response => Ok(stands.response),
                _ => Err(format!("{} was answered with another response than stands", attempt.body)),
            }),
            Err(error) => self.not_done(attempt, error, now).map(|()| domain::LeakResponse::Suspend),
        };
        if let (Ok(_), Ok(domain::LeakResponse::Revoke), Some(key_id)) =
            (ending, &checked, attempt.effect.0.key_id())
        {
            self.refused_by.entry(attempt.node).or_default().insert(key_id);
        }
        self.note(checked.map(|_| ()));
        self.told(ending.as_ref().map(|leaked| &leaked.changed), "leaked")
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
            if truth.at(changed.position).is_none() {
                return Err(format!("{}, which is not in the log (head {})", what(), truth.head()));
            }
            let Some(Witnessed { envelope, .. }) = truth.effect(&effect.0, &effect.1) else {
                return Err(format!("{}, where something else stands", what()));
            };
            if truth.span(&effect.0, &effect.1).is_none_or(|(_, last)| last != changed.position) {
                return Err(format!("{}, where something else stands", what()));
            }
            if (envelope.revision, envelope.occurred_at) != (changed.revision, changed.occurred_at) {
                return Err(format!("{} with another revision or time than it has", what()));
            }
            if !truth.effects_of(&effect.0, &effect.1).all(|made| body.made(&made.envelope.event)) {
                return Err(format!("{}, but another request under its command id was carried out", what()));
            }
            if !body.is_all_done(&truth, changed.position) {
                return Err(format!("{}, but only a part of it was carried out", what()));
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

    /// A change that makes a key and shows its secret once.
    fn done_secret(
        &mut self,
        attempt: &Attempt,
        changed: &Changed,
        key_id: KeyId,
        key: Option<&PlainKey>,
    ) -> Result<(), String> {
        self.done(attempt, changed)?;
        let body = &attempt.body;
        let tenant = attempt.effect.0.tenant();
        if key_id != body.made_key() {
            return Err(format!("{body} answered with another key id"));
        }
        if key.is_some() == changed.repeated {
            return Err(format!(
                "{body}: the secret is shown by the attempt that issued the key and by no other"
            ));
        }
        let Some(key) = key else { return Ok(()) };
        let parsed =
            ParsedKey::parse(key.expose()).map_err(|error| format!("{body} showed no key: {error}"))?;
        let stands = self.truth.lock().keys.get(&(tenant.clone(), key_id)).map(|facts| facts.digest);
        if parsed.key_id != key_id || stands != Some(parsed.digest()) {
            return Err(format!("{body} showed a secret that does not open the key that stands"));
        }
        let attempts = self.attempts.entry(attempt.effect.clone()).or_default();
        attempts.secrets_shown += 1;
        if attempts.secrets_shown > 1 {
            return Err(format!("{body} showed a secret for the second time"));
        }
        let token = key.expose().to_owned();
        let held = Held { tenant: tenant.clone(), key_id, token, imported: false };
        self.held.insert(key_id, held);
        Ok(())
    }

    /// A refusal must be true, and what was acknowledged before is not refused.
    fn not_done(&mut self, attempt: &Attempt, error: &CommandError, now: Timestamp) -> Result<(), String> {
        let Attempt { effect, number, body, .. } = attempt;
        let ending = match error {
            CommandError::OutcomeUnknown { .. } => Ending::Unknown,
            // The rotation stands, and its successor is retired.
            CommandError::RotationOvertaken { position, .. } => Ending::Done(*position),
            _ => Ending::Nothing,
        };
        self.attempts.entry(effect.clone()).or_default().endings[*number] = ending;
        let wrong = |why: &str| Err(format!("{body} was answered {}, but {why}", brief(error)));
        let truth = self.truth.lock();
        if attempt.acknowledged_before && error_settles(error) {
            return wrong("it had been acknowledged before");
        }
        match error {
            CommandError::Refused(refusal) if !is_true(refusal, attempt, &truth, now) => {
                wrong("that is not so")
            }
            CommandError::NotFound if attempt.exists_before => wrong("it existed when it was asked for"),
            CommandError::CommandIdReused => match truth.effect(&effect.0, &effect.1) {
                Some(other) if !body.made(&other.envelope.event) => Ok(()),
                Some(_) => wrong("it is the very request that stands under its command id"),
                None => wrong("the command id does not stand in its stream"),
            },
            CommandError::OutcomeUnknown { command_id, key_id, .. } => {
                let named = key_id.is_none_or(|key_id| body.made_key() == key_id);
                if *command_id == effect.1 && named {
                    Ok(())
                } else {
                    wrong("it names another command or key")
                }
            }
            CommandError::RotationOvertaken { successor, position } => {
                let stands = truth.span(&effect.0, &effect.1).is_some_and(|(_, last)| last == *position);
                if stands && body.made_key() == *successor {
                    Ok(())
                } else {
                    wrong("no such rotation stands there")
                }
            }
            CommandError::ClockSkew { .. } => wrong("no clock is so far off"),
            CommandError::SealMissing { .. } => wrong("no seal is ever lost"),
            CommandError::RevisionMismatch { .. } => wrong("no revision was asked for"),
            CommandError::PreviewInvalid => wrong("the preview was made a moment ago"),
            CommandError::Refused(_)
            | CommandError::NotFound
            | CommandError::PreviewOutdated { .. }
            | CommandError::Unavailable { .. } => Ok(()),
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
        let ids: BTreeSet<&str> = self.attempts.keys().map(|(_, id)| id.as_str()).collect();
        let unasked = truth.events.iter().map(|event| &event.envelope).find(|envelope| {
            let by_cascade = envelope.cause == domain::Cause::Cascade;
            !(by_cascade
                || ids.contains(envelope.command_id.as_str())
                || envelope.stream.tenant().is_operators())
        });
        unasked.map_or(Ok(()), |envelope| {
            let (id, stream) = (&envelope.command_id, &envelope.stream);
            Err(format!("command {id} stands in {stream}, but nobody asked for it"))
        })
    }
}

/// Whether an answer says that the command has not been carried out, for good.
const fn error_settles(error: &CommandError) -> bool {
    match error {
        CommandError::Refused(_)
        | CommandError::NotFound
        | CommandError::CommandIdReused
        | CommandError::RotationOvertaken { .. } => true,
        CommandError::RevisionMismatch { .. }
        | CommandError::SealMissing { .. }
        | CommandError::PreviewInvalid
        | CommandError::PreviewOutdated { .. }
        | CommandError::Unavailable { .. }
        | CommandError::ClockSkew { .. }
        | CommandError::OutcomeUnknown { .. } => false,
    }
}

const fn brief(error: &CommandError) -> &'static str {
    match error {
        CommandError::Refused(refusal) => refusal.code(),
        CommandError::NotFound => "not found",
        CommandError::CommandIdReused => "command id reused",
        CommandError::RotationOvertaken { .. } => "rotation overtaken",
        CommandError::SealMissing { .. } => "seal missing",
        CommandError::RevisionMismatch { .. } => "revision mismatch",
        CommandError::PreviewInvalid => "preview invalid",
        CommandError::PreviewOutdated { .. } => "preview outdated",
        CommandError::Unavailable { .. } => "unavailable",
        CommandError::ClockSkew { .. } => "clock skew",
        CommandError::OutcomeUnknown { .. } => "outcome unknown",
    }
}
