//! Recalls that the rows do not say yet: a short list for each tenant, in the order of the log.
//!
//! A key is hit by the recall at position `p` iff `p` is above the row's `settled_at` and the selector matches the row's
//! attributes. Every event of a key at position `q` first settles its row against the recalls below `q`, is then applied, and
//! leaves `settled_at = q`. So attributes and recalls are always compared in the order of the log, however far ahead of the
//! rows a recall was put here, and whenever a row is settled: a key issued or changed after a recall has a `settled_at` above
//! it, a key changed before it is compared as that change left it.
//!
//! A recall enters twice, whoever comes first: from the server that appended it ([`crate::KeyIndex::recall`], so that it is
//! effective before any projection runs) and from the writer that meets it in the log. It leaves when every row was settled
//! against it. Four orders make that safe; *list* is the lock of one tenant's list, `settles` the index's count of finished
//! passes:
//!
//! 1. The writer puts a recall on the list before it publishes its position, and only recalls up to the published position
//!    are ever dropped. [`Recalls::add`] reads the published position under the list's lock. So a late `recall()` either finds
//!    its entry there, or finds its position published and adds nothing; it never brings back what was dropped. An entry ahead
//!    of the published position stays whatever pass runs meanwhile.
//! 2. A pass takes the entries up to the published position, settles every row of every shard against them, then counts
//!    itself in `settles`, and only then drops these entries and clears the flag, both under the list's lock.
//! 3. A reader loads `settles`, copies the row under its shard's lock, then looks at the flag and, if it is set, at the list,
//!    then loads `settles` again; if it changed, all over. If the reader finds an entry gone, then the pass that dropped it
//!    was counted before, and the second load shows it. Both loads being equal, so does the first; then the copy was made
//!    after the pass, and says itself what the entry said. The same argument as the overlay's, but a tenant is known only
//!    from the row, so its list cannot be read first.
//! 4. The flag is set and cleared under the list's lock, so it is never clear while an entry is there.
//!
//! What is not covered here: an event below the recall that the rows have not applied yet and that makes another key match
//! (a transfer to the recalled owner). That key is refused when the event is applied, so whoever acknowledges a recall waits
//! until the rows have reached its position.
//!
//! The list is bounded by the worker, which settles at [`MAX_PENDING_RECALLS`]; what lies ahead of the rows is bounded like the
//! overlay: a projection that stands still ends the lease, and without a lease no command is taken.

use domain::{Environment, OwnerTag, Position, Selectable, Selector, Standing, Timestamp};
use parking_lot::RwLock;

use crate::interner::{Values, allocated};
use crate::row::{ColdRow, HotRow, ends};

/// So many recalls may wait for the rows before they must be settled: a bound on the work of one verify.
pub const MAX_PENDING_RECALLS: usize = 64;

/// One recall that not every row says yet.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    pub(crate) selector: Selector,
}

/// The pending recalls of one tenant, in the order of the log.
#[derive(Default)]
pub(crate) struct Recalls(RwLock<Vec<Pending>>);

impl Recalls {
    /// Adds a recall unless it is there, or `is_published` says that the writer has added it before. `raise` sets the
    /// tenant's flag. Both are called under the list's lock.
    pub(crate) fn add(&self, recall: Pending, is_published: impl FnOnce() -> bool, raise: impl FnOnce()) {
        let mut list = self.0.write();
        if is_published() {
            return;
        }
        if let Err(at) = list.binary_search_by_key(&recall.position, |pending| pending.position) {
            list.insert(at, recall);
            raise();
        }
    }

    /// What is to be settled up to a position.
    pub(crate) fn up_to(&self, limit: Position) -> Vec<Pending> {
        self.0.read().iter().filter(|pending| pending.position <= limit).cloned().collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Pending> {
        self.0.read().clone()
    }

    /// Drops what every row says by now; `lower` clears the tenant's flag, under the list's lock.
    pub(crate) fn drop_up_to(&self, limit: Position, lower: impl FnOnce()) {
        let mut list = self.0.write();
        list.retain(|pending| pending.position > limit);
        if list.is_empty() {
            // A quiet tenant keeps no memory for its last recall.
            *list = Vec::new();
            lower();
        }
    }

    /// Ends a row that a recall below `before` hits.
    pub(crate) fn settle(&self, hot: &mut HotRow, cold: &ColdRow, values: &Values, before: Position) {
        if ends(hot.standing()) {
            return;
        }
        let list = self.0.read();
        let hit = list.iter().take_while(|pending| pending.position < before).find(|pending| {
            pending.position > hot.settled_at() && matches(&pending.selector, hot, cold, values)
        });
        if let Some(pending) = hit {
            hot.end(Standing::Recalled, pending.at);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        allocated(self.0.read().capacity() * size_of::<Pending>())
    }
}

/// Whether a selector matches a row. Of a key whose issue cannot be read only its tenant is known.
fn matches(selector: &Selector, hot: &HotRow, cold: &ColdRow, values: &Values) -> bool {
    if !hot.is_issued() {
        return selector.is_all();
    }
    selector.matches(&Selectable {
        owner: values.owners.at(hot.owner()).tag,
        labels: values.labels.at(cold.labels()),
        scopes: values.scopes.at(hot.scopes()),
        issuer: values.issuer(cold.issuer()),
        environment: hot.environment(),
    })
}

/// A selector made ready for one scan over many rows: what it says of each shared value is asked once.
pub(crate) struct Matcher<'a> {
    values: &'a Values,
    is_all: bool,
    environment: Option<Environment>,
    owner: Option<(OwnerTag, Memo)>,
    label: Option<(domain::Label, Memo)>,
    scope: Option<(domain::Scope, Memo)>,
    issuer: Option<(domain::KeyId, Memo)>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(selector: &Selector, values: &'a Values) -> Self {
        // Taken apart whole, so that a new part of selectors cannot be forgotten here.
        let Selector { owner, label, scope, issuer, environment } = selector;
        Self {
            values,
            is_all: selector.is_all(),
            environment: *environment,
            owner: owner.as_ref().map(|owner| (owner.tag, Memo::default())),
            label: label.clone().map(|label| (label, Memo::default())),
            scope: scope.clone().map(|scope| (scope, Memo::default())),
            issuer: issuer.map(|issuer| (issuer, Memo::default())),
        }
    }

    /// Says the same as [`Selector::matches`].
    pub(crate) fn matches(&mut self, hot: &HotRow, cold: &ColdRow) -> bool {
        if !hot.is_issued() {
            return self.is_all;
        }
        let values = self.values;
        self.environment.is_none_or(|environment| environment == hot.environment())
            && self.owner.as_mut().is_none_or(|(tag, memo)| {
                memo.ask(hot.owner(), |number| values.owners.at(number).tag == *tag)
            })
            && self.scope.as_mut().is_none_or(|(scope, memo)| {
                memo.ask(hot.scopes(), |number| values.scopes.at(number).covers(scope))
            })
            && self.issuer.as_mut().is_none_or(|(issuer, memo)| {
                memo.ask(cold.issuer(), |number| values.issuer(number) == Some(*issuer))
            })
            && self.label.as_mut().is_none_or(|(label, memo)| {
                memo.ask(cold.labels(), |number| values.labels.at(number).iter().any(|held| held == label))
            })
    }
}

/// What was found out about each number: 0 nothing yet, 1 no, 2 yes.
#[derive(Default)]
struct Memo(Vec<u8>);

impl Memo {
    fn ask(&mut self, number: u32, holds: impl FnOnce(u32) -> bool) -> bool {
        let at = number as usize;
        if at >= self.0.len() {
            self.0.resize((at + 1).next_power_of_two(), 0);
        }
        if self.0[at] == 0 {
            self.0[at] = 1 + u8::from(holds(number));
        }
        self.0[at] == 2
    }
}

/// The pending recalls of one tenant made ready for one scan.
pub(crate) struct Settling<'a>(Vec<(Position, Timestamp, Matcher<'a>)>);

impl<'a> Settling<'a> {
    pub(crate) fn new(pending: &[Pending], values: &'a Values) -> Self {
        Self(pending.iter().map(|p| (p.position, p.at, Matcher::new(&p.selector, values))).collect())
    }

    /// Since when a row that has not ended is recalled.
    pub(crate) fn hit(&mut self, hot: &HotRow, cold: &ColdRow) -> Option<Timestamp> {
        let settled_at = hot.settled_at();
        let mut later = self.0.iter_mut().filter(|(position, ..)| *position > settled_at);
        later.find_map(|(_, at, matcher)| matcher.matches(hot, cold).then_some(*at))
    }
}

#[cfg(test)]
mod tests;
