//! Imports: one key a digest, whoever asks and whatever the log does, and what is asked otherwise is told.

use std::sync::atomic::Ordering;

use domain::{Refusal, ScopeSet, SecretDigest};

use super::{Kit, Trouble, acme, asked, request};
use crate::{Ambient, CommandError, ImportRequest, Importable, Imported};

fn line(token: &str, scope: &str) -> ImportRequest {
    let digest = SecretDigest::of_token(token);
    ImportRequest { tenant: acme(), digest, grant: asked(scope).grant, issuer: None }
}

async fn import(kit: &Kit, line: ImportRequest) -> Result<Imported, CommandError> {
    kit.application.import_key(&request("import"), line).await
}

#[track_caller]
fn is_new(imported: &Imported) -> bool {
    match imported {
        Imported::New { .. } => true,
        Imported::Known { differs, .. } => {
            assert!(differs.is_empty(), "{differs:?}");
            false
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_one_key_also_where_the_index_has_not_heard_of_it() {
    let kit = Kit::start().await;
    assert!(is_new(&import(&kit, line("old-a", "campaigns:send")).await.unwrap()));
    let twice = tokio::join!(
        import(&kit, line("old-b", "campaigns:send")),
        import(&kit, line("old-b", "campaigns:send")),
    );
    let new = [twice.0.unwrap(), twice.1.unwrap()].iter().filter(|imported| is_new(imported)).count();
    assert_eq!((new, kit.head().await), (1, 3));
    assert!(!is_new(&import(&kit, line("old-a", "campaigns:send")).await.unwrap()));

    let mut otherwise = line("old-a", "lists:read");
    otherwise.grant.owner = domain::PersonalText::name("analytics").unwrap();
    match import(&kit, otherwise).await.unwrap() {
        Imported::Known { differs, .. } => assert_eq!(differs, ["owner", "scopes"]),
        imported @ Imported::New { .. } => panic!("{imported:?}"),
    }
    assert_eq!(kit.head().await, 3);
}

#[tokio::test(start_paused = true)]
async fn what_stands_is_known_though_it_would_be_refused_by_now() {
    let kit = Kit::start().await;
    let until = kit.ambient.now().plus_millis(1_000);
    let dated = |token: &str| {
        let mut line = line(token, "campaigns:send");
        line.grant.expires_at = Some(until);
        line
    };
    assert!(is_new(&import(&kit, dated("old-a")).await.unwrap()));
    kit.ambient.now.store(2_000, Ordering::Relaxed);
    assert!(!is_new(&import(&kit, dated("old-a")).await.unwrap()));
    let refused = import(&kit, dated("old-b")).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::ExpiryInPast { .. }))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn doubt_about_a_line_is_settled_by_the_same_unit() {
    for trouble in [Trouble::AnswerLost, Trouble::Lost] {
        let kit = Kit::start().await;
        kit.meet(trouble);
        assert!(is_new(&import(&kit, line("old-a", "campaigns:send")).await.unwrap()), "{trouble:?}");
        assert_eq!(kit.head().await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn trying_changes_nothing_and_refuses_what_the_import_would() {
    let kit = Kit::start().await;
    let tried = kit.application.try_import(line("old-a", "campaigns:send")).await.unwrap();
    assert_eq!((tried, kit.head().await), (Importable::New, 1));
    let mut expired = line("old-a", "campaigns:send");
    expired.grant.expires_at = Some(domain::Timestamp::default());
    expired.grant.scopes = ScopeSet::default();
    let refused = kit.application.try_import(expired).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::ExpiryInPast { .. }))));
}
