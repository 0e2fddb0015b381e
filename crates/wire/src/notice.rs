//! Notices: what consumers hear of an event that changes who may pass, as structured CloudEvents 1.0 JSON.

mod data;
mod heard;
mod hint;
mod kind;

use domain::{Envelope, KeyId, LogId, Position, StreamName, TenantId};
use serde::Serialize;

pub use self::data::{NoticeData, NoticeSelector};
pub use self::heard::{Heard, NoticeUnreadable};
pub use self::hint::Hint;
pub use self::kind::NoticeKind;

/// One notice, before it is written for a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whom it is for.
    pub tenant: TenantId,
    /// Which key it is about; none for one about the tenant and any of its keys.
    pub key_id: Option<KeyId>,
    /// What it is about.
    pub kind: NoticeKind,
    /// The rest, as it stands in the JSON.
    pub data: NoticeData,
}

/// The notice of an event, if it has one ([`NoticeKind::of`]): an event that changes nobody's passing has none.
#[must_use]
pub fn notice_of(envelope: &Envelope, position: Position, previous: Position) -> Option<Notice> {
    Some(Notice {
        kind: NoticeKind::of(envelope)?,
        tenant: envelope.stream.tenant().clone(),
        key_id: envelope.stream.key_id(),
        data: NoticeData::of(envelope, position, previous),
    })
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

    /// What it is about within its tenant, the last token of its subjects: a key id or `_tenant`.
    #[must_use]
    pub fn token(&self) -> String {
        self.key_id.map_or_else(|| StreamName::TENANT_TOKEN.to_owned(), |key_id| key_id.to_string())
    }

    /// Structured CloudEvents 1.0 JSON. The same notice of the same log always gives the same bytes.
    #[must_use]
    pub fn to_cloud_event(&self, log_id: LogId) -> String {
        let event = CloudEvent {
            specversion: "1.0",
            id: self.data.position.to_string(),
            source: format!("/logs/{log_id}"),
            kind: format!("rescind.key.{}.v1", self.kind),
            subject: format!("{}/{}", self.tenant, self.token()),
            time: &self.data.occurred_at,
            datacontenttype: "application/json",
            data: &self.data,
        };
        serde_json::to_string(&event).expect("strings and numbers always serialise")
    }
}
