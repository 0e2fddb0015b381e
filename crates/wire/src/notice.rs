//! Notices: what consumers hear of an event that changes who may pass, as structured CloudEvents 1.0 JSON.

use std::fmt;

use domain::{Envelope, Event, KeyId, LogId, Position, TenantId};
use serde::{Deserialize, Serialize};

use crate::time::format_rfc3339;

/// What a notice is about; a token of its subject and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// A key may be used from now on.
    Issued,
    /// A key may never be used again.
    Revoked,
    /// A key's time was up.
    Expired,
}

impl NoticeKind {
    /// The token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One notice, before it is written for a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whom it is for.
    pub tenant: TenantId,
    /// Which key it is about.
    pub key_id: KeyId,
    /// What it is about.
    pub kind: NoticeKind,
    /// The rest, as it stands in the JSON.
    pub data: NoticeData,
}

/// The `data` member of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeData {
    /// The event's position, also the notice's id.
    pub position: u64,
    /// The position of the tenant's notice before this one; 0 if this is the first. A consumer that holds another one has
    /// missed something.
    pub previous: u64,
    /// When it happened, RFC 3339.
    pub occurred_at: String,
    /// Why, for a revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the key's time is up, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What the key may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Where the key may be used from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
}

/// The notice of an event, if it has one: an event that changes nobody's passing has none.
#[must_use]
pub fn notice_of(envelope: &Envelope, position: Position, previous: Position) -> Option<Notice> {
    let key_id = envelope.stream.key_id()?;
    let mut data = NoticeData {
        position: position.get(),
        previous: previous.get(),
        occurred_at: format_rfc3339(envelope.occurred_at),
        reason: None,
        expires_at: None,
        scopes: None,
        networks: None,
    };
    let kind = match &envelope.event {
        Event::TenantOpened(_) => return None,
        Event::KeyIssued(issued) => {
            data.expires_at = issued.expires_at.map(format_rfc3339);
            data.scopes = Some(issued.scopes.iter().map(ToString::to_string).collect());
            data.networks = Some(issued.networks.iter().map(ToString::to_string).collect());
            NoticeKind::Issued
        }
        Event::KeyRevoked(revoked) => {
            data.reason = Some(revoked.reason.to_string());
            NoticeKind::Revoked
        }
        Event::KeyExpired(expired) => {
            data.expires_at = Some(format_rfc3339(expired.expires_at));
            NoticeKind::Expired
        }
    };
    Some(Notice { tenant: envelope.stream.tenant().clone(), key_id, kind, data })
}

/// A notice as it goes out. Member names are CloudEvents'.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: &'a str,
    datacontenttype: &'static str,
    data: &'a NoticeData,
}

impl Notice {
    /// The media type of [`Self::to_cloud_event`].
    pub const CONTENT_TYPE: &'static str = "application/cloudevents+json";

    /// Structured CloudEvents 1.0 JSON. The same notice of the same log always gives the same bytes.
    #[must_use]
    pub fn to_cloud_event(&self, log_id: LogId) -> String {
        let event = CloudEvent {
            specversion: "1.0",
            id: self.data.position.to_string(),
            source: format!("/logs/{log_id}"),
            kind: format!("rescind.key.{}.v1", self.kind),
            subject: format!("{}/{}", self.tenant, self.key_id),
            time: &self.data.occurred_at,
            datacontenttype: "application/json",
            data: &self.data,
        };
        serde_json::to_string(&event).expect("strings and numbers always serialise")
    }
}
