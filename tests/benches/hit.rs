//! A guard's answer to a key that it has seen before, all in, against a bare map with digest and constant-time compare.
//!
//! `cargo bench -p tests --bench hit`. A real guard at a real server: clocks, meters and usage are in it.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::{KeyId, ParsedKey};
use guard::{Guard, Requirement, Verdict};
use quick_cache::DefaultHashBuilder;
use tests::server::ServerSetup;

/// Keys in use: as many as a busy service sees in a second.
const KEYS: usize = 1_000;
/// Calls a turn: about a millisecond.
const TURN: usize = 2_000;
const TURNS: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(20);

type Bare = HashMap<KeyId, [u8; 16], DefaultHashBuilder>;

/// The floor: parse, digest, one map, one compare.
fn bare_verify(bare: &Bare, token: &str) -> bool {
    let Ok(parsed) = ParsedKey::parse(token) else { return false };
    let digest = parsed.digest();
    bare.get(&parsed.key_id).is_some_and(|short| digest.matches_short(short))
}

/// Nanoseconds a call in turns of each side: the median, the least and the most of those that nobody disturbed.
async fn compare(name: &str, tokens: &[String], guard: &Guard) {
    let parse = |token: &String| {
        let parsed = ParsedKey::parse(token).unwrap();
        (parsed.key_id, parsed.digest().short())
    };
    let bare: Bare = tokens.iter().map(parse).collect();
    let any = Requirement::any();
    let mut taken = [Vec::new(), Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        for side in [turn % 3, (turn + 1) % 3, (turn + 2) % 3] {
            let start = Instant::now();
            for n in 0..TURN {
                let token = &tokens[(turn + n) % tokens.len()];
                let valid = match side {
                    0 => bare_verify(&bare, token),
                    1 => guard.check(token, &any).is_some_and(|decision| decision.is_valid()),
                    _ => guard.verify(token, &any).await.is_valid(),
                };
                assert!(black_box(valid));
            }
            taken[side].push(start.elapsed().as_nanos() as f64 / TURN as f64);
        }
    }
    let [bare, check, verify] = taken.map(|mut turns| {
        turns.sort_by(f64::total_cmp);
        turns[turns.len() / 2]
    });
    println!(
        "{name}: bare {bare:.0} ns, check {check:.0} ns ({:.2} x), verify {verify:.0} ns ({:.2} x)",
        check / bare,
        verify / bare
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let credential = admin.issue_credential("acme");
    let guard = Guard::builder(server.url(), &credential.key).tenant("acme").connect_within(LIMIT);
    let guard = guard.first_sight_within(LIMIT).connect().await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..KEYS {
        let key = admin.issue("acme", "list-sender");
        assert_eq!(guard.verify(&key.key, &Requirement::any()).await.verdict, Verdict::Valid);
        tokens.push(key.key);
    }
    compare("one key", &tokens[..1], &guard).await;
    compare("1,000 keys in turn", &tokens, &guard).await;
    guard.close().await;
    drop(server);
}
