//! Counts the verdicts of this server, by the service that asked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::Ordering;

use application::Ambient;
use domain::{KeyId, TenantId, Timestamp};
use parking_lot::RwLock;
use verify::{KeyIndex, Sum, Tallied, Tally, TallyLimits, Verdict};
use wire::{SERVICE_MAX, UsageEntry, UsageNetwork, UsageOrigin};

/// What is told apart between two drains: some 60 MB of keys and 120 MB of details, if as many are used within a second.
const LIMITS: TallyLimits = TallyLimits { keys: 262_144, details: 1_048_576 };
/// Names of asking operators that are at hand.
const NAMES_MAX: usize = 4_096;
/// For so long the name of an operator is taken as it was: a label changes rarely.
const NAME_MS: u64 = 10_000;
/// The label of an operator's key that names the service which holds it.
const SERVICE_LABEL: &str = "service";

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
    tally: Tally<Origin>,
    /// What asking operators are called, and when that was looked up.
    names: RwLock<HashMap<KeyId, (Service, u64)>>,
    /// Only a measurement counts nothing.
    #[cfg(test)]
    pub(crate) is_off: std::sync::atomic::AtomicBool,
}

/// For what and from where.
struct Origin {
    scope: Option<Box<str>>,
    service: Box<str>,
    network: UsageNetwork,
}

impl UsageMeter {
    pub(crate) fn new() -> Self {
        Self {
            tally: Tally::new(LIMITS),
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
        let Used { tenant, key_id, verdict, now, .. } = *used;
        let network = UsageNetwork::of(used.network);
        let origin = || Origin { scope: used.scope.map(Into::into), service: used.service.into(), network };
        self.tally.count(
            &Tallied { tenant, key_id, verdict, now },
            |origin| origin.is(used, network),
            origin,
        );
    }

    /// Takes everything out.
    pub(crate) fn drain(&self) -> Drained {
        let (mut sums, missed) = self.tally.drain();
        // Neighbours in the record's tree, where each is read and written.
        sums.sort_unstable_by(|a, b| (&*a.tenant, a.key_id).cmp(&(&*b.tenant, b.key_id)));
        Drained { entries: sums.into_iter().map(entry).collect(), missed }
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

impl Origin {
    fn is(&self, used: &Used<'_>, network: UsageNetwork) -> bool {
        self.network == network && *self.service == *used.service && self.scope.as_deref() == used.scope
    }
}

fn entry(sum: Sum<Origin>) -> UsageEntry {
    UsageEntry {
        tenant: TenantId::clone(&sum.tenant),
        key_id: sum.key_id,
        verdict: sum.verdict.as_str().into(),
        count: sum.count,
        first: sum.first,
        last: sum.last,
        origin: sum.origin.map(|origin| UsageOrigin {
            scope: origin.scope,
            service: origin.service,
            network: origin.network.text(),
        }),
    }
}

#[cfg(test)]
mod tests;
