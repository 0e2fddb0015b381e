//! Policies over HTTP: set, shown, refused, tried and at work.

use axum::http::Method;
use domain::KeyId;
use serde_json::{Value, json};

use super::kit::{Answer, Kit, eventually};

const POLICIES: &str = "/v1/tenants/default/policies";

async fn set(kit: &Kit, tenant: &str, name: &str, body: &Value) -> Answer {
    let path = format!("/v1/tenants/{tenant}/policies/{name}");
    kit.ask(Method::PUT, &path)
        .header("content-type", "application/json")
        .body(body.to_string())
        .answer()
        .await
}

/// Waits until a key is what it has to become.
async fn becomes(kit: &Kit, key: &Value, standing: &str) -> Value {
    let path = format!("/v1/tenants/default/keys/{}", key["key_id"].as_str().unwrap());
    eventually(standing, async || {
        Some(kit.get(&path).answer().await.is(200)).filter(|shown| shown["standing"] == standing)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_shown_as_it_was_set() {
    let kit = Kit::start().await;
    let rules = json!({
        "default_lifetime": "90d", "longest_lifetime": "365d", "rotate_after": "36h", "suspend_idle_after": "30d",
        "revoke_idle_after": "90d", "warn_before_expiry": ["14d", "1d"], "scopes_allowed": ["campaigns:*"],
        "scopes_denied": ["users:*"], "networks_required": true, "networks_allowed": ["192.0.2.0/24"]
    });
    let body = json!({"selector": {"owner": "list-sender", "environment": "live"}, "rules": rules});
    let changed = set(&kit, "default", "house", &body).await.is(200);
    assert_eq!((&changed["tenant"], &changed["revision"]), (&json!("default"), &json!(2)));
    set(&kit, "default", "house", &body).await.is_problem(409, "unchanged");
    let listed = kit.get(POLICIES).answer().await.is(200);
    let policy = &listed["policies"][0];
    let mut shown = rules.clone();
    shown["warn_before_expiry"] = json!(["1d", "14d"]);
    assert_eq!((&policy["name"], &policy["rules"]), (&json!("house"), &shown));
    let selector = &policy["selector"];
    assert_eq!((&selector["owner"], &selector["all"]), (&json!("list-sender"), &json!(false)));

    let key = json!({"owner": "list-sender", "scopes": ["campaigns:send"]});
    let refused = kit.post("/v1/tenants/default/keys", &key).answer().await.is_problem(409, "policy_denies");
    assert!(refused["detail"].as_str().unwrap().contains("networks_required"), "{refused}");
    kit.ask(Method::DELETE, &format!("{POLICIES}/house")).answer().await.is(200);
    kit.ask(Method::DELETE, &format!("{POLICIES}/house")).answer().await.is_problem(409, "no_such_policy");
    assert_eq!(kit.get(POLICIES).answer().await.is(200), json!({"policies": []}));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_policy_is_refused_with_the_place() {
    let kit = Kit::start().await;
    let idle = json!({"rules": {"suspend_idle_after": "30d"}});
    for (rules, words) in [
        (json!({}), "at least one rule"),
        (json!({"suspend_idle_after": "30"}), "rules.suspend_idle_after"),
        (json!({"rotate_after": "1000000d"}), "a span of rotate_after"),
        (json!({"default_lifetime": "2d", "longest_lifetime": "1d"}), "must not be longer"),
        (json!({"networks_allowed": ["192.0.2.7/24"]}), "host bits"),
        (json!({"scopes_denied": ["a b"]}), "rules.scopes_denied"),
        (
            json!({"warn_before_expiry": vec!["1d", "2d", "3d", "4d", "5d", "6d", "7d", "8d", "9d"]}),
            "8 times",
        ),
    ] {
        let answer = set(&kit, "default", "house", &json!({"rules": rules})).await;
        let problem = answer.is_problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    set(&kit, "default", "House", &idle).await.is_problem(422, "invalid_value");
    set(&kit, "elsewhere", "house", &idle).await.is_problem(404, "not_found");
    set(&kit, "rescind", "house", &idle).await.is_problem(409, "not_for_operators");
    for n in 0..32 {
        set(&kit, "default", &format!("p{n}"), &idle).await.is(200);
    }
    set(&kit, "default", "house", &idle).await.is_problem(409, "too_many_policies");

    let reader = kit.operator(&["default/keys:read"]).await;
    kit.get(POLICIES).with_key(&reader).answer().await.is(200);
    kit.ask(Method::DELETE, &format!("{POLICIES}/p0"))
        .with_key(&reader)
        .answer()
        .await
        .is_problem(403, "scope_missing");
    kit.get("/v1/tenants/rescind/policies").with_key(&reader).answer().await.is_problem(404, "not_found");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_uses_is_suspended_and_later_revoked() {
    let kit = Kit::start().await;
    let (idle, other) =
        (kit.issue(json!({})).await, kit.issue(json!({"labels": {"service": "mailer"}})).await);
    let rules = json!({"suspend_idle_after": "2s"});
    let others = json!({"selector": {"label": "service=importer"}, "rules": rules});
    set(&kit, "default", "not-it", &others).await.is(200);
    let shown = async |name: &str| {
        let listed = kit.get(POLICIES).answer().await.is(200);
        listed["policies"].as_array().unwrap().iter().find(|policy| policy["name"] == name).cloned().unwrap()
    };
    let all = json!({"selector": {"owner": "list-sender"}, "rules": rules});
    // What it would do is told before it is set.
    let tried = eventually("both would be touched", async || {
        let tried = kit.post("/v1/tenants/default/policies/try", &all).answer().await.is(200);
        Some(tried).filter(|tried| tried["keys"].as_array().unwrap().len() == 2)
    })
    .await;
    let touch = &tried["keys"][0]["touches"][0];
    assert_eq!((&touch["action"], &touch["requests_after"]), (&json!("suspend"), &json!(0)), "{tried}");
    assert!(touch["at"].is_string() && tried["keys"][0]["complete"] == true, "{tried}");
    assert_eq!(kit.get(POLICIES).answer().await.is(200)["policies"].as_array().unwrap().len(), 1);
    set(&kit, "default", "all", &all).await.is(200);
    let suspended = becomes(&kit, &idle, "suspended").await;
    assert_eq!(suspended["reason"], "policy");
    assert!(suspended["note"].as_str().unwrap().contains("policy all: not used for 2s"), "{suspended}");
    becomes(&kit, &other, "suspended").await;
    // What is suspended because nobody used it goes on being idle.
    let revokes = json!({"rules": {"revoke_idle_after": "3s"}});
    set(&kit, "default", "revokes", &revokes).await.is(200);
    becomes(&kit, &idle, "revoked").await;
    becomes(&kit, &other, "revoked").await;
    let events = kit.get(&format!("/v1/tenants/default/keys/{}/events", idle["key_id"].as_str().unwrap()));
    let events = events.answer().await.is(200);
    let events = events["events"].as_array().unwrap();
    assert_eq!(events.len(), 3, "{events:?}");
    for event in &events[1..] {
        assert_eq!(
            (&event["cause"], &event["actor"]["kind"]),
            (&json!("policy"), &json!("system")),
            "{event}"
        );
    }
    let state = shown("all").await;
    assert!(state["state"]["at"].is_string(), "{state}");
    assert_eq!(shown("not-it").await["state"]["suspended"], 0);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notice_of_an_expiry_is_given_once() {
    let kit = Kit::start().await;
    let expires = wire::format_rfc3339(kit.node.app.ambient.now().plus_millis(3_600_000));
    let key = kit.issue(json!({"expires_at": expires})).await;
    let later = kit.issue(json!({})).await;
    let rules = json!({"rules": {"warn_before_expiry": ["1d", "2h", "2s"]}});
    set(&kit, "default", "warns", &rules).await.is(200);
    let events = async |key: &Value| {
        let path = format!("/v1/tenants/default/keys/{}/events", key["key_id"].as_str().unwrap());
        kit.get(&path).answer().await.is(200)["events"].as_array().unwrap().clone()
    };
    eventually("notice is given", async || (events(&key).await.len() > 1).then_some(())).await;
    let (tenant, name) = ("default".parse().unwrap(), "warns".parse().unwrap());
    let passed = || kit.node.app.policies.of(&tenant, &name).map(|pass| pass.at);
    let first = eventually("a pass", async || passed()).await;
    eventually("another pass, which comes to nothing", async || passed().filter(|at| *at != first)).await;
    let seen = events(&key).await;
    assert_eq!(seen.iter().filter(|event| event["type"] == "ExpiryWarned").count(), 1, "{seen:?}");
    assert_eq!(events(&later).await.len(), 1);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_names_what_is_wrong_and_the_command_that_mends_it() {
    let kit = Kit::start().await;
    let operator = kit.operator(&["keys:issue"]).await;
    let id_of = |key: &str| key["rsk_live_".len()..][..26].parse::<KeyId>().unwrap();
    let used = kit.issue(json!({"environment": "test", "scopes": ["campaigns:send", "lists:*"]})).await;
    let body = json!({"key": used["key"], "scope": "campaigns:send"});
    kit.post("/v1/verify", &body).answer().await.is(200);
    let leaver = kit.issue(json!({"owner": "departed"})).await;
    let recall = json!({"selector": {"owner": "departed"}, "reason": "owner_left", "accept_changes": true});
    kit.post("/v1/tenants/default/recalls", &recall).answer().await.is(201);
    let orphan = kit.issue(json!({"owner": "departed"})).await;
    let id = id_of(&operator);
    assert_ne!(orphan["key_id"], leaver["key_id"]);
    let position = orphan["position"].as_u64().unwrap();
    let path = format!("/v1/tenants/default/review?unused_for=1s&min_position={position}");
    let of = |review: &Value, key: &Value| -> Vec<(String, String)> {
        let found =
            review["findings"].as_array().unwrap().iter().filter(|found| found["key_id"] == key["key_id"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found.map(|found| (text(&found["finding"]), text(&found["mend"]))).collect()
    };
    let kinds = |review: &Value, key: &Value| -> Vec<String> {
        of(review, key).into_iter().map(|(kind, _)| kind).collect()
    };
    let review = eventually("the use is reported, and then it is quiet", async || {
        let review = kit.get(&path).answer().await.is(200);
        let found = kinds(&review, &used) == ["unused", "over_scoped", "never_expires"]
            && kinds(&review, &orphan) == ["orphaned", "never_used", "never_expires"];
        Some(review).filter(|_| found)
    })
    .await;
    assert_eq!(kinds(&review, &leaver), [] as [&str; 0], "what has ended is no matter of review");
    let rescope = format!(
        "rescind key rescope {} --tenant default --scope campaigns:send",
        used["key_id"].as_str().unwrap()
    );
    assert_eq!(of(&review, &used)[1].1, rescope);
    let only = kit.get("/v1/tenants/default/review?finding=orphaned").answer().await.is(200);
    assert_eq!(only["findings"].as_array().unwrap().len(), 1, "{only}");
    kit.get("/v1/tenants/default/review?finding=x").answer().await.is_problem(400, "bad_query");
    kit.get("/v1/tenants/default/review?unused_for=x").answer().await.is_problem(400, "bad_query");
    kit.get("/v1/tenants/elsewhere/review").answer().await.is_problem(404, "not_found");
    let first = kit.get("/v1/tenants/default/review?limit=1").answer().await.is(200);
    assert_eq!((first["examined"].as_u64(), first["next_cursor"].is_string()), (Some(1), true));
    let operators = kit.get("/v1/tenants/rescind/review").answer().await.is(200);
    assert!(operators["findings"].as_array().unwrap().iter().any(|found| found["key_id"] == id.to_string()));
    kit.node.stop().await;
}
