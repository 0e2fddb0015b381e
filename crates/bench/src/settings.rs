//! What a run is asked for.

use std::path::PathBuf;

/// What to measure, how often, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The binary that is measured where a row needs a server of its own.
    pub program: PathBuf,
    /// Names of rows, `*` for anything; all where there is none.
    pub rows: Vec<String>,
    /// How many keys there are.
    pub keys: usize,
    /// Turns of each side.
    pub turns: usize,
    /// How many guards hear of a revocation.
    pub guards: Vec<usize>,
    /// Where rows on NATS get it from.
    pub nats: Nats,
    /// A results file of the rivals' runs.
    pub rivals: Option<PathBuf>,
    /// Keeps finished rows and sown keys for the next run.
    pub resume: Option<PathBuf>,
    /// Tells how far the run has come, a line at a time.
    pub tell: fn(&str),
}

/// NATS for the rows that need it.
#[derive(Clone, Debug)]
pub enum Nats {
    /// None: those rows are left out.
    None,
    /// Servers that run already: one address for rows on one replica, or several, separated by commas, for three.
    Running(Vec<String>),
    /// A `nats-server` to start.
    Binary(PathBuf),
}
