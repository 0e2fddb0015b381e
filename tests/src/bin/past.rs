//! Measures replay and questions about the past on a long log.
//!
//! `cargo build --release -p cli && cargo run --release -p tests --bin past -- FOLDER build|past|replay [EVENTS]`: `build` makes the
//! log, `past` asks about moments in this process, `replay` reads all of it through a server and the command line.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bench::rush::Failure;
use domain::{Position, Timestamp};
use eventlog::EventLog;
use projection::stores::DiskStores;
use projection::{Keeps, Past, PastError, Projection, ProjectionConfig, Question, Stage};
use tests::long_log;
use tests::server::ServerSetup;
use tokio::time::Instant;

const EVENTS: u64 = 10_000_000;
/// Questions of each kind.
const ASKED: u64 = 1_000;
/// Recalls in the history of the tenant that has many.
const RECALLS: u32 = 10_000;
const STALENESS: Duration = Duration::from_secs(5);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, what, rest @ ..] = arguments.as_slice() else {
        return Err("say the folder, and build, past or replay".into());
    };
    let events = rest.first().map_or(Ok(EVENTS), |events| events.parse())?;
    let (folder, runtime) =
        (Path::new(folder), tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
    let program = std::env::current_exe()?.with_file_name("rescind");
    let setup = ServerSetup::embedded().data_in(folder).program(program.clone());
    match what.as_str() {
        "build" => {
            // A first start makes operator and tenant as a user's would be.
            drop(setup.start().stop());
            runtime.block_on(build(folder, events))
        }
        "past" => runtime.block_on(past(folder)),
        "replay" => replay(&setup, &program),
        _ => Err("say build, past or replay".into()),
    }
}

async fn build(folder: &Path, events: u64) -> Result<(), Failure> {
    let log: Arc<dyn EventLog> = Arc::new(long_log::open(folder)?);
    let began = Instant::now();
    long_log::add_keys(&log, 1, events / long_log::EVENTS_PER_KEY).await?;
    let took = began.elapsed().as_secs_f64();
    long_log::add_recalling_tenant(&log, &recalling(), RECALLS, events + 1).await?;
    println!("{events} events, durable, in {took:.1} s: {:.0}/s", events as f64 / took);
    Ok(())
}

async fn past(folder: &Path) -> Result<(), Failure> {
    let began = Instant::now();
    let log: Arc<dyn EventLog> = Arc::new(long_log::open(folder)?);
    let head = log.head().await?.get();
    println!("opened {head} events in {:.1} s", began.elapsed().as_secs_f64());
    let stores = Arc::new(DiskStores::open(&folder.join("views"))?);
    let config = ProjectionConfig { stores, keeps: Keeps::Everything, max_staleness: STALENESS };
    let began = Instant::now();
    let projection = Projection::start(config, Arc::clone(&log)).await;
    let past = projection.past();
    past.status().wait_for(|status| status.stage == Stage::Ready).await?;
    println!("the view of times was ready after {:.1} s", began.elapsed().as_secs_f64());
    for progress in projection.progress() {
        println!("  {}: {} of {}", progress.name, progress.status.applied, progress.status.head);
    }
    let (first, last) = (past.log_time(Position::new(10)).await?, past.log_time(Position::new(head)).await?);
    let span = last.as_millis() - first.as_millis();
    let moment = |n: u64| Timestamp::from_millis(first.as_millis() + scatter(n) % span.max(1));
    let key = |n: u64| long_log::key_id(1 + scatter(n) % (head / long_log::EVENTS_PER_KEY - 2));
    measure("position of a time", async |n| past.position_at(moment(n)).await.map(drop)).await?;
    measure("log time of a position", async |n| {
        past.log_time(Position::new(1 + scatter(n) % head)).await.map(drop)
    })
    .await?;
    measure("key show --at TIME", async |n| {
        let position = past.position_at(moment(n)).await?;
        past.key_at(&long_log::tenant(), key(n), position).await.map(drop)
    })
    .await?;
    let of = |tenant: domain::TenantId, key_id| Question {
        tenant,
        key_id,
        scope: "campaigns:send".parse().ok(),
        network: None,
    };
    let plain = |n| of(long_log::tenant(), key(n));
    measure("explain --at TIME", async |n| explain(&past, &plain(n), moment(n)).await).await?;
    let many = of(recalling(), long_log::key_id(0));
    measure("explain, 10,000 recalls", async |n| {
        past.explain(&many, Position::new(head - n), moment(n)).await.map(drop)
    })
    .await?;
    measure("key show, 10,000 recalls", async |n| {
        past.key_at(&many.tenant, many.key_id, Position::new(head - n)).await.map(drop)
    })
    .await?;
    drop(projection);
    Ok(())
}

async fn explain(past: &Past, question: &Question, now: Timestamp) -> Result<(), PastError> {
    let position = past.position_at(now).await?;
    past.explain(question, position, now).await.map(drop)
}

fn recalling() -> domain::TenantId {
    "recalling".parse().expect("a tenant")
}

/// The same numbers each time, all over.
fn scatter(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) >> 8
}

async fn measure<E: Into<Failure>>(
    what: &str,
    ask: impl AsyncFn(u64) -> Result<(), E>,
) -> Result<(), Failure> {
    let mut took = Vec::new();
    for n in 0..ASKED {
        let began = Instant::now();
        ask(n).await.map_err(Into::into)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let ms = |at: usize| took[at].as_secs_f64() * 1e3;
    let (middle, high) = (took.len() / 2, took.len() * 99 / 100);
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", ms(middle), ms(high), ms(took.len() - 1));
    Ok(())
}

fn replay(setup: &ServerSetup, program: &Path) -> Result<(), Failure> {
    let server = setup.spawn();
    server.wait_ready();
    for more in [&[][..], &["--type", "KeyRevoked"], &["--format", "csv", "--to", "1000000"]] {
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["audit", "replay"])
            .args(more)
            .env("RESCIND_URL", server.url())
            .env("RESCIND_KEY", server.operator_key())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = child.stdout.take().ok_or("no pipe")?;
        let (mut lines, mut bytes, mut buffer) = (0_usize, 0_usize, vec![0; 1 << 18]);
        loop {
            let read = out.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            bytes += read;
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        }
        let status = child.wait()?;
        let took = began.elapsed().as_secs_f64();
        let rate = lines as f64 / took;
        println!("replay {more:?}: {lines} lines, {bytes} bytes in {took:.2} s: {rate:.0}/s ({status})");
    }
    drop(server.stop());
    Ok(())
}
