//! What happened: the envelope that every event shares, and the events themselves.

use crate::attributes::{Labels, Networks, Owner, OwnerTag, Personal};
use crate::grant::Grant;
use crate::ids::{CommandId, EventId, KeyId, Revision, StreamName, Timestamp};
use crate::key_format::Prefix;
use crate::leak::{LeakResponse, LeakSource};
use crate::policy::{Policy, PolicyName};
use crate::reason::{RevokeReason, SuspendReason};
use crate::rotation::RotationRule;
use crate::scope::ScopeSet;
use crate::secret::SecretDigest;
use crate::selector::Selector;

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
    /// The service itself: bootstrap, expiry, policies.
    System,
    /// Whoever presented the key itself.
    Holder {
        /// Where the request came from.
        network: Option<Personal>,
    },
    /// A scanner whose report was signed.
    Scanner {
        /// Which one.
        source: LeakSource,
    },
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
    /// A policy of its tenant.
    Policy,
    /// A report that it was found where it should not be.
    Leak,
    /// A rotation that took its course.
    Rotation,
    /// A key that issued it was taken along by a recall.
    Cascade,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Bootstrap,
        Self::Command,
        Self::Expiry,
        Self::Policy,
        Self::Leak,
        Self::Rotation,
        Self::Cascade,
    ];

    /// The word in API and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Command => "command",
            Self::Expiry => "expiry",
            Self::Policy => "policy",
            Self::Leak => "leak",
            Self::Rotation => "rotation",
            Self::Cascade => "cascade",
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident($payload:ty),)*) => {
        /// What happened, without who and when.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name($payload),)*
        }

        impl Event {
            /// The names of all events.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The event's name, as in the documentation.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }
    };
}

events! {
    /// A tenant exists from here on.
    TenantOpened(TenantOpened),
    /// A tenant's settings are others from here on.
    TenantConfigured(TenantConfigured),
    /// A tenant takes no command any more and its keys are refused.
    TenantClosed(TenantClosed),
    /// Every key that matched at this position may never be used again.
    KeysRecalled(Box<KeysRecalled>),
    /// A policy holds from here on, in place of the one of that name.
    PolicySet(Box<PolicySet>),
    /// A policy holds no longer.
    PolicyRemoved(PolicyRemoved),
    /// What was sealed about an owner can be read no longer.
    OwnerErased(OwnerErased),
    /// A key exists from here on.
    KeyIssued(Box<KeyIssued>),
    /// A key of another system is known from here on.
    KeyImported(Box<KeyImported>),
    /// A key is called otherwise.
    KeyRenamed(KeyRenamed),
    /// A key has other labels.
    KeyRelabelled(KeyRelabelled),
    /// A key belongs to another owner.
    KeyTransferred(KeyTransferred),
    /// A key may do other things.
    KeyRescoped(KeyRescoped),
    /// A key may be used from elsewhere.
    KeyRestricted(KeyRestricted),
    /// A key's time is up at another moment.
    KeyExpiryChanged(KeyExpiryChanged),
    /// A key may not be used until it is reinstated.
    KeySuspended(KeySuspended),
    /// A suspended key may be used again.
    KeyReinstated(KeyReinstated),
    /// A successor was issued; both are valid until the rotation ends.
    KeyRotated(KeyRotated),
    /// The successor of a rotation was used for the first time.
    KeyFirstUsed(KeyFirstUsed),
    /// The successor took over; this key may never be used again.
    RotationFinished(RotationFinished),
    /// The rotation came to nothing; this key stays, its successor goes.
    RotationCancelled(RotationCancelled),
    /// A key was found where it should not be, and what followed from that.
    KeyLeaked(KeyLeaked),
    /// A key may never be used again.
    KeyRevoked(KeyRevoked),
    /// A key's time will soon be up.
    ExpiryWarned(ExpiryWarned),
    /// A key's time was up, and nobody moved it before.
    KeyExpired(KeyExpired),
}

/// A tenant was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantOpened {
    /// What people call it.
    pub name: Option<Personal>,
    /// What its new keys begin with.
    pub prefix: Prefix,
}

/// A tenant was configured: all its settings as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantConfigured {
    /// What people call it.
    pub name: Option<Personal>,
    /// What its new keys begin with.
    pub prefix: Prefix,
    /// What happens to a key that is reported as leaked.
    pub leak_response: LeakResponse,
}

/// A tenant was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantClosed {
    /// In somebody's words.
    pub note: Option<Personal>,
}

/// All keys that match at this event's position were revoked; none issued later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysRecalled {
    /// Which keys.
    pub selector: Selector,
    /// Why.
    pub reason: RevokeReason,
    /// In somebody's words.
    pub note: Option<Personal>,
}

/// A policy was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySet {
    /// What it says.
    pub policy: Policy,
}

/// A policy was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRemoved {
    /// Which.
    pub name: PolicyName,
}

/// An owner was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerErased {
    /// Whom.
    pub owner: OwnerTag,
    /// Which seal was destroyed, counted from 1; 0 when nothing was sealed.
    pub generation: u32,
}

/// A key was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIssued {
    /// What its text begins with.
    pub prefix: Prefix,
    /// What is kept of its secret.
    pub digest: SecretDigest,
    /// What comes with it.
    pub grant: Grant,
    /// The key that issued it.
    pub issuer: Option<KeyId>,
    /// The key that it is to replace.
    pub predecessor: Option<KeyId>,
}

/// A key of another system was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyImported {
    /// SHA-256 of the whole token.
    pub digest: SecretDigest,
    /// What comes with it.
    pub grant: Grant,
    /// The key that imported it.
    pub issuer: Option<KeyId>,
}

/// A key was renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRenamed {
    /// What people call it from now on.
    pub name: Option<Personal>,
}

/// A key's labels were changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRelabelled {
    /// All its labels from now on.
    pub labels: Labels,
}

/// A key was given to another owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTransferred {
    /// Whom it belongs to from now on.
    pub owner: Owner,
}

/// A key's scopes were changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRescoped {
    /// All that it may do from now on.
    pub scopes: ScopeSet,
}

/// A key's networks were changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRestricted {
    /// Where it may be used from, from now on.
    pub networks: Networks,
}

/// A key's expiry was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExpiryChanged {
    /// When its time is up; none means never.
    pub expires_at: Option<Timestamp>,
}

/// A key was suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySuspended {
    /// Why.
    pub reason: SuspendReason,
    /// In somebody's words.
    pub note: Option<Personal>,
    /// When the service reinstates it by itself; none means never.
    pub until: Option<Timestamp>,
}

/// A key was reinstated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReinstated {
    /// In somebody's words.
    pub note: Option<Personal>,
}

/// A rotation began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotated {
    /// The key that is to take over.
    pub successor: KeyId,
    /// When this key goes.
    pub rule: RotationRule,
}

/// A successor was adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFirstUsed {
    /// When it was first found valid.
    pub first_used_at: Timestamp,
}

/// A rotation ended with the successor in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationFinished {
    /// The key that took over.
    pub successor: KeyId,
    /// Whether somebody insisted although the successor had not been used.
    pub forced: bool,
}

/// A rotation was called off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationCancelled {
    /// The key that was to take over.
    pub successor: KeyId,
}

/// A key was reported as leaked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLeaked {
    /// Who reported it.
    pub source: LeakSource,
    /// Where it was found.
    pub url: Option<Personal>,
    /// What became of the key.
    pub response: LeakResponse,
}

/// A key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRevoked {
    /// Why.
    pub reason: RevokeReason,
    /// In somebody's words.
    pub note: Option<Personal>,
}

/// Notice was given that a key's time will be up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryWarned {
    /// When.
    pub expires_at: Timestamp,
}

/// A key expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExpired {
    /// The expiry that was reached.
    pub expires_at: Timestamp,
}
