//! What an operation costs with ten thousand keys, and with ten, a hundred, a thousand times as many.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use crate::load::Line;
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::Failure;
use crate::settings::Settings;
use crate::site::Site;
use crate::sown::{Sown, owner_of};
use crate::statistics::quantile;
use tokio::time::Instant;

/// How many keys there are, and what that is called.
const SIZES: [(usize, &str); 4] =
    [(10_000, "10k"), (100_000, "100k"), (1_000_000, "1M"), (10_000_000, "10M")];
/// Operations of a turn, of which the middle one is told.
const VERIFIES: usize = 4_000;
const OTHERS: usize = 300;

/// The rows, up to as many keys as are asked for.
pub(crate) fn rows(settings: &Settings) -> Vec<Row> {
    let sizes = SIZES.into_iter().filter(|(keys, _)| *keys <= settings.keys);
    sizes
        .map(|(keys, name)| {
            let about = format!("the middle one of many operations over one connection with {keys} keys: verifying, revoking, listing an owner's keys");
            let row = Row::new(format!("growth-{name}"), ("µs", Better::Less), about, move |site| prepare(site, keys));
            row.measuring(&[("verify", "µs", Better::Less), ("revoke", "µs", Better::Less), ("list", "µs", Better::Less)])
        })
        .collect()
}

struct Grown {
    server: Program,
    sown: Arc<Sown>,
    line: Line,
    turn: usize,
}

async fn prepare(site: Arc<Site>, keys: usize) -> Result<Box<dyn Contest>, Failure> {
    let sown = site.sown_with(keys).await?;
    let mut server = Program::start(&site.settings.program, &sown.data, &[]).await?;
    server.wait_views().await?;
    let line = Line::open(server.address).await?;
    let mut contest = Grown { server, sown, line, turn: 0 };
    // Pages and allocators.
    contest.ours().await?;
    Ok(Box::new(contest))
}

impl Grown {
    /// The time of the middle one, in microseconds.
    async fn middle(
        &mut self,
        requests: &[Bytes],
        is_right: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<f64, Failure> {
        let mut took = Vec::with_capacity(requests.len());
        for request in requests {
            let began = Instant::now();
            let answer = self.line.ask(request).await?;
            took.push(began.elapsed().as_secs_f64() * 1e6);
            let told = answer.succeeded()?;
            if !is_right(&told) {
                return Err(format!("answered {told}").into());
            }
        }
        self.server.settle().await?;
        Ok(quantile(&took, 0.5))
    }

    fn some<T>(&self, count: usize, of: impl Fn(usize) -> T) -> Vec<T> {
        // All over the keys, others each turn.
        let at = |n: usize| (n * 7_919 + self.turn * 104_729) % self.sown.tokens.len();
        (0..count).map(|n| of(at(n))).collect()
    }

    async fn issued(&mut self) -> Result<Vec<Bytes>, Failure> {
        let body = json!({"name": "campaign", "owner": "list-sender", "scopes": ["campaigns:send"]});
        let issue = self.server.request("POST", "/v1/tenants/acme/keys", Some(&body));
        let mut revocations = Vec::with_capacity(OTHERS);
        for _ in 0..OTHERS {
            let told = self.line.ask(&issue).await?.succeeded()?;
            let path =
                format!("/v1/tenants/acme/keys/{}/revoke", told["key_id"].as_str().unwrap_or_default());
            revocations.push(self.server.request("POST", &path, Some(&json!({"reason": "unused"}))));
        }
        self.server.settle().await?;
        Ok(revocations)
    }
}

#[async_trait]
impl Contest for Grown {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        self.turn += 1;
        let verifies = self.some(VERIFIES, |at| {
            self.server.request("POST", "/v1/verify", Some(&json!({"key": self.sown.tokens[at]})))
        });
        let lists = self.some(OTHERS, |at| {
            let path = format!("/v1/tenants/acme/keys?owner={}", owner_of(at));
            self.server.request("GET", &path, None)
        });
        let revocations = self.issued().await?;
        Ok(vec![
            self.middle(&verifies, |told| told["verdict"] == "valid").await?,
            self.middle(&revocations, |told| told["position"].is_u64()).await?,
            self.middle(&lists, |told| told["keys"].as_array().is_some_and(|keys| !keys.is_empty())).await?,
        ])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(None)
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.server.stop().await
    }
}
