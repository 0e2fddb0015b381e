//! What an import has come to, and the lines that tell it.

use axum::body::Bytes;
use domain::Position;
use serde::Serialize;
use serde_json::json;

use crate::http::problem::Problem;

/// The longest detail of a line: it names a field and its form, and an answer stays small whatever was sent.
const DETAIL_MAX: usize = 200;

/// All lines up to `lines` are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// The number of the last line that is settled.
    lines: u64,
    imported: u64,
    known: u64,
    known_otherwise: u64,
    refused: u64,
    /// The last position that this import made.
    position: Option<u64>,
}

impl Tally {
    pub(super) const fn before(first_line: u64) -> Self {
        let lines = first_line.saturating_sub(1);
        Self { lines, imported: 0, known: 0, known_otherwise: 0, refused: 0, position: None }
    }

    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position.map(Position::new)
    }

    pub(super) const fn settle(&mut self, line: u64) {
        self.lines = line;
    }

    pub(super) fn import(&mut self, position: Option<Position>) {
        self.imported += 1;
        self.position = self.position.max(position.map(Position::get));
    }

    /// Counts a known key; whether it stands otherwise than the line has it.
    pub(super) const fn know(&mut self, differs: bool) {
        self.known += 1;
        if differs {
            self.known_otherwise += 1;
        }
    }

    pub(super) const fn refuse(&mut self) {
        self.refused += 1;
    }

    /// How far the import is.
    pub(super) fn progress(&self) -> Bytes {
        line(&json!(self))
    }

    /// The last answer.
    pub(super) fn done(&self, dry_run: bool, effective: bool) -> Bytes {
        let mut end = json!(self);
        end["done"] = json!(true);
        end["dry_run"] = json!(dry_run);
        end["effective"] = json!(effective);
        line(&end)
    }

    /// The last answer of an import that could not go on.
    pub(super) fn ended(&self, dry_run: bool, problem: &Problem) -> Bytes {
        let mut end = json!(self);
        end["done"] = json!(false);
        end["dry_run"] = json!(dry_run);
        end["code"] = json!(problem.code.code);
        end["detail"] = json!(problem.said());
        line(&end)
    }
}

/// What is to be told about one line.
pub(super) fn report(number: u64, problem: &Problem) -> Bytes {
    let said = problem.said();
    let end = said.char_indices().map(|(at, _)| at).nth(DETAIL_MAX).unwrap_or(said.len());
    line(&json!({"line": number, "code": problem.code.code, "detail": &said[..end]}))
}

fn line(value: &serde_json::Value) -> Bytes {
    let mut text = value.to_string().into_bytes();
    text.push(b'\n');
    text.into()
}
