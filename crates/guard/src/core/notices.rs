//! What the feed says: notices in their order, heartbeats, and the ways in which a feed can be wrong.

use domain::{KeyId, LogId, Position, Standing};
use wire::{Heard, NoticeKind, NoticeSelector, parse_rfc3339};

use crate::core::planted::GuardBug;
use crate::core::{Core, State};

/// What was made of something that a feed said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds from now on.
    Taken,
    /// Known already: nothing changed.
    Repeat,
    /// Something before it was missed. Nothing changed; the feed has to go on from [`Core::resume_from`].
    Gap,
    /// Another history, or one that went back: everything was dropped, and the guard has to register anew.
    Reset,
}

impl Core {
    /// A feed begins, or goes on from [`Self::resume_from`] with the notices up to `last_notice`.
    pub fn on_hello(&self, log_id: &str, head: Position, last_notice: Position) -> Outcome {
        let mut state = self.state.lock();
        if self.is_other_log(&mut state, log_id) == Outcome::Reset {
            return Outcome::Reset;
        }
        if !state.is_following {
            state.is_following = true;
            self.said.apply(last_notice);
            self.said.hear(head);
            self.settle_leases(&mut state);
            return Outcome::Taken;
        }
        if head < self.said.heard() || last_notice < self.said.applied() {
            self.forget(&mut state);
            return Outcome::Reset;
        }
        if last_notice == self.said.applied() {
            self.said.hear(head);
        }
        Outcome::Taken
    }

    /// The feed has sent everything up to `head`. That is no lease: it says what was sent, not when that was all there is.
    pub fn on_heartbeat(&self, head: Position, last_notice: Position, boot_ms: u64) -> Outcome {
        let mut state = self.state.lock();
        if !state.is_following {
            return Outcome::Gap;
        }
        if head < self.said.heard() || last_notice < self.said.applied() {
            self.forget(&mut state);
            return Outcome::Reset;
        }
        if self.planted.is(GuardBug::HeartbeatIsLease) {
            self.said.extend_lease(boot_ms.saturating_add(self.said.bound_ms()));
        }
        if last_notice > self.said.applied() {
            return Outcome::Gap;
        }
        self.said.hear(head);
        Outcome::Taken
    }

    /// One notice. Whatever it takes away is refused by every judgement that begins after this returned.
    pub fn on_notice(&self, notice: &Heard) -> Outcome {
        let mut state = self.state.lock();
        if state.log_id.is_some_and(|known| known != notice.log_id) {
            self.forget(&mut state);
            return Outcome::Reset;
        }
        if notice.tenant != self.tenant || (state.is_following && notice.position() <= self.said.applied()) {
            return Outcome::Repeat;
        }
        let is_next = notice.previous() == self.said.applied() || self.planted.is(GuardBug::GapOverlooked);
        if !state.is_following || !is_next {
            return Outcome::Gap;
        }
        let is_dropped = self.planted.is(GuardBug::NoticeDropped) && notice.kind == Some(NoticeKind::Revoked);
        if !is_dropped {
            self.take(&mut state, notice);
        }
        self.applied_up_to(&mut state, notice.position());
        Outcome::Taken
    }

    /// A notice that cannot be read, at the position that the transport tells. It may have been about any key, and whether
    /// one before it was missed cannot be seen: so everything held is asked for anew, above it.
    pub fn on_unreadable(&self, position: Position) -> Outcome {
        let mut state = self.state.lock();
        if !state.is_following {
            return Outcome::Gap;
        }
        if position <= self.said.applied() {
            return Outcome::Repeat;
        }
        self.drop_held(&mut state, position);
        self.applied_up_to(&mut state, position);
        Outcome::Taken
    }

    /// What the notices up to there change is held by now: hints of them have done their work, and leases become true.
    fn applied_up_to(&self, state: &mut State, position: Position) {
        self.said.apply(position);
        self.hints.confirm(position);
        self.settle_leases(state);
    }

    /// A log id that is none is another one.
    pub(crate) fn is_other_log(&self, state: &mut State, log_id: &str) -> Outcome {
        let is_same = state.log_id.is_some_and(|known| log_id.parse::<LogId>() == Ok(known));
        if !is_same {
            self.forget(state);
            return Outcome::Reset;
        }
        Outcome::Taken
    }

    fn take(&self, state: &mut State, notice: &Heard) {
        match notice.key_id {
            Some(key_id) => {
                state.fills.touch(key_id, notice.position());
                self.take_of_key(key_id, notice);
            }
            None => match (notice.kind, &notice.data.selector) {
                (Some(NoticeKind::Closed), _) => self.said.close_tenant(),
                (Some(NoticeKind::Recalled), Some(selector)) => self.recall(state, notice, selector),
                _ => self.drop_held(state, notice.position()),
            },
        }
    }

    fn take_of_key(&self, key_id: KeyId, notice: &Heard) {
        let standing = match notice.kind {
            Some(NoticeKind::Revoked) => Some(Standing::Revoked),
            Some(NoticeKind::Suspended) => Some(Standing::Suspended),
            Some(NoticeKind::Expired) => Some(Standing::Expired),
            // A warning changes nothing.
            Some(NoticeKind::Expiring) => return,
            // Whatever else it is, known or not: the server is asked what the key is now.
            _ => None,
        };
        let since = parse_rfc3339(&notice.data.occurred_at).ok();
        self.held.change(key_id, notice.position(), |entry| match standing.zip(since) {
            // A fill may have told of the end before its notice came: what is heard until then gives nothing back.
            _ if entry.has_ended() => Some(entry.clone()),
            // It stays quarantined, unless it ends: the server knows.
            Some((standing, _))
                if entry.standing == Standing::Quarantined && standing != Standing::Revoked =>
            {
                None
            }
            Some((standing, since)) => Some(entry.standing_as(standing, since)),
            None => None,
        });
    }

    /// Every key that matches as it is held: an attribute that changed before the recall was noticed before it, too.
    fn recall(&self, state: &mut State, notice: &Heard, selector: &NoticeSelector) {
        let position = notice.position();
        let (Ok(selector), Ok(since)) = (selector.parse(), parse_rfc3339(&notice.data.occurred_at)) else {
            return self.drop_held(state, position);
        };
        state.fills.touch_all(position);
        state.loading.recall(position, &selector, since);
        self.held.change_all(position, |entry| {
            entry.is_hit(&selector).then(|| entry.standing_as(Standing::Recalled, since))
        });
    }

    pub(crate) fn drop_held(&self, state: &mut State, position: Position) {
        state.fills.touch_all(position);
        self.clear_held(state);
    }
}
