//! A key's rows: its summary, its hours and its days, and how an entry of a report changes them.

use std::collections::BTreeMap;

use domain::{KeyId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use wire::UsageEntry;

use super::key_usage::{Bucket, KeyUsage, RefusedAs, Requests, SeenService, UsageOther, UsagePart};
use crate::changes::Changes;
use crate::tree::{Tree, TreeError};
use crate::view::{decode_row, encode_row};
use crate::views::RowName;

/// A key's summary.
const KEY: u8 = b'k';
/// One hour of a key, one day of a key: the number since 1970 at the end.
const HOUR: u8 = b'h';
const DAY: u8 = b'd';

pub(crate) const HOUR_MS: u64 = 3_600_000;
const HOURS_OF_DAY: u64 = 24;
pub(crate) const DAY_MS: u64 = HOURS_OF_DAY * HOUR_MS;
/// Hours that are kept: 7 days, and the one that goes on.
pub(crate) const HOURS_KEPT: u64 = 7 * 24;
/// Days that are kept: 90, with the one that goes on.
pub(crate) const DAYS_KEPT: u64 = 90;
/// Old hours or days that one write removes at most: more than come to be between two writes of a key that is in use; of
/// one that was not, the rest goes with the next.
const SWEEP: usize = 24;

/// Scopes, services and networks told apart: as many scopes as a key can have, and as many of the others as a person reads.
const SCOPES_MAX: usize = 64;
const SERVICES_MAX: usize = 64;
const NETWORKS_MAX: usize = 64;
/// Verdicts told apart: more than there are; what a newer build may add has room.
const VERDICTS_MAX: usize = 24;

/// The word that lets somebody pass.
const VALID: &str = "valid";

/// Everything about a key but the hours that are over, and its days.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    /// 0 = never.
    first_used: u64,
    last_used: u64,
    valid: u64,
    refused: u64,
    scopes: Tops,
    services: Tops,
    networks: Tops,
    refusals: Vec<RefusalRow>,
    /// Stands behind the others: rows of schema 1 end before it.
    #[serde(skip)]
    recent: RecentHour,
}

/// The hour in which a key was heard of last. It joins its hour's and its day's row once another begins, so that a key in use
/// costs one row a report and not three.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct RecentHour {
    /// Since 1970.
    number: u64,
    valid: u64,
    refused: u64,
}

/// The names seen last, and the sum of all others.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tops {
    parts: Vec<Part>,
    other: Option<Part>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Part {
    name: Option<String>,
    valid: u64,
    refused: u64,
    /// 0 = never.
    last_used: u64,
    last_seen: u64,
    /// Only of services: the network named last.
    network: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RefusalRow {
    verdict: String,
    count: u64,
    first: u64,
    last: u64,
    service: Option<String>,
    network: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct BucketRow {
    valid: u64,
    refused: u64,
}

pub(crate) fn key_name(tenant: &TenantId, key_id: KeyId) -> Vec<u8> {
    RowName::of(KEY).tenant(tenant).key_id(key_id).done()
}

pub(crate) fn keys_of(tenant: &TenantId) -> Vec<u8> {
    RowName::of(KEY).tenant(tenant).done()
}

fn buckets_of(kind: u8, tenant: &TenantId, key_id: KeyId) -> RowName {
    RowName::of(kind).tenant(tenant).key_id(key_id)
}

/// Adds the entries of one key to its rows.
pub(crate) fn add(entries: &[UsageEntry], changes: &mut Changes<'_>) -> Result<(), TreeError> {
    let Some(UsageEntry { tenant, key_id, .. }) = entries.first() else { return Ok(()) };
    let name = key_name(tenant, *key_id);
    let mut row = match changes.get(&name)? {
        Some(bytes) => KeyRow::decode(&bytes)?,
        None => KeyRow::default(),
    };
    for entry in entries {
        row.add(entry);
        let hour = RecentHour::of(entry.last.as_millis() / HOUR_MS, requests(entry));
        if let Some(over) = row.recent.merge(hour) {
            add_bucket(buckets_of(HOUR, tenant, *key_id), over.number, HOURS_KEPT, over, changes)?;
            let day = over.number / HOURS_OF_DAY;
            add_bucket(buckets_of(DAY, tenant, *key_id), day, DAYS_KEPT - 1, over, changes)?;
        }
    }
    changes.put(name, row.encode());
    Ok(())
}

fn requests(entry: &UsageEntry) -> Requests {
    if &*entry.verdict == VALID {
        Requests { valid: entry.count, refused: 0 }
    } else {
        Requests { valid: 0, refused: entry.count }
    }
}

/// Adds to one hour or day; a new one sweeps out those that are too old.
fn add_bucket(
    of_key: RowName,
    number: u64,
    kept: u64,
    over: RecentHour,
    changes: &mut Changes<'_>,
) -> Result<(), TreeError> {
    let name = of_key.clone().number(number).done();
    let mut row: BucketRow = match changes.get(&name)? {
        Some(bytes) => decode_row(&bytes)?,
        None => {
            let oldest = of_key.clone().number(number.saturating_sub(kept)).done();
            for (old, _) in changes.scan_applied(&of_key.done(), None, SWEEP)? {
                if old < oldest {
                    changes.remove(old);
                }
            }
            BucketRow::default()
        }
    };
    row.valid = row.valid.saturating_add(over.valid);
    row.refused = row.refused.saturating_add(over.refused);
    changes.put(name, encode_row(&row));
    Ok(())
}

impl RecentHour {
    const fn of(number: u64, Requests { valid, refused }: Requests) -> Self {
        Self { number, valid, refused }
    }

    /// Adds an hour to this one. Of two that differ the later one stays, and the other is over.
    fn merge(&mut self, hour: Self) -> Option<Self> {
        if hour.number < self.number {
            return Some(hour);
        }
        if hour.number > self.number {
            let over = std::mem::replace(self, hour);
            return (over.number > 0).then_some(over);
        }
        self.valid = self.valid.saturating_add(hour.valid);
        self.refused = self.refused.saturating_add(hour.refused);
        None
    }
}

impl KeyRow {
    /// Reads a row of this form or of the one before, whose hours and days are all in rows of their own.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let (mut row, rest): (Self, _) = postcard::take_from_bytes(bytes)
            .map_err(|_| TreeError::damaged("a row is not of the form that the record writes"))?;
        if !rest.is_empty() {
            row.recent = decode_row(rest)?;
        }
        Ok(row)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = encode_row(self);
        bytes.extend(encode_row(&self.recent));
        bytes
    }

    fn add(&mut self, entry: &UsageEntry) {
        let (requests, last) = (requests(entry), entry.last.as_millis());
        self.valid = self.valid.saturating_add(requests.valid);
        self.refused = self.refused.saturating_add(requests.refused);
        if requests.valid > 0 {
            let first = entry.first.as_millis();
            self.first_used = if self.first_used == 0 { first } else { self.first_used.min(first) };
            self.last_used = self.last_used.max(last);
        } else {
            self.refuse(entry);
        }
        let Some(origin) = &entry.origin else {
            for tops in [&mut self.scopes, &mut self.services, &mut self.networks] {
                tops.other.get_or_insert_default().add(requests, last);
            }
            return;
        };
        let (scope, network) = (origin.scope.as_deref(), origin.network.as_deref());
        self.scopes.part(scope, SCOPES_MAX).add(requests, last);
        self.networks.part(network, NETWORKS_MAX).add(requests, last);
        let service = self.services.part(Some(&origin.service), SERVICES_MAX);
        if network.is_some() && last >= service.last_seen {
            service.network = network.map(str::to_owned);
        }
        service.add(requests, last);
    }

    fn refuse(&mut self, entry: &UsageEntry) {
        let (first, last) = (entry.first.as_millis(), entry.last.as_millis());
        let at = self.refusals.iter().position(|row| *row.verdict == *entry.verdict);
        let at = match at {
            Some(at) => at,
            // A word that no build of ours says: the last row takes it, so that nothing grows.
            None if self.refusals.len() >= VERDICTS_MAX => self.refusals.len() - 1,
            None => {
                let verdict = entry.verdict.to_string();
                let row = RefusalRow { verdict, count: 0, first, last: 0, service: None, network: None };
                self.refusals.push(row);
                self.refusals.len() - 1
            }
        };
        let row = &mut self.refusals[at];
        row.count = row.count.saturating_add(entry.count);
        row.first = row.first.min(first);
        if last >= row.last {
            row.last = last;
            row.service = entry.origin.as_ref().map(|origin| origin.service.to_string());
            row.network =
                entry.origin.as_ref().and_then(|origin| origin.network.as_deref()).map(str::to_owned);
        }
    }

    /// The last `valid` by any service, or by one. A service that is not among those told apart may be among the others,
    /// so theirs counts for it.
    pub(crate) fn last_used(&self, service: Option<&str>) -> Option<Timestamp> {
        let last = match service {
            None => self.last_used,
            Some(_) => match self.services.parts.iter().find(|part| part.name.as_deref() == service) {
                Some(part) => part.last_used,
                None => self.services.other.as_ref().map_or(0, |other| other.last_used),
            },
        };
        instant(last)
    }

    pub(crate) fn first_used(&self) -> Option<Timestamp> {
        instant(self.first_used)
    }

    /// Everything but hours and days.
    pub(crate) fn shown(self) -> KeyUsage {
        let (scopes, scopes_other) = self.scopes.shown(Part::shown);
        let (services, services_other) = self.services.shown(Part::shown_service);
        let (networks, networks_other) = self.networks.shown(Part::shown);
        let mut refused: Vec<RefusedAs> = self.refusals.into_iter().map(RefusalRow::shown).collect();
        refused.sort_by_key(|row| std::cmp::Reverse(row.last));
        KeyUsage {
            first_used: instant(self.first_used),
            last_used: instant(self.last_used),
            total: Requests { valid: self.valid, refused: self.refused },
            hours: Vec::new(),
            days: Vec::new(),
            scopes,
            scopes_other,
            services,
            services_other,
            networks,
            networks_other,
            refused,
        }
    }

    /// Services with a `valid` at or after an instant, last first; the others together as one without a name.
    pub(crate) fn services_since(self, since: Timestamp) -> Vec<SeenService> {
        let Tops { parts, other } = self.services;
        let other = other.map(|other| Part { name: None, network: None, ..other });
        let used = parts.into_iter().chain(other).filter(|part| part.last_used.max(1) >= since.as_millis());
        let used = used.filter(|part| part.last_used > 0);
        let mut services: Vec<SeenService> = used.map(Part::shown_service).collect();
        services.sort_by_key(|service| std::cmp::Reverse(service.last_used));
        services
    }
}

/// 0 = never.
fn instant(millis: u64) -> Option<Timestamp> {
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

impl Tops {
    /// The part of a name. Where there are too many, the one seen least recently joins the others, so that what the others
    /// tell was seen before all that is told apart, or was never told apart.
    fn part(&mut self, name: Option<&str>, max: usize) -> &mut Part {
        let at = match self.parts.iter().position(|part| part.name.as_deref() == name) {
            Some(at) => at,
            None => {
                if self.parts.len() >= max {
                    let oldest = self.parts.iter().enumerate().min_by_key(|(_, part)| part.last_seen);
                    let oldest = oldest.map_or(0, |(at, _)| at);
                    let part = self.parts.swap_remove(oldest);
                    self.other.get_or_insert_default().merge(&part);
                }
                self.parts.push(Part { name: name.map(str::to_owned), ..Part::default() });
                self.parts.len() - 1
            }
        };
        &mut self.parts[at]
    }

    fn shown<T>(mut self, shown: fn(Part) -> T) -> (Vec<T>, Option<UsageOther>) {
        self.parts.sort_by_key(|part| std::cmp::Reverse(part.last_seen));
        let other = self.other.map(|other| UsageOther {
            requests: other.requests(),
            last_used: instant(other.last_used),
            last_seen: Timestamp::from_millis(other.last_seen),
        });
        (self.parts.into_iter().map(shown).collect(), other)
    }
}

impl Part {
    const fn requests(&self) -> Requests {
        Requests { valid: self.valid, refused: self.refused }
    }

    /// Adds verdicts of one kind, the last of them at `last`.
    fn add(&mut self, requests: Requests, last: u64) {
        let last_used = if requests.valid > 0 { last } else { 0 };
        let Requests { valid, refused } = requests;
        self.merge(&Self { valid, refused, last_used, last_seen: last, ..Self::default() });
    }

    fn merge(&mut self, more: &Self) {
        self.valid = self.valid.saturating_add(more.valid);
        self.refused = self.refused.saturating_add(more.refused);
        self.last_used = self.last_used.max(more.last_used);
        self.last_seen = self.last_seen.max(more.last_seen);
    }

    fn shown(self) -> UsagePart {
        UsagePart {
            requests: self.requests(),
            last_used: instant(self.last_used),
            last_seen: Timestamp::from_millis(self.last_seen),
            name: self.name.map(Into::into),
        }
    }

    fn shown_service(self) -> SeenService {
        SeenService {
            requests: self.requests(),
            last_used: instant(self.last_used),
            last_seen: Timestamp::from_millis(self.last_seen),
            service: self.name.map(Into::into),
            network: self.network.map(Into::into),
        }
    }
}

impl RefusalRow {
    fn shown(self) -> RefusedAs {
        RefusedAs {
            verdict: self.verdict.into(),
            count: self.count,
            first: Timestamp::from_millis(self.first),
            last: Timestamp::from_millis(self.last),
            service: self.service.map(Into::into),
            network: self.network.map(Into::into),
        }
    }
}

/// The row of a key; an empty one if nothing is known of it.
pub(crate) fn read(tree: &dyn Tree, tenant: &TenantId, key_id: KeyId) -> Result<KeyRow, TreeError> {
    tree.get(&key_name(tenant, key_id))?.map_or_else(|| Ok(KeyRow::default()), |row| KeyRow::decode(&row))
}

/// The hours of a key that are kept at an instant, oldest first.
pub(crate) fn hours(
    tree: &dyn Tree,
    tenant: &TenantId,
    key_id: KeyId,
    now: Timestamp,
) -> Result<Vec<Bucket>, TreeError> {
    let first = (now.as_millis() / HOUR_MS).saturating_sub(HOURS_KEPT);
    let recent = read(tree, tenant, key_id)?.recent;
    buckets(tree, &buckets_of(HOUR, tenant, key_id), first, HOUR_MS, recent)
}

/// The days of a key that are kept at an instant, oldest first.
pub(crate) fn days(
    tree: &dyn Tree,
    tenant: &TenantId,
    key_id: KeyId,
    now: Timestamp,
) -> Result<Vec<Bucket>, TreeError> {
    let first = (now.as_millis() / DAY_MS).saturating_sub(DAYS_KEPT - 1);
    let recent = read(tree, tenant, key_id)?.recent;
    let recent = RecentHour { number: recent.number / HOURS_OF_DAY, ..recent };
    buckets(tree, &buckets_of(DAY, tenant, key_id), first, DAY_MS, recent)
}

/// The rows from `first` on, with `recent` in its place.
fn buckets(
    tree: &dyn Tree,
    of_key: &RowName,
    first: u64,
    each_ms: u64,
    recent: RecentHour,
) -> Result<Vec<Bucket>, TreeError> {
    let after = first.checked_sub(1).map(|before| of_key.clone().number(before).done());
    let mut sums = BTreeMap::new();
    for (name, value) in tree.scan(&of_key.clone().done(), after.as_deref(), usize::MAX)? {
        let (_, number) = crate::views::split_end(&name)?;
        let BucketRow { valid, refused } = decode_row(&value)?;
        sums.insert(u64::from_be_bytes(number), Requests { valid, refused });
    }
    if recent.number > 0 && recent.number >= first {
        let RecentHour { number, valid, refused } = recent;
        *sums.entry(number).or_default() += Requests { valid, refused };
    }
    let bucket = |(number, requests)| Bucket { start: Timestamp::from_millis(number * each_ms), requests };
    Ok(sums.into_iter().map(bucket).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_first_schema_is_read_and_goes_on() {
        let mut row = KeyRow::decode(&[1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((row.first_used, row.last_used, row.valid, row.recent.number), (1, 2, 3, 0));
        assert!(row.recent.merge(RecentHour::of(7, Requests { valid: 1, refused: 0 })).is_none());
        let again = KeyRow::decode(&row.encode()).unwrap();
        assert_eq!((again.valid, again.recent.number, again.recent.valid), (3, 7, 1));
    }

    #[test]
    fn a_row_with_anything_behind_it_is_damage() {
        let mut bytes = KeyRow::default().encode();
        bytes.push(0);
        assert!(matches!(KeyRow::decode(&bytes), Err(TreeError::Damaged { .. })));
    }
}
