//! Over all rows: which keys a selector reaches, and whose keys are still in use.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{KeyId, Labels, Owner, Position, Selector, Standing, TenantId};

use crate::index::KeyIndex;
use crate::recalls::{Matcher, Settling};
use crate::row::{ColdRow, HotRow, ends};

/// Rows looked at under one lock: about a tenth of a millisecond, so that nobody who verifies waits longer.
pub(crate) const BLOCK_ROWS: u32 = 4_096;

/// A key that has not ended, as a selector finds it.
#[derive(Clone, Copy, Debug)]
pub struct MatchingKey<'a> {
    /// Which.
    pub key_id: KeyId,
    /// Whom it belongs to.
    pub owner: &'a Arc<Owner>,
    /// Its labels.
    pub labels: &'a Labels,
    /// The key that issued it.
    pub issuer: Option<KeyId>,
    /// Active, suspended or quarantined.
    pub standing: Standing,
    /// The position of its stream's last event.
    pub last: Position,
}

impl KeyIndex {
    /// Shows every key of a tenant that has not ended and that a selector matches, in no order. Keys that a recall hits have
    /// ended, whether or not the rows say it yet. `each` is called under a lock: it must not ask this index.
    pub fn for_each_matching(
        &self,
        tenant: &TenantId,
        selector: &Selector,
        mut each: impl FnMut(&MatchingKey<'_>),
    ) {
        let Some(number) = self.tenants.find(tenant) else { return };
        // Before any row: what is gone from the list by then, every row says.
        let mut recalled = self.settling(number);
        let mut matcher = Matcher::new(selector, &self.values);
        self.for_each_row(|hot, cold| {
            if hot.tenant() != number || ends(hot.standing()) || !matcher.matches(hot, cold) {
                return;
            }
            if recalled.as_mut().is_some_and(|recalled| recalled.hit(hot, cold).is_some()) {
                return;
            }
            each(&MatchingKey {
                key_id: hot.key_id(),
                owner: self.values.owners.at(hot.owner()),
                labels: self.values.labels.at(cold.labels()),
                issuer: self.values.issuer(cold.issuer()),
                standing: if hot.is_quarantined() { Standing::Quarantined } else { hot.standing() },
                last: hot.last(),
            });
        });
    }

    /// The ids of all keys of a tenant, ended ones too, in no order.
    #[must_use]
    pub fn keys_of(&self, tenant: &TenantId) -> Vec<KeyId> {
        let mut keys = Vec::new();
        if let Some(number) = self.tenants.find(tenant) {
            self.for_each_row(|hot, _| {
                if hot.tenant() == number {
                    keys.push(hot.key_id());
                }
            });
        }
        keys
    }

    /// The keys of a tenant that a selector matches, ended or not, and whose streams' last events lie between two positions,
    /// neither included; in no order. To be asked once the rows have reached the later one.
    #[must_use]
    pub fn changed_between(
        &self,
        tenant: &TenantId,
        selector: &Selector,
        (after, before): (Position, Position),
    ) -> Vec<KeyId> {
        let Some(number) = self.tenants.find(tenant) else { return Vec::new() };
        let mut matcher = Matcher::new(selector, &self.values);
        let mut found = Vec::new();
        self.for_each_row(|hot, cold| {
            let last = hot.last();
            if hot.tenant() == number && last > after && last < before && matcher.matches(hot, cold) {
                found.push(hot.key_id());
            }
        });
        found
    }

    /// Which of these issuers still have keys that have not ended, and in which tenants: each pair once, in no order.
    #[must_use]
    pub fn issued_by(&self, issuers: &HashSet<KeyId>) -> Vec<(TenantId, KeyId)> {
        let mut recalled: Vec<_> =
            (0..self.tenants.len() as u32).map(|number| self.settling(number)).collect();
        let mut pairs = HashSet::new();
        let mut asked: Vec<Option<bool>> = Vec::new();
        self.for_each_row(|hot, cold| {
            let (tenant, issuer) = (hot.tenant(), cold.issuer());
            let at = issuer as usize;
            if at >= asked.len() {
                asked.resize(at + 1, None);
            }
            let is_one = *asked[at].get_or_insert_with(|| {
                self.values.issuer(issuer).is_some_and(|issuer| issuers.contains(&issuer))
            });
            if !is_one || ends(hot.standing()) || pairs.contains(&(tenant, issuer)) {
                return;
            }
            let recalled = recalled.get_mut(tenant as usize).and_then(Option::as_mut);
            if recalled.is_none_or(|recalled| recalled.hit(hot, cold).is_none()) {
                pairs.insert((tenant, issuer));
            }
        });
        let named = |(tenant, issuer): (u32, u32)| {
            Some(((*self.tenants.at(tenant).id).clone(), self.values.issuer(issuer)?))
        };
        pairs.into_iter().filter_map(named).collect()
    }

    /// A tenant's pending recalls, ready for a scan that begins afterwards.
    fn settling(&self, tenant: u32) -> Option<Settling<'_>> {
        self.tenants.at(tenant).recalls().map(|recalls| Settling::new(&recalls.all(), &self.values))
    }

    /// Shows every row, a block at a time under its shard's lock.
    fn for_each_row(&self, mut each: impl FnMut(&HotRow, &ColdRow)) {
        for shard in &self.shards {
            let mut from = 0;
            loop {
                let shard = shard.0.read();
                let to = shard.len().min(from + BLOCK_ROWS);
                for row in from..to {
                    each(shard.hot(row), shard.cold(row));
                }
                if to == shard.len() {
                    break;
                }
                from = to;
            }
        }
    }
}
