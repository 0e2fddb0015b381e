//! Where the log on NATS is, as flags.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

/// Where the log is and how to get in, the same for every verb that goes there.
#[derive(Args, Clone, Default)]
pub struct NatsArgs {
    /// The log: `embedded` in the data folder, or nats://host:port[,nats://host:port] to share it between servers [default: embedded]
    // The address may hold a password: help must not show it.
    #[arg(long, env = "RESCIND_LOG", hide_env_values = true, value_name = "embedded|nats://…")]
    pub log: Option<String>,
    /// NATS credentials file of the account that holds the log; the only place for its secret
    #[arg(long, env = "RESCIND_NATS_CREDS", hide_env_values = true, value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// File with the nkey seed of the log's user, as `rescind nats config` writes it
    #[arg(long, env = "RESCIND_NATS_NKEY", hide_env_values = true, value_name = "FILE")]
    pub nats_nkey: Option<PathBuf>,
    /// The authority that signed the NATS servers' certificates, where it is not a public one
    #[arg(long, env = "RESCIND_NATS_CA", hide_env_values = true, value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
}

/// The log's address may hold a password.
impl fmt::Debug for NatsArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsArgs").finish_non_exhaustive()
    }
}
