//! `rescind import`: the keys of another system, by digest, a line each; goes on by itself after a lost connection.

mod answers;
mod reports;
mod sending;
mod source;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::text;
use crate::progress::Progress;
use crate::screen::{self, Paint};
use reports::Reports;
use sending::{Sending, Shown};
use source::Source;

/// Bring keys of another system by the SHA-256 of their tokens, one JSON object a line
#[derive(Args, Debug)]
#[command(after_help = "\
A line: {\"digest\": \"<SHA-256 of the whole token, hex or base64>\", \"owner\": \"campaign-team\"}; more of it, as for
key issue: name, scopes, labels, environment, networks, expires_at.

Keys that were imported before are known and left as they are, so the same file can be sent again at any time. A lost
connection is taken up again by itself; if that does not help, it says how to go on. Exit code 12 if lines were refused:
the others stand.

Examples:
  rescind import keys.ndjson --tenant acme --dry-run
  rescind import keys.ndjson --tenant acme --report refused.ndjson
  export-keys | rescind import - --json")]
pub(crate) struct Import {
    /// The file with the lines; `-` is stdin
    file: PathBuf,
    /// The tenant to import into
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Check every line and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave out the lines before this one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
    /// Write every line that was refused, and why, to this file; with --from-line, behind what is there
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Import {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let path = format!("/v1/tenants/{}/imports", crate::client::segment("tenant id", &self.tenant)?);
        let mut source = Source::open(&self.file, self.from_line)?;
        let client = self.flags.client()?;
        let reports = Reports::open(self.report.as_deref(), self.from_line > 1, self.flags.output)?;
        let shown = Arc::new(Shown::new(source.bytes()));
        let mut sending =
            Sending::new(client, path, self.dry_run, self.from_line, reports, Arc::clone(&shown));
        sending.ask_first()?;
        let ended = {
            let progress = Progress::draw(move || shown.line());
            sending.send_all(&mut source, &progress)
        };
        let summary = sending.finish()?;
        if let Err(failure) = ended {
            return Err(self.how_to_go_on(failure, &summary));
        }
        self.flags.output.show(&summary, told)?;
        Ok(if summary["refused"] == 0 { Exit::Ok } else { Exit::SomeRefused })
    }

    /// What is settled stays so; the rest is to be sent again.
    fn how_to_go_on(&self, mut failure: Failure, summary: &Value) -> Failure {
        let settled = summary["lines"].as_u64().unwrap_or_default();
        let done = format!("up to line {settled}: {}", told(summary).join(", "));
        failure.why = Some(match failure.why.take() {
            Some(why) => format!("{why}; {done}"),
            None => done,
        });
        let (file, tenant) = (self.file.display(), &self.tenant);
        let next = settled + 1;
        failure.remedy(match self.file.as_os_str() == "-" {
            true => format!("send the same lines again with --from-line {next}: what was imported is known"),
            false => format!("go on with: rescind import {file} --tenant {tenant} --from-line {next}"),
        })
    }
}

fn told(summary: &Value) -> Vec<String> {
    let part = |name| text(summary, name);
    let paint = Paint::stdout();
    let imported = if summary["dry_run"] == true { "would be imported" } else { "imported" };
    let mut lines = vec![format!("{} {imported}", part("imported"))];
    lines.push(format!("{} known before", part("known")));
    if summary["known_otherwise"] != 0 {
        let count = part("known_otherwise");
        lines.push(format!("{} of them stand otherwise than the file has it", paint.yellow(&count)));
    }
    let refused = part("refused");
    let refused = if summary["refused"] == 0 { refused } else { paint.red(&refused) };
    lines.push(format!("{refused} lines refused"));
    if summary["position"].is_u64() {
        lines.push(format!("position {}", part("position")));
    }
    lines
}

/// A request that failed on the way in, as the last line of its answer tells it.
fn ended_early(end: &Value) -> Failure {
    let code = end["code"].as_str().unwrap_or("unexpected_answer");
    let exit = match code {
        "tenant_closed" | "not_for_operators" => Exit::Refused,
        "not_found" => Exit::NotFound,
        "scope_missing" => Exit::Auth,
        code if code.starts_with("operator_") => Exit::Auth,
        // What stopped it may be over in a moment, and sending again settles what was in doubt.
        _ => Exit::Unavailable,
    };
    let failure = Failure::new(exit, code, "the server ended the import");
    match end["detail"].as_str() {
        Some(detail) => failure.because(detail),
        None => failure,
    }
}

/// Says something while the progress line is there.
fn aside(progress: &Progress, line: &str) {
    progress.aside(|| screen::say(line));
}

/// The report of a line that this side refuses.
fn own_report(line: u64, code: &str, detail: &str) -> Value {
    json!({"line": line, "code": code, "detail": detail})
}
