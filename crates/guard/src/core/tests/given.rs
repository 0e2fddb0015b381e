//! What the core's tests begin with: a tenant with a few keys, and the words that a server says of them.

use domain::{
    Environment, KeyId, LogId, Position, Prefix, SecretDigest, TenantId, Timestamp, digest_key, format_key,
};
use domain::{ImportKey, PlainSecret};
use verify::{Moment, Verdict};
use wire::guard::{Filled, FilledKey, FilledTenant, LeaseGranted};
use wire::{Heard, NoticeData, NoticeKind, NoticeSelector, format_rfc3339, hex};

use crate::core::{Arrived, Capacity, Core, Judged, LeaseOutcome, Outcome};
use crate::requirement::Requirement;

pub(crate) const LOG: LogId = LogId::from_u128(7);
pub(crate) const OTHER_LOG: LogId = LogId::from_u128(8);
pub(crate) const BOUND: u64 = 5_000;
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub(crate) fn acme() -> TenantId {
    "acme".parse().unwrap()
}

pub(crate) fn key_id(n: u8) -> KeyId {
    KeyId::from_u128(u128::from(n) << 64 | 7)
}

fn secret(n: u8) -> PlainSecret {
    PlainSecret::draw(|bytes| bytes.fill(n))
}

/// The key as its holder presents it.
pub(crate) fn token(n: u8) -> String {
    format_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)).expose().to_owned()
}

/// A key's id with another secret.
pub(crate) fn guess(n: u8) -> String {
    format_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n + 100)).expose().to_owned()
}

/// An active key, of owner 1 or 2.
pub(crate) fn filled(n: u8) -> FilledKey {
    FilledKey {
        key_id: key_id(n).to_string(),
        digest: hex(&digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)).short()),
        imported: false,
        standing: "active".to_owned(),
        since: None,
        expires_at: None,
        owner_tag: hex(&[1 + n % 2; 16]),
        owner: Some("list-sender".to_owned()),
        scopes: vec!["campaigns:send".to_owned()],
        labels: [("service".to_owned(), "mailer".to_owned())].into(),
        networks: Vec::new(),
        environment: "live".to_owned(),
        issuer: None,
        settled_at: 1,
    }
}

/// Another system's key.
pub(crate) fn imported(token: &str) -> FilledKey {
    let digest = SecretDigest::of_token(token);
    let key_id = ImportKey::key_id(&acme(), &digest).to_string();
    FilledKey { key_id, digest: hex(&digest.short()), imported: true, ..filled(0) }
}

pub(crate) fn notice(position: u64, previous: u64, kind: NoticeKind, key: Option<u8>) -> Heard {
    Heard {
        log_id: LOG,
        tenant: acme(),
        key_id: key.map(key_id),
        kind: Some(kind),
        data: NoticeData { position, previous, occurred_at: format_rfc3339(NOW), ..NoticeData::default() },
    }
}

pub(crate) fn recall(position: u64, previous: u64, selector: NoticeSelector) -> Heard {
    let mut heard = notice(position, previous, NoticeKind::Recalled, None);
    heard.data.selector = Some(selector);
    heard
}

pub(crate) fn all() -> NoticeSelector {
    NoticeSelector { all: Some(true), ..NoticeSelector::default() }
}

pub(crate) fn owner(tag: u8) -> NoticeSelector {
    NoticeSelector { owner_tag: Some(hex(&[tag; 16])), ..NoticeSelector::default() }
}

pub(crate) fn answer(as_of: u64, keys: Vec<Option<FilledKey>>) -> Filled {
    Filled { log_id: LOG.to_string(), as_of, tenant: FilledTenant::default(), keys }
}

/// A guard that was registered and follows a feed from `head` on, at boot time 0.
pub(crate) struct Given {
    pub(crate) core: Core,
    pub(crate) boot_ms: u64,
}

impl Given {
    pub(crate) fn following_from(head: u64) -> Self {
        let core = Core::new(acme(), Capacity::Cache { keys: 1_000, absent: 100 }, 40);
        core.on_registered(LOG, Position::new(head), BOUND);
        assert_eq!(core.on_hello(&LOG.to_string(), Position::new(head), Position::new(head)), Outcome::Taken);
        Self { core, boot_ms: 0 }
    }

    /// Also with a lease, and these keys.
    pub(crate) fn holding(head: u64, keys: &[u8]) -> Self {
        let given = Self::following_from(head);
        given.lease(head, head, 0);
        let filled = keys.iter().map(|n| Some(filled(*n))).collect();
        given.fill(head, keys, filled);
        given
    }

    #[track_caller]
    pub(crate) fn fill(&self, as_of: u64, keys: &[u8], filled: Vec<Option<FilledKey>>) -> Vec<Arrived> {
        let ticket = self.core.begin_fill(keys.iter().map(|n| key_id(*n)).collect()).unwrap();
        self.core.on_filled(&ticket, &answer(as_of, filled), self.boot_ms)
    }

    pub(crate) fn lease(&self, head: u64, last_notice: u64, staleness_ms: u64) -> LeaseOutcome {
        let ask = self.core.ask_lease("g", self.boot_ms);
        self.core.on_lease(&granted(ask.nonce, head, last_notice, staleness_ms))
    }

    pub(crate) fn at(self, boot_ms: u64) -> Self {
        Self { boot_ms, ..self }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { now: NOW, boot_ms: self.boot_ms }
    }

    /// The verdict on a token, or that the server has to be asked.
    pub(crate) fn judge(&self, token: &str) -> Result<Verdict, KeyId> {
        match self.core.judge(token, &Requirement::any(), self.moment()) {
            Judged::Answer(decision) => Ok(decision.verdict),
            Judged::Ask(key_id) => Err(key_id),
        }
    }

    pub(crate) fn verdict(&self, n: u8) -> Result<Verdict, KeyId> {
        self.judge(&token(n))
    }
}

pub(crate) fn granted(nonce: u64, head: u64, last_notice: u64, staleness_ms: u64) -> LeaseGranted {
    LeaseGranted {
        nonce,
        log_id: LOG.to_string(),
        head,
        last_notice,
        last_unread: 0,
        staleness_ms,
        report_within_ms: 0,
    }
}
