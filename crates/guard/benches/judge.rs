//! A guard's verdict on a key that it holds, against a bare map with digest and constant-time compare in the same run.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use domain::{
    Environment, KeyId, LogId, ParsedKey, PlainSecret, Position, Prefix, Timestamp, digest_key, format_key,
};
use guard::core::{Core, Judged};
use guard::{Capacity, Moment, Requirement, Verdict};
use quick_cache::DefaultHashBuilder;
use wire::guard::{AskFill, Filled, FilledKey, FilledTenant, LeaseGranted};
use wire::hex;

const KEYS: usize = 100_000;
/// Calls a turn: about half a millisecond.
const TURN: usize = 4_000;
const TURNS: usize = 1_000;
const MOMENT: Moment = Moment { now: Timestamp::from_millis(1_790_000_000_000), boot_ms: 0 };
const LOG: LogId = LogId::from_u128(7);

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

fn short(n: usize) -> [u8; 16] {
    digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)).short()
}

fn filled(n: usize) -> FilledKey {
    FilledKey {
        key_id: key_id(n).to_string(),
        digest: hex(&short(n)),
        imported: false,
        standing: "active".to_owned(),
        since: None,
        expires_at: None,
        owner_tag: "01".repeat(16),
        owner: Some("list-sender".to_owned()),
        scopes: vec!["campaigns:send".to_owned()],
        labels: [("service".to_owned(), "mailer".to_owned())].into(),
        networks: Vec::new(),
        environment: "live".to_owned(),
        issuer: None,
        settled_at: 1,
    }
}

fn holding() -> Core {
    // Room to spare, so that nothing is pushed out.
    let core = Core::new("acme".parse().unwrap(), Capacity::Cache { keys: KEYS * 2, absent: 10_000 }, 1);
    let head = Position::new(9);
    core.on_registered(LOG, head, 5_000);
    core.on_hello(&LOG.to_string(), head, head);
    let nonce = core.ask_lease("g", 0).nonce;
    let log_id = LOG.to_string();
    core.on_lease(&LeaseGranted {
        nonce,
        log_id,
        head: 9,
        last_notice: 9,
        last_unread: 0,
        staleness_ms: 0,
        report_within_ms: 0,
    });
    let all: Vec<usize> = (0..KEYS).collect();
    for part in all.chunks(AskFill::MAX_KEYS) {
        let ticket = core.begin_fill(part.iter().map(|n| key_id(*n)).collect()).unwrap();
        let keys = part.iter().map(|n| Some(filled(*n))).collect();
        let answer = Filled { log_id: LOG.to_string(), as_of: 9, tenant: FilledTenant::default(), keys };
        core.on_filled(&ticket, &answer, 0);
    }
    core
}

type Bare = HashMap<KeyId, [u8; 16], DefaultHashBuilder>;

/// The floor: parse, digest, one map, one compare.
fn bare_verify(bare: &Bare, token: &str) -> bool {
    let Ok(parsed) = ParsedKey::parse(token) else { return false };
    let digest = parsed.digest();
    bare.get(&parsed.key_id).is_some_and(|short| digest.matches_short(short))
}

/// Nanoseconds a call in short turns of either side; of each side the turns that nobody disturbed count.
fn compare(name: &str, tokens: &[String], bare: &Bare, core: &Core) {
    let send = Requirement::of_scope("campaigns:send").unwrap();
    let mut taken = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        for side in [turn % 2, (turn + 1) % 2] {
            let from = ((turn * 2 + side) * TURN) % (tokens.len() + 1 - TURN.min(tokens.len()));
            let start = Instant::now();
            for n in 0..TURN {
                let token = &tokens[(from + n) % tokens.len()];
                let valid = match side {
                    0 => bare_verify(bare, token),
                    _ => match black_box(core.judge(token, &send, MOMENT)) {
                        Judged::Answer(decision) => decision.verdict == Verdict::Valid,
                        Judged::Ask(_) => false,
                    },
                };
                assert!(black_box(valid));
            }
            taken[side].push(start.elapsed().as_nanos() as f64 / TURN as f64);
        }
    }
    let [bare, guard] = taken.map(|mut turns| {
        turns.sort_by(f64::total_cmp);
        turns[turns.len() / 10]
    });
    println!("{name}: bare {bare:.0} ns, guard {guard:.0} ns ({:.2} x)", guard / bare);
}

fn main() {
    let text = |n: usize| {
        format_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)).expose().to_owned()
    };
    let mut order: Vec<usize> = (0..KEYS).collect();
    order.sort_by_key(|&n| mixed(n as u64 ^ 0x5555));
    let tokens: Vec<String> = order.into_iter().map(text).collect();
    let core = holding();
    let bare: Bare = (0..KEYS).map(|n| (key_id(n), short(n))).collect();
    assert_eq!(core.held(), KEYS);
    compare("one hot key", &tokens[..1], &bare, &core);
    compare("random over all", &tokens, &bare, &core);
}
