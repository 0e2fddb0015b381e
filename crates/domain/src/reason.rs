//! Why a key is revoked: a closed list, so that reports can count it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A text that is no reason to revoke.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "a reason to revoke is one of compromised, owner_left, service_changed, unused, superseded, leaked, requested, policy, other"
)]
pub struct ReasonError;

/// Why a key is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevokeReason {
    /// Somebody else has it, or may have.
    Compromised,
    /// Its owner is gone.
    OwnerLeft,
    /// The service that used it was replaced or moved.
    ServiceChanged,
    /// Nobody uses it.
    Unused,
    /// Another key took its place.
    Superseded,
    /// It was found where it should not be.
    Leaked,
    /// Its owner asked.
    Requested,
    /// A policy says so.
    Policy,
    /// None of these; the note says.
    Other,
}

impl RevokeReason {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Compromised,
        Self::OwnerLeft,
        Self::ServiceChanged,
        Self::Unused,
        Self::Superseded,
        Self::Leaked,
        Self::Requested,
        Self::Policy,
        Self::Other,
    ];

    /// The word in API, CLI and notices.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::OwnerLeft => "owner_left",
            Self::ServiceChanged => "service_changed",
            Self::Unused => "unused",
            Self::Superseded => "superseded",
            Self::Leaked => "leaked",
            Self::Requested => "requested",
            Self::Policy => "policy",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for RevokeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevokeReason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(ReasonError)
    }
}
