//! A recall that arrives while keys are issued at full speed: what was issued before it is hit, what comes after is not.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bench::rush::Rush;
use verify::Verdict;

/// Enough that the recall lands in the midst of them.
const KEYS: usize = 40_000;
const RECALLS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn none_issued_before_escapes_and_none_issued_after_is_hit() {
    let dir = tempfile::tempdir().unwrap();
    let rush = Arc::new(Rush::start(dir.path()).await.unwrap());
    rush.open_tenant().await.unwrap();
    let progress = Arc::new(AtomicUsize::new(0));
    let issuing = {
        let (rush, progress) = (rush.clone(), progress.clone());
        tokio::spawn(async move { rush.issue(KEYS, &progress).await.unwrap() })
    };
    let mut last = None;
    for n in 1..=RECALLS {
        while progress.load(Ordering::Relaxed) < KEYS * n / (RECALLS + 1) {
            tokio::task::yield_now().await;
        }
        last = Some(rush.recall_all().await.unwrap());
    }
    let last = last.unwrap();
    let issued = issuing.await.unwrap();
    rush.catch_up().await;
    let (mut before, mut after) = (0, 0);
    for key in &issued {
        let hit = key.position < last.position;
        let expected = if hit { Verdict::Recalled } else { Verdict::Valid };
        assert_eq!(
            rush.verdict(&key.key),
            expected,
            "issued at {}, recalled at {}",
            key.position,
            last.position
        );
        *(if hit { &mut before } else { &mut after }) += 1;
    }
    assert!(before > 100 && after > 100, "the recall came in the midst: {before} before, {after} after");
}
