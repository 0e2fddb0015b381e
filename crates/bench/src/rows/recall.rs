//! One recall of many keys: from the command to its answer, and to a verify that refuses.

use std::sync::Arc;

use async_trait::async_trait;
use domain::LogId;
use eventlog::{EmbeddedLog, EmbeddedSeals};
use projection::Keeps;
use tempfile::TempDir;
use tokio::time::Instant;
use verify::Verdict;

use crate::row::{Better, Contest, Figures, Row};
use crate::rush::{CALLERS, Failure, Rush};
use crate::site::Site;

/// The most keys of a turn, all of which are recalled: each turn issues them anew.
const MOST: usize = 1_000_000;
/// Issuing takes a hundred times as long as what is measured.
const MOST_TURNS: usize = 3;
/// Keys that are looked at before and after.
const LOOKED_AT: usize = 500;

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let about = "one recall of all keys, at most 1,000,000, embedded log, in process: from the command to its answer, and to the refusal of every key that is looked at";
    let row = Row::new("recall", ("ms", Better::Less), about, prepare);
    vec![
        row.measuring(&[("answered", "ms", Better::Less), ("refused", "ms", Better::Less)])
            .at_most(MOST_TURNS),
    ]
}

struct Recalling {
    site: Arc<Site>,
}

async fn prepare(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    Ok(Box::new(Recalling { site }))
}

#[async_trait]
impl Contest for Recalling {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let keys = MOST.min(self.site.settings.keys);
        let folder: TempDir = self.site.temporary("recall")?;
        let log = Arc::new(EmbeddedLog::open(&folder.path().join("log.redb"), LogId::from_u128(1))?);
        let seals = Arc::new(EmbeddedSeals::open(&folder.path().join("seals"))?);
        // Views follow behind the answer and are no part of it.
        let rush = Rush::on(log, seals, folder.path(), Keeps::IndexOnly).await?;
        rush.open_tenant().await?;
        let kept = rush.issue_by(CALLERS, keys, (keys / LOOKED_AT).max(1), &Arc::default()).await?;
        let all = |verdict: Verdict| kept.iter().all(|key| rush.verdict(&key.key) == verdict);
        if !all(Verdict::Valid) {
            return Err("a key that was issued is not valid".into());
        }
        let began = Instant::now();
        let recalled = rush.recall_all().await?;
        let answered = began.elapsed();
        let refused = all(Verdict::Recalled).then(|| began.elapsed());
        rush.stop().await;
        let refused = refused.ok_or("a key passes that was recalled")?;
        if recalled.count != keys {
            return Err(format!("{} of {keys} keys were recalled", recalled.count).into());
        }
        Ok(vec![answered.as_secs_f64() * 1e3, refused.as_secs_f64() * 1e3])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(None)
    }
}
