//! A webhook: what is kept of it, and what each attempt changes. No I/O.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::TenantId;
use serde::{Deserialize, Serialize};

use super::secret::{self, WebhookSecret};

/// A webhook that has failed for so long without one success is disabled: by then somebody has to look at it.
const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 3600);

/// The longest that a receiver can put off the next attempt with Retry-After.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Dead letters that a webhook may have before it is disabled: they are kept on disk until somebody sends them again.
pub(crate) const DEAD_LETTERS_MAX: u32 = 1_000;

/// What a webhook is called: `wh-` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WebhookId(pub(super) u128);

impl WebhookId {
    /// The first 128 bits of a digest.
    pub(crate) fn from_digest(digest: &[u8]) -> Self {
        Self(digest.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte)))
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wh-{:032x}", self.0)
    }
}

impl FromStr for WebhookId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix("wh-").filter(|digits| digits.len() == 32).ok_or(())?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u128::from_str_radix(digits, 16).ok().filter(|_| plain).map(Self).ok_or(())
    }
}

/// A webhook as it stands in the record. Times are milliseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Webhook {
    /// Whose notices it is sent.
    #[serde(with = "as_text")]
    pub(crate) tenant: TenantId,
    /// Where to. May hold what only its receiver should know: in no log line.
    pub(crate) url: String,
    /// Which kinds of notices; none means all.
    pub(crate) kinds: Vec<String>,
    pub(crate) created_at: u64,
    /// The operator's key id.
    pub(crate) created_by: String,
    #[serde(serialize_with = "secret::to_row", deserialize_with = "secret::from_row")]
    pub(super) secret: WebhookSecret,
    /// Signed with as well until its time is up, so that a receiver can change over without missing anything.
    pub(super) previous: Option<PreviousSecret>,
    /// The command that rotated the secret last: its repeat does not rotate again.
    pub(super) rotated_by: Option<String>,
    /// Every notice up to here was received, is a dead letter, or is of no wanted kind.
    pub(crate) done: u64,
    /// There while the last attempt failed.
    pub(crate) trouble: Option<Trouble>,
    /// There when nothing is sent until somebody says so.
    pub(crate) disabled: Option<Disabled>,
    /// Notices that were given up.
    pub(crate) dead_letters: u32,
}

/// A secret that goes out of use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreviousSecret {
    #[serde(serialize_with = "secret::to_row", deserialize_with = "secret::from_row")]
    secret: WebhookSecret,
    pub(super) until: u64,
}

/// A run of failures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Since when nothing was received.
    pub(crate) since: u64,
    /// Attempts so far at the notice that is next.
    pub(crate) attempts: u32,
    /// When the next one is due.
    pub(crate) next_at: u64,
    /// How the last one ended.
    pub(crate) error: String,
}

/// Why nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disabled {
    pub(crate) since: u64,
    pub(crate) reason: String,
}

/// How a webhook fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    /// The last attempt failed; there will be another.
    Failing,
    Disabled,
}

impl State {
    pub(crate) const ALL: [Self; 3] = [Self::Active, Self::Failing, Self::Disabled];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

/// A notice that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeadLetter {
    /// When the last attempt was.
    pub(crate) failed_at: u64,
    /// How many there were.
    pub(crate) attempts: u32,
    /// How the last one ended.
    pub(crate) error: String,
    /// Whether somebody asked for it to be sent again.
    pub(crate) due: bool,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// One lower-case clause, without the URL.
    pub(super) error: String,
    /// What the receiver asked for.
    pub(super) retry_after: Option<Duration>,
    /// 410: the receiver wants nothing more.
    pub(super) gone: bool,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The same notice again, later.
    Again,
    /// The notice is a dead letter, and the next one is tried.
    GivenUp,
    /// Nothing more until somebody says so.
    Disabled,
}

impl Webhook {
    /// One that is sent what is announced from now on.
    pub(crate) fn new(
        tenant: TenantId,
        url: String,
        kinds: Vec<String>,
        (created_at, created_by): (u64, String),
        secret: WebhookSecret,
        done: u64,
    ) -> Self {
        Self {
            tenant,
            url,
            kinds,
            created_at,
            created_by,
            secret,
            previous: None,
            rotated_by: None,
            done,
            trouble: None,
            disabled: None,
            dead_letters: 0,
        }
    }

    pub(crate) fn state(&self) -> State {
        match (&self.disabled, &self.trouble) {
            (Some(_), _) => State::Disabled,
            (None, Some(_)) => State::Failing,
            (None, None) => State::Active,
        }
    }

    /// Until when deliveries are signed with the secret before, too.
    pub(crate) fn overlap_until(&self, now: u64) -> Option<u64> {
        self.previous.as_ref().map(|previous| previous.until).filter(|until| *until > now)
    }

    /// The secret, for the one answer that creates it.
    pub(crate) const fn secret(&self) -> &WebhookSecret {
        &self.secret
    }

    /// Whether it wants notices of this kind.
    pub(super) fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind)
    }

    /// The header `webhook-signature`: by the secret, and by the one before while that still counts.
    pub(super) fn sign(&self, id: &str, now_ms: u64, body: &str) -> String {
        let timestamp = now_ms / 1000;
        let mut signatures = self.secret.sign(id, timestamp, body);
        if let Some(previous) = self.previous.as_ref().filter(|previous| previous.until > now_ms) {
            signatures.push(' ');
            signatures.push_str(&previous.secret.sign(id, timestamp, body));
        }
        signatures
    }

    /// Signs with a new secret from now on, and with the one before until a time.
    pub(super) fn rotate(&mut self, secret: WebhookSecret, until: u64, command: &str) {
        let before = std::mem::replace(&mut self.secret, secret);
        self.previous = Some(PreviousSecret { secret: before, until });
        self.rotated_by = Some(command.to_owned());
    }

    /// The one that is next was received.
    pub(super) fn delivered(&mut self, position: u64) {
        self.done = self.done.max(position);
        self.trouble = None;
    }

    /// An attempt at the one that is next failed. `lot` is drawn at random: it spreads the next attempts of many.
    pub(super) fn failed(&mut self, failure: &Failure, now: u64, schedule: &[Duration], lot: u8) -> Then {
        let before = self.trouble.take();
        let since = before.as_ref().map_or(now, |trouble| trouble.since);
        let attempts = before.map_or(0, |trouble| trouble.attempts) + 1;
        let wait = schedule.get(attempts as usize - 1).copied();
        let asked = failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        let next_at = now + millis(spread(wait.unwrap_or_default(), lot).max(asked));
        self.trouble = Some(Trouble { since, attempts, next_at, error: failure.error.clone() });
        if failure.gone {
            self.disable(now, "its receiver answered 410: it wants no more");
            return Then::Disabled;
        }
        if now.saturating_sub(since) >= millis(DISABLE_AFTER) {
            self.disable(now, "nothing was received for five days");
            return Then::Disabled;
        }
        if wait.is_some() { Then::Again } else { Then::GivenUp }
    }

    /// The one that is next is given up: a letter for the record.
    pub(super) fn give_up(&mut self, position: u64, now: u64) -> DeadLetter {
        let trouble = self.trouble.as_mut();
        let attempts = trouble.map_or(0, |trouble| std::mem::take(&mut trouble.attempts));
        let error = self.trouble.as_ref().map_or_else(String::new, |trouble| trouble.error.clone());
        self.done = self.done.max(position);
        self.dead_letters += 1;
        if self.dead_letters >= DEAD_LETTERS_MAX {
            self.disable(now, "it has as many dead letters as are kept");
        }
        DeadLetter { failed_at: now, attempts, error, due: false }
    }

    /// Attempts begin anew.
    pub(super) fn enable(&mut self) {
        self.disabled = None;
        self.trouble = None;
    }

    fn disable(&mut self, now: u64, reason: &str) {
        self.disabled = Some(Disabled { since: now, reason: reason.to_owned() });
    }
}

/// Four fifths to six fifths of a wait.
fn spread(wait: Duration, lot: u8) -> Duration {
    wait.mul_f64(0.8 + 0.4 * f64::from(lot) / 255.0)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A value as its text in a row.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom("a text does not read"))
    }
}

#[cfg(test)]
mod tests;
