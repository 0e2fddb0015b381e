//! `rescind audit verify`: an export or a proof, held against a signer; no server is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use domain::Timestamp;
use proof::{EventProof, MAX_PROOF_FILE, Report, Trust, Vkey, verify_archive};
use serde_json::{Value, json};
use wire::format_rfc3339;

use super::trust::{self, TrustFlags};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::screen::Paint;
use crate::table::Table;

/// Check a whole export, or the proof of one event, against the log's signer; no server is asked
#[derive(Args, Debug)]
#[command(after_help = "\
Every event is hashed anew, every checkpoint is held against the tree that comes of it, and the first position that is
changed, missing, added or out of order is named. What the log's own signer wrote anew, or cut, shows only against a checkpoint
that was seen before (--known) or a witness (--witness); the output says which of them was used.

Examples:
  rescind audit verify ./audit-2026 --signer rescind/01J…+4f2a…+AV… --known last-year.checkpoint
  rescind audit verify revoked.tlog-proof --signer signers.txt")]
pub(crate) struct Verify {
    /// The folder of an export or a backup, or the file of a proof
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    #[command(flatten)]
    trust: TrustFlags,
    #[command(flatten)]
    output: Output,
}

impl Verify {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let trust = self.trust.read()?;
        if self.path.is_file() {
            return verify_proof(&self.path, &trust, self.output);
        }
        let position = Arc::new(AtomicU64::new(0));
        let drawn = Arc::clone(&position);
        let progress = Progress::draw(move || format!("verifying: event {}", drawn.load(Ordering::Relaxed)));
        let report =
            verify_archive(&self.path, &trust, &mut |at| position.store(at.get(), Ordering::Relaxed));
        drop(progress);
        let report = report.map_err(|error| {
            Failure::new(Exit::Error, "verification", "nothing was verified").because(error.to_string())
        })?;
        self.output.show(&as_json(&report), |_| as_lines(&report))?;
        Ok(if report.is_good() { Exit::Ok } else { Exit::NotProven })
    }
}

fn as_json(report: &Report) -> Value {
    json!({
        "good": report.is_good(),
        "log_id": report.log_id.to_string(),
        "events": report.events.get(),
        "checkpoint": report.checkpoint.map(domain::Position::get),
        "checkpoints": report.checkpoints,
        "checkpoints_of_others": report.of_others,
        "signed_by": texts(&report.signed_by),
        "unreadable": report.unreadable,
        "streams": report.streams,
        "held_against": {
            "known": report.known.iter().map(|size| size.get()).collect::<Vec<_>>(),
            "witnesses": report.witnessed.iter().map(|seen| json!({
                "witness": seen.witness.to_string(), "upto": seen.upto.get(), "at": instant(seen.time),
            })).collect::<Vec<_>>(),
        },
        "findings": report.findings.iter().map(|finding| json!({
            "wrong": finding.wrong.as_str(), "first": finding.first.get(), "last": finding.last.get(), "seen": finding.seen,
        })).collect::<Vec<_>>(),
    })
}

fn texts(vkeys: &[Vkey]) -> Vec<String> {
    vkeys.iter().map(ToString::to_string).collect()
}

fn instant(seconds: u64) -> String {
    format_rfc3339(Timestamp::from_millis(seconds.saturating_mul(1000)).min(Timestamp::MAX))
}

fn as_lines(report: &Report) -> Vec<String> {
    let paint = Paint::stdout();
    let mut lines =
        vec![format!("log {}: {} events, {} checkpoints", report.log_id, report.events, report.checkpoints)];
    let signers: Vec<String> =
        report.signed_by.iter().map(|vkey| format!("{}+{}", vkey.name(), vkey.short_id())).collect();
    if let Some(size) = report.checkpoint {
        lines.push(format!("the last checkpoint covers {size} events; signed by {}", joined(&signers)));
    }
    if report.of_others > 0 {
        lines.push(format!("{} earlier checkpoints are of signers that you did not name", report.of_others));
    }
    if report.unreadable > 0 {
        lines.push(format!(
            "{} events cannot be read by this build; they are proven all the same",
            report.unreadable
        ));
    }
    if let Some(streams) = report.streams.filter(|_| report.is_good()) {
        lines.push(format!("{streams} streams, each with every revision from its first event on"));
    }
    let known: Vec<String> =
        report.known.iter().map(|size| format!("a known checkpoint of {size} events")).collect();
    let seen = report.witnessed.iter().map(|seen| {
        format!("witness {} up to position {} ({})", seen.witness.name(), seen.upto, instant(seen.time))
    });
    let against: Vec<String> = known.into_iter().chain(seen).collect();
    lines.push(format!("held against {}", joined(&against)));
    if !report.is_held_against_others() {
        lines.push(paint.yellow(
            "a history that its own signer wrote anew, or cut, cannot be seen without --known or --witness",
        ));
    }
    if report.is_good() {
        lines.push(paint.green("good: every event is as it was signed, at its place, and none is missing"));
        return lines;
    }
    let mut table = Table::new(&["WRONG", "FIRST", "AT THE LATEST"]);
    for finding in &report.findings {
        table.row([finding.wrong.as_str(), &finding.first.to_string(), &finding.last.to_string()]);
    }
    lines.push(paint.red("NOT AS IT WAS SIGNED"));
    lines.extend(table.lines(paint));
    lines.extend(
        report
            .findings
            .iter()
            .map(|finding| format!("{} at {}: {}", finding.wrong, finding.first, finding.seen)),
    );
    lines
}

fn joined(texts: &[String]) -> String {
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

/// The proof of one event.
fn verify_proof(path: &Path, trust: &Trust, output: Output) -> Result<Exit, Failure> {
    let bytes = trust::read(path)?;
    let not_proven = |why: String| {
        Failure::new(Exit::NotProven, "not_proven", format!("{} proves nothing", path.display())).because(why)
    };
    if bytes.len() as u64 > MAX_PROOF_FILE {
        return Err(not_proven("it is too large for a proof".to_owned()));
    }
    let proof = std::str::from_utf8(&bytes).map_err(|error| error.to_string());
    let proof = proof
        .and_then(|text| EventProof::parse(text).map_err(|error| error.to_string()))
        .map_err(not_proven)?;
    let signed_by = proof.verify(&trust.signers).map_err(|error| not_proven(error.to_string()))?;
    let witnessed =
        proof.checkpoint.cosigned_by(&trust.witnesses).map_err(|error| not_proven(error.to_string()))?;
    if witnessed.is_empty() && !trust.witnesses.is_empty() {
        return Err(not_proven(
            "none of the witnesses that you named has cosigned its checkpoint".to_owned(),
        ));
    }
    let event = wire::stream_of(&proof.payload)
        .and_then(|stream| wire::decode(&stream, &proof.payload).ok())
        .map(|envelope| wire::export(&envelope, proof.position));
    let body = json!({
        "good": true,
        "origin": proof.checkpoint.origin(),
        "position": proof.position.get(),
        "checkpoint": proof.checkpoint.size(),
        "signed_by": signed_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "witnesses": witnessed.iter().map(|(vkey, time)| json!({"witness": vkey.to_string(), "at": instant(*time)})).collect::<Vec<_>>(),
        "event": event,
    });
    output.show(&body, |body| {
        let paint = Paint::stdout();
        let mut lines = vec![paint.green(&format!(
            "good: this event stands at position {} of {}, which had {} events when it was signed",
            proof.position,
            proof.checkpoint.origin(),
            proof.checkpoint.size()
        ))];
        lines.push(match &body["event"] {
            Value::Null => "the event cannot be read by this build".to_owned(),
            event => event.to_string(),
        });
        lines
    })?;
    Ok(Exit::Ok)
}
