//! Simulates many seeds, or repeats one: `--seeds 100000`, `--seed 17`, `--sled`, `--short`, `--guards`.

use std::io::{self, Write};
use std::process::ExitCode;

use tests::sim::{Length, Setup, Views, run, run_many};

/// Seeds of a run that does not say how many.
const SEEDS: u64 = 100_000;
/// How often progress is told.
const TELL_EVERY: u64 = 1_000;
const USAGE: &str = "usage: sim [--seeds COUNT | --seed SEED] [--short | --guards] [--sled]";

struct Arguments {
    seeds: u64,
    seed: Option<u64>,
    setup: Setup,
}

fn main() -> ExitCode {
    let mut out = io::stdout();
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    let ran = match arguments.seed {
        Some(seed) => run(seed, arguments.setup).map(|report| format!("{report:?}")).map_err(Box::new),
        None => run_many(0..arguments.seeds, arguments.setup, |done| {
            if done % TELL_EVERY == 0 {
                let _ = writeln!(io::stderr(), "{done} of {} seeds", arguments.seeds);
            }
        })
        .map(|summary| format!("every promise was kept: {summary:?}")),
    };
    match ran {
        Ok(told) => {
            let _ = writeln!(out, "{told}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(out, "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments { seeds: SEEDS, seed: None, setup: Setup::default() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => arguments.seeds = words.next()?.parse().ok()?,
            "--seed" => arguments.seed = Some(words.next()?.parse().ok()?),
            "--short" => arguments.setup.length = Length::Short,
            "--guards" => arguments.setup.length = Length::Guarded,
            "--sled" => arguments.setup.views = Views::Sled,
            _ => return None,
        }
    }
    Some(arguments)
}
