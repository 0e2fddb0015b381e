//! The token of a recall's preview: which keys were shown, bound to tenant, selector and position, so that it cannot be
//! altered or used elsewhere.

use std::fmt;
use std::str::FromStr;

use domain::{Position, RecallKeys, RequestTag, RevokeReason, Selector, TenantId, Timestamp};
use wire::{Canonical, Parts, TagSecret};

/// How long a preview can be acted on: long enough to ask somebody, short enough that nobody forgot what it was about.
const VALID_FOR_MS: u64 = 60 * 60 * 1000;

/// What a preview showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecallToken {
    /// Every event up to here was considered.
    pub(crate) position: Position,
    at: Timestamp,
    tag: RequestTag,
}

/// A text that is no token of a preview.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a token is what a preview answered, unchanged")]
pub struct RecallTokenError;

/// What is signed.
struct Shown<'a> {
    tenant: &'a TenantId,
    selector: &'a Selector,
    position: Position,
    at: Timestamp,
}

impl Canonical for Shown<'_> {
    fn write(&self, parts: &mut Parts) {
        parts.text("RecallPreview");
        // The recall's own form, with reason and note left open: they may be chosen after the preview.
        let recall = RecallKeys {
            tenant: self.tenant.clone(),
            selector: self.selector.clone(),
            reason: RevokeReason::Other,
            note: None,
        };
        recall.write(parts);
        parts.number(self.position.get());
        parts.number(self.at.as_millis());
    }
}

impl RecallToken {
    pub(crate) fn sign(
        secret: &TagSecret,
        tenant: &TenantId,
        selector: &Selector,
        position: Position,
        at: Timestamp,
    ) -> Self {
        Self { position, at, tag: secret.request_tag(&Shown { tenant, selector, position, at }) }
    }

    /// Whether this is a token that this tenant gave for this selector, and not too long ago.
    pub(crate) fn holds(
        self,
        secret: &TagSecret,
        tenant: &TenantId,
        selector: &Selector,
        now: Timestamp,
    ) -> bool {
        self == Self::sign(secret, tenant, selector, self.position, self.at)
            && now <= self.at.plus_millis(VALID_FOR_MS)
    }
}

impl fmt::Display for RecallToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = u128::from_be_bytes(self.tag.to_bytes());
        write!(f, "{:x}-{:x}-{tag:032x}", self.position.get(), self.at.as_millis())
    }
}

impl FromStr for RecallToken {
    type Err = RecallTokenError;

    fn from_str(text: &str) -> Result<Self, RecallTokenError> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(RecallTokenError);
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| RecallTokenError);
        let (position, at) = (number(part()?)?, number(part()?)?);
        let tag = u128::from_str_radix(part()?, 16).map_err(|_| RecallTokenError)?;
        let token = Self {
            position: Position::new(position),
            at: Timestamp::from_millis(at),
            tag: RequestTag::from_bytes(tag.to_be_bytes()),
        };
        // One form: what was changed in spelling was changed.
        if token.to_string() == text { Ok(token) } else { Err(RecallTokenError) }
    }
}
