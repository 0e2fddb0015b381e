//! Kill -9 under load, again and again: `--cycles 1000 --log embedded|nats`; a large import, interrupted: `--import 1000000`;
//! faults of every kind around guards: `--faults 200`; or attacks on archives: `--tamper 1000`.

use std::io::{self, Write};
use std::process::ExitCode;

use tests::importing::Importing;
use tests::server::ServerSetup;
use tests::tamper::Tampering;
use tests::torture::{FaultRuns, Torture, TorturedLog};

/// Cycles of a run that does not say how many.
const CYCLES: u64 = 1_000;
const USAGE: &str = "usage: torture [--cycles COUNT] [--log embedded|nats] [--seed SEED] | --import LINES | --faults RUNS [--seed SEED] | --tamper PLACES [--seed SEED]";
/// Events of a log that is tampered with.
const TAMPERED_EVENTS: u64 = 100_000;

fn main() -> ExitCode {
    // It is its own victim: started with a verb of `rescind`, it is `rescind`.
    if std::env::args().nth(1).is_some_and(|first| first == "serve" || first == "import") {
        return cli::run();
    }
    if let Some(importing) = parse_import(std::env::args().skip(1)) {
        return tell(importing.run().map(|imported| format!("every key stands once: {imported:?}")));
    }
    if let Some(faults) = parse_faults(std::env::args().skip(1)) {
        let ran = faults.run(|tally| {
            let _ = writeln!(io::stderr(), "{tally}");
        });
        return tell(ran.map(|tally| format!("nobody passed too late: {:?}", tally.sight)));
    }
    if let Some(tampering) = parse_tampering(std::env::args().skip(1)) {
        return tell(tampering.run().map(|attacks| format!("every attack is found and named: {attacks}")));
    }
    let Some(torture) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    let ran = torture.run(|tally| {
        let _ = writeln!(io::stderr(), "{tally:?}");
    });
    tell(ran.map(|tally| format!("nothing was lost: {tally:?}")))
}

fn tell(ran: Result<String, String>) -> ExitCode {
    match ran {
        Ok(well) => {
            let _ = writeln!(io::stdout(), "{well}");
            ExitCode::SUCCESS
        }
        Err(lost) => {
            let _ = writeln!(io::stdout(), "{lost}");
            ExitCode::FAILURE
        }
    }
}

fn parse_import(mut words: impl Iterator<Item = String>) -> Option<Importing> {
    let program = std::env::current_exe().ok()?;
    match (words.next()?.as_str(), words.next()?, words.next()) {
        ("--import", lines, None) => {
            Some(Importing { lines: lines.parse().ok()?, setup: ServerSetup::embedded(), program })
        }
        _ => None,
    }
}

fn parse_faults(mut words: impl Iterator<Item = String>) -> Option<FaultRuns> {
    let program = std::env::current_exe().ok()?;
    let runs = (words.next()? == "--faults").then(|| words.next())??.parse().ok()?;
    let seed = match (words.next().as_deref(), words.next()) {
        (None, _) => 0,
        (Some("--seed"), Some(seed)) => seed.parse().ok()?,
        _ => return None,
    };
    Some(FaultRuns { runs, seed, program })
}

fn parse_tampering(mut words: impl Iterator<Item = String>) -> Option<Tampering> {
    let places = (words.next()? == "--tamper").then(|| words.next())??.parse().ok()?;
    let seed = match (words.next().as_deref(), words.next()) {
        (None, _) => 0,
        (Some("--seed"), Some(seed)) => seed.parse().ok()?,
        _ => return None,
    };
    Some(Tampering { events: TAMPERED_EVENTS, places, seed })
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Torture> {
    let program = std::env::current_exe().ok()?;
    let mut torture = Torture { log: TorturedLog::Embedded, cycles: CYCLES, seed: 0, program };
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()?.as_str()) {
            ("--cycles", cycles) => torture.cycles = cycles.parse().ok()?,
            ("--seed", seed) => torture.seed = seed.parse().ok()?,
            ("--log", "embedded") => torture.log = TorturedLog::Embedded,
            ("--log", "nats") => torture.log = TorturedLog::Nats,
            _ => return None,
        }
    }
    Some(torture)
}
