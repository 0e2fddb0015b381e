//! The kinds of notices, and which event has which.

use std::fmt;

use domain::{Envelope, Event, LeakResponse, StreamName};

/// What a notice is about; a token of its subject and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// A key may be used from now on.
    Issued,
    /// A key may never be used again.
    Revoked,
    /// A key may not be used until it is reinstated.
    Suspended,
    /// A suspended key may be used again.
    Reinstated,
    /// A key's time was up.
    Expired,
    /// A key's time will soon be up.
    Expiring,
    /// A key's time is up at another moment.
    ExpiryChanged,
    /// A key may do other things.
    Rescoped,
    /// A key may be used from elsewhere.
    Restricted,
    /// A key has other labels: what a later recall goes by.
    Relabelled,
    /// A key belongs to another owner: what a later recall goes by.
    Transferred,
    /// A key has a successor; both may be used.
    Rotated,
    /// Every key that matched may never be used again.
    Recalled,
    /// No key of the tenant may be used any more.
    Closed,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Issued,
        Self::Revoked,
        Self::Suspended,
        Self::Reinstated,
        Self::Expired,
        Self::Expiring,
        Self::ExpiryChanged,
        Self::Rescoped,
        Self::Restricted,
        Self::Relabelled,
        Self::Transferred,
        Self::Rotated,
        Self::Recalled,
        Self::Closed,
    ];

    /// The token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::Reinstated => "reinstated",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::ExpiryChanged => "expiry_changed",
            Self::Rescoped => "rescoped",
            Self::Restricted => "restricted",
            Self::Relabelled => "relabelled",
            Self::Transferred => "transferred",
            Self::Rotated => "rotated",
            Self::Recalled => "recalled",
            Self::Closed => "closed",
        }
    }

    /// The kind of an event's notice; none if it changes nobody's passing, or stands in a stream where it means nothing.
    #[must_use]
    pub const fn of(envelope: &Envelope) -> Option<Self> {
        let kind = match &envelope.event {
            Event::KeyIssued(_) | Event::KeyImported(_) => Self::Issued,
            Event::KeyRelabelled(_) => Self::Relabelled,
            Event::KeyTransferred(_) => Self::Transferred,
            Event::KeyRescoped(_) => Self::Rescoped,
            Event::KeyRestricted(_) => Self::Restricted,
            Event::KeyExpiryChanged(_) => Self::ExpiryChanged,
            Event::KeySuspended(_) => Self::Suspended,
            Event::KeyReinstated(_) => Self::Reinstated,
            Event::KeyRotated(_) => Self::Rotated,
            Event::KeyRevoked(_) | Event::RotationFinished(_) => Self::Revoked,
            Event::KeyLeaked(leaked) => match leaked.response {
                LeakResponse::Revoke => Self::Revoked,
                LeakResponse::Suspend => Self::Suspended,
            },
            Event::ExpiryWarned(_) => Self::Expiring,
            Event::KeyExpired(_) => Self::Expired,
            Event::KeysRecalled(_) => Self::Recalled,
            Event::TenantClosed(_) => Self::Closed,
            Event::TenantOpened(_)
            | Event::TenantConfigured(_)
            | Event::PolicySet(_)
            | Event::PolicyRemoved(_)
            | Event::OwnerErased(_)
            | Event::KeyRenamed(_)
            | Event::KeyFirstUsed(_)
            | Event::RotationCancelled(_) => return None,
        };
        match (&envelope.stream, kind) {
            (StreamName::Tenant(_), Self::Recalled | Self::Closed) => Some(kind),
            (StreamName::Tenant(_), _) | (StreamName::Key(..), Self::Recalled | Self::Closed) => None,
            (StreamName::Key(..), _) => Some(kind),
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
