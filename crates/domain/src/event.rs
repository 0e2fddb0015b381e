//! What happened: the envelope that every event shares, and the events themselves.

use crate::attributes::{Labels, Networks, Owner, Personal};
use crate::ids::{CommandId, EventId, KeyId, Revision, StreamName, Timestamp};
use crate::key_format::{Environment, Prefix};
use crate::reason::RevokeReason;
use crate::scope::ScopeSet;
use crate::secret::SecretDigest;

/// One event with all that is recorded about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Drawn for this attempt; what tells ours from another's in the same place.
    pub event_id: EventId,
    /// Whose history it belongs to.
    pub stream: StreamName,
    /// Its place in that history, from 1.
    pub revision: Revision,
    /// When the server that decided it said it was.
    pub occurred_at: Timestamp,
    /// Who asked.
    pub actor: Actor,
    /// Under which command id.
    pub command_id: CommandId,
    /// What exactly was asked, as a keyed hash: tells a repeat from a reused command id.
    pub request_tag: RequestTag,
    /// Why at all.
    pub cause: Cause,
    /// The W3C `traceparent` of the request, at most [`Envelope::MAX_TRACE_CONTEXT`] bytes.
    pub trace_context: Option<Box<str>>,
    /// What happened.
    pub event: Event,
}

impl Envelope {
    /// Bytes of a version 00 `traceparent`.
    pub const MAX_TRACE_CONTEXT: usize = 55;
}

/// Keyed hash of a canonical command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestTag([u8; 16]);

impl RequestTag {
    /// The tag's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Takes the bytes of a tag.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The service itself: bootstrap, expiry.
    System,
    /// An operator, by the id of the key that was presented.
    Operator {
        /// The operator's key, in tenant `rescind`.
        key_id: KeyId,
        /// Where the request came from.
        network: Option<Personal>,
    },
}

/// What set a change off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The first start of a service.
    Bootstrap,
    /// A command from outside.
    Command,
    /// A key's time was up.
    Expiry,
}

impl Cause {
    /// The word in API and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Command => "command",
            Self::Expiry => "expiry",
        }
    }
}

/// What happened, without who and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tenant exists from here on.
    TenantOpened(TenantOpened),
    /// A key exists from here on.
    KeyIssued(Box<KeyIssued>),
    /// A key may never be used again.
    KeyRevoked(KeyRevoked),
    /// A key's time was up, and nobody moved it before.
    KeyExpired(KeyExpired),
}

impl Event {
    /// The event's name, as in the documentation.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TenantOpened(_) => "TenantOpened",
            Self::KeyIssued(_) => "KeyIssued",
            Self::KeyRevoked(_) => "KeyRevoked",
            Self::KeyExpired(_) => "KeyExpired",
        }
    }
}

/// A tenant was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantOpened {
    /// What people call it.
    pub name: Option<Personal>,
    /// What its new keys begin with.
    pub prefix: Prefix,
}

/// A key was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIssued {
    /// What its text begins with.
    pub prefix: Prefix,
    /// Live or test.
    pub environment: Environment,
    /// What is kept of its secret.
    pub digest: SecretDigest,
    /// What people call it.
    pub name: Option<Personal>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
    /// The key that issued it.
    pub issuer: Option<KeyId>,
}

/// A key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRevoked {
    /// Why.
    pub reason: RevokeReason,
    /// In somebody's words.
    pub note: Option<Personal>,
}

/// A key expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExpired {
    /// The expiry that was reached.
    pub expires_at: Timestamp,
}
