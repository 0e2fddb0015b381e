//! Recalls on an index that follows the log: tokens, what comes in between, generations, and the last operator.

use domain::{Issuer, Permission, Standing};

use super::*;
use crate::{AmendRequest, AskedSelector, Confirmed, Issued, RecallPreview, RecallRequest, Recalled};

const HOUR_MS: u64 = 60 * 60 * 1000;

fn owner(name: &str) -> AskedSelector {
    AskedSelector { owner: Some(PersonalText::name(name).unwrap()), ..AskedSelector::default() }
}

pub(super) fn recall(tenant: TenantId, selector: AskedSelector, confirmed: Confirmed) -> RecallRequest {
    let reason = RevokeReason::OwnerLeft;
    RecallRequest { tenant, selector, reason, note: None, confirmed, cascade: false }
}

fn transfer(key_id: KeyId, to: &str) -> AmendRequest {
    AmendRequest { owner: Some(PersonalText::name(to).unwrap()), ..life::amend(key_id) }
}

impl Kit {
    async fn preview(&self) -> RecallPreview {
        self.index_reaches_the_head().await;
        self.application.preview_recall(&acme(), owner("list-sender")).await.unwrap()
    }

    /// Recalls the keys of `list-sender`, as shown.
    async fn act_on(&self, preview: &RecallPreview, id: &str) -> Result<Recalled, CommandError> {
        let asked = recall(acme(), owner("list-sender"), Confirmed::Shown(preview.token));
        self.application.recall_keys(&request(id), asked).await
    }

    fn standing(&self, tenant: &TenantId, key_id: KeyId) -> Standing {
        self.index.key(tenant, key_id).unwrap().key.standing
    }

    /// Issues a key as an operator does.
    async fn issue_by(&self, tenant: &TenantId, issuer: KeyId, owner: &str, scope: &str) -> KeyId {
        let mut asked = asked(scope);
        (asked.tenant, asked.grant.owner) = (tenant.clone(), PersonalText::name(owner).unwrap());
        let admin =
            [Permission::TenantsAdmin, Permission::KeysIssue].map(|permission| permission.to_string());
        asked.issuer = Some(Issuer { key_id: issuer, scopes: ScopeSet::parse(admin).unwrap() });
        let id = format!("{owner}-by-{issuer}");
        let Issued { key_id, .. } = self.application.issue_key(&request(&id), asked).await.unwrap();
        self.index_reaches_the_head().await;
        key_id
    }

    /// The first operator, who administers.
    async fn first_operator(&self) -> KeyId {
        let drawn = self.application.draw_first_operator();
        let key = ParsedKey::parse(drawn.key.expose()).unwrap();
        self.application.bootstrap(&key).await.unwrap();
        self.index_reaches_the_head().await;
        key.key_id
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_shown_is_named_and_what_was_shown_may_have_changed() {
    let kit = Kit::following().await;
    let (shown, leaves) =
        (kit.issue("shown").await.unwrap().key_id, kit.issue("leaves").await.unwrap().key_id);
    let mut other = asked("lists:read");
    other.grant.owner = PersonalText::name("analytics").unwrap();
    let comes = kit.application.issue_key(&request("comes"), other).await.unwrap().key_id;
    let preview = kit.preview().await;
    assert_eq!((preview.count, preview.position.get()), (2, kit.head().await));

    // Changed, but shown; and one that is not meant any more.
    let renamed =
        AmendRequest { name: Some(Some(PersonalText::name("spring").unwrap())), ..life::amend(shown) };
    kit.application.amend_key(&request("renamed"), renamed).await.unwrap();
    kit.application.amend_key(&request("left"), transfer(leaves, "analytics")).await.unwrap();
    // Issued long before, and only now the owner's; and a new one.
    kit.application.amend_key(&request("came"), transfer(comes, "list-sender")).await.unwrap();
    let new = kit.issue("new").await.unwrap().key_id;
    kit.index_reaches_the_head().await;
    let (head, outdated) = (kit.head().await, kit.act_on(&preview, "act").await);
    let Err(CommandError::PreviewOutdated { count, mut sample }) = outdated else { panic!("{outdated:?}") };
    sample.sort_unstable();
    let mut beyond = vec![comes, new];
    beyond.sort_unstable();
    assert_eq!((count, sample, kit.head().await), (2, beyond, head));

    kit.revoke(new, "revoked", RevokeReason::Unused).await.unwrap();
    kit.application.amend_key(&request("went"), transfer(comes, "analytics")).await.unwrap();
    kit.index_reaches_the_head().await;
    let recalled = kit.act_on(&preview, "act").await.unwrap();
    assert_eq!((recalled.count, recalled.beyond), (Some(1), Some(vec![])), "fewer than shown is no matter");
    assert_eq!(kit.standing(&acme(), shown), Standing::Recalled);
    let again = kit.act_on(&preview, "act").await.unwrap();
    assert_eq!((again.changed.position, again.changed.repeated), (recalled.changed.position, true));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_good_for_an_hour_and_for_what_it_was_given_for() {
    let kit = Kit::following().await;
    kit.issue("issue").await.unwrap();
    let preview = kit.preview().await;
    let elsewhere = recall(acme(), AskedSelector::default(), Confirmed::Shown(preview.token));
    let refused = kit.application.recall_keys(&request("elsewhere"), elsewhere).await;
    assert!(matches!(refused, Err(CommandError::PreviewInvalid)), "{refused:?}");
    kit.ambient.now.fetch_add(HOUR_MS + 1, Ordering::Relaxed);
    let late = kit.act_on(&preview, "late").await;
    assert!(matches!(late, Err(CommandError::PreviewInvalid)), "{late:?}");
    kit.ambient.now.fetch_sub(1, Ordering::Relaxed);
    kit.act_on(&preview, "just").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_issued_while_a_recall_is_on_its_way_is_hit_and_told() {
    let kit = Arc::new(Kit::following().await);
    let shown = kit.issue("shown").await.unwrap().key_id;
    let preview = kit.preview().await;
    let (reached, go) = kit.hold_next_append();
    let recalling = {
        let kit = Arc::clone(&kit);
        tokio::spawn(async move { kit.act_on(&preview, "act").await })
    };
    reached.await.unwrap();
    let meanwhile = kit.issue("meanwhile").await.unwrap().key_id;
    let renamed =
        AmendRequest { name: Some(Some(PersonalText::name("spring").unwrap())), ..life::amend(shown) };
    kit.application.amend_key(&request("renamed"), renamed).await.unwrap();
    go.send(()).unwrap();
    let recalled = recalling.await.unwrap().unwrap();
    assert_eq!(recalled.beyond, Some(vec![meanwhile]), "the other one was shown");
    for key_id in [shown, meanwhile] {
        assert_eq!(kit.standing(&acme(), key_id), Standing::Recalled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cascade_takes_generations_along_and_goes_on_where_it_was_cut_short() {
    let kit = Kit::following().await;
    let (rescind, root) = (TenantId::operators(), kit.first_operator().await);
    let child = kit.issue_by(&rescind, root, "departed", "keys:issue").await;
    let grandchild = kit.issue_by(&rescind, child, "helper", "keys:issue").await;
    let of_child = kit.issue_by(&acme(), child, "mailer", "campaigns:send").await;
    let of_grandchild = kit.issue_by(&acme(), grandchild, "importer", "lists:read").await;
    let of_root = kit.issue_by(&acme(), root, "analytics", "lists:read").await;
    let asked = || RecallRequest {
        cascade: true,
        ..recall(rescind.clone(), owner("departed"), Confirmed::IncludingNew)
    };
    // The recall itself stands, what it takes along does not yet.
    let (reached, go) = kit.hold_next_append();
    let gone = request("gone");
    let cut_short = tokio::join!(kit.application.recall_keys(&gone, asked()), async {
        reached.await.unwrap();
        let (reached, second) = kit.hold_next_append();
        go.send(()).unwrap();
        reached.await.unwrap();
        kit.meet(Trouble::Away);
        second.send(()).unwrap();
    });
    match cut_short.0 {
        Err(CommandError::OutcomeUnknown { command_id, .. }) => assert_eq!(command_id.as_str(), "gone"),
        other => panic!("a part of it stands: {other:?}"),
    }
    assert_eq!(kit.standing(&rescind, child), Standing::Recalled);
    assert_eq!(kit.standing(&acme(), of_grandchild), Standing::Active);

    let again = kit.application.recall_keys(&request("gone"), asked()).await.unwrap();
    assert!(again.changed.repeated);
    let mut taken: Vec<_> =
        again.cascaded.iter().map(|taken| (taken.tenant.to_string(), taken.issuer, taken.count)).collect();
    taken.sort();
    let mut expected = vec![
        ("acme".to_owned(), child, 1),
        ("acme".to_owned(), grandchild, 1),
        ("rescind".to_owned(), child, 1),
    ];
    expected.sort();
    assert_eq!(taken, expected);
    for (tenant, key_id) in [(&rescind, grandchild), (&acme(), of_child), (&acme(), of_grandchild)] {
        assert_eq!(kit.standing(tenant, key_id), Standing::Recalled);
    }
    for (tenant, key_id) in [(&rescind, root), (&acme(), of_root)] {
        assert_eq!(kit.standing(tenant, key_id), Standing::Active);
    }
    let once_more = kit.application.recall_keys(&request("gone"), asked()).await.unwrap();
    assert_eq!(once_more.cascaded, []);
}

#[tokio::test(start_paused = true)]
async fn a_cascade_that_would_end_the_last_operator_is_refused_before_anything_stands() {
    let kit = Kit::following().await;
    let (rescind, root) = (TenantId::operators(), kit.first_operator().await);
    let between = kit.issue_by(&rescind, root, "departed", "keys:issue").await;
    let admin = kit.issue_by(&rescind, between, "successor", "tenants:admin").await;
    let revoke = |key_id| RevokeKey {
        tenant: TenantId::operators(),
        key_id,
        reason: RevokeReason::OwnerLeft,
        note: None,
    };
    let head = kit.head().await;
    let refused = kit.application.revoke_key_and_issued(&request("with-all"), revoke(root)).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::LastOperator))), "{refused:?}");
    assert_eq!(kit.head().await, head, "the first revocation does not stand either");
    kit.application.revoke_key(&request("alone"), revoke(root)).await.unwrap();
    kit.index_reaches_the_head().await;

    let head = kit.head().await;
    let cascade = |cascade| RecallRequest {
        cascade,
        ..recall(TenantId::operators(), owner("departed"), Confirmed::IncludingNew)
    };
    let refused = kit.application.recall_keys(&request("recall"), cascade(true)).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::LastOperator))), "{refused:?}");
    assert_eq!(kit.head().await, head);
    kit.application.recall_keys(&request("recall"), cascade(false)).await.unwrap();
    assert_eq!(kit.standing(&rescind, admin), Standing::Active);
}
