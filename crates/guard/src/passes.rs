//! Counts beside a held key how often it was let pass: what almost every verdict of a busy guard is, for less than a look-up.
//!
//! An entry counts for one purpose and one place, those that it was first presented for; whatever else it is presented for is
//! told apart in the [`verify::Tally`]. An entry that has counted something is listed once, and the list is what a report takes
//! out: so nothing is looked for, and an entry that a notice replaced meanwhile is still told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use domain::{Scope, TenantId, Timestamp};
use parking_lot::Mutex;
use verify::{Sum, Verdict};
use wire::UsageNetwork;

use crate::core::Holder;
use crate::requirement::Requirement;

/// Entries that are listed between two reports, as many keys as the tally tells apart; what is beyond is counted there.
const MAX_LISTED: usize = 65_536;

/// As in the tally: what waits for long still falls into the right hours.
const HOUR_MS: u64 = 3_600_000;

/// For what and from where.
#[derive(Clone)]
pub(crate) struct Origin {
    scope: Option<Arc<Scope>>,
    network: UsageNetwork,
}

impl Origin {
    pub(crate) fn of(requirement: &Requirement) -> Self {
        Self { scope: requirement.shared_scope(), network: UsageNetwork::of(requirement.network()) }
    }

    pub(crate) fn is_of(&self, requirement: &Requirement) -> bool {
        self.network == UsageNetwork::of(requirement.network())
            && self.scope.as_deref() == requirement.scope()
    }

    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.scope.as_deref()
    }

    pub(crate) fn network(&self) -> UsageNetwork {
        self.network
    }
}

/// What one entry has counted since it was last listed.
#[derive(Default)]
pub(crate) struct Passes {
    /// 0 = not listed. From there it is raised under the list's lock alone, and to there it is taken under it.
    count: AtomicU64,
    /// When the last was, in milliseconds.
    last: AtomicU64,
    /// From when on it is another hour.
    hour_ends: AtomicU64,
    /// Set once.
    origin: OnceLock<Origin>,
}

/// Another entry begins anew: the one before is told from the list.
impl Clone for Passes {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Passes {
    /// Counts one more on a listed entry, within the hour in which it was listed.
    fn one_more(&self, now: u64) -> bool {
        let mut count = self.count.load(Ordering::Acquire);
        while count > 0 && now < self.hour_ends.load(Ordering::Relaxed) {
            match self.count.compare_exchange_weak(count, count + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.last.store(now, Ordering::Relaxed);
                    return true;
                }
                Err(found) => count = found,
            }
        }
        false
    }
}

/// The entries that have counted something.
#[derive(Default)]
pub(crate) struct Listed(Mutex<Vec<Counting>>);

struct Counting {
    holder: Holder,
    first: Timestamp,
}

impl Listed {
    /// Counts that the key was let pass; false if that has to be counted elsewhere.
    pub(crate) fn count(&self, holder: &Holder, requirement: &Requirement, now: Timestamp) -> bool {
        let passes = &holder.0.passes;
        match passes.origin.get() {
            Some(origin) if !origin.is_of(requirement) => false,
            Some(_) => passes.one_more(now.as_millis()) || self.list(holder, requirement, now),
            None => self.list(holder, requirement, now),
        }
    }

    fn list(&self, holder: &Holder, requirement: &Requirement, now: Timestamp) -> bool {
        let passes = &holder.0.passes;
        let mut listed = self.0.lock();
        if listed.len() >= MAX_LISTED
            || !passes.origin.get_or_init(|| Origin::of(requirement)).is_of(requirement)
        {
            return false;
        }
        // Listed by somebody else meanwhile, or for an hour that is over: then the tally has it.
        if passes.count.load(Ordering::Acquire) > 0 {
            return passes.one_more(now.as_millis());
        }
        let hour_ends = (now.as_millis() / HOUR_MS + 1).saturating_mul(HOUR_MS);
        passes.hour_ends.store(hour_ends, Ordering::Relaxed);
        passes.last.store(now.as_millis(), Ordering::Relaxed);
        listed.push(Counting { holder: holder.clone(), first: now });
        passes.count.store(1, Ordering::Release);
        true
    }

    /// Takes everything out.
    pub(crate) fn drain(&self, tenant: &Arc<TenantId>) -> Vec<Sum<Origin>> {
        let mut listed = self.0.lock();
        let room = listed.len() * 2;
        let full = std::mem::replace(&mut *listed, Vec::with_capacity(room.min(MAX_LISTED)));
        let sum = |Counting { holder, first }: Counting| {
            let passes = &holder.0.passes;
            let count = passes.count.swap(0, Ordering::AcqRel);
            let last = Timestamp::from_millis(passes.last.load(Ordering::Relaxed)).max(first);
            let origin = passes.origin.get().cloned();
            Sum {
                tenant: Arc::clone(tenant),
                key_id: holder.key_id(),
                verdict: Verdict::Valid,
                origin,
                count,
                first,
                last,
            }
        };
        // Under the lock: who finds 0 lists itself anew behind this.
        full.into_iter().map(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::core::tests::given::Given;
    use crate::core::{Judged, tests::given::token};

    fn holder(given: &Given) -> Holder {
        match given.core.judge(&token(1), &Requirement::any(), given.moment()) {
            Judged::Answer(decision) => decision.holder.unwrap(),
            Judged::Ask(key_id) => panic!("{key_id} is not held"),
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * HOUR_MS + ms)
    }

    fn acme() -> Arc<TenantId> {
        Arc::new("acme".parse().unwrap())
    }

    #[test]
    fn one_purpose_is_counted_with_its_first_and_last_time() {
        let (given, listed) = (Given::holding(9, &[1]), Listed::default());
        let (any, send) = (Requirement::any(), Requirement::of_scope("campaigns:send").unwrap());
        let held = holder(&given);
        for ms in [5, 7, 6] {
            assert!(listed.count(&held, &send, at(ms)));
        }
        assert!(!listed.count(&held, &any, at(8)), "another purpose is told apart elsewhere");
        assert!(!listed.count(&held, &send.clone().at("192.0.2.1".parse().unwrap()), at(8)));
        assert!(
            !listed.count(&held, &send, at(HOUR_MS)),
            "and another hour, as long as nobody takes the first out"
        );
        let sums = listed.drain(&acme());
        let [sum] = sums.as_slice() else { panic!("{} sums", sums.len()) };
        assert_eq!((sum.count, sum.first, sum.last), (3, at(5), at(6)));
        assert_eq!((sum.verdict, sum.key_id), (Verdict::Valid, held.key_id()));
        assert!(sum.origin.as_ref().unwrap().is_of(&send));
        assert!(listed.drain(&acme()).is_empty());
        assert!(listed.count(&held, &send, at(HOUR_MS)));
        assert_eq!(listed.drain(&acme())[0].first, at(HOUR_MS));
    }

    #[test]
    fn what_a_replaced_entry_counted_is_told() {
        let (given, listed) = (Given::holding(9, &[1]), Listed::default());
        let (any, before) = (Requirement::any(), holder(&given));
        assert!(listed.count(&before, &any, at(1)));
        given.fill(10, &[1], vec![Some(crate::core::tests::given::filled(1))]);
        let after = holder(&given);
        assert!(listed.count(&after, &any, at(2)));
        let counts: Vec<u64> = listed.drain(&acme()).iter().map(|sum| sum.count).collect();
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_between_threads_and_reports() {
        const EACH: u64 = 20_000;
        let (given, listed) = (Given::holding(9, &[1]), Listed::default());
        let (any, held) = (Requirement::any(), holder(&given));
        let told = thread::scope(|scope| {
            let counting: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| (0..EACH).for_each(|ms| assert!(listed.count(&held, &any, at(ms))))))
                .collect();
            let mut told = 0;
            while counting.iter().any(|thread| !thread.is_finished()) {
                told += listed.drain(&acme()).iter().map(|sum| sum.count).sum::<u64>();
            }
            told
        });
        let rest: u64 = listed.drain(&acme()).iter().map(|sum| sum.count).sum();
        assert_eq!(told + rest, 3 * EACH);
    }
}
