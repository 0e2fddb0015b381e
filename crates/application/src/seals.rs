//! Seals texts about people on their way into the log, and opens them on their way to a reader.
//!
//! Nothing behind the append holds a readable text: log, index, views, snapshots and feed keep what was sealed, so that a seal
//! destroyed is a person gone from all of them at once. Who answers a person opens what the answer needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use domain::{
    Envelope, KeyId, Owner, OwnerTag, Personal, SealTrace, StreamName, Subject, TenantId, Text, TextField,
};
use eventlog::{ReadError, SealStore, SubjectSeal};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use wire::{Seal, SealedText};
use zeroize::Zeroizing;

use crate::ambient::Ambient;

/// How many subjects' seals are held, with the owners' names beside them: about 30 MB when it is full, and the least used go.
const MAX_HELD: usize = 131_072;
/// The most seals asked for at once: one page of a list needs less.
const MAX_ASKED: usize = 1024;
/// How often another generation is offered before somebody destroys faster than we seal.
const MAX_OFFERS: u32 = 4;

/// A sealed text, and where it stands.
#[derive(Debug)]
pub enum Closed<'a> {
    /// An owner of this tenant, with the name.
    Owner(&'a TenantId, &'a mut Owner),
    /// Any other text.
    Text {
        /// The tenant that it is of.
        tenant: &'a TenantId,
        /// The key that it is shown with; none for one of the tenant itself.
        key_id: Option<KeyId>,
        /// The text.
        value: &'a mut Personal,
    },
}

/// A seal in memory, and the name that it opens.
#[derive(Debug)]
struct Held {
    /// None once it was destroyed.
    seal: Option<Seal>,
    generation: u32,
    /// The owner's name, sealed and open, once it was opened. It goes with the seal.
    name: OnceLock<(Vec<u8>, Arc<str>)>,
}

/// Keeps the seals at hand. Shared by all that write and answer.
#[derive(Debug)]
pub struct Seals {
    store: Arc<dyn SealStore>,
    held: Cache<Subject, Arc<Held>>,
    /// How often a seal was let go: what was fetched before that is not held.
    forgotten: AtomicU64,
}

/// A subject without owning its tenant's name, for a look that allocates nothing. Hashes as [`Subject`] does.
#[derive(Hash)]
struct Whose<'a> {
    tenant: &'a TenantId,
    owner: OwnerTag,
}

impl Equivalent<Subject> for Whose<'_> {
    fn equivalent(&self, subject: &Subject) -> bool {
        self.owner == subject.owner && *self.tenant == subject.tenant
    }
}

impl Seals {
    pub(crate) fn new(store: Arc<dyn SealStore>) -> Self {
        Self { store, held: Cache::new(MAX_HELD), forgotten: AtomicU64::new(0) }
    }

    /// The name of an owner if it is at hand, without waiting; a name that was never sealed always is.
    #[must_use]
    pub fn name_at_hand(&self, tenant: &TenantId, owner: &Owner) -> Option<Arc<str>> {
        let Personal::Sealed(bytes) = &owner.name else { return owner.name.plain().map(Arc::from) };
        let held = self.held.get(&Whose { tenant, owner: owner.tag })?;
        let (sealed, name) = held.name.get()?;
        (sealed == bytes).then(|| Arc::clone(name))
    }

    /// The name of an owner; none if nobody can read it any more.
    ///
    /// # Errors
    /// [`ReadError`] when the seals cannot be read now.
    pub async fn name(&self, tenant: &TenantId, owner: &Owner) -> Result<Option<Arc<str>>, ReadError> {
        if let Some(name) = self.name_at_hand(tenant, owner) {
            return Ok(Some(name));
        }
        let mut opened = owner.clone();
        self.open(vec![Closed::Owner(tenant, &mut opened)]).await?;
        Ok(opened.name.plain().map(Arc::from))
    }

    /// Opens what can be opened, in place. What was destroyed, or sealed under a seal that is lost, stays sealed.
    ///
    /// # Errors
    /// [`ReadError`] when the seals cannot be read now; nothing is opened then.
    pub async fn open(&self, mut texts: Vec<Closed<'_>>) -> Result<(), ReadError> {
        let mut wanted = BTreeMap::<Subject, u32>::new();
        for told in texts.iter().filter_map(Closed::told) {
            let generation = wanted.entry(told.subject).or_insert(0);
            *generation = told.generation.max(*generation);
        }
        let held = self.fetch(wanted).await?;
        for text in &mut texts {
            let Some(told) = text.told() else { continue };
            if let Some(held) = held.get(&told.subject) {
                text.open(held);
            }
        }
        Ok(())
    }

    /// Opens the texts of an event with the seals at hand, without waiting. False if that was not all: then
    /// [`Self::open_events`] opens the rest.
    #[must_use]
    pub fn open_at_hand(&self, envelope: &mut Envelope) -> bool {
        let stream = envelope.stream.clone();
        let mut all = true;
        envelope.for_each_text(domain::About::default(), |text| {
            let told = match &text {
                Text::Owner(owner) => told_of_owner(stream.tenant(), owner),
                Text::Of { value, .. } => told_of_text(&stream, value),
            };
            let Some(told) = told else { return };
            match self.held.get(&told.subject).filter(|held| held.generation >= told.generation) {
                None => all = false,
                Some(held) => match text {
                    Text::Owner(owner) => held.open_owner(stream.tenant(), owner),
                    Text::Of { value, .. } => held.open(&stream, value),
                },
            }
        });
        all
    }

    /// Opens the texts of events.
    ///
    /// # Errors
    /// [`ReadError`], as [`Self::open`].
    pub async fn open_events(&self, envelopes: &mut [&mut Envelope]) -> Result<(), ReadError> {
        let mut wanted = BTreeMap::<Subject, u32>::new();
        for envelope in &mut *envelopes {
            let stream = envelope.stream.clone();
            envelope.for_each_text(domain::About::default(), |text| {
                let told = match &text {
                    Text::Owner(owner) => told_of_owner(stream.tenant(), owner),
                    Text::Of { value, .. } => told_of_text(&stream, value),
                };
                if let Some(told) = told {
                    let generation = wanted.entry(told.subject).or_insert(0);
                    *generation = told.generation.max(*generation);
                }
            });
        }
        let held = self.fetch(wanted).await?;
        for envelope in envelopes {
            let stream = envelope.stream.clone();
            envelope.for_each_text(domain::About::default(), |text| match text {
                Text::Owner(owner) => {
                    if let Some(held) =
                        told_of_owner(stream.tenant(), owner).and_then(|t| held.get(&t.subject))
                    {
                        held.open_owner(stream.tenant(), owner);
                    }
                }
                Text::Of { value, .. } => {
                    if let Some(held) = told_of_text(&stream, value).and_then(|t| held.get(&t.subject)) {
                        held.open(&stream, value);
                    }
                }
            });
        }
        Ok(())
    }

    /// Seals every readable text of an event. `whole` has the seal of each subject that [`subjects_of`] names; a text whose
    /// seal it does not have is left out for good, which only what takes something away may do.
    pub(crate) fn seal(envelope: &mut Envelope, about: domain::About, whole: &HashMap<Subject, WholeSeal>) {
        let (stream, event_id) = (envelope.stream.clone(), envelope.event_id);
        let tenant = stream.tenant();
        envelope.for_each_text(about, |text| match text {
            Text::Owner(owner) => {
                let subject = Subject { tenant: tenant.clone(), owner: owner.tag };
                match whole.get(&subject) {
                    Some(seal) => seal.get().seal_owner(tenant, owner),
                    None => leave_out(&mut owner.name),
                }
            }
            Text::Of { field, subject, value } => match whole.get(&subject) {
                Some(seal) => seal.get().seal((&stream, event_id), (field, subject.owner), value),
                None => leave_out(value),
            },
        });
    }

    /// A subject's whole seal; drawn and put first if there is none, so that it is durable before anything is sealed with it.
    pub(crate) async fn whole(
        &self,
        subject: &Subject,
        ambient: &dyn Ambient,
    ) -> Result<WholeSeal, ReadError> {
        let mut offered = 1;
        if let Some(held) = self.held.get(subject) {
            if held.seal.is_some() {
                return Ok(WholeSeal(held));
            }
            offered = held.generation.saturating_add(1);
        }
        for _ in 0..MAX_OFFERS {
            let before = self.forgotten.load(Ordering::SeqCst);
            let mut secret = Zeroizing::new([0; SubjectSeal::LEN]);
            ambient.fill(secret.as_mut());
            let offer = SubjectSeal { generation: offered, secret: Some(*secret) };
            let stands = self.store.put_subject_seal(subject, &offer).await?;
            let held = self.hold(subject, stands, before);
            if held.seal.is_some() {
                return Ok(WholeSeal(held));
            }
            offered = held.generation.saturating_add(1);
        }
        let reason = "the seal of a subject is destroyed as often as it is drawn".to_owned();
        Err(ReadError::Unavailable { reason })
    }

    /// What the store itself has of a subject's seal.
    pub(crate) async fn trace(&self, subject: &Subject) -> Result<SealTrace, ReadError> {
        let stands = self.store.subject_seals(&subject.tenant, &[subject.owner]).await?;
        Ok(match stands.into_iter().next().flatten() {
            None => SealTrace::Never,
            Some(SubjectSeal { generation, secret: Some(_) }) => SealTrace::Whole { generation },
            Some(SubjectSeal { secret: None, .. }) => SealTrace::Destroyed,
        })
    }

    /// Destroys a seal, in the store and here. Safe to ask again.
    pub(crate) async fn destroy(&self, subject: &Subject, generation: u32) -> Result<(), ReadError> {
        if generation > 0 {
            self.store.destroy_subject_seal(subject, generation).await?;
        }
        // After the store: what is fetched from here on is what there is now.
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.held.remove(subject);
        Ok(())
    }

    async fn fetch(&self, wanted: BTreeMap<Subject, u32>) -> Result<HashMap<Subject, Arc<Held>>, ReadError> {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut missing = BTreeMap::<TenantId, Vec<OwnerTag>>::new();
        for (subject, generation) in wanted {
            match self.held.get(&subject) {
                Some(held) if held.generation >= generation => drop(found.insert(subject, held)),
                // Not here, or from before the owner came back.
                _ => missing.entry(subject.tenant).or_default().push(subject.owner),
            }
        }
        for (tenant, owners) in missing {
            for owners in owners.chunks(MAX_ASKED) {
                let before = self.forgotten.load(Ordering::SeqCst);
                let stand = self.store.subject_seals(&tenant, owners).await?;
                for (owner, stands) in owners.iter().zip(stand) {
                    // One that is not there may be put back, or be on its way: it is asked for again.
                    let Some(stands) = stands else { continue };
                    let subject = Subject { tenant: tenant.clone(), owner: *owner };
                    let held = self.hold(&subject, stands, before);
                    found.insert(subject, held);
                }
            }
        }
        Ok(found)
    }

    fn hold(&self, subject: &Subject, stands: SubjectSeal, before: u64) -> Arc<Held> {
        let SubjectSeal { generation, secret } = stands;
        let seal = secret.map(|secret| Seal::new(secret, generation));
        let held = Arc::new(Held { seal, generation, name: OnceLock::new() });
        self.held.insert(subject.clone(), Arc::clone(&held));
        // A destruction that came between may have been of this very seal, and must not be outlived by it.
        if self.forgotten.load(Ordering::SeqCst) != before {
            self.held.remove(subject);
        }
        held
    }
}

/// A seal that was whole when it was asked for.
pub(crate) struct WholeSeal(Arc<Held>);

impl WholeSeal {
    fn get(&self) -> &Seal {
        self.0.seal.as_ref().expect("only a seal that is there is made into one")
    }
}

/// Whose seals the readable texts of an event need, and for which fields.
pub(crate) fn subjects_of(envelope: &mut Envelope, about: domain::About) -> BTreeSet<(Subject, Need)> {
    let tenant = envelope.stream.tenant().clone();
    let mut needed = BTreeSet::new();
    envelope.for_each_text(about, |text| {
        let (subject, value, need) = match text {
            Text::Owner(owner) => {
                (Subject { tenant: tenant.clone(), owner: owner.tag }, &owner.name, Need::ToBeNamed)
            }
            Text::Of { field: TextField::Name | TextField::TenantName, subject, value } => {
                (subject, &*value, Need::ToBeNamed)
            }
            Text::Of { subject, value, .. } => (subject, &*value, Need::Beside),
        };
        if matches!(value, Personal::Plain(_)) {
            needed.insert((subject, need));
        }
    });
    needed
}

/// How much an event needs a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// It says whom or what the event is about.
    ToBeNamed,
    /// It stands beside: a note, where a request came from.
    Beside,
}

/// Sealed under nothing: nobody will ever read it.
fn leave_out(value: &mut Personal) {
    if matches!(value, Personal::Plain(_)) {
        *value = Personal::Sealed(Vec::new());
    }
}

impl Closed<'_> {
    fn told(&self) -> Option<SealedText> {
        match self {
            Self::Owner(tenant, owner) => told_of_owner(tenant, owner),
            Self::Text { tenant, key_id, value } => told_of_text(&stream(tenant, *key_id), value),
        }
    }

    fn open(&mut self, held: &Held) {
        match self {
            Self::Owner(tenant, owner) => held.open_owner(tenant, owner),
            Self::Text { tenant, key_id, value } => held.open(&stream(tenant, *key_id), value),
        }
    }
}

impl Held {
    fn open_owner(&self, tenant: &TenantId, owner: &mut Owner) {
        let Some(text) = self.seal.as_ref().and_then(|seal| seal.open_owner(tenant, owner)) else { return };
        if let Personal::Sealed(sealed) = &owner.name {
            self.name.get_or_init(|| (sealed.clone(), Arc::from(text.as_str())));
        }
        owner.name = Personal::Plain(text);
    }

    fn open(&self, stream: &StreamName, value: &mut Personal) {
        let Personal::Sealed(bytes) = &*value else { return };
        if let Some(text) = self.seal.as_ref().and_then(|seal| seal.open(stream, bytes)) {
            *value = Personal::Plain(text);
        }
    }
}

fn told_of_owner(tenant: &TenantId, owner: &Owner) -> Option<SealedText> {
    match &owner.name {
        Personal::Plain(_) => None,
        Personal::Sealed(bytes) => SealedText::of_owner(tenant, owner.tag, bytes).ok(),
    }
}

fn told_of_text(stream: &StreamName, value: &Personal) -> Option<SealedText> {
    match value {
        Personal::Plain(_) => None,
        Personal::Sealed(bytes) => SealedText::read(stream, bytes).ok(),
    }
}

fn stream(tenant: &TenantId, key_id: Option<KeyId>) -> StreamName {
    match key_id {
        Some(key_id) => StreamName::Key(tenant.clone(), key_id),
        None => StreamName::Tenant(tenant.clone()),
    }
}
