//! `rescind audit rebuild`: proves that the index and the views are what the log says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Call, Lines};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::lines::next_line;
use crate::output::text;
use crate::progress::{Progress, bar};
use crate::screen::{Paint, printable};
use crate::table::Table;

/// How long the server may say nothing: a recall of many keys that the index has to settle first takes seconds.
const SILENCE: Duration = Duration::from_secs(120);
/// The last digits of a digest are enough to tell two apart by eye; --json has all of them.
const DIGITS: usize = 12;

/// Replay the log into scratch views, compare them with the live ones, and name the first event where they part
#[derive(Args, Debug)]
#[command(after_help = "\
The server goes on serving meanwhile. It needs as much disk beside its views as the largest of them has, and for the index as
much memory as that; both go when it ends. Ctrl-C ends it. Exit code 15 says that something differs.

Examples:
  rescind audit rebuild
  rescind audit rebuild --view keys --rate 100000 --json")]
pub(crate) struct Rebuild {
    /// Only this: index, keys, history, tenants, notices or times
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// Events to take in each second [default: 20000]
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Rebuild {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let call = Call::ask("/v1/views/rebuild", Value::Null).bare();
        let call = call.with_some("view", self.view.as_ref()).with_some("rate", self.rate);
        let mut lines = client.stream(&call, &[], SILENCE)?;
        let results = read(&mut lines)?;
        let all_equal = results.iter().all(|result| result["result"] == "equal");
        let told = json!({"equal": all_equal, "views": results});
        self.flags.output.show(&told, |_| table(&results, Paint::stdout()))?;
        if let Some(failed) = results.iter().find(|result| result["result"] == "failed") {
            let what = format!("{} could not be compared", text(failed, "view"));
            return Err(Failure::new(Exit::Unavailable, "not_compared", what).because(text(failed, "why")));
        }
        Ok(if all_equal { Exit::Ok } else { Exit::Differs })
    }
}

/// What came of each view, with how far it is drawn meanwhile.
fn read(lines: &mut Lines) -> Result<Vec<Value>, Failure> {
    let line = Arc::new(Mutex::new("comparing".to_owned()));
    let drawn = Arc::clone(&line);
    let _progress = Progress::draw(move || drawn.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let mut results = Vec::new();
    loop {
        let next = next_line(lines).map_err(|error| broken_off(&error.to_string()))?;
        let next = next.ok_or_else(|| broken_off("the answer ended early"))?;
        let told: Value = serde_json::from_str(&next).map_err(|error| broken_off(&error.to_string()))?;
        if told["done"].is_boolean() {
            return Ok(results);
        }
        if told["result"].is_string() {
            results.push(told);
        } else {
            *line.lock().unwrap_or_else(PoisonError::into_inner) = step(&told);
        }
    }
}

/// The line that is drawn.
fn step(told: &Value) -> String {
    let (view, phase) = (text(told, "view"), text(told, "phase"));
    let done = told["at"].as_u64().unwrap_or_default();
    match told["of"].as_u64() {
        Some(of) => format!("{} {view}: {phase}, {done} of {of} events", bar(done, of)),
        None => format!("{view}: {phase}, {done} rows"),
    }
}

/// An answer that ends early must not look like a proof.
fn broken_off(why: &str) -> Failure {
    Failure::new(Exit::Error, "rebuild_broke_off", "the answer broke off: not everything was compared")
        .because(why)
        .remedy("ask again; a server that stops ends it")
}

fn table(results: &[Value], paint: Paint) -> Vec<String> {
    let mut table = Table::new(&["VIEW", "RESULT", "POSITION", "ROWS", "DIGEST"]);
    for result in results {
        let digest = text(&result["live"], "digest");
        let short = digest.get(digest.len().saturating_sub(DIGITS)..).unwrap_or_default();
        let cells = [
            text(result, "view"),
            text(result, "result"),
            text(result, "position"),
            text(&result["live"], "rows"),
            short.to_owned(),
        ];
        table.row(cells.iter().map(String::as_str));
    }
    let mut lines = table.lines(paint);
    for result in results {
        match result["result"].as_str() {
            Some("differs") => lines.extend(differs(result, paint)),
            Some("failed") => {
                let (view, why) = (text(result, "view"), text(result, "why"));
                lines.push(paint.yellow(&format!("{view}: {}", printable(&why))));
            }
            _ => {}
        }
    }
    lines
}

fn differs(result: &Value, paint: Paint) -> Vec<String> {
    let (view, difference) = (text(result, "view"), &result["difference"]);
    let count = |member| text(difference, member);
    let mut lines = vec![paint.red(&format!(
        "{view} is not what the log says: {} rows changed, {} missing, {} that no event made",
        count("changed"),
        count("missing"),
        count("surplus")
    ))];
    let first = &difference["first"];
    lines.push(match first["position"].as_u64() {
        None => "  no event ever wrote those rows".to_owned(),
        Some(position) => {
            let event = match text(first, "event") {
                event if event.is_empty() => "an event that the server cannot read".to_owned(),
                event => event,
            };
            let key = match text(first, "key_id") {
                key if key.is_empty() => String::new(),
                key => format!(", key {key}"),
            };
            let how = match first["how"].as_str() {
                Some("not_shown") => "is not shown",
                _ => "is shown otherwise",
            };
            format!(
                "  they part at position {position}: {event} of tenant {}{key} {how}",
                text(first, "tenant")
            )
        }
    });
    if difference["partly"] == true {
        lines.push("  of the first 1000 rows that differ; the others were only counted".to_owned());
    }
    lines.push(match view.as_str() {
        "index" => {
            "  mend it: stop the server, delete views/index.snapshot in its data folder, start it again"
                .to_owned()
        }
        view => format!("  mend it: stop the server, delete views/{view} in its data folder, start it again"),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_the_event_and_what_to_do() {
        let results = [
            json!({"view": "index", "result": "equal", "position": 9, "live": {"rows": 4, "digest": "00ff00ff00ff00ff"}}),
            json!({"view": "keys", "result": "differs", "position": 9, "live": {"rows": 4, "digest": "1"},
                "difference": {"changed": 1, "missing": 0, "surplus": 0, "partly": false, "first": {
                    "position": 7, "event": "KeyRevoked", "tenant": "acme", "key_id": "01J", "how": "not_shown"}}}),
            json!({"view": "notices", "result": "failed", "why": "it is being built"}),
        ];
        let lines = table(&results, Paint::plain()).join("\n");
        for told in [
            "keys is not what the log says: 1 rows changed",
            "they part at position 7: KeyRevoked of tenant acme, key 01J is not shown",
            "delete views/keys",
            "notices: it is being built",
        ] {
            assert!(lines.contains(told), "{told}: {lines}");
        }
        let gone =
            json!({"view": "index", "difference": {"changed": 0, "missing": 0, "surplus": 2, "first": null}});
        let lines = differs(&gone, Paint::plain()).join("\n");
        assert!(lines.contains("no event ever wrote") && lines.contains("index.snapshot"), "{lines}");
    }

    #[test]
    fn an_answer_without_its_end_is_no_proof() {
        assert_eq!(broken_off("x").exit, Exit::Error);
        let step = step(&json!({"view": "keys", "phase": "replaying", "at": 5, "of": 10}));
        assert_eq!(step, "[############------------]  50 % keys: replaying, 5 of 10 events");
    }
}
