//! The `data` member of a notice: what a verifier has to know to judge by itself.

use std::collections::BTreeMap;

use domain::{
    Envelope, Event, Grant, Labels, Networks, Position, RevokeReason, ScopeSet, Selector, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::hex::hex;
use crate::time::format_rfc3339;

/// The `data` member of a notice. A member that a kind does not have is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeData {
    /// The event's position, also the notice's id.
    pub position: u64,
    /// The position of the tenant's notice before this one; 0 if this is the first. A consumer that holds another one has
    /// missed something.
    pub previous: u64,
    /// When it happened, RFC 3339.
    pub occurred_at: String,
    /// Why, for what takes keys away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the key's time is up, RFC 3339; absent means never, where the kind tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What the key may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Where the key may be used from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// The key's labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Whom the key belongs to: the owner's tag in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_tag: Option<String>,
    /// The key that is to take over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// Which keys, for a recall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<NoticeSelector>,
}

/// Which keys a recall is about: every member that is there holds for each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSelector {
    /// The owner's name, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The owner's tag in hexadecimal: what is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_tag: Option<String>,
    /// A label, `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A scope that a held one covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The id of the key that issued them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `live` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// True, and nothing beside it: every key of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

impl NoticeData {
    pub(super) fn of(envelope: &Envelope, position: Position, previous: Position) -> Self {
        let data = Self {
            position: position.get(),
            previous: previous.get(),
            occurred_at: format_rfc3339(envelope.occurred_at),
            ..Self::default()
        };
        data.telling(&envelope.event)
    }

    fn telling(self, event: &Event) -> Self {
        match event {
            Event::KeyIssued(issued) => self.granting(&issued.grant),
            Event::KeyImported(imported) => self.granting(&imported.grant),
            Event::KeyRelabelled(relabelled) => Self { labels: Some(labels(&relabelled.labels)), ..self },
            Event::KeyTransferred(to) => Self { owner_tag: Some(hex(&to.owner.tag.to_bytes())), ..self },
            Event::KeyRescoped(rescoped) => Self { scopes: Some(scopes(&rescoped.scopes)), ..self },
            Event::KeyRestricted(to) => Self { networks: Some(networks(&to.networks)), ..self },
            Event::KeyExpiryChanged(changed) => self.expiring(changed.expires_at),
            Event::KeySuspended(suspended) => self.because(suspended.reason.as_str()),
            Event::KeyRotated(rotated) => Self { successor: Some(rotated.successor.to_string()), ..self },
            Event::RotationFinished(_) => self.because(RevokeReason::Superseded.as_str()),
            Event::KeyLeaked(_) => self.because(RevokeReason::Leaked.as_str()),
            Event::KeyRevoked(revoked) => self.because(revoked.reason.as_str()),
            Event::ExpiryWarned(warned) => self.expiring(Some(warned.expires_at)),
            Event::KeyExpired(expired) => self.expiring(Some(expired.expires_at)),
            Event::KeysRecalled(recalled) => {
                let selector = Some(NoticeSelector::of(&recalled.selector));
                Self { selector, ..self.because(recalled.reason.as_str()) }
            }
            Event::KeyReinstated(_) | Event::TenantClosed(_) => self,
            // Not announced.
            Event::TenantOpened(_)
            | Event::TenantConfigured(_)
            | Event::PolicySet(_)
            | Event::PolicyRemoved(_)
            | Event::OwnerErased(_)
            | Event::KeyRenamed(_)
            | Event::KeyFirstUsed(_)
            | Event::RotationCancelled(_) => self,
        }
    }

    fn granting(self, grant: &Grant) -> Self {
        let data = self.expiring(grant.expires_at);
        Self { scopes: Some(scopes(&grant.scopes)), networks: Some(networks(&grant.networks)), ..data }
    }

    fn expiring(self, at: Option<Timestamp>) -> Self {
        Self { expires_at: at.map(format_rfc3339), ..self }
    }

    fn because(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }
}

impl NoticeSelector {
    fn of(selector: &Selector) -> Self {
        let owner = selector.owner.as_ref();
        Self {
            owner: owner.and_then(|owner| owner.name.plain()).map(str::to_owned),
            owner_tag: owner.map(|owner| hex(&owner.tag.to_bytes())),
            label: selector.label.as_ref().map(ToString::to_string),
            scope: selector.scope.as_ref().map(ToString::to_string),
            issuer: selector.issuer.map(|issuer| issuer.to_string()),
            environment: selector.environment.map(|environment| environment.to_string()),
            all: selector.is_all().then_some(true),
        }
    }
}

fn scopes(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

fn networks(networks: &Networks) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

fn labels(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect()
}
