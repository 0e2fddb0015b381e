//! Durable commands: issuing and revoking, in process and over HTTP, on the embedded log.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{KeyId, LogId, Position};
use eventlog::{EmbeddedLog, EventLog};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::floor::disk::{Redb, fdatasync};
use crate::load::{Until, drive};
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::{Failure, Rush};
use crate::site::Site;

/// Commands of a turn for each caller, and the most: a turn is about half a second.
const EACH: usize = 1_000;
const MOST: usize = 20_000;
/// Keys that are issued to see how large their events are.
const EVENTS_WEIGHED: usize = 20;
/// In a trial with few keys.
const TRIAL: usize = 200;

/// What callers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Issue,
    Revoke,
}

impl Command {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Revoke => "revoke",
        }
    }
}

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for command in [Command::Issue, Command::Revoke] {
        for callers in [1, 64, 256] {
            let name = format!("{}-embedded-{callers}", command.as_str());
            let floor = if callers == 1 { "a file with fdatasync" } else { "redb commits of as many events" };
            let about = format!(
                "{}, {callers} callers in process, each waiting until it is durable, views beside it, against {floor}",
                command.as_str()
            );
            rows.push(Row::new(name, ("commands/s", Better::More), about, move |site| {
                in_process(site, command, callers)
            }));
        }
        for callers in [1, 64] {
            let name = format!("{}-http-{callers}", command.as_str());
            let about = format!(
                "{} over HTTP, {callers} connections, against redb commits of as many events",
                command.as_str()
            );
            rows.push(Row::new(name, ("commands/s", Better::More), about, move |site| {
                over_http(site, command, callers)
            }));
        }
    }
    rows
}

/// How many commands a turn has.
pub(crate) fn commands_of(site: &Site, callers: usize) -> usize {
    if site.is_trial() { TRIAL.max(callers) } else { (EACH * callers).min(MOST) }
}

/// Bytes of an event of this log's, on average over some.
pub(crate) async fn event_bytes(log: &dyn EventLog) -> Result<usize, Failure> {
    let events = log.follow(Position::NONE).await?.next().await?;
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    Ok(bytes.div_ceil(events.len().max(1)))
}

/// Begins a data folder, tenant and all; bytes of an event of its log.
pub(crate) async fn event_bytes_of(site: &Site, data: &Path) -> Result<usize, Failure> {
    let server = Program::start(&site.settings.program, data, &[]).await?;
    server.open_tenant("acme").await?;
    let issue = json!({"name": "campaign 1", "owner": "sender-1", "scopes": ["campaigns:send"]});
    for _ in 0..EVENTS_WEIGHED {
        server.post("/v1/tenants/acme/keys", &issue).await?;
    }
    server.stop().await?;
    event_bytes(&EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(1))?).await
}

struct InProcess {
    rush: Rush,
    command: Command,
    callers: usize,
    commands: usize,
    floor: Redb,
    event_bytes: usize,
    folder: TempDir,
}

async fn in_process(site: Arc<Site>, command: Command, callers: usize) -> Result<Box<dyn Contest>, Failure> {
    let folder = site.temporary("commands")?;
    let rush = Rush::start(folder.path()).await?;
    rush.open_tenant().await?;
    let commands = commands_of(&site, callers);
    rush.issue_by(callers, commands, usize::MAX, &Arc::default()).await?;
    rush.catch_up().await;
    let event_bytes = event_bytes(&*rush.log).await?;
    let floor = Redb::create(folder.path(), event_bytes)?;
    Ok(Box::new(InProcess { rush, command, callers, commands, floor, event_bytes, folder }))
}

#[async_trait]
impl Contest for InProcess {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let rate = turn_of(&self.rush, self.command, self.callers, self.commands).await?;
        Ok(vec![rate])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let rate = if self.callers == 1 {
            fdatasync(self.folder.path(), self.commands, self.event_bytes)?
        } else {
            self.floor.write(self.commands, self.callers)?
        };
        Ok(Some(vec![rate]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.rush.stop().await;
        Ok(())
    }
}

/// Commands a second; then waits until the views have caught up, so that the next turn does not pay for this one.
pub(crate) async fn turn_of(
    rush: &Rush,
    command: Command,
    callers: usize,
    commands: usize,
) -> Result<f64, Failure> {
    let before = rush.index.key_count();
    let keys: Vec<KeyId> = match command {
        Command::Issue => Vec::new(),
        Command::Revoke => {
            let issued = rush.issue_by(callers.max(MANY), commands, 1, &Arc::default()).await?;
            rush.catch_up().await;
            issued.iter().map(|key| key.key_id).collect()
        }
    };
    let began = Instant::now();
    match command {
        Command::Issue => drop(rush.issue_by(callers, commands, usize::MAX, &Arc::default()).await?),
        Command::Revoke => rush.revoke_by(callers, keys).await?,
    }
    let took = began.elapsed();
    rush.catch_up().await;
    if rush.index.key_count() != before + commands {
        return Err(format!("{} keys where {} were issued", rush.index.key_count(), before + commands).into());
    }
    Ok(commands as f64 / took.as_secs_f64())
}

/// Callers that make what a turn needs beforehand.
const MANY: usize = 256;

struct OverHttp {
    server: Program,
    command: Command,
    callers: usize,
    commands: usize,
    floor: Redb,
    _folder: TempDir,
}

async fn over_http(site: Arc<Site>, command: Command, callers: usize) -> Result<Box<dyn Contest>, Failure> {
    let folder = site.temporary("commands")?;
    let data = folder.path().join("data");
    let bytes = event_bytes_of(&site, &data).await?;
    let floor = Redb::create(folder.path(), bytes)?;
    let server = Program::start(&site.settings.program, &data, &[]).await?;
    let commands = commands_of(&site, callers);
    Ok(Box::new(OverHttp { server, command, callers, commands, floor, _folder: folder }))
}

impl OverHttp {
    fn issues(&self) -> Arc<Vec<Bytes>> {
        let issue = |n: usize| {
            let body = json!({"name": format!("campaign {n}"), "owner": format!("sender-{}", n / 10), "scopes": ["campaigns:send"]});
            self.server.request("POST", "/v1/tenants/acme/keys", Some(&body))
        };
        Arc::new((0..self.commands).map(issue).collect())
    }

    /// The first page of keys that are there and can be revoked, page by page.
    async fn revocations(&self) -> Result<Arc<Vec<Bytes>>, Failure> {
        let mut requests = Vec::with_capacity(self.commands);
        let mut cursor = String::new();
        while requests.len() < self.commands {
            let path = format!("/v1/tenants/acme/keys?standing=active&limit=200{cursor}");
            let page = self.server.get(&path).await?.succeeded()?;
            for key in page["keys"].as_array().into_iter().flatten().filter_map(|key| key["key_id"].as_str())
            {
                let path = format!("/v1/tenants/acme/keys/{key}/revoke");
                requests.push(self.server.request("POST", &path, Some(&json!({"reason": "compromised"}))));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        requests.truncate(self.commands);
        Ok(Arc::new(requests))
    }
}

#[async_trait]
impl Contest for OverHttp {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let address = self.server.address;
        let requests = match self.command {
            Command::Issue => self.issues(),
            Command::Revoke => {
                drive(address, &self.issues(), MANY_CONNECTIONS, Until::AllSent, "\"key\":").await?;
                self.server.settle().await?;
                self.revocations().await?
            }
        };
        if requests.len() != self.commands {
            return Err(format!("{} of {} keys can be revoked", requests.len(), self.commands).into());
        }
        let marker = match self.command {
            Command::Issue => "\"key\":\"rsk_",
            Command::Revoke => "\"position\":",
        };
        let rate = drive(address, &requests, self.callers, Until::AllSent, marker).await?;
        self.server.settle().await?;
        Ok(vec![rate])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(Some(vec![self.floor.write(self.commands, self.callers)?]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.server.stop().await
    }
}

/// Connections that make what a turn needs beforehand.
const MANY_CONNECTIONS: usize = 64;
