//! The log through every filter, and any moment of it: a key as it was, a verdict explained, what changed.

use axum::http::Method;
use serde_json::{Value, json};

use super::kit::{Answer, Kit};

/// The events that a query tells, by type and position.
async fn told(kit: &Kit, query: &str) -> Vec<(String, u64)> {
    let answer = kit.get(&format!("/v1/events?{query}")).answer().await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    events(&answer)
        .iter()
        .map(|event| (event["type"].as_str().unwrap().to_owned(), event["position"].as_u64().unwrap()))
        .collect()
}

fn events(answer: &Answer) -> Vec<Value> {
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(told: &[(String, u64)]) -> Vec<&str> {
    told.iter().map(|(name, _)| name.as_str()).collect()
}

fn path(key: &Value) -> String {
    format!("/v1/tenants/default/keys/{}", key["key_id"].as_str().unwrap())
}

async fn change(kit: &Kit, key: &Value, body: Value) -> u64 {
    let answer = kit.ask(Method::PATCH, &path(key)).header("content-type", "application/json");
    let answer = answer.body(body.to_string()).answer().await;
    let changed = answer.is(200);
    changed["position"].as_u64().unwrap_or_else(|| answer.header("rescind-position").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_told_by_owner_actor_type_and_time() {
    let kit = Kit::start().await;
    let first = kit.issue(json!({"owner": "list-sender"})).await;
    let second = kit.issue(json!({"owner": "campaign-team"})).await;
    let moved = change(&kit, &first, json!({"owner": "campaign-team"})).await;
    let renamed = change(&kit, &first, json!({"name": "spring"})).await;
    let revoked = kit.revoke(second["key_id"].as_str().unwrap()).await["position"].as_u64().unwrap();
    let of = async |query: &str| told(&kit, query).await;

    let before = of("tenant=default&owner=list-sender").await;
    assert_eq!(names(&before), ["KeyIssued", "KeyTransferred"]);
    let after = of("tenant=default&owner=campaign-team").await;
    assert_eq!(names(&after), ["KeyIssued", "KeyTransferred", "KeyRenamed", "KeyRevoked"]);
    let late = of(&format!("tenant=default&owner=campaign-team&from={renamed}")).await;
    assert_eq!(late[0].1, renamed, "whose a key is was told before the span");
    assert_eq!(of("tenant=default&owner=nobody").await, []);

    assert_eq!(of("type=KeyRevoked").await, [("KeyRevoked".to_owned(), revoked)]);
    let two = of("type=KeyRevoked,KeyTransferred").await;
    assert_eq!(two.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [moved, revoked]);
    let operator = kit.get("/v1/events?type=KeyRevoked").answer().await;
    let operator = events(&operator)[0]["actor"]["key_id"].as_str().unwrap().to_owned();
    assert_eq!(of(&format!("actor={operator}&from=4")).await, of("actor=operator&from=4").await);
    assert_eq!(of("actor=scanner").await, []);
    assert!(
        of("actor=system")
            .await
            .iter()
            .all(|(name, _)| name.starts_with("TenantOpened") || name == "KeyIssued")
    );

    let at = events(&kit.get(&format!("/v1/events?from={moved}&to={moved}")).answer().await);
    let at = at[0]["occurred_at"].as_str().unwrap().to_owned();
    assert!(of(&format!("from={at}")).await.iter().any(|(_, position)| *position == moved));
    assert!(of(&format!("to={at}")).await.iter().any(|(_, position)| *position == moved));
    assert!(of(&format!("until={at}")).await.iter().all(|(_, position)| *position < moved));
    assert!(of(&format!("since={at}")).await.iter().any(|(_, position)| *position == revoked));
    assert_eq!(of("from=2999-01-01T00:00:00Z").await, []);
    assert_eq!(of("to=1999-01-01T00:00:00Z").await, []);

    for (bad, word) in [
        ("type=KeyLost", "KeyRevoked"),
        ("actor=somebody", "scanner"),
        ("owner=list-sender", "tenant"),
        ("from=noon", "position"),
        ("to=-1", "position"),
        ("colour=red", "colour"),
    ] {
        let problem = kit.get(&format!("/v1/events?{bad}")).answer().await.is_problem(400, "bad_query");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{bad}: {problem}");
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_tells_how_far_it_is() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let last = kit.revoke(key["key_id"].as_str().unwrap()).await["position"].as_u64().unwrap();
    let id = key["key_id"].as_str().unwrap();
    for query in ["", "type=KeyRevoked", &format!("tenant=default&key={id}"), "from=999", "from=3&to=2"] {
        let lines = events(&kit.get(&format!("/v1/events?progress=true&{query}")).answer().await);
        let of = lines[0]["of"].as_u64().unwrap();
        assert!(lines[0]["reached"].as_u64().unwrap() <= of && of <= last, "{query}: {lines:?}");
        let end = lines.last().unwrap();
        assert_eq!(end["reached"].as_u64().unwrap(), of, "{query}: the last line says that this is all");
        let plain = kit.get(&format!("/v1/events?{query}")).answer().await;
        let told: Vec<Value> = lines.into_iter().filter(|line| line["of"].is_null()).collect();
        assert_eq!(told, events(&plain), "{query}");
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_as_it_was() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({"name": "spring"})).await;
    let issued = key["position"].as_u64().unwrap();
    let renamed = change(&kit, &key, json!({"name": "autumn", "scopes": ["lists:read"]})).await;
    kit.revoke(key["key_id"].as_str().unwrap()).await;
    let at = async |at: u64| kit.get(&format!("{}?at={at}", path(&key))).answer().await;
    let first = at(issued).await.is(200);
    assert_eq!(
        (&first["name"], &first["standing"], &first["revision"]),
        (&json!("spring"), &json!("active"), &json!(1))
    );
    assert_eq!(first["as_of"]["position"], issued);
    assert!(first.get("last_used_at").is_none(), "use is counted apart from the log");
    let second = at(renamed).await.is(200);
    assert_eq!((&second["name"], &second["scopes"]), (&json!("autumn"), &json!(["lists:read"])));
    let now = kit.get(&path(&key)).answer().await.is(200);
    assert_eq!((&now["standing"], now.get("as_of")), (&json!("revoked"), None));
    let by_time = first["as_of"]["time"].as_str().unwrap();
    let by_time = kit.get(&format!("{}?at={by_time}", path(&key))).answer().await.is(200);
    assert!(by_time["as_of"]["position"].as_u64().unwrap() >= issued);

    let before = at(issued - 1).await.is_problem(404, "not_there_then");
    assert!(before["detail"].as_str().unwrap().contains(&issued.to_string()), "{before}");
    let begin = kit.get(&format!("{}?at=1970-01-01T00:00:00Z", path(&key))).answer().await;
    begin.is_problem(404, "not_there_then");
    let nobody = "/v1/tenants/default/keys/01JDA7W5W6M4Q0T3S8V2N9X1YZ";
    kit.get(&format!("{nobody}?at=3")).answer().await.is_problem(404, "not_found");
    for bad in ["999999", "2999-01-01T00:00:00Z", "noon", ""] {
        kit.get(&format!("{}?at={bad}", path(&key))).answer().await.is_problem(400, "bad_query");
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_explained_with_the_event_that_decided_it() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({"networks": ["192.0.2.0/24"]})).await;
    let issued = key["position"].as_u64().unwrap();
    let revoked = kit.revoke(key["key_id"].as_str().unwrap()).await["position"].as_u64().unwrap();
    let explain = async |query: &str| kit.get(&format!("{}/explain?{query}", path(&key))).answer().await;
    for (query, verdict, rule, decided) in [
        (format!("at={issued}&network=192.0.2.7"), "valid", "nothing_denies", Some(issued)),
        (
            format!("at={issued}&network=192.0.2.7&scope=campaigns:send"),
            "valid",
            "nothing_denies",
            Some(issued),
        ),
        (
            format!("at={issued}&network=192.0.2.7&scope=lists:read"),
            "scope_denied",
            "scope_not_held",
            Some(issued),
        ),
        (format!("at={issued}"), "network_denied", "network_not_admitted", Some(issued)),
        (format!("at={}", issued - 1), "unknown", "not_there", None),
        (format!("at={revoked}"), "revoked", "revoked", Some(revoked)),
        (String::new(), "revoked", "revoked", Some(revoked)),
    ] {
        let told = explain(&query).await.is(200);
        assert_eq!((&told["verdict"], &told["rule"]), (&json!(verdict), &json!(rule)), "{query}: {told}");
        assert_eq!(told["decided_by"]["position"].as_u64(), decided, "{query}: {told}");
    }
    let told = explain("").await.is(200);
    let event = &told["decided_by"];
    assert_eq!((&event["type"], &event["data"]["reason"]), (&json!("KeyRevoked"), &json!("compromised")));
    assert_eq!((&event["actor"]["kind"], &event["cause"]), (&json!("operator"), &json!("command")));

    // The operators' own keys are keys like any.
    let operator = event["actor"]["key_id"].as_str().unwrap();
    let told = kit.get(&format!("/v1/tenants/rescind/keys/{operator}/explain")).answer().await.is(200);
    assert_eq!(told["verdict"], "valid");
    for bad in ["at=noon", "scope=", "network=here", "at=999999", "colour=red"] {
        explain(bad).await.is_problem(400, "bad_query");
    }
    let nobody = "/v1/tenants/default/keys/01JDA7W5W6M4Q0T3S8V2N9X1YZ/explain";
    kit.get(nobody).answer().await.is_problem(404, "not_found");
    let reader = kit.operator(&["keys:read"]).await;
    let answer = kit.get(&format!("{}/explain", path(&key))).with_key(&reader).answer().await;
    answer.is_problem(403, "scope_missing");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_told_with_before_and_after() {
    let kit = Kit::start().await;
    let old = kit.issue(json!({"name": "spring"})).await;
    let other = kit.issue(json!({})).await;
    let begin = other["position"].as_u64().unwrap();
    change(&kit, &old, json!({"name": "autumn"})).await;
    let new = kit.issue(json!({})).await;
    let policy = json!({"rules": {"rotate_after": "90d"}});
    let set =
        kit.ask(Method::PUT, "/v1/tenants/default/policies/age").header("content-type", "application/json");
    assert!(set.body(policy.to_string()).answer().await.status.is_success());
    kit.revoke(other["key_id"].as_str().unwrap()).await;
    let diff = kit.get(&format!("/v1/tenants/default/diff?from={begin}")).answer().await.is(200);
    let ids = |name: &str| -> Vec<Value> {
        diff[name].as_array().unwrap().iter().map(|key| key["key_id"].clone()).collect()
    };
    assert_eq!(ids("issued"), [new["key_id"].clone()]);
    assert_eq!(ids("ended"), [other["key_id"].clone()]);
    let renamed =
        diff["changed"].as_array().unwrap().iter().find(|key| key["key_id"] == old["key_id"]).unwrap();
    assert_eq!(renamed["changes"], json!([{"attribute": "name", "before": "spring", "after": "autumn"}]));
    let policies = &diff["policies"];
    assert_eq!((&policies[0]["name"], &policies[0]["before"]), (&json!("age"), &Value::Null));
    assert_eq!((diff["settings"].clone(), diff["unreadable"].clone()), (json!([]), json!([])));
    let nothing =
        kit.get(&format!("/v1/tenants/default/diff?from={begin}&to={begin}")).answer().await.is(200);
    assert_eq!((&nothing["issued"], &nothing["changed"]), (&json!([]), &json!([])));
    let all = kit.get("/v1/tenants/default/diff?from=0").answer().await.is(200);
    assert_eq!(all["issued"].as_array().unwrap().len(), 3);
    assert!(all["settings"].as_array().unwrap().iter().any(|one| one["attribute"] == "opened_at"), "{all}");

    kit.get("/v1/tenants/default/diff?from=5&to=4").answer().await.is_problem(400, "bad_query");
    kit.get("/v1/tenants/default/diff").answer().await.is_problem(400, "bad_query");
    kit.get("/v1/tenants/acme/diff?from=0").answer().await.is_problem(404, "not_found");
    kit.get("/v1/tenants/default/diff?from=0&to=1").answer().await.is_problem(404, "not_there_then");
    kit.node.stop().await;
}
