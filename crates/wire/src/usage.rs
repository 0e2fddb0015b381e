//! Reports of usage: what one run of a server or guard counted in a span, as bytes and back.

mod network;
mod progress;

use std::fmt;
use std::str::FromStr;

use domain::{EventId, IdError, KeyId, TenantId, Timestamp};
use prost::Message;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::proto;

pub use network::UsageNetwork;
pub use progress::{Stay, UsageProgress};

/// The longest service label, in bytes: enough for `team/service-name`, and a record of many stays small.
pub const SERVICE_MAX: usize = 64;
/// The longest of the other texts; a scope is the longest that there is.
const TEXT_MAX: usize = 256;

/// What a guard's id is hashed behind, so that no id that somebody chooses is the run of a server or of another guard.
const GUARD_RUN: &[u8] = b"rescind usage of guard\0";
/// Between tenant and name of a guard, where a report names who counted. A server's name is a host and a port, without it.
const GUARD_OF: char = '/';

/// One run of one server's process, or of a guard's: drawn at its start, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u128);

impl RunId {
    /// Takes all 128 bits as they are.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self(value)
    }

    /// The 128 bits, most significant byte first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`Self::to_bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The run of a guard, whose id its own process chose.
    #[must_use]
    pub fn of_guard(guard_id: EventId) -> Self {
        let id = guard_id.to_u128();
        let hash = Sha256::new().chain_update(GUARD_RUN).chain_update(id.to_be_bytes()).finalize();
        let low = hash[..10].iter().fold(0_u128, |low, byte| low << 8 | u128::from(*byte));
        Self(id >> 80 << 80 | low)
    }

    /// When it was drawn.
    #[must_use]
    pub const fn drawn_at(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> 80) as u64)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All ULIDs are written alike.
        EventId::from_u128(self.0).fmt(f)
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(|id: EventId| Self(id.to_u128()))
    }
}

/// What one run of a server counted in a span.
///
/// Reports that add to the sums are numbered from 1 without a gap; whoever sees one missing knows that sums are too small.
/// The others repeat the last number: each proves, on top of all numbered ones so far, that nothing else was counted up to
/// `to`, and makes the one before it superfluous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    /// Whose.
    pub run: RunId,
    /// What people call the server; of a guard, see [`guard_counts`].
    pub server: Box<str>,
    /// The number of the run's last report with entries, this one included.
    pub sequence: u64,
    /// Where the span of the report before it ended.
    pub from: Timestamp,
    /// Up to here everything has been reported. The same as `from` where a later report finishes the span.
    pub to: Timestamp,
    /// The run ends here and verifies nothing more.
    pub leaving: bool,
    /// How long, in milliseconds, it may go on answering after it has fallen silent. A report that goes no further than what
    /// is known may come from somebody else, who says that it goes on; this counts from `to`.
    pub max_staleness_ms: u64,
    /// Verdicts that could not be counted under any key.
    pub missed: u64,
    /// The sums, those of one key side by side.
    pub entries: Vec<UsageEntry>,
}

/// How often one key got one verdict, for one purpose from one place within one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEntry {
    /// The key's tenant.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// The verdict's word; `valid` is the one that let somebody pass.
    pub verdict: Box<str>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// For what and from where; none where details were given up for their sum.
    pub origin: Option<UsageOrigin>,
}

/// For what a key was presented, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageOrigin {
    /// The scope that was asked for, if one was.
    pub scope: Option<Box<str>>,
    /// The service that asked.
    pub service: Box<str>,
    /// The network that the key was presented from, if it was told.
    pub network: Option<Box<str>>,
}

/// What a guard is called in its reports: its silence matters to its tenant only, and nobody else is told its name.
#[must_use]
pub fn guard_counts(tenant: &TenantId, name: &str) -> Box<str> {
    format!("{tenant}{GUARD_OF}{name}").into()
}

/// Whose keys it judges who is called so in a report, none for everybody's, and what people call it.
#[must_use]
pub fn who_counts(server: &str) -> (Option<&str>, &str) {
    server.split_once(GUARD_OF).map_or((None, server), |(tenant, name)| (Some(tenant), name))
}

/// Bytes that are no report of ours.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the usage report cannot be read: {reason}")]
pub struct UsageUnreadable {
    /// What is wrong, one lower-case clause.
    pub reason: String,
}

impl UsageReport {
    /// Whether it has a number of its own: it adds to the sums, or says that they are too small.
    #[must_use]
    pub const fn is_numbered(&self) -> bool {
        !self.entries.is_empty() || self.missed > 0
    }

    /// The report as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        proto::UsageReport {
            run: self.run.to_bytes().to_vec().into(),
            server: self.server.to_string(),
            sequence: self.sequence,
            from_ms: self.from.as_millis(),
            to_ms: self.to.as_millis(),
            leaving: self.leaving,
            max_staleness_ms: self.max_staleness_ms,
            missed: self.missed,
            entries: self.entries.iter().map(UsageEntry::to_message).collect(),
        }
        .encode_to_vec()
    }

    /// Reads a report. Fields that this build does not know are skipped: only fields that add to a sum are ever added.
    ///
    /// # Errors
    /// [`UsageUnreadable`].
    pub fn decode(bytes: &[u8]) -> Result<Self, UsageUnreadable> {
        let message = proto::UsageReport::decode(bytes).map_err(|error| unreadable(&error))?;
        let (from, to) = (Timestamp::from_millis(message.from_ms), Timestamp::from_millis(message.to_ms));
        if from > to {
            return Err(unreadable("it ends before it begins"));
        }
        Ok(Self {
            run: RunId::from_bytes(id(&message.run)?),
            server: bounded(message.server, TEXT_MAX)?,
            sequence: message.sequence,
            from,
            to,
            leaving: message.leaving,
            max_staleness_ms: message.max_staleness_ms,
            missed: message.missed,
            entries: message.entries.into_iter().map(UsageEntry::from_message).collect::<Result<_, _>>()?,
        })
    }
}

impl UsageEntry {
    /// What the entry takes at most as bytes, so that a report can be kept below what a message may hold.
    #[must_use]
    pub fn weight(&self) -> usize {
        const NUMBERS: usize = 80;
        let origin = self.origin.as_ref().map_or(0, |origin| {
            let texts = [origin.scope.as_deref(), Some(&*origin.service), origin.network.as_deref()];
            texts.into_iter().flatten().map(|text| text.len() + 3).sum()
        });
        NUMBERS + self.tenant.as_str().len() + self.verdict.len() + origin
    }

    fn to_message(&self) -> proto::UsageEntry {
        proto::UsageEntry {
            tenant: self.tenant.as_str().to_owned(),
            key_id: self.key_id.to_bytes().to_vec().into(),
            verdict: self.verdict.to_string(),
            count: self.count,
            first_ms: self.first.as_millis(),
            last_ms: self.last.as_millis(),
            origin: self.origin.as_ref().map(|origin| proto::UsageOrigin {
                scope: origin.scope.as_deref().map(str::to_owned),
                service: origin.service.to_string(),
                network: origin.network.as_deref().map(str::to_owned),
            }),
        }
    }

    fn from_message(message: proto::UsageEntry) -> Result<Self, UsageUnreadable> {
        let (first, last) = (message.first_ms, message.last_ms);
        if first > last {
            return Err(unreadable("an entry ends before it begins"));
        }
        let origin = message.origin.map(|origin| {
            Ok::<_, UsageUnreadable>(UsageOrigin {
                scope: origin.scope.map(|text| bounded(text, TEXT_MAX)).transpose()?,
                service: bounded(origin.service, SERVICE_MAX)?,
                network: origin.network.map(|text| bounded(text, SERVICE_MAX)).transpose()?,
            })
        });
        Ok(Self {
            tenant: message.tenant.parse().map_err(|_| unreadable("an entry names no tenant"))?,
            key_id: KeyId::from_bytes(id(&message.key_id)?),
            verdict: bounded(message.verdict, SERVICE_MAX)?,
            count: message.count,
            first: Timestamp::from_millis(first),
            last: Timestamp::from_millis(last),
            origin: origin.transpose()?,
        })
    }
}

fn unreadable(reason: &(impl ToString + ?Sized)) -> UsageUnreadable {
    UsageUnreadable { reason: reason.to_string() }
}

fn id(bytes: &[u8]) -> Result<[u8; 16], UsageUnreadable> {
    bytes.try_into().map_err(|_| unreadable("an id is not 16 bytes"))
}

/// Whoever could write into the stream must not be able to fill the records.
fn bounded(text: String, max: usize) -> Result<Box<str>, UsageUnreadable> {
    if text.len() > max {
        return Err(unreadable("a text is too long"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> UsageReport {
        let origin = UsageOrigin {
            scope: Some("campaigns:send".into()),
            service: "mailer".into(),
            network: Some("192.0.2.0/24".into()),
        };
        let entry = UsageEntry {
            tenant: "acme".parse().unwrap(),
            key_id: KeyId::from_u128(7),
            verdict: "valid".into(),
            count: 3,
            first: Timestamp::from_millis(1_000),
            last: Timestamp::from_millis(1_900),
            origin: Some(origin),
        };
        UsageReport {
            run: RunId::from_u128(5),
            server: "mail-1:8750".into(),
            sequence: 4,
            from: Timestamp::from_millis(1_000),
            to: Timestamp::from_millis(2_000),
            leaving: true,
            max_staleness_ms: 5_000,
            missed: 1,
            entries: vec![entry.clone(), UsageEntry { origin: None, verdict: "revoked".into(), ..entry }],
        }
    }

    #[test]
    fn a_report_reads_as_it_was_written() {
        let report = report();
        let bytes = report.encode();
        assert_eq!(UsageReport::decode(&bytes), Ok(report.clone()));
        let weight: usize = report.entries.iter().map(UsageEntry::weight).sum();
        assert!(bytes.len() <= weight + 200, "{} of {weight}", bytes.len());
        assert_eq!(report.run.to_string().parse(), Ok(report.run));
    }

    #[test]
    fn a_guard_counts_for_its_tenant_under_a_run_of_its_own() {
        let acme = "acme".parse().unwrap();
        assert_eq!(who_counts(&guard_counts(&acme, "mail/sender")), (Some("acme"), "mail/sender"));
        assert_eq!(who_counts("mail-1:8750"), (None, "mail-1:8750"));
        let (one, other) = (EventId::from_u128(5 << 80 | 7), EventId::from_u128(5 << 80 | 8));
        assert_ne!(RunId::of_guard(one), RunId::of_guard(other));
        assert_ne!(RunId::of_guard(one), RunId::from_u128(one.to_u128()));
        assert_eq!(RunId::of_guard(one).drawn_at(), Timestamp::from_millis(5));
    }

    #[test]
    fn what_is_no_report_is_not_read() {
        let mut long = report();
        long.entries[0].origin.as_mut().unwrap().service = "x".repeat(SERVICE_MAX + 1).into();
        let mut backwards = report();
        backwards.to = Timestamp::from_millis(1);
        for bytes in [long.encode(), backwards.encode(), b"no report".to_vec(), Vec::new()] {
            UsageReport::decode(&bytes).unwrap_err();
        }
    }
}
