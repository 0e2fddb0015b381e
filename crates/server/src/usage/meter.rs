//! Counts verdicts in the way of requests: a lock held for some nanoseconds, and no write anywhere until it is drained.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use application::Ambient;
use domain::{KeyId, TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use verify::{KeyIndex, Verdict};
use wire::{SERVICE_MAX, UsageEntry, UsageOrigin};

/// Locks, so that threads rarely meet: each key has one.
const SHARDS: usize = 32;
/// Keys of one lock that are counted between two drains, 262,144 in all: some 60 MB if every one of them is used. Verdicts
/// on more than these are told as missed.
const KEYS_MAX: usize = 8_192;
/// Details of one key that are told apart between two drains; what is beyond joins a sum without details.
const DETAILS_OF_KEY: usize = 64;
/// Details of one lock, 1 million in all: some 120 MB.
const DETAILS_MAX: usize = 32_768;
/// Names of asking operators that are at hand.
const NAMES_MAX: usize = 4_096;
/// For so long the name of an operator is taken as it was: a label changes rarely.
const NAME_MS: u64 = 10_000;
/// The label of an operator's key that names the service which holds it.
const SERVICE_LABEL: &str = "service";

/// Details are kept by the hour, so that a sum which waits for long still falls into the right ones.
const HOUR_MS: u64 = 3_600_000;

/// The label of a service: 1 to 64 characters of `A-Za-z0-9._/-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service(Arc<str>);

impl Service {
    /// Whether a text is the label of a service.
    pub(crate) fn is_label(text: &str) -> bool {
        (1..=SERVICE_MAX).contains(&text.len()) && text.bytes().all(is_plain)
    }

    /// A label as close to a text as one can be.
    fn like(text: &str) -> Self {
        let plain =
            text.bytes().take(SERVICE_MAX).map(|byte| if is_plain(byte) { char::from(byte) } else { '-' });
        Self(plain.collect::<String>().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._/-".contains(&byte)
}

/// One verdict on a key whose full secret was presented.
pub(crate) struct Used<'a> {
    pub(crate) tenant: &'a Arc<TenantId>,
    pub(crate) key_id: KeyId,
    pub(crate) verdict: Verdict,
    pub(crate) scope: Option<&'a str>,
    pub(crate) service: &'a str,
    pub(crate) network: Option<IpAddr>,
    pub(crate) now: Timestamp,
}

/// The network of an address as it is kept: /24 or /48, which tells a place and not a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Untold,
    V4([u8; 3]),
    V6([u8; 6]),
}

impl Network {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Untold,
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }

    fn text(self) -> Option<Box<str>> {
        match self {
            Self::Untold => None,
            Self::V4([a, b, c]) => Some(format!("{a}.{b}.{c}.0/24").into()),
            Self::V6([a, b, c, d, e, f]) => {
                let pair = |high, low| u16::from_be_bytes([high, low]);
                let address = std::net::Ipv6Addr::new(pair(a, b), pair(c, d), pair(e, f), 0, 0, 0, 0, 0);
                Some(format!("{address}/48").into())
            }
        }
    }
}

/// What was counted since the last drain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Those of one key side by side.
    pub(crate) entries: Vec<UsageEntry>,
    /// Verdicts for which there was no room at all.
    pub(crate) missed: u64,
}

/// Counts verdicts until they are drained.
pub(crate) struct UsageMeter {
    shards: Box<[Mutex<Shard>]>,
    missed: AtomicU64,
    /// What asking operators are called, and when that was looked up.
    names: RwLock<HashMap<KeyId, (Service, u64)>>,
    /// Only a measurement counts nothing.
    #[cfg(test)]
    pub(crate) is_off: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct Shard {
    keys: HashMap<KeyId, OfKey>,
    details: usize,
}

struct OfKey {
    tenant: Arc<TenantId>,
    details: Vec<Detail>,
}

struct Detail {
    verdict: Verdict,
    hour: u64,
    origin: Option<Origin>,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

struct Origin {
    scope: Option<Box<str>>,
    service: Box<str>,
    network: Network,
}

impl UsageMeter {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            missed: AtomicU64::new(0),
            names: RwLock::default(),
            #[cfg(test)]
            is_off: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Counts one verdict. Allocates only for what is new since the last drain.
    pub(crate) fn count(&self, used: &Used<'_>) {
        #[cfg(test)]
        if self.is_off.load(Ordering::Relaxed) {
            return;
        }
        // The low bits of a key id are random.
        let shard = usize::from(used.key_id.to_bytes()[15]) % SHARDS;
        if !self.shards[shard].lock().count(used) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&self) -> Drained {
        let mut drained = Drained { entries: Vec::new(), missed: self.missed.swap(0, Ordering::Relaxed) };
        for shard in &self.shards {
            let Shard { keys, .. } = std::mem::take(&mut *shard.lock());
            for (key_id, OfKey { tenant, details }) in keys {
                let entries = details.into_iter().map(|detail| detail.entry(&tenant, key_id));
                drained.entries.extend(entries);
            }
        }
        drained
    }

    /// What the holder of an operator's key is called where it does not say: by the label `service` of the key, else by the
    /// key's id. Never by its owner, which is personal and can be erased; this cannot.
    pub(crate) fn service_of(
        &self,
        index: &KeyIndex,
        operators: &TenantId,
        key_id: KeyId,
        ambient: &dyn Ambient,
    ) -> Service {
        let boot_ms = ambient.boot_ms();
        if let Some((service, at)) = self.names.read().get(&key_id)
            && boot_ms.saturating_sub(*at) < NAME_MS
        {
            return service.clone();
        }
        let key = index.key(operators, key_id).map(|state| state.key);
        let label =
            key.as_ref().and_then(|key| key.labels.iter().find(|label| label.name() == SERVICE_LABEL));
        let service = match label {
            Some(label) => Service::like(label.value()),
            None => Service::like(&format!("operator/{key_id}")),
        };
        let mut names = self.names.write();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(key_id, (service.clone(), boot_ms));
        service
    }
}

impl Shard {
    /// Whether there was room to count it.
    fn count(&mut self, used: &Used<'_>) -> bool {
        let has_room = self.keys.len() < KEYS_MAX;
        let of_key = match self.keys.get_mut(&used.key_id) {
            Some(of_key) => of_key,
            None if !has_room => return false,
            None => {
                let of_key = OfKey { tenant: Arc::clone(used.tenant), details: Vec::with_capacity(1) };
                self.keys.entry(used.key_id).or_insert(of_key)
            }
        };
        let hour = used.now.as_millis() / HOUR_MS;
        let network = Network::of(used.network);
        let same = |detail: &Detail| detail.verdict == used.verdict && detail.hour == hour;
        if let Some(detail) = of_key.details.iter_mut().find(|detail| {
            same(detail) && detail.origin.as_ref().is_some_and(|origin| origin.is(used, network))
        }) {
            detail.more(used.now);
            return true;
        }
        let origin = (of_key.details.len() < DETAILS_OF_KEY && self.details < DETAILS_MAX).then(|| Origin {
            scope: used.scope.map(Into::into),
            service: used.service.into(),
            network,
        });
        if origin.is_none()
            && let Some(sum) =
                of_key.details.iter_mut().find(|detail| same(detail) && detail.origin.is_none())
        {
            sum.more(used.now);
            return true;
        }
        let (verdict, first, last) = (used.verdict, used.now, used.now);
        of_key.details.push(Detail { verdict, hour, origin, count: 1, first, last });
        self.details += 1;
        true
    }
}

impl Origin {
    fn is(&self, used: &Used<'_>, network: Network) -> bool {
        self.network == network && *self.service == *used.service && self.scope.as_deref() == used.scope
    }
}

impl Detail {
    fn more(&mut self, now: Timestamp) {
        self.count += 1;
        self.first = self.first.min(now);
        self.last = self.last.max(now);
    }

    fn entry(self, tenant: &TenantId, key_id: KeyId) -> UsageEntry {
        UsageEntry {
            tenant: tenant.clone(),
            key_id,
            verdict: self.verdict.as_str().into(),
            count: self.count,
            first: self.first,
            last: self.last,
            origin: self.origin.map(|origin| UsageOrigin {
                scope: origin.scope,
                service: origin.service,
                network: origin.network.text(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
