//! The feed over NATS: live notices by a core subscription, and what it may have lost from the server.
//!
//! A core subscription is the quickest way to many guards and promises nothing. What it loses is seen by `previous`, by a
//! connection that was made anew, and by a lease that waits for a notice; it is then asked of `GET /v1/feed`, which goes on
//! from what was applied and says when that was all. A guard needs the server for its leases in any case, and this way it
//! needs no right on NATS but to listen to its own tenant.
//!
//! Beside the notices come hints, which the server that revokes a key tells at once: see `crate::core`. A guard that may not
//! hear them only refuses as soon as the notice comes.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::info;
use wire::{Heard, Hint};

use crate::backoff::Backoff;
use crate::client::CallError;
use crate::core::{HintOutcome, Outcome};
use crate::feed::{self, End, Until};
use crate::link::Link;

/// Two unanswered pings end a connection: a half-open one is noticed within 3 s.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait between two attempts to connect again.
const RECONNECT_MAX: Duration = Duration::from_millis(500);

/// The subscription is there by then, or it is there later and what came before is asked for.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(2);

/// What stands before the tenant in the subject of a hint.
const HINTS: &str = "rescind.hints.";

/// A notice that a lease waits for may still be on its way: it is milliseconds behind.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// Where live notices are heard, and how to get in.
#[derive(Clone)]
pub struct NatsFeed {
    url: String,
    credentials: Option<PathBuf>,
    ca: Option<PathBuf>,
}

/// A URL may hold a password.
impl std::fmt::Debug for NatsFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsFeed")
            .field("credentials", &self.credentials)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

impl NatsFeed {
    /// One or more servers, `nats://host:port` or `tls://host:port`, separated by commas.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), credentials: None, ca: None }
    }

    /// A credentials file. Its user needs to subscribe to `rescind.live.<tenant>.>` and `rescind.hints.<tenant>.>`, and nothing
    /// else.
    #[must_use]
    pub fn credentials(self, path: impl AsRef<Path>) -> Self {
        Self { credentials: Some(path.as_ref().to_owned()), ..self }
    }

    /// The authority that signed the servers' certificates; demands TLS.
    #[must_use]
    pub fn ca(self, path: impl AsRef<Path>) -> Self {
        Self { ca: Some(path.as_ref().to_owned()), ..self }
    }

    /// Connects now or later; `connection` tells how it stands.
    async fn connect(&self, connection: watch::Sender<Connection>) -> Result<Client, String> {
        let mut options = ConnectOptions::new();
        if let Some(path) = &self.credentials {
            let read = options.credentials_file(path).await;
            options = read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        }
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        let options = options
            .name("rescind guard")
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(|times| RECONNECT_MAX.min(Duration::from_millis(20) * times as u32))
            .retry_on_initial_connect()
            .event_callback(move |event| {
                match event {
                    Event::Connected => drop(connection.send_replace(Connection::Made)),
                    Event::SlowConsumer(_) => drop(connection.send_replace(Connection::Lossy)),
                    Event::ServerError(error) if error.to_string().contains(HINTS) => {
                        info!(%error, "this guard may not hear hints: it refuses by notices alone");
                    }
                    _ => drop(connection.send_replace(Connection::Lost)),
                }
                std::future::ready(())
            });
        let servers: Vec<&str> = self.url.split(',').map(str::trim).collect();
        options.connect(servers).await.map_err(|error| error.to_string())
    }
}

/// How it stands with NATS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Connection {
    #[default]
    Lost,
    /// What came before it was not heard.
    Made,
    /// Messages came faster than they were taken.
    Lossy,
}

/// Follows the feed until it is dropped.
pub(crate) async fn run(link: &Link, nats: &NatsFeed) {
    let mut backoff = Backoff::new();
    loop {
        let (sender, connection) = watch::channel(Connection::default());
        let lost = match nats.connect(sender).await {
            Ok(client) => listen(link, &client, connection).await,
            Err(why) => why,
        };
        let pause = feed::ended(link, Ok(End::Lost(format!("NATS: {lost}"))), &mut backoff);
        sleep(pause).await;
    }
}

type Repair<'a> = Pin<Box<dyn Future<Output = Result<End, CallError>> + Send + 'a>>;

/// What was lost, after a pause; boxed, since it runs beside the live notices.
fn repair(link: &Link, pause: Duration) -> Repair<'_> {
    Box::pin(async move {
        sleep(pause).await;
        link.registered().await;
        feed::follow(link, &mut Backoff::new(), Until::CaughtUp).await
    })
}

/// What comes live.
struct Live {
    notices: Subscriber,
    hints: Subscriber,
}

impl Live {
    async fn subscribe(link: &Link, client: &Client) -> Result<Self, String> {
        let tenant = link.core.tenant();
        let subscribe = |subject: String| async move {
            client.subscribe(subject).await.map_err(|error| error.to_string())
        };
        let notices = subscribe(format!("rescind.live.{tenant}.>")).await?;
        let hints = subscribe(format!("{HINTS}{tenant}.>")).await?;
        // Not there yet: the connection tells when it is, and then everything is asked for once more.
        let _ = timeout(SUBSCRIBED_WITHIN, client.flush()).await;
        Ok(Self { notices, hints })
    }

    /// Takes hints as they come, and gives the next notice; none when the subscription has ended.
    async fn next(&mut self, link: &Link) -> Option<Message> {
        loop {
            tokio::select! {
                biased;
                Some(hint) = self.hints.next() => take_hint(link, &hint),
                notice = self.notices.next() => return notice,
            }
        }
    }
}

/// A hint that cannot be read is none.
fn take_hint(link: &Link, message: &Message) {
    let Ok(hint) = Hint::parse(&message.payload) else { return };
    if link.core.on_hint(&hint, link.clock.boot_ms()) == HintOutcome::Taken {
        link.meters.hints.increment(1);
        // Where it stands is where it stood; who looks after open connections looks again.
        link.applied.send_modify(|_| {});
    }
}

/// Hears live notices and repairs what they lack. Says why it cannot go on.
async fn listen(link: &Link, client: &Client, mut connection: watch::Receiver<Connection>) -> String {
    let mut live = match Live::subscribe(link, client).await {
        Ok(live) => live,
        Err(why) => return why,
    };
    let mut wanted = link.wanted.subscribe();
    let mut backoff = Backoff::new();
    // Everything is asked for at the beginning: where the feed stands is told with it.
    let mut repairing = Some(repair(link, Duration::ZERO));
    connection.borrow_and_update();
    loop {
        let is_missing = tokio::select! {
            message = live.next(link) => match message {
                Some(message) => is_missing(link, &message),
                None => return "the subscription ended".to_owned(),
            },
            end = ended(&mut repairing) => {
                let is_over = matches!(end, Ok(End::CaughtUp));
                repairing = None;
                if is_over {
                    backoff.calm();
                } else {
                    repairing = Some(repair(link, feed::ended(link, end, &mut backoff)));
                }
                false
            }
            Ok(()) = connection.changed() => match *connection.borrow_and_update() {
                Connection::Made | Connection::Lossy => true,
                Connection::Lost => {
                    feed::note(link, "NATS is away: the server is asked for notices that a lease waits for".to_owned());
                    false
                }
            },
            Ok(()) = wanted.changed() => {
                sleep_beside(&mut live, link, ON_ITS_WAY).await;
                *wanted.borrow_and_update() > link.core.applied()
            }
        };
        if is_missing && repairing.is_none() {
            feed::gap(link);
            repairing = Some(repair(link, Duration::ZERO));
        }
    }
}

async fn ended(repairing: &mut Option<Repair<'_>>) -> Result<End, CallError> {
    match repairing {
        Some(repair) => repair.await,
        None => std::future::pending().await,
    }
}

/// Goes on hearing for a while.
async fn sleep_beside(live: &mut Live, link: &Link, pause: Duration) {
    let hear = async {
        while let Some(message) = live.next(link).await {
            is_missing(link, &message);
        }
    };
    let _ = timeout(pause, hear).await;
}

/// Takes a live notice; says whether one before it, or this one itself, has to be asked for.
fn is_missing(link: &Link, message: &Message) -> bool {
    let Ok(notice) = Heard::parse(&message.payload) else {
        link.meters.unreadable.increment(1);
        return true;
    };
    let before = link.core.applied();
    let outcome = link.core.on_notice(&notice);
    feed::report(link, before);
    feed::count(link, outcome);
    if outcome == Outcome::Reset {
        link.was_reset("a notice is of another history");
    }
    matches!(outcome, Outcome::Gap | Outcome::Reset)
}
