//! The import of another system's keys by `rescind import`, as users run it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::floor::disk::Redb;
use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::rows::commands::event_bytes_of;
use crate::rush::Failure;
use crate::site::Site;

/// Keys of a turn.
const LINES: usize = 100_000;
/// Events of one commit of the floor: as many lines as the server has under way.
const GROUP: usize = 1_000;

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let about = "`rescind import` of another system's keys over HTTP, every key durable, against redb commits of 1,000 events";
    vec![Row::new("import", ("keys/s", Better::More), about, prepare)]
}

struct Importing {
    site: Arc<Site>,
    server: Program,
    floor: Redb,
    lines: usize,
    turn: usize,
    folder: TempDir,
}

async fn prepare(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    let folder = site.temporary("import")?;
    let data = folder.path().join("data");
    let bytes = event_bytes_of(&site, &data).await?;
    let server = Program::start(&site.settings.program, &data, &[]).await?;
    let (floor, lines) = (Redb::create(folder.path(), bytes)?, LINES.min(site.settings.keys));
    Ok(Box::new(Importing { site, server, floor, lines, turn: 0, folder }))
}

#[async_trait]
impl Contest for Importing {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let file = self.folder.path().join("keys.ndjson");
        write_lines(&file, self.turn * self.lines, self.lines)?;
        self.turn += 1;
        let began = Instant::now();
        let mut import = Command::new(&self.site.settings.program);
        import
            .args(["import", "--tenant", "acme", "--json"])
            .arg(&file)
            .env_clear()
            .env("RESCIND_URL", format!("http://{}", self.server.address))
            .env("RESCIND_KEY", &self.server.operator)
            .stdin(Stdio::null());
        let output = block_in_place(|| import.output())?;
        let took = began.elapsed().as_secs_f64();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if told["imported"].as_u64() != Some(self.lines as u64) {
            return Err(format!("the import told {told}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        self.server.settle().await?;
        Ok(vec![self.lines as f64 / took])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(Some(vec![self.floor.write(self.lines, GROUP)?]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.server.stop().await
    }
}

fn write_lines(path: &Path, first: usize, lines: usize) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in first..first + lines {
        let key = json!({
            "digest": digest(&format!("sender_{line:016x}")), "owner": format!("list-sender-{}", line % 1_000),
            "scopes": ["campaigns:send"], "labels": {"service": format!("mailer-{}", line % 50)},
            "name": format!("campaign {line}"),
        });
        writeln!(file, "{key}")?;
    }
    Ok(file.flush()?)
}

fn digest(token: &str) -> String {
    Sha256::digest(token).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
