//! Verifying in process: the index against a bare table with digest and constant-time compare.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use domain::{
    Environment, Grant, KeyId, KeyIssued, Labels, Networks, Owner, OwnerTag, Personal, PersonalText,
    PlainSecret, Position, Prefix, ScopeSet, TenantId, Timestamp, digest_key, format_key,
};
use tokio::time::Instant;
use verify::{KeyIndex, Moment, Verdict, VerifyRequest, new_index};

use crate::floor::table::Table;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::Failure;
use crate::site::Site;
use crate::statistics::quantile;

const OWNERS: usize = 100_000;
const SCOPE_SETS: usize = 20;
const LABEL_SETS: usize = 50;
/// Tokens that are asked about: many times what any cache holds of rows.
const TOKENS: usize = 1_000_000;
/// Calls that are timed together: about a millisecond.
const CALLS: usize = 4_000;
/// Of so many stretches of calls in a turn the median counts: those that others disturb do not.
const STRETCHES: usize = 200;
const STALENESS: Duration = Duration::from_secs(5);
const MOMENT: Moment = Moment { now: Timestamp::from_millis(1_790_000_000_000), boot_ms: 0 };

/// What is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presented {
    /// Keys at random out of all.
    Any,
    /// One key again and again.
    One,
    /// Well-formed keys that nobody issued.
    Unknown,
    /// A letter of the checksum is another.
    Mistyped,
}

impl Presented {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Any | Self::One => Verdict::Valid,
            Self::Unknown => Verdict::Unknown,
            Self::Mistyped => Verdict::Malformed,
        }
    }
}

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let tables = Arc::new(Mutex::new(Weak::new()));
    let row = |name: &str, presented, threads: usize, about: &str| {
        let tables = Arc::clone(&tables);
        let about = format!("{about}, against a bare table with digest and constant-time compare");
        Row::new(name, ("ns", Better::Less), about, move |site| {
            let tables = Arc::clone(&tables);
            async move {
                let tables = shared(&tables, &site)?;
                let tokens = Arc::new(tables.tokens(presented)?);
                Ok(Box::new(InProcess { tables, tokens, presented, threads }) as Box<dyn Contest>)
            }
        })
    };
    vec![
        row("verify-hit", Presented::Any, 1, "verifying in process, keys at random out of all"),
        row("verify-hit-2", Presented::Any, 2, "the same on two threads at once, each thread's time"),
        row("verify-hot", Presented::One, 1, "verifying one key again and again"),
        row("verify-miss", Presented::Unknown, 1, "well-formed keys that nobody issued"),
        row("verify-miss-2", Presented::Unknown, 2, "the same on two threads at once"),
        row("verify-mistyped", Presented::Mistyped, 1, "keys with a bad checksum"),
        row("verify-mistyped-2", Presented::Mistyped, 2, "the same on two threads at once"),
    ]
}

/// The index and the bare table with the same keys.
struct Tables {
    index: Arc<KeyIndex>,
    bare: Table,
    keys: usize,
}

/// Made when a row first asks, gone when the last row that uses them is.
fn shared(tables: &Mutex<Weak<Tables>>, site: &Site) -> Result<Arc<Tables>, Failure> {
    let mut tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(there) = tables.upgrade() {
        return Ok(there);
    }
    let made = Arc::new(Tables::of(site.settings.keys)?);
    *tables = Arc::downgrade(&made);
    Ok(made)
}

impl Tables {
    fn of(keys: usize) -> Result<Self, Failure> {
        let tenant: TenantId = TenantId::DEFAULT.parse()?;
        let (index, mut writer) = new_index(STALENESS);
        let mut bare = Table::with_capacity(keys);
        let grants = Grants::new()?;
        let _ = writer.open_tenant(Position::new(1), &tenant);
        for n in 0..keys {
            let issued = grants.issued(n)?;
            bare.insert(key_id(n), issued.digest.short());
            let _ = writer.issue(Position::new(n as u64 + 2), &tenant, key_id(n), &issued);
        }
        writer.advance(Position::new(keys as u64 + 1));
        index.prove_fresh(0);
        Ok(Self { index, bare, keys })
    }

    /// In an order that has nothing to do with that of the rows.
    fn tokens(&self, presented: Presented) -> Result<Vec<String>, Failure> {
        let count = if presented == Presented::One { 1 } else { TOKENS.min(self.keys) };
        let any = |n: u64| usize::try_from(mixed(n) % self.keys as u64);
        (0..count as u64)
            .map(|n| {
                let token = match presented {
                    Presented::Unknown => text(self.keys + usize::try_from(n)?),
                    Presented::Any | Presented::One | Presented::Mistyped => text(any(n)?),
                };
                Ok(if presented == Presented::Mistyped { mistyped(token) } else { token })
            })
            .collect()
    }
}

struct InProcess {
    tables: Arc<Tables>,
    tokens: Arc<Vec<String>>,
    presented: Presented,
    threads: usize,
}

#[derive(Clone, Copy)]
enum Side {
    Ours,
    Floor,
}

#[async_trait]
impl Contest for InProcess {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        self.turn(Side::Ours).map(|ns| vec![ns])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        self.turn(Side::Floor).map(|ns| Some(vec![ns]))
    }
}

impl InProcess {
    fn turn(&self, side: Side) -> Result<f64, Failure> {
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads = (0..self.threads).map(|thread| scope.spawn(move || self.stretches(side, thread)));
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")).collect()
        });
        let mut sum = 0.0;
        for taken in taken {
            sum += taken??;
        }
        Ok(sum / self.threads as f64)
    }

    /// Nanoseconds a call.
    fn stretches(&self, side: Side, thread: usize) -> Result<f64, String> {
        let mut taken = Vec::with_capacity(STRETCHES);
        for stretch in 0..STRETCHES {
            // Neither side nor thread finds what the other brought into the cache.
            let from = ((stretch * 2 + side as usize) * self.threads + thread) * CALLS;
            let began = Instant::now();
            let right =
                (0..CALLS).filter(|n| self.is_right(side, &self.tokens[(from + n) % self.tokens.len()]));
            let right = right.count();
            taken.push(began.elapsed().as_nanos() as f64 / CALLS as f64);
            if right != CALLS {
                return Err(format!(
                    "{} of {CALLS} verdicts were not {:?}",
                    CALLS - right,
                    self.presented.verdict()
                ));
            }
        }
        Ok(quantile(&taken, 0.5))
    }

    fn is_right(&self, side: Side, token: &str) -> bool {
        match side {
            Side::Ours => {
                let request = VerifyRequest { token, tenant: None, scope: None, network: None };
                black_box(self.tables.index.judge(&request, MOMENT)).verdict == self.presented.verdict()
            }
            Side::Floor => {
                black_box(self.tables.bare.verify(token)) == (self.presented.verdict() == Verdict::Valid)
            }
        }
    }
}

/// The scopes and labels that keys share.
struct Grants {
    scopes: Vec<ScopeSet>,
    labels: Vec<Labels>,
}

impl Grants {
    fn new() -> Result<Self, Failure> {
        let scopes = (0..SCOPE_SETS)
            .map(|n| Ok(ScopeSet::parse([format!("campaigns:send:{n}"), format!("lists:read:{n}")])?))
            .collect::<Result<_, Failure>>()?;
        let labels = (0..LABEL_SETS)
            .map(|n| Ok(Labels::new(vec![format!("service=mailer-{n}").parse()?])?))
            .collect::<Result<_, Failure>>()?;
        Ok(Self { scopes, labels })
    }

    fn issued(&self, n: usize) -> Result<KeyIssued, Failure> {
        let owner = n % OWNERS;
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&mixed(owner as u64).to_be_bytes());
        Ok(KeyIssued {
            prefix: Prefix::default(),
            digest: digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)),
            grant: Grant {
                environment: Environment::Live,
                name: None,
                owner: Owner {
                    tag: OwnerTag::from_bytes(tag),
                    name: Personal::Plain(PersonalText::name(&format!("newsletter-{owner:09}"))?),
                },
                scopes: self.scopes[n % SCOPE_SETS].clone(),
                labels: self.labels[n % LABEL_SETS].clone(),
                networks: Networks::default(),
                expires_at: None,
            },
            issuer: None,
            predecessor: None,
        })
    }
}

fn text(n: usize) -> String {
    format_key(&Prefix::default(), Environment::Live, key_id(n), &secret(n)).expose().to_owned()
}

/// Another last letter.
fn mistyped(mut token: String) -> String {
    let other = if token.pop() == Some('0') { '1' } else { '0' };
    token.push(other);
    token
}

fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key_id(n: usize) -> KeyId {
    KeyId::from_u128(u128::from(1_790_000_000_000 + n as u64 / 10) << 80 | u128::from(mixed(!(n as u64))))
}

fn secret(n: usize) -> PlainSecret {
    let mut state = n as u64;
    PlainSecret::draw(|bytes| {
        for byte in bytes {
            state = state.wrapping_add(1_000_003);
            *byte = mixed(state) as u8;
        }
    })
}
