//! What servers on one log keep in their registry and tell each other, as JSON. Later versions may add members to these
//! texts; what a member means never changes.

use serde::{Deserialize, Serialize};

/// A server's entry in the registry, under its run. Refreshed before each of its own proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    /// What people call it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How long it goes on after a proof, and all guards that it gives leases.
    pub max_staleness_ms: u64,
}

/// A guard's entry in the registry, under its id. Put by the server that it registered at, before it answers anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardEntry {
    /// The run of the server that alone gives it leases.
    pub owner: String,
    /// The operator key that it came with.
    pub operator: String,
    /// Whose keys it judges.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// Its version, as it says.
    pub version: String,
    /// How it hears notices.
    pub feed: String,
    /// How long it goes on after a proof.
    pub max_staleness_ms: u64,
}

/// What a server tells the others. Whatever is lost of it, a later one says again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSays {
    /// Which run of which server.
    pub run: String,
    /// Its index refuses whatever was ended up to here.
    pub applied: u64,
    /// How many keys it holds.
    pub held: u64,
    /// How long ago it proved that it has heard everything.
    pub lag_ms: Option<u64>,
    /// It refuses.
    pub stale: bool,
    /// Some of its guards.
    pub guards: Vec<GuardSays>,
}

/// What a guard said to the server that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSays {
    /// Which.
    pub guard_id: String,
    /// Everything up to here has been applied there.
    pub applied: u64,
    /// How many keys it holds.
    pub held: u64,
    /// It says that it refuses.
    pub stale: bool,
    /// It can accept nothing any more by what it has, and gets nothing that does not include what its server has applied.
    pub gone: bool,
    /// How long ago it was heard.
    pub heard_ms_ago: u64,
    /// How long ago it said that it had applied everything.
    pub lag_ms: Option<u64>,
}
