//! Feeds that skip, stall, go back or cannot be read, and fills that come too late.

use guard::{Requirement, State, Verdict};

use crate::fills::{filled, guard_with, key_id, verdict};
use crate::given::eventually;
use crate::lying::{Lying, notice};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_notice_is_applied_and_reported_at_once() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1]).await;
    assert_eq!(verdict(&guard, 1).await, Verdict::Valid);
    lying.notice(12, 10, "revoked", &key_id(1).to_string());
    eventually("reported", async || lying.says(|says| says.applied.contains(&12))).await;
    assert_eq!(verdict(&guard, 1).await, Verdict::Revoked);
    assert_eq!(guard.status().applied.get(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_gap_the_feed_is_asked_for_what_was_missed() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1, 2]).await;
    assert_eq!((verdict(&guard, 1).await, verdict(&guard, 2).await), (Verdict::Valid, Verdict::Valid));
    lying.notice(14, 12, "revoked", &key_id(2).to_string());
    eventually("asked again", async || lying.says(|says| says.feeds.contains(&Some(10)))).await;
    let feeds = lying.says(|says| says.feeds.len());
    assert_eq!(verdict(&guard, 2).await, Verdict::Valid, "not applied out of its order");
    lying.tell(
        notice(12, 10, "revoked", &key_id(1).to_string())
            + &notice(14, 12, "revoked", &key_id(2).to_string()),
    );
    eventually("both revoked", async || {
        (verdict(&guard, 1).await, verdict(&guard, 2).await) == (Verdict::Revoked, Verdict::Revoked)
    })
    .await;
    lying.heartbeat();
    eventually("current", async || guard.status().state == State::Current).await;
    assert_eq!(lying.says(|says| says.feeds.len()), feeds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_feed_on_which_nothing_comes_is_opened_again() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, []).await;
    assert_eq!(lying.says(|says| says.feeds.clone()), [None]);
    eventually("opened again", async || lying.says(|says| says.feeds.get(1) == Some(&Some(10)))).await;
    assert_eq!(guard.status().state, State::Lagging, "its lease does not rest on the feed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fill_that_a_notice_overtook_is_asked_for_again() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1]).await;
    lying.hold_fills();
    let asking = guard.clone();
    let told = tokio::spawn(async move { verdict(&asking, 1).await });
    eventually("asked", async || lying.says(|says| says.fills.len() == 1)).await;
    lying.says(|says| {
        let mut revoked = filled(1);
        revoked["standing"] = "revoked".into();
        says.keys.insert(key_id(1).to_string(), revoked)
    });
    lying.notice(11, 10, "revoked", &key_id(1).to_string());
    eventually("applied", async || guard.status().applied.get() == 11).await;
    lying.let_go();
    assert_eq!(told.await.unwrap(), Verdict::Revoked);
    assert_eq!(lying.says(|says| says.fills.len()), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_read_lets_everything_be_asked_for() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1]).await;
    assert_eq!(verdict(&guard, 1).await, Verdict::Valid);
    lying.says(|says| (says.head, says.last_notice) = (11, 11));
    lying.tell("event: revoked\nid: 11\ndata: {\"specversion\":\"9\"}\n\n");
    eventually("applied", async || guard.status().applied.get() == 11).await;
    assert!(guard.check(&crate::fills::token(1), &Requirement::any()).is_none(), "nothing is held");
    assert_eq!(verdict(&guard, 1).await, Verdict::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_history_is_begun_anew() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1]).await;
    assert_eq!(verdict(&guard, 1).await, Verdict::Valid);
    lying.says(|says| {
        says.log_id = "00000000000000000000000008".to_owned();
        (says.head, says.last_notice) = (3, 2);
        says.keys.clear();
    });
    lying.tell("\0");
    eventually("registered again", async || lying.says(|says| says.registrations) == 2).await;
    eventually("unknown there", async || verdict(&guard, 1).await == Verdict::Unknown).await;
    assert_eq!((guard.status().applied.get(), guard.status().heard.get()), (2, 3));
}
