//! What is known of one key's use, as it is asked for.

use domain::Timestamp;

/// All that is known of one key's use. What is not there was not reported: whether it did not happen, coverage says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// The first verdict `valid`.
    pub first_used: Option<Timestamp>,
    /// The last verdict `valid`.
    pub last_used: Option<Timestamp>,
    /// All verdicts since the record began.
    pub total: Requests,
    /// By the hour for 7 days, oldest first; hours without any verdict are left out.
    pub hours: Vec<Bucket>,
    /// By the UTC day for 90 days, oldest first; days without any verdict are left out.
    pub days: Vec<Bucket>,
    /// By the scope that was asked for, last seen first; its name is none where none was asked for.
    pub scopes: Vec<UsagePart>,
    /// Scopes that are no longer told apart.
    pub scopes_other: Option<UsageOther>,
    /// By the service that asked, last seen first.
    pub services: Vec<SeenService>,
    /// Services that are no longer told apart.
    pub services_other: Option<UsageOther>,
    /// By the network that the key came from, last seen first; its name is none where it was not told.
    pub networks: Vec<UsagePart>,
    /// Networks that are no longer told apart.
    pub networks_other: Option<UsageOther>,
    /// Verdicts other than `valid`, last seen first.
    pub refused: Vec<RefusedAs>,
}

/// Verdicts, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// `valid`.
    pub valid: u64,
    /// All others.
    pub refused: u64,
}

impl Requests {
    /// Both together.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.valid.saturating_add(self.refused)
    }
}

impl std::ops::AddAssign for Requests {
    fn add_assign(&mut self, more: Self) {
        self.valid = self.valid.saturating_add(more.valid);
        self.refused = self.refused.saturating_add(more.refused);
    }
}

/// The verdicts of one hour or one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub start: Timestamp,
    /// How many.
    pub requests: Requests,
}

/// The verdicts for one scope or from one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsagePart {
    /// Which.
    pub name: Option<Box<str>>,
    /// How many.
    pub requests: Requests,
    /// The last `valid`.
    pub last_used: Option<Timestamp>,
    /// The last verdict of any kind.
    pub last_seen: Timestamp,
}

/// A service that asked about the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenService {
    /// Its label; none for services that are no longer told apart.
    pub service: Option<Box<str>>,
    /// How many.
    pub requests: Requests,
    /// The network that it named last.
    pub network: Option<Box<str>>,
    /// The last `valid`.
    pub last_used: Option<Timestamp>,
    /// The last verdict of any kind.
    pub last_seen: Timestamp,
}

/// What is no longer told apart: those that were seen least recently when there were too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageOther {
    /// How many verdicts.
    pub requests: Requests,
    /// The last `valid` among them.
    pub last_used: Option<Timestamp>,
    /// The last verdict of any kind among them.
    pub last_seen: Timestamp,
}

/// How often a key was refused in one way, and where it came from last: a laggard, or a thief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAs {
    /// The verdict's word.
    pub verdict: Box<str>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The service that asked last; none where that was given up.
    pub service: Option<Box<str>>,
    /// The network that it named.
    pub network: Option<Box<str>>,
}
