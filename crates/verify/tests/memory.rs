//! A million keys take at most 100 bytes each, all in; a separate process, since it measures the process.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fs;
use std::time::Duration;

use domain::{
    Environment, Grant, KeyId, KeyIssued, Labels, Networks, Owner, OwnerTag, Personal, Position, Prefix,
    ScopeSet, SecretDigest, TenantId,
};
use verify::{Applied, IndexWriter, new_index};

const KEYS: u64 = 1_000_000;
const OWNERS: u64 = 100_000;
const SCOPE_SETS: u64 = 20;
const LABEL_SETS: u64 = 50;
const MAX_BYTES_A_KEY: f64 = 100.0;

/// The memory that this process really has.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// SplitMix64: random enough for ids and digests.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fill(writer: &mut IndexWriter) {
    let tenant: TenantId = "default".parse().unwrap();
    let scopes: Vec<_> = (0..SCOPE_SETS)
        .map(|n| ScopeSet::parse([format!("campaigns:send:{n}"), format!("lists:read:{n}")]).unwrap())
        .collect();
    let labels: Vec<_> = (0..LABEL_SETS)
        .map(|n| Labels::new(vec![format!("service=mailer-{n}").parse().unwrap()]).unwrap())
        .collect();
    for n in 0..KEYS {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&mixed(n).to_be_bytes());
        let owner = n % OWNERS;
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&mixed(owner).to_be_bytes());
        let name = format!("newsletter-{owner:09}");
        assert_eq!(name.len(), 20);
        // As long as it is sealed: form, field and generation before it, the cipher's tag behind it.
        let sealed = [&[1, 1, 1], name.as_bytes(), &mixed(owner).to_be_bytes(), &mixed(!owner).to_be_bytes()];
        let issued = KeyIssued {
            prefix: Prefix::default(),
            digest: SecretDigest::from_bytes(digest),
            grant: Grant {
                environment: Environment::Live,
                name: None,
                owner: Owner { tag: OwnerTag::from_bytes(tag), name: Personal::Sealed(sealed.concat()) },
                scopes: scopes[(n % SCOPE_SETS) as usize].clone(),
                labels: labels[(n % LABEL_SETS) as usize].clone(),
                networks: Networks::default(),
                expires_at: None,
            },
            issuer: None,
            predecessor: None,
        };
        // A ULID: time in front, the rest a hash.
        let key_id = KeyId::from_u128(u128::from(1_790_000_000_000 + n / 10) << 80 | u128::from(mixed(!n)));
        assert_eq!(writer.issue(Position::new(n + 1), &tenant, key_id, &issued), Applied::Done);
    }
    writer.advance(Position::new(KEYS));
}

#[test]
fn a_million_keys_take_at_most_a_hundred_bytes_each() {
    let before = resident_bytes();
    let (index, mut writer) = new_index(Duration::from_secs(5));
    fill(&mut writer);
    let resident = (resident_bytes() - before) as f64 / KEYS as f64;
    let counted = index.memory_bytes() as f64 / KEYS as f64;
    assert_eq!(index.key_count() as u64, KEYS);
    assert!(resident <= MAX_BYTES_A_KEY, "{resident:.1} bytes a key resident, {counted:.1} counted");
    assert!(counted <= MAX_BYTES_A_KEY, "{counted:.1} bytes a key counted, {resident:.1} resident");
    assert!(
        (counted - resident).abs() < 5.0,
        "what is counted is honest: {counted:.1} for {resident:.1} resident"
    );
}
