//! How a guard is set up, and what has to be there before it answers anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::{IdError, TenantId};
use thiserror::Error;
use tokio::time::timeout;
use wire::guard::Register;

use crate::client::{Client, UrlError};
use crate::clock::{Clock, SystemClock, random};
use crate::core::{Capacity, Core};
use crate::guard::{FeedBy, Guard};
use crate::link::Link;
use crate::status::State;
use crate::tls::Roots;

/// What a guard goes on for without a proof, unless the server allows less.
const MAX_STALENESS: Duration = Duration::from_secs(5);

/// A server that runs answers in milliseconds; one that is just starting has its index in a few seconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Long enough for a request to a server under load, short enough for who waits behind it.
const FIRST_SIGHT_WITHIN: Duration = Duration::from_secs(1);

/// What a name in the fleet may have.
const MAX_NAME: usize = 64;

/// Why there is no guard.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server's address, or the certificates to trust.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The tenant's name.
    #[error(transparent)]
    Tenant(#[from] IdError),
    /// The guard's name in the fleet.
    #[error("a guard's name is 1 to 64 of A-Z, a-z, 0-9 and ._/-")]
    Name,
    /// The server refuses: another attempt would bring the same.
    #[error("{0}")]
    Refused(String),
    /// No lease within the time given.
    #[error("the guard has no lease after {within:?}: {last_error}")]
    NotInTime {
        /// How long was waited.
        within: Duration,
        /// What went wrong last.
        last_error: String,
    },
}

/// What happens while the server cannot be reached at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// [`Builder::connect`] waits, and fails in the end.
    #[default]
    WhenReady,
    /// [`Builder::connect`] returns at once; the guard refuses with `stale` until it has a lease.
    Refusing,
}

/// A guard that is being set up. Every setting has a default but the server and the credential.
#[derive(Debug)]
pub struct Builder {
    url: String,
    credential: Credential,
    tenant: String,
    name: String,
    version: String,
    max_staleness: Duration,
    capacity: Capacity,
    start: Start,
    connect_within: Duration,
    first_sight_within: Duration,
    feed: FeedBy,
    roots: Roots,
    insecure: bool,
    clock: Arc<dyn Clock>,
}

struct Credential(String);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Builder {
    pub(crate) fn new(url: &str, credential: &str) -> Self {
        Self {
            url: url.to_owned(),
            credential: Credential(credential.to_owned()),
            tenant: TenantId::DEFAULT.to_owned(),
            name: own_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            max_staleness: MAX_STALENESS,
            capacity: Capacity::default(),
            start: Start::default(),
            connect_within: CONNECT_WITHIN,
            first_sight_within: FIRST_SIGHT_WITHIN,
            feed: FeedBy::default(),
            roots: Roots::default(),
            insecure: false,
            clock: Arc::new(SystemClock),
        }
    }

    /// Whose keys are judged. Default `default`.
    #[must_use]
    pub fn tenant(self, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), ..self }
    }

    /// What the fleet calls this guard: 1 to 64 of `A-Za-z0-9._/-`. Default: the program's name.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The version of the service, for people who look at the fleet.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// How long it may go on without a proof that it has heard everything. The server's own bound is the most. Default 5 s.
    #[must_use]
    pub fn max_staleness(self, max_staleness: Duration) -> Self {
        Self { max_staleness, ..self }
    }

    /// How much is held, or everything: [`Capacity::Replica`]. Default 100,000 keys and 10,000 ids that are no key.
    #[must_use]
    pub fn capacity(self, capacity: Capacity) -> Self {
        Self { capacity, ..self }
    }

    /// What happens while the server cannot be reached at the start. Default: [`Self::connect`] waits, and fails in the end.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// How long [`Self::connect`] waits. Default 10 s.
    #[must_use]
    pub fn connect_within(self, connect_within: Duration) -> Self {
        Self { connect_within, ..self }
    }

    /// How long a verify waits for the server, for a key that is seen first; past it, `stale`. Default 1 s.
    #[must_use]
    pub fn first_sight_within(self, first_sight_within: Duration) -> Self {
        Self { first_sight_within, ..self }
    }

    /// Hears notices over NATS, which is quicker for many guards. Default: from the server, as server-sent events.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn nats(self, feed: crate::nats::NatsFeed) -> Self {
        Self { feed: FeedBy::Nats(feed), ..self }
    }

    /// Trusts the certificates in this PEM file, and no public authority.
    #[must_use]
    pub fn ca(self, path: impl AsRef<Path>) -> Self {
        Self { roots: Roots::File(PathBuf::from(path.as_ref())), ..self }
    }

    /// Sends the credential over `http://` to other machines, too: for a network that encrypts by itself.
    #[must_use]
    pub fn insecure(self) -> Self {
        Self { insecure: true, ..self }
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Registers, begins to listen and returns once the guard has its first lease, a replica once it holds all keys. Needs a tokio runtime, on which its tasks
    /// run until the guard and all its clones are dropped.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing keeps running then.
    pub async fn connect(self) -> Result<Guard, ConnectError> {
        let (start, within, first_sight_within) = (self.start, self.connect_within, self.first_sight_within);
        let feed = self.feed.clone();
        let guard = Guard::spawn(self.link()?, feed, first_sight_within);
        if start == Start::WhenReady {
            let ready = timeout(within, first_lease(&guard)).await;
            ready.unwrap_or_else(|_| {
                let last_error = guard.status().last_error;
                let last_error = last_error.unwrap_or_else(|| "the server does not answer".to_owned());
                Err(ConnectError::NotInTime { within, last_error })
            })?;
        }
        Ok(guard)
    }

    fn link(self) -> Result<Link, ConnectError> {
        if !is_name(&self.name) {
            return Err(ConnectError::Name);
        }
        let tenant: TenantId = self.tenant.parse()?;
        let client = Client::new(&self.url, &self.credential.0, &self.roots, self.insecure)?;
        let register = Register {
            guard_id: draw_id(&*self.clock),
            tenant: tenant.to_string(),
            name: self.name,
            version: self.version,
            feed: self.feed.word().to_owned(),
            max_staleness_ms: u64::try_from(self.max_staleness.as_millis()).unwrap_or(u64::MAX),
        };
        let core = Core::new(tenant, self.capacity, random());
        Ok(Link::new(core, client, self.clock, register))
    }
}

/// Until there is a lease, and of a replica all keys, or there never will be.
async fn first_lease(guard: &Guard) -> Result<(), ConnectError> {
    let mut changes = guard.changes();
    loop {
        changes.borrow_and_update();
        let status = guard.status();
        match status.state {
            State::Starting | State::Stale => {}
            State::Current | State::Lagging if guard.is_replica() && !status.whole => {}
            State::Current | State::Lagging => return Ok(()),
            State::CredentialRefused | State::GuardRefused | State::Broken | State::Closed => {
                return Err(ConnectError::Refused(status.last_error.unwrap_or_default()));
            }
        }
        if changes.changed().await.is_err() {
            return Err(ConnectError::Refused("the guard was closed".to_owned()));
        }
    }
}

/// A ULID.
fn draw_id(clock: &dyn Clock) -> String {
    let time = u128::from(clock.now().as_millis() & 0xffff_ffff_ffff) << 80;
    let drawn = u128::from(random()) << 16 | u128::from(random() & 0xffff);
    domain::KeyId::from_u128(time | drawn).to_string()
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
}

/// The program's name, as far as a name may have it.
fn own_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_stem).map(|name| name.to_string_lossy().into_owned());
    let fits = |c: &char| c.is_ascii_alphanumeric() || "._/-".contains(*c);
    let name: String = name.unwrap_or_default().chars().filter(fits).take(MAX_NAME).collect();
    if name.is_empty() { "service".to_owned() } else { name }
}
