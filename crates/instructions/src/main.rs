//! Counts the instructions of what every request goes through, by callgrind, and holds them to what they were.
//!
//! `cargo run --release -p instructions` counts and compares; `… -- write` makes what was counted the measure from now on.
//! Instructions are the same on a busy machine and on an idle one, so this can fail a build where a time could not.

#![expect(clippy::print_stderr, reason = "a program says what it counted")]

mod cases;
mod count;
mod measure;

use std::process::ExitCode;

use crate::cases::CASES;
use crate::measure::Measure;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => compare(),
        ["write"] => write(),
        ["run", name, times] => cases::run(name, times),
        _ => Err("usage: instructions [write]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::FAILURE
        }
    }
}

fn counted() -> Result<Measure, String> {
    let counts = CASES.iter().map(|case| Ok((case.name.to_owned(), count::per_call(case)?)));
    counts.collect::<Result<_, String>>().map(Measure)
}

fn compare() -> Result<(), String> {
    let (measure, counted) = (Measure::read()?, counted()?);
    let findings = measure.compare(&counted);
    for (name, now) in &counted.0 {
        let was = measure.0.get(name).map_or_else(|| "new".to_owned(), u64::to_string);
        eprintln!("{name:<16} {now:>8} instructions a call ({was})");
    }
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
}

fn write() -> Result<(), String> {
    counted()?.write()
}
