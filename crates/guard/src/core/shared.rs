//! Values that many keys have in common, held once: scope sets, networks, labels.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use domain::{Labels, Networks, ScopeSet};

/// How many values are held before those that no key has any more are looked for.
const FIRST_SWEEP: usize = 1_024;

/// What keys have in common.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) scopes: Values<ScopeSet>,
    pub(crate) networks: Values<Networks>,
    pub(crate) labels: Values<Labels>,
}

/// Values of one kind, at most about twice as many as keys have.
pub(crate) struct Values<T> {
    held: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { held: HashSet::new(), sweep_at: FIRST_SWEEP }
    }
}

impl<T: Hash + Eq> Values<T> {
    pub(crate) fn share(&mut self, value: T) -> Arc<T> {
        if let Some(held) = self.held.get(&value) {
            return Arc::clone(held);
        }
        if self.held.len() >= self.sweep_at {
            self.held.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (self.held.len() * 2).max(FIRST_SWEEP);
        }
        let value = Arc::new(value);
        self.held.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_held_once_and_unused_ones_go() {
        let mut values = Values::default();
        let kept = values.share("campaigns:send".to_owned());
        assert!(Arc::ptr_eq(&kept, &values.share("campaigns:send".to_owned())));
        for n in 0..FIRST_SWEEP * 4 {
            let _ = values.share(format!("lists:{n}"));
        }
        assert!(values.held.len() <= FIRST_SWEEP, "{}", values.held.len());
        assert!(Arc::ptr_eq(&kept, &values.share("campaigns:send".to_owned())));
    }
}
