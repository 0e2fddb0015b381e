//! Counting a verdict allocates nothing in a steady stream; a separate process, since the counting allocator is global.

use std::sync::Arc;

use domain::{KeyId, TenantId, Timestamp};
use verify::{Tallied, Tally, TallyLimits, Verdict};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

#[test]
fn what_is_counted_again_allocates_nothing() {
    let acme: Arc<TenantId> = Arc::new("acme".parse().unwrap());
    let tally: Tally<u8> = Tally::new(TallyLimits { keys: 65_536, details: 131_072 });
    let count = || {
        for n in 0..20_000_u128 {
            let key_id = KeyId::from_u128(n * 7);
            let tallied = Tallied { tenant: &acme, key_id, verdict: Verdict::Valid, now: NOW };
            tally.count(&tallied, |origin| *origin == 1, || 1);
            tally.count(&tallied, |origin| *origin == 2, || 2);
        }
    };
    count();
    let again = allocation_counter::measure(count);
    assert_eq!(again.count_total, 0, "of what was counted before");
    let (sums, missed) = tally.drain();
    assert_eq!((sums.len(), sums.iter().map(|sum| sum.count).sum::<u64>(), missed), (40_000, 80_000, 0));
    let next_second = allocation_counter::measure(count);
    assert_eq!(next_second.count_total, 0, "of as much as the second before");
    assert_eq!(tally.drain().0.len(), 40_000);
    assert!(tally.drain().0.is_empty());
}
