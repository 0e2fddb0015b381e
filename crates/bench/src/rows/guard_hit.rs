//! A guard's answer to a key that it holds, all in, against a bare table with digest and constant-time compare.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ParsedKey;
use guard::{Guard, Requirement};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::floor::table::Table;
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::Failure;
use crate::site::Site;
use crate::statistics::quantile;

/// Keys in use: as many as a busy service sees in a second.
const IN_USE: usize = 1_000;
/// Calls that are timed together: about half a millisecond.
const CALLS: usize = 2_000;
/// Of so many stretches of calls in a turn the median counts.
const STRETCHES: usize = 400;
const LIMIT: Duration = Duration::from_secs(20);

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let row = |name: &str, keys, what: &str| {
        let about = format!(
            "a real guard's check of {what}, clocks, meters and counting of use in it, against a bare table with digest and constant-time compare"
        );
        Row::new(name, ("ns", Better::Less), about, move |site| prepare(site, keys))
    };
    vec![row("guard-hit", IN_USE, "1,000 keys in turn"), row("guard-hot", 1, "one key again and again")]
}

struct GuardHit {
    server: Program,
    guard: Guard,
    bare: Table,
    tokens: Vec<String>,
    _folder: TempDir,
}

async fn prepare(site: Arc<Site>, keys: usize) -> Result<Box<dyn Contest>, Failure> {
    let folder = site.temporary("guard")?;
    let server = Program::start(&site.settings.program, &folder.path().join("data"), &[]).await?;
    server.open_tenant("acme").await?;
    let body = json!({"name": "guard", "owner": "mailer", "scopes": ["acme/feed", "acme/verify"]});
    let credential = server.post("/v1/tenants/rescind/keys", &body).await?;
    let credential = credential["key"].as_str().ok_or("no key was issued")?;
    let url = format!("http://{}", server.address);
    let guard = Guard::builder(&url, credential).tenant("acme").connect_within(LIMIT);
    let guard = guard.first_sight_within(LIMIT).connect().await?;
    let (mut bare, mut tokens) = (Table::with_capacity(keys), Vec::new());
    for _ in 0..keys {
        let body = json!({"name": "campaign", "owner": "list-sender", "scopes": ["campaigns:send"]});
        let issued = server.post("/v1/tenants/acme/keys", &body).await?;
        let token = issued["key"].as_str().ok_or("no key was issued")?.to_owned();
        if !guard.verify(&token, &Requirement::any()).await.is_valid() {
            return Err("the guard refuses a new key".into());
        }
        let parsed = ParsedKey::parse(&token)?;
        bare.insert(parsed.key_id, parsed.digest().short());
        tokens.push(token);
    }
    Ok(Box::new(GuardHit { server, guard, bare, tokens, _folder: folder }))
}

impl GuardHit {
    /// Nanoseconds a call.
    fn stretches(&self, is_valid: impl Fn(&str) -> bool) -> Result<Figures, Failure> {
        let mut taken = Vec::with_capacity(STRETCHES);
        for stretch in 0..STRETCHES {
            let began = Instant::now();
            let valid =
                (0..CALLS).filter(|n| black_box(is_valid(&self.tokens[(stretch + n) % self.tokens.len()])));
            let valid = valid.count();
            taken.push(began.elapsed().as_nanos() as f64 / CALLS as f64);
            if valid != CALLS {
                return Err(format!("{} of {CALLS} keys were refused", CALLS - valid).into());
            }
        }
        Ok(vec![quantile(&taken, 0.5)])
    }
}

#[async_trait]
impl Contest for GuardHit {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let any = Requirement::any();
        self.stretches(|token| self.guard.check(token, &any).is_some_and(|decision| decision.is_valid()))
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        self.stretches(|token| self.bare.verify(token)).map(Some)
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.guard.close().await;
        self.server.stop().await
    }
}
