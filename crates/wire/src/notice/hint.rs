//! A hint: that one key has ended, told by the server that appended it before its notice stands in the feed.
//!
//! The notice comes in order and says what came before it; a hint does neither. So it may only ever refuse.

use domain::{KeyId, LogId, Position, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::notice::NoticeUnreadable;
use crate::time::{format_rfc3339, parse_rfc3339};

/// That a key has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The history that it belongs to.
    pub log_id: LogId,
    /// Whose key.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Where its end stands.
    pub position: Position,
    /// When it ended.
    pub at: Timestamp,
}

/// As a CloudEvent, of a type of its own: nobody takes it for a notice.
#[derive(Serialize, Deserialize)]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
}

impl Hint {
    const KIND: &'static str = "rescind.hint.ended.v1";

    /// Structured CloudEvents 1.0 JSON.
    #[must_use]
    pub fn to_cloud_event(&self) -> String {
        let event = CloudEvent {
            specversion: "1.0".to_owned(),
            id: self.position.to_string(),
            source: format!("/logs/{}", self.log_id),
            kind: Self::KIND.to_owned(),
            subject: format!("{}/{}", self.tenant, self.key_id),
            time: format_rfc3339(self.at),
        };
        serde_json::to_string(&event).expect("strings always serialise")
    }

    /// Reads what [`Self::to_cloud_event`] wrote. What cannot be read is no loss: its notice comes.
    ///
    /// # Errors
    /// [`NoticeUnreadable`].
    pub fn parse(json: &[u8]) -> Result<Self, NoticeUnreadable> {
        let event: CloudEvent = serde_json::from_slice(json).map_err(|_| NoticeUnreadable("form"))?;
        if event.kind != Self::KIND {
            return Err(NoticeUnreadable("type"));
        }
        let log_id = event.source.strip_prefix("/logs/").and_then(|id| id.parse().ok());
        let (tenant, key_id) = event.subject.split_once('/').ok_or(NoticeUnreadable("subject"))?;
        Ok(Self {
            log_id: log_id.ok_or(NoticeUnreadable("source"))?,
            tenant: tenant.parse().map_err(|_| NoticeUnreadable("tenant"))?,
            key_id: key_id.parse().map_err(|_| NoticeUnreadable("key"))?,
            position: event.id.parse().map(Position::new).map_err(|_| NoticeUnreadable("id"))?,
            at: parse_rfc3339(&event.time).map_err(|_| NoticeUnreadable("time"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Heard;

    fn hint() -> Hint {
        Hint {
            log_id: LogId::from_u128(7),
            tenant: "acme".parse().unwrap(),
            key_id: KeyId::from_u128(9),
            position: Position::new(12),
            at: Timestamp::from_millis(1_790_000_000_123),
        }
    }

    #[test]
    fn a_hint_is_read_back_and_is_no_notice() {
        let text = hint().to_cloud_event();
        assert_eq!(Hint::parse(text.as_bytes()), Ok(hint()));
        assert!(Heard::parse(text.as_bytes()).is_err());
        assert!(text.contains(r#""type":"rescind.hint.ended.v1","subject":"acme/"#), "{text}");
    }

    #[test]
    fn what_is_none_is_refused_by_what_is_wrong_with_it() {
        let text = hint().to_cloud_event();
        for (from, to, what) in [
            ("ended", "issued", "type"),
            ("/logs/", "/log/", "source"),
            ("acme/", "acme-", "subject"),
            ("acme/", "Acme/", "tenant"),
            ("\"12\"", "\"x\"", "id"),
            ("2026", "then", "time"),
            ("{", "", "form"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_eq!(Hint::parse(changed.as_bytes()), Err(NoticeUnreadable(what)));
        }
    }
}
