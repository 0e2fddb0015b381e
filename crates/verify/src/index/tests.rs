//! What readers may see while the writer writes: never a key that passes after its revocation was effective.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use domain::Revision;

use super::*;
use crate::given::*;
use crate::judge;
use crate::{Applied, Verdict};

/// The two reads of one look-up with something in between.
type LookUp = fn(&KeyIndex, &Presented<'_>, &dyn Fn()) -> Found;

/// What verify does.
fn overlay_first(index: &KeyIndex, presented: &Presented<'_>, between: &dyn Fn()) -> Found {
    index.look_up_with(presented, between)
}

/// The planted bug.
fn row_first(index: &KeyIndex, presented: &Presented<'_>, between: &dyn Fn()) -> Found {
    let (settles, key_id) = (index.settles(), presented.key_id());
    let hash = index.hash.of(key_id);
    let (row, digest) = index.row_and(hash, key_id, || presented.digest());
    between();
    Found { settles, refused: index.overlay.since(hash, key_id), row, digest }
}

fn verdict(index: &KeyIndex, n: u32, look_up: LookUp, between: &dyn Fn()) -> Verdict {
    let request = VerifyRequest { token: &token(n), tenant: None, scope: None, network: None };
    judge::judge(index, &request, MOMENT, |index, presented| look_up(index, presented, between)).verdict
}

/// A refused key whose revocation is applied between the two reads of a verify.
fn verdict_with_the_writer_in_between(look_up: LookUp) -> Verdict {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    writer.advance(at(2));
    index.refuse(key_id(1), at(3), NOW);
    let writer = parking_lot::Mutex::new(writer);
    verdict(&index, 1, look_up, &|| {
        let mut writer = writer.lock();
        assert_eq!(
            writer.change(at(3), &acme(), key_id(1), Revision::new(2), NOW, &revoked()),
            Applied::Done
        );
        writer.advance(at(3));
    })
}

#[test]
fn a_revocation_that_is_applied_between_the_two_reads_is_not_missed() {
    assert_eq!(verdict_with_the_writer_in_between(overlay_first), Verdict::Revoked);
    assert_eq!(verdict_with_the_writer_in_between(row_first), Verdict::Valid, "the planted bug shows");
}

#[test]
fn a_proof_that_comes_after_the_row_was_read_does_not_make_it_fresh() {
    let (index, mut writer) = new_index(MAX_STALENESS);
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    writer.advance(at(2));
    let request = VerifyRequest { token: &token(1), tenant: None, scope: None, network: None };
    let answer = judge::judge(&index, &request, MOMENT, |index, presented| {
        let found = index.look_up(presented);
        assert_eq!(
            writer.change(at(3), &acme(), key_id(1), Revision::new(2), NOW, &revoked()),
            Applied::Done
        );
        writer.advance(at(3));
        index.prove_fresh(MOMENT.boot_ms);
        found
    });
    assert_eq!((answer.verdict, answer.as_of.position), (Verdict::Stale, at(2)));
}

/// Issues and revokes keys while readers verify each key that is effectively revoked; counts the valid ones.
fn violations(look_up: LookUp, keys: u32, enough: u32) -> u32 {
    let (index, mut writer) = given_acme();
    let effective = AtomicU32::new(0);
    let found = AtomicU32::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let n = effective.load(Ordering::Acquire);
                    if n > 0 && verdict(&index, n, look_up, &thread::yield_now) == Verdict::Valid {
                        found.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for n in 1..=keys {
            let issue_at = u64::from(n) * 2;
            assert_eq!(writer.issue(at(issue_at), &acme(), key_id(n), &issued(n)), Applied::Done);
            writer.advance(at(issue_at));
            index.refuse(key_id(n), at(issue_at + 1), NOW);
            effective.store(n, Ordering::Release);
            thread::yield_now();
            let applied =
                writer.change(at(issue_at + 1), &acme(), key_id(n), Revision::new(2), NOW, &revoked());
            assert_eq!(applied, Applied::Done);
            writer.advance(at(issue_at + 1));
            if found.load(Ordering::Relaxed) >= enough {
                break;
            }
        }
        done.store(true, Ordering::Release);
    });
    found.into_inner()
}

#[test]
fn no_key_passes_after_its_revocation_is_effective_under_threads() {
    assert_eq!(violations(overlay_first, 20_000, 1), 0);
    assert!(violations(row_first, 2_000_000, 1) > 0, "the planted order is caught");
}

#[test]
fn a_row_is_never_seen_half_written() {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let row = index.row_and(index.hash.of(key_id(1)), key_id(1), || ()).0;
                if let Some(ended_at) = row.ended_at() {
                    assert_eq!(ended_at.as_millis(), row.last().get(), "both were written at once");
                }
            }
        });
        for n in 3..200_000 {
            change_row(&index, key_id(1), |row| {
                row.end(Standing::Revoked, Timestamp::from_millis(n));
                row.set_last(at(n));
            });
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn the_overlay_lasts_until_the_rows_have_it() {
    let (index, mut writer) = given_acme();
    let _ = writer.issue(at(2), &acme(), key_id(1), &issued(1));
    writer.advance(at(2));
    index.refuse(key_id(1), at(5), NOW);
    index.refuse(key_id(1), at(5), LATER);
    assert_eq!((index.overlay_len(), verify(&index, &token(1)).verdict), (1, Verdict::Revoked));
    assert_eq!(verify(&index, &token(1)).holder.unwrap().since, Some(NOW));
    writer.advance(at(4));
    assert_eq!((index.overlay_len(), verify(&index, &token(1)).verdict), (1, Verdict::Revoked));
    let _ = writer.change(at(5), &acme(), key_id(1), Revision::new(2), NOW, &revoked());
    writer.advance(at(5));
    assert_eq!((index.overlay_len(), verify(&index, &token(1)).verdict), (0, Verdict::Revoked));
    index.refuse(key_id(1), at(5), NOW);
    assert_eq!(
        index.overlay_len(),
        0,
        "a refusal that comes after its event was applied leaves nothing behind"
    );
}

#[test]
fn a_refusal_that_races_with_its_own_event_leaves_nothing_behind() {
    let (index, mut writer) = given_acme();
    let (index, writer) = (&*index, &mut writer);
    thread::scope(|scope| {
        let hash = index.hash.of(key_id(1));
        index.overlay.refuse(hash, key_id(1), at(3), NOW, || {
            let before = index.applied();
            scope.spawn(move || writer.advance(at(3)));
            let published = (0..10_000_000).any(|_| {
                thread::yield_now();
                index.applied() == at(3)
            });
            assert!(published, "the position is published before the overlay is locked");
            // As read just before the writer published.
            before
        });
    });
    assert_eq!(index.overlay_len(), 0);
}

#[test]
fn refusals_under_threads_leave_nothing_behind() {
    const ROUNDS: u64 = 3_000;
    let (index, mut writer) = given_acme();
    let (asked, refused) = (AtomicU64::new(1), AtomicU64::new(1));
    let mut left_behind = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..ROUNDS {
                while asked.load(Ordering::Acquire) < n {
                    thread::yield_now();
                }
                index.refuse(key_id(1), at(n), NOW);
                refused.store(n, Ordering::Release);
            }
        });
        for n in 2..ROUNDS {
            asked.store(n, Ordering::Release);
            writer.advance(at(n));
            while refused.load(Ordering::Acquire) < n {
                thread::yield_now();
            }
            left_behind += index.overlay_len();
        }
    });
    assert_eq!(left_behind, 0);
}

#[test]
fn key_ids_that_differ_in_any_bit_spread_over_shards_and_slots() {
    let (index, _writer) = new_index(Duration::from_secs(5));
    for shift in [0, 32, 64, 96] {
        let mut shards = vec![0_u32; SHARDS];
        for n in 0..64_000_u128 {
            shards[(index.hash.of(KeyId::from_u128(n << shift)) >> (u64::BITS - SHARD_BITS)) as usize] += 1;
        }
        let most = shards.iter().max().copied().unwrap_or(0);
        assert!(most < 2_000, "{most} of 64000 keys in one of 64 shards at shift {shift}");
    }
}

#[test]
fn the_facts_of_a_key_are_what_a_verify_goes_by() {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    assert_eq!(writer.issue(at(3), &acme(), key_id(2), &issued(2)), Applied::Done);
    writer.advance(at(3));
    let facts = index.facts(&acme(), key_id(1)).unwrap();
    assert_eq!(facts.key, index.key(&acme(), key_id(1)).unwrap().key);
    assert_eq!((facts.key.standing, facts.settled_at), (Standing::Active, at(2)));
    assert_eq!((&*facts.owner, facts.imported), (&issued(1).grant.owner, false));
    assert_eq!(facts.digest, issued(1).digest.short());
    assert_eq!(index.facts(&tenant("other"), key_id(1)), None);
    assert_eq!(index.facts(&acme(), key_id(9)), None);

    // What the rows do not say yet: a refusal, a recall.
    index.refuse(key_id(1), at(4), NOW);
    let facts = index.facts(&acme(), key_id(1)).unwrap();
    assert_eq!((facts.key.standing, facts.ended_at), (Standing::Revoked, Some(NOW)));
    index.recall(&acme(), at(5), LATER, &Selector::ALL);
    let facts = index.facts(&acme(), key_id(2)).unwrap();
    assert_eq!((facts.key.standing, facts.ended_at), (Standing::Recalled, Some(LATER)));
    let mut keys = index.keys_of(&acme());
    keys.sort_unstable();
    assert_eq!(keys, [key_id(1), key_id(2)]);
    assert!(index.keys_of(&tenant("other")).is_empty());
}
