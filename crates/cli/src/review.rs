//! `rescind review`: what is wrong with the keys that can be used, for people, scripts, spreadsheets and managers.

mod csv;
mod html;
mod sink;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::client::{Call, segment};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::review::sink::{Page, Sink};
use crate::screen;

/// Keys asked for at once.
const PAGE: u16 = 200;
/// Pages that are read before it gives up: 200 million keys, so only a server that repeats itself gets there.
const MAX_PAGES: u32 = 1_000_000;

/// What the review comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Table,
    /// One JSON object
    Json,
    /// For a spreadsheet
    Csv,
    /// One page to hand on or print
    Html,
}

/// Review the keys of a tenant that can be used: unused, never expiring, over-scoped, old, orphaned, and more
#[derive(Args, Debug)]
#[command(after_help = "\
Each line names the command that mends it. What a verifier has not reported is unknown and never taken for disuse.

Examples:
  rescind review
  rescind review --tenant acme --unused-for 90d --finding unused --format csv --out unused.csv
  rescind review --tenant acme --format html --out review.html")]
pub(crate) struct Review {
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Without use for so long a key is unused [default: 30d]
    #[arg(long, value_name = "SPAN")]
    unused_for: Option<String>,
    /// At this age a key is old, unless a policy says so earlier [default: 365d]
    #[arg(long, value_name = "SPAN")]
    older_than: Option<String>,
    /// Only this finding, such as unused
    #[arg(long)]
    finding: Option<String>,
    /// What it comes as
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    format: Format,
    /// Into this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Review {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("/v1/tenants/{}/review", segment("tenant id", &self.tenant)?);
        let call = Call::get(path)
            .with("limit", PAGE)
            .with_some("unused_for", self.unused_for.as_ref())
            .with_some("older_than", self.older_than.as_ref())
            .with_some("finding", self.finding.as_ref());
        let call = client.fresh(call);
        // Asked first: what is refused leaves no file behind.
        let mut body = client.send(&call)?.body;
        let format = if self.flags.output.json { Format::Json } else { self.format };
        let made_at = wire::format_rfc3339(clock::wall());
        let page = Page { tenant: &self.tenant, made_at: &made_at };
        let mut sink = Sink::open(format, self.out.as_deref(), page)?;
        let (mut examined, mut found) = (0, 0);
        for _ in 0..MAX_PAGES {
            examined += body["examined"].as_u64().unwrap_or(0);
            for finding in items(&body, "findings") {
                found += 1;
                sink.add(finding)?;
            }
            let Some(cursor) = body["next_cursor"].as_str().map(str::to_owned) else { break };
            body = client.send(&call.clone().with("cursor", cursor))?.body;
        }
        sink.end(examined, &body["known_until"])?;
        if format != Format::Json {
            screen::say(&format!("{found} findings on {examined} keys of tenant {}", self.tenant));
        }
        Ok(Exit::Ok)
    }
}

/// The cells of a line, in the order of every format.
fn cells(finding: &Value) -> [String; 7] {
    ["key_id", "name", "owner", "finding", "since", "evidence", "mend"].map(|member| text(finding, member))
}
