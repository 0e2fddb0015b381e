//! Seeded sequences of everything that can happen, against a plain history: what may pass, and for how long after its end.

use std::collections::{HashMap, VecDeque};

use domain::{Position, Timestamp};
use verify::{Moment, Verdict};
use wire::guard::{FilledKey, FilledTenant, LeaseGranted, SnapshotBegin};
use wire::{Heard, NoticeKind};

use super::given::{
    BOUND, LOG, NOW, acme, all, answer, filled, granted, key_id, notice, owner, recall, token,
};
use crate::core::planted::GuardBug;
use crate::core::{Arrived, Capacity, Core, FillTicket, Judged, Load, LoadTicket, Outcome};
use crate::requirement::Requirement;

const KEYS: u8 = 4;
const STEPS: usize = 400;
const SEEDS: u64 = 1_000;

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What one key is at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Active,
    Suspended,
    Revoked,
    Recalled,
}

/// One event of the history, and how the keys are after it.
#[derive(Clone)]
struct Event {
    at_ms: u64,
    notice: Option<Heard>,
    keys: [Is; KEYS as usize],
    /// The last notice up to here.
    last_notice: u64,
}

/// The server: a history and its clock. Position n is `events[n - 1]`.
struct Server {
    events: Vec<Event>,
    now_ms: u64,
}

impl Server {
    fn head(&self) -> u64 {
        self.events.len() as u64
    }

    fn append(&mut self, notice: Option<Heard>, keys: [Is; KEYS as usize]) {
        let last = self.events.last().map_or(0, |event| event.last_notice);
        let last_notice = if notice.is_some() { self.head() + 1 } else { last };
        self.events.push(Event { at_ms: self.now_ms, notice, keys, last_notice });
    }

    fn keys(&self) -> [Is; KEYS as usize] {
        self.events.last().map_or([Is::Active; KEYS as usize], |event| event.keys)
    }

    fn something_happens(&mut self, draw: &mut Draw) {
        let (position, previous) = (self.head() + 1, self.events.last().map_or(0, |event| event.last_notice));
        let mut keys = self.keys();
        let n = draw.below(u64::from(KEYS)) as u8;
        let key = &mut keys[usize::from(n)];
        let of_key = |kind| Some(notice(position, previous, kind, Some(n)));
        let notice = match (draw.below(12), *key) {
            (0..4, Is::Active) => {
                *key = Is::Suspended;
                of_key(NoticeKind::Suspended)
            }
            (0..4, Is::Suspended) => {
                *key = Is::Active;
                of_key(NoticeKind::Reinstated)
            }
            (4..6, Is::Active | Is::Suspended) => {
                *key = Is::Revoked;
                of_key(NoticeKind::Revoked)
            }
            (6..8, Is::Active | Is::Suspended) => of_key(NoticeKind::Relabelled),
            (8, _) => {
                let tag = 1 + draw.below(3) as u8;
                let hit = |n: usize| tag == 3 || tag == 1 + (n as u8) % 2;
                for (n, key) in keys.iter_mut().enumerate() {
                    if hit(n) && matches!(*key, Is::Active | Is::Suspended) {
                        *key = Is::Recalled;
                    }
                }
                Some(recall(position, previous, if tag == 3 { all() } else { owner(tag) }))
            }
            // What nobody is told, such as another name.
            _ => None,
        };
        self.append(notice, keys);
    }

    fn filled(&self, n: u8, as_of: u64) -> Option<FilledKey> {
        let is = as_of.checked_sub(1).map_or(Is::Active, |at| self.events[at as usize].keys[usize::from(n)]);
        let standing = match is {
            Is::Active => "active",
            Is::Suspended => "suspended",
            Is::Revoked => "revoked",
            Is::Recalled => "recalled",
        };
        Some(FilledKey { standing: standing.to_owned(), settled_at: as_of.min(1), ..filled(n) })
    }

    /// Whether a key may have passed at some time since `from_ms`.
    fn passed_since(&self, n: u8, from_ms: u64) -> bool {
        let is = |event: &Event| event.keys[usize::from(n)] == Is::Active;
        let before = self.events.iter().rev().find(|event| event.at_ms < from_ms).is_none_or(is);
        before || self.events.iter().any(|event| event.at_ms >= from_ms && is(event))
    }
}

/// A feed's connection: what it will bring, in its order.
#[derive(Default)]
struct Feed {
    coming: VecDeque<Said>,
}

enum Said {
    Hello { head: u64, last_notice: u64 },
    Notice(Box<Heard>),
    Heartbeat { head: u64, last_notice: u64 },
}

struct World {
    draw: Draw,
    server: Server,
    core: Core,
    feed: Option<Feed>,
    /// Everything up to here was put on the feed.
    sent: u64,
    /// The feed's server is cut off from the log: it goes on with what it had, heartbeats and all.
    cut_off_at: Option<u64>,
    fills: Vec<(FillTicket, Vec<u8>, Option<u64>)>,
    leases: Vec<LeaseGranted>,
    /// A replica's load, the position of its snapshot and the key that is next.
    load: Option<(LoadTicket, u64, u8)>,
    /// What the guard has ever refused for good.
    ended: HashMap<u8, Verdict>,
}

impl World {
    /// Every other seed is a replica.
    fn new(seed: u64, bug: Option<GuardBug>) -> Self {
        let capacity = match seed % 2 {
            0 => Capacity::Cache { keys: 100, absent: 100 },
            _ => Capacity::Replica { keys: 100 },
        };
        let core = Core::new(acme(), capacity, seed);
        if let Some(bug) = bug {
            core.plant(bug);
        }
        Self {
            draw: Draw(seed),
            server: Server { events: Vec::new(), now_ms: 10_000 },
            core,
            feed: None,
            sent: 0,
            cut_off_at: None,
            fills: Vec::new(),
            leases: Vec::new(),
            load: None,
            ended: HashMap::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Timestamp::from_millis(NOW.as_millis() + self.server.now_ms),
            boot_ms: self.server.now_ms,
        }
    }

    fn step(&mut self) -> Result<(), String> {
        if self.draw.one_in(60) {
            let head = self.server.head();
            self.cut_off_at =
                if self.cut_off_at.is_none() && self.feed.is_some() { Some(head) } else { None };
        }
        match self.draw.below(20) {
            0..2 => self.server.something_happens(&mut self.draw),
            2..6 => self.hear(),
            6 => self.publish(),
            7..9 => self.begin_fill(),
            9..11 => self.end_fill(),
            11 => self.ask_lease(),
            12 => self.end_lease(),
            13..16 => self.go_on_loading(),
            _ => self.server.now_ms += self.draw.below(500),
        }
        self.hold_to_it()
    }

    /// The guard connects: it is registered, and the feed begins where it was.
    fn connect(&mut self) {
        let (head, last) =
            (self.server.head(), self.server.events.last().map_or(0, |event| event.last_notice));
        self.core.on_registered(LOG, Position::new(head), BOUND);
        let from = self.core.resume_from().map_or(head, Position::get);
        let mut coming = VecDeque::from([Said::Hello { head, last_notice: last }]);
        coming.extend(self.notices(from, head));
        self.sent = head;
        self.feed = Some(Feed { coming });
    }

    fn notices(&self, above: u64, up_to: u64) -> Vec<Said> {
        let events = &self.server.events[above as usize..up_to as usize];
        events
            .iter()
            .filter_map(|event| event.notice.clone().map(|notice| Said::Notice(Box::new(notice))))
            .collect()
    }

    /// New notices and perhaps a heartbeat go out; sometimes one is lost, comes twice, or in another order.
    fn publish(&mut self) {
        let head = self.cut_off_at.unwrap_or(self.server.head()).max(self.sent);
        let mut said = self.notices(self.sent, head);
        let lost = !said.is_empty() && self.draw.one_in(6);
        if lost {
            said.remove(self.draw.below(said.len() as u64) as usize);
        }
        if said.len() > 1 && self.draw.one_in(6) {
            said.swap(0, 1);
        }
        if let (Some(Said::Notice(first)), true) = (said.first(), self.draw.one_in(4)) {
            let again = first.clone();
            said.push(Said::Notice(again));
        }
        let last = head.checked_sub(1).map_or(0, |at| self.server.events[at as usize].last_notice);
        if self.draw.one_in(2) {
            said.push(Said::Heartbeat { head, last_notice: last });
        }
        self.sent = head;
        if let Some(feed) = &mut self.feed {
            feed.coming.extend(said);
        }
    }

    fn hear(&mut self) {
        if self.feed.is_none() || self.draw.one_in(40) {
            return self.connect();
        }
        let Some(said) = self.feed.as_mut().and_then(|feed| feed.coming.pop_front()) else { return };
        let log_id = LOG.to_string();
        let outcome = match said {
            Said::Hello { head, last_notice } => {
                self.core.on_hello(&log_id, Position::new(head), Position::new(last_notice))
            }
            Said::Notice(heard) => self.core.on_notice(&heard),
            Said::Heartbeat { head, last_notice } => {
                self.core.on_heartbeat(Position::new(head), Position::new(last_notice), self.server.now_ms)
            }
        };
        if matches!(outcome, Outcome::Gap | Outcome::Reset) {
            self.feed = None;
        }
    }

    /// The server answers at once or when the answer arrives, with whatever it has above what was asked for.
    fn begin_fill(&mut self) {
        let n = self.draw.below(u64::from(KEYS)) as u8;
        let both = vec![n, (n + 1) % KEYS];
        let Some(ticket) = self.core.begin_fill(both.iter().map(|n| key_id(*n)).collect()) else { return };
        let at_once = self.draw.one_in(2).then(|| self.server.head());
        self.fills.push((ticket, both, at_once));
    }

    fn end_fill(&mut self) {
        if self.fills.is_empty() {
            return;
        }
        let at = self.draw.below(self.fills.len() as u64) as usize;
        let (ticket, keys, as_of) = self.fills.swap_remove(at);
        if self.draw.one_in(8) {
            return self.core.abandon_fill(&ticket);
        }
        let as_of = as_of.unwrap_or_else(|| self.server.head());
        let filled = keys.iter().map(|n| self.server.filled(*n, as_of)).collect();
        let _: Vec<Arrived> = self.core.on_filled(&ticket, &answer(as_of, filled), self.server.now_ms);
    }

    /// A line of the snapshot at a time; each key is at least as new as the snapshot says.
    fn go_on_loading(&mut self) {
        let Some((mut ticket, as_of, n)) = self.load.take() else {
            self.load = self.core.begin_load().map(|ticket| (ticket, self.server.head(), 0));
            return;
        };
        let now_ms = self.server.now_ms;
        let load = if n == 0 {
            let begin = SnapshotBegin { log_id: LOG.to_string(), as_of, tenant: FilledTenant::default() };
            self.core.on_load_begin(&mut ticket, &begin, now_ms)
        } else if n <= KEYS {
            let as_of = as_of + self.draw.below(self.server.head() - as_of + 1);
            let filled = self.server.filled(n - 1, as_of).expect("the history has every key");
            self.core.on_loaded(&ticket, &filled, now_ms)
        } else {
            self.core.on_load_end(&ticket);
            Load::Over
        };
        if load == Load::GoesOn {
            self.load = Some((ticket, as_of, n + 1));
        }
    }

    fn ask_lease(&mut self) {
        let ask = self.core.ask_lease("g", self.server.now_ms);
        let staleness_ms = self.draw.below(3_000);
        // All that was there when the server's own proof was asked for, and perhaps more.
        let proven = self.server.now_ms - staleness_ms;
        let least = self.server.events.iter().take_while(|event| event.at_ms <= proven).count() as u64;
        let head = least + self.draw.below(self.server.head() - least + 1);
        let last = head.checked_sub(1).map_or(0, |at| self.server.events[at as usize].last_notice);
        self.leases.push(granted(ask.nonce, head, last, staleness_ms));
    }

    fn end_lease(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let at = self.draw.below(self.leases.len() as u64) as usize;
        if self.draw.one_in(4) {
            // Heard, and to come again.
            self.core.on_lease(&self.leases[at]);
        } else {
            let granted = self.leases.swap_remove(at);
            self.core.on_lease(&granted);
        }
    }

    fn verdict(&self, n: u8) -> Option<Verdict> {
        match self.core.judge(&token(n), &Requirement::any(), self.moment()) {
            Judged::Answer(decision) => Some(decision.verdict),
            Judged::Ask(_) => None,
        }
    }

    fn hold_to_it(&mut self) -> Result<(), String> {
        for n in 0..KEYS {
            let Some(verdict) = self.verdict(n) else { continue };
            let now = self.server.now_ms;
            if verdict == Verdict::Valid && !self.server.passed_since(n, now - BOUND) {
                return Err(format!("key {n} passes at {now}, which ended more than the bound ago"));
            }
            if verdict == Verdict::Unknown {
                return Err(format!("key {n} is told to be none"));
            }
            if let Some(ended) = self.ended.get(&n)
                && *ended != verdict
            {
                return Err(format!("key {n} was {ended} and is {verdict}"));
            }
            if matches!(verdict, Verdict::Revoked | Verdict::Recalled) {
                self.ended.insert(n, verdict);
            }
        }
        Ok(())
    }

    /// Once nothing is lost any more, the guard says of every key what it is.
    fn settle(&mut self) -> Result<(), String> {
        (self.feed, self.cut_off_at) = (None, None);
        self.connect();
        while self.feed.as_ref().is_some_and(|feed| !feed.coming.is_empty()) {
            self.hear();
            if self.feed.is_none() {
                self.connect();
            }
        }
        let head = self.server.head();
        let ask = self.core.ask_lease("g", self.server.now_ms);
        let last = self.server.events.last().map_or(0, |event| event.last_notice);
        self.core.on_lease(&granted(ask.nonce, head, last, 0));
        for n in 0..KEYS {
            if self.verdict(n).is_none() {
                let ticket = self.core.begin_fill(vec![key_id(n)]).ok_or("no fill after a feed began")?;
                let filled = vec![self.server.filled(n, head)];
                self.core.on_filled(&ticket, &answer(head, filled), self.server.now_ms);
            }
            let expected = match self.server.keys()[usize::from(n)] {
                Is::Active => Verdict::Valid,
                Is::Suspended => Verdict::Suspended,
                Is::Revoked => Verdict::Revoked,
                Is::Recalled => Verdict::Recalled,
            };
            let found = self.verdict(n);
            if found != Some(expected) {
                return Err(format!("in the end key {n} is {expected} and is told {found:?}"));
            }
        }
        Ok(())
    }
}

fn run(seed: u64, bug: Option<GuardBug>) -> Result<(), String> {
    let mut world = World::new(seed, bug);
    world.connect();
    for _ in 0..STEPS {
        world.step()?;
    }
    world.settle()
}

#[test]
fn no_sequence_lets_an_ended_key_pass_beyond_the_bound() {
    for seed in 0..SEEDS {
        run(seed, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn every_planted_bug_is_found() {
    for bug in [
        GuardBug::HeartbeatIsLease,
        GuardBug::FillWithoutFence,
        GuardBug::NoticeDropped,
        GuardBug::LeaseAheadOfNotices,
        GuardBug::GapOverlooked,
    ] {
        let found = (0..SEEDS).find_map(|seed| run(seed, Some(bug)).err());
        assert!(found.is_some(), "{bug:?} goes unnoticed");
    }
}
