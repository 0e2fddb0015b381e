//! What was refused, line by line: some of it on stderr, all of it in a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::import::aside;
use crate::output::{Output, text};
use crate::progress::Progress;
use crate::screen::printable;

/// Lines that a person is shown: who has more of them wants a file.
const SHOWN: u64 = 20;

pub(super) struct Reports {
    file: Option<BufWriter<File>>,
    output: Output,
    told: u64,
}

impl Reports {
    /// Opens the file, if one is named.
    pub(super) fn open(path: Option<&Path>, behind: bool, output: Output) -> Result<Self, Failure> {
        let file = path.map(|path| {
            let mut options = OpenOptions::new();
            options.create(true).write(true).append(behind).truncate(!behind);
            let opened = options.open(path);
            opened.map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
        });
        Ok(Self { file: file.transpose()?.map(BufWriter::new), output, told: 0 })
    }

    /// Tells one.
    pub(super) fn tell(&mut self, report: &Value, progress: &Progress) -> Result<(), Failure> {
        self.told += 1;
        if let Some(file) = &mut self.file {
            writeln!(file, "{report}").map_err(|error| Failure::io("cannot write the report", &error))?;
        }
        if self.output.json && self.file.is_none() {
            aside(progress, &report.to_string());
        } else if !self.output.json && self.told <= SHOWN {
            let part = |name| text(report, name);
            let detail = part("detail");
            aside(progress, &format!("line {}: {}: {}", part("line"), part("code"), printable(&detail)));
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if self.told > SHOWN && !self.output.json {
            let more = self.told - SHOWN;
            let hint =
                if self.file.is_some() { "all are in the report" } else { "--report FILE keeps them all" };
            crate::screen::say(&format!("and {more} more lines; {hint}"));
        }
        match &mut self.file {
            Some(file) => file.flush().map_err(|error| Failure::io("cannot write the report", &error)),
            None => Ok(()),
        }
    }
}
