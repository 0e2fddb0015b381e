//! Runs of faults over real guards: whatever fails, no guard lets a revoked key pass after the bound, and none misses a notice.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guard::Guard;
use tokio::time::Instant;

use super::fault::{Fault, draw};
use super::scene::{MAX_STALENESS, Scene};
use super::writers::Writers;
use crate::sim::Rng;
use crate::witness::{Sight, Violation};

/// Longer than everything takes to be well again on a loaded machine: leaders chosen anew, servers ready, guards current.
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// So many revocations before anything fails, so that guards hold keys that were revoked and keys that will be.
const BEFORE: u64 = 3;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How many runs, and from which seed on.
#[derive(Clone, Debug)]
pub struct FaultRuns {
    /// How many.
    pub runs: u64,
    /// The first run's seed; the others have the next ones. It decides what fails and for how long; when exactly that meets
    /// what is the machine's choice.
    pub seed: u64,
    /// The binary that serves.
    pub program: PathBuf,
}

/// What was done and seen.
#[derive(Clone, Debug, Default)]
pub struct FaultTally {
    /// Runs that ended well.
    pub runs: u64,
    /// The seed of the last one.
    pub seed: u64,
    /// What failed in it.
    pub faults: Vec<Fault>,
    /// For how long.
    pub lasted: Duration,
    /// From the end of the faults until all was well again.
    pub well_after: Duration,
    /// What was seen in all runs.
    pub sight: Sight,
}

impl fmt::Display for FaultTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, seed, faults, lasted, well_after, sight } = self;
        write!(
            f,
            "run {runs}, seed {seed}: {faults:?} for {lasted:?}, well after {well_after:.1?}; {sight:?}"
        )
    }
}

impl FaultRuns {
    /// Does one run after the other in one scene.
    ///
    /// # Errors
    /// The first run that let a revoked key pass, or after which not all was well again; with its seed.
    pub fn run(&self, mut tell: impl FnMut(&FaultTally)) -> Result<FaultTally, String> {
        let mut scene = Scene::set(&self.program);
        let mut tally = FaultTally::default();
        for seed in self.seed..self.seed + self.runs {
            let mut rng = Rng::new(seed);
            let (faults, lasts) = draw(&mut rng);
            let failed = |what: String| format!("seed {seed}: {faults:?} for {lasts:?}: {what}");
            let ran = one(&mut scene, &faults, lasts, WELL_WITHIN, &mut rng).map_err(&failed)?;
            if let Some(violation) = ran.violations.first() {
                return Err(failed(format!("{} ({} such)", violation.text, ran.violations.len())));
            }
            tally = FaultTally {
                runs: tally.runs + 1,
                seed,
                faults,
                lasted: lasts,
                well_after: ran.well_after,
                sight: tally.sight.and(ran.sight),
            };
            tell(&tally);
        }
        Ok(tally)
    }
}

/// Guards that do one thing wrong each, by their numbers in the scene, in one run with the faults that show it.
#[derive(Clone, Debug)]
pub struct Rehearsal<'a> {
    /// The binary that serves.
    pub program: &'a Path,
    /// What fails.
    pub faults: &'a [Fault],
    /// For how long.
    pub lasts: Duration,
    /// How long is waited for all to be well again, which it will not be.
    pub well_within: Duration,
}

impl Rehearsal<'_> {
    /// What is found in a run over guards of which some were made worse.
    ///
    /// # Errors
    /// When the run itself did not come about.
    pub fn run(&self, worsen: impl Fn(usize, &Guard)) -> Result<Vec<Violation>, String> {
        let mut scene = Scene::set(self.program);
        for (number, watched) in scene.witness.guards().iter().enumerate() {
            worsen(number, &watched.guard);
        }
        let ran = one(&mut scene, self.faults, self.lasts, self.well_within, &mut Rng::new(0))?;
        Ok(ran.violations)
    }
}

/// What a run showed.
struct Ran {
    violations: Vec<Violation>,
    well_after: Duration,
    sight: Sight,
}

fn one(
    scene: &mut Scene,
    faults: &[Fault],
    lasts: Duration,
    well_within: Duration,
    rng: &mut Rng,
) -> Result<Ran, String> {
    scene.witness.forget();
    let writers = Writers::begin(scene.admins(), &scene.witness, rng);
    let deadline = Instant::now() + WELL_WITHIN;
    while writers.revoked() < BEFORE {
        if Instant::now() > deadline {
            return Err("before anything failed, nothing could be revoked".to_owned());
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
    for fault in faults {
        scene.inflict(*fault);
    }
    let healed_at = Instant::now() + lasts;
    while Instant::now() < healed_at {
        std::thread::park_timeout(healed_at.saturating_duration_since(Instant::now()));
    }
    let mut healing = faults.to_vec();
    // A server needs its log to start.
    healing.sort_by_key(|fault| fault.victim());
    for fault in healing {
        scene.heal(fault);
    }
    scene.wait_ready();
    writers.end()?;
    let position = scene.last_notice()?;
    let deadline = Instant::now() + well_within;
    let mut violations = scene.witness.unsettled(position);
    while !violations.is_empty() && Instant::now() < deadline {
        std::thread::park_timeout(LOOK_AGAIN);
        violations = scene.witness.unsettled(position);
    }
    let well_after = healed_at.elapsed();
    violations.splice(0..0, scene.witness.judge(MAX_STALENESS));
    Ok(Ran { violations, well_after, sight: scene.witness.sight() })
}
