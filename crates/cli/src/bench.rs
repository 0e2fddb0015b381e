//! `rescind bench`: measures this build on this machine, each row beside its floor.

use std::path::{Path, PathBuf};

use bench::{Nats, Report, Settings};
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::screen;
use crate::signals::asked_to_stop;

/// Measure this build on this machine, each row in turns with the least that could do the same
#[derive(Args, Debug)]
#[command(after_help = "\
Every row takes turns with its floor: a bare table, a bare HTTP server, a bare store. Ratios of one run compare; absolute
figures are those of this machine under its present load. Servers are started on loopback and stopped again; data lie in a
temporary folder, or in that of --resume.

Examples:
  rescind bench --list
  rescind bench --rows 'verify-*' --keys 1000000
  rescind bench --nats-server nats-server --rows '!*-r3-*' --out benchmarks.md
  rescind bench --keys 10000000 --resume bench-10m --json")]
pub(crate) struct Bench {
    /// Only these rows: names, `*` for anything, `!` for all but these, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    rows: Vec<String>,
    /// Name the rows and what they measure, and measure nothing
    #[arg(long)]
    list: bool,
    /// Keys that there are
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_1000)]
    keys: usize,
    /// Turns of each side
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    turns: usize,
    /// How many guards hear of a revocation
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 10, 100], value_parser = at_least_one)]
    guards: Vec<usize>,
    /// NATS that runs already: one server, or three separated by commas; may be given twice. Rows make streams of their own there
    #[arg(long, value_name = "URL", conflicts_with = "nats_server")]
    nats: Vec<String>,
    /// A nats-server of 2.12 or later to start, one node and three, each syncing before it acknowledges
    #[arg(long, value_name = "FILE")]
    nats_server: Option<PathBuf>,
    /// What tests/peers measured of others, to stand beside: its results file or folder
    #[arg(long, value_name = "FOLDER")]
    rivals: Option<PathBuf>,
    /// Keep finished rows and issued keys, with their secrets, here, and go on from there
    #[arg(long, value_name = "FOLDER")]
    resume: Option<PathBuf>,
    /// Also write the table, with machine and versions, as a page, and beside it how costs grow, as SVG
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Bench {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let program =
            std::env::current_exe().map_err(|error| Failure::io("cannot find this program", &error))?;
        let (list, out, output) = (self.list, self.out.clone(), self.output);
        let settings = self.settings(program);
        if list {
            return listed(&settings, output);
        }
        let runtime = Runtime::new().map_err(|error| Failure::io("cannot start measuring", &error))?;
        let Some(report) = runtime.block_on(measured(settings)) else {
            return Ok(Exit::Interrupted);
        };
        let report = report.map_err(|error| {
            Failure::new(Exit::Error, "bench", "nothing could be measured").because(error.to_string())
        })?;
        if let Some(out) = out {
            write(&out, &report.page())?;
            if let Some(plot) = report.plot() {
                write(&out.with_extension("svg"), &plot)?;
            }
        }
        output.show(&report.to_json(), |_| report.table().lines().map(str::to_owned).collect())?;
        ended(&report)
    }

    fn settings(self, program: PathBuf) -> Settings {
        let nats = match self.nats_server {
            Some(binary) => Nats::Binary(binary),
            None if self.nats.is_empty() => Nats::None,
            None => Nats::Running(self.nats),
        };
        let Self { rows, keys, turns, guards, rivals, resume, .. } = self;
        Settings { program, rows, keys, turns, guards, nats, rivals, resume, tell: screen::say }
    }
}

/// None when it is to end early: what was started ends with it.
async fn measured(settings: Settings) -> Option<Result<Report, bench::Failure>> {
    tokio::select! {
        report = bench::run(settings) => Some(report),
        Ok(()) = asked_to_stop() => None,
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
}

fn listed(settings: &Settings, output: Output) -> Result<Exit, Failure> {
    let rows = bench::list(settings);
    let body: Vec<_> = rows.iter().map(|(row, about)| json!({"row": row, "about": about})).collect();
    output.show(&json!({"rows": body}), |_| {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        rows.iter().map(|(name, about)| format!("{name:<width$}  {about}")).collect()
    })?;
    Ok(Exit::Ok)
}

fn ended(report: &Report) -> Result<Exit, Failure> {
    if report.is_whole() {
        return Ok(Exit::Ok);
    }
    Err(Failure::new(Exit::Error, "bench", "not every row could be measured")
        .because("the lines above say which, and why"))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count >= 1).ok_or_else(|| "a number from 1".to_owned())
}

fn at_least_1000(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count >= 1_000).ok_or_else(|| "a number from 1000".to_owned())
}
