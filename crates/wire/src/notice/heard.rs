//! A notice as a consumer reads it back.

use domain::{
    Environment, KeyId, Label, LogId, Owner, OwnerTag, Personal, Position, Scope, Selector, StreamName,
    TenantId,
};
use serde::Deserialize;
use thiserror::Error;

use crate::hex::unhex;
use crate::notice::{NoticeData, NoticeKind, NoticeSelector};

/// A text that is no notice. Who hears one has missed something, and must not go on as if nothing had been said.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the {0} of this notice cannot be read")]
pub struct NoticeUnreadable(pub &'static str);

/// A notice read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The history it belongs to.
    pub log_id: LogId,
    /// Whom it is for.
    pub tenant: TenantId,
    /// Which key it is about; none for one about the tenant and any of its keys.
    pub key_id: Option<KeyId>,
    /// What it is about; none for a kind of a later version.
    pub kind: Option<NoticeKind>,
    /// The rest.
    pub data: NoticeData,
}

#[derive(Deserialize)]
struct CloudEvent {
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    data: NoticeData,
}

impl Heard {
    /// Reads what [`crate::Notice::to_cloud_event`] wrote, here or in a later version.
    ///
    /// # Errors
    /// [`NoticeUnreadable`].
    pub fn parse(json: &[u8]) -> Result<Self, NoticeUnreadable> {
        let event: CloudEvent = serde_json::from_slice(json).map_err(|_| NoticeUnreadable("form"))?;
        let log_id = event.source.strip_prefix("/logs/").and_then(|id| id.parse().ok());
        let (tenant, token) = event.subject.split_once('/').ok_or(NoticeUnreadable("subject"))?;
        let key_id = match token {
            StreamName::TENANT_TOKEN => None,
            token => Some(token.parse().map_err(|_| NoticeUnreadable("key"))?),
        };
        let word = event.kind.strip_prefix("rescind.key.").and_then(|kind| kind.strip_suffix(".v1"));
        Ok(Self {
            log_id: log_id.ok_or(NoticeUnreadable("source"))?,
            tenant: tenant.parse().map_err(|_| NoticeUnreadable("tenant"))?,
            key_id,
            kind: word.and_then(|word| NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == word)),
            data: event.data,
        })
    }

    /// Where its event stands.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position::new(self.data.position)
    }

    /// Where the tenant's notice before it stands.
    #[must_use]
    pub const fn previous(&self) -> Position {
        Position::new(self.data.previous)
    }
}

impl NoticeSelector {
    /// The selector as keys are compared with it. Of an owner only the tag counts.
    ///
    /// # Errors
    /// [`NoticeUnreadable`], also for one that names nothing and does not say `all`.
    pub fn parse(&self) -> Result<Selector, NoticeUnreadable> {
        let bad = NoticeUnreadable("selector");
        let owner = match &self.owner_tag {
            Some(tag) => {
                let tag = OwnerTag::from_bytes(unhex(tag).ok_or(bad)?);
                Some(Owner { tag, name: Personal::Sealed(Vec::new()) })
            }
            None if self.owner.is_some() => return Err(bad),
            None => None,
        };
        let selector = Selector {
            owner,
            label: self.label.as_deref().map(str::parse::<Label>).transpose().map_err(|_| bad)?,
            scope: self.scope.as_deref().map(str::parse::<Scope>).transpose().map_err(|_| bad)?,
            issuer: self.issuer.as_deref().map(str::parse::<KeyId>).transpose().map_err(|_| bad)?,
            environment: self
                .environment
                .as_deref()
                .map(str::parse::<Environment>)
                .transpose()
                .map_err(|_| bad)?,
        };
        match (self.all, selector.is_all()) {
            (Some(true), true) | (None | Some(false), false) => Ok(selector),
            _ => Err(bad),
        }
    }
}
