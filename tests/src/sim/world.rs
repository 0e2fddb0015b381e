//! The simulated world: the log, the nodes on it, and the look at every verdict after every step.

use std::sync::Arc;
use std::time::Duration;

use application::Ambient;
use domain::{LogId, Prefix, Scope, TenantId};
use eventlog::{Fault, FaultyLog, MemorySeals, Rates};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::ambient::SimAmbient;
use super::asked::{Body, Verb};
use super::cable::{Cable, Line};
use super::disk::Disk;
use super::guarded::GuardMember;
use super::hindsight::Hindsight;
use super::judge::{Ask, Judged};
use super::model::Model;
use super::node::Node;
use super::operators::OperatorFile;
use super::rng::Rng;
use super::seen::Seen;
use super::sent::Sent;
use super::trace::Trace;
use super::truth::{Truth, WitnessedLog};
use super::{Failure, Length, Report, Setup, Views};

/// The tenants that may be opened; the first one is from the start.
pub(crate) const TENANTS: [(&str, &str); 3] = [("acme", "rsk"), ("lists", "rsk"), ("sender-7", "snd")];
/// Steps of one run: enough for crash, restart and repeat to meet, few enough for many seeds.
const STEPS_MIN: u64 = 100;
const STEPS_MORE: u64 = 200;
/// Steps of a short run.
const SHORT_STEPS_MIN: u64 = 20;
const SHORT_STEPS_MORE: u64 = 21;
/// Steps of a guarded run.
const GUARDED_STEPS_MIN: u64 = 50;
const GUARDED_STEPS_MORE: u64 = 50;
/// The most faults in a thousand calls, while there are any.
const FAULTS_MAX: u64 = 200;

pub(crate) struct World {
    /// Decides what happens.
    pub(crate) rng: Rng,
    /// Decides what is asked about it. How often that is depends on the order in which tasks end within one moment, which
    /// the runtime does not promise; so it must not decide what happens next.
    curious: Rng,
    pub(crate) nodes: Vec<Member>,
    /// Only in guarded runs.
    pub(crate) guards: Vec<GuardMember>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) truth: Arc<Mutex<Truth>>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    pub(crate) setup: Setup,
    pub(crate) base: WitnessedLog,
    pub(crate) seals: MemorySeals,
    pub(crate) began: Instant,
    pub(crate) step: u64,
    pub(crate) seen: Seen,
    /// Verdicts that are asked about again at the end.
    pub(crate) hindsight: Hindsight,
}

/// A node and its line to the log, with what may happen on it.
pub(crate) struct Member {
    pub(crate) node: Node,
    line: Arc<Line>,
    pub(crate) faults: FaultyLog<WitnessedLog>,
    pub(crate) away_since: Option<Instant>,
    pub(crate) operator: OperatorFile,
}

impl World {
    pub(crate) async fn live(seed: u64, setup: Setup) -> Result<Report, Failure> {
        let mut world = Self::create(seed, setup).map_err(|what| Failure {
            seed,
            length: setup.length,
            what,
            steps: Vec::new(),
        })?;
        let lived = world.go().await;
        let trace = world.trace.lock();
        match lived {
            Ok(()) => Ok(Report {
                trace_hash: trace.hash(),
                steps: world.step,
                events: world.truth.lock().head().get(),
                seen: world.met(),
            }),
            Err(what) => Err(Failure { seed, length: setup.length, what, steps: trace.told() }),
        }
    }

    fn met(&self) -> Seen {
        let mut seen = self.seen.clone();
        seen.add(&self.model.lock().seen);
        for guard in &self.guards {
            seen.add(&guard.way.seen.lock());
        }
        for fault in Fault::ALL {
            let times = self.nodes.iter().map(|member| member.faults.happened(fault)).sum();
            seen.note_times(&format!("{fault:?}"), times);
        }
        seen
    }

    fn create(seed: u64, setup: Setup) -> Result<Self, String> {
        let mut rng = Rng::new(seed);
        let began = Instant::now();
        let seals = MemorySeals::default();
        let log_id = LogId::from_u128(u128::from(rng.next()));
        let (base, truth) = WitnessedLog::create(log_id, seals.clone());
        let mut world = Self {
            nodes: Vec::new(),
            guards: Vec::new(),
            model: Arc::new(Mutex::new(Model::new(Arc::clone(&truth)))),
            truth,
            trace: Arc::new(Mutex::new(Trace::begin(began))),
            setup,
            base,
            seals,
            began,
            step: 0,
            seen: Seen::default(),
            hindsight: Hindsight::new(seed),
            rng: rng.fork(),
            curious: rng.fork(),
        };
        let nodes = match setup.length {
            Length::Long => 1 + rng.below(3),
            Length::Short => 2,
            Length::Guarded => 2 + rng.below(2),
        };
        for _ in 0..nodes {
            let disk = match setup.views {
                Views::Memory => Disk::memory(setup.plants.disk),
                Views::Sled => Disk::sled().map_err(|error| format!("no folder for sled: {error}"))?,
            };
            let member = world.member(&mut rng, disk);
            world.nodes.push(member);
        }
        if setup.length == Length::Guarded {
            world.add_guards(&mut rng);
        }
        Ok(world)
    }

    pub(crate) fn member(&self, rng: &mut Rng, disk: Disk) -> Member {
        let faults = FaultyLog::new(self.base.clone(), rng.next(), Rates::NONE);
        let (cable, line) = Cable::lay(Arc::new(faults.clone()), rng.fork());
        let log = (self.setup.plants.log)(Arc::new(cable));
        let clock = SimAmbient::draw(rng, self.began);
        let node = Node::new(clock, disk, log, self.seals.clone(), self.setup.plants);
        Member { node, line, faults, away_since: None, operator: OperatorFile::default() }
    }

    async fn go(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            self.start(node).await;
        }
        for guard in 0..self.guards.len() {
            self.start_guard(guard).await;
        }
        if let Some((tenant, prefix)) = tenant(0) {
            self.ask(Verb::Open { tenant, prefix });
        }
        let (least, more) = match self.setup.length {
            Length::Long => (STEPS_MIN, STEPS_MORE),
            Length::Short => (SHORT_STEPS_MIN, SHORT_STEPS_MORE),
            Length::Guarded => (GUARDED_STEPS_MIN, GUARDED_STEPS_MORE),
        };
        let steps = least + self.rng.below(more);
        for step in 0..steps {
            self.step = step;
            match self.setup.length {
                Length::Long => self.take_step().await,
                Length::Short => self.take_short_step().await,
                Length::Guarded => self.take_guarded_step().await,
            }
            self.look().await?;
        }
        self.end().await
    }

    /// Lets things go on for a moment, in small pieces, and judges all that can be asked after each.
    async fn look(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.below(4) {
            tokio::task::yield_now().await;
            self.judge_all(false)?;
        }
        let pause = match self.rng.below(20) {
            0..8 => 0,
            8..14 => 1 + self.rng.below(20),
            14..18 => self.rng.below(1_000),
            _ => self.rng.below(7_000),
        };
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
        self.judge_all(false)
    }

    /// Asks every running node about every key that anybody holds.
    pub(crate) fn judge_all(&mut self, settled: bool) -> Result<(), String> {
        let model = self.model.lock();
        let truth = self.truth.lock();
        if let Some(fault) = model.fault.as_ref().or(truth.fault.as_ref()) {
            return Err(fault.clone());
        }
        for (number, member) in self.nodes.iter().enumerate() {
            let Some(process) = &member.node.running else { continue };
            let clock = &member.node.clock;
            let judged = Judged {
                node: number,
                now: clock.now(),
                away_since: member.away_since,
                settled,
                model: &model,
                truth: &truth,
            };
            for held in model.held.values() {
                let mut ask = Ask::plain(held);
                vary(&mut ask, &mut self.curious);
                let answer = ask.put(&process.index, clock);
                self.seen.note(answer.verdict.as_str());
                judged.check(&ask, &answer)?;
                self.hindsight.hear(self.setup.length, &ask, &answer, judged.now);
            }
        }
        for guard in &self.guards {
            guard.judge_all(&model, &truth)?;
        }
        Ok(())
    }

    pub(crate) fn say(&self, text: &str) {
        self.trace.lock().line(text);
    }

    pub(crate) async fn start(&mut self, node: usize) {
        self.say(&format!("node {node} starts"));
        self.nodes[node].node.start().await;
        self.bootstrap(node);
    }

    pub(crate) fn cut(&mut self, node: usize, cut: bool) {
        let member = &mut self.nodes[node];
        if member.away_since.is_some() == cut {
            return;
        }
        member.away_since = cut.then(Instant::now);
        member.line.cut(cut);
        self.seen.note("line cut or mended");
        self.say(&format!("node {node}: its line is {}", if cut { "cut" } else { "mended" }));
    }

    /// The answers of a node's log take long from now on, or no time.
    pub(crate) fn slow_down(&mut self, node: usize, most_ms: u64) {
        self.nodes[node].line.slow_down(most_ms);
        self.seen.note("slow line");
        self.say(&format!("node {node}: answers take up to {most_ms} ms"));
    }

    /// Faults of one kind or of all, from now on.
    pub(crate) fn trouble(&mut self, node: usize) {
        let per_mille = u16::try_from(self.rng.below(FAULTS_MAX)).unwrap_or(0);
        let kind = usize::try_from(self.rng.below(2 * Fault::ALL.len() as u64)).unwrap_or(0);
        let kind = Fault::ALL.get(kind);
        let rates = kind.map_or(Rates::all(per_mille), |kind| Rates::NONE.with(*kind, 5 * per_mille));
        self.nodes[node].faults.set_rates(rates);
        let name = kind.map_or_else(|| "all".to_owned(), |kind| format!("{kind:?}"));
        self.say(&format!("node {node}: faults begin: {name}, {per_mille} of 1000"));
    }

    pub(crate) fn peace(&mut self, node: usize) {
        self.nodes[node].faults.set_rates(Rates::NONE);
        self.say(&format!("node {node}: faults end"));
    }

    /// Sends a command to a node; it is carried out while the simulation goes on.
    pub(crate) fn send(&mut self, node: usize, mut body: Body) {
        let member = &mut self.nodes[node].node;
        let Some(process) = &mut member.running else { return };
        body.asked_at = member.clock.now();
        self.trace.lock().line(&format!("node {node}: {body}"));
        let sent = Sent {
            attempt: self.model.lock().begin(node, body.clone()),
            body,
            application: Arc::clone(&process.application),
            index: Arc::clone(&process.index),
            clock: Arc::clone(&member.clock),
            model: Arc::clone(&self.model),
            truth: Arc::clone(&self.truth),
            trace: Arc::clone(&self.trace),
        };
        process.commands.retain(|command| !command.is_finished());
        process.commands.push(tokio::spawn(sent.carry_out()));
    }
}

/// Asks not always the same of a key.
fn vary(ask: &mut Ask, rng: &mut Rng) {
    let text = |text: &str| text.parse::<Scope>().ok();
    match rng.below(12) {
        0 => ask.wrong_secret = true,
        1 => ask.tenant = tenant(rng.below(3)).map(|(tenant, _)| tenant),
        2 => ask.scope = text("campaigns:send"),
        3 => ask.scope = text("lists:read:all"),
        4 => ask.network = "192.0.2.7".parse().ok(),
        5 => ask.network = "2001:db8::7".parse().ok(),
        _ => {}
    }
}

/// One of the tenants, and what its keys begin with.
pub(crate) fn tenant(number: u64) -> Option<(TenantId, Prefix)> {
    let (tenant, prefix) = TENANTS[usize::try_from(number).ok()? % TENANTS.len()];
    Some((tenant.parse().ok()?, prefix.parse().ok()?))
}
