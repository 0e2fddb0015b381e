//! What can be found, by which word, and what is told of it.

use std::fmt;
use std::str::FromStr;

use domain::Timestamp;
use thiserror::Error;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What is wrong with a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// All of them, in the order in which they are told of one key.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// The word in API and CLI.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// Issued by a key that had been revoked before.
    IssuedByRevoked = "issued_by_revoked";
    /// Its owner was recalled or left, and it can be used.
    Orphaned = "orphaned";
    /// A rotation of it did not come to its end.
    FailedRotation = "failed_rotation";
    /// A test key that is used.
    TestInUse = "test_in_use";
    /// Never used.
    NeverUsed = "never_used";
    /// Not used for long.
    Unused = "unused";
    /// Perhaps not used for long: not all verifiers have reported.
    UseUnknown = "use_unknown";
    /// It may do what it never did.
    OverScoped = "over_scoped";
    /// It never expires.
    NeverExpires = "never_expires";
    /// Older than a key should be.
    Old = "old";
    /// A policy that was set later does not allow it.
    BreaksPolicy = "breaks_policy";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no finding.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "a finding is one of issued_by_revoked, orphaned, failed_rotation, test_in_use, never_used, unused, use_unknown, over_scoped, never_expires, old, breaks_policy"
)]
pub(crate) struct KindError;

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(KindError)
    }
}

/// One thing that is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// Since when; none where nobody can tell.
    pub(crate) since: Option<Timestamp>,
    /// What it is concluded from, one clause.
    pub(crate) evidence: String,
    /// The command that mends it.
    pub(crate) mend: String,
}
