//! Hints: keys that a server says have ended, ahead of the notices that prove it.
//!
//! A hint comes in no order and may be lost, repeated, late or false. So it does one thing: while the notice of its position
//! has not been applied, its key is refused, unless what is held of the key is newer than it. It moves no position, extends no
//! lease and changes nothing that is held. It ends with the notice, whatever that says, or when every lease that runs was
//! asked for after the hint was heard: such a lease itself waited for the notice, if there is one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{KeyId, Position, Timestamp};
use parking_lot::RwLock;
use wire::Hint;

use crate::core::Core;
use crate::core::planted::GuardBug;

/// Hints that are held at once: notices follow them within milliseconds, and beyond it nothing is lost but these.
const MAX_HINTS: usize = 1_024;

/// What was made of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintOutcome {
    /// Its key is refused from now on.
    Taken,
    /// Its notice has been applied already, or it is known.
    Late,
    /// Of another history or tenant, before a feed began, or there is no room.
    Ignored,
}

/// The key that a hint is about, as it is judged meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hinted {
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    /// Boot milliseconds up to which it counts.
    until: u64,
}

/// Changed under the core's lock only; read by every judgement.
#[derive(Default)]
pub(crate) struct Hints {
    /// How many there are, so that a judgement almost always looks at nothing else.
    count: AtomicUsize,
    by_key: RwLock<HashMap<KeyId, Hinted>>,
}

impl Hints {
    /// To be looked at before the key is: a hint goes only after the notice has changed what is held.
    pub(crate) fn of(&self, key_id: KeyId, boot_ms: u64) -> Option<Hinted> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.by_key.read().get(&key_id).copied().filter(|hinted| boot_ms <= hinted.until)
    }

    fn take(&self, key_id: KeyId, hinted: Hinted) -> HintOutcome {
        let mut by_key = self.by_key.write();
        let outcome = match by_key.get(&key_id) {
            Some(known) if known.position >= hinted.position => HintOutcome::Late,
            None if by_key.len() >= MAX_HINTS => HintOutcome::Ignored,
            _ => {
                by_key.insert(key_id, hinted);
                HintOutcome::Taken
            }
        };
        self.count.store(by_key.len(), Ordering::Release);
        outcome
    }

    fn keep(&self, is_kept: impl Fn(&Hinted) -> bool) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut by_key = self.by_key.write();
        by_key.retain(|_, hinted| is_kept(hinted));
        self.count.store(by_key.len(), Ordering::Release);
    }

    /// Called after what the notices up to there change is held.
    pub(crate) fn confirm(&self, applied: Position) {
        self.keep(|hinted| hinted.position > applied);
    }

    pub(crate) fn expire(&self, boot_ms: u64) {
        self.keep(|hinted| boot_ms <= hinted.until);
    }

    pub(crate) fn clear(&self) {
        self.keep(|_| false);
    }
}

impl Core {
    /// A server says that it has appended the end of a key.
    pub fn on_hint(&self, hint: &Hint, boot_ms: u64) -> HintOutcome {
        let state = self.state.lock();
        let is_ours = state.log_id == Some(hint.log_id) && hint.tenant == self.tenant;
        if !is_ours || !state.is_following || state.is_closed {
            return HintOutcome::Ignored;
        }
        if hint.position <= self.said.applied() {
            return HintOutcome::Late;
        }
        let until = boot_ms.saturating_add(self.said.bound_ms());
        let outcome = self.hints.take(hint.key_id, Hinted { position: hint.position, at: hint.at, until });
        if self.planted.is(GuardBug::HintIsNotice) {
            self.said.apply(hint.position);
        }
        outcome
    }
}
