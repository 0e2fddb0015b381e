//! Measures the notary: what the write path loses to it, side by side, and how far checkpoints are behind under load.
//!
//! `cargo build --release -p cli && cargo run --release -p tests --bin notary [SECONDS]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tests::server::{Admin, ServerSetup, TestServer};
use tokio::time::Instant;

/// Connections that issue keys.
const CALLERS: u64 = 64;
/// Rounds of both ways, one after the other.
const ROUNDS: usize = 4;
/// Events a second under which the lag is measured.
const PACE: u64 = 5_000;
/// How often the checkpoint is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn main() {
    let seconds = std::env::args().nth(1).map_or(8, |text| text.parse().expect("seconds are a number"));
    let time = Duration::from_secs(seconds);
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each goes first as often as the other.
        for with in [round % 2 == 0, round % 2 == 1] {
            let rate = rate(&serve(with), time);
            println!("round {round}: notary {}: {rate:.0} issues/s", if with { "on " } else { "off" });
            if with { on.push(rate) } else { off.push(rate) }
        }
    }
    let (on, off) = (median(on), median(off));
    println!(
        "median: {on:.0}/s with, {off:.0}/s without; lost to the notary: {:.1} %",
        (1.0 - on / off) * 100.0
    );
    lag(&serve(true), time * 2);
}

fn serve(notary: bool) -> TestServer {
    let program = std::env::current_exe().expect("a running program has a file").with_file_name("rescind");
    let setup = ServerSetup::embedded().program(program);
    let setup = if notary { setup } else { setup.arg("--notary").arg("off") };
    setup.start()
}

fn issue(admin: &Admin) -> u64 {
    let body = json!({"owner": "campaign-team", "scopes": ["campaigns:send"]});
    let issued = admin.post("/v1/tenants/default/keys", &body).expect(201).json();
    issued["position"].as_u64().expect("an issue tells its position")
}

/// How many keys a second are issued, all callers at once.
fn rate(server: &TestServer, time: Duration) -> f64 {
    let (stop, issued) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let admin = server.admin();
                while !stop.load(Ordering::Relaxed) {
                    issue(&admin);
                    issued.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::park_timeout(time);
        stop.store(true, Ordering::Relaxed);
    });
    issued.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// From an acknowledgement to the first look at which a checkpoint covers it.
fn lag(server: &TestServer, time: Duration) {
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let (acknowledged, seen) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(server, &stop));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                scope.spawn(move || {
                    let admin = server.admin();
                    let mut acknowledged = Vec::new();
                    for n in 0.. {
                        let due = Duration::from_micros((n * CALLERS + caller) * 1_000_000 / PACE);
                        if due > time {
                            return acknowledged;
                        }
                        thread::park_timeout(due.saturating_sub(begun.elapsed()));
                        let position = issue(&admin);
                        acknowledged.push((Instant::now(), position));
                    }
                    acknowledged
                })
            })
            .collect();
        let acknowledged: Vec<_> =
            callers.into_iter().flat_map(|caller| caller.join().expect("a caller ends")).collect();
        thread::park_timeout(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        (acknowledged, watch.join().expect("the watch ends"))
    });
    let pace = acknowledged.len() as f64 / time.as_secs_f64();
    let covered = |(at, position): &(Instant, u64)| {
        let first = seen.iter().find(|(_, size)| size >= position).expect("all are covered in the end");
        first.0.saturating_duration_since(*at)
    };
    let mut lags: Vec<Duration> = acknowledged.iter().map(covered).collect();
    lags.sort_unstable();
    let at = |part: f64| lags[((lags.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!(
        "{pace:.0} events/s: a checkpoint covers an event after p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// The sizes of the checkpoints and when each was first seen.
fn watch(server: &TestServer, stop: &AtomicBool) -> Vec<(Instant, u64)> {
    let admin = server.admin();
    let mut seen: Vec<(Instant, u64)> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = admin.get("/v1/log/checkpoint").text;
        if let Some(size) = text.lines().nth(1).and_then(|line| line.parse().ok())
            && seen.last().is_none_or(|(_, last)| *last < size)
        {
            seen.push((Instant::now(), size));
        }
        thread::park_timeout(LOOK_EVERY);
    }
    seen
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
