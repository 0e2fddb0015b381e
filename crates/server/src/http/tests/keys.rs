//! Tenants and keys: open, issue, list, show, revoke, history; repeats, refusals and what each operator may see.

use serde_json::{Value, json};

use super::kit::Kit;

const KEYS: &str = "/v1/tenants/default/keys";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_issued_shown_revoked_and_its_history_told() {
    let kit = Kit::start().await;
    let body = json!({
        "owner": "list-sender", "name": "spring campaign", "scopes": ["campaigns:send", "lists:*"],
        "labels": {"service": "mailer"}, "environment": "test", "networks": ["192.0.2.0/24"],
        "expires_at": "2999-01-01T00:00:00Z",
    });
    let answer = kit.post(KEYS, &body).answer().await;
    let issued = answer.is(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let position = issued["position"].as_u64().unwrap();
    assert_eq!(answer.header("rescind-position"), position.to_string());
    assert!(issued["key"].as_str().unwrap().starts_with("rsk_test_"));
    assert!(issued.get("secret_already_shown").is_none());
    let key_id = issued["key_id"].as_str().unwrap();

    let shown = kit.get(&format!("{KEYS}/{key_id}?min_position={position}")).answer().await.is(200);
    for name in
        ["key_id", "tenant", "name", "owner", "scopes", "labels", "environment", "networks", "standing"]
    {
        assert_eq!(shown[name], issued[name], "{name}");
    }
    for name in ["revision", "issued_at", "expires_at", "issued_by", "position"] {
        assert_eq!(shown[name], issued[name], "{name}");
    }
    assert_eq!((&shown["standing"], &shown["owner"]), (&json!("active"), &json!("list-sender")));
    assert!(shown.get("key").is_none());

    let revoke = format!("{KEYS}/{key_id}/revoke");
    let why = json!({"reason": "owner_left", "note": "moved to the lists team"});
    let answer = kit.post(&format!("{revoke}?wait=effective&timeout_ms=5"), &why).answer().await;
    let revoked = answer.is(200);
    assert_eq!(revoked["position"].as_u64(), Some(position + 1));
    let receipt = &revoked["receipt"];
    assert_eq!((&revoked["effective"], &receipt["complete"]), (&json!(true), &json!(true)));
    assert_eq!((&receipt["fleet"], &receipt["enforced"][0]["by"]), (&json!("known"), &json!("index")));
    assert_eq!((&revoked["repeated"], &revoked["reason"]), (&json!(false), &json!("owner_left")));
    kit.post(&revoke, &why).answer().await.is_problem(409, "already_revoked");

    let shown = kit.get(&format!("{KEYS}/{key_id}?min_position={}", position + 1)).answer().await.is(200);
    assert_eq!((&shown["standing"], &shown["reason"]), (&json!("revoked"), &json!("owner_left")));
    let history =
        kit.get(&format!("{KEYS}/{key_id}/events?min_position={}", position + 1)).answer().await.is(200);
    let types: Vec<&Value> =
        history["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!((types, &history["next"]), (vec![&json!("KeyIssued"), &json!("KeyRevoked")], &Value::Null));
    assert_eq!(history["events"][1]["actor"]["network"], "192.0.2.7");
    let paged = kit.get(&format!("{KEYS}/{key_id}/events?limit=1")).answer().await.is(200);
    assert_eq!(paged["next"].as_u64(), Some(position));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_command_has_one_effect_and_shows_no_secret_again() {
    let kit = Kit::start().await;
    let issue = |owner: &str| kit.post(KEYS, &json!({"owner": owner})).header("idempotency-key", "spring-1");
    let first = issue("a").answer().await.is(201);
    let second = issue("a").answer().await.is(200);
    assert_eq!((&second["key"], &second["secret_already_shown"]), (&Value::Null, &json!(true)));
    assert_eq!((&second["key_id"], &second["position"]), (&first["key_id"], &first["position"]));
    issue("b").answer().await.is_problem(409, "command_id_reused");
    let path = format!("{KEYS}/{}/revoke", first["key_id"].as_str().unwrap());
    let revoke = || kit.post(&path, &json!({"reason": "leaked"})).header("idempotency-key", "r-1");
    let once = revoke().answer().await.is(200);
    let twice = revoke().answer().await.is(200);
    assert_eq!((&once["position"], &twice["repeated"]), (&twice["position"], &json!(true)));
    let problem =
        issue("a").header("idempotency-key", "two words").answer().await.is_problem(400, "bad_header");
    assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_by_what_they_are() {
    let kit = Kit::start().await;
    let a = kit.issue(json!({"owner": "ana", "labels": {"service": "mailer"}, "name": "Newsletter"})).await;
    let b =
        kit.issue(json!({"owner": "ben", "scopes": ["lists:*"], "expires_at": "2999-01-01T00:00:00Z"})).await;
    let revoked = kit.revoke(a["key_id"].as_str().unwrap()).await["position"].as_u64().unwrap();
    let list = async |filter: &str| {
        let list = kit.get(&format!("{KEYS}?min_position={revoked}&{filter}")).answer().await.is(200);
        let ids = list["keys"].as_array().unwrap().iter().map(|key| key["key_id"].clone());
        (ids.collect::<Vec<_>>(), list["next_cursor"].clone())
    };
    for (filter, wanted) in [
        ("owner=ana", vec![&a]),
        ("owner=nobody", vec![]),
        ("standing=revoked", vec![&a]),
        ("standing=active", vec![&b]),
        ("label=service%3Dmailer", vec![&a]),
        ("scope=lists:read", vec![&b]),
        ("expiring_before=3000-01-01T00:00:00Z", vec![&b]),
        ("q=newsl", vec![&a]),
    ] {
        let wanted: Vec<Value> = wanted.into_iter().map(|key| key["key_id"].clone()).collect();
        assert_eq!(list(filter).await.0, wanted, "{filter}");
    }
    let (first, cursor) = list("limit=1").await;
    let (second, end) = list(&format!("limit=1&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((first.len(), second.len(), end), (1, 1, Value::Null));
    assert_ne!(first, second);
    for (query, place) in [
        ("standing=asleep", "standing"),
        ("label=x", "label"),
        ("expiring_before=soon", "expiring_before"),
        ("limit=many", "limit"),
        ("limit=201", "1 to 200"),
        ("colour=red", "colour"),
        ("cursor=x", "cursor"),
    ] {
        let problem = kit.get(&format!("{KEYS}?{query}")).answer().await.is_problem(400, "bad_query");
        assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_and_what_is_foreign_look_the_same() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let key = kit.issue(json!({})).await;
    let key_id = key["key_id"].as_str().unwrap();
    let bound = kit.operator(&["acme/keys:read", "acme/keys:revoke", "acme/keys:issue"]).await;
    let reason = json!({"reason": "other"});
    let mut bodies = Vec::new();
    for path in [
        "/v1/tenants/nowhere/keys".to_owned(),
        "/v1/tenants/NOT-A-TENANT/keys".to_owned(),
        KEYS.to_owned(),
        format!("{KEYS}/{key_id}"),
        format!("/v1/tenants/acme/keys/{key_id}"),
        "/v1/tenants/acme/keys/not-a-key".to_owned(),
        format!("/v1/tenants/acme/keys/{key_id}/events"),
    ] {
        bodies.push(kit.get(&path).with_key(&bound).answer().await.is_problem(404, "not_found"));
    }
    for tenant in ["default", "acme", "nowhere"] {
        let path = format!("/v1/tenants/{tenant}/keys/{key_id}/revoke");
        bodies.push(kit.post(&path, &reason).with_key(&bound).answer().await.is_problem(404, "not_found"));
    }
    for body in &mut bodies {
        let members = body.as_object_mut().unwrap();
        members.remove("request_id");
        members.remove("key_id");
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    kit.get("/v1/tenants/acme/keys").with_key(&bound).answer().await.is(200);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_opened_once_and_listed_to_who_may_see_them() {
    let kit = Kit::start().await;
    let open = |body: Value| kit.post("/v1/tenants", &body);
    let acme = open(json!({"tenant": "acme", "name": "Acme lists", "prefix": "acm"})).answer().await.is(201);
    assert_eq!((&acme["prefix"], &acme["name"]), (&json!("acm"), &json!("Acme lists")));
    open(json!({"tenant": "acme"})).answer().await.is_problem(409, "tenant_already_open");
    open(json!({"tenant": "Acme"})).answer().await.is_problem(422, "invalid_value");
    let position = acme["position"].as_u64().unwrap();
    let list = async |key: &str| {
        let list =
            kit.get(&format!("/v1/tenants?min_position={position}")).with_key(key).answer().await.is(200);
        list["tenants"].as_array().unwrap().iter().map(|row| row["tenant"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list(&kit.root).await, ["acme", "default", "rescind"]);
    let bound = kit.operator(&["acme/keys:read"]).await;
    assert_eq!(list(&bound).await, ["acme"]);
    open(json!({"tenant": "other"})).with_key(&bound).answer().await.is_problem(403, "scope_missing");
    let issued = kit.post("/v1/tenants/acme/keys", &json!({"owner": "a"})).answer().await.is(201);
    assert!(issued["key"].as_str().unwrap().starts_with("acm_live_"));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_grant_what_they_hold_and_the_last_one_stays() {
    let kit = Kit::start().await;
    let bound = kit.operator(&["tenants:admin", "keys:read"]).await;
    let more = json!({"owner": "a", "scopes": ["keys:revoke"]});
    let grant = kit.post("/v1/tenants/rescind/keys", &more);
    let problem = grant.with_key(&bound).answer().await.is_problem(409, "scope_not_held");
    assert!(problem["detail"].as_str().unwrap().contains("keys:revoke"));
    let root_id = &kit.root["rsk_live_".len()..][..26];
    let bound_id = &bound["rsk_live_".len()..][..26];
    let revoke = |id: &str| {
        kit.post(&format!("/v1/tenants/rescind/keys/{id}/revoke"), &json!({"reason": "requested"}))
    };
    revoke(bound_id).answer().await.is(200);
    revoke(root_id).answer().await.is_problem(409, "last_operator");
    let told = kit.get(KEYS).with_key(&bound).answer().await;
    told.is_problem(401, "operator_revoked");
    assert!(told.header("www-authenticate").contains("invalid_token"));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_operators_revoked_at_once_one_stays() {
    let kit = Kit::start().await;
    let mut operators = vec![kit.root.clone()];
    for _ in 0..3 {
        operators.push(kit.operator(&["tenants:admin"]).await);
    }
    let revoke = async |key: &String| {
        let id = &key["rsk_live_".len()..][..26];
        let path = format!("/v1/tenants/rescind/keys/{id}/revoke");
        kit.post(&path, &json!({"reason": "requested"})).answer().await.status.as_u16()
    };
    let answers = tokio::join!(
        revoke(&operators[0]),
        revoke(&operators[1]),
        revoke(&operators[2]),
        revoke(&operators[3])
    );
    let left = kit.node.app.index.keys_of_operators();
    let left = left.iter().filter(|key| key.standing == domain::Standing::Active).count();
    assert!(left >= 1, "nobody is left: {answers:?}");
    kit.node.stop().await;
}
