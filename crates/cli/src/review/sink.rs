//! Where a review goes, a finding at a time, so that it never has to be held as a whole (but for a table, to line up).

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Format, cells, csv, html};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen::{Paint, printable, writing_failed};
use crate::table::Table;

/// What stands above a review.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) tenant: &'a str,
    pub(super) made_at: &'a str,
}

/// A review on its way out.
pub(super) struct Sink {
    format: Format,
    out: Box<dyn Write>,
    /// The file, where there is one.
    path: Option<PathBuf>,
    table: Table,
    /// What stands below each line of the table.
    details: Vec<[String; 2]>,
    /// How many of each finding.
    counts: BTreeMap<String, usize>,
    count: usize,
    paint: Paint,
}

impl Sink {
    pub(super) fn open(format: Format, path: Option<&Path>, page: Page<'_>) -> Result<Self, Failure> {
        let (out, paint): (Box<dyn Write>, _) = match path {
            None => (Box::new(BufWriter::new(io::stdout())), Paint::stdout()),
            Some(path) => {
                let file = OpenOptions::new().write(true).create_new(true).open(path);
                let file = file.map_err(|error| {
                    let what = format!("cannot create {}", path.display());
                    Failure::new(Exit::Error, "review_file", what)
                        .because(error.to_string())
                        .remedy("choose a path that does not exist yet, in a folder that does")
                })?;
                (Box::new(BufWriter::new(file)), Paint::plain())
            }
        };
        let table = Table::new(&["KEY ID", "NAME", "OWNER", "FINDING", "SINCE"]);
        let mut sink = Self {
            format,
            out,
            path: path.map(Path::to_owned),
            table,
            details: Vec::new(),
            counts: BTreeMap::new(),
            count: 0,
            paint,
        };
        match format {
            Format::Table => {}
            Format::Json => {
                let head = json!({"tenant": page.tenant, "made_at": page.made_at}).to_string();
                // Without its last brace: the findings follow, one by one.
                sink.write(&format!("{},\"findings\":[", head.trim_end_matches('}')))?;
            }
            Format::Csv => sink.write(csv::HEAD)?,
            Format::Html => sink.write(&html::head(page.tenant, page.made_at))?,
        }
        Ok(sink)
    }

    /// One finding.
    pub(super) fn add(&mut self, finding: &Value) -> Result<(), Failure> {
        let first = self.count == 0;
        self.count += 1;
        *self.counts.entry(cells(finding)[3].clone()).or_default() += 1;
        match self.format {
            Format::Table => {
                let cells = cells(finding);
                self.table.row(cells.iter().take(5).map(String::as_str));
                self.details.push([&cells[5], &cells[6]].map(|text| printable(text).into_owned()));
                Ok(())
            }
            Format::Json => {
                let comma = if first { "\n" } else { ",\n" };
                self.write(&format!("{comma}{finding}"))
            }
            Format::Csv => self.write(&crate::csv::line(&cells(finding))),
            Format::Html => self.write(&html::row(finding)),
        }
    }

    /// The end.
    pub(super) fn end(mut self, examined: u64, known_until: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Table if self.count > 0 => {
                let lines = self.table.lines(self.paint);
                let (head, lines) = lines.split_at(1);
                self.write(&format!("{}\n", head[0]))?;
                for (line, [evidence, mend]) in lines.iter().zip(std::mem::take(&mut self.details)) {
                    self.write(&format!("{line}\n    {evidence}\n    $ {mend}\n"))?;
                }
            }
            Format::Table => {}
            Format::Json => {
                let tail = json!({"examined": examined, "known_until": known_until}).to_string();
                self.write(&format!("],{}\n", tail.trim_start_matches('{')))?;
            }
            Format::Csv => {}
            Format::Html => self.write(&html::tail(&self.counts, examined, known_until))?,
        }
        self.out.flush().map_err(|error| self.failed(&error))
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        match &self.path {
            None => writing_failed(error),
            Some(path) => Failure::io(format!("cannot write to {}", path.display()), error),
        }
    }
}
