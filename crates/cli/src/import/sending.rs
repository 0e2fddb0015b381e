//! Sends the parts, each until it is settled, and takes a lost connection up again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::import::answers::{Counts, Settled};
use crate::import::aside;
use crate::import::reports::Reports;
use crate::import::source::{Part, Source};
use crate::progress::{self, Progress};

/// How often a lost connection is taken up again without a line being settled in between: with the pauses half a minute, in
/// which a server starts anew.
const RESUMES: u32 = 12;
/// The first pause; doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(3);

/// How far it is, for the line that a person sees.
pub(super) struct Shown {
    total: Option<u64>,
    bytes: AtomicU64,
    lines: AtomicU64,
    refused: AtomicU64,
    since: Instant,
}

impl Shown {
    pub(super) fn new(total: Option<u64>) -> Self {
        let zero = AtomicU64::default;
        Self { total, bytes: zero(), lines: zero(), refused: zero(), since: clock::now() }
    }

    /// The line.
    pub(super) fn line(&self) -> String {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let lines = of(&self.lines);
        let rate = lines as f64 / self.since.elapsed().as_secs_f64().max(0.001);
        let bar = self.total.map(|total| progress::bar(of(&self.bytes), total) + "  ").unwrap_or_default();
        format!("{bar}{lines} lines, {rate:.0}/s, {} refused", of(&self.refused))
    }
}

/// An import on its way out.
pub(super) struct Sending {
    client: Client,
    path: String,
    dry_run: bool,
    /// One for all parts, so that an auditor sees one import.
    command_id: String,
    reports: Reports,
    shown: Arc<Shown>,
    first_line: u64,
    /// All lines up to here are settled.
    settled: u64,
    counts: Counts,
}

impl Sending {
    pub(super) fn new(
        client: Client,
        path: String,
        dry_run: bool,
        first_line: u64,
        reports: Reports,
        shown: Arc<Shown>,
    ) -> Self {
        Self {
            client,
            path,
            dry_run,
            command_id: clock::draw_command_id(),
            reports,
            shown,
            first_line,
            settled: first_line - 1,
            counts: Counts::default(),
        }
    }

    /// Asks with no line at all: who may not import is told so before a connection full of lines is cut off.
    pub(super) fn ask_first(&self) -> Result<(), Failure> {
        let mut answer = self.client.upload(&self.call(1), &[])?;
        Settled::before(1).hear(&mut answer, |_| {})
    }

    /// Sends everything. On a failure, what is settled stays so.
    pub(super) fn send_all(&mut self, source: &mut Source, progress: &Progress) -> Result<(), Failure> {
        while let Some(part) = source.next_part()? {
            self.send(&part, progress)?;
            self.shown.bytes.fetch_add(part.read, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends one part until all of it is settled.
    fn send(&mut self, part: &Part, progress: &Progress) -> Result<(), Failure> {
        let (mut resumes, mut pause) = (0, FIRST_PAUSE);
        loop {
            let before = self.settled;
            let Err(failure) = self.attempt(part, progress) else { return Ok(()) };
            if self.settled > before {
                (resumes, pause) = (0, FIRST_PAUSE);
            }
            if failure.exit != Exit::Unavailable || resumes == RESUMES {
                return Err(failure);
            }
            resumes += 1;
            let why = failure.why.as_deref().unwrap_or(&failure.what);
            aside(progress, &format!("going on from line {}: {} ({why})", self.settled + 1, failure.code));
            thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn attempt(&mut self, part: &Part, progress: &Progress) -> Result<(), Failure> {
        let first = self.settled + 1;
        let mut settled = Settled::before(first);
        let shown = Arc::clone(&self.shown);
        let before = first - self.first_line;
        let answer = self.client.upload(&self.call(first), part.from(first));
        let heard = answer.and_then(|mut answer| {
            settled.hear(&mut answer, |lines| {
                shown.lines.store(before + lines.saturating_sub(first - 1), Ordering::Relaxed);
            })
        });
        self.take(part, settled, progress)?;
        heard
    }

    /// What is settled is counted and told, whatever becomes of the rest.
    fn take(&mut self, part: &Part, settled: Settled, progress: &Progress) -> Result<(), Failure> {
        let lines = settled.lines.min(part.end() - 1);
        let own = part.reports.iter().filter(|(line, _)| (self.settled + 1..=lines).contains(line));
        let mut reports: Vec<_> = own.cloned().collect();
        self.counts.add(settled.counts);
        self.counts.refused += reports.len() as u64;
        reports.extend(settled.reports);
        reports.sort_by_key(|(line, _)| *line);
        self.settled = lines;
        self.shown.refused.store(self.counts.refused, Ordering::Relaxed);
        reports.iter().try_for_each(|(_, report)| self.reports.tell(report, progress))
    }

    fn call(&self, first_line: u64) -> Call {
        let call = Call::command(self.path.clone(), Value::Null, &self.command_id).bare();
        call.with("first_line", first_line).with_some("dry_run", self.dry_run.then_some(true))
    }

    /// What it came to.
    pub(super) fn finish(&mut self) -> Result<Value, Failure> {
        self.reports.finish()?;
        let Counts { imported, known, known_otherwise, refused, position } = self.counts;
        Ok(json!({
            "lines": self.settled, "imported": imported, "known": known, "known_otherwise": known_otherwise,
            "refused": refused, "position": position, "dry_run": self.dry_run,
        }))
    }
}
