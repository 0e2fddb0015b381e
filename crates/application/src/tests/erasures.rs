//! Texts are sealed before they are in the log, and who is erased stays so, wherever it stops.

use std::sync::atomic::AtomicBool;

use domain::{About, KeyId, OwnerTag, Subject, SuspendKey, SuspendReason, Text};
use eventlog::{CarriedSeals, SubjectSeal};

use super::life::{amend, rotate};
use super::*;
use crate::AmendRequest;

const OWNER: &str = "ada@lists.example";
const NAME: &str = "Ada's spring sender";
const NOTE: &str = "Ada left the team";

/// Seals that are away when the test wants it, in whole or only for destroying.
#[derive(Debug, Default)]
struct Troubled {
    inner: MemorySeals,
    away: AtomicBool,
    cannot_destroy: AtomicBool,
}

impl Troubled {
    fn check(&self, trouble: &AtomicBool) -> Result<(), ReadError> {
        match trouble.load(Ordering::Relaxed) {
            true => Err(ReadError::Unavailable { reason: "as the test wants".to_owned() }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SealStore for Troubled {
    async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner.seal(tenant).await
    }

    async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError> {
        self.inner.put_seal_once(tenant, seal).await
    }

    async fn subject_seals(
        &self,
        tenant: &TenantId,
        owners: &[OwnerTag],
    ) -> Result<Vec<Option<SubjectSeal>>, ReadError> {
        self.check(&self.away)?;
        self.inner.subject_seals(tenant, owners).await
    }

    async fn put_subject_seal(
        &self,
        subject: &Subject,
        offered: &SubjectSeal,
    ) -> Result<SubjectSeal, ReadError> {
        self.check(&self.away)?;
        self.inner.put_subject_seal(subject, offered).await
    }

    async fn destroy_subject_seal(&self, subject: &Subject, generation: u32) -> Result<(), ReadError> {
        self.check(&self.cannot_destroy)?;
        self.inner.destroy_subject_seal(subject, generation).await
    }

    async fn carry(&self) -> Result<CarriedSeals, ReadError> {
        self.inner.carry().await
    }

    async fn take_in(&self, seals: CarriedSeals) -> Result<Option<TenantId>, ReadError> {
        self.inner.take_in(seals).await
    }
}

fn text(text: &str) -> PersonalText {
    PersonalText::note(text).unwrap()
}

fn hers() -> IssueRequest {
    let asked = asked("campaigns:send");
    IssueRequest { grant: AskedGrant { owner: text(OWNER), name: Some(text(NAME)), ..asked.grant }, ..asked }
}

async fn given() -> (Kit, Arc<Troubled>) {
    let seals = Arc::new(Troubled::default());
    (Kit::start_with(seals.clone()).await.followed().await, seals)
}

impl Kit {
    async fn issue_hers(&self, id: &str) -> KeyId {
        let issued = self.application.issue_key(&request(id), hers()).await.unwrap();
        self.index_reaches_the_head().await;
        issued.key_id
    }

    async fn revoke_with_note(&self, key_id: KeyId, id: &str) -> Result<crate::Changed, CommandError> {
        let note = Some(domain::Personal::Plain(text(NOTE)));
        let command = RevokeKey { tenant: acme(), key_id, reason: RevokeReason::OwnerLeft, note };
        let revoked = self.application.revoke_key(&request(id), command).await;
        self.index_reaches_the_head().await;
        revoked
    }

    async fn erase(&self, id: &str) -> Result<crate::Erased, CommandError> {
        self.application.erase_owner(&request(id), acme(), text(OWNER)).await
    }

    /// The texts of a key's events, opened if they can be: all that can be read of it.
    async fn texts(&self, application: &Application, key_id: KeyId) -> Vec<String> {
        let stream = StreamName::Key(acme(), key_id);
        let mut found = Vec::new();
        for recorded in self.log.read_stream(&StreamId::from(&stream), Position::NONE).await.unwrap() {
            for hidden in [OWNER, NAME, NOTE] {
                let stored = recorded.payload.windows(hidden.len());
                assert!(!stored.into_iter().any(|part| part == hidden.as_bytes()), "{hidden} is in the log");
            }
            let mut envelope = wire::decode(&stream, &recorded.payload).unwrap();
            application.seals().open_events(&mut [&mut envelope]).await.unwrap();
            envelope.for_each_text(About::default(), |text| {
                let value = match text {
                    Text::Owner(owner) => &owner.name,
                    Text::Of { value, .. } => &*value,
                };
                found.extend(value.plain().map(str::to_owned));
            });
        }
        found
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sealed_opens_until_its_owner_is_erased() {
    let (kit, _) = given().await;
    let key_id = kit.issue_hers("hers").await;
    kit.issue("another's").await.unwrap();
    assert_eq!(kit.texts(&kit.application, key_id).await, [NAME, OWNER]);
    let refused = kit.erase("early").await;
    let Err(CommandError::Refused(Refusal::OwnerHasLiveKeys { count: 1, sample })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(sample, [key_id]);
    kit.revoke_with_note(key_id, "left").await.unwrap();
    assert_eq!(kit.texts(&kit.application, key_id).await, [NAME, OWNER, NOTE]);
    let erased = kit.erase("erase").await.unwrap();
    assert_eq!((erased.in_the_clear.events, erased.in_the_clear.complete), (0, true));
    assert_eq!(kit.texts(&kit.application, key_id).await, [""; 0]);
    let head = kit.head().await;
    assert!(kit.erase("erase").await.unwrap().changed.repeated);
    assert!(matches!(kit.erase("again").await, Err(CommandError::Refused(Refusal::AlreadyErased))));
    assert_eq!(kit.head().await, head);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_is_sealed_anew_and_the_past_stays_closed() {
    let (kit, _) = given().await;
    let before = kit.issue_hers("before").await;
    kit.revoke_with_note(before, "left").await.unwrap();
    kit.erase("erase").await.unwrap();
    let after = kit.issue_hers("after").await;
    assert_eq!(kit.texts(&kit.application, after).await, [NAME, OWNER]);
    assert_eq!(kit.texts(&kit.application, before).await, [""; 0]);
    let owner = kit.index.facts(&acme(), after).unwrap().owner;
    let name = kit.application.seals().name(&acme(), &owner).await.unwrap();
    assert_eq!(name.as_deref(), Some(OWNER), "the index has the name as it is sealed now");
    let former = kit.index.facts(&acme(), before).unwrap().owner;
    assert_eq!(kit.application.seals().name(&acme(), &former).await.unwrap(), None);
}

/// It stops between the fact and the seal: the fact stands, and whoever starts next does the rest.
#[tokio::test(start_paused = true)]
async fn an_erasure_that_was_cut_short_is_finished() {
    let (kit, seals) = given().await;
    let key_id = kit.issue_hers("hers").await;
    kit.revoke_with_note(key_id, "left").await.unwrap();
    seals.cannot_destroy.store(true, Ordering::Relaxed);
    let cut = kit.erase("erase").await;
    assert!(matches!(cut, Err(CommandError::OutcomeUnknown { .. })), "it is not called done: {cut:?}");
    assert_eq!(kit.texts(&kit.application, key_id).await.len(), 3, "the seal is still there");
    seals.cannot_destroy.store(false, Ordering::Relaxed);
    kit.index_reaches_the_head().await;
    let next = Kit { application: kit.beside(seals.clone()), ..kit };
    next.application.finish_erasures(&acme(), Position::NONE).await.unwrap();
    assert_eq!(next.texts(&next.application, key_id).await, [""; 0]);
    let repeated = next.erase("erase").await.unwrap();
    assert!(repeated.changed.repeated);
}

/// Issued behind the fact and before the seal goes: it is named by whoever does the rest, and nothing that came later is.
#[tokio::test(start_paused = true)]
async fn a_key_issued_in_the_instant_of_an_erasure_is_named() {
    let (kit, seals) = given().await;
    let key_id = kit.issue_hers("hers").await;
    kit.revoke_with_note(key_id, "left").await.unwrap();
    seals.cannot_destroy.store(true, Ordering::Relaxed);
    assert!(matches!(kit.erase("erase").await, Err(CommandError::OutcomeUnknown { .. })));
    let meanwhile = kit.issue_hers("meanwhile").await;
    seals.cannot_destroy.store(false, Ordering::Relaxed);
    kit.index_reaches_the_head().await;
    assert_eq!(kit.erase("erase").await.unwrap().issued_meanwhile, [meanwhile]);
    let back = kit.issue_hers("back").await;
    assert_eq!(kit.texts(&kit.application, back).await, [NAME, OWNER]);
    assert_eq!(kit.erase("erase").await.unwrap().issued_meanwhile, [meanwhile], "she has come back since");
    kit.revoke_with_note(meanwhile, "nobody's").await.unwrap();
    assert_eq!(kit.erase("erase").await.unwrap().issued_meanwhile, []);
}

impl Kit {
    /// Another server on the same log and seals.
    fn beside(&self, seals: Arc<dyn SealStore>) -> Arc<Application> {
        Arc::new(Application::new(
            self.log.clone(),
            seals,
            self.index.clone(),
            watch::channel(self.index.applied()).1,
            self.ambient.clone(),
            self.state.clone(),
        ))
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_server_holds_goes_when_it_hears_of_the_erasure() {
    let (kit, seals) = given().await;
    let key_id = kit.issue_hers("hers").await;
    kit.revoke_with_note(key_id, "left").await.unwrap();
    let other = kit.beside(seals.clone());
    assert_eq!(kit.texts(&other, key_id).await.len(), 3, "it holds the seal now");
    kit.erase("erase").await.unwrap();
    other.finish_erasures(&acme(), Position::NONE).await.unwrap();
    assert_eq!(kit.texts(&other, key_id).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_gives_the_name_to_the_successor_if_it_can_be_read() {
    let (kit, _) = given().await;
    let key_id = kit.issue_hers("hers").await;
    let rotated = kit.application.rotate_key(&request("rotate"), rotate(key_id)).await.unwrap();
    assert_eq!(kit.texts(&kit.application, rotated.successor).await, [NAME, OWNER]);
    // A key of hers is given away with the name that she gave it; then she is erased, and the name with her.
    kit.index_reaches_the_head().await;
    let given_away = kit.issue_hers("given-away").await;
    let transfer = AmendRequest { owner: Some(text("lists-team")), ..amend(given_away) };
    kit.application.amend_key(&request("give"), transfer).await.unwrap();
    for (key, id) in [(key_id, "one"), (rotated.successor, "two")] {
        kit.revoke_with_note(key, id).await.unwrap();
    }
    kit.erase("erase").await.unwrap();
    assert_eq!(kit.texts(&kit.application, given_away).await, ["lists-team"]);
    let heir = kit.application.rotate_key(&request("rotate-again"), rotate(given_away)).await.unwrap();
    assert_eq!(
        kit.texts(&kit.application, heir.successor).await,
        ["lists-team"],
        "a name that is gone is none"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_is_compared_with_the_one_that_stands() {
    let (kit, _) = given().await;
    let key_id = kit.issue_hers("hers").await;
    let same = AmendRequest { name: Some(Some(text(NAME))), ..amend(key_id) };
    let refused = kit.application.amend_key(&request("same"), same).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::Unchanged))), "{refused:?}");
    let other = AmendRequest { name: Some(Some(text("autumn"))), ..amend(key_id) };
    kit.application.amend_key(&request("other"), other).await.unwrap();
    assert_eq!(kit.texts(&kit.application, key_id).await, [NAME, OWNER, "autumn"]);
}

#[tokio::test(start_paused = true)]
async fn without_seals_keys_are_taken_away_and_none_is_given() {
    let (kit, seals) = given().await;
    let key_id = kit.issue_hers("hers").await;
    // Of an owner whose seal nobody holds.
    let fresh = kit.beside(seals.clone());
    seals.away.store(true, Ordering::Relaxed);
    let suspend = SuspendKey {
        tenant: acme(),
        key_id,
        reason: SuspendReason::Investigating,
        note: Some(domain::Personal::Plain(text(NOTE))),
        until: None,
    };
    fresh.suspend_key(&request("suspend"), suspend).await.unwrap();
    assert!(matches!(
        fresh.issue_key(&request("another"), asked("campaigns:send")).await,
        Err(CommandError::Unavailable { .. })
    ));
    seals.away.store(false, Ordering::Relaxed);
    assert_eq!(kit.texts(&kit.application, key_id).await, [NAME, OWNER], "the note was left out for good");
}
