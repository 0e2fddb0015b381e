//! The torture: real servers under load, killed at random moments, whatever they acknowledged must still be so; and faults of
//! every kind around guards.

mod book;
mod fault;
mod faults;
mod load;
mod scene;
mod writers;

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::nats::NatsServer;
use crate::server::{Admin, ServerSetup, TestServer};
use crate::sim::Rng;

pub use fault::Fault;
pub use faults::{FaultRuns, FaultTally, Rehearsal};

use book::Book;
use load::Load;

/// Which log is tortured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorturedLog {
    /// The log in one file: the server is killed.
    Embedded,
    /// The log on NATS: the server and `nats-server` are killed in turn.
    Nats,
}

/// How long and on what.
#[derive(Clone, Debug)]
pub struct Torture {
    /// Which log.
    pub log: TorturedLog,
    /// How many kills.
    pub cycles: u64,
    /// Decides how much is done between two kills. When exactly a kill meets a write is the machine's choice.
    pub seed: u64,
    /// The binary that serves.
    pub program: PathBuf,
}

/// What was done and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kills survived.
    pub cycles: u64,
    /// Keys whose issue was acknowledged.
    pub issued: u64,
    /// Revocations that were acknowledged.
    pub revoked: u64,
    /// Commands whose answer was lost.
    pub lost: u64,
    /// Of these, those that had happened all the same.
    pub had_happened: u64,
    /// Commands that were told that nothing happened.
    pub denied: u64,
    /// Events in the log at the end.
    pub events: u64,
}

/// The tenant whose keys are tortured.
const TENANT: &str = "acme";
/// A kill comes after so many acknowledgements, or one more of them.
const ACKNOWLEDGED_MAX: u64 = 150;
/// Under load the first acknowledgement takes milliseconds.
const LOADED_WITHIN: Duration = Duration::from_secs(60);
/// So many older keys are asked for after each kill; all of them at the end.
const OLDER: usize = 1_000;

/// What is killed.
enum Victim {
    Server,
    Nats,
}

struct Place {
    setup: ServerSetup,
    server: Option<TestServer>,
    nats: Option<(Runtime, NatsServer)>,
}

impl Torture {
    /// Kills and restarts so many times; each time all that was acknowledged before must stand, and what was in doubt is asked
    /// again and must have one effect.
    ///
    /// # Errors
    /// The first thing that was lost, or not as acknowledged.
    pub fn run(&self, mut tell: impl FnMut(&Tally)) -> Result<Tally, String> {
        let mut rng = Rng::new(self.seed);
        let mut place = Place::prepare(self)?;
        let mut book = Book::default();
        place.admin().open_tenant(TENANT);
        for cycle in 0..self.cycles {
            let enough = 1 + rng.below(ACKNOWLEDGED_MAX);
            let victim =
                if self.log == TorturedLog::Nats && cycle % 2 == 1 { Victim::Nats } else { Victim::Server };
            place.cycle(&victim, enough, cycle, &mut book)?;
            book.tally.cycles += 1;
            let admin = place.admin();
            book.ask_again(&admin)?;
            book.check_verdicts(&admin, OLDER)?;
            tell(&book.tally);
        }
        let admin = place.admin();
        book.check_verdicts(&admin, usize::MAX)?;
        book.check_events(&admin)?;
        Ok(book.tally)
    }
}

impl Place {
    fn prepare(torture: &Torture) -> Result<Self, String> {
        let (nats, setup) = match torture.log {
            TorturedLog::Embedded => (None, ServerSetup::embedded()),
            TorturedLog::Nats => {
                let runtime = Runtime::new().map_err(|error| format!("no runtime for NATS: {error}"))?;
                let nats = runtime.block_on(NatsServer::start());
                let setup = ServerSetup::nats(&nats.url());
                (Some((runtime, nats)), setup)
            }
        };
        let setup = setup.program(torture.program.clone());
        let server = Some(setup.start());
        Ok(Self { setup, server, nats })
    }

    fn admin(&self) -> Admin {
        self.server.as_ref().expect("between cycles the server runs").admin()
    }

    /// Puts the place under load, kills the victim once enough was acknowledged, and starts it again.
    fn cycle(&mut self, victim: &Victim, enough: u64, cycle: u64, book: &mut Book) -> Result<(), String> {
        let load = Load::begin(&self.admin(), cycle);
        await_count(&load, enough)?;
        match victim {
            Victim::Server => {
                if let Some(server) = self.server.take() {
                    let _ = server.kill9();
                }
                book.take(load.end()?);
                self.server = Some(self.setup.start());
            }
            Victim::Nats => {
                let before = load.acknowledged();
                let (runtime, nats) = self.nats.as_mut().expect("only a place with NATS has it for a victim");
                nats.kill9();
                runtime.block_on(nats.restart());
                // The server finds its way back by itself, with the commands that were in doubt.
                await_count(&load, before + 1)?;
                book.take(load.end()?);
                self.server.as_ref().expect("it was not killed").wait_ready();
            }
        }
        Ok(())
    }
}

fn await_count(load: &Load, enough: u64) -> Result<(), String> {
    let deadline = Instant::now() + LOADED_WITHIN;
    while load.acknowledged() < enough {
        if Instant::now() > deadline {
            return Err(format!(
                "only {} of {enough} commands were acknowledged in time",
                load.acknowledged()
            ));
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
    Ok(())
}
