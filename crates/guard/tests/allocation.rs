//! A hit allocates nothing, whatever the verdict; a separate process, since the counting allocator is global.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use domain::{
    Environment, ImportKey, KeyId, LogId, PlainSecret, Position, Prefix, SecretDigest, TenantId, Timestamp,
    digest_key, format_key,
};
use guard::core::{Core, Judged};
use guard::{Capacity, Moment, Requirement, Verdict};
use wire::guard::{Filled, FilledKey, FilledTenant, LeaseGranted};
use wire::hex;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const LOG: LogId = LogId::from_u128(7);

fn key_id(n: u8) -> KeyId {
    KeyId::from_u128(u128::from(n) << 64 | 7)
}

fn secret() -> PlainSecret {
    PlainSecret::draw(|bytes| bytes.fill(9))
}

fn filled(n: u8, standing: &str) -> FilledKey {
    FilledKey {
        key_id: key_id(n).to_string(),
        digest: hex(&digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret()).short()),
        imported: false,
        standing: standing.to_owned(),
        since: None,
        expires_at: None,
        owner_tag: "01".repeat(16),
        owner: Some("sender-team".to_owned()),
        scopes: vec!["campaigns:send".to_owned()],
        labels: [("service".to_owned(), "mailer".to_owned())].into(),
        networks: vec!["192.0.2.0/24".to_owned()],
        environment: "live".to_owned(),
        issuer: None,
        settled_at: 1,
    }
}

/// A guard that holds keys 1 (active), 2 (revoked) and another system's, knows that 3 is none, and has a lease until 5 s.
fn holding(foreign: &str) -> Core {
    let acme: TenantId = "acme".parse().unwrap();
    let core = Core::new(acme.clone(), Capacity::default(), 1);
    core.on_registered(LOG, Position::new(9), 5_000);
    core.on_hello(&LOG.to_string(), Position::new(9), Position::new(9));
    let ask = core.ask_lease("g", 0);
    let log_id = LOG.to_string();
    let lease = LeaseGranted {
        nonce: ask.nonce,
        log_id,
        head: 9,
        last_notice: 9,
        last_unread: 0,
        staleness_ms: 0,
        report_within_ms: 0,
    };
    core.on_lease(&lease);
    let digest = SecretDigest::of_token(foreign);
    let imported_id = ImportKey::key_id(&acme, &digest);
    let imported = FilledKey {
        key_id: imported_id.to_string(),
        digest: hex(&digest.short()),
        imported: true,
        ..filled(0, "active")
    };
    let unknown = format_key(&Prefix::default(), Environment::Live, key_id(3), &secret());
    let unknown_digest = SecretDigest::of_token(unknown.expose());
    let guessed_digest = SecretDigest::of_token("sk-campaigns-guessed");
    let absent = [unknown_digest, guessed_digest].map(|digest| ImportKey::key_id(&acme, &digest));
    let asked = vec![key_id(1), key_id(2), imported_id, key_id(3), absent[0], absent[1]];
    let ticket = core.begin_fill(asked).unwrap();
    let keys = vec![Some(filled(1, "active")), Some(filled(2, "revoked")), Some(imported), None, None, None];
    let answer = Filled { log_id: LOG.to_string(), as_of: 9, tenant: FilledTenant::default(), keys };
    core.on_filled(&ticket, &answer, 0);
    core
}

#[test]
fn no_verdict_allocates() {
    let foreign = "sk-campaigns-0123456789";
    let core = holding(foreign);
    let keys: Vec<String> = (1..=3)
        .map(|n| format_key(&Prefix::default(), Environment::Live, key_id(n), &secret()).expose().to_owned())
        .collect();
    let send = Requirement::of_scope("campaigns:send").unwrap().at("192.0.2.1".parse().unwrap());
    let read = Requirement::of_scope("lists:read").unwrap().at("192.0.2.1".parse().unwrap());
    let outside = Requirement::any().at("198.51.100.1".parse().unwrap());
    for (token, requirement, boot_ms, expected) in [
        (&*keys[0], &send, 0, Verdict::Valid),
        (&*keys[0], &read, 0, Verdict::ScopeDenied),
        (&*keys[0], &outside, 0, Verdict::NetworkDenied),
        (&*keys[0], &send, 5_001, Verdict::Stale),
        (&*keys[1], &send, 0, Verdict::Revoked),
        (&*keys[2], &send, 0, Verdict::Unknown),
        (foreign, &send, 0, Verdict::Valid),
        ("sk-campaigns-guessed", &send, 0, Verdict::Malformed),
    ] {
        let mut judged = None;
        let counted = allocation_counter::measure(|| {
            judged = Some(core.judge(token, &requirement.clone(), Moment { now: NOW, boot_ms }));
        });
        let Some(Judged::Answer(decision)) = judged else { panic!("{token:.8} is asked for") };
        assert_eq!(decision.verdict, expected);
        assert_eq!(counted.count_total, 0, "allocations of {expected}");
    }
    let counted = allocation_counter::measure(|| drop(keys.clone()));
    assert!(counted.count_total > 0, "the counter counts");
}
