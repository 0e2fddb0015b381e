//! Twice as many verifies as a server can take: what becomes of a revocation, of memory, and of what was acknowledged.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::load::{Line, Until, drive, offer};
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::runner::short;
use crate::rush::Failure;
use crate::site::Site;
use crate::statistics::quantile;

/// Times what the same load took when it waited for each answer.
const OVER: f64 = 2.0;
/// More than a server lets under way at once.
const CONNECTIONS: u32 = 1_500;
/// Those of the load that finds out what it can take.
const CLOSED: usize = 64;
const FILES: u64 = 4_096;
const LASTING: Duration = Duration::from_secs(10);
const TRIAL_LASTING: Duration = Duration::from_secs(1);
/// Between two revocations.
const REVOKE_EVERY: Duration = Duration::from_millis(25);
/// Revocations of a turn of the idle server.
const IDLE: usize = 200;
const VALID: &str = "\"verdict\":\"valid\"";

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let about = "an open loop of twice the verifies that the server can take, for 10 s, revocations beside it, then kill -9: revocations at their 99th, verifies answered, verifies shed with 503 and Retry-After, resident memory; the floor is the same server with that load closed, revocations idle";
    let row = Row::new("overload", ("ms", Better::Less), about, prepare);
    vec![row.measuring(&[
        ("revoke-p99", "ms", Better::Less),
        ("verified", "keys/s", Better::More),
        ("shed", "%", Better::More),
        ("memory", "MiB", Better::Less),
    ])]
}

struct Overload {
    site: Arc<Site>,
    data: PathBuf,
    server: Option<Program>,
    verifies: Arc<Vec<Bytes>>,
    capacity: f64,
}

async fn prepare(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    make_room()?;
    let sown = site.sown().await?;
    let mut contest =
        Overload { site, data: sown.data.clone(), server: None, verifies: Arc::default(), capacity: 0.0 };
    contest.start().await?;
    let verify = |key: &String| {
        Ok::<_, Failure>(contest.server()?.request("POST", "/v1/verify", Some(&json!({"key": key}))))
    };
    contest.verifies = Arc::new(sown.tokens.iter().map(verify).collect::<Result<_, _>>()?);
    contest.capacity = contest.closed().await?;
    contest.site.tell(&format!("  it can take {} verifies/s", short(contest.capacity)));
    Ok(Box::new(contest))
}

/// Lets this process open as many files as there are connections, if it may.
fn make_room() -> Result<(), Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < FILES) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum })?;
    }
    Ok(())
}

impl Overload {
    fn server(&self) -> Result<&Program, Failure> {
        self.server.as_ref().ok_or_else(|| "the server is gone".into())
    }

    async fn start(&mut self) -> Result<(), Failure> {
        let mut server = Program::start(&self.site.settings.program, &self.data, &[]).await?;
        server.wait_views().await?;
        server.settle().await?;
        self.server = Some(server);
        Ok(())
    }

    async fn closed(&self) -> Result<f64, Failure> {
        let server = self.server()?;
        let until = Until::Time(self.site.turn_time());
        let rate = drive(server.address, &self.verifies, CLOSED, until, VALID).await?;
        server.settle().await?;
        Ok(rate)
    }

    /// Whole keys and what revokes them.
    async fn issued(&self, count: usize) -> Result<Vec<(String, Bytes)>, Failure> {
        let server = self.server()?;
        let issue = json!({"name": "campaign", "owner": "list-sender", "scopes": ["campaigns:send"]});
        let issue = server.request("POST", "/v1/tenants/acme/keys", Some(&issue));
        let mut line = Line::open(server.address).await?;
        let mut issued = Vec::with_capacity(count);
        for _ in 0..count {
            let told = line.ask(&issue).await?.succeeded()?;
            let text = |name: &str| told[name].as_str().unwrap_or_default();
            let path = format!("/v1/tenants/acme/keys/{}/revoke", text("key_id"));
            let revoke = server.request("POST", &path, Some(&json!({"reason": "compromised"})));
            issued.push((text("key").to_owned(), revoke));
        }
        server.settle().await?;
        Ok(issued)
    }

    /// Milliseconds of each, from when it was due. On a thread of its own: in the queue of those who load the server it would
    /// measure them.
    async fn revoke(&self, keys: &[(String, Bytes)]) -> Result<Vec<f64>, Failure> {
        let (address, keys) = (self.server()?.address, keys.to_vec());
        let revoking =
            move || Builder::new_current_thread().enable_all().build()?.block_on(revoke(address, &keys));
        spawn_blocking(revoking).await?
    }

    /// Whether each is refused by the server that comes up after a crash.
    async fn crash_and_check(&mut self, revoked: &[(String, Bytes)]) -> Result<(), Failure> {
        if let Some(server) = self.server.take() {
            server.kill()?;
        }
        self.start().await?;
        let server = self.server()?;
        for (key, _) in revoked {
            let told = server.post("/v1/verify", &json!({"key": key})).await?;
            if told["verdict"] != "revoked" {
                return Err(format!("a revocation that was acknowledged is lost: {told}").into());
            }
        }
        Ok(())
    }

    fn resident_mib(&self) -> Result<f64, Failure> {
        Ok(self.server()?.resident_bytes()? as f64 / f64::from(1 << 20))
    }
}

async fn revoke(address: SocketAddr, keys: &[(String, Bytes)]) -> Result<Vec<f64>, Failure> {
    let mut line = Line::open(address).await?;
    let mut due = interval(REVOKE_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut took = Vec::with_capacity(keys.len());
    for (_, revoke) in keys {
        let at = due.tick().await;
        line.ask(revoke).await?.succeeded()?;
        took.push(Instant::now().saturating_duration_since(at).as_secs_f64() * 1e3);
    }
    Ok(took)
}

#[async_trait]
impl Contest for Overload {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let lasting = if self.site.is_trial() { TRIAL_LASTING } else { LASTING };
        let keys = self.issued((lasting.as_millis() / REVOKE_EVERY.as_millis()).try_into()?).await?;
        let address = self.server()?.address;
        let offering = offer(address, &self.verifies, CONNECTIONS, OVER * self.capacity, lasting, VALID);
        let watching = async {
            let took = self.revoke(&keys).await?;
            Ok::<_, Failure>((took, self.resident_mib()?))
        };
        let (offered, watched) = tokio::join!(offering, watching);
        let (offered, (took, resident)) = (offered?, watched?);
        self.crash_and_check(&keys).await?;
        let answers = (offered.right + offered.shed).max(1) as f64;
        Ok(vec![
            quantile(&took, 0.99),
            offered.right as f64 / lasting.as_secs_f64(),
            100.0 * offered.shed as f64 / answers,
            resident,
        ])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let keys = self.issued(IDLE).await?;
        let took = self.revoke(&keys).await?;
        let rate = self.closed().await?;
        Ok(Some(vec![quantile(&took, 0.99), rate, 0.0, self.resident_mib()?]))
    }

    async fn end(mut self: Box<Self>) -> Result<(), Failure> {
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}
