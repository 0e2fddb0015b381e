//! The end of a run: faults off, everybody up and caught up; then nothing may differ from a rebuild from nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use application::Ambient;
use domain::{Key, StreamName};
use tokio::time::{Instant, sleep};
use verify::Moment;

use super::disk::{Disk, VIEWS};
use super::judge::{Ask, same, tells_secret};
use super::world::World;

/// Within this time of the runtime's clock everything must have settled: longer than a command may be in doubt (6 s) and
/// than a worker waits before it tries again (1 s).
pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(30);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

impl World {
    pub(crate) async fn end(&mut self) -> Result<(), String> {
        self.say("the end: all faults are over, all nodes start");
        for node in 0..self.nodes.len() {
            self.cut(node, false);
            self.slow_down(node, 0);
            self.peace(node);
            if self.nodes[node].node.running.is_none() {
                self.start(node).await;
            } else {
                self.bootstrap(node);
            }
        }
        self.settle().await?;
        for node in 0..self.nodes.len() {
            let faults = self.nodes[node].faults.clone();
            faults.settle().await;
        }
        self.settle().await?;
        self.judge_all(true)?;
        self.end_of_guards().await?;
        self.model.lock().settled()?;
        self.one_operator()?;
        self.histories()?;
        self.rebuild().await?;
        self.no_secrets()
    }

    /// Waits until every command has ended and every worker of every node has all.
    async fn settle(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            sleep(LOOK_EVERY).await;
            self.judge_all(false)?;
            let head = self.truth.lock().head();
            let restless = self.nodes.iter().position(|member| {
                member.node.running.as_ref().is_none_or(|process| {
                    let proven = !process.index.is_stale(member.node.clock.boot_ms());
                    let idle = process.commands.iter().all(tokio::task::JoinHandle::is_finished);
                    !(proven && idle && process.has_applied(head) && process.index.overlay_len() == 0)
                })
            });
            let Some(node) = restless else { return Ok(()) };
            if Instant::now() > deadline {
                let progress = self.nodes[node].node.running.as_ref().map(super::node::Process::progress);
                return Err(format!("node {node} does not settle at head {head}: {progress:?}"));
            }
        }
    }

    /// Every key's history makes a key, step by step, and no event id stands twice.
    fn histories(&self) -> Result<(), String> {
        let truth = self.truth.lock();
        let mut ids = BTreeSet::new();
        for witnessed in &truth.events {
            if !ids.insert(witnessed.recorded.id) {
                return Err(format!("event id {} stands twice", witnessed.recorded.id));
            }
        }
        for (tenant, key_id) in truth.keys.keys() {
            let stream = StreamName::Key(tenant.clone(), *key_id);
            let mut key: Option<Key> = None;
            for witnessed in truth.events.iter().filter(|witnessed| witnessed.envelope.stream == stream) {
                let next = Key::evolve(key.take(), &witnessed.envelope);
                key = Some(next.map_err(|error| format!("a history does not fold: {error}"))?);
            }
        }
        Ok(())
    }

    fn one_operator(&self) -> Result<(), String> {
        let truth = self.truth.lock();
        let operators = truth.keys.keys().filter(|(tenant, _)| tenant.is_operators()).count();
        if operators == 1 { Ok(()) } else { Err(format!("there are {operators} first operators")) }
    }

    /// A new node that has only the log must answer and show the same as each of the others.
    async fn rebuild(&mut self) -> Result<(), String> {
        let mut rng = self.rng.fork();
        let fresh = self.member(&mut rng, Disk::memory(|_| {}));
        self.nodes.push(fresh);
        let last = self.nodes.len() - 1;
        self.start(last).await;
        self.settle().await?;
        self.judge_all(true)?;
        self.compare_answers(last)?;
        self.look_back(last).await?;
        for member in &mut self.nodes {
            member.node.stop().await;
        }
        self.compare_views(last)
    }

    fn compare_answers(&self, fresh: usize) -> Result<(), String> {
        let (model, truth) = (self.model.lock(), self.truth.lock());
        let clock = &self.nodes[fresh].node.clock;
        let index = |node: usize| self.nodes[node].node.running.as_ref().map(|process| &process.index);
        let Some(rebuilt) = index(fresh) else { return Err("the rebuilt node is down".to_owned()) };
        for node in 0..fresh {
            let Some(index) = index(node) else { return Err(format!("node {node} is down")) };
            for (tenant, key_id) in truth.keys.keys() {
                if index.key(tenant, *key_id) != rebuilt.key(tenant, *key_id) {
                    return Err(format!(
                        "node {node} knows key {key_id} otherwise than a rebuilt index does"
                    ));
                }
            }
            for tenant in truth.tenants.keys() {
                if index.tenant(tenant) != rebuilt.tenant(tenant) {
                    return Err(format!(
                        "node {node} knows tenant {tenant} otherwise than a rebuilt index does"
                    ));
                }
            }
            let own = &self.nodes[node].node.clock;
            for held in model.held.values() {
                for wrong_secret in [false, true] {
                    let ask = Ask { wrong_secret, ..Ask::plain(held) };
                    // The same moment of the wall clock for both; each is fresh by its own boot clock.
                    let at = |boot_ms| Moment { now: clock.now(), boot_ms };
                    let (a, b) =
                        (ask.put_at(index, at(own.boot_ms())), ask.put_at(rebuilt, at(clock.boot_ms())));
                    if !same(&a, &b) {
                        let (a, b) = (a.verdict, b.verdict);
                        return Err(format!(
                            "of key {} node {node} says {a} and a rebuilt index {b}",
                            held.key_id
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn compare_views(&self, fresh: usize) -> Result<(), String> {
        let dump = |node: usize, view| {
            let rows = self.nodes[node].node.disk.dump(view);
            rows.map_err(|error| format!("view {view} of node {node} cannot be read: {error}"))
        };
        for view in VIEWS {
            let rebuilt = dump(fresh, view)?;
            if rebuilt.is_empty() && self.truth.lock().head().get() > 0 {
                return Err(format!("view {view} is empty after a rebuild"));
            }
            for node in 0..fresh {
                let rows = dump(node, view)?;
                if rows != rebuilt {
                    let differ = rows.iter().zip(&rebuilt).position(|(a, b)| a != b);
                    return Err(format!(
                        "view {view} of node {node} has {} rows and differs from a rebuilt one of {} rows at row {differ:?}",
                        rows.len(),
                        rebuilt.len(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// What was answered, stored or shown holds no secret; only the answers that create one do.
    fn no_secrets(&self) -> Result<(), String> {
        let (model, truth) = (self.model.lock(), self.truth.lock());
        for held in model.held.values() {
            if tells_secret(model.said.as_bytes(), held) {
                return Err(format!("the secret of key {} was told in an answer's text", held.key_id));
            }
            for witnessed in &truth.events {
                if tells_secret(&witnessed.recorded.payload, held) {
                    return Err(format!("the secret of key {} stands in the log", held.key_id));
                }
            }
        }
        Ok(())
    }
}
