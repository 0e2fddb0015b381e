//! Why a key is revoked or suspended: closed lists, so that reports can count them.

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

/// A text that is no reason to suspend.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a reason to suspend is one of investigating, unused, requested, leaked, policy, other")]
pub struct SuspendReasonError;

/// Why a key is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuspendReason {
    /// Something looks wrong.
    Investigating,
    /// Nobody uses it.
    Unused,
    /// Its owner asked.
    Requested,
    /// It was found where it should not be.
    Leaked,
    /// A policy says so.
    Policy,
    /// None of these; the note says.
    Other,
}

impl SuspendReason {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Investigating, Self::Unused, Self::Requested, Self::Leaked, Self::Policy, Self::Other];

    /// The word in API, CLI and notices.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Unused => "unused",
            Self::Requested => "requested",
            Self::Leaked => "leaked",
            Self::Policy => "policy",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for SuspendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SuspendReason {
    type Err = SuspendReasonError;

    fn from_str(text: &str) -> Result<Self, SuspendReasonError> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(SuspendReasonError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_prints_as_it_parses_and_the_errors_name_them_all() {
        for reason in RevokeReason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert!(ReasonError.to_string().contains(reason.as_str()));
        }
        for reason in SuspendReason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert!(SuspendReasonError.to_string().contains(reason.as_str()));
        }
        assert_eq!("".parse::<RevokeReason>(), Err(ReasonError));
        assert_eq!("compromised".parse::<SuspendReason>(), Err(SuspendReasonError));
    }
}
