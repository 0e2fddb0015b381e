//! What a guard of a real server says of keys, and how soon.

use std::time::Duration;

use guard::{PastLease, Requirement, State, Verdict};
use serde_json::{Value, json};
use tests::server::{Client, ServerSetup};

use crate::given::{Given, MovedClock, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revoked_key_is_refused_when_the_receipt_says_so() {
    let given = Given::start().await;
    let key = given.admin.issue("acme", "list-sender");
    let decision = given.decision(&key.key).await;
    assert_eq!(decision.verdict, Verdict::Valid);
    let holder = decision.holder.unwrap();
    assert_eq!(holder.key_id().to_string(), key.key_id);
    assert_eq!(holder.owner(), Some("list-sender"));
    assert_eq!(holder.scopes().iter().map(ToString::to_string).collect::<Vec<_>>(), ["campaigns:send"]);
    assert_eq!(holder.labels().iter().map(ToString::to_string).collect::<Vec<_>>(), ["service=mailer"]);
    let path = format!("/v1/tenants/acme/keys/{}/revoke?wait=enforced&timeout_ms=6000", key.key_id);
    let revoked = given.admin.post(&path, &json!({"reason": "compromised"})).expect(200).json();
    let decision = given.guard.check(&key.key, &Requirement::any()).unwrap();
    assert_eq!(decision.verdict, Verdict::Revoked, "{revoked}");
    assert!(decision.since.is_some());
    let enforced = revoked["receipt"]["enforced"].as_array().unwrap();
    let own = enforced.iter().find(|by| by["name"] == "mailer").unwrap_or_else(|| panic!("{revoked}"));
    assert_eq!(
        (own["by"].as_str(), own["guard_id"].as_str()),
        (Some("report"), Some(&*given.guard.status().guard_id))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_change_of_a_key_reaches_the_guard() {
    let given = Given::start().await;
    let key = given.admin.issue("acme", "list-sender");
    let at = format!("/v1/tenants/acme/keys/{}", key.key_id);
    given.until(&key.key, Verdict::Valid).await;
    let _ = given.admin.post(&format!("{at}/suspend"), &json!({"reason": "investigating"})).expect(200);
    given.until(&key.key, Verdict::Suspended).await;
    let _ = given.admin.post(&format!("{at}/reinstate"), &json!({})).expect(200);
    given.until(&key.key, Verdict::Valid).await;
    let send = Requirement::of_scope("campaigns:send").unwrap();
    assert_eq!(given.guard.verify(&key.key, &send).await.verdict, Verdict::Valid);
    let _ = given.admin.send("PATCH", &at, &[], Some(&json!({"scopes": ["lists:read"]}))).expect(200);
    eventually("rescoped", async || {
        given.guard.verify(&key.key, &send).await.verdict == Verdict::ScopeDenied
    })
    .await;
    let recall = json!({"selector": {"owner": "list-sender"}, "reason": "owner_left", "dry_run": true});
    let preview = given.admin.post("/v1/tenants/acme/recalls", &recall).expect(200).json();
    let confirm =
        json!({"selector": {"owner": "list-sender"}, "reason": "owner_left", "confirm": preview["token"]});
    let _ = given.admin.post("/v1/tenants/acme/recalls", &confirm).expect(201);
    given.until(&key.key, Verdict::Recalled).await;
    let later = given.admin.issue("acme", "list-sender");
    given.until(&later.key, Verdict::Valid).await;
    let _ = given.admin.send("DELETE", "/v1/tenants/acme", &[], None).expect(200);
    given.until(&later.key, Verdict::TenantClosed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_learn_nothing_and_another_tenants_keys_are_guesses() {
    let given = Given::start().await;
    given.admin.open_tenant("news");
    let foreign = given.admin.issue("news", "list-sender");
    assert_eq!(given.verdict(&foreign.key).await, Verdict::Unknown);
    assert_eq!(given.verdict("rsk_live_x").await, Verdict::Malformed);
    assert_eq!(given.verdict(&foreign.key).await, Verdict::Unknown);
    assert!(
        given.guard.check(&foreign.key, &Requirement::any()).is_some(),
        "it is known now, without asking"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_was_no_key_becomes_one() {
    let given = Given::start().await;
    let token = "sk-campaigns-0123456789";
    assert_eq!(given.verdict(token).await, Verdict::Malformed);
    let digest = wire::hex(&domain::SecretDigest::of_token(token).to_bytes());
    let line = json!({"digest": digest, "owner": "list-sender", "scopes": ["campaigns:send"]}).to_string();
    let authorization = format!("Bearer {}", given.server.operator_key());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/x-ndjson")];
    let url = format!("{}/v1/tenants/acme/imports", given.server.url());
    let imported = Client::default().send("POST", &url, &headers, Some(line.as_bytes())).expect(200);
    assert!(imported.text.contains("imported"), "{}", imported.text);
    given.until(token, Verdict::Valid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_that_jumps_moves_expiry_and_nothing_else() {
    let clock = MovedClock::new();
    let given = Given::start_with(ServerSetup::embedded(), |builder| builder.clock(clock.clone())).await;
    let body = json!({"owner": "list-sender", "expires_at": "2099-01-01T00:00:00Z"});
    let issued: Value = given.admin.post("/v1/tenants/acme/keys", &body).expect(201).json();
    let (expiring, lasting) = (issued["key"].as_str().unwrap(), given.admin.issue("acme", "list-sender"));
    given.until(expiring, Verdict::Valid).await;
    given.until(&lasting.key, Verdict::Valid).await;
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    clock.jump(u64::try_from(century.as_millis()).unwrap());
    let judged = |token: &str| given.guard.check(token, &Requirement::any()).map(|decision| decision.verdict);
    eventually("judged", async || judged(&lasting.key) == Some(Verdict::Valid)).await;
    assert_eq!(judged(expiring), Some(Verdict::Expired));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn past_the_lease_a_route_may_ask_the_server() {
    let clock = MovedClock::new();
    let given = Given::start_with(ServerSetup::embedded(), |builder| builder.clock(clock.clone())).await;
    let key = given.admin.issue("acme", "list-sender");
    given.until(&key.key, Verdict::Valid).await;
    let asking = Requirement::of_scope("campaigns:send").unwrap().past_lease(PastLease::AskServer);
    // A keeper may renew the lease at any time: slept for longer than the bound, it is stale until then.
    eventually("asked past the lease", async || {
        clock.sleep(60_000);
        let stale = given.guard.check(&key.key, &Requirement::any()).unwrap().verdict == Verdict::Stale;
        let decision = given.guard.verify(&key.key, &asking).await;
        assert!(matches!(decision.verdict, Verdict::Valid), "{decision:?}");
        stale && decision.holder.unwrap().labels().is_empty()
    })
    .await;
    eventually("current", async || given.guard.status().state == State::Current).await;
}
