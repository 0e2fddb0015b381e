//! What `serve` is told: flags, then `RESCIND_*`, then a TOML file, then the defaults; one struct, unknown keys refused.

mod nats_args;
mod notary;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use thiserror::Error;

use crate::policy::span::Span;

pub use nats_args::NatsArgs;
pub use notary::{NotaryArgs, NotaryChoice, Witness};

/// The commented file that says the defaults; a test holds it to the code.
pub const DEFAULT_FILE: &str = include_str!("../rescind.default.toml");

/// Where `serve` listens unless told otherwise: this machine only.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8750";
/// Where everything is kept unless told otherwise.
pub const DEFAULT_DATA: &str = "./rescind-data";
/// How long a verifier goes on without proof that it has heard everything.
const DEFAULT_STALENESS: Duration = Duration::from_secs(5);
/// A lease is asked for each second, so a bound below two would refuse everything at the first lost answer.
const MIN_STALENESS: Duration = Duration::from_secs(2);
/// A revoked key may pass for this long at a verifier that is cut off: a minute is what rivals do when all goes well.
const MAX_STALENESS: Duration = Duration::from_secs(60);
/// Measured with so many idle ones, on loopback: 14 KiB each, 140 MB together, and a seventh of a core for their heartbeats.
const DEFAULT_MAX_FEEDS: usize = 10_000;
/// By then heartbeats alone take more than a core: so many subscribers belong on NATS, or on several servers.
const MOST_FEEDS: usize = 100_000;
/// The first retries are quick, since a revocation is worth most at once; all together they ride out six hours.
const DEFAULT_WEBHOOKS_RETRY: &str = "1s,5s,30s,2m,10m,30m,1h,1h,1h,1h,1h";
/// More waits than this are no schedule any more.
const MAX_WEBHOOKS_RETRIES: usize = 32;
/// Whoever waits longer for the next attempt has forgotten what it was about.
const MAX_WEBHOOKS_WAIT: Duration = Duration::from_secs(24 * 3600);
/// JetStream keeps at most five copies.
const MAX_REPLICAS: usize = 5;

/// The flags of `serve`. All optional, so that the environment and the file get their turn.
#[derive(Args, Clone, Default)]
pub struct ServeArgs {
    /// A TOML file with any of these settings; flags and RESCIND_* go before it
    #[arg(long, env = "RESCIND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where log, views and operator.key are kept; one server a folder [default: ./rescind-data]
    #[arg(long, env = "RESCIND_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address and port to serve on; port 0 takes a free one [default: 127.0.0.1:8750]
    #[arg(long, env = "RESCIND_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Where the log is.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// `all`, or `verify` for a server that only follows the log and answers: beside a service, without a right to change anything [default: all]
    #[arg(long, env = "RESCIND_ROLE", value_name = "all|verify")]
    pub role: Option<String>,
    /// How long verifying goes on without proof that every event was heard, then keys are `stale` and refused [default: 5s]
    #[arg(long, env = "RESCIND_MAX_STALENESS", value_name = "TIME")]
    pub max_staleness: Option<String>,
    /// How many feeds may be open at once; who comes later is answered 503 [default: 10000]
    #[arg(long, env = "RESCIND_MAX_FEEDS", value_name = "N")]
    pub max_feeds: Option<usize>,
    /// How many NATS servers hold each stream that is made at the first start; 3 survives the loss of one [default: 1]
    #[arg(long, env = "RESCIND_NATS_REPLICAS", value_name = "N")]
    pub nats_replicas: Option<usize>,
    /// Monitoring address of the NATS servers, http://host:8222[,…]: proves that they sync before they acknowledge
    #[arg(long, env = "RESCIND_NATS_MONITOR", value_name = "URL")]
    pub nats_monitor: Option<String>,
    /// PEM certificate chain to serve HTTPS with; needs --tls-key
    #[arg(long, env = "RESCIND_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of that certificate
    #[arg(long, env = "RESCIND_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// How the log is made provable.
    #[command(flatten)]
    pub notary: NotaryArgs,
    /// Public keys of a scanner that signs leak reports, in GitHub's form: a file, or the https:// address that publishes them
    #[arg(long, env = "RESCIND_LEAKS_GITHUB_KEYS", value_name = "FILE|URL")]
    pub leaks_github_keys: Option<String>,
    /// Waits between the attempts at a webhook's notice; after the last it is a dead letter [default: 1s,5s,30s,2m,10m,30m,1h,1h,1h,1h,1h]
    #[arg(long, env = "RESCIND_WEBHOOKS_RETRY", value_name = "SPANS")]
    pub webhooks_retry: Option<String>,
    /// Let webhooks lead to loopback and private addresses, and over plain http://: for tests and intranets
    #[arg(long, env = "RESCIND_WEBHOOKS_ALLOW_PRIVATE", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub webhooks_allow_private: Option<bool>,
    /// Serve plain text on an address that others can reach: only behind something that speaks TLS
    #[arg(long, env = "RESCIND_INSECURE", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub insecure: Option<bool>,
    /// Issue another operator with every permission, for who holds the data folder and lost the key
    #[arg(long)]
    pub recover_operator: bool,
    /// `pretty` or `json` [default: pretty on a terminal]
    #[arg(long, env = "RESCIND_LOG_FORMAT", value_name = "pretty|json")]
    pub log_format: Option<String>,
    /// error, warn, info, debug, trace, or directives such as `info,server=debug` [default: info]
    #[arg(long, env = "RESCIND_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The log's address may hold a password.
impl fmt::Debug for ServeArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeArgs")
            .field("config", &self.config)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// The same settings in a file. Recovering an operator is an act, not a setting: it has no place here.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSettings {
    data: Option<PathBuf>,
    listen: Option<String>,
    log: Option<String>,
    role: Option<String>,
    max_staleness: Option<String>,
    max_feeds: Option<usize>,
    nats_replicas: Option<usize>,
    nats_creds: Option<PathBuf>,
    nats_nkey: Option<PathBuf>,
    nats_ca: Option<PathBuf>,
    nats_monitor: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    notary: Option<PathBuf>,
    witnesses: Option<Vec<String>>,
    leaks_github_keys: Option<String>,
    webhooks_retry: Option<String>,
    webhooks_allow_private: Option<bool>,
    insecure: Option<bool>,
    log_format: Option<String>,
    log_level: Option<String>,
}

/// What a node is started with. Every value is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Which log.
    pub log: LogChoice,
    /// What this server does.
    pub role: Role,
    /// The bound of promise 3.
    pub max_staleness: Duration,
    /// Feeds that may be open at once.
    pub max_feeds: usize,
    /// Certificate and key, if HTTPS is served.
    pub tls: Option<TlsFiles>,
    /// With what the log is signed, if this server is its notary.
    pub notary: Option<NotaryChoice>,
    /// Whose signed leak reports are heard, if any.
    pub leaks_github_keys: Option<KeyListPlace>,
    /// The waits between the attempts at a webhook's notice.
    pub webhooks_retry: Vec<Duration>,
    /// Whether webhooks may lead to addresses that are not public.
    pub webhooks_allow_private: bool,
    /// Whether another operator is wanted.
    pub recover_operator: bool,
    /// How logs look; none = by whether standard error is a terminal.
    pub log_format: Option<LogFormat>,
    /// Which logs are written.
    pub log_level: String,
}

/// Which log a node works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogChoice {
    /// In the data folder.
    Embedded,
    /// On NATS JetStream.
    Nats(NatsChoice),
}

/// How NATS is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsChoice {
    /// One or more servers, separated by commas. May hold a password: not shown.
    pub url: String,
    /// Copies of each stream made here.
    pub replicas: usize,
    /// Credentials file.
    pub creds: Option<PathBuf>,
    /// File with an nkey seed.
    pub nkey: Option<PathBuf>,
    /// Certificate authority.
    pub ca: Option<PathBuf>,
    /// Monitoring address.
    pub monitor: Option<String>,
}

impl fmt::Debug for NatsChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsChoice").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    All,
    /// Follows the log and answers; takes no commands.
    Verify,
}

/// Certificate chain and private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Where the public keys are with which signed leak reports are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyListPlace {
    /// Pinned in a file.
    File(PathBuf),
    /// Published at this address, and fetched when a report comes.
    Url(String),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why the settings are no good. Names the setting; its value only where it can be no secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config: the file {path} cannot be read ({source}); check the path, or leave --config away")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist or of the wrong type.
    #[error("config: {path}: {reason}")]
    Toml {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// One setting is not valid.
    #[error("{key}: {reason}")]
    Setting {
        /// Its name, as in the file; the flag is the same with `-`.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
}

pub(crate) fn bad(key: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Setting { key, reason: reason.into() }
}

impl NatsChoice {
    /// The log on NATS that flags and environment name.
    ///
    /// # Errors
    /// [`ConfigError`] when they name none.
    pub fn resolve(args: NatsArgs) -> Result<Self, ConfigError> {
        Self::resolve_with(args, None)
    }

    /// The same, with so many copies of streams that are made there.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_with(args: NatsArgs, replicas: Option<usize>) -> Result<Self, ConfigError> {
        let settings = NatsSettings {
            replicas,
            creds: args.nats_creds,
            nkey: args.nats_nkey,
            ca: args.nats_ca,
            ..NatsSettings::default()
        };
        match parse_log(args.log.unwrap_or_default(), settings)? {
            LogChoice::Nats(choice) => Ok(choice),
            LogChoice::Embedded => {
                Err(bad("log", "an embedded log has no NATS: give --log nats://host:port"))
            }
        }
    }
}

impl ServeConfig {
    /// The settings for a data folder with nothing else said: an embedded log, this machine only.
    #[must_use]
    pub fn embedded(data: impl Into<PathBuf>) -> Self {
        let args = ServeArgs { data: Some(data.into()), ..ServeArgs::default() };
        Self::of(args, FileSettings::default()).expect("the defaults are valid, as a test shows")
    }

    /// Puts flags and environment (both in `args`, by clap) before the file they name, and the file before the defaults.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting.
    pub fn resolve(args: ServeArgs) -> Result<Self, ConfigError> {
        let file = match &args.config {
            None => FileSettings::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::File { path: path.clone(), source })?;
                parse_file(&text).map_err(|reason| ConfigError::Toml { path: path.clone(), reason })?
            }
        };
        Self::of(args, file)
    }

    fn of(args: ServeArgs, file: FileSettings) -> Result<Self, ConfigError> {
        let listen = args.listen.or(file.listen).unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
        let role = role(args.role.or(file.role).as_deref())?;
        let log = args.nats.log.or(file.log).unwrap_or_else(|| "embedded".to_owned());
        let nats = NatsSettings {
            replicas: args.nats_replicas.or(file.nats_replicas),
            creds: args.nats.nats_creds.or(file.nats_creds),
            nkey: args.nats.nats_nkey.or(file.nats_nkey),
            ca: args.nats.nats_ca.or(file.nats_ca),
            monitor: args.nats_monitor.or(file.nats_monitor),
        };
        let data = args.data.or(file.data).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        let log = parse_log(log, nats)?;
        let config = Self {
            notary: args.notary.or(file.notary, file.witnesses).resolve(&data, &log, role)?,
            data,
            listen: parse_listen(&listen)?,
            log,
            role,
            max_staleness: staleness(args.max_staleness.or(file.max_staleness).as_deref())?,
            max_feeds: max_feeds(args.max_feeds.or(file.max_feeds))?,
            tls: tls(args.tls_cert.or(file.tls_cert), args.tls_key.or(file.tls_key))?,
            leaks_github_keys: key_list(args.leaks_github_keys.or(file.leaks_github_keys))?,
            webhooks_retry: webhooks_retry(
                args.webhooks_retry.or(file.webhooks_retry).as_deref().unwrap_or(DEFAULT_WEBHOOKS_RETRY),
            )?,
            webhooks_allow_private: args
                .webhooks_allow_private
                .or(file.webhooks_allow_private)
                .unwrap_or(false),
            recover_operator: args.recover_operator,
            log_format: log_format(args.log_format.or(file.log_format).as_deref())?,
            log_level: log_level(args.log_level.or(file.log_level))?,
        };
        let insecure = args.insecure.or(file.insecure).unwrap_or(false);
        config.check_together(insecure)?;
        Ok(config)
    }

    /// What only shows when settings are seen together.
    fn check_together(&self, insecure: bool) -> Result<(), ConfigError> {
        if self.role == Role::Verify && self.log == LogChoice::Embedded {
            return Err(bad(
                "role",
                "a verify-only server follows a log that others write: give it --log nats://host:port, or leave --role away",
            ));
        }
        if self.role == Role::Verify && self.recover_operator {
            return Err(bad("recover_operator", "a verify-only server takes no commands: leave --role away"));
        }
        if self.tls.is_none() && !insecure && !self.listen.ip().is_loopback() {
            return Err(bad(
                "listen",
                format!(
                    "{} can be reached by others and keys would cross the network in plain text: give --tls-cert and --tls-key, \
                     or say --insecure if something in front speaks TLS",
                    self.listen
                ),
            ));
        }
        Ok(())
    }
}

fn parse_file(text: &str) -> Result<FileSettings, String> {
    toml::from_str(text).map_err(|error| {
        // Its own text shows the line, which may hold a password of a URL.
        let line =
            error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })
}

fn parse_listen(text: &str) -> Result<SocketAddr, ConfigError> {
    let literal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    literal.as_deref().unwrap_or(text).parse().map_err(|_| {
        bad(
            "listen",
            format!("`{text}` is not ADDR:PORT, such as {DEFAULT_LISTEN}, 0.0.0.0:443 or [::1]:8750"),
        )
    })
}

#[derive(Default)]
struct NatsSettings {
    replicas: Option<usize>,
    creds: Option<PathBuf>,
    nkey: Option<PathBuf>,
    ca: Option<PathBuf>,
    monitor: Option<String>,
}

fn parse_log(text: String, nats: NatsSettings) -> Result<LogChoice, ConfigError> {
    if text == "embedded" {
        let unused = [
            ("nats_replicas", nats.replicas.is_some()),
            ("nats_creds", nats.creds.is_some()),
            ("nats_nkey", nats.nkey.is_some()),
            ("nats_ca", nats.ca.is_some()),
            ("nats_monitor", nats.monitor.is_some()),
        ];
        return match unused.into_iter().find(|(_, set)| *set) {
            Some((key, _)) => {
                Err(bad(key, "it says how to use NATS, but the log is embedded: add --log nats://host:port"))
            }
            None => Ok(LogChoice::Embedded),
        };
    }
    let is_server = |url: &str| {
        let rest = url.trim().strip_prefix("nats://").or_else(|| url.trim().strip_prefix("tls://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains("://"))
    };
    if !text.split(',').all(is_server) {
        // The text may hold a password: it is not repeated.
        return Err(bad("log", "it is `embedded`, or one or more nats://host:port separated by commas"));
    }
    let replicas = nats.replicas.unwrap_or(1);
    if !(1..=MAX_REPLICAS).contains(&replicas) {
        return Err(bad("nats_replicas", format!("{replicas} is not 1 to {MAX_REPLICAS}")));
    }
    if let Some(monitor) = nats.monitor.as_deref()
        && !monitor
            .split(',')
            .all(|url| url.trim().starts_with("http://") || url.trim().starts_with("https://"))
    {
        return Err(bad(
            "nats_monitor",
            "it is the monitoring address of the servers, such as http://127.0.0.1:8222",
        ));
    }
    if nats.creds.is_some() && nats.nkey.is_some() {
        return Err(bad("nats_nkey", "a seed and a credentials file are two users: give one of them"));
    }
    Ok(LogChoice::Nats(NatsChoice {
        url: text,
        replicas,
        creds: nats.creds,
        nkey: nats.nkey,
        ca: nats.ca,
        monitor: nats.monitor,
    }))
}

fn role(text: Option<&str>) -> Result<Role, ConfigError> {
    match text {
        None | Some("all") => Ok(Role::All),
        Some("verify") => Ok(Role::Verify),
        Some(other) => Err(bad("role", format!("`{other}` is neither all nor verify"))),
    }
}

fn staleness(text: Option<&str>) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(DEFAULT_STALENESS) };
    let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
    let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(millis), _) => number(millis).map(Duration::from_millis),
        (None, Some(seconds)) => number(seconds).map(Duration::from_secs),
        (None, None) => None,
    };
    let range = MIN_STALENESS..=MAX_STALENESS;
    parsed.filter(|time| range.contains(time)).ok_or_else(|| {
        bad(
            "max_staleness",
            format!(
                "`{text}` is not a time from {MIN_STALENESS:?} to {MAX_STALENESS:?}, such as 5s or 2500ms"
            ),
        )
    })
}

fn max_feeds(number: Option<usize>) -> Result<usize, ConfigError> {
    let number = number.unwrap_or(DEFAULT_MAX_FEEDS);
    let range = 1..=MOST_FEEDS;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(bad("max_feeds", format!("{number} is not 1 to {MOST_FEEDS}")))
}

fn tls(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (Some(_), None) => Err(bad("tls_key", "a certificate needs its private key: give --tls-key")),
        (None, Some(_)) => Err(bad("tls_cert", "a private key needs its certificate: give --tls-cert")),
    }
}

/// A list that others could alter on its way would let them sign, so plain text is for this machine only.
fn key_list(text: Option<String>) -> Result<Option<KeyListPlace>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    if !text.contains("://") && !text.is_empty() {
        return Ok(Some(KeyListPlace::File(text.into())));
    }
    let is_here = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"]
        .into_iter()
        .any(|start| text.starts_with(start));
    if (is_here || text.starts_with("https://")) && !text.contains('@') {
        return Ok(Some(KeyListPlace::Url(text)));
    }
    // The text may hold a password: it is not repeated.
    Err(bad(
        "leaks_github_keys",
        "it is a file, or an https:// address without a password, such as \
         https://api.github.com/meta/public_keys/secret_scanning",
    ))
}

fn webhooks_retry(text: &str) -> Result<Vec<Duration>, ConfigError> {
    let wait = |span: &str| span.trim().parse().ok().map(|Span(ms)| Duration::from_millis(ms));
    let waits: Option<Vec<Duration>> = text.split(',').map(wait).collect();
    let fits = |waits: &Vec<Duration>| {
        (1..=MAX_WEBHOOKS_RETRIES).contains(&waits.len())
            && waits.iter().all(|wait| !wait.is_zero() && *wait <= MAX_WEBHOOKS_WAIT)
    };
    waits.filter(fits).ok_or_else(|| {
        bad(
            "webhooks_retry",
            format!(
                "it is one to {MAX_WEBHOOKS_RETRIES} spans of at most a day, such as {DEFAULT_WEBHOOKS_RETRY}"
            ),
        )
    })
}

fn log_format(text: Option<&str>) -> Result<Option<LogFormat>, ConfigError> {
    match text {
        None => Ok(None),
        Some("pretty") => Ok(Some(LogFormat::Pretty)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some(other) => Err(bad("log_format", format!("`{other}` is neither pretty nor json"))),
    }
}

fn log_level(text: Option<String>) -> Result<String, ConfigError> {
    let text = text.unwrap_or_else(|| "info".to_owned());
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text),
        Err(error) => Err(bad(
            "log_level",
            format!("`{text}` is no log level ({error}); take error, warn, info, debug or trace"),
        )),
    }
}

#[cfg(test)]
mod tests;
