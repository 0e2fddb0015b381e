//! A hit allocates nothing, whatever the verdict; a separate process, since the counting allocator is global.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::net::IpAddr;
use std::time::Duration;

use domain::{
    Environment, Event, Grant, ImportKey, KeyId, KeyImported, KeyIssued, KeyRevoked, Labels, Networks, Owner,
    OwnerTag, Personal, PersonalText, PlainSecret, Position, Prefix, Revision, RevokeReason, Scope, ScopeSet,
    SecretDigest, Selector, TenantId, Timestamp, digest_key, format_key,
};
use verify::{Applied, KeyIndex, Moment, Verdict, VerifyRequest, new_index};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn key_id(n: u8) -> KeyId {
    KeyId::from_u128(u128::from(n) << 64 | 7)
}

fn secret() -> PlainSecret {
    PlainSecret::draw(|bytes| bytes.fill(9))
}

fn issued(n: u8) -> KeyIssued {
    KeyIssued {
        prefix: Prefix::default(),
        digest: digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret()),
        grant: Grant {
            environment: Environment::Live,
            name: None,
            owner: Owner {
                tag: OwnerTag::from_bytes([5; 16]),
                name: Personal::Plain(PersonalText::name("sender-team").unwrap()),
            },
            scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
            labels: Labels::default(),
            networks: Networks::parse(["192.0.2.0/24"]).unwrap(),
            expires_at: None,
        },
        issuer: None,
        predecessor: None,
    }
}

/// The verdict, after seeing that nothing was allocated for it.
#[track_caller]
fn verdict(index: &KeyIndex, request: &VerifyRequest<'_>, boot_ms: u64) -> Verdict {
    let mut verdict = None;
    let counted = allocation_counter::measure(|| {
        verdict = Some(index.verify(request, Moment { now: NOW, boot_ms }).verdict);
    });
    assert_eq!(counted.count_total, 0, "allocations of {verdict:?}");
    verdict.unwrap()
}

#[test]
fn no_verdict_allocates() {
    let acme: TenantId = "acme".parse().unwrap();
    let (index, mut writer) = new_index(Duration::from_secs(5));
    for n in 1..=3 {
        let applied = writer.issue(Position::new(n.into()), &acme, key_id(n), &issued(n));
        assert_eq!(applied, Applied::Done);
    }
    let revoked = Event::KeyRevoked(KeyRevoked { reason: RevokeReason::Other, note: None });
    let revoked = writer.change(Position::new(4), &acme, key_id(2), Revision::new(2), NOW, &revoked);
    assert_eq!(revoked, Applied::Done);
    let foreign = "sk-campaigns-0123456789";
    let digest = SecretDigest::of_token(foreign);
    let imported = KeyImported { digest, grant: issued(9).grant, issuer: None };
    let imported_id = ImportKey::key_id(&acme, &digest);
    assert_eq!(writer.import(Position::new(5), &acme, imported_id, &imported), Applied::Done);
    writer.advance(Position::new(5));
    index.refuse(key_id(3), Position::new(6), NOW);
    index.prove_fresh(0);
    let keys: Vec<String> = (1..=4)
        .map(|n| format_key(&Prefix::default(), Environment::Live, key_id(n), &secret()).expose().to_owned())
        .collect();
    let send: Scope = "campaigns:send".parse().unwrap();
    let read: Scope = "lists:read".parse().unwrap();
    let inside: IpAddr = "192.0.2.1".parse().unwrap();
    let outside: IpAddr = "198.51.100.1".parse().unwrap();
    let cases = [
        (&*keys[0], &send, inside, 0, Verdict::Valid),
        (&*keys[0], &read, inside, 0, Verdict::ScopeDenied),
        (&*keys[0], &send, outside, 0, Verdict::NetworkDenied),
        (&*keys[0], &send, inside, 5_001, Verdict::Stale),
        (&*keys[1], &send, inside, 0, Verdict::Revoked),
        (&*keys[2], &send, inside, 0, Verdict::Revoked),
        (&*keys[3], &send, inside, 0, Verdict::Unknown),
        ("rsk_live_x", &send, inside, 0, Verdict::Malformed),
        (foreign, &send, inside, 0, Verdict::Valid),
        (foreign, &read, inside, 0, Verdict::ScopeDenied),
        ("sk-campaigns-guessed", &send, inside, 0, Verdict::Malformed),
    ];
    for (token, scope, network, boot_ms, expected) in cases {
        let request =
            VerifyRequest { token, tenant: Some(&acme), scope: Some(scope), network: Some(network) };
        assert_eq!(verdict(&index, &request, boot_ms), expected);
    }
    // While a recall is pending, too.
    let all = Selector::ALL;
    index.recall(&acme, Position::new(7), NOW, &all);
    for token in [&*keys[0], foreign] {
        let request = VerifyRequest { token, tenant: Some(&acme), scope: None, network: None };
        assert_eq!(verdict(&index, &request, 0), Verdict::Recalled);
    }
    let counted = allocation_counter::measure(|| drop(keys.clone()));
    assert!(counted.count_total > 0, "the counter counts");
}
