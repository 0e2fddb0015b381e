//! Decides: ids, the key format, commands, events and refusals; no I/O, clock, randomness, async or logging.

mod attributes;
mod event;
mod expire_key;
#[cfg(test)]
mod given;
mod ids;
mod issue_key;
mod key;
mod key_format;
mod open_tenant;
pub mod operator;
mod reason;
mod refusal;
mod revoke_key;
mod scope;
mod secret;
mod tenant;

pub use attributes::{AttributeError, Label, Labels, Networks, Owner, OwnerTag, Personal, PersonalText};
pub use event::{Actor, Cause, Envelope, Event, KeyExpired, KeyIssued, KeyRevoked, RequestTag, TenantOpened};
pub use expire_key::ExpireKey;
pub use ids::{
    CommandId, EventId, IdError, KeyId, LogId, Position, Revision, StreamName, TenantId, Timestamp,
};
pub use issue_key::{IssueKey, Issuer};
pub use key::{HistoryError, Key, Standing, StandingError};
pub use key_format::{Environment, KeyFormatError, ParsedKey, Prefix, PrefixError, digest_key, format_key};
pub use open_tenant::OpenTenant;
pub use operator::Permission;
pub use reason::{ReasonError, RevokeReason};
pub use refusal::Refusal;
pub use revoke_key::RevokeKey;
pub use scope::{Scope, ScopeError, ScopeSet};
pub use secret::{PlainKey, PlainSecret, SecretDigest};
pub use tenant::Tenant;
