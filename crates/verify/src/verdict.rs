//! The twelve verdicts, in the order in which the first that applies is given.

use std::fmt;

/// What is said about a presented key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not of a key's form, or its checksum does not fit.
    Malformed,
    /// No such key, another tenant's key, or not its secret: nobody learns which.
    Unknown,
    /// May never be used again.
    Revoked,
    /// Revoked together with all that matched a selector.
    Recalled,
    /// An event of its history, or of its tenant's, cannot be read here.
    Quarantined,
    /// Its time is up.
    Expired,
    /// May not be used until it is reinstated.
    Suspended,
    /// Its tenant was closed.
    TenantClosed,
    /// This verifier cannot prove that it has heard everything.
    Stale,
    /// Presented from outside its networks.
    NetworkDenied,
    /// It may not do what was asked for.
    ScopeDenied,
    /// May be used.
    Valid,
}

impl Verdict {
    /// All of them, first the one that is given before all others.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Unknown,
        Self::Revoked,
        Self::Recalled,
        Self::Quarantined,
        Self::Expired,
        Self::Suspended,
        Self::TenantClosed,
        Self::Stale,
        Self::NetworkDenied,
        Self::ScopeDenied,
        Self::Valid,
    ];

    /// The word in API, CLI and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Recalled => "recalled",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
            Self::TenantClosed => "tenant_closed",
            Self::Stale => "stale",
            Self::NetworkDenied => "network_denied",
            Self::ScopeDenied => "scope_denied",
            Self::Valid => "valid",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
