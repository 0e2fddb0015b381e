//! Measures a server with a million keys: issuing them, restarting on them, what the index weighs, listing by owner.
//!
//! `cargo build --release -p cli && cargo run --release -p tests --bin million [KEYS]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use application::{Ambient, Application, IssueRequest, LeaseState, Request, SystemAmbient};
use domain::{
    Actor, Cause, CommandId, Environment, Labels, LogId, Networks, PersonalText, Position, ScopeSet, TenantId,
};
use eventlog::{EmbeddedLog, EmbeddedSeals, EventLog};
use projection::stores::DiskStores;
use projection::{Keeps, Projection, ProjectionConfig, Stage};
use tests::server::{ServerSetup, TestServer};
use tokio::time::Instant;

const OWNERS: usize = 100_000;
const SCOPE_SETS: usize = 20;
const CALLERS: usize = 256;
const LISTINGS: usize = 200;
const STALENESS: Duration = Duration::from_secs(5);

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let keys = std::env::args().nth(1).map_or(Ok(1_000_000), |keys| keys.parse())?;
    let dir = tempfile::Builder::new().prefix("rescind-million-").tempdir()?;
    // A first start makes operator, tenant and data folder as a user's would be.
    let program = std::env::current_exe()?.with_file_name("rescind");
    let setup = ServerSetup::embedded().data_in(dir.path()).program(program);
    let first = setup.start();
    first.admin().open_tenant("acme");
    drop(first.stop());

    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(issue(dir.path(), keys))?;
    for (what, restart) in [("restart", false), ("restart after kill -9", true)] {
        let begun = Instant::now();
        let server = setup.spawn();
        server.wait_ready();
        println!("{what}: ready after {:.2} s with {keys} keys", begun.elapsed().as_secs_f64());
        measure(&server);
        if restart { drop(server.stop()) } else { drop(server.kill9()) }
    }
    Ok(())
}

/// Issues the keys in process, as many callers at once as the design asks for, and waits for every view.
async fn issue(data: &Path, keys: usize) -> Result<(), Failure> {
    let ambient: Arc<dyn Ambient> = Arc::new(SystemAmbient);
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(1))?);
    let stores = Arc::new(DiskStores::open(&data.join("views"))?);
    let config = ProjectionConfig { stores, keeps: Keeps::Everything, max_staleness: STALENESS };
    let projection = Projection::start(config, Arc::clone(&log)).await;
    let seals = Arc::new(EmbeddedSeals::open(&data.join("seals"))?);
    let lease = Arc::new(LeaseState::default());
    let applied = projection.applied();
    let index = Arc::clone(&projection.index);
    let application = Arc::new(Application::new(
        log,
        seals,
        Arc::clone(&index),
        applied.clone(),
        Arc::clone(&ambient),
        lease,
    ));

    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (application, ambient, next) = (application.clone(), ambient.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= keys {
                        return Ok::<(), Failure>(());
                    }
                    let request = request(CommandId::from_u128(ambient.draw_ulid()));
                    application.issue_key(&request, asked(n)?).await?;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    let took = begun.elapsed().as_secs_f64();
    println!("issued {keys} keys, durable each, {CALLERS} callers: {:.0}/s", keys as f64 / took);
    let head: Position = *applied.borrow();
    while projection
        .progress()
        .iter()
        .any(|view| view.status.stage != Stage::Ready || view.status.applied < head)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("views caught up {:.1} s after the last acknowledgement", begun.elapsed().as_secs_f64() - took);
    println!(
        "index: {:.1} bytes a key ({} keys)",
        index.memory_bytes() as f64 / index.key_count() as f64,
        index.key_count()
    );
    projection.stop().await;
    Ok(())
}

fn request(command_id: CommandId) -> Request {
    Request {
        actor: Actor::System,
        cause: Cause::Command,
        command_id,
        may_be_repeat: false,
        trace_context: None,
    }
}

fn asked(n: usize) -> Result<IssueRequest, Failure> {
    let tenant: TenantId = "acme".parse()?;
    Ok(IssueRequest {
        tenant,
        environment: Environment::Live,
        name: Some(PersonalText::name(&format!("campaign {n}"))?),
        owner: PersonalText::name(&format!("sender-{:013}", n % OWNERS))?,
        scopes: ScopeSet::parse([format!("lists:read:{}", n % SCOPE_SETS), "campaigns:send".to_owned()])?,
        labels: Labels::new(vec![format!("service=mailer-{}", n % 50).parse()?])?,
        networks: Networks::default(),
        expires_at: None,
        issuer: None,
    })
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
