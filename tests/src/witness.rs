//! What guards say of keys, asked all the time, and when they said it: held against when each key was revoked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use guard::{Guard, Position, Requirement, State, Verdict};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::server::IssuedKey;

/// Between two rounds of a guard over all keys: two processors do the rest of the work, too.
const EACH_ROUND: Duration = Duration::from_millis(2);
/// What clocks may differ by within a bound.
pub const DRIFT: Duration = Duration::from_millis(500);

/// Presents keys to guards until it is dropped, and notes what each said.
pub struct Witness {
    guards: Vec<Watched>,
    keys: Arc<Mutex<Vec<Arc<Presented>>>>,
    _presenting: JoinSet<()>,
}

/// A guard and what the fleet calls it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its name in receipts.
    pub name: String,
    /// Itself.
    pub guard: Guard,
}

/// A key that every guard is asked about.
pub struct Presented {
    /// The key.
    pub key: IssuedKey,
    said: Vec<Mutex<Said>>,
    known: Mutex<Known>,
}

impl fmt::Debug for Presented {
    /// Without the key, as everywhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("key_id", &self.key.key_id).finish_non_exhaustive()
    }
}

/// What one guard said of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    valid: u64,
    refused: u64,
    /// When the last verify began that was answered `valid`.
    last_valid: Option<Instant>,
}

/// What is known of a key beside.
#[derive(Debug, Default)]
struct Known {
    /// When its revocation had been acknowledged: at the latest then it was committed.
    revoked: Option<Instant>,
    /// Which guards a receipt said to refuse it, since when, and how that was known.
    enforced: Vec<(usize, Instant, String)>,
}

/// A guard that did what it must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which guard.
    pub guard: usize,
    /// What it did.
    pub text: String,
}

/// How much was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Keys that were presented.
    pub keys: u64,
    /// Of these, those that were revoked.
    pub revoked: u64,
    /// Pairs of a guard and a revoked key that the guard had let pass before.
    pub had_passed: u64,
    /// Verdicts `valid`.
    pub valid: u64,
    /// All other verdicts.
    pub refused: u64,
    /// What receipts said of guards.
    pub enforced: u64,
    /// The latest after its acknowledgement that a verify of a revoked key began and was answered `valid`.
    pub last_accept_ms: u64,
}

impl Presented {
    /// Notes that its revocation was acknowledged just now, or before.
    pub fn revoked(&self, at: Instant) {
        self.known.lock().revoked.get_or_insert(at);
    }

    /// Whether its revocation was acknowledged.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.known.lock().revoked.is_some()
    }

    /// Notes that a receipt, read at this moment, said that a guard refuses it.
    fn enforced(&self, guard: usize, at: Instant, by: &str) {
        let enforced = &mut self.known.lock().enforced;
        if !enforced.iter().any(|(known, ..)| *known == guard) {
            enforced.push((guard, at, by.to_owned()));
        }
    }

    fn note(&self, guard: usize, at: Instant, verdict: Verdict) {
        let mut said = self.said[guard].lock();
        if verdict == Verdict::Valid {
            said.valid += 1;
            said.last_valid = said.last_valid.max(Some(at));
        } else {
            said.refused += 1;
        }
    }

    /// How long after its revocation was acknowledged a guard last let it pass.
    fn accepted_after(&self, guard: usize) -> Option<Duration> {
        let revoked = self.known.lock().revoked?;
        let last = self.said[guard].lock().last_valid?;
        last.checked_duration_since(revoked)
    }
}

impl Witness {
    /// Begins; to be called within a runtime.
    #[must_use]
    pub fn begin(guards: Vec<Watched>) -> Self {
        let keys = Arc::<Mutex<Vec<Arc<Presented>>>>::default();
        let mut presenting = JoinSet::new();
        for (number, watched) in guards.iter().enumerate() {
            presenting.spawn(present_held(number, watched.guard.clone(), Arc::clone(&keys)));
            presenting.spawn(present_new(number, watched.guard.clone(), Arc::clone(&keys)));
        }
        Self { guards, keys, _presenting: presenting }
    }

    /// Whom it asks.
    #[must_use]
    pub fn guards(&self) -> &[Watched] {
        &self.guards
    }

    /// Presents one more key from now on.
    pub fn present(&self, key: IssuedKey) -> Arc<Presented> {
        let said = self.guards.iter().map(|_| Mutex::default()).collect();
        let presented = Arc::new(Presented { key, said, known: Mutex::default() });
        self.keys.lock().push(Arc::clone(&presented));
        presented
    }

    /// The keys that are presented.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Presented>> {
        self.keys.lock().clone()
    }

    /// Presents no key any more.
    pub fn forget(&self) {
        self.keys.lock().clear();
    }

    /// Notes what a receipt says, that came just now.
    pub fn take_receipt(&self, of: &Presented, receipt: &serde_json::Value) {
        let now = Instant::now();
        for enforced in receipt["enforced"].as_array().into_iter().flatten() {
            let name = enforced["name"].as_str().unwrap_or_default();
            if let Some(guard) = self.guards.iter().position(|watched| watched.name == name) {
                of.enforced(guard, now, enforced["by"].as_str().unwrap_or_default());
            }
        }
    }

    /// Why not everything is well again: a guard that is not current, has not applied all notices up to `position`, or does
    /// not say of a key what it is.
    #[must_use]
    pub fn unsettled(&self, position: u64) -> Vec<Violation> {
        let (mut found, keys) = (Vec::new(), self.keys());
        for (guard, watched) in self.guards.iter().enumerate() {
            let mut tell = |text: String| {
                found.push(Violation { guard, text: format!("{} {text}", watched.name) });
            };
            let status = watched.guard.status();
            if status.state != State::Current || status.applied < Position::new(position) {
                tell(format!(
                    "is {} and has applied {} of {position}: {:?}",
                    status.state, status.applied, status.last_error
                ));
            }
            for presented in &keys {
                let said = watched.guard.check(&presented.key.key, &Requirement::any());
                let said = said.map(|decision| decision.verdict);
                let is = if presented.is_revoked() { Verdict::Revoked } else { Verdict::Valid };
                if said != Some(is) {
                    tell(format!("says {said:?} of {presented:?}, which is {is}"));
                }
            }
        }
        found
    }

    /// Whoever let a revoked key pass later than `bound` and the drift after the acknowledgement, or after a receipt said that
    /// it refuses.
    #[must_use]
    pub fn judge(&self, bound: Duration) -> Vec<Violation> {
        let mut found = Vec::new();
        for presented in self.keys() {
            for (guard, watched) in self.guards.iter().enumerate() {
                let late = presented.accepted_after(guard).filter(|after| *after > bound + DRIFT);
                if let Some(after) = late {
                    let text = format!(
                        "{} let {presented:?} pass {after:?} after its revocation was acknowledged",
                        watched.name
                    );
                    found.push(Violation { guard, text });
                }
            }
            for (guard, since, by) in &presented.known.lock().enforced {
                if presented.said[*guard].lock().last_valid > Some(*since) {
                    let name = &self.guards[*guard].name;
                    let text = format!(
                        "{name} let {presented:?} pass after a receipt said that it refuses it by {by}"
                    );
                    found.push(Violation { guard: *guard, text });
                }
            }
        }
        found
    }

    /// How much was seen of the keys that are presented.
    #[must_use]
    pub fn sight(&self) -> Sight {
        let mut sight = Sight::default();
        for presented in self.keys() {
            sight.keys += 1;
            sight.revoked += u64::from(presented.is_revoked());
            sight.enforced += presented.known.lock().enforced.len() as u64;
            for guard in 0..self.guards.len() {
                let said = *presented.said[guard].lock();
                sight.valid += said.valid;
                sight.refused += said.refused;
                sight.had_passed += u64::from(presented.is_revoked() && said.valid > 0);
                let after = presented.accepted_after(guard).unwrap_or_default();
                sight.last_accept_ms =
                    sight.last_accept_ms.max(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            }
        }
        sight
    }
}

impl Sight {
    /// This and another.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            keys: self.keys + other.keys,
            revoked: self.revoked + other.revoked,
            had_passed: self.had_passed + other.had_passed,
            valid: self.valid + other.valid,
            refused: self.refused + other.refused,
            enforced: self.enforced + other.enforced,
            last_accept_ms: self.last_accept_ms.max(other.last_accept_ms),
        }
    }
}

type Keys = Arc<Mutex<Vec<Arc<Presented>>>>;

/// Asks about what the guard holds, as quick as it can.
async fn present_held(number: usize, guard: Guard, keys: Keys) {
    loop {
        let round = keys.lock().clone();
        for presented in &round {
            let at = Instant::now();
            if let Some(decision) = guard.check(&presented.key.key, &Requirement::any()) {
                presented.note(number, at, decision.verdict);
            }
        }
        sleep(EACH_ROUND).await;
    }
}

/// Asks about what the guard does not hold: that may take as long as a first sight.
async fn present_new(number: usize, guard: Guard, keys: Keys) {
    loop {
        let round = keys.lock().clone();
        for presented in &round {
            if guard.check(&presented.key.key, &Requirement::any()).is_none() {
                let at = Instant::now();
                let decision = guard.verify(&presented.key.key, &Requirement::any()).await;
                presented.note(number, at, decision.verdict);
            }
        }
        sleep(EACH_ROUND).await;
    }
}
