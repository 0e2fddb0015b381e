//! What went wrong, why, and what to do about it: the one shape in which every verb fails.

use std::io;

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::screen::{self, Paint, printable};

/// The code of a failure that comes from the command line itself.
const USAGE_CODE: &str = "usage";

/// A failed run. No field ever holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// A stable word for scripts and for the documentation.
    pub(crate) code: String,
    /// What happened, one sentence without a full stop.
    pub(crate) what: String,
    /// Why, where that is more than the sentence says.
    pub(crate) why: Option<String>,
    /// What to do, one line a step.
    pub(crate) remedies: Vec<String>,
}

impl Failure {
    /// A failure with no reason and no remedy yet.
    pub(crate) fn new(exit: Exit, code: &str, what: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), what: what.into(), why: None, remedies: Vec::new() }
    }

    /// A command line that asks for nothing sensible.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, USAGE_CODE, what)
    }

    /// A file or stream that would not.
    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::new(Exit::Error, "io", what).because(error.to_string())
    }

    /// Adds the reason.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds a step to take.
    pub(crate) fn remedy(mut self, step: impl Into<String>) -> Self {
        self.remedies.push(step.into());
        self
    }

    /// Tells it on stderr, for people or, with `--json`, as one line of JSON.
    pub(crate) fn tell(&self, json: bool) {
        if json {
            screen::say(&self.to_json().to_string());
            return;
        }
        let paint = Paint::stderr();
        screen::say(&format!("{} {}", paint.red("error:"), printable(&self.what)));
        if let Some(why) = &self.why {
            screen::say(&format!("  why:  {}", printable(why)));
        }
        for step in &self.remedies {
            screen::say(&format!("  do:   {}", printable(step)));
        }
        screen::say(&format!("  code: {}", printable(&self.code)));
    }

    fn to_json(&self) -> Value {
        json!({"error": {
            "code": self.code,
            "exit": self.exit.number(),
            "what": self.what,
            "why": self.why,
            "remedies": self.remedies,
        }})
    }
}

/// What went wrong with what lies under it, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        let more = error.to_string();
        if !said.contains(&more) {
            said.push_str(&format!(": {more}"));
        }
        under = error.source();
    }
    said
}
