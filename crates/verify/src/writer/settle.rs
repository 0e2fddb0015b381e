//! Brings recalls into the rows: one pass over all keys for all recalls that are pending, so that no verify has to look.

use std::sync::atomic::Ordering;

use domain::{Position, Standing};

use crate::recalls::Settling;
use crate::row::ends;
use crate::scan::BLOCK_ROWS;
use crate::writer::IndexWriter;

impl IndexWriter {
    /// How many recalls the writer has met and not yet settled. The worker keeps it below
    /// [`crate::MAX_PENDING_RECALLS`].
    #[must_use]
    pub fn pending_recalls(&self) -> usize {
        self.unsettled.len()
    }

    /// Settles every key against the pending recalls up to the published position, then drops these. Readers go on; each
    /// waits for one block of rows at most. Why no reader can miss a recall meanwhile: see [`crate::recalls`].
    pub fn settle(&mut self) {
        let limit = self.index.applied();
        let (mut due, later): (Vec<_>, Vec<_>) =
            self.unsettled.iter().copied().partition(|(at, _)| *at <= limit);
        if due.is_empty() {
            return;
        }
        due.sort_unstable_by_key(|(_, tenant)| *tenant);
        due.dedup_by_key(|(_, tenant)| *tenant);
        self.settle_rows(&due, limit);
        // After every row, before the first entry goes: order 2 of the recalls.
        self.index.settles.fetch_add(1, Ordering::AcqRel);
        for (_, tenant) in due {
            self.index.tenants.at(tenant).drop_recalls(limit);
        }
        self.unsettled = later;
    }

    fn settle_rows(&self, due: &[(Position, u32)], limit: Position) {
        let index = &*self.index;
        let mut settling: Vec<Option<Settling<'_>>> = Vec::new();
        for (_, tenant) in due {
            let at = *tenant as usize;
            settling.resize_with(settling.len().max(at + 1), || None);
            let pending = index.tenants.at(*tenant).recalls().map(|recalls| recalls.up_to(limit));
            settling[at] = pending.map(|pending| Settling::new(&pending, &index.values));
        }
        for shard in &index.shards {
            // Only this writer adds rows.
            let len = shard.0.read().len();
            for from in (0..len).step_by(BLOCK_ROWS as usize) {
                let mut shard = shard.0.write();
                for row in from..len.min(from + BLOCK_ROWS) {
                    let (hot, cold) = (shard.hot(row), shard.cold(row));
                    let Some(Some(settling)) = settling.get_mut(hot.tenant() as usize) else { continue };
                    if ends(hot.standing()) {
                        continue;
                    }
                    if let Some(at) = settling.hit(hot, cold) {
                        let (mut hot, cold) = (*hot, *cold);
                        hot.end(Standing::Recalled, at);
                        shard.set(row, hot, cold);
                    }
                }
            }
        }
    }
}
