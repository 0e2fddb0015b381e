//! Which texts of an event are about people, whose each is, and whose seal it is kept under.

use crate::attributes::{Owner, OwnerTag, Personal};
use crate::event::{Actor, Envelope, Event};
use crate::grant::Grant;
use crate::ids::TenantId;
use crate::selector::Selector;

/// Whom a text is about: it is sealed under their seal and goes when that is destroyed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The tenant that knows them.
    pub tenant: TenantId,
    /// The owner; [`Subject::TENANT_ITSELF`] for what belongs to no owner.
    pub owner: OwnerTag,
}

impl Subject {
    /// Stands for the tenant where an owner's tag would stand. No owner has it, but by a chance of one in 2^128.
    pub const TENANT_ITSELF: OwnerTag = OwnerTag::from_bytes([0; 16]);
}

/// Which text of an event it is. The numbers are stored in every sealed text and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TextField {
    /// An owner's name.
    Owner = 1,
    /// What a key is called.
    Name = 2,
    /// A note on a key.
    Note = 3,
    /// Where a key was found.
    Url = 4,
    /// Where an operator's request came from.
    OperatorNetwork = 5,
    /// Where the request of who holds the key came from.
    HolderNetwork = 6,
    /// What a tenant is called.
    TenantName = 7,
    /// A note on a tenant.
    TenantNote = 8,
    /// A note on a recall.
    RecallNote = 9,
}

impl TextField {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Owner,
        Self::Name,
        Self::Note,
        Self::Url,
        Self::OperatorNetwork,
        Self::HolderNetwork,
        Self::TenantName,
        Self::TenantNote,
        Self::RecallNote,
    ];

    /// The field of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|field| *field as u8 == number)
    }
}

/// One text of an event.
#[derive(Debug)]
pub enum Text<'a> {
    /// An owner's name, which is the owner's own.
    Owner(&'a mut Owner),
    /// Any other.
    Of {
        /// Which it is.
        field: TextField,
        /// Whom it is about.
        subject: Subject,
        /// The text.
        value: &'a mut Personal,
    },
}

/// Whom an event is about, where the event itself does not say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct About {
    /// Whose key it is; none for an event of a tenant, and where nobody can tell.
    pub owner: Option<OwnerTag>,
    /// Whose key the operator presented that asked.
    pub operator: Option<OwnerTag>,
}

impl Envelope {
    /// Shows every text about a person, in a fixed order.
    pub fn for_each_text(&mut self, about: About, mut each: impl FnMut(Text<'_>)) {
        let tenant = self.stream.tenant().clone();
        let of_key = Subject {
            tenant: tenant.clone(),
            owner: self.event.owner().or(about.owner).unwrap_or(Subject::TENANT_ITSELF),
        };
        let of_tenant = Subject { tenant, owner: Subject::TENANT_ITSELF };
        match &mut self.actor {
            Actor::System | Actor::Scanner { .. } => {}
            Actor::Operator { network, .. } => {
                let owner = about.operator.unwrap_or(Subject::TENANT_ITSELF);
                let subject = Subject { tenant: TenantId::operators(), owner };
                show(TextField::OperatorNetwork, &subject, network.as_mut(), &mut each);
            }
            Actor::Holder { network } => {
                show(TextField::HolderNetwork, &of_key, network.as_mut(), &mut each);
            }
        }
        match &mut self.event {
            Event::KeyIssued(issued) => granted(&mut issued.grant, &of_key, &mut each),
            Event::KeyImported(imported) => granted(&mut imported.grant, &of_key, &mut each),
            Event::KeyRenamed(renamed) => show(TextField::Name, &of_key, renamed.name.as_mut(), &mut each),
            Event::KeyTransferred(transferred) => each(Text::Owner(&mut transferred.owner)),
            Event::KeySuspended(to) => show(TextField::Note, &of_key, to.note.as_mut(), &mut each),
            Event::KeyReinstated(to) => show(TextField::Note, &of_key, to.note.as_mut(), &mut each),
            Event::KeyRevoked(revoked) => show(TextField::Note, &of_key, revoked.note.as_mut(), &mut each),
            Event::KeyLeaked(leaked) => show(TextField::Url, &of_key, leaked.url.as_mut(), &mut each),
            Event::TenantOpened(to) => show(TextField::TenantName, &of_tenant, to.name.as_mut(), &mut each),
            Event::TenantConfigured(to) => {
                show(TextField::TenantName, &of_tenant, to.name.as_mut(), &mut each);
            }
            Event::TenantClosed(to) => show(TextField::TenantNote, &of_tenant, to.note.as_mut(), &mut each),
            Event::KeysRecalled(recalled) => {
                // Under a selector without an owner `of_key` is the tenant.
                show(TextField::RecallNote, &of_key, recalled.note.as_mut(), &mut each);
                selected(&mut recalled.selector, &mut each);
            }
            Event::PolicySet(set) => selected(&mut set.policy.selector, &mut each),
            Event::PolicyRemoved(_)
            | Event::OwnerErased(_)
            | Event::KeyRelabelled(_)
            | Event::KeyRescoped(_)
            | Event::KeyRestricted(_)
            | Event::KeyExpiryChanged(_)
            | Event::KeyRotated(_)
            | Event::KeyFirstUsed(_)
            | Event::RotationFinished(_)
            | Event::RotationCancelled(_)
            | Event::ExpiryWarned(_)
            | Event::KeyExpired(_) => {}
        }
    }
}

impl Event {
    /// The owner whom the event names.
    #[must_use]
    pub fn owner(&self) -> Option<OwnerTag> {
        match self {
            Self::KeyIssued(issued) => Some(issued.grant.owner.tag),
            Self::KeyImported(imported) => Some(imported.grant.owner.tag),
            Self::KeyTransferred(transferred) => Some(transferred.owner.tag),
            Self::KeysRecalled(recalled) => recalled.selector.owner.as_ref().map(|owner| owner.tag),
            Self::PolicySet(set) => set.policy.selector.owner.as_ref().map(|owner| owner.tag),
            Self::OwnerErased(erased) => Some(erased.owner),
            _ => None,
        }
    }
}

fn show(field: TextField, subject: &Subject, value: Option<&mut Personal>, each: &mut impl FnMut(Text<'_>)) {
    if let Some(value) = value {
        each(Text::Of { field, subject: subject.clone(), value });
    }
}

fn granted(grant: &mut Grant, subject: &Subject, each: &mut impl FnMut(Text<'_>)) {
    show(TextField::Name, subject, grant.name.as_mut(), each);
    each(Text::Owner(&mut grant.owner));
}

fn selected(selector: &mut Selector, each: &mut impl FnMut(Text<'_>)) {
    if let Some(owner) = selector.owner.as_mut() {
        each(Text::Owner(owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{KeyRevoked, KeysRecalled, TenantOpened};
    use crate::given::{KEY_ID, acme, envelope, issued, owner, text};
    use crate::ids::{KeyId, StreamName};
    use crate::reason::RevokeReason;

    fn on_key(event: Event) -> Envelope {
        envelope(StreamName::Key(acme(), KEY_ID), 2, event)
    }

    fn on_tenant(event: Event) -> Envelope {
        envelope(StreamName::Tenant(acme()), 2, event)
    }

    fn texts(mut envelope: Envelope, about: About) -> Vec<(TextField, Subject)> {
        let (mut found, tenant) = (Vec::new(), envelope.stream.tenant().clone());
        envelope.for_each_text(about, |text| match text {
            Text::Owner(owner) => {
                found.push((TextField::Owner, Subject { tenant: tenant.clone(), owner: owner.tag }));
            }
            Text::Of { field, subject, .. } => found.push((field, subject)),
        });
        found
    }

    fn of(owner: u8) -> Subject {
        Subject { tenant: acme(), owner: OwnerTag::from_bytes([owner; 16]) }
    }

    #[test]
    fn an_event_about_two_people_has_two_subjects() {
        let mut issued = on_key(issued());
        issued.actor = Actor::Operator { key_id: KeyId::from_u128(1), network: Some(text("192.0.2.7")) };
        let Event::KeyIssued(grant) = &issued.event else { panic!("an issue") };
        let theirs = Subject { tenant: acme(), owner: grant.grant.owner.tag };
        let operator = OwnerTag::from_bytes([3; 16]);
        let found = texts(issued, About { owner: None, operator: Some(operator) });
        let asked = Subject { tenant: TenantId::operators(), owner: operator };
        assert_eq!(
            found,
            [
                (TextField::OperatorNetwork, asked),
                (TextField::Name, theirs.clone()),
                (TextField::Owner, theirs)
            ]
        );
    }

    #[test]
    fn a_note_is_the_owner_s_of_its_key_or_the_tenant_s() {
        let note = Some(text("left the team"));
        let revoked =
            || Event::KeyRevoked(KeyRevoked { reason: RevokeReason::OwnerLeft, note: note.clone() });
        let about = About { owner: Some(OwnerTag::from_bytes([5; 16])), operator: None };
        assert_eq!(texts(on_key(revoked()), about), [(TextField::Note, of(5))]);
        assert_eq!(texts(on_key(revoked()), About::default()), [(TextField::Note, of(0))]);
        let recalled = |selector| {
            let recalled = KeysRecalled { selector, reason: RevokeReason::OwnerLeft, note: note.clone() };
            texts(on_tenant(Event::KeysRecalled(Box::new(recalled))), About::default())
        };
        let theirs = Selector { owner: Some(owner(6, "lists-team")), ..Selector::ALL };
        assert_eq!(recalled(theirs), [(TextField::RecallNote, of(6)), (TextField::Owner, of(6))]);
        assert_eq!(recalled(Selector::ALL), [(TextField::RecallNote, of(0))]);
        let opened = TenantOpened { name: note.clone(), prefix: "rsk".parse().unwrap() };
        let opened = on_tenant(Event::TenantOpened(opened));
        assert_eq!(texts(opened, About::default()), [(TextField::TenantName, of(0))]);
    }

    #[test]
    fn a_field_has_its_number_for_ever() {
        let numbers = TextField::ALL.map(|field| field as u8);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(numbers.map(TextField::from_number), TextField::ALL.map(Some));
        assert_eq!(TextField::from_number(0), None);
    }
}
