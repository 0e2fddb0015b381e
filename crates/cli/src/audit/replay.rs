//! `rescind audit replay`: the log as it stands, an event a line.

mod answer;
mod sheet;
mod table;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use self::answer::{Answer, Reached};
use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::progress::{Progress, bar};
use crate::screen::{Paint, writing_failed};
use crate::{clock, key_id, when};

/// How long the answer may pause: the server tells each second how far it has searched.
const SILENCE: Duration = Duration::from_secs(30);

/// What the log comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line, exactly as the server tells it
    Ndjson,
    /// For a spreadsheet
    Csv,
    /// For a terminal
    Table,
}

/// Print the log, oldest event first: who did what to which key, when and why
#[derive(Args, Debug)]
#[command(after_help = "\
Whatever is named has to hold. A time is the log's: the highest of all events up to a position, so it never goes back.

Examples:
  rescind audit replay --tenant acme --from 7d --format table
  rescind audit replay --key 01JDA7W5W6M4Q0T3S8V2N9X1YZ | jq .
  rescind audit replay --tenant acme --owner list-sender --type KeyRevoked,KeysRecalled --format csv > ended.csv")]
pub(crate) struct Replay {
    /// Only events of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only events of this key
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    /// Only events of keys while they belong to this owner, and recalls that name it; needs --tenant
    #[arg(long, requires = "tenant")]
    owner: Option<String>,
    /// Only what was asked by this operator key, or by: operator, system, holder, scanner
    #[arg(long)]
    actor: Option<String>,
    /// Only events of these types, such as KeyRevoked; several with commas or by naming it again
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// From this position on, or from then on: 812, 2026-11-01T00:00:00Z, or 7d ago
    #[arg(long, value_name = "POSITION|TIME")]
    from: Option<String>,
    /// Up to this position, or up to then, itself included
    #[arg(long, value_name = "POSITION|TIME")]
    to: Option<String>,
    /// Only events from then on: 2026-11-01T00:00:00Z, or 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before then: 2026-11-01T00:00:00Z, or 1h ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What it comes as
    #[arg(long, value_enum, default_value_t = Format::Ndjson, conflicts_with = "json")]
    format: Format,
    // Without --format the output is JSON in any case; the flag is there so that scripts need no exception.
    #[command(flatten)]
    flags: ServerFlags,
}

impl Replay {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let mut answer = Answer::new(client.stream(&self.call()?, &[], SILENCE)?);
        let reached = answer.reached();
        let started = clock::now();
        let progress = Progress::draw(move || tell(&reached, started.elapsed()));
        let mut out = io::stdout().lock();
        let mut write = |bytes: &[u8]| {
            // What is drawn on the same terminal makes room.
            progress.aside(|| out.write_all(bytes)).map_err(|error| writing_failed(&error))
        };
        match self.format {
            Format::Ndjson => {
                while let Some(lines) = answer.next_lines()? {
                    write(lines)?;
                }
            }
            Format::Csv => {
                write(sheet::HEAD.as_bytes())?;
                by_event(&mut answer, &mut write, sheet::line)?;
            }
            Format::Table => {
                let paint = Paint::stdout();
                write(table::head(paint).as_bytes())?;
                by_event(&mut answer, &mut write, table::line)?;
            }
        }
        out.flush().map_err(|error| writing_failed(&error))?;
        Ok(Exit::Ok)
    }

    fn call(&self) -> Result<Call, Failure> {
        let now = clock::wall();
        let time = |flag: &str, text: Option<&str>| {
            let read = text.map(|text| when::past(text, now)).transpose();
            let read = read.map_err(|why| Failure::usage(format!("{flag} is not a time")).because(why));
            read.map(|at| at.map(wire::format_rfc3339))
        };
        let key = self.key.as_deref().map(key_id::parse).transpose()?;
        let types = (!self.types.is_empty()).then(|| self.types.join(","));
        Ok(Call::get("/v1/events")
            .with("progress", true)
            .with_some("from", when::moment("--from", self.from.as_deref(), now)?)
            .with_some("to", when::moment("--to", self.to.as_deref(), now)?)
            .with_some("tenant", self.tenant.as_ref())
            .with_some("key", key)
            .with_some("owner", self.owner.as_ref())
            .with_some("actor", self.actor.as_ref())
            .with_some("type", types)
            .with_some("since", time("--since", self.since.as_deref())?)
            .with_some("until", time("--until", self.until.as_deref())?))
    }
}

/// Prints what each event becomes, a block of lines at a time.
fn by_event(
    answer: &mut Answer,
    write: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
    line: fn(&Value) -> String,
) -> Result<(), Failure> {
    loop {
        let Some(lines) = answer.next_lines()? else { return Ok(()) };
        let lines = lines.to_vec();
        let mut text = String::new();
        for event in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: Value =
                serde_json::from_slice(event).map_err(|error| answer.broken_off(&error.to_string()))?;
            text.push_str(&line(&event));
        }
        write(text.as_bytes())?;
    }
}

/// `[######------]  25 %  position 2500000 of 10000000, 412000 a second`
fn tell(reached: &Arc<Reached>, took: Duration) -> String {
    let (first, at, of) = reached.span();
    let done = at.saturating_sub(first);
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    format!("{}  position {at} of {of}, {rate:.0} a second", bar(done, of.saturating_sub(first)))
}
