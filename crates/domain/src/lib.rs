//! Decides: ids, the key format, commands, events and refusals; no I/O, clock, randomness, async or logging.

mod admission;
mod attributes;
mod cancel_rotation;
mod change_expiry;
mod close_tenant;
mod configure_tenant;
mod digest_text;
mod end_suspension;
mod erase_owner;
mod event;
mod expire_key;
mod finish_rotation;
#[cfg(test)]
mod given;
mod grant;
mod ids;
mod import_key;
mod issue_key;
mod key;
mod key_format;
mod leak;
mod life;
mod mark_first_used;
mod open_tenant;
pub mod operator;
mod policy;
mod reason;
mod recall_keys;
mod refusal;
mod reinstate_key;
mod relabel_key;
mod remove_policy;
mod rename_key;
mod report_leak;
mod rescope_key;
mod restrict_key;
mod revoke_key;
mod rotate_key;
mod rotation;
mod scope;
mod secret;
mod selector;
#[cfg(test)]
mod sequences;
mod set_policy;
mod suspend_key;
mod tenant;
mod texts;
mod transfer_key;
mod warn_expiry;

pub use attributes::{AttributeError, Label, Labels, Networks, Owner, OwnerTag, Personal, PersonalText};
pub use cancel_rotation::CancelRotation;
pub use change_expiry::ChangeExpiry;
pub use close_tenant::CloseTenant;
pub use configure_tenant::ConfigureTenant;
pub use digest_text::DigestTextError;
pub use end_suspension::EndSuspension;
pub use erase_owner::{EraseOwner, OwnerTraces, SealTrace};
pub use event::{
    Actor, Cause, Envelope, Event, ExpiryWarned, KeyExpired, KeyExpiryChanged, KeyFirstUsed, KeyImported,
    KeyIssued, KeyLeaked, KeyReinstated, KeyRelabelled, KeyRenamed, KeyRescoped, KeyRestricted, KeyRevoked,
    KeyRotated, KeySuspended, KeyTransferred, KeysRecalled, OwnerErased, PolicyRemoved, PolicySet,
    RequestTag, RotationCancelled, RotationFinished, TenantClosed, TenantConfigured, TenantOpened,
};
pub use expire_key::ExpireKey;
pub use finish_rotation::{Finish, FinishRotation};
pub use grant::Grant;
pub use ids::{
    CommandId, EventId, IdError, KeyId, LogId, Position, Revision, StreamName, TenantId, Timestamp,
};
pub use import_key::ImportKey;
pub use issue_key::{IssueKey, Issuer};
pub use key::{HistoryError, Key, Standing, StandingError, standing_after};
pub use key_format::{Environment, KeyFormatError, ParsedKey, Prefix, PrefixError, digest_key, format_key};
pub use leak::{LeakResponse, LeakResponseError, LeakSource, LeakSourceError};
pub use life::Life;
pub use mark_first_used::MarkFirstUsed;
pub use open_tenant::OpenTenant;
pub use operator::Permission;
pub use policy::{Policy, PolicyError, PolicyName, PolicyRules};
pub use reason::{ReasonError, RevokeReason, SuspendReason, SuspendReasonError};
pub use recall_keys::{Reach, RecallKeys};
pub use refusal::Refusal;
pub use reinstate_key::ReinstateKey;
pub use relabel_key::RelabelKey;
pub use remove_policy::RemovePolicy;
pub use rename_key::RenameKey;
pub use report_leak::ReportLeak;
pub use rescope_key::{RescopeKey, Widening};
pub use restrict_key::RestrictKey;
pub use revoke_key::RevokeKey;
pub use rotate_key::RotateKey;
pub use rotation::{Rotation, RotationRule, RotationRuleError};
pub use scope::{Scope, ScopeError, ScopeSet};
pub use secret::{PlainKey, PlainSecret, SecretDigest};
pub use selector::{Selectable, Selector, SelectorError};
pub use set_policy::SetPolicy;
pub use suspend_key::SuspendKey;
pub use tenant::Tenant;
pub use texts::{About, Subject, Text, TextField};
pub use transfer_key::TransferKey;
pub use warn_expiry::WarnExpiry;
