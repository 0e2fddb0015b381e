//! What the server tells of a part, and what of it is settled.

use std::io::BufRead;

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::import::ended_early;
use crate::lines::next_line;

/// What became of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) imported: u64,
    pub(super) known: u64,
    pub(super) known_otherwise: u64,
    pub(super) refused: u64,
    pub(super) position: Option<u64>,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.imported += other.imported;
        self.known += other.known;
        self.known_otherwise += other.known_otherwise;
        self.refused += other.refused;
        self.position = self.position.max(other.position);
    }

    fn of(told: &Value) -> Self {
        let count = |name: &str| told[name].as_u64().unwrap_or_default();
        Self {
            imported: count("imported"),
            known: count("known"),
            known_otherwise: count("known_otherwise"),
            refused: count("refused"),
            position: told["position"].as_u64(),
        }
    }
}

/// What one request is known to have come to.
#[derive(Debug)]
pub(super) struct Settled {
    /// All lines up to here.
    pub(super) lines: u64,
    pub(super) counts: Counts,
    /// What was told about these lines.
    pub(super) reports: Vec<(u64, Value)>,
    /// Told of lines that are not settled yet.
    waiting: Vec<(u64, Value)>,
}

impl Settled {
    /// Nothing, before a line was sent.
    pub(super) fn before(first_line: u64) -> Self {
        Self {
            lines: first_line.saturating_sub(1),
            counts: Counts::default(),
            reports: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Reads an answer to its end, telling how far it is. On a failure what was settled before it holds.
    pub(super) fn hear(
        &mut self,
        answer: &mut impl BufRead,
        mut tell: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let lost = |why: String| {
            Failure::new(Exit::Unavailable, "answer_lost", "the connection was lost on the way").because(why)
        };
        loop {
            let line = next_line(answer).map_err(|error| lost(error.to_string()))?;
            let line = line.ok_or_else(|| lost("the answer ended before the import did".to_owned()))?;
            let told: Value = serde_json::from_str(&line).map_err(|_| {
                Failure::new(
                    Exit::Error,
                    "unexpected_answer",
                    "the server answered with a line that is no JSON",
                )
            })?;
            if let Some(number) = told["line"].as_u64() {
                self.waiting.push((number, told));
                continue;
            }
            self.settle(&told);
            tell(self.lines);
            match told["done"].as_bool() {
                Some(true) => return Ok(()),
                Some(false) => return Err(ended_early(&told)),
                None => {}
            }
        }
    }

    fn settle(&mut self, told: &Value) {
        self.lines = told["lines"].as_u64().unwrap_or(self.lines);
        self.counts = Counts::of(told);
        let settled = self.waiting.iter().take_while(|(number, _)| *number <= self.lines).count();
        self.reports.extend(self.waiting.drain(..settled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "{\"lines\":0,\"imported\":0,\"known\":0,\"known_otherwise\":0,\"refused\":0,\"position\":null}\n\
        {\"line\":2,\"code\":\"invalid_value\",\"detail\":\"d\"}\n\
        {\"lines\":3,\"imported\":2,\"known\":0,\"known_otherwise\":0,\"refused\":1,\"position\":9}\n\
        {\"line\":4,\"code\":\"duplicate\",\"detail\":\"d\"}\n";

    fn heard(text: &str) -> (Settled, Result<(), Failure>) {
        let mut settled = Settled::before(1);
        let outcome = settled.hear(&mut text.as_bytes(), |_| {});
        (settled, outcome)
    }

    #[test]
    fn of_an_answer_that_breaks_off_only_what_is_settled_counts() {
        for rest in ["", "{\"lines\":5,\"imp"] {
            let (settled, outcome) = heard(&format!("{BEGIN}{rest}"));
            assert_eq!(outcome.unwrap_err().exit, Exit::Unavailable);
            assert_eq!((settled.lines, settled.counts.imported, settled.reports.len()), (3, 2, 1));
        }
    }

    #[test]
    fn an_answer_to_its_end_tells_everything() {
        let end = "{\"lines\":5,\"imported\":3,\"known\":0,\"known_otherwise\":0,\"refused\":2,\"position\":10,\"done\":true}\n";
        let (settled, outcome) = heard(&format!("{BEGIN}{end}"));
        assert!(outcome.is_ok());
        assert_eq!((settled.lines, settled.counts.refused, settled.reports.len()), (5, 2, 2));
    }

    #[test]
    fn what_ended_an_import_tells_whether_to_come_again() {
        for (code, exit) in [
            ("shutting_down", Exit::Unavailable),
            ("unavailable", Exit::Unavailable),
            ("operator_revoked", Exit::Auth),
            ("tenant_closed", Exit::Refused),
        ] {
            let end = format!("{{\"lines\":4,\"done\":false,\"code\":\"{code}\",\"detail\":\"d\"}}\n");
            let (settled, outcome) = heard(&format!("{BEGIN}{end}"));
            assert_eq!((outcome.unwrap_err().exit, settled.lines, settled.reports.len()), (exit, 4, 2));
        }
    }
}
