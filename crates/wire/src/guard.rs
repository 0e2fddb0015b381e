//! What a guard and a server say to each other over HTTP, as JSON.
//!
//! A guard registers before it answers anybody, asks for a lease each second, asks once for each key that it sees first, and
//! says what it has applied. Positions are the log's; ids are 26 characters; times RFC 3339.

mod usage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use usage::{Counted, Usage, UsedFor, UsedKey};

/// `POST /v1/guard/register`: a verifier that is about to answer for a tenant's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Drawn by the guard when its process starts, a ULID: the same again is the same guard.
    pub guard_id: String,
    /// Whose keys it judges.
    pub tenant: String,
    /// What people call it, such as `mailer`: 1 to 64 of `A-Za-z0-9._/-`.
    pub name: String,
    /// The version of the service or of the guard, for people.
    pub version: String,
    /// How it hears notices: `sse` or `nats`.
    pub feed: String,
    /// How long it goes on without a proof that it has heard everything; the server's own bound is the most.
    pub max_staleness_ms: u64,
}

/// The answer to [`Register`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// The history that positions belong to.
    pub log_id: String,
    /// A head of the log read after the registration stood: no fill and no lease may rest on less.
    pub at_least: u64,
    /// The bound that holds: the smaller of what was asked and the server's own.
    pub max_staleness_ms: u64,
    /// The server's version.
    pub server: String,
    /// What time it is there, RFC 3339; none of an older server, to which nobody reports usage. Usage is dated by servers'
    /// clocks: a guard takes this for the time at which it arrived, so it dates rather too early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// `POST /v1/guard/lease`: is what I have all there is?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AskLease {
    /// Who asks.
    pub guard_id: String,
    /// Given back in the answer, so that no older answer is taken for this one.
    pub nonce: u64,
    /// Every notice up to here has been applied.
    pub applied: u64,
    /// How many keys it holds.
    pub held: u64,
    /// It refuses, since its last lease ran out.
    pub stale: bool,
}

/// The answer to [`AskLease`]. Good until *time asked + the bound − `staleness_ms`*, once the guard has applied `last_notice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseGranted {
    /// As it was asked.
    pub nonce: u64,
    /// The history that positions belong to.
    pub log_id: String,
    /// What this server has applied.
    pub head: u64,
    /// The tenant's last notice at that head.
    pub last_notice: u64,
    /// The last event of the tenant or its keys that this server cannot read, or a later one: there may be no notice of it.
    /// Before it takes this lease, a guard asks for everything again that it holds from before.
    #[serde(default)]
    pub last_unread: u64,
    /// How long ago the server's own proof was asked for.
    pub staleness_ms: u64,
    /// Reports of what was applied are spread over so long, in milliseconds: a notice reaches many guards at once, and the
    /// last should hear it before the first reports are worked off.
    #[serde(default)]
    pub report_within_ms: u64,
}

/// `POST /v1/guard/fill`: what is there to know of these keys?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AskFill {
    /// Who asks.
    pub guard_id: String,
    /// Their ids, at most [`AskFill::MAX_KEYS`]. A secret never leaves the service that it is presented to.
    pub keys: Vec<String>,
    /// The answer must rest on at least this position.
    pub at_least: u64,
}

impl AskFill {
    /// The most keys of one request.
    pub const MAX_KEYS: usize = 256;
}

/// The answer to [`AskFill`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Filled {
    /// The history that positions belong to.
    pub log_id: String,
    /// Every event up to here is in the answer, perhaps later ones too.
    pub as_of: u64,
    /// What holds for all of the tenant's keys.
    pub tenant: FilledTenant,
    /// Each at the place where it was asked for; null for a key that is not there.
    pub keys: Vec<Option<FilledKey>>,
}

/// What holds for all keys of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilledTenant {
    /// It was closed: nobody passes.
    pub closed: bool,
    /// An event of its history cannot be read: nobody passes.
    pub quarantined: bool,
}

/// All that judging one key needs. Its digest lets nobody find the secret, which has 190 random bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilledKey {
    /// Which key.
    pub key_id: String,
    /// The first 16 bytes of its secret's digest, in hexadecimal.
    pub digest: String,
    /// Another system's key, found by the digest of the whole token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// active, suspended, expired, revoked, recalled or quarantined.
    pub standing: String,
    /// Since when it is revoked, recalled or expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When its time is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Whom it belongs to, as recalls compare it: hexadecimal.
    pub owner_tag: String,
    /// The owner's name, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where it may be used from; none means anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// `live` or `test`.
    pub environment: String,
    /// The key that issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The position of its last event: recalls above it hit the key if they match.
    pub settled_at: u64,
}

/// `POST /v1/guard/applied`: every notice up to a position has been applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Who says so.
    pub guard_id: String,
    /// Up to here.
    pub position: u64,
}

/// `POST /v1/guard/leave`: a guard that answers nobody any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Who leaves.
    pub guard_id: String,
}

/// The first line of `GET /v1/guard/snapshot`; a [`FilledKey`] a line follows, then [`SnapshotEnd`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SnapshotBegin {
    /// The history that positions belong to.
    pub log_id: String,
    /// Every event up to here is in the lines, perhaps later ones too.
    pub as_of: u64,
    /// What holds for all of the tenant's keys.
    pub tenant: FilledTenant,
}

/// The last line of a snapshot: without it, it broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SnapshotEnd {
    /// How many keys there were.
    pub keys: u64,
}
