//! What a guard counted: its reports of usage as JSON, and back into what is on record.

use domain::{EventId, KeyId, Scope, TenantId};
use serde::{Deserialize, Serialize};

use crate::usage::{RunId, SERVICE_MAX, UsageEntry, UsageOrigin, UsageReport, guard_counts};
use crate::{format_rfc3339, parse_rfc3339};

/// `POST /v1/guard/usage`: sums of what the guard said, at most once a second.
///
/// Reports with sums are numbered from 1 without a gap; the same number again is the same report again and counted once. The
/// others repeat the last number and say that nothing more was counted up to `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Who counted.
    pub guard_id: String,
    /// The number of the last report with sums, this one included.
    pub sequence: u64,
    /// Where the span of the report before it ended, RFC 3339, by the server's clock as `now` tells it.
    pub from: String,
    /// Up to here everything has been reported. The same as `from` where a later report finishes the span.
    pub to: String,
    /// The guard answers nobody any more.
    #[serde(default)]
    pub leaving: bool,
    /// Verdicts for which there was no room.
    #[serde(default)]
    pub missed: u64,
    /// The sums, at most [`Usage::MAX_KEYS`], those of one key side by side.
    #[serde(default)]
    pub keys: Vec<UsedKey>,
}

/// How often one key got one verdict, for one purpose from one place within one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UsedKey {
    /// Which key.
    pub key_id: String,
    /// The verdict's word.
    pub verdict: String,
    /// How often.
    pub count: u64,
    /// The first time, RFC 3339.
    pub first: String,
    /// The last time, RFC 3339.
    pub last: String,
    /// For what and from where; null where details were given up for their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<UsedFor>,
}

/// For what a key was presented, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UsedFor {
    /// The scope that was asked for, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The network that the key was presented from, if it was told: `192.0.2.0/24` or `2001:db8:1::/48`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// The answer to [`Usage`]: it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counted {
    /// What time it is at the server, RFC 3339.
    pub now: String,
}

impl Usage {
    /// The most sums of one report: they fit into a body of 64 KiB, however long their texts are.
    pub const MAX_KEYS: usize = 256;
    /// What the entries of one report may weigh for that, see [`UsageEntry::weight`].
    pub const MAX_WEIGHT: usize = 20 * 1024;

    /// A report as a guard sends it.
    #[must_use]
    pub fn of(guard_id: &str, report: &UsageReport) -> Self {
        Self {
            guard_id: guard_id.to_owned(),
            sequence: report.sequence,
            from: format_rfc3339(report.from),
            to: format_rfc3339(report.to),
            leaving: report.leaving,
            missed: report.missed,
            keys: report.entries.iter().map(UsedKey::of).collect(),
        }
    }

    /// The report as it goes on record, of a guard of this tenant and name; or what in it cannot be read.
    ///
    /// # Errors
    /// The member that cannot be read.
    pub fn into_report(
        self,
        tenant: &TenantId,
        name: &str,
        max_staleness_ms: u64,
    ) -> Result<UsageReport, &'static str> {
        let guard_id: EventId = self.guard_id.parse().map_err(|_| "guard_id")?;
        let from = parse_rfc3339(&self.from).map_err(|_| "from")?;
        let to = parse_rfc3339(&self.to).map_err(|_| "to")?;
        if from > to {
            return Err("to");
        }
        if self.keys.len() > Self::MAX_KEYS {
            return Err("keys");
        }
        let entries = self.keys.into_iter().map(|key| key.into_entry(tenant, name));
        Ok(UsageReport {
            run: RunId::of_guard(guard_id),
            server: guard_counts(tenant, name),
            sequence: self.sequence,
            from,
            to,
            leaving: self.leaving,
            max_staleness_ms,
            missed: self.missed,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }
}

impl UsedKey {
    fn of(entry: &UsageEntry) -> Self {
        Self {
            key_id: entry.key_id.to_string(),
            verdict: entry.verdict.to_string(),
            count: entry.count,
            first: format_rfc3339(entry.first),
            last: format_rfc3339(entry.last),
            origin: entry.origin.as_ref().map(|origin| UsedFor {
                scope: origin.scope.as_deref().map(str::to_owned),
                network: origin.network.as_deref().map(str::to_owned),
            }),
        }
    }

    fn into_entry(self, tenant: &TenantId, service: &str) -> Result<UsageEntry, &'static str> {
        let key_id: KeyId = self.key_id.parse().map_err(|_| "keys.key_id")?;
        let first = parse_rfc3339(&self.first).map_err(|_| "keys.first")?;
        let last = parse_rfc3339(&self.last).map_err(|_| "keys.last")?;
        if first > last {
            return Err("keys.last");
        }
        if self.count == 0 {
            return Err("keys.count");
        }
        let origin = self.origin.map(|origin| origin.into_origin(service)).transpose()?;
        let tenant = tenant.clone();
        Ok(UsageEntry {
            tenant,
            key_id,
            verdict: self.verdict.into(),
            count: self.count,
            first,
            last,
            origin,
        })
    }
}

impl UsedFor {
    fn into_origin(self, service: &str) -> Result<UsageOrigin, &'static str> {
        if self.scope.as_ref().is_some_and(|scope| scope.parse::<Scope>().is_err()) {
            return Err("keys.origin.scope");
        }
        let is_network = |text: &String| {
            text.len() <= SERVICE_MAX
                && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:/".contains(&byte))
        };
        if self.network.as_ref().is_some_and(|network| !is_network(network)) {
            return Err("keys.origin.network");
        }
        Ok(UsageOrigin {
            scope: self.scope.map(Into::into),
            service: service.into(),
            network: self.network.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;
    use crate::usage::{Stay, UsageProgress};

    const GUARD: &str = "01JDA7W5W6M4Q0T3S8V2N9X1YZ";

    fn entry(n: u128, scope: Option<usize>) -> UsageEntry {
        let service: Box<str> = "m".into();
        UsageEntry {
            tenant: "a".parse().unwrap(),
            key_id: KeyId::from_u128(n),
            verdict: "valid".into(),
            count: u64::MAX,
            first: Timestamp::from_millis(1_790_000_000_001),
            last: Timestamp::from_millis(1_790_000_000_999),
            origin: scope.map(|len| UsageOrigin {
                scope: Some("s".repeat(len).into()),
                service,
                network: Some("2001:db8:ffff::/48".into()),
            }),
        }
    }

    #[test]
    fn a_report_fits_into_a_body_and_reads_as_it_was_written() {
        let tenant: TenantId = "a".parse().unwrap();
        let (run, began) =
            (RunId::of_guard(GUARD.parse().unwrap()), Timestamp::from_millis(1_790_000_000_000));
        for scope in [None, Some(1), Some(64)] {
            let mut progress =
                UsageProgress::new(run, guard_counts(&tenant, "m"), 5_000, Usage::MAX_WEIGHT, began);
            let entries: Vec<_> = (0..2_000).map(|n| entry(n, scope)).collect();
            progress.number((entries, 3), began.plus_millis(1_000), Stay::Leaving);
            while let Some(report) = progress.waiting().cloned() {
                let body = serde_json::to_vec(&Usage::of(GUARD, &report)).unwrap();
                assert!(body.len() < 64 * 1024, "{}", body.len());
                let read: Usage = serde_json::from_slice(&body).unwrap();
                assert_eq!(read.into_report(&tenant, "m", 5_000), Ok(report));
                progress.settled();
            }
        }
    }

    #[test]
    fn what_is_no_report_names_what_is_wrong() {
        let key = |key: UsedKey| Usage {
            guard_id: GUARD.to_owned(),
            sequence: 1,
            from: "2026-11-23T10:00:00Z".to_owned(),
            to: "2026-11-23T10:00:01Z".to_owned(),
            leaving: false,
            missed: 0,
            keys: vec![key],
        };
        let good = UsedKey::of(&entry(7, Some(1)));
        let origin = |scope: &str, network: &str| {
            let (scope, network) = (Some(scope.to_owned()), Some(network.to_owned()));
            Some(UsedFor { scope, network })
        };
        for (usage, wrong) in [
            (Usage { guard_id: "x".to_owned(), ..key(good.clone()) }, "guard_id"),
            (Usage { to: "2026-11-23T09:00:00Z".to_owned(), ..key(good.clone()) }, "to"),
            (Usage { from: "now".to_owned(), ..key(good.clone()) }, "from"),
            (Usage { keys: vec![good.clone(); Usage::MAX_KEYS + 1], ..key(good.clone()) }, "keys"),
            (key(UsedKey { key_id: "x".to_owned(), ..good.clone() }), "keys.key_id"),
            (key(UsedKey { count: 0, ..good.clone() }), "keys.count"),
            (key(UsedKey { last: "2020-01-01T00:00:00Z".to_owned(), ..good.clone() }), "keys.last"),
            (
                key(UsedKey { origin: origin("no scope", "192.0.2.0/24"), ..good.clone() }),
                "keys.origin.scope",
            ),
            (key(UsedKey { origin: origin("a:b", "next door"), ..good.clone() }), "keys.origin.network"),
        ] {
            assert_eq!(usage.into_report(&"a".parse().unwrap(), "m", 5_000), Err(wrong));
        }
        assert!(key(good).into_report(&"a".parse().unwrap(), "m", 5_000).is_ok());
    }
}
