//! One key from its issue over a leak to the last attempt on it, as an auditor reads it.

use guard::{Requirement, Verdict};
use serde_json::{Value, json};
use tests::server::ServerSetup;

use crate::given::{asked_by, eventually, guard, incident, of_kind, rescind, run};

/// Every part of the story of that leak, each as well known as it can be.
#[track_caller]
fn is_whole(told: &Value) {
    assert_eq!((&told["standing"], &told["began"]["what"]), (&json!("revoked"), &json!("leak_report")));
    let exposure = &told["exposure"];
    assert_eq!(exposure["exactness"], "exact", "{told}");
    assert!(exposure["ms"].as_u64().unwrap() < 5_000, "{exposure}");
    assert_eq!(told["spans"].as_array().unwrap().len(), 1);
    let enforced = of_kind(told, "enforced");
    let by: Vec<_> =
        enforced.iter().map(|line| (&line["verifier"]["kind"], &line["verifier"]["by"])).collect();
    assert_eq!(by, [(&json!("server"), &json!("index")), (&json!("guard"), &json!("report"))], "{told}");
    assert_eq!(enforced[1]["verifier"]["name"], "mailer");
    let last = enforced[1]["at"].as_str().unwrap();
    assert!(told["began"]["at"].as_str().unwrap() <= last, "{told}");
    // The last use was before the report, and the record says so exactly.
    assert!(told["accepted"]["last_after_ms"].as_i64().unwrap() <= 0, "{}", told["accepted"]);
    assert_eq!(
        (&told["accepted"]["count"], &told["accepted"]["count_exactness"]),
        (&json!(0), &json!("exact"))
    );
    assert!(told["successor"]["first_used"].is_string(), "{told}");
    let attempts = &told["attempts"];
    assert_eq!(attempts["verdicts"][0]["network"], "198.51.100.0/24", "{attempts}");
    let services: Vec<_> =
        attempts["services"].as_array().unwrap().iter().map(|one| one["service"].as_str().unwrap()).collect();
    assert!(services.contains(&"old-mailer") && services.contains(&"mailer"), "{services:?}");
    assert!(!services.contains(&"lists-api"), "it was never refused: {services:?}");
    let times: Vec<_> =
        told["timeline"].as_array().unwrap().iter().filter_map(|line| line["at"].as_str()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leak_is_told_from_the_report_to_the_last_attempt() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let guard = guard(&server, &admin).await;
    let key = admin.issue("acme", "list-sender");
    let path = format!("/v1/tenants/acme/keys/{}", key.key_id);
    let any = Requirement::any();
    assert_eq!(guard.verify(&key.key, &any).await.verdict, Verdict::Valid);
    assert_eq!(asked_by(&admin, &key, "lists-api", "192.0.2.9"), "valid");
    let rotated = admin.post(&format!("{path}/rotate"), &json!({"by_hand": true})).expect(201).json();
    let successor = rotated["key"].as_str().unwrap().to_owned();
    assert_eq!(admin.verdict(&successor), "valid");

    let reports =
        json!({"reports": [{"token": key.key, "source": "chat", "url": "https://example.com/chat/7"}]});
    let reported = admin.post("/v1/leaks", &reports).expect(200).json();
    assert_eq!(reported["results"][0]["response"], "revoked", "{reported}");
    eventually("the guard refuses", || {
        let verdict = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(guard.verify(&key.key, &any)).verdict
        });
        (verdict == Verdict::Revoked).then_some(())
    });
    for _ in 0..3 {
        assert_eq!(asked_by(&admin, &key, "old-mailer", "198.51.100.20"), "revoked");
    }
    let told = eventually("all that was said is reported", || {
        let told = incident(&admin, &key);
        let settled = told["accepted"]["last_exactness"] == "exact"
            && told["attempts"]["count"].as_u64() >= Some(4)
            && told["successor"]["first_used"].is_string()
            && of_kind(&told, "enforced").len() == 2;
        settled.then_some(told)
    });

    is_whole(&told);
    let text = rescind(&server, &["audit", "incident", &key.key_id, "--tenant", "acme"]);
    for words in [
        "leak report at position",
        "reported as leaked",
        "https://example.com/chat/7",
        "refused by guard mailer",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // The receipt of a leak is read again like any other, also after a restart.
    let position = told["began"]["position"].as_u64().unwrap();
    guard.close().await;
    let server = server.stop().start();
    let receipt = server.admin().get(&format!("/v1/receipts/{position}")).expect(200).json();
    assert_eq!((&receipt["complete"], &receipt["late"]), (&json!(true), &json!(false)), "{receipt}");
    let again = incident(&server.admin(), &key);
    assert_eq!((&again["exposure"], &again["began"]), (&told["exposure"], &told["began"]));
}

#[test]
fn a_suspension_a_reinstatement_and_a_revocation_are_two_spans() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let key = admin.issue("acme", "list-sender");
    let post = |verb: &str, body: Value| {
        drop(admin.post(&format!("/v1/tenants/acme/keys/{}/{verb}", key.key_id), &body).expect(200));
    };
    post("suspend", json!({"reason": "investigating"}));
    post("reinstate", json!({}));
    let open = eventually("the views show it", || {
        let told = incident(&admin, &key);
        (told["spans"].as_array().unwrap().len() == 2).then_some(told)
    });
    assert_eq!((&open["exposure"]["ms"], &open["exposure"]["exactness"]), (&Value::Null, &json!("unknown")));
    assert_eq!(open["spans"][1]["until"], Value::Null, "it may be used: {open}");
    post("revoke", json!({"reason": "compromised"}));
    let told = eventually("the views show it", || {
        let told = incident(&admin, &key);
        (told["standing"] == "revoked").then_some(told)
    });
    let what: Vec<_> = told["spans"].as_array().unwrap().iter().map(|span| &span["until"]["what"]).collect();
    assert_eq!(what, [&json!("suspension"), &json!("revocation")]);
    assert_eq!(told["exposure"]["exactness"], "exact", "{told}");
}

#[test]
fn a_key_without_incident_has_a_short_story_and_not_everybody_may_read_one() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let key = admin.issue("acme", "list-sender");
    let text = rescind(&server, &["audit", "incident", &key.key_id, "--tenant", "acme"]);
    assert!(text.contains("nothing was ever the matter") && text.contains("issued"), "{text}");
    let told = incident(&admin, &key);
    assert_eq!(
        (&told["began"], &told["attempts"], &told["exposure"]["ms"]),
        (&Value::Null, &Value::Null, &json!(0))
    );
    assert_eq!(told["timeline"].as_array().unwrap().len(), 1, "{told}");

    let path = format!("/v1/tenants/acme/keys/{}/incident", key.key_id);
    let operator = |scopes: &[&str]| {
        let body = json!({"owner": "auditor", "scopes": scopes});
        admin.post("/v1/tenants/rescind/keys", &body).expect(201).json()["key"].as_str().unwrap().to_owned()
    };
    for (scopes, status) in
        [(&["acme/audit:read"], 200), (&["acme/keys:read"], 403), (&["other/audit:read"], 404)]
    {
        assert_eq!(server.admin_with(&operator(scopes)).get(&path).status, status, "{scopes:?}");
    }
    let missing = run(&server, &["audit", "incident", "01JDA7W5W6M4Q0T3S8V2N9X1YZ", "--tenant", "acme"]);
    assert_eq!(missing.status.code(), Some(3));
}
