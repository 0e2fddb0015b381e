//! What is held of one key: all that judging it needs, as the server filled it and notices changed it since.

use std::fmt;
use std::sync::Arc;

use domain::{
    Environment, KeyId, Labels, Networks, OwnerTag, Position, ScopeSet, Selectable, Selector, Standing,
    Timestamp,
};
use thiserror::Error;
use wire::guard::FilledKey;
use wire::{parse_rfc3339, unhex};

use crate::ask_server::Told;
use crate::core::shared::Shared;
use crate::passes::Passes;

/// How long an entry that nobody can read is believed. No notice tells of its recovery, so it is asked for again, and no
/// notice can make a key that was never readable valid meanwhile.
const QUARANTINE_BELIEVED_MS: u64 = 5_000;

/// A filled key that is not one. Whoever sent it is of another version, or not a server.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the {0} of a filled key cannot be read")]
pub struct FillUnreadable(pub &'static str);

/// One key as it is held. Never changed in place: a notice puts another one there.
///
/// In this order, so that what every verdict needs lies beside the counter that a verdict counts up.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) digest: [u8; 16],
    /// Milliseconds since the epoch; the last that there are for never.
    expires_at: u64,
    pub(crate) scopes: Arc<ScopeSet>,
    /// None for anywhere.
    pub(crate) networks: Option<Arc<Networks>>,
    pub(crate) standing: Standing,
    pub(crate) imported: bool,
    environment: Environment,
    /// Counts when the verdict lets it pass.
    pub(crate) passes: Passes,
    pub(crate) key_id: KeyId,
    /// Every event up to here is in it.
    pub(crate) as_of: Position,
    /// Since when it is revoked, recalled or expired.
    pub(crate) since: Option<Timestamp>,
    /// Boot milliseconds from which on it is asked for again, if it is quarantined.
    pub(crate) believed_until: u64,
    labels: Arc<Labels>,
    owner_tag: OwnerTag,
    owner: Option<Box<str>>,
    issuer: Option<KeyId>,
}

impl Entry {
    /// Reads what a server answered at `as_of`.
    ///
    /// A standing that this version does not know is read as quarantined: refused, and asked for again.
    pub(crate) fn read(
        filled: &FilledKey,
        as_of: Position,
        boot_ms: u64,
        shared: &mut Shared,
    ) -> Result<Self, FillUnreadable> {
        let bad = FillUnreadable;
        let labels = filled.labels.iter().map(|(name, value)| domain::Label::new(name, value));
        let labels = labels.collect::<Result<Vec<_>, _>>().map_err(|_| bad("labels"))?;
        let time = |text: &Option<String>, what| {
            text.as_deref().map(parse_rfc3339).transpose().map_err(|_| bad(what))
        };
        let standing: Standing = filled.standing.parse().unwrap_or(Standing::Quarantined);
        let networks = Networks::parse(&filled.networks).map_err(|_| bad("networks"))?;
        Ok(Self {
            key_id: filled.key_id.parse().map_err(|_| bad("key_id"))?,
            digest: unhex(&filled.digest).ok_or(bad("digest"))?,
            imported: filled.imported,
            standing,
            since: time(&filled.since, "since")?,
            expires_at: time(&filled.expires_at, "expires_at")?.map_or(u64::MAX, Timestamp::as_millis),
            scopes: shared.scopes.share(ScopeSet::parse(&filled.scopes).map_err(|_| bad("scopes"))?),
            networks: (!networks.is_empty()).then(|| shared.networks.share(networks)),
            labels: shared.labels.share(Labels::new(labels).map_err(|_| bad("labels"))?),
            environment: filled.environment.parse().map_err(|_| bad("environment"))?,
            owner_tag: OwnerTag::from_bytes(unhex(&filled.owner_tag).ok_or(bad("owner_tag"))?),
            owner: filled.owner.as_deref().map(Into::into),
            issuer: filled.issuer.as_deref().map(str::parse).transpose().map_err(|_| bad("issuer"))?,
            as_of,
            passes: Passes::default(),
            believed_until: boot_ms.saturating_add(QUARANTINE_BELIEVED_MS),
        })
    }

    pub(crate) const fn expires_at(&self) -> Option<Timestamp> {
        match self.expires_at {
            u64::MAX => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }

    pub(crate) fn is_past(&self, now: impl FnOnce() -> Timestamp) -> bool {
        self.expires_at != u64::MAX && self.expires_at <= now().as_millis()
    }

    /// The same key with its end, or its pause.
    pub(crate) fn standing_as(&self, standing: Standing, since: Timestamp) -> Self {
        Self { standing, since: Some(since), ..self.clone() }
    }

    /// Whether nothing can give it back.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.standing, Standing::Revoked | Standing::Recalled)
    }

    /// Whether a recall that tells this selector ends it, as in the server: what has expired for good is over already.
    pub(crate) fn is_hit(&self, selector: &Selector) -> bool {
        !self.has_ended() && self.standing != Standing::Expired && self.matches(selector)
    }

    fn matches(&self, selector: &Selector) -> bool {
        selector.matches(&Selectable {
            owner: self.owner_tag,
            labels: &self.labels,
            scopes: &self.scopes,
            issuer: self.issuer,
            environment: self.environment,
        })
    }
}

/// Whose key it is: told only to who presented the full secret. Cloning counts up, nothing is copied.
#[derive(Clone)]
pub struct Holder(pub(crate) Arc<Entry>);

impl Holder {
    /// What the server told with a verdict: for this one, and never held.
    pub(crate) fn told(told: &Told) -> Option<Self> {
        let expires_at = told.expires_at.as_deref().map(parse_rfc3339).transpose().ok()?;
        Some(Self(Arc::new(Entry {
            key_id: told.key_id.as_deref()?.parse().ok()?,
            digest: [0; 16],
            imported: false,
            standing: Standing::Quarantined,
            since: None,
            expires_at: expires_at.map_or(u64::MAX, Timestamp::as_millis),
            scopes: Arc::new(ScopeSet::parse(&told.scopes).ok()?),
            networks: None,
            labels: Arc::default(),
            environment: told.environment.as_deref()?.parse().ok()?,
            owner_tag: OwnerTag::from_bytes([0; 16]),
            owner: told.owner.as_ref().and_then(|owner| owner.as_str()).map(Into::into),
            issuer: None,
            as_of: Position::NONE,
            passes: Passes::default(),
            believed_until: 0,
        })))
    }

    /// Which key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.0.key_id
    }

    /// The owner's name; none if it is sealed.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// Its labels. None are told with a verdict that was asked of the server past the lease.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// Live or test.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.0.environment
    }

    /// When its time is up.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at()
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder").field("key_id", &self.key_id().to_string()).finish_non_exhaustive()
    }
}
