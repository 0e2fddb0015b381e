//! Issuing without a pause, and how far the views are behind when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::commands::event_bytes;
use crate::floor::disk::Redb;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::{CALLERS, Failure, Rush};
use crate::site::Site;

const LASTING: Duration = Duration::from_secs(60);
const TRIAL_LASTING: Duration = Duration::from_secs(1);
/// Each takes minutes, with the views that follow.
const MOST_TURNS: usize = 1;
/// More than are issued in that time.
const ENDLESS: usize = usize::MAX / 2;

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let about = "issuing for 60 s, 256 callers in process, embedded log: commands a second, and how long the views take after that; against redb commits of 256 events";
    let row = Row::new("issue-sustained", ("commands/s", Better::More), about, prepare);
    let row = row.measuring(&[("rate", "commands/s", Better::More), ("views-behind", "s", Better::Less)]);
    vec![row.at_most(MOST_TURNS)]
}

struct Sustained {
    rush: Rush,
    lasting: Duration,
    floor: Redb,
    _folder: TempDir,
}

async fn prepare(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    let folder = site.temporary("sustained")?;
    let rush = Rush::start(folder.path()).await?;
    rush.open_tenant().await?;
    rush.issue_by(CALLERS, CALLERS, usize::MAX, &Arc::default()).await?;
    let floor = Redb::create(folder.path(), event_bytes(&*rush.log).await?)?;
    let lasting = if site.is_trial() { TRIAL_LASTING } else { LASTING };
    Ok(Box::new(Sustained { rush, lasting, floor, _folder: folder }))
}

#[async_trait]
impl Contest for Sustained {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let (before, progress) = (self.rush.index.key_count(), Arc::new(AtomicUsize::new(0)));
        let began = Instant::now();
        let issuing = self.rush.issue_by(CALLERS, ENDLESS, usize::MAX, &progress);
        let stopping = async {
            sleep(self.lasting).await;
            progress.fetch_max(ENDLESS, Ordering::Relaxed);
        };
        let (issued, ()) = tokio::join!(issuing, stopping);
        issued?;
        let took = began.elapsed();
        self.rush.catch_up().await;
        let behind = began.elapsed() - took;
        let issued = self.rush.index.key_count() - before;
        Ok(vec![issued as f64 / took.as_secs_f64(), behind.as_secs_f64()])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let began = Instant::now();
        let mut rates = Vec::new();
        while rates.is_empty() || began.elapsed() < self.lasting {
            rates.push(self.floor.write(CALLERS * ROUNDS, CALLERS)?);
        }
        // Nothing follows it.
        Ok(Some(vec![rates.iter().sum::<f64>() / rates.len() as f64, 0.0]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.rush.stop().await;
        Ok(())
    }
}

/// Commits between two looks at the clock.
const ROUNDS: usize = 50;
