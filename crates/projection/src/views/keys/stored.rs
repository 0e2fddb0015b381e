//! A key's row as it is stored, in postcard.

use domain::{
    Grant, KeyId, KeyImported, KeyIssued, KeyRotated, Label, Labels, Networks, Owner, OwnerTag, Position,
    Revision, RotationRule, ScopeSet, Selectable, Selector, Standing, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::row::{KeyGrant, KeyLeak, KeyRow, RotationPhase, RotationRow, RotationState, has_ended};
use crate::tree::TreeError;
use crate::views::stored::{StoredPersonal, instant, shown};

/// The row. Any change of this or of what it holds raises the view's `SCHEMA`. Times of 0 are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredRow {
    /// What the readable events made of the key.
    pub(super) standing: u8,
    pub(super) quarantined: bool,
    pub(super) revision: u32,
    pub(super) position: u64,
    pub(super) grant: Option<StoredGrant>,
    pub(super) first_used_at_ms: u64,
    pub(super) suspended: Option<String>,
    pub(super) suspended_until_ms: u64,
    pub(super) leaked: Option<StoredLeak>,
    pub(super) rotation: Option<StoredRotation>,
    pub(super) ended_at_ms: u64,
    pub(super) reason: Option<String>,
    pub(super) note: Option<StoredPersonal>,
    pub(super) recalled_by: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredGrant {
    issued_at_ms: u64,
    issued_by: Option<[u8; 16]>,
    pub(super) predecessor: Option<[u8; 16]>,
    /// None = imported.
    prefix: Option<String>,
    environment: String,
    pub(super) name: Option<StoredPersonal>,
    pub(super) owner_tag: [u8; 16],
    pub(super) owner: StoredPersonal,
    pub(super) scopes: Vec<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) networks: Vec<String>,
    pub(super) expires_at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredLeak {
    pub(super) at_ms: u64,
    pub(super) source: String,
    pub(super) url: Option<StoredPersonal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredRotation {
    pub(super) successor: [u8; 16],
    rule: StoredRule,
    started_at_ms: u64,
    pub(super) adopted_at_ms: u64,
    pub(super) state: StoredState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StoredRule {
    At(u64),
    OnEvidence { quiet_ms: u64, look_back_ms: u64 },
    ByHand,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredState {
    Running,
    Finished { at_ms: u64, forced: bool },
    Cancelled { at_ms: u64 },
}

/// A standing's place in [`Standing::ALL`], which only ever grows at its end or with the view's `SCHEMA`.
pub(super) const fn code_of(standing: Standing) -> u8 {
    match standing {
        Standing::Active => 0,
        Standing::Suspended => 1,
        Standing::Expired => 2,
        Standing::Revoked => 3,
        Standing::Recalled => 4,
        Standing::Quarantined => 5,
    }
}

/// The place of a rotation's state among rotations. It changes only with the view's `SCHEMA`.
pub(super) const fn code_of_phase(phase: RotationPhase) -> u8 {
    match phase {
        RotationPhase::Running => 0,
        RotationPhase::Finished => 1,
        RotationPhase::Cancelled => 2,
        RotationPhase::Overtaken => 3,
    }
}

fn damaged() -> TreeError {
    TreeError::damaged("a key's row holds what no key can have")
}

impl StoredRow {
    /// What the readable events made of the key.
    pub(super) fn base(&self) -> Standing {
        Standing::ALL
            .into_iter()
            .find(|standing| code_of(*standing) == self.standing)
            .unwrap_or(Standing::Quarantined)
    }

    /// What the key is: an end that nothing can undo shows through a quarantine.
    pub(super) fn standing(&self) -> Standing {
        match self.base() {
            Standing::Revoked => Standing::Revoked,
            Standing::Recalled => Standing::Recalled,
            _ if self.quarantined => Standing::Quarantined,
            standing => standing,
        }
    }

    /// What is shown of its rotation: one that nothing else has ended is overtaken when the key ends.
    pub(super) fn rotation_state(&self) -> Option<RotationState> {
        self.rotation.as_ref().map(|rotation| match rotation.state {
            StoredState::Running if has_ended(self.standing()) => RotationState::Overtaken,
            StoredState::Running => RotationState::Running,
            StoredState::Finished { at_ms, forced } => {
                RotationState::Finished { at: Timestamp::from_millis(at_ms), forced }
            }
            StoredState::Cancelled { at_ms } => {
                RotationState::Cancelled { at: Timestamp::from_millis(at_ms) }
            }
        })
    }

    /// Whether a recall means this key. Of one whose issue cannot be read nothing is known, so only *all* means it.
    pub(super) fn is_meant_by(&self, selector: &Selector) -> Result<bool, TreeError> {
        let Some(grant) = &self.grant else { return Ok(selector.is_all()) };
        let labels = grant.labels().ok_or_else(damaged)?;
        let scopes = ScopeSet::parse(&grant.scopes).map_err(|_| damaged())?;
        Ok(selector.matches(&Selectable {
            owner: OwnerTag::from_bytes(grant.owner_tag),
            labels: &labels,
            scopes: &scopes,
            issuer: grant.issued_by.map(KeyId::from_bytes),
            environment: grant.environment.parse().map_err(|_| damaged())?,
        }))
    }

    /// The row as it is shown.
    pub(super) fn show(self, tenant: &TenantId, key_id: KeyId) -> Result<KeyRow, TreeError> {
        self.try_show(tenant, key_id).ok_or_else(damaged)
    }

    fn try_show(self, tenant: &TenantId, key_id: KeyId) -> Option<KeyRow> {
        let (standing, state) = (self.standing(), self.rotation_state());
        Some(KeyRow {
            tenant: tenant.clone(),
            key_id,
            standing,
            revision: Revision::new(self.revision),
            position: Position::new(self.position),
            grant: flip(self.grant.map(StoredGrant::try_show))?,
            first_used_at: instant(self.first_used_at_ms),
            suspended: flip(self.suspended.map(|reason| reason.parse().ok()))?,
            suspended_until: instant(self.suspended_until_ms),
            leaked: flip(self.leaked.map(StoredLeak::try_show))?,
            rotation: self.rotation.zip(state).map(|(rotation, state)| rotation.show(state)),
            ended_at: instant(self.ended_at_ms),
            reason: flip(self.reason.map(|reason| reason.parse().ok()))?,
            note: shown(self.note)?,
            recalled_by: (self.recalled_by != 0).then(|| Position::new(self.recalled_by)),
        })
    }
}

/// What is there and cannot be shown is damage; what is not there is not.
#[expect(clippy::option_option, reason = "one says whether it is there, the other whether it could be shown")]
fn flip<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        Some(None) => None,
        Some(Some(part)) => Some(Some(part)),
        None => Some(None),
    }
}

impl StoredGrant {
    pub(super) fn issued(at: Timestamp, issued: &KeyIssued) -> Self {
        Self {
            predecessor: issued.predecessor.map(KeyId::to_bytes),
            prefix: Some(issued.prefix.as_str().to_owned()),
            ..Self::of(at, &issued.grant, issued.issuer)
        }
    }

    pub(super) fn imported(at: Timestamp, imported: &KeyImported) -> Self {
        Self::of(at, &imported.grant, imported.issuer)
    }

    fn of(at: Timestamp, grant: &Grant, issuer: Option<KeyId>) -> Self {
        let mut stored = Self {
            issued_at_ms: at.as_millis(),
            issued_by: issuer.map(KeyId::to_bytes),
            predecessor: None,
            prefix: None,
            environment: grant.environment.as_str().to_owned(),
            name: grant.name.as_ref().map(StoredPersonal::of),
            owner_tag: grant.owner.tag.to_bytes(),
            owner: StoredPersonal::of(&grant.owner.name),
            scopes: Vec::new(),
            labels: Vec::new(),
            networks: Vec::new(),
            expires_at_ms: grant.expires_at.map_or(0, Timestamp::as_millis),
        };
        stored.set_scopes(&grant.scopes);
        stored.set_labels(&grant.labels);
        stored.set_networks(&grant.networks);
        stored
    }

    pub(super) fn set_scopes(&mut self, scopes: &ScopeSet) {
        self.scopes = scopes.iter().map(ToString::to_string).collect();
    }

    pub(super) fn set_labels(&mut self, labels: &Labels) {
        self.labels = labels.iter().map(|l| (l.name().to_owned(), l.value().to_owned())).collect();
    }

    pub(super) fn set_networks(&mut self, networks: &Networks) {
        self.networks = networks.iter().map(ToString::to_string).collect();
    }

    fn labels(&self) -> Option<Labels> {
        let labels = self.labels.iter().map(|(name, value)| Label::new(name, value).ok());
        Labels::new(labels.collect::<Option<_>>()?).ok()
    }

    fn try_show(self) -> Option<KeyGrant> {
        Some(KeyGrant {
            issued_at: Timestamp::from_millis(self.issued_at_ms),
            issued_by: self.issued_by.map(KeyId::from_bytes),
            imported: self.prefix.is_none(),
            predecessor: self.predecessor.map(KeyId::from_bytes),
            labels: self.labels()?,
            prefix: flip(self.prefix.map(|prefix| prefix.parse().ok()))?,
            environment: self.environment.parse().ok()?,
            name: shown(self.name)?,
            owner: Owner { tag: OwnerTag::from_bytes(self.owner_tag), name: shown(Some(self.owner))?? },
            scopes: ScopeSet::parse(&self.scopes).ok()?,
            networks: Networks::parse(&self.networks).ok()?,
            expires_at: instant(self.expires_at_ms),
        })
    }
}

impl StoredLeak {
    fn try_show(self) -> Option<KeyLeak> {
        Some(KeyLeak {
            reported_at: Timestamp::from_millis(self.at_ms),
            source: self.source.parse().ok()?,
            url: shown(self.url)?,
        })
    }
}

impl StoredRotation {
    pub(super) fn begin(at: Timestamp, rotated: &KeyRotated) -> Self {
        Self {
            successor: rotated.successor.to_bytes(),
            rule: match rotated.rule {
                RotationRule::At(at) => StoredRule::At(at.as_millis()),
                RotationRule::OnEvidence { quiet_ms, look_back_ms } => {
                    StoredRule::OnEvidence { quiet_ms, look_back_ms }
                }
                RotationRule::ByHand => StoredRule::ByHand,
            },
            started_at_ms: at.as_millis(),
            adopted_at_ms: 0,
            state: StoredState::Running,
        }
    }

    fn show(self, state: RotationState) -> RotationRow {
        RotationRow {
            successor: KeyId::from_bytes(self.successor),
            rule: match self.rule {
                StoredRule::At(at_ms) => RotationRule::At(Timestamp::from_millis(at_ms)),
                StoredRule::OnEvidence { quiet_ms, look_back_ms } => {
                    RotationRule::OnEvidence { quiet_ms, look_back_ms }
                }
                StoredRule::ByHand => RotationRule::ByHand,
            },
            started_at: Timestamp::from_millis(self.started_at_ms),
            adopted_at: instant(self.adopted_at_ms),
            state,
        }
    }
}
