//! Measures a server with a million keys: issuing them, restarting on them, what the index weighs, listing by owner, and
//! recalling them all.
//!
//! `cargo build --release -p cli && cargo run --release -p tests --bin million [KEYS]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tests::rush::{CALLERS, Failure, OWNERS, Rush, Rushed};
use tests::server::{ServerSetup, TestServer};
use tokio::time::Instant;

const LISTINGS: usize = 200;
/// Keys that are looked at before and after the recall.
const RECALLED: usize = 500;

fn main() -> Result<(), Failure> {
    let keys = std::env::args().nth(1).map_or(Ok(1_000_000), |keys| keys.parse())?;
    let dir = tempfile::Builder::new().prefix("rescind-million-").tempdir()?;
    // A first start makes operator, tenant and data folder as a user's would be.
    let program = std::env::current_exe()?.with_file_name("rescind");
    let setup = ServerSetup::embedded().data_in(dir.path()).program(program);
    let first = setup.start();
    first.admin().open_tenant("acme");
    drop(first.stop());

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let issued = runtime.block_on(issue(dir.path(), keys))?;
    for (what, restart) in [("restart", false), ("restart after kill -9", true)] {
        let begun = Instant::now();
        let server = setup.spawn();
        server.wait_ready();
        println!("{what}: ready after {:.2} s with {keys} keys", begun.elapsed().as_secs_f64());
        measure(&server);
        if restart {
            recall(&server, &issued);
        }
        if restart { drop(server.stop()) } else { drop(server.kill9()) }
    }
    Ok(())
}

/// Issues the keys in process, as many callers at once as the design asks for, and waits for every view. Some keys come
/// back, to be verified later.
async fn issue(data: &Path, keys: usize) -> Result<Vec<Rushed>, Failure> {
    let rush = Rush::start(data).await?;
    let begun = Instant::now();
    let issued = rush.issue(keys, &Arc::default()).await?;
    let took = begun.elapsed().as_secs_f64();
    println!("issued {keys} keys, durable each, {CALLERS} callers: {:.0}/s", keys as f64 / took);
    rush.catch_up().await;
    println!("views caught up {:.1} s after the last acknowledgement", begun.elapsed().as_secs_f64() - took);
    println!(
        "index: {:.1} bytes a key ({} keys)",
        rush.index.memory_bytes() as f64 / rush.index.key_count() as f64,
        rush.index.key_count()
    );
    rush.stop().await;
    Ok(issued)
}

/// Recalls every key by one command over HTTP: from the command to its answer, and to the first verdict after that.
fn recall(server: &TestServer, issued: &[Rushed]) {
    let admin = server.admin();
    let keys = issued.iter().step_by((issued.len() / RECALLED).max(1));
    assert!(keys.clone().all(|key| admin.verdict(&key.key) == "valid"));
    let body = json!({"selector": {"all": true}, "reason": "compromised", "accept_changes": true});
    let begun = Instant::now();
    let answer = admin.post("/v1/tenants/acme/recalls", &body).expect(201).json();
    let answered = begun.elapsed();
    assert_eq!(admin.verdict(&issued[0].key), "recalled");
    let seen = begun.elapsed();
    assert!(keys.clone().all(|key| admin.verdict(&key.key) == "recalled"));
    println!(
        "recall of {} keys by one event: answered after {:.0} ms (effective: {}), seen in verify after {:.0} ms",
        answer["count"],
        answered.as_secs_f64() * 1000.0,
        answer["effective"],
        seen.as_secs_f64() * 1000.0
    );
}

/// What a running server with all keys costs and answers.
fn measure(server: &TestServer) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: not known here");
    println!("  {}", resident.split_whitespace().collect::<Vec<_>>().join(" "));
    let admin = server.admin();
    let begun = Instant::now();
    while admin.get("/v1/tenants/acme/keys?limit=1").status != 200 {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    println!("  lists answer {:.2} s later", begun.elapsed().as_secs_f64());
    let mut took: Vec<f64> = (0..LISTINGS)
        .map(|n| {
            let owner = format!("sender-{:013}", n * 499 % OWNERS);
            let begun = Instant::now();
            let answer = admin.get(&format!("/v1/tenants/acme/keys?owner={owner}")).expect(200).json();
            assert!(answer["keys"].as_array().is_some_and(|keys| !keys.is_empty()));
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!(
        "  listing by owner over HTTP, {LISTINGS} owners: median {:.2} ms, min {:.2}, max {:.2}",
        took[LISTINGS / 2],
        took[0],
        took[LISTINGS - 1]
    );
}
