//! What the crate's own tests start from: an index, keys with their secrets, and rows changed by hand.

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Environment, Event, Grant, KeyExpired, KeyId, KeyImported, KeyIssued, KeyRelabelled, KeyRevoked,
    KeyTransferred, KeysRecalled, Labels, Networks, Owner, OwnerTag, Personal, PersonalText, PlainSecret,
    Position, Prefix, RevokeReason, ScopeSet, SecretDigest, Selector, TenantId, Timestamp, digest_key,
    format_key,
};

use crate::row::HotRow;
use crate::{Answer, Applied, IndexWriter, KeyIndex, Moment, VerifyRequest, new_index};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const LATER: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const MAX_STALENESS: Duration = Duration::from_secs(5);
pub(crate) const MOMENT: Moment = Moment { now: NOW, boot_ms: 60_000 };

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(crate) fn acme() -> TenantId {
    tenant("acme")
}

pub(crate) const fn at(n: u64) -> Position {
    Position::new(n)
}

pub(crate) const fn key_id(n: u32) -> KeyId {
    KeyId::from_u128(0x0193_4a7e_15c6_a12e_0d0f_28d8_0000_0000 | n as u128)
}

fn secret(byte: u8) -> PlainSecret {
    PlainSecret::draw(|bytes| bytes.fill(byte))
}

pub(crate) fn revoked() -> Event {
    Event::KeyRevoked(KeyRevoked { reason: RevokeReason::Other, note: None })
}

pub(crate) fn transferred(owner: u8) -> Event {
    Event::KeyTransferred(KeyTransferred { owner: owner_of(owner) })
}

pub(crate) fn relabelled(label: &str) -> Event {
    Event::KeyRelabelled(KeyRelabelled { labels: Labels::new(vec![label.parse().unwrap()]).unwrap() })
}

pub(crate) fn recalled(selector: Selector) -> Event {
    Event::KeysRecalled(Box::new(KeysRecalled { selector, reason: RevokeReason::OwnerLeft, note: None }))
}

/// A token of another system as it is imported.
pub(crate) fn imported(token: &str) -> KeyImported {
    KeyImported { digest: SecretDigest::of_token(token), grant: granted(), issuer: None }
}

pub(crate) fn expired() -> Event {
    Event::KeyExpired(KeyExpired { expires_at: LATER })
}

/// The whole key of the `n`th key, as its holder presents it.
pub(crate) fn token(n: u32) -> String {
    token_with(n, (n % 200) as u8)
}

/// The `n`th key with another secret, its checksum right.
pub(crate) fn forged(n: u32) -> String {
    token_with(n, 201)
}

fn token_with(n: u32, byte: u8) -> String {
    format_key(&Prefix::default(), Environment::Live, key_id(n), &secret(byte)).expose().to_owned()
}

/// The `n`th key as it is issued: without an expiry, for one scope, from anywhere.
pub(crate) fn issued(n: u32) -> KeyIssued {
    KeyIssued {
        prefix: Prefix::default(),
        digest: digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret((n % 200) as u8)),
        grant: granted(),
        issuer: None,
        predecessor: None,
    }
}

/// The `n`th owner.
pub(crate) fn owner_of(n: u8) -> Owner {
    let name = Personal::Plain(PersonalText::name("sender-team").unwrap());
    Owner { tag: OwnerTag::from_bytes([n; 16]), name }
}

/// What comes with it.
pub(crate) fn granted() -> Grant {
    Grant {
        environment: Environment::Live,
        name: None,
        owner: owner_of(5),
        scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
        labels: Labels::new(vec!["service=mailer".parse().unwrap()]).unwrap(),
        networks: Networks::default(),
        expires_at: None,
    }
}

/// A fresh index in which tenant `acme` is open at position 1, and fresh at [`MOMENT`].
pub(crate) fn given_acme() -> (Arc<KeyIndex>, IndexWriter) {
    let (index, mut writer) = new_index(MAX_STALENESS);
    assert_eq!(writer.open_tenant(at(1), &acme()), Applied::Done);
    writer.advance(at(1));
    index.prove_fresh(MOMENT.boot_ms);
    (index, writer)
}

pub(crate) fn verify(index: &KeyIndex, token: &str) -> Answer {
    index.verify(&VerifyRequest { token, tenant: None, scope: None, network: None }, MOMENT)
}

/// Changes a row in ways that no event has yet.
pub(crate) fn change_row(index: &KeyIndex, key_id: KeyId, change: impl FnOnce(&mut HotRow)) {
    let hash = index.hash.of(key_id);
    let mut shard = index.shard(hash).write();
    let row = shard.find(hash, key_id).unwrap();
    let (mut hot, cold) = (*shard.hot(row), *shard.cold(row));
    change(&mut hot);
    shard.set(row, hot, cold);
}
