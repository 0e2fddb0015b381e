//! A receipt: who has enforced an ending, when and how that is known, and who is outstanding.

use wire::RunId;

use crate::fleet::{Ending, GuardId};

/// How it is known that a verifier refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// This server's own index refuses.
    Index,
    /// It said that it has applied the ending.
    Report,
    /// Its bound has passed: without a newer lease it refuses everything, and a newer lease asks for the notice.
    Bound,
    /// It said that it answers nobody any more.
    Left,
}

impl By {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Report => "report",
            Self::Bound => "bound",
            Self::Left => "left",
        }
    }
}

/// Whether one verifier refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// It does, since so many milliseconds after the ending was effective here.
    Enforced { by: By, after_ms: u64 },
    /// It may still accept until this boot time.
    Outstanding { until: u64 },
}

/// Which verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The server that keeps the receipt.
    Here,
    /// Another one on the same log.
    Server(RunId),
    /// A guard, of whichever server.
    Guard(GuardId),
}

impl Who {
    /// `server` or `guard`.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Here | Self::Server(_) => "server",
            Self::Guard(_) => "guard",
        }
    }

    /// Which run of a guard.
    pub(crate) fn guard_id(self) -> Option<String> {
        match self {
            Self::Here | Self::Server(_) => None,
            Self::Guard(guard) => Some(guard.to_string()),
        }
    }
}

/// One verifier in a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) who: Who,
    pub(crate) name: Box<str>,
    pub(crate) state: TargetState,
}

impl Target {
    pub(crate) fn this_server(name: &str) -> Self {
        Self {
            who: Who::Here,
            name: name.into(),
            state: TargetState::Enforced { by: By::Index, after_ms: 0 },
        }
    }

    /// Servers first, then by name.
    pub(super) fn order(&self) -> (bool, &str, Who) {
        (matches!(self.who, Who::Guard(_)), &self.name, self.who)
    }
}

/// Until the registry of the fleet has been read, nobody can say until when somebody unknown may accept.
pub(super) const NOT_READ: u64 = u64::MAX;

/// Who has enforced one ending.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) ending: Ending,
    /// It was opened long after the ending was effective: who refuses is true, but not since when.
    pub(crate) late: bool,
    /// Boot time at which it was effective here, or at which a late one was opened.
    pub(crate) begun: u64,
    /// Until this boot time guards that this server cannot name may accept; [`NOT_READ`] in a fleet of several servers.
    pub(crate) strangers_until: Option<u64>,
    pub(crate) targets: Vec<Target>,
}

impl Receipt {
    /// Whether nobody is outstanding, named or not.
    pub(crate) fn is_complete(&self) -> bool {
        self.strangers_until.is_none() && !self.has_outstanding()
    }

    /// Whether a verifier that can be named may still accept.
    pub(crate) fn has_outstanding(&self) -> bool {
        self.targets.iter().any(|target| matches!(target.state, TargetState::Outstanding { .. }))
    }

    /// Whether the registry of the fleet has not been read yet.
    pub(crate) fn awaits_registry(&self) -> bool {
        self.strangers_until == Some(NOT_READ)
    }

    /// When time alone brings it further.
    pub(crate) fn next_bound(&self) -> Option<u64> {
        let outstanding = self.targets.iter().filter_map(|target| match target.state {
            TargetState::Outstanding { until } => Some(until),
            TargetState::Enforced { .. } => None,
        });
        outstanding.chain(self.strangers_until).min()
    }

    /// Notes that a verifier refuses.
    pub(super) fn enforce(&mut self, who: Who, by: By, boot_ms: u64) {
        let after_ms = boot_ms.saturating_sub(self.begun);
        let its = self.targets.iter_mut().filter(|target| target.who == who);
        for target in its {
            if matches!(target.state, TargetState::Outstanding { .. }) {
                target.state = TargetState::Enforced { by, after_ms };
            }
        }
    }

    /// Counts those whose bound has passed.
    pub(super) fn look(&mut self, boot_ms: u64) {
        for target in &mut self.targets {
            if let TargetState::Outstanding { until } = target.state
                && boot_ms > until
            {
                let after_ms = until.saturating_sub(self.begun);
                target.state = TargetState::Enforced { by: By::Bound, after_ms };
            }
        }
        self.strangers_until = self.strangers_until.filter(|until| boot_ms <= *until);
    }
}
