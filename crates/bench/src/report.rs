//! The results, as JSON and as a page.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::machine;
use crate::plot;
use crate::rivals::Rivals;
use crate::runner::short;
use crate::settings::Settings;
use crate::statistics::Spread;

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    machine: Value,
    keys: usize,
    turns: usize,
    rows: Vec<Value>,
    left_out: Vec<Value>,
    failed: Vec<Value>,
}

impl Report {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (keys, turns) = (settings.keys, settings.turns);
        let machine = machine::describe(&settings.nats);
        Self { machine, keys, turns, rows: vec![], left_out: vec![], failed: vec![] }
    }

    pub(crate) fn add(&mut self, measured: Vec<Value>, rivals: Option<&Rivals>) {
        for mut row in measured {
            if let Some(rivals) = rivals {
                row["rival"] = rivals.beside(row["row"].as_str().unwrap_or_default());
            }
            self.rows.push(row);
        }
    }

    pub(crate) fn leave_out(&mut self, row: &str, reason: &str) {
        self.left_out.push(json!({"row": row, "reason": reason}));
    }

    pub(crate) fn fail(&mut self, row: &str, reason: &str) {
        self.failed.push(json!({"row": row, "reason": reason}));
    }

    /// Whether every row that could be measured was.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.failed.is_empty()
    }

    /// For scripts.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "machine": self.machine, "keys": self.keys, "turns": self.turns, "rows": self.rows,
            "left_out": self.left_out, "failed": self.failed,
        })
    }

    /// The table, in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text =
            "| row | ours | floor | ours / floor | rival | ahead of it |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
        for row in &self.rows {
            let cells = [
                row["row"].as_str().unwrap_or_default().to_owned(),
                side(&row["ours"]),
                side(&row["floor"]),
                Spread::from_json(
                    &json!({"median": row["ratio"], "min": row["ratio_min"], "max": row["ratio_max"]}),
                )
                .map(|ratio| {
                    format!("{} ({} to {})", short(ratio.median), short(ratio.min), short(ratio.max))
                })
                .unwrap_or_default(),
                row["rival"]["name"]
                    .as_str()
                    .map(|name| format!("{name}: {}", side(&row["rival"])))
                    .unwrap_or_default(),
                row["rival"]["ahead"].as_f64().map(|ahead| format!("{} ×", short(ahead))).unwrap_or_default(),
            ];
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        for (list, what) in [(&self.left_out, "left out"), (&self.failed, "failed")] {
            for row in list {
                let _ = writeln!(text, "\n{} {what}: {}", plain(&row["row"]), plain(&row["reason"]));
            }
        }
        text
    }

    /// How costs grow with the number of keys, as SVG; none where that was not measured.
    #[must_use]
    pub fn plot(&self) -> Option<String> {
        plot::growth(&self.rows)
    }

    /// A page with the table, and where it was measured.
    #[must_use]
    pub fn page(&self) -> String {
        let machine = &self.machine;
        let mut text = "# Measured by `rescind bench`\n\n".to_owned();
        let _ = writeln!(
            text,
            "{} keys, {} turns of each side, who begins alternates; median (least to most). {} cores ({}), {} GiB, Linux {}. Rescind {} ({} build), commit {}{}.",
            short(self.keys as f64),
            self.turns,
            plain(&machine["cores"]),
            plain(&machine["processor"]),
            plain(&machine["memory_gib"]),
            plain(&machine["kernel"]),
            plain(&machine["rescind"]),
            plain(&machine["build"]),
            plain(&machine["commit"]),
            machine["nats"].as_str().map(|version| format!(", nats-server {version}")).unwrap_or_default(),
        );
        let loads = self.rows.iter().filter_map(|row| row["load"].as_f64());
        if let Some(load) = loads.reduce(f64::max) {
            let _ = writeln!(text, "The load before a row was at most {load:.1}; the run's own is in it.");
        }
        text + "\n" + &self.table()
    }
}

fn side(side: &Value) -> String {
    Spread::from_json(side).map_or_else(String::new, |spread| {
        let unit = plain(&side["unit"]);
        format!("{} ({} to {}) {unit}", short(spread.median), short(spread.min), short(spread.max))
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
