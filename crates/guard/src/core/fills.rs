//! Fills: what a server says of keys, fenced against the notices that came while it was asked.

use std::collections::HashMap;

use domain::{KeyId, Position};
use wire::guard::{Filled, FilledTenant};

use crate::core::entry::Entry;
use crate::core::planted::GuardBug;
use crate::core::{Core, Outcome, State};

/// How long a tenant that nobody can read is taken for that: no notice tells of its recovery.
const QUARANTINE_BELIEVED_MS: u64 = 5_000;

/// A fill that was asked for. Its answer, or the lack of one, is told with it.
#[derive(Debug)]
pub struct FillTicket {
    number: u64,
    keys: Vec<KeyId>,
    at_least: Position,
}

impl FillTicket {
    /// Which keys, in the order of the question.
    #[must_use]
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// What the answer must rest on.
    #[must_use]
    pub const fn at_least(&self) -> Position {
        self.at_least
    }
}

/// What became of one key that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// It is held.
    Held,
    /// It is no key.
    Absent,
    /// A notice overtook the answer: it has to be asked for again.
    Again,
    /// What was said of it cannot be read: it is not held.
    Unreadable,
}

/// One fill under way.
struct UnderWay {
    number: u64,
    /// The last notice that touched each key since it was asked for.
    touched: HashMap<KeyId, Position>,
    /// The last notice since then that may have touched any key.
    all: Position,
}

#[derive(Default)]
pub(crate) struct Fills {
    next: u64,
    under_way: Vec<UnderWay>,
}

impl Fills {
    /// What is under way finds nobody waiting: it is asked for again.
    pub(crate) fn forgetting(self) -> Self {
        Self { next: self.next, under_way: Vec::new() }
    }

    pub(crate) fn touch(&mut self, key_id: KeyId, position: Position) {
        for fill in &mut self.under_way {
            if let Some(touched) = fill.touched.get_mut(&key_id) {
                *touched = position;
            }
        }
    }

    pub(crate) fn touch_all(&mut self, position: Position) {
        for fill in &mut self.under_way {
            fill.all = fill.all.max(position);
        }
    }

    fn begin(&mut self, keys: &[KeyId]) -> u64 {
        let number = self.next;
        self.next += 1;
        let touched = keys.iter().map(|key_id| (*key_id, Position::NONE)).collect();
        self.under_way.push(UnderWay { number, touched, all: Position::NONE });
        number
    }

    fn end(&mut self, number: u64) -> Option<UnderWay> {
        let at = self.under_way.iter().position(|fill| fill.number == number)?;
        Some(self.under_way.swap_remove(at))
    }
}

impl UnderWay {
    /// An answer below this does not count for the key.
    fn fence(&self, key_id: KeyId) -> Position {
        self.touched.get(&key_id).copied().unwrap_or_default().max(self.all)
    }
}

impl Core {
    /// Begins to ask for keys. None before a feed has begun: notices that nobody hears could not fence the answer.
    #[must_use]
    pub fn begin_fill(&self, keys: Vec<KeyId>) -> Option<FillTicket> {
        let mut state = self.state.lock();
        if !state.is_following || state.is_closed {
            return None;
        }
        let number = state.fills.begin(&keys);
        Some(FillTicket { number, keys, at_least: state.at_least.max(self.said.heard()) })
    }

    /// Gives up on a fill.
    pub fn abandon_fill(&self, ticket: &FillTicket) {
        self.state.lock().fills.end(ticket.number);
    }

    /// Takes an answer: what became of each key, in the order of the question.
    ///
    /// An answer from below what was asked for, of another form, or to a question from before a reset, counts for nothing.
    pub fn on_filled(&self, ticket: &FillTicket, filled: &Filled, boot_ms: u64) -> Vec<Arrived> {
        let again = || vec![Arrived::Again; ticket.keys.len()];
        let mut state = self.state.lock();
        let Some(under_way) = state.fills.end(ticket.number) else { return again() };
        if self.is_other_log(&mut state, &filled.log_id) == Outcome::Reset {
            return again();
        }
        let as_of = Position::new(filled.as_of);
        if as_of < ticket.at_least || filled.keys.len() != ticket.keys.len() {
            return again();
        }
        self.take_tenant(&mut state, filled.tenant, as_of, boot_ms);
        let each = ticket.keys.iter().zip(&filled.keys);
        each.map(|(key_id, filled)| {
            if as_of < under_way.fence(*key_id) && !self.planted.is(GuardBug::FillWithoutFence) {
                return Arrived::Again;
            }
            let Some(filled) = filled else {
                self.held.hold_absent(*key_id, as_of);
                return Arrived::Absent;
            };
            match Entry::read(filled, as_of, boot_ms, &mut state.shared) {
                Ok(entry) if entry.key_id == *key_id => {
                    self.held.hold(entry);
                    Arrived::Held
                }
                _ => Arrived::Unreadable,
            }
        })
        .collect()
    }

    pub(crate) fn take_tenant(&self, state: &mut State, tenant: FilledTenant, as_of: Position, boot_ms: u64) {
        if as_of < state.tenant_as_of {
            return;
        }
        state.tenant_as_of = as_of;
        if tenant.closed {
            self.said.close_tenant();
        }
        let until = boot_ms.saturating_add(QUARANTINE_BELIEVED_MS);
        self.said.quarantine_until(if tenant.quarantined { until } else { 0 });
    }
}
