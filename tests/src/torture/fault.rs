//! What can go wrong in a fault run, drawn from its seed.

use std::time::Duration;

use super::scene::{GUARDS, SERVERS};
use crate::apart::NODES;
use crate::sim::Rng;

/// One thing that goes wrong, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A NATS node is killed and started again.
    KillNats(usize),
    /// A NATS node is stopped and goes on.
    FreezeNats(usize),
    /// Nothing passes between a NATS node and the others.
    IsolateNats(usize),
    /// A guard's connections are closed, and it gets no other.
    CutGuard(usize),
    /// A guard's connections stay open, and nothing comes.
    HalfOpenGuard(usize),
    /// A guard's fills come late.
    LateFills(usize),
    /// A server does not reach its log, and is not told.
    CutLog(usize),
    /// A server is killed and started again.
    KillServer(usize),
    /// A server is stopped and goes on.
    FreezeServer(usize),
}

/// Who it is that something goes wrong for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Nats(usize),
    Server(usize),
    Guard(usize),
}

impl Fault {
    fn draw(rng: &mut Rng) -> Self {
        let mut one = |of: usize| usize::try_from(rng.below(of as u64)).unwrap_or_default();
        let (kind, node, server, guard) = (one(12), one(NODES), one(SERVERS), one(GUARDS));
        // Nodes fail less often than the rest: they take seconds to choose leaders anew.
        match kind {
            0 => Self::KillNats(node),
            1 => Self::FreezeNats(node),
            2 => Self::IsolateNats(node),
            3 | 4 => Self::CutGuard(guard),
            5 | 6 => Self::HalfOpenGuard(guard),
            7 | 8 => Self::LateFills(guard),
            9 => Self::CutLog(server),
            10 => Self::KillServer(server),
            _ => Self::FreezeServer(server),
        }
    }

    pub(super) const fn victim(self) -> Victim {
        match self {
            Self::KillNats(node) | Self::FreezeNats(node) | Self::IsolateNats(node) => Victim::Nats(node),
            Self::CutLog(server) | Self::KillServer(server) | Self::FreezeServer(server) => {
                Victim::Server(server)
            }
            Self::CutGuard(guard) | Self::HalfOpenGuard(guard) | Self::LateFills(guard) => {
                Victim::Guard(guard)
            }
        }
    }
}

/// One or two faults at a time, for different victims, and how long they last: now and then past the bound.
pub(super) fn draw(rng: &mut Rng) -> (Vec<Fault>, Duration) {
    let mut faults = vec![Fault::draw(rng)];
    if rng.one_in(2) {
        let other = std::iter::repeat_with(|| Fault::draw(rng))
            .find(|fault| fault.victim() != faults[0].victim())
            .expect("a source without an end");
        faults.push(other);
    }
    let ms = if rng.one_in(4) { 2_600 + rng.below(600) } else { 200 + rng.below(800) };
    (faults, Duration::from_millis(ms))
}
