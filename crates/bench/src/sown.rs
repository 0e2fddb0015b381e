//! A data folder with all keys in it, made once a run, and kept for the next where rows are.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use crate::program::Program;
use crate::runner::short;
use crate::rush::{CALLERS, Failure, OWNERS, Rush};
use crate::site::Site;

/// Secrets that are kept, spread over all keys: more than a server sees in a second.
const KEPT: usize = 200_000;

/// A data folder and some of its keys.
pub(crate) struct Sown {
    /// For one server at a time.
    pub(crate) data: PathBuf,
    /// Whole keys, with their secrets.
    pub(crate) tokens: Vec<String>,
    /// How many there are in all.
    pub(crate) keys: usize,
}

/// Issues the keys in process, as many callers at once as the design asks for, and waits for every view.
pub(crate) async fn sow(site: &Site, keys: usize) -> Result<Sown, Failure> {
    let data = site.folder().join(format!("keys-{keys}"));
    let list = site.folder().join(format!("keys-{keys}.tokens"));
    if let Ok(text) = fs::read_to_string(&list) {
        return Ok(Sown { data, tokens: text.lines().map(str::to_owned).collect(), keys });
    }
    // Without its list it is of a run that was stopped.
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    site.tell(&format!("issuing {keys} keys"));
    // A first start makes operator, tenant and data folder as a user's would be.
    let first = Program::start(&site.settings.program, &data, &[]).await?;
    first.open_tenant("acme").await?;
    first.stop().await?;
    let rush = Rush::start(&data).await?;
    let began = Instant::now();
    let issued = rush.issue_by(CALLERS, keys, keys.div_ceil(KEPT), &Arc::default()).await?;
    let issuing = began.elapsed().as_secs_f64();
    rush.catch_up().await;
    let views = began.elapsed().as_secs_f64() - issuing;
    site.tell(&format!(
        "  issued at {} a second, views caught up {views:.1} s later",
        short(keys as f64 / issuing)
    ));
    rush.stop().await;
    let tokens: Vec<String> = issued.into_iter().map(|key| key.key).collect();
    // Last, and aside first: a list that is there belongs to a folder that is whole.
    let draft = list.with_extension("new");
    fs::write(&draft, tokens.join("\n"))?;
    fs::rename(draft, list)?;
    Ok(Sown { data, tokens, keys })
}

/// The owner of the `n`th key, who has others.
pub(crate) fn owner_of(n: usize) -> String {
    format!("sender-{:013}", n % OWNERS)
}
