//! Memory, replay, snapshot, imported keys and recall of a million keys in the index alone.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{
    Environment, Event, Grant, ImportKey, KeyId, KeyImported, KeyIssued, KeysRecalled, Labels, LogId,
    Networks, Owner, OwnerTag, Personal, PersonalText, PlainSecret, Position, Prefix, Revision, RevokeReason,
    ScopeSet, SecretDigest, Selector, TenantId, Timestamp, digest_key, format_key,
};
use verify::{
    Applied, IndexWriter, KeyIndex, Moment, SnapshotHeader, Verdict, VerifyRequest, new_index, read_snapshot,
};

const KEYS: usize = 1_000_000;
const OWNERS: usize = 100_000;
/// Calls a turn: about a millisecond.
const TURN: usize = 4_000;
const STALENESS: Duration = Duration::from_secs(5);
const MOMENT: Moment = Moment { now: Timestamp::from_millis(1_790_000_000_000), boot_ms: 0 };

fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key_id(n: usize) -> KeyId {
    KeyId::from_u128(u128::from(1_790_000_000_000 + n as u64 / 10) << 80 | u128::from(mixed(!(n as u64))))
}

fn secret(n: usize) -> PlainSecret {
    let mut state = n as u64;
    PlainSecret::draw(|bytes| {
        for byte in bytes {
            state = state.wrapping_add(1_000_003);
            *byte = mixed(state) as u8;
        }
    })
}

struct Load {
    events: Vec<(KeyId, KeyIssued)>,
    /// The keys' texts in an order that has nothing to do with that of the rows.
    tokens: Vec<String>,
}

fn load() -> Load {
    let scopes: Vec<_> = (0..20)
        .map(|n| ScopeSet::parse([format!("campaigns:send:{n}"), format!("lists:read:{n}")]).unwrap())
        .collect();
    let labels: Vec<_> =
        (0..50).map(|n| Labels::new(vec![format!("service=mailer-{n}").parse().unwrap()]).unwrap()).collect();
    let issued = |n: usize| {
        let owner = n % OWNERS;
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&mixed(owner as u64).to_be_bytes());
        KeyIssued {
            prefix: Prefix::default(),
            digest: digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)),
            grant: Grant {
                environment: Environment::Live,
                name: None,
                owner: Owner {
                    tag: OwnerTag::from_bytes(tag),
                    name: Personal::Plain(PersonalText::name(&format!("newsletter-{owner:09}")).unwrap()),
                },
                scopes: scopes[n % scopes.len()].clone(),
                labels: labels[n % labels.len()].clone(),
                networks: Networks::default(),
                expires_at: None,
            },
            issuer: None,
            predecessor: None,
        }
    };
    let text = |n: usize| {
        format_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)).expose().to_owned()
    };
    let mut order: Vec<usize> = (0..KEYS).collect();
    order.sort_by_key(|&n| mixed(n as u64 ^ 0x5555));
    Load {
        events: (0..KEYS).map(|n| (key_id(n), issued(n))).collect(),
        tokens: order.into_iter().map(text).collect(),
    }
}

fn request(token: &str) -> VerifyRequest<'_> {
    VerifyRequest { token, tenant: None, scope: None, network: None }
}

fn replay(events: &[(KeyId, KeyIssued)]) -> (Arc<KeyIndex>, IndexWriter) {
    let tenant: TenantId = "default".parse().unwrap();
    let (index, mut writer) = new_index(STALENESS);
    assert_eq!(writer.open_tenant(Position::new(1), &tenant), Applied::Done);
    let start = Instant::now();
    for (n, (key_id, issued)) in events.iter().enumerate() {
        let _ = black_box(writer.issue(Position::new(n as u64 + 1), &tenant, *key_id, issued));
    }
    let took = start.elapsed();
    writer.advance(Position::new(KEYS as u64));
    println!("apply: {:.2} M events/s", KEYS as f64 / took.as_secs_f64() / 1e6);
    println!("memory: {:.1} bytes a key", index.memory_bytes() as f64 / KEYS as f64);
    (index, writer)
}

fn snapshot(writer: &IndexWriter) {
    let log_id = LogId::from_u128(1);
    let header = SnapshotHeader { log_id, position: Position::new(KEYS as u64), reader: 1 };
    let mut bytes = Vec::with_capacity(100 << 20);
    let start = Instant::now();
    writer.write_snapshot(&header, &mut bytes).unwrap();
    println!("snapshot: {} bytes written in {:?}", bytes.len(), start.elapsed());
    for _ in 0..3 {
        let start = Instant::now();
        let (_, back, _writer) = read_snapshot(&*bytes, log_id, 1, STALENESS).unwrap();
        println!("snapshot: {} keys read in {:?}", back.key_count(), start.elapsed());
    }
}

/// A tenth of the keys again as another system's: by digest of the whole token.
fn import(writer: &mut IndexWriter, tokens: &[String]) {
    let tenant: TenantId = "default".parse().unwrap();
    let grant = Grant {
        environment: Environment::Live,
        name: None,
        owner: Owner {
            tag: OwnerTag::from_bytes([7; 16]),
            name: Personal::Plain(PersonalText::name("newsletter").unwrap()),
        },
        scopes: ScopeSet::default(),
        labels: Labels::default(),
        networks: Networks::default(),
        expires_at: None,
    };
    for (n, token) in tokens.iter().enumerate() {
        let digest = SecretDigest::of_token(token);
        let key_id = ImportKey::key_id(&tenant, &digest);
        let imported = KeyImported { digest, grant: grant.clone(), issuer: None };
        let applied = writer.import(Position::new((KEYS + n) as u64 + 1), &tenant, key_id, &imported);
        assert_eq!(applied, Applied::Done);
    }
}

/// Nanoseconds a call; of short turns those that nobody disturbed count.
fn nanos(tokens: &[String], tenant: Option<&TenantId>, index: &KeyIndex, expected: Verdict) -> f64 {
    let mut turns: Vec<f64> = tokens
        .chunks_exact(TURN)
        .map(|tokens| {
            let start = Instant::now();
            for token in tokens {
                let request = VerifyRequest { token, tenant, scope: None, network: None };
                assert_eq!(black_box(index.judge(&request, MOMENT)).verdict, expected);
            }
            start.elapsed().as_nanos() as f64 / TURN as f64
        })
        .collect();
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 10]
}

/// Tokens of another system against as many of our own keys, in the same index.
fn imported(writer: &mut IndexWriter, index: &KeyIndex, native: &[String]) {
    let tokens: Vec<String> = (0..KEYS / 10).map(|n| format!("sk-{:016x}", mixed(n as u64))).collect();
    import(writer, &tokens);
    let tenant: TenantId = "default".parse().unwrap();
    let native = nanos(&native[..tokens.len()], None, index, Verdict::Valid);
    let imported = nanos(&tokens, Some(&tenant), index, Verdict::Valid);
    println!("imported: judge {imported:.0} ns, native {native:.0} ns ({:.2} x)", imported / native);
}

fn selectors() -> [(&'static str, Selector); 3] {
    let owner = Owner { tag: OwnerTag::from_bytes([9; 16]), name: Personal::Sealed(Vec::new()) };
    let scope = Some("campaigns:send:3".parse().unwrap());
    let label = Some("service=mailer-3".parse().unwrap());
    [
        ("an owner who has none", Selector { owner: Some(owner), ..Selector::ALL }),
        ("a scope and a label", Selector { scope, label, ..Selector::ALL }),
        ("all", Selector::ALL),
    ]
}

/// How long a recall of everything takes to be seen, what it costs a verify until the rows say it, and the pass.
fn recall(writer: &mut IndexWriter, index: &KeyIndex, tokens: &[String]) {
    let tenant: TenantId = "default".parse().unwrap();
    let mut position = index.applied();
    let quiet = nanos(tokens, None, index, Verdict::Valid);
    for (name, selector) in selectors() {
        let start = Instant::now();
        let mut matching = 0;
        index.for_each_matching(&tenant, &selector, |_| matching += 1);
        println!("scan for {name}: {matching} keys in {:?}", start.elapsed());
    }
    let start = Instant::now();
    let issuers = HashSet::from([KeyId::from_u128(1)]);
    let pairs = index.issued_by(&issuers).len();
    println!("scan for issuers: {pairs} pairs in {:?}", start.elapsed());
    for (name, selector) in selectors() {
        position = position.next();
        let is_all = selector.is_all();
        let start = Instant::now();
        index.recall(&tenant, position, MOMENT.now, &selector);
        let seen = index.judge(&request(&tokens[0]), MOMENT).verdict;
        let visible = start.elapsed();
        assert_eq!(seen == Verdict::Recalled, is_all);
        // Whether a key is hit or not, the list is looked through.
        let verdict = if is_all { Verdict::Recalled } else { Verdict::Valid };
        let rest: Vec<String> = tokens
            .iter()
            .filter(|token| index.judge(&request(token), MOMENT).verdict == verdict)
            .take(KEYS / 4)
            .cloned()
            .collect();
        let pending = nanos(&rest, None, index, verdict);
        let revision = index.tenant(&tenant).map_or(Revision::NONE, |state| state.revision).next();
        let event = KeysRecalled { selector, reason: RevokeReason::OwnerLeft, note: None };
        let event = Event::KeysRecalled(Box::new(event));
        assert_eq!(writer.change_tenant(position, &tenant, revision, MOMENT.now, &event), Applied::Done);
        writer.advance(position);
        let start = Instant::now();
        writer.settle();
        println!(
            "recall of {name}: seen after {visible:?}, rows after {:?}; judge {quiet:.0} ns, meanwhile {pending:.0} ns",
            start.elapsed()
        );
    }
}

fn main() {
    let load = load();
    let (index, mut writer) = replay(&load.events);
    index.prove_fresh(0);
    snapshot(&writer);
    imported(&mut writer, &index, &load.tokens);
    recall(&mut writer, &index, &load.tokens);
}
