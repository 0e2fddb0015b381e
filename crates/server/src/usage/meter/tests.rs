//! What the meter tells apart, and what happens at its bounds.

use super::*;

const HOUR_MS: u64 = 3_600_000;
/// Details of one key that are told apart.
const DETAILS_OF_KEY: usize = 64;

const HOUR: Timestamp = Timestamp::from_millis(1_000 * HOUR_MS);

fn acme() -> Arc<TenantId> {
    Arc::new("acme".parse().unwrap())
}

fn used<'a>(tenant: &'a Arc<TenantId>, key: u128, service: &'a str) -> Used<'a> {
    Used {
        tenant,
        key_id: KeyId::from_u128(key),
        verdict: Verdict::Valid,
        scope: Some("campaigns:send"),
        service,
        network: Some([192, 0, 2, 7].into()),
        now: HOUR,
    }
}

fn total(drained: &Drained) -> u64 {
    drained.entries.iter().map(|entry| entry.count).sum()
}

#[test]
fn the_same_is_counted_and_what_differs_is_told_apart() {
    let (meter, acme) = (UsageMeter::new(), acme());
    for n in 0..3 {
        meter.count(&Used { now: HOUR.plus_millis(n), ..used(&acme, 1, "mailer") });
    }
    meter.count(&Used { network: Some([192, 0, 2, 200].into()), ..used(&acme, 1, "mailer") });
    meter.count(&Used { network: Some("2001:db8:1:2::3".parse().unwrap()), ..used(&acme, 1, "mailer") });
    meter.count(&Used { network: Some("::ffff:192.0.2.1".parse().unwrap()), ..used(&acme, 1, "mailer") });
    meter.count(&Used { network: None, ..used(&acme, 1, "mailer") });
    meter.count(&Used { scope: None, ..used(&acme, 1, "mailer") });
    meter.count(&Used { verdict: Verdict::Revoked, ..used(&acme, 1, "mailer") });
    meter.count(&Used { now: HOUR.plus_millis(HOUR_MS), ..used(&acme, 1, "mailer") });
    meter.count(&used(&acme, 1, "lists"));
    meter.count(&used(&acme, 2, "mailer"));
    let mut entries = meter.drain().entries;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.count));
    assert_eq!((entries.len(), total(&Drained { missed: 0, entries: entries.clone() })), (8, 12));
    let first = &entries[0];
    assert_eq!((first.count, first.first, first.last), (5, HOUR, HOUR.plus_millis(2)));
    let origin = first.origin.as_ref().unwrap();
    assert_eq!((&*origin.service, origin.network.as_deref()), ("mailer", Some("192.0.2.0/24")));
    let networks: Vec<_> =
        entries.iter().filter_map(|entry| entry.origin.as_ref()?.network.as_deref()).collect();
    assert!(networks.contains(&"2001:db8:1::/48"), "{networks:?}");
    assert_eq!(meter.drain(), Drained::default());
}

#[test]
fn beyond_its_details_a_key_is_counted_in_one_sum() {
    let (meter, acme) = (UsageMeter::new(), acme());
    let services: Vec<String> = (0..200).map(|n| format!("service-{n}")).collect();
    for service in &services {
        meter.count(&used(&acme, 1, service));
        meter.count(&Used { verdict: Verdict::Revoked, ..used(&acme, 1, service) });
    }
    let drained = meter.drain();
    assert_eq!((total(&drained), drained.missed), (400, 0));
    let sums: Vec<_> = drained.entries.iter().filter(|entry| entry.origin.is_none()).collect();
    assert_eq!((sums.len(), drained.entries.len()), (2, DETAILS_OF_KEY + 2), "one sum a verdict");
}

#[test]
fn beyond_its_keys_verdicts_are_told_as_missed() {
    let (meter, acme) = (UsageMeter::new(), acme());
    let all = LIMITS.keys as u128 + 500;
    for key in 0..all {
        meter.count(&used(&acme, key, "mailer"));
        meter.count(&used(&acme, key % 7, "mailer"));
    }
    let drained = meter.drain();
    assert_eq!((u128::from(total(&drained) + drained.missed), drained.missed), (2 * all, 500));
}

#[test]
fn the_label_of_a_service_is_plain() {
    for label in ["mailer", "eu/lists-2.api_no".trim_end_matches("_no"), &"x".repeat(64)] {
        assert!(Service::is_label(label), "{label}");
    }
    for text in ["", "two words", "a\n", "ä", &"x".repeat(65)] {
        assert!(!Service::is_label(text), "{text}");
    }
    assert_eq!(Service::like(&"Ä team, x".repeat(20)).as_str().len(), SERVICE_MAX);
    assert!(Service::is_label(Service::like("list sender@example.com").as_str()));
}
