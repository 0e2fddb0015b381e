//! Verdicts that were given are kept, and asked about again at the end: what the log says of that moment must be the same.

use domain::{KeyId, Position, TenantId, Timestamp};
use projection::{Explained, Past, Question};
use verify::{Answer, Verdict};

use super::Length;
use super::judge::{Ask, passes};
use super::rng::Rng;
use super::truth::{Truth, is_hit};
use super::world::World;

/// Verdicts of one run that are asked about again: so many that a thousand seeds have more than ten thousand.
const CASES: usize = 16;
/// Those of a run that is one of many.
const CASES_SHORT: usize = 2;
/// Moments of one run whose positions are found again.
const MOMENTS: usize = 3;

/// One verdict that a node gave.
#[derive(Clone, Debug)]
struct Given {
    ask: Ask,
    now: Timestamp,
    verdict: Verdict,
    /// How far its index had come.
    position: Position,
}

/// Some of all verdicts of a run, each with the same chance.
#[derive(Debug)]
pub(crate) struct Hindsight {
    kept: Vec<Given>,
    given: u64,
    /// Its own, so that what it keeps changes nothing of what happens or is asked.
    rng: Rng,
}

impl Hindsight {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { kept: Vec::new(), given: 0, rng: Rng::new(!seed) }
    }

    /// Keeps a verdict, or not. One that depends on the secret, or on whose tenant was named, says nothing of the key.
    pub(crate) fn hear(&mut self, length: Length, ask: &Ask, answer: &Answer, now: Timestamp) {
        let by_its_holder = match &ask.tenant {
            Some(tenant) => *tenant == ask.held.tenant,
            None => !ask.held.imported,
        };
        if ask.wrong_secret || !by_its_holder {
            return;
        }
        self.given += 1;
        let most = if length == Length::Long { CASES } else { CASES_SHORT };
        let place = usize::try_from(self.rng.below(self.given)).unwrap_or(usize::MAX);
        if self.kept.len() >= most && place >= most {
            return;
        }
        let given = Given { ask: ask.clone(), now, verdict: answer.verdict, position: answer.as_of.position };
        match self.kept.len() < most {
            true => self.kept.push(given),
            false => self.kept[place] = given,
        }
    }
}

impl World {
    /// Asks the log about what was answered, by a node that has only the log.
    pub(crate) async fn look_back(&mut self, node: usize) -> Result<(), String> {
        let kept = std::mem::take(&mut self.hindsight.kept);
        let Some(process) = &self.nodes[node].node.running else {
            return Err(format!("node {node} is down"));
        };
        let mut past = process.past().ok_or_else(|| format!("node {node} has no projection"))?;
        (self.setup.plants.past)(&mut past);
        for given in &kept {
            let explained = explain(&past, given, given.position).await?;
            if !agrees(given, explained.verdict) {
                self.was_ahead(&past, given, explained.verdict).await?;
                self.seen.note("ahead of its index");
            }
            self.seen.note("explained");
        }
        for given in kept.iter().take(MOMENTS) {
            self.finds_again(&past, given.now).await?;
        }
        self.shows_again(&past, node).await
    }

    /// What differs from the log at that position must be an end that stands behind it, of which the node had heard from the
    /// command itself.
    async fn was_ahead(&self, past: &Past, given: &Given, then: Verdict) -> Result<(), String> {
        let (tenant, key_id) = (&given.ask.held.tenant, given.ask.held.key_id);
        let wrong = || {
            Err(format!(
                "of key {key_id} a node said {} as of {}, and the log says {then} of that moment",
                given.verdict, given.position
            ))
        };
        let end = match given.verdict {
            Verdict::Revoked => revoked_behind(&self.truth.lock(), tenant, key_id, given.position),
            Verdict::Recalled => recalled_behind(&self.truth.lock(), tenant, key_id, given.position),
            _ => return wrong(),
        };
        match end {
            Behind::At(position) => {
                let at_its_end = explain(past, given, position).await?.verdict;
                // A recall that came between the two has ended it first.
                let ended = matches!(at_its_end, Verdict::Revoked | Verdict::Recalled);
                if agrees(given, at_its_end) || ended { Ok(()) } else { wrong() }
            }
            // It was refused, for a recall that in the end did not mean it any more.
            Behind::Changed => Ok(()),
            Behind::Nowhere => wrong(),
        }
    }

    /// The position of a moment is the last one whose log time is not above it.
    async fn finds_again(&self, past: &Past, moment: Timestamp) -> Result<(), String> {
        let (expected, log_time) = {
            let truth = self.truth.lock();
            let mut log_time = Timestamp::default();
            let mut last = (Position::NONE, log_time);
            for event in &truth.events {
                log_time = log_time.max(event.envelope.occurred_at);
                if log_time <= moment {
                    last = (event.recorded.position, log_time);
                }
            }
            last
        };
        let found = past.position_at(moment).await.map_err(|error| error.to_string())?;
        let told = past.log_time(found).await.map_err(|error| error.to_string())?;
        if (found, told) == (expected, log_time) {
            return Ok(());
        }
        Err(format!("of {moment} the log found position {found} at {told}, not {expected} at {log_time}"))
    }

    /// Every key made again from the log is what the view of keys shows.
    async fn shows_again(&self, past: &Past, node: usize) -> Result<(), String> {
        let (keys, head) = {
            let truth = self.truth.lock();
            (truth.keys.keys().cloned().collect::<Vec<_>>(), truth.head())
        };
        let view = self.nodes[node].node.running.as_ref().and_then(super::node::Process::keys);
        let Some(view) = view else { return Err(format!("node {node} is down")) };
        for (tenant, key_id) in keys {
            let shown = view.one(&tenant, key_id).await.map_err(|error| error.to_string())?;
            let then = past.key_at(&tenant, key_id, head).await.map_err(|error| error.to_string())?;
            if shown != then {
                return Err(format!("key {key_id} is shown as {shown:?}, and made from the log as {then:?}"));
            }
        }
        Ok(())
    }
}

async fn explain(past: &Past, given: &Given, position: Position) -> Result<Explained, String> {
    let question = Question {
        tenant: given.ask.held.tenant.clone(),
        key_id: given.ask.held.key_id,
        scope: given.ask.scope.clone(),
        network: given.ask.network,
    };
    let explained = past.explain(&question, position, given.now).await.map_err(|error| error.to_string())?;
    let explained = explained.ok_or_else(|| format!("the log has no key {}", question.key_id))?;
    let decided_at = explained.decided_by.as_ref().map(|event| event.position);
    let none_yet = explained.begins_at > position;
    if decided_at.is_none() != none_yet || decided_at.is_some_and(|at| at > position) {
        return Err(format!("of key {} at {position} the event at {decided_at:?} decided", question.key_id));
    }
    Ok(explained)
}

/// Whether a verdict from the log is the one that was given. One who is stale knows only that nothing he knows of refuses.
fn agrees(given: &Given, then: Verdict) -> bool {
    match given.verdict {
        Verdict::Stale => passes(then),
        // What is no key of our form is another system's, or nothing.
        Verdict::Malformed => then == Verdict::Unknown,
        verdict => verdict == then,
    }
}

/// Where an end stands of which a node had heard ahead of its index.
enum Behind {
    At(Position),
    /// The key changed before the recall that it was refused for.
    Changed,
    Nowhere,
}

fn revoked_behind(truth: &Truth, tenant: &TenantId, key_id: KeyId, position: Position) -> Behind {
    let said = truth.keys.get(&(tenant.clone(), key_id)).map(|facts| facts.said.clone()).unwrap_or_default();
    let end = said.iter().find(|(at, standing)| *at > position && *standing == domain::Standing::Revoked);
    end.map_or(Behind::Nowhere, |(at, _)| Behind::At(*at))
}

fn recalled_behind(truth: &Truth, tenant: &TenantId, key_id: KeyId, position: Position) -> Behind {
    let Some(facts) = truth.keys.get(&(tenant.clone(), key_id)) else { return Behind::Nowhere };
    let Some(version) = facts.at(position) else { return Behind::Nowhere };
    let recalls = truth.tenants.get(tenant).map(|facts| facts.recalls.as_slice()).unwrap_or_default();
    let hit = recalls.iter().find(|(at, selector)| *at > position && is_hit(&version.key, selector));
    let Some((at, _)) = hit else { return Behind::Nowhere };
    let changed = facts.versions.iter().any(|other| other.position > position && other.position < *at);
    if changed { Behind::Changed } else { Behind::At(*at) }
}
