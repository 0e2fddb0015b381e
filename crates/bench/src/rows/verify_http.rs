//! Verifying over HTTP against bare servers that parse and answer the same.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::floor::http::{Bare, BareServer};
use crate::load::{Line, Until, drive};
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::Failure;
use crate::site::Site;

/// Keys that a busy service sees in a second.
const IN_USE: usize = 1_000;
/// Keys of one batch.
const BATCH: usize = 16;
/// Heads and bodies of both sides may differ by so much: positions and ages grow by digits.
const SIZE_TOLERANCE: f64 = 0.05;
/// What is in every answer that is right.
const VALID: &str = "\"verdict\":\"valid\"";

/// How a row loads.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    connections: usize,
    /// Keys that are used in turn; the rest is not asked for.
    in_use: usize,
    keys_each: usize,
    bare: Bare,
}

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let shape =
        |name, connections, in_use, keys_each, bare| Shape { name, connections, in_use, keys_each, bare };
    let about = |shape: &Shape| {
        let keys =
            if shape.in_use == IN_USE { "1,000 keys in turn" } else { "all keys in turn, each use counted" };
        let batch = if shape.keys_each > 1 { format!(" in batches of {BATCH}") } else { String::new() };
        let connections = match shape.connections {
            1 => "one connection".to_owned(),
            many => format!("{many} connections"),
        };
        format!("POST /v1/verify{batch} over {connections}, {keys}, against bare {:?}", shape.bare)
    };
    [
        shape("verify-http-1", 1, IN_USE, 1, Bare::Axum),
        shape("verify-http-1-hyper", 1, IN_USE, 1, Bare::Hyper),
        shape("verify-http-64", 64, IN_USE, 1, Bare::Axum),
        shape("verify-http-64-hyper", 64, IN_USE, 1, Bare::Hyper),
        shape("verify-http-64-spread", 64, usize::MAX, 1, Bare::Axum),
        shape("verify-batch", 64, usize::MAX, BATCH, Bare::Axum),
    ]
    .into_iter()
    .map(|shape| {
        Row::new(shape.name, ("keys/s", Better::More), about(&shape), move |site| prepare(site, shape))
    })
    .collect()
}

struct OverHttp {
    site: Arc<Site>,
    server: Program,
    bare: BareServer,
    requests: Arc<Vec<Bytes>>,
    shape: Shape,
}

async fn prepare(site: Arc<Site>, shape: Shape) -> Result<Box<dyn Contest>, Failure> {
    let sown = site.sown().await?;
    let mut server = Program::start(&site.settings.program, &sown.data, &[]).await?;
    server.wait_views().await?;
    let tokens = &sown.tokens[..shape.in_use.min(sown.tokens.len())];
    let requests: Vec<Bytes> = tokens
        .chunks(shape.keys_each)
        .map(|keys| match keys {
            [key] if shape.keys_each == 1 => server.request("POST", "/v1/verify", Some(&json!({"key": key}))),
            keys => {
                let asked: Vec<Value> = keys.iter().map(|key| json!({"key": key})).collect();
                server.request("POST", "/v1/verify/batch", Some(&json!({"requests": asked})))
            }
        })
        .take(tokens.len() / shape.keys_each)
        .collect();
    let like = Line::open(server.address).await?.ask(&requests[0]).await?;
    let bare = BareServer::start(shape.bare, &like)?;
    let told = Line::open(bare.address).await?.ask(&requests[0]).await?;
    if (told.size as f64 / like.size as f64 - 1.0).abs() > SIZE_TOLERANCE {
        return Err(format!("the floor answers {} bytes, ours {}", told.size, like.size).into());
    }
    let contest = OverHttp { site, server, bare, requests: Arc::new(requests), shape };
    // Connections, allocators and branch predictors of both sides.
    contest.load(contest.server.address).await?;
    contest.load(contest.bare.address).await?;
    contest.server.settle().await?;
    Ok(Box::new(contest))
}

impl OverHttp {
    async fn load(&self, address: std::net::SocketAddr) -> Result<f64, Failure> {
        let until = Until::Time(self.site.turn_time());
        let rate = drive(address, &self.requests, self.shape.connections, until, VALID).await?;
        Ok(rate * self.shape.keys_each as f64)
    }
}

#[async_trait]
impl Contest for OverHttp {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let rate = self.load(self.server.address).await?;
        self.server.settle().await?;
        Ok(vec![rate])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(Some(vec![self.load(self.bare.address).await?]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.server.stop().await
    }
}
