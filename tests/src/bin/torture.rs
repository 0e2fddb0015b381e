//! Kill -9 under load, again and again: `--cycles 1000 --log embedded|nats`.

use std::io::{self, Write};
use std::process::ExitCode;

use tests::torture::{Torture, TorturedLog};

/// Cycles of a run that does not say how many.
const CYCLES: u64 = 1_000;
const USAGE: &str = "usage: torture [--cycles COUNT] [--log embedded|nats] [--seed SEED]";

fn main() -> ExitCode {
    // It is its own victim: started with a verb of `rescind`, it is `rescind`.
    if std::env::args().nth(1).is_some_and(|first| first == "serve") {
        return cli::run();
    }
    let Some(torture) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    let ran = torture.run(|tally| {
        let _ = writeln!(io::stderr(), "{tally:?}");
    });
    match ran {
        Ok(tally) => {
            let _ = writeln!(io::stdout(), "nothing was lost: {tally:?}");
            ExitCode::SUCCESS
        }
        Err(lost) => {
            let _ = writeln!(io::stdout(), "{lost}");
            ExitCode::FAILURE
        }
    }
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
