//! A key's row: as it is stored, and as it is shown.

use domain::{
    Environment, KeyId, KeyIssued, Label, Labels, Networks, Owner, OwnerTag, Personal, PersonalText,
    Position, Prefix, Revision, RevokeReason, ScopeSet, Standing, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::tree::TreeError;

/// Everything that is shown of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// What it is.
    pub standing: Standing,
    /// How many events its history has.
    pub revision: Revision,
    /// The position of the last of them.
    pub position: Position,
    /// What was said when it was issued; none only for a quarantined key whose issue cannot be read here.
    pub issue: Option<KeyIssue>,
    /// When it was revoked or expired.
    pub ended_at: Option<Timestamp>,
    /// Why it was revoked.
    pub reason: Option<RevokeReason>,
    /// The same in somebody's words.
    pub note: Option<Personal>,
}

/// What was said of a key when it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIssue {
    /// When.
    pub issued_at: Timestamp,
    /// By which key.
    pub issued_by: Option<KeyId>,
    /// What people call it.
    pub name: Option<Personal>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// Live or test.
    pub environment: Environment,
    /// What its text begins with.
    pub prefix: Prefix,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredPersonal {
    Plain(String),
    Sealed(Vec<u8>),
}

/// The row in postcard. Any change of this or of what it holds raises the view's `SCHEMA`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredRow {
    /// What the readable events made of the key.
    pub(super) standing: u8,
    pub(super) quarantined: bool,
    pub(super) revision: u32,
    pub(super) position: u64,
    pub(super) issue: Option<StoredIssue>,
    /// 0 = has not ended.
    pub(super) ended_at_ms: u64,
    pub(super) reason: Option<String>,
    pub(super) note: Option<StoredPersonal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredIssue {
    pub(super) issued_at_ms: u64,
    pub(super) issued_by: Option<[u8; 16]>,
    pub(super) name: Option<StoredPersonal>,
    pub(super) owner_tag: [u8; 16],
    pub(super) owner: StoredPersonal,
    pub(super) scopes: Vec<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) networks: Vec<String>,
    pub(super) environment: String,
    pub(super) prefix: String,
    /// 0 = never.
    pub(super) expires_at_ms: u64,
}

/// A standing's place in [`Standing::ALL`], which only ever grows at its end or with the view's `SCHEMA`.
pub(super) fn code_of(standing: Standing) -> u8 {
    match standing {
        Standing::Active => 0,
        Standing::Suspended => 1,
        Standing::Expired => 2,
        Standing::Revoked => 3,
        Standing::Recalled => 4,
        Standing::Quarantined => 5,
    }
}

impl StoredRow {
    /// What the readable events made of the key. A code that no writer makes is shown as the one standing that asks for
    /// a look.
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

    /// The row as it is shown.
    pub(super) fn show(self, tenant: &TenantId, key_id: KeyId) -> Result<KeyRow, TreeError> {
        let standing = self.standing();
        self.try_show(tenant, key_id, standing)
            .ok_or_else(|| TreeError::damaged("a key's row holds what no key can have"))
    }

    fn try_show(self, tenant: &TenantId, key_id: KeyId, standing: Standing) -> Option<KeyRow> {
        let reason = self.reason.map(|reason| reason.parse::<RevokeReason>());
        Some(KeyRow {
            tenant: tenant.clone(),
            key_id,
            standing,
            revision: Revision::new(self.revision),
            position: Position::new(self.position),
            issue: match self.issue {
                Some(issue) => Some(issue.try_show()?),
                None => None,
            },
            ended_at: instant(self.ended_at_ms),
            reason: reason.transpose().ok()?,
            note: shown(self.note)?,
        })
    }
}

fn instant(ms: u64) -> Option<Timestamp> {
    (ms != 0).then(|| Timestamp::from_millis(ms))
}

/// The outer `Option` is whether it could be shown.
fn shown(stored: Option<StoredPersonal>) -> Option<Option<Personal>> {
    match stored {
        None => Some(None),
        // A note is the longest text there is; its bound holds for every field.
        Some(StoredPersonal::Plain(text)) => Some(Some(Personal::Plain(PersonalText::note(&text).ok()?))),
        Some(StoredPersonal::Sealed(bytes)) => Some(Some(Personal::Sealed(bytes))),
    }
}

impl StoredIssue {
    pub(super) fn of(at: Timestamp, issued: &KeyIssued) -> Self {
        Self {
            issued_at_ms: at.as_millis(),
            issued_by: issued.issuer.map(KeyId::to_bytes),
            name: issued.name.as_ref().map(StoredPersonal::of),
            owner_tag: issued.owner.tag.to_bytes(),
            owner: StoredPersonal::of(&issued.owner.name),
            scopes: issued.scopes.iter().map(ToString::to_string).collect(),
            labels: issued.labels.iter().map(|l| (l.name().to_owned(), l.value().to_owned())).collect(),
            networks: issued.networks.iter().map(ToString::to_string).collect(),
            environment: issued.environment.as_str().to_owned(),
            prefix: issued.prefix.as_str().to_owned(),
            expires_at_ms: issued.expires_at.map_or(0, Timestamp::as_millis),
        }
    }

    fn try_show(self) -> Option<KeyIssue> {
        let labels =
            self.labels.iter().map(|(name, value)| Label::new(name, value).ok()).collect::<Option<_>>()?;
        Some(KeyIssue {
            issued_at: Timestamp::from_millis(self.issued_at_ms),
            issued_by: self.issued_by.map(KeyId::from_bytes),
            name: shown(self.name)?,
            owner: Owner { tag: OwnerTag::from_bytes(self.owner_tag), name: shown(Some(self.owner))?? },
            scopes: ScopeSet::parse(&self.scopes).ok()?,
            labels: Labels::new(labels).ok()?,
            networks: Networks::parse(&self.networks).ok()?,
            environment: self.environment.parse().ok()?,
            prefix: self.prefix.parse().ok()?,
            expires_at: instant(self.expires_at_ms),
        })
    }
}
