//! What a verdict must be: told from the log's facts alone, for every node and key, at any moment.

use std::net::IpAddr;
use std::time::Duration;

use application::Ambient;
use domain::{ParsedKey, Position, Scope, Selector, Standing, TenantId, Timestamp};
use tokio::time::Instant;
use verify::{Answer, KeyIndex, Moment, Verdict, VerifyRequest};

use super::ambient::SimAmbient;
use super::model::{Held, Model};
use super::truth::{KeyFacts, Truth, is_hit};

/// The bound that every node's index is given.
pub(crate) const MAX_STALENESS: Duration = Duration::from_secs(5);
/// By so much more may clocks drift meanwhile.
pub(crate) const DRIFT: Duration = Duration::from_millis(500);

/// A key as it is presented.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) held: Held,
    /// The last character of the secret is another: the key was never issued with it.
    pub(crate) wrong_secret: bool,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) scope: Option<Scope>,
    pub(crate) network: Option<IpAddr>,
}

impl Ask {
    pub(crate) fn plain(held: &Held) -> Self {
        // A key of another system is known to its tenant only.
        let tenant = held.imported.then(|| held.tenant.clone());
        Self { held: held.clone(), wrong_secret: false, tenant, scope: None, network: None }
    }

    pub(crate) fn put(&self, index: &KeyIndex, clock: &SimAmbient) -> Answer {
        self.put_at(index, Moment { now: clock.now(), boot_ms: clock.boot_ms() })
    }

    pub(crate) fn put_at(&self, index: &KeyIndex, moment: Moment) -> Answer {
        let forged;
        let token = if self.wrong_secret {
            forged = match self.held.imported {
                true => format!("{}x", self.held.token),
                false => forge(&self.held.token),
            };
            &forged
        } else {
            &self.held.token
        };
        let request = VerifyRequest {
            token,
            tenant: self.tenant.as_ref(),
            scope: self.scope.as_ref(),
            network: self.network,
        };
        index.verify(&request, moment)
    }
}

/// Whether a verdict depends on what is asked for: all that refuses a key has been passed.
pub(crate) const fn passes(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Valid | Verdict::NetworkDenied | Verdict::ScopeDenied)
}

/// The same key with another secret and a checksum that fits.
fn forge(token: &str) -> String {
    const SECRET: std::ops::Range<usize> = 26..58;
    let (head, tail) = token.split_at(token.len() - 64);
    let flip = |byte: u8| if byte == b'a' { 'b' } else { 'a' };
    let secret: String = tail.as_bytes()[SECRET].iter().map(|byte| flip(*byte)).collect();
    let covered = format!("{head}{}{secret}", &tail[..SECRET.start]);
    format!("{covered}{}", checksum(&covered))
}

/// CRC-32 in base62, written here once more so that the forger does not lean on the code under test.
fn checksum(covered: &str) -> String {
    let crc = !covered.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..6).rev().map(|place| char::from(digits[(crc / 62_u32.pow(place) % 62) as usize])).collect()
}

/// What is known of the node that answered.
pub(crate) struct Judged<'a> {
    pub(crate) node: usize,
    pub(crate) now: Timestamp,
    /// Since when it cannot reach the log.
    pub(crate) away_since: Option<Instant>,
    /// Nothing is in its way and everything has settled: it has no excuse.
    pub(crate) settled: bool,
    pub(crate) model: &'a Model,
    pub(crate) truth: &'a Truth,
}

impl Judged<'_> {
    /// Whether the answer is the one that the log's facts and the promises allow.
    pub(crate) fn check(&self, ask: &Ask, answer: &Answer) -> Result<(), String> {
        let key = (ask.held.tenant.clone(), ask.held.key_id);
        let facts = self.truth.keys.get(&key);
        let wrong = |why: String| {
            let (node, key_id, verdict) = (self.node, ask.held.key_id, answer.verdict);
            Err(format!("node {node} says {verdict} of key {key_id} as of {}: {why}", answer.as_of.position))
        };
        if let Some(broken) = self.broken_promise(ask, facts, answer) {
            return wrong(broken);
        }
        if answer.as_of.position > self.truth.head() {
            return wrong(format!("the log ends at {}", self.truth.head()));
        }
        let expected = self.expected(ask, facts, answer);
        if answer.verdict != expected {
            return wrong(format!("it should say {expected}"));
        }
        match (&answer.holder, expected) {
            (Some(_), Verdict::Unknown | Verdict::Malformed) => {
                wrong("it tells a stranger whose key it is".to_owned())
            }
            (Some(holder), _) if (&*holder.tenant, holder.key_id) != (&key.0, key.1) => {
                wrong("it names another key's holder".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The promises themselves, each said once more without any regard to how far the node has come.
    fn broken_promise(&self, ask: &Ask, facts: Option<&KeyFacts>, answer: &Answer) -> Option<String> {
        let now = Instant::now();
        if answer.verdict == Verdict::Valid && (facts.is_none() || ask.wrong_secret) {
            return Some("no such key was issued".to_owned());
        }
        if !passes(answer.verdict) {
            return None;
        }
        if self.model.has_refused(self.node, ask.held.key_id) {
            return Some("this very node has acknowledged its revocation".to_owned());
        }
        if let Some(position) = facts.and_then(|facts| self.acknowledged_recall(ask, facts, answer)) {
            return Some(format!("this very node has acknowledged its recall at {position}"));
        }
        let closed = self.truth.tenants.get(&ask.held.tenant).and_then(|facts| facts.closed);
        let refused = facts.and_then(|facts| facts.refused).or(closed);
        if let Some((position, at)) = refused.filter(|(_, at)| now > *at + MAX_STALENESS + DRIFT) {
            let late = now.duration_since(at).as_millis();
            return Some(format!("its revocation was committed {late} ms ago at position {position}"));
        }
        let away = self.away_since.filter(|since| now > *since + MAX_STALENESS + DRIFT);
        away.map(|since| format!("its log has been away for {} ms", now.duration_since(since).as_millis()))
    }

    /// The recall that hits this key, if this node has acknowledged it and its rows show that the key matches: only what
    /// changed just before the recall may still be on its way to them.
    fn acknowledged_recall(&self, ask: &Ask, facts: &KeyFacts, answer: &Answer) -> Option<Position> {
        let position = facts.recalled.filter(|position| self.model.has_recalled(self.node, *position))?;
        let recalls = &self.truth.tenants.get(&ask.held.tenant)?.recalls;
        let (_, selector) = recalls.iter().find(|(at, _)| *at == position)?;
        let shown = facts.at(answer.as_of.position)?;
        (answer.as_of.position >= position || is_hit(&shown.key, selector)).then_some(position)
    }

    /// The verdict that follows from the log up to where the node has come. Two things the node alone decides: whether a
    /// revocation or recall that stands beyond is already refused, and whether it is stale while it might be.
    fn expected(&self, ask: &Ask, facts: Option<&KeyFacts>, answer: &Answer) -> Verdict {
        let applied = answer.as_of.position;
        let nobody = if ask.held.imported { Verdict::Malformed } else { Verdict::Unknown };
        let Some((facts, version)) = facts.and_then(|facts| Some((facts, facts.at(applied)?))) else {
            return nobody;
        };
        let other_tenant = match &ask.tenant {
            Some(tenant) => *tenant != ask.held.tenant,
            None => ask.held.imported,
        };
        if ask.wrong_secret || other_tenant {
            return nobody;
        }
        let key = &version.key;
        let tenant = self.truth.tenants.get(&ask.held.tenant);
        let beyond =
            |(position, said): &(Position, Standing)| *position > applied && *said == Standing::Revoked;
        if answer.verdict == Verdict::Revoked && facts.said.iter().any(beyond) {
            return Verdict::Revoked;
        }
        let recalled_early =
            |(position, selector): &(Position, Selector)| *position > applied && is_hit(key, selector);
        match key.standing {
            Standing::Revoked => return Verdict::Revoked,
            Standing::Recalled => return Verdict::Recalled,
            _ if answer.verdict == Verdict::Recalled
                && tenant.is_some_and(|tenant| tenant.recalls.iter().any(recalled_early)) =>
            {
                return Verdict::Recalled;
            }
            Standing::Expired => return Verdict::Expired,
            _ if key.is_past(self.now) => return Verdict::Expired,
            Standing::Suspended => return Verdict::Suspended,
            Standing::Active | Standing::Quarantined => {}
        }
        if tenant.and_then(|tenant| tenant.closed).is_some_and(|(position, _)| position <= applied) {
            return Verdict::TenantClosed;
        }
        if answer.verdict == Verdict::Stale && !self.settled {
            return Verdict::Stale;
        }
        if !key.networks.admit(ask.network) {
            return Verdict::NetworkDenied;
        }
        if ask.scope.as_ref().is_some_and(|scope| !key.scopes.covers(scope)) {
            return Verdict::ScopeDenied;
        }
        Verdict::Valid
    }
}

/// Whether two answers are the same but for the time that has passed.
pub(crate) fn same(a: &Answer, b: &Answer) -> bool {
    let holder = |answer: &Answer| {
        answer.holder.as_ref().map(|holder| {
            let owner = (holder.owner.tag, holder.owner.name.clone());
            (
                holder.key_id,
                owner,
                (*holder.scopes).clone(),
                holder.environment,
                holder.expires_at,
                holder.since,
            )
        })
    };
    a.verdict == b.verdict && a.as_of.position == b.as_of.position && holder(a) == holder(b)
}

/// Whether a text holds the secret of a key.
pub(crate) fn tells_secret(text: &[u8], held: &Held) -> bool {
    if held.imported {
        // Another system's: the whole token is the secret.
        let secret = held.token.as_bytes();
        return text.windows(secret.len()).any(|window| window == secret);
    }
    // The shortest telling piece: the 32 characters of the secret, without id and checksum.
    debug_assert!(ParsedKey::parse(&held.token).is_ok());
    let secret = &held.token.as_bytes()[held.token.len() - 38..held.token.len() - 6];
    text.windows(secret.len()).any(|window| window == secret)
}
