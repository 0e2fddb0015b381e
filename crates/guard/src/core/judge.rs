//! From a presented key to its verdict, or to the id that has to be asked for first. Allocates nothing.

use std::sync::Arc;

use domain::{ImportKey, KeyId, ParsedKey, Scope, SecretDigest, Standing, Timestamp};
use verify::{AsOf, Moment, Verdict};

use crate::core::Core;
use crate::core::entry::{Entry, Holder};
use crate::core::held::Known;
use crate::core::hints::Hinted;
use crate::core::published::View;
use crate::requirement::Requirement;

/// The longest token of another system that is looked up, as in the server: a bound on the work of a guess.
const MAX_IMPORTED_TOKEN: usize = 512;

/// The verdict and what it rests on.
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody looks at lets everybody pass"]
pub struct Decision {
    /// The first that applies.
    pub verdict: Verdict,
    /// Whose key it is; told only to who presented the full secret.
    pub holder: Option<Holder>,
    /// Since when it is `revoked`, `recalled` or `expired`.
    pub since: Option<Timestamp>,
    /// How recent the knowledge is.
    pub as_of: AsOf,
}

impl Decision {
    /// Whether the key may be used for what was asked.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.verdict == Verdict::Valid
    }
}

/// What a guard says of a presented key.
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody looks at lets everybody pass"]
pub enum Judged {
    /// This.
    Answer(Decision),
    /// Nothing, until the server was asked about this id.
    Ask(KeyId),
}

/// What the caller has just been told beside what is held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Knowing {
    /// No keys: one may have been pushed out of what is held already.
    pub(crate) absent: [Option<KeyId>; 2],
}

impl Knowing {
    pub(crate) fn that_absent(self, key_id: KeyId) -> Self {
        Self { absent: [Some(key_id), self.absent[0]] }
    }

    fn says_absent(&self, key_id: KeyId) -> bool {
        self.absent.contains(&Some(key_id))
    }
}

/// When it is judged. Most keys have no end, so the wall clock is read for those alone that have one.
pub(crate) struct At<N> {
    /// Read before anything is looked up.
    pub(crate) boot_ms: u64,
    pub(crate) now: N,
}

/// What one form of the token opens.
enum Opened {
    Key(Arc<Entry>, Option<Hinted>),
    Nothing,
    NotKnown(KeyId),
}

/// Compared with where there is no key, so that a guess takes the same time.
const NO_DIGEST: [u8; 16] = [0; 16];

impl Core {
    /// Judges by what is held: in the order of [`Verdict::ALL`].
    pub fn judge(&self, token: &str, requirement: &Requirement, moment: Moment) -> Judged {
        let at = At { boot_ms: moment.boot_ms, now: || moment.now };
        self.judge_knowing(token, requirement, &at, Knowing::default())
    }

    /// What a guard says that could not ask: refused.
    pub(crate) fn stale(&self, boot_ms: u64) -> Decision {
        let as_of = self.said.view(boot_ms).as_of;
        Decision { verdict: Verdict::Stale, holder: None, since: None, as_of }
    }

    pub(crate) fn judge_knowing(
        &self,
        token: &str,
        requirement: &Requirement,
        at: &At<impl Fn() -> Timestamp>,
        knowing: Knowing,
    ) -> Judged {
        // Before the key is looked up, see `crate::core`.
        let view = self.said.view(at.boot_ms);
        let parsed = ParsedKey::parse(token);
        let nobody = if parsed.is_ok() { Verdict::Unknown } else { Verdict::Malformed };
        let mut opened = match parsed {
            Ok(parsed) => self.open(parsed.key_id, &parsed.digest(), Form::Native, (knowing, at.boot_ms)),
            Err(_) => Opened::Nothing,
        };
        if matches!(opened, Opened::Nothing) && token.len() <= MAX_IMPORTED_TOKEN {
            let digest = SecretDigest::of_token(token);
            let key_id = ImportKey::key_id(&self.tenant, &digest);
            opened = self.open(key_id, &digest, Form::Imported, (knowing, at.boot_ms));
        }
        let (entry, hinted) = match opened {
            Opened::Key(entry, hinted) => (entry, hinted),
            Opened::NotKnown(key_id) => return Judged::Ask(key_id),
            Opened::Nothing => {
                return Judged::Answer(Decision {
                    verdict: nobody,
                    holder: None,
                    since: None,
                    as_of: view.as_of,
                });
            }
        };
        let case = Case { entry: &entry, view: &view, requirement, at };
        if let Some(hinted) = hinted.filter(|hinted| hinted.position > entry.as_of && !entry.has_ended()) {
            return Judged::Answer(Decision {
                verdict: Verdict::Revoked,
                since: Some(hinted.at),
                as_of: view.as_of,
                holder: Some(Holder(entry)),
            });
        }
        if case.is_doubtful() {
            return Judged::Ask(entry.key_id);
        }
        let verdict = case.verdict();
        let since = case.since(verdict);
        Judged::Answer(Decision { verdict, since, as_of: view.as_of, holder: Some(Holder(entry)) })
    }

    fn open(
        &self,
        key_id: KeyId,
        digest: &SecretDigest,
        form: Form,
        (knowing, boot_ms): (Knowing, u64),
    ) -> Opened {
        let hinted = self.hints.of(key_id, boot_ms);
        let entry = match self.held.look_up(key_id) {
            Known::Held(entry) => Some(entry),
            Known::Absent => None,
            Known::Nothing if knowing.says_absent(key_id) => None,
            Known::Nothing => return Opened::NotKnown(key_id),
        };
        let matches = digest.matches_short(entry.as_ref().map_or(&NO_DIGEST, |entry| &entry.digest));
        match entry {
            Some(entry) if matches && entry.imported == (form == Form::Imported) => {
                Opened::Key(entry, hinted)
            }
            _ => Opened::Nothing,
        }
    }
}

/// What a token is taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Native,
    Imported,
}

/// All that the verdict on an opened key rests on.
struct Case<'a, N> {
    entry: &'a Entry,
    view: &'a View,
    requirement: &'a Requirement,
    at: &'a At<N>,
}

impl<N: Fn() -> Timestamp> Case<'_, N> {
    /// What is quarantined is believed for a while only: nothing tells of its recovery.
    fn is_doubtful(&self) -> bool {
        let quarantined_until = self.view.quarantined_until;
        (self.entry.standing == Standing::Quarantined && self.entry.believed_until <= self.at.boot_ms)
            || (quarantined_until != 0 && quarantined_until <= self.at.boot_ms)
    }

    /// The first that applies, as in the server.
    fn verdict(&self) -> Verdict {
        let Self { entry, view, requirement, at } = self;
        let time_is_up = entry.is_past(&at.now);
        if entry.standing == Standing::Revoked {
            Verdict::Revoked
        } else if entry.standing == Standing::Recalled {
            Verdict::Recalled
        } else if entry.standing == Standing::Quarantined || view.quarantined_until != 0 {
            Verdict::Quarantined
        } else if entry.standing == Standing::Expired || time_is_up {
            Verdict::Expired
        } else if entry.standing == Standing::Suspended {
            Verdict::Suspended
        } else if view.closed {
            Verdict::TenantClosed
        } else if view.stale {
            Verdict::Stale
        } else if entry.networks.as_ref().is_some_and(|networks| !networks.admit(requirement.network())) {
            Verdict::NetworkDenied
        } else if requirement.scope().is_some_and(|wanted: &Scope| !entry.scopes.covers(wanted)) {
            Verdict::ScopeDenied
        } else {
            Verdict::Valid
        }
    }

    fn since(&self, verdict: Verdict) -> Option<Timestamp> {
        match verdict {
            Verdict::Revoked | Verdict::Recalled => self.entry.since,
            Verdict::Expired => self.entry.since.or(self.entry.expires_at()),
            _ => None,
        }
    }
}
