//! What attempts do to a webhook.

use super::*;

const SCHEDULE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(100)];

fn hook() -> Webhook {
    let by = (1, "01JDA6Z0000000000000000001".to_owned());
    let secret = WebhookSecret::draw(|bytes| bytes.fill(1));
    Webhook::new("acme".parse().unwrap(), "https://lists.example.com/".to_owned(), Vec::new(), by, secret, 7)
}

fn failure() -> Failure {
    Failure { error: "status 500".to_owned(), retry_after: None, gone: false }
}

#[test]
fn attempts_follow_the_schedule_and_then_the_notice_is_a_dead_letter() {
    let mut hook = hook();
    assert_eq!(hook.failed(&failure(), 1_000, &SCHEDULE, 0), Then::Again);
    assert_eq!(hook.trouble.as_ref().unwrap().next_at, 1_000 + 8_000);
    assert_eq!(hook.failed(&failure(), 20_000, &SCHEDULE, 255), Then::Again);
    assert_eq!(hook.trouble.as_ref().unwrap().next_at, 20_000 + 120_000);
    assert_eq!(hook.done, 7, "the next one waits behind it");
    assert_eq!(hook.failed(&failure(), 200_000, &SCHEDULE, 0), Then::GivenUp);
    let letter = hook.give_up(9, 200_000);
    assert_eq!(
        letter,
        DeadLetter { failed_at: 200_000, attempts: 3, error: "status 500".into(), due: false }
    );
    assert_eq!((hook.done, hook.dead_letters), (9, 1));
    let trouble = hook.trouble.clone().unwrap();
    assert_eq!((trouble.attempts, trouble.since), (0, 1_000), "the next one has all its attempts");
    hook.delivered(12);
    assert_eq!((hook.done, hook.trouble.clone()), (12, None));
}

#[test]
fn a_receiver_can_ask_for_time_but_not_for_ever() {
    let mut hook = hook();
    let patient = Failure { retry_after: Some(Duration::from_secs(60)), ..failure() };
    let _ = hook.failed(&patient, 0, &SCHEDULE, 0);
    assert_eq!(hook.trouble.as_ref().unwrap().next_at, 60_000);
    let endless = Failure { retry_after: Some(Duration::from_secs(1 << 40)), ..failure() };
    let _ = hook.failed(&endless, 0, &SCHEDULE, 0);
    assert_eq!(hook.trouble.as_ref().unwrap().next_at, 3_600_000);
}

#[test]
fn long_failure_and_410_disable_it_and_enabling_begins_anew() {
    let mut hook = hook();
    let _ = hook.failed(&failure(), 1_000, &SCHEDULE, 0);
    let five_days = 5 * 24 * 3_600_000;
    assert_eq!(hook.failed(&failure(), 1_000 + five_days, &SCHEDULE, 0), Then::Disabled);
    assert!(hook.disabled.is_some());
    hook.enable();
    assert_eq!((hook.disabled.clone(), hook.trouble.clone()), (None, None));
    let gone = Failure { gone: true, ..failure() };
    assert_eq!(hook.failed(&gone, 5, &SCHEDULE, 0), Then::Disabled);
    assert_eq!(hook.done, 7, "nothing is lost");
}

#[test]
fn dead_letters_have_a_bound() {
    let mut hook = hook();
    for position in 1..=u64::from(DEAD_LETTERS_MAX) {
        assert_eq!(hook.disabled, None);
        let _ = hook.give_up(position, position);
    }
    assert!(hook.disabled.is_some());
}

#[test]
fn both_secrets_sign_during_a_rotation() {
    let mut hook = hook();
    let before = hook.sign("id", 5_000, "{}");
    hook.rotate(WebhookSecret::draw(|bytes| bytes.fill(2)), 60_000, "rotate-1");
    let during = hook.sign("id", 5_000, "{}");
    let (new, old) = during.split_once(' ').unwrap();
    assert_eq!(old, before);
    assert_eq!(hook.sign("id", 60_000, "{}").split(' ').count(), 1, "its time is up");
    assert_ne!(new, old);
}

#[test]
fn a_row_reads_as_it_was_written() {
    let mut hook = hook();
    hook.rotate(WebhookSecret::draw(|bytes| bytes.fill(2)), 60_000, "rotate-1");
    let _ = hook.failed(&failure(), 1_000, &SCHEDULE, 9);
    let row = serde_json::to_string(&hook).unwrap();
    let read: Webhook = serde_json::from_str(&row).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), row);
    assert_eq!(read.sign("id", 1, "{}"), hook.sign("id", 1, "{}"));
    assert!(!format!("{hook:?}").contains("whsec_"), "a secret is not shown");
}

#[test]
fn an_id_reads_in_one_form_alone() {
    let id = WebhookId(0x1f);
    assert_eq!(id.to_string(), "wh-0000000000000000000000000000001f");
    assert_eq!(id.to_string().parse(), Ok(id));
    for bad in
        ["", "wh-", "wh-1f", "wh-0000000000000000000000000000001F", "wh-+000000000000000000000000000001f"]
    {
        assert_eq!(bad.parse::<WebhookId>(), Err(()), "{bad}");
    }
}
