//! Durable commands on NATS: issuing and revoking in process, against raw publishes of the same bytes.

use std::sync::Arc;

use async_trait::async_trait;
use eventlog::SealStore;
use eventlog::jetstream::JetStream;
use projection::Keeps;
use tempfile::TempDir;

use super::commands::{Command, commands_of, event_bytes, turn_of};
use crate::floor::stream::{Publishing, RawStream, STREAM};
use crate::nats::NatsPlace;
use crate::row::{Better, Contest, Figures, Needs, Row};
use crate::rush::{Failure, Rush};
use crate::site::Site;

/// Callers that wait at once, and what the floor does for as many.
const SHAPES: [(usize, Publishing, &str); 3] = [
    (1, Publishing::Singles(1), "publishes one by one"),
    (64, Publishing::Singles(64), "64 publishes at once"),
    (1_000, Publishing::Batches(1_000), "atomic batches of 1,000"),
];

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (replicas, place) in [(1, "r1"), (3, "r3")] {
        for command in [Command::Issue, Command::Revoke] {
            for (callers, publishing, floor) in SHAPES {
                let verb = command.as_str();
                let about = format!(
                    "{verb} on NATS with {replicas} replica(s), sync always, {callers} callers in process, against {floor}"
                );
                let row = Row::new(
                    format!("{verb}-{place}-{callers}"),
                    ("commands/s", Better::More),
                    about,
                    move |site| prepare(site, replicas, command, (callers, publishing)),
                );
                rows.push(row.needing(Needs::Nats(replicas)));
            }
        }
    }
    rows
}

struct OnNats {
    rush: Rush,
    log: JetStream,
    command: Command,
    callers: usize,
    commands: usize,
    floor: RawStream,
    publishing: Publishing,
    place: Arc<NatsPlace>,
    _folder: TempDir,
}

/// A node with its log on NATS, its tenant open.
pub(crate) async fn rush_on(
    place: &NatsPlace,
    folder: &TempDir,
    keeps: Keeps,
) -> Result<(Rush, JetStream), Failure> {
    let log = place.log().await?;
    let seals: Arc<dyn SealStore> = Arc::new(log.seals.clone());
    let rush = Rush::on(log.log.clone(), seals, folder.path(), keeps).await?;
    rush.open_tenant().await?;
    Ok((rush, log))
}

async fn prepare(
    site: Arc<Site>,
    replicas: usize,
    command: Command,
    (callers, publishing): (usize, Publishing),
) -> Result<Box<dyn Contest>, Failure> {
    let place = NatsPlace::open(&site, replicas).await?;
    let folder = site.temporary("commands")?;
    let (rush, log) = rush_on(&place, &folder, Keeps::Everything).await?;
    let commands = commands_of(&site, callers);
    rush.issue_by(callers, commands, usize::MAX, &Arc::default()).await?;
    rush.catch_up().await;
    let bytes = event_bytes(&*rush.log).await?;
    let floor = RawStream::create(place.reach().await?, replicas, bytes).await?;
    Ok(Box::new(OnNats { rush, log, command, callers, commands, floor, publishing, place, _folder: folder }))
}

#[async_trait]
impl Contest for OnNats {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        Ok(vec![turn_of(&self.rush, self.command, self.callers, self.commands).await?])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(Some(vec![self.floor.publish(self.commands, self.publishing).await?]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.rush.stop().await;
        self.log.shutdown().await;
        self.place.clear(&[STREAM]).await
    }
}
