//! Whether a key passed at a moment, and the event that decided it.

use std::net::IpAddr;

use domain::{KeyId, Position, Scope, Standing, TenantId, Timestamp};
use verify::Verdict;

use super::scratch::Scratch;
use super::{Past, PastError};
use crate::views::history::StoredEvent;

/// What is asked about a key: what it would have been used for, and from where.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its tenant.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// What for; none asks only whether it could be used at all.
    pub scope: Option<Scope>,
    /// From where.
    pub network: Option<IpAddr>,
}

/// What a verify said of the key's full secret, and why.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The verdict.
    pub verdict: Verdict,
    /// What the log had made of the key; none if it was not there yet.
    pub standing: Option<Standing>,
    /// Since when it was revoked, recalled or expired, if that is the verdict.
    pub since: Option<Timestamp>,
    /// The event since which the verdict, at this moment and for this question, is what it is; none while there was no key.
    pub decided_by: Option<StoredEvent>,
    /// Whether that event cannot be read here, or not follow the one before it: what it names is refused for it.
    pub unreadable: bool,
    /// Where the key's own history begins.
    pub begins_at: Position,
}

impl Past {
    /// The verdict on a key when the log ended at a position and it was `now`; none if there never was such a key.
    ///
    /// It is what a live verify said of the key's full secret when its index had taken in that position, unless that one was
    /// stale, or had heard of an end ahead of its index.
    ///
    /// # Errors
    /// [`PastError::Log`].
    pub async fn explain(
        &self,
        question: &Question,
        position: Position,
        now: Timestamp,
    ) -> Result<Option<Explained>, PastError> {
        let streams = self.streams(&question.tenant, question.key_id).await?;
        let Some(begins_at) = streams.own.first().map(|event| event.position) else { return Ok(None) };
        let events = streams.up_to(position, self.planted);
        let now = self.planted.moment(now, events.last().copied());
        let key = (&question.tenant, question.key_id);
        let asked = (question.scope.as_ref(), question.network);
        let mut scratch = Scratch::new(self.planted);
        let mut explained = Explained {
            verdict: Verdict::Unknown,
            standing: None,
            since: None,
            decided_by: None,
            unreadable: false,
            begins_at,
        };
        for event in events {
            let unreadable = scratch.take(event);
            let (verdict, since) = scratch.judge(key, asked, now);
            // An expiry that was moved, or that took effect, has decided anew. An issue that cannot be read leaves a key that
            // nobody can open, as if there were none.
            let begins = event.position == begins_at;
            if begins || (verdict, since) != (explained.verdict, explained.since) {
                let decided_by = StoredEvent::of(event);
                explained = Explained { verdict, since, decided_by, unreadable, ..explained };
            }
        }
        explained.standing = scratch.standing(key.0, key.1);
        Ok(Some(explained))
    }
}
