//! The guards of a guarded run: what happens between them and the servers, and what they may say while it does.

use std::sync::Arc;

use application::Ambient;
use domain::Position;
use guard::Requirement;
use guard::core::{Capacity, Core, Judged};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use verify::{Moment, Verdict};
use wire::NoticeKind;

use super::ambient::SimAmbient;
use super::end::{LOOK_EVERY, SETTLED_WITHIN};
use super::guard::{SimGuard, Way};
use super::judge::{Ask, DRIFT, MAX_STALENESS, passes};
use super::model::{Held, Model};
use super::rng::Rng;
use super::steps::SLOW_MAX_MS;
use super::truth::{KeyFacts, Truth};
use super::world::{World, tenant};

/// More than there are.
const ALL: Capacity = Capacity::Cache { keys: 100, absent: 100 };
/// So few that some are asked for again and again.
const SOME: Capacity = Capacity::Cache { keys: 6, absent: 6 };

/// A consumer's machine: its clock and its way to the servers stay when its process begins anew.
pub(crate) struct GuardMember {
    number: usize,
    pub(crate) way: Arc<Way>,
    clock: Arc<SimAmbient>,
    running: Option<(Arc<SimGuard>, JoinHandle<()>)>,
    starts: u64,
    cut_since: Option<Instant>,
}

impl World {
    pub(crate) fn add_guards(&mut self, rng: &mut Rng) {
        let doors: Vec<_> = self.nodes.iter().map(|member| Arc::clone(&member.node.door)).collect();
        for number in 0..2 + usize::from(rng.one_in(2)) {
            let way = Arc::new(Way::new(doors.clone(), number % doors.len(), rng));
            let clock = Arc::new(SimAmbient::draw(rng, self.began));
            self.guards.push(GuardMember { number, way, clock, running: None, starts: 0, cut_since: None });
        }
    }

    pub(crate) async fn start_guard(&mut self, guard: usize) {
        let Some((tenant, _)) = tenant(0) else { return };
        let plant = self.setup.plants.guard;
        let member = &mut self.guards[guard];
        member.stop().await;
        member.starts += 1;
        let nonce = member.starts << 32;
        let id = format!("guard-{guard}-{}", member.starts);
        let core = Core::new(tenant.clone(), member.capacity(), nonce);
        plant(&core);
        let clock = Arc::clone(&member.clock);
        let process = Arc::new(SimGuard::new((id, tenant), core, clock, Arc::clone(&member.way)));
        let life = tokio::spawn(Arc::clone(&process).live());
        member.running = Some((process, life));
        self.seen.note("guard begins");
        self.say(&format!("guard {guard} begins"));
    }

    pub(crate) async fn take_step_of_guards(&mut self) {
        let guard = usize::try_from(self.rng.below(self.guards.len() as u64)).unwrap_or(0);
        let what = match self.rng.below(20) {
            0..2 => return self.start_guard(guard).await,
            2..5 => {
                self.guards[guard].cut();
                "is cut off".to_owned()
            }
            5..10 => {
                self.guards[guard].mend();
                "is reached again".to_owned()
            }
            10..15 => {
                let (calls, feed) = (self.rng.below(SLOW_MAX_MS), self.rng.below(SLOW_MAX_MS));
                self.guards[guard].way.calls.slow_down(calls);
                self.guards[guard].way.feed.slow_down(feed);
                self.guards[guard].way.hints.slow_down(feed);
                format!("waits up to {calls} ms for answers, {feed} ms for notices")
            }
            15..18 => {
                let is_sloppy = self.rng.one_in(2);
                self.guards[guard].way.make_sloppy(is_sloppy);
                format!("has a feed that promises {}", if is_sloppy { "nothing" } else { "order" })
            }
            _ => {
                let node = self.any_node();
                self.guards[guard].way.lead_to(node);
                format!("asks node {node} from now on")
            }
        };
        self.say(&format!("guard {guard} {what}"));
    }

    /// Once nothing is in the way any more, every guard has heard every notice, is fresh, and says what its server says.
    pub(crate) async fn end_of_guards(&mut self) -> Result<(), String> {
        let opened = |truth: &Truth| tenant(0).is_some_and(|(tenant, _)| truth.tenants.contains_key(&tenant));
        if opened(&self.truth.lock()) {
            for guard in &mut self.guards {
                guard.mend();
                guard.way.make_sloppy(false);
            }
            let deadline = Instant::now() + SETTLED_WITHIN;
            while let Err(why) = self.guards_have_settled() {
                if Instant::now() > deadline {
                    return Err(why);
                }
                sleep(LOOK_EVERY).await;
                self.judge_all(false)?;
            }
        }
        for guard in &mut self.guards {
            guard.stop().await;
        }
        Ok(())
    }

    fn guards_have_settled(&self) -> Result<(), String> {
        let (model, truth) = (self.model.lock(), self.truth.lock());
        for member in &self.guards {
            let Some((guard, _)) = &member.running else { continue };
            member.has_heard_every_notice(guard, &truth)?;
            let node = &self.nodes[member.way.at()].node;
            let Some(process) = &node.running else { return Err("a node is down in the end".to_owned()) };
            let now = node.clock.now();
            for held in model.held.values().filter(|held| held.tenant == guard.tenant) {
                let at = Moment { now, boot_ms: node.clock.boot_ms() };
                let expected = Ask::plain(held).put_at(&process.index, at).verdict;
                let at = Moment { now, boot_ms: guard.clock.boot_ms() };
                let said = judge(guard, held, at);
                let both_end = is_end(expected) && said.is_some_and(is_end);
                let is_asking = said.is_none() && member.capacity() != ALL;
                if said != Some(expected) && !both_end && !is_asking {
                    let (number, key_id) = (member.number, held.key_id);
                    return Err(format!("guard {number} says {said:?} of key {key_id}, not {expected:?}"));
                }
            }
        }
        Ok(())
    }
}

/// Of two ends at about the same time a server that has not heard both yet may tell a guard the later one: refused all the
/// same, and a guard takes no end back.
const fn is_end(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Revoked | Verdict::Recalled | Verdict::Expired)
}

fn judge(guard: &SimGuard, held: &Held, at: Moment) -> Option<Verdict> {
    match guard.core.judge(&held.token, &Requirement::any(), at) {
        Judged::Answer(decision) => Some(decision.verdict),
        Judged::Ask(key_id) => {
            guard.want(key_id);
            None
        }
    }
}

impl GuardMember {
    const fn capacity(&self) -> Capacity {
        if self.number.is_multiple_of(2) { ALL } else { SOME }
    }

    fn cut(&mut self) {
        self.cut_since.get_or_insert_with(Instant::now);
        self.way.calls.cut(true);
        self.way.feed.cut(true);
        self.way.hints.cut(true);
    }

    fn mend(&mut self) {
        self.cut_since = None;
        for line in [&self.way.calls, &self.way.feed, &self.way.hints] {
            line.cut(false);
            line.slow_down(0);
        }
    }

    async fn stop(&mut self) {
        if let Some((_, life)) = self.running.take() {
            life.abort();
            let _ = life.await;
        }
    }

    /// Presents every key that anybody holds.
    pub(crate) fn judge_all(&self, model: &Model, truth: &Truth) -> Result<(), String> {
        let Some((guard, _)) = &self.running else { return Ok(()) };
        let at = Moment { now: self.clock.now(), boot_ms: self.clock.boot_ms() };
        for held in model.held.values() {
            let Some(verdict) = judge(guard, held, at) else { continue };
            self.way.seen.lock().note(&format!("guard says {}", verdict.as_str()));
            let facts = truth.keys.get(&(held.tenant.clone(), held.key_id));
            if let Some(why) = self.broken_promise((guard, held), facts, verdict, truth) {
                let (number, key_id) = (self.number, held.key_id);
                return Err(format!("guard {number} says {verdict} of key {key_id}: {why}"));
            }
        }
        Ok(())
    }

    fn broken_promise(
        &self,
        (guard, held): (&SimGuard, &Held),
        facts: Option<&KeyFacts>,
        verdict: Verdict,
        truth: &Truth,
    ) -> Option<String> {
        let now = Instant::now();
        let Some(facts) = facts.filter(|_| held.tenant == guard.tenant) else {
            let is_nobody = matches!(verdict, Verdict::Unknown | Verdict::Malformed);
            return (!is_nobody).then(|| "it is no key of its tenant".to_owned());
        };
        let says_ended = matches!(verdict, Verdict::Revoked | Verdict::Recalled);
        if says_ended && !facts.latest().key.has_ended() {
            return Some("that never happened".to_owned());
        }
        if !passes(verdict) {
            return None;
        }
        let closed = truth.tenants.get(&held.tenant).and_then(|facts| facts.closed);
        if let Some((position, at)) = facts.refused.or(closed) {
            let late = now.duration_since(at);
            if late > MAX_STALENESS + DRIFT {
                let late = late.as_millis();
                return Some(format!("its revocation was committed {late} ms ago at position {position}"));
            }
            if position <= guard.core.applied() {
                return Some(format!("it has applied its end at position {position}"));
            }
        }
        let cut = self.cut_since.map(|since| now.duration_since(since));
        let cut = cut.filter(|cut| *cut > MAX_STALENESS + DRIFT);
        cut.map(|cut| format!("nobody has reached it for {} ms", cut.as_millis()))
    }

    /// The notices of its tenant since its feed began, each once and in order.
    fn has_heard_every_notice(&self, guard: &SimGuard, truth: &Truth) -> Result<(), String> {
        let ledger = guard.ledger.lock();
        let notices = truth.events.iter().filter(|witnessed| {
            *witnessed.envelope.stream.tenant() == guard.tenant
                && NoticeKind::of(&witnessed.envelope).is_some()
        });
        let positions = notices.map(|witnessed| witnessed.recorded.position);
        let expected: Vec<Position> = positions.filter(|position| *position > ledger.began).collect();
        if ledger.taken == expected {
            return Ok(());
        }
        let (number, began, taken) = (self.number, ledger.began, &ledger.taken);
        Err(format!("guard {number}, which began at {began}, has taken {taken:?} and not {expected:?}"))
    }
}
