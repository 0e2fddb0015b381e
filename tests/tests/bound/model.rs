//! The protocol between log, servers and guard, small enough to look at every state.
//!
//! The log has one key's revocation and perhaps one more event after it, and whoever applies events applies them in order.
//! Whatever may happen may also not happen, for as long as it likes: so calls and notices are lost and late, partitions come
//! and go, a server falls behind, and what two answers bring arrives in either order. Time is what each clock has left to run,
//! so there is no end of time either: the states are finite because what has run out is forgotten.
//!
//! | rule here | where it is in the code |
//! | --- | --- |
//! | a proof counts from before it was asked for, by a quorum's head ([`Action::AskProof`], [`Action::ReadHead`]), once the index is there ([`Action::Prove`]) | `application::Lease::ask_as_of`, `verify::lease` |
//! | a lease tells the server's last notice and how old its proof is ([`Action::AskLease`]) | `server::http::guard::lease` |
//! | it counts from the asking, less that staleness, once its notice is applied ([`Action::HearLease`]) | `guard::core::leases` |
//! | a fill rests on what the guard had applied ([`Action::AskFill`]) | `server::http::guard::fill`, `guard::core::fills` |
//! | it is held unless a notice it does not know touched the key meanwhile ([`Action::HearFill`]) | `guard::core::fills` |
//! | a notice is applied after the one before it only; a heartbeat is no lease ([`Action::HearNotice`], [`Action::HearHeartbeat`]) | `guard::core::notices` |
//! | a hint is refused by until its notice is applied or the guard's longest lease is over, and is nothing else ([`Action::HearHint`], [`Action::DropHint`]) | `guard::core::hints` |
//! | a guard that begins takes the feed's last notice as applied ([`Action::Greet`]) | `guard::core::notices` |
//!
//! Left out, since it adds nothing that could break: a question that travels for long is answered by a server that knows more
//! (here it is answered at once, and the answer travels); a guard that is reset is one that begins anew
//! ([`Action::CrashGuard`]); what a registration adds to the least that a fill and a lease may rest on; a clock that runs
//! fast, which ends everything sooner.

use stateright::{Model, Property};

use super::properties;

/// How much is looked at, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) servers: usize,
    /// How long a proof lasts.
    pub(super) max_staleness: u8,
    /// By how much all clocks fall behind, taken together.
    pub(super) drift: u8,
    /// The first is the revocation.
    pub(super) events: u8,
}

impl Bounds {
    /// After so long nobody accepts what was revoked.
    pub(super) const fn bound(self) -> u8 {
        self.max_staleness + self.drift
    }
}

/// A mistake that the properties must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// The guard takes a heartbeat for a lease.
    HeartbeatIsLease,
    /// A slow answer is held although a notice has come meanwhile.
    FillWithoutFence,
    /// A server answers a fill that knows less than the guard has applied.
    FillBelowAsked,
    /// A notice counts as applied and changes nothing.
    NoticeDropped,
    /// A notice is applied although one before it was missed.
    GapOverlooked,
    /// A lease counts from when it arrives.
    LeaseFromArrival,
    /// A lease does not count how old the server's own proof is.
    StalenessIgnored,
    /// A lease runs although the notice that it names has not come.
    LeaseAheadOfNotice,
    /// A server takes for the log's head what it has itself.
    ProofWithoutQuorum,
    /// A proof counts from when the head came.
    ProofFromAnswer,
    /// A proof counts although the index has not come to its head.
    ProofAheadOfIndex,
    /// A hint counts as the notice of its position, and changes nothing that is held.
    HintIsNotice,
}

pub(super) struct Protocol {
    pub(super) bug: Option<Bug>,
    pub(super) bounds: Bounds,
}

/// A clock's ticks until something runs out: at 0 it is good for the last time.
type Left = u8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Server {
    applied: u8,
    asking: Option<Asking>,
    pub(super) proof: Option<Left>,
}

/// A proof under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Asking {
    left: Left,
    /// None until a quorum has answered.
    head: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Held {
    #[default]
    Nothing,
    Valid,
    Revoked,
}

/// The guard, and what is on its way to it: of each kind one call, since the answer to another may as well be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Guard {
    pub(super) held: Held,
    /// None before a feed begins.
    pub(super) applied: Option<u8>,
    fresh: Option<Left>,
    /// A lease that waits for its notice.
    pub(super) waiting: Option<Lease>,
    pub(super) fill: Option<Fill>,
    lease: Option<Lease>,
    /// Heard of the revocation ahead of its notice.
    pub(super) hinted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    left: Left,
    last_notice: u8,
}

/// What the server said of the key, and whether its notice has come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fill {
    pub(super) revoked: bool,
    pub(super) touched: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// For how long the revocation has been committed; beyond the bound it is no longer counted.
    pub(super) since: Option<u8>,
    head: u8,
    drift_left: u8,
    /// Those beyond the number of servers never do anything.
    pub(super) servers: [Server; 2],
    pub(super) guard: Guard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Time passes on all clocks but this one.
    Tick(Slow),
    Commit,
    AskProof(usize),
    ReadHead(usize),
    Prove(usize),
    Apply(usize),
    CrashServer(usize),
    /// The guard hears a server for the first time.
    Greet(usize),
    HearNotice(usize, u8),
    HearHeartbeat(usize),
    /// Of the revocation, from whoever appended it: no server has to have applied it.
    HearHint,
    /// Its time is over: sooner than in the code, where nothing else could happen meanwhile.
    DropHint,
    AskLease(usize),
    HearLease,
    AskFill(usize),
    HearFill,
    Evict,
    CrashGuard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    Nobody,
    Guard,
    Server(usize),
}

fn tick(left: &mut Option<Left>) {
    *left = left.and_then(|left| left.checked_sub(1));
}

impl Lease {
    fn tick(lease: &mut Option<Self>) {
        *lease = lease.and_then(|lease| Some(Self { left: lease.left.checked_sub(1)?, ..lease }));
    }
}

impl Server {
    fn tick(&mut self) {
        tick(&mut self.proof);
        self.asking =
            self.asking.and_then(|asking| Some(Asking { left: asking.left.checked_sub(1)?, ..asking }));
    }
}

impl Guard {
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }

    /// Whether a verify says valid now.
    pub(super) fn accepts(&self) -> bool {
        self.held == Held::Valid && self.is_fresh() && !self.hinted
    }

    fn tick(&mut self, bug: Option<Bug>) {
        tick(&mut self.fresh);
        Lease::tick(&mut self.waiting);
        if bug != Some(Bug::LeaseFromArrival) {
            Lease::tick(&mut self.lease);
        }
    }

    fn extend(&mut self, left: Left) {
        self.fresh = self.fresh.max(Some(left));
    }

    fn hear_notice(&mut self, notice: u8, bug: Option<Bug>) {
        let Some(applied) = self.applied.filter(|applied| *applied < notice) else { return };
        if notice > applied + 1 && bug != Some(Bug::GapOverlooked) {
            return;
        }
        self.applied = Some(notice);
        self.hinted &= notice < State::REVOKED;
        if notice == State::REVOKED {
            self.fill = self.fill.map(|fill| Fill { touched: true, ..fill });
            if self.held == Held::Valid && bug != Some(Bug::NoticeDropped) {
                self.held = Held::Revoked;
            }
        }
        if let Some(lease) = self.waiting.take_if(|lease| lease.last_notice <= notice) {
            self.extend(lease.left);
        }
    }

    fn hear_hint(&mut self, bug: Option<Bug>) {
        self.hinted = true;
        if bug == Some(Bug::HintIsNotice) {
            (self.applied, self.hinted) = (self.applied.max(Some(State::REVOKED)), false);
            if let Some(lease) = self.waiting.take_if(|lease| lease.last_notice <= State::REVOKED) {
                self.extend(lease.left);
            }
        }
    }

    fn hear_lease(&mut self, bug: Option<Bug>) {
        let Some(lease) = self.lease.take() else { return };
        if Some(lease.last_notice) <= self.applied || bug == Some(Bug::LeaseAheadOfNotice) {
            self.extend(lease.left);
        } else {
            self.waiting = Some(lease);
        }
    }

    fn hear_fill(&mut self, bug: Option<Bug>) {
        let Some(fill) = self.fill.take() else { return };
        if fill.revoked {
            self.held = Held::Revoked;
        } else if !fill.touched || bug == Some(Bug::FillWithoutFence) {
            self.held = Held::Valid;
        }
    }
}

impl State {
    /// Where the revocation stands.
    pub(super) const REVOKED: u8 = 1;

    pub(super) fn some_server_accepts(&self) -> bool {
        self.servers.iter().any(|server| server.proof.is_some() && server.applied < Self::REVOKED)
    }

    fn actions_of_server(&self, at: usize, actions: &mut Vec<Action>) {
        let server = &self.servers[at];
        actions.push(Action::AskProof(at));
        match server.asking {
            Some(Asking { head: None, .. }) => actions.push(Action::ReadHead(at)),
            Some(_) => actions.push(Action::Prove(at)),
            None => {}
        }
        if server.applied < self.head {
            actions.push(Action::Apply(at));
        }
        actions.push(Action::CrashServer(at));
        match self.guard.applied {
            None => actions.push(Action::Greet(at)),
            Some(applied) => {
                actions.extend((applied + 1..=server.applied).map(|notice| Action::HearNotice(at, notice)));
                actions.push(Action::HearHeartbeat(at));
                actions.push(Action::AskLease(at));
                if self.guard.held == Held::Nothing {
                    actions.push(Action::AskFill(at));
                }
            }
        }
    }
}

impl Protocol {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn is_over(&self, state: &State) -> bool {
        state.since > Some(self.bounds.bound())
    }

    fn tick(&self, state: &mut State, slow: Slow) {
        state.since = state.since.map(|since| (since + 1).min(self.bounds.bound() + 1));
        state.drift_left -= u8::from(slow != Slow::Nobody);
        for (at, server) in state.servers.iter_mut().enumerate() {
            if slow != Slow::Server(at) {
                server.tick();
            }
        }
        if slow != Slow::Guard {
            state.guard.tick(self.bug);
        }
    }

    fn commit(state: &mut State) {
        state.head += 1;
        if state.head == State::REVOKED {
            state.since = Some(0);
        }
    }

    fn read_head(&self, state: &mut State, at: usize) {
        let head = if self.has(Bug::ProofWithoutQuorum) { state.servers[at].applied } else { state.head };
        let asking = &mut state.servers[at].asking;
        *asking = asking.map(|asking| Asking { head: Some(head), ..asking });
    }

    fn prove(&self, server: &mut Server) {
        let (applied, is_ahead) = (server.applied, self.has(Bug::ProofAheadOfIndex));
        let proven =
            server.asking.take_if(|asking| asking.head.is_some_and(|head| head <= applied) || is_ahead);
        let Some(asking) = proven else { return };
        let left = if self.has(Bug::ProofFromAnswer) { self.bounds.max_staleness } else { asking.left };
        server.proof = server.proof.max(Some(left));
    }

    /// What the server says is on its way. What it is worth is the bound less the server's staleness, from now on.
    fn ask_lease(&self, state: &mut State, at: usize) {
        let server = &state.servers[at];
        let Some(proof) = server.proof.filter(|left| *left > 0) else { return };
        let left = if self.has(Bug::StalenessIgnored) { self.bounds.max_staleness } else { proof };
        state.guard.lease = Some(Lease { left, last_notice: server.applied });
    }

    fn ask_fill(&self, state: &mut State, at: usize) {
        let server = &state.servers[at];
        if Some(server.applied) >= state.guard.applied || self.has(Bug::FillBelowAsked) {
            let revoked = server.applied >= State::REVOKED;
            state.guard.fill = Some(Fill { revoked, touched: false });
        }
    }

    fn do_as_server(&self, state: &mut State, action: Action) {
        match action {
            Action::AskProof(at) => {
                let left = self.bounds.max_staleness;
                state.servers[at].asking = Some(Asking { left, head: None });
            }
            Action::ReadHead(at) => self.read_head(state, at),
            Action::Prove(at) => self.prove(&mut state.servers[at]),
            Action::Apply(at) => state.servers[at].applied += 1,
            Action::CrashServer(at) => state.servers[at] = Server::default(),
            _ => {}
        }
    }

    fn do_as_guard(&self, state: &mut State, action: Action) {
        match action {
            Action::Greet(at) => state.guard.applied = Some(state.servers[at].applied),
            Action::HearNotice(_, notice) => state.guard.hear_notice(notice, self.bug),
            Action::HearHeartbeat(_) if self.has(Bug::HeartbeatIsLease) => {
                state.guard.extend(self.bounds.max_staleness);
            }
            Action::HearHint => state.guard.hear_hint(self.bug),
            Action::DropHint => state.guard.hinted = false,
            Action::AskLease(at) => self.ask_lease(state, at),
            Action::HearLease => state.guard.hear_lease(self.bug),
            Action::AskFill(at) => self.ask_fill(state, at),
            Action::HearFill => state.guard.hear_fill(self.bug),
            Action::Evict => state.guard.held = Held::Nothing,
            Action::CrashGuard => state.guard = Guard::default(),
            _ => {}
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let drift_left = self.bounds.drift;
        let servers = [Server::default(); 2];
        vec![State { since: None, head: 0, drift_left, servers, guard: Guard::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick(Slow::Nobody));
        if state.drift_left > 0 {
            actions.push(Action::Tick(Slow::Guard));
            actions.extend((0..self.bounds.servers).map(|at| Action::Tick(Slow::Server(at))));
        }
        if state.head < self.bounds.events {
            actions.push(Action::Commit);
        }
        for at in 0..self.bounds.servers {
            state.actions_of_server(at, actions);
        }
        if state.guard.lease.is_some() {
            actions.push(Action::HearLease);
        }
        if state.guard.fill.is_some() {
            actions.push(Action::HearFill);
        }
        if state.head >= State::REVOKED && state.guard.applied.is_some_and(|applied| applied < State::REVOKED)
        {
            actions.push(if state.guard.hinted { Action::DropHint } else { Action::HearHint });
        }
        actions.push(Action::Evict);
        actions.push(Action::CrashGuard);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick(slow) => self.tick(&mut state, slow),
            Action::Commit => Self::commit(&mut state),
            _ => {
                self.do_as_server(&mut state, action);
                self.do_as_guard(&mut state, action);
            }
        }
        // Which of two servers is which makes no difference.
        if self.bounds.servers == 2 {
            state.servers.sort_unstable();
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
