//! Recalls: preview, token, what was not shown, cascade; and rotations.

use serde_json::{Value, json};

use super::kit::{Ask, Kit};

const KEYS: &str = "/v1/tenants/default/keys";
const RECALLS: &str = "/v1/tenants/default/recalls";

impl Kit {
    fn recall(&self, body: Value) -> Ask<'_> {
        self.post(RECALLS, &body)
    }

    async fn preview(&self, selector: Value) -> Value {
        self.recall(json!({"selector": selector, "dry_run": true})).answer().await.is(200)
    }

    async fn verdict_of(&self, key: &Value) -> Value {
        let body = json!({"key": key["key"]});
        self.post("/v1/verify", &body).answer().await.is(200)["verdict"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departed_owner_is_recalled_by_one_event_after_a_look() {
    let kit = Kit::start().await;
    let gone = json!({"owner": "departed@example.com", "labels": {"service": "mailer"}});
    let (a, b) = (kit.issue(gone.clone()).await, kit.issue(gone.clone()).await);
    let other = kit.issue(json!({})).await;
    // A preview counts by the index; its sample is what the list shows by then.
    kit.get(&format!("{KEYS}?min_position={}", other["position"])).answer().await.is(200);
    let selector = json!({"owner": "departed@example.com"});
    let preview = kit.preview(selector.clone()).await;
    assert_eq!(
        (&preview["count"], &preview["by_owner"][0]["name"]),
        (&json!(2), &json!("departed@example.com"))
    );
    assert_eq!(preview["by_service"], json!([{"name": "mailer", "count": 2}]));
    assert_eq!(preview["sample"].as_array().unwrap().len(), 2);
    assert_eq!(kit.verdict_of(&a).await, "valid", "a look changes nothing");

    let act = json!({"selector": selector, "reason": "owner_left", "confirm": preview["token"]});
    let recalled = kit.recall(act.clone()).header("idempotency-key", "gone").answer().await.is(201);
    assert_eq!((&recalled["count"], &recalled["effective"]), (&json!(2), &json!(true)));
    assert_eq!(recalled["beyond_preview"], json!({"count": 0, "sample": []}));
    for (key, verdict) in [(&a, "recalled"), (&b, "recalled"), (&other, "valid")] {
        assert_eq!(kit.verdict_of(key).await, verdict);
    }
    let later = kit.issue(gone).await;
    assert_eq!(kit.verdict_of(&later).await, "valid", "none issued later");
    let again = kit.recall(act).header("idempotency-key", "gone").answer().await.is(200);
    assert_eq!((&again["repeated"], &again["position"]), (&json!(true), &recalled["position"]));

    let path = format!("{KEYS}/{}", a["key_id"].as_str().unwrap());
    let shown = kit.get(&format!("{path}?min_position={}", recalled["position"])).answer().await.is(200);
    assert_eq!((&shown["standing"], &shown["recalled_by"]), (&json!("recalled"), &recalled["position"]));
    let history = kit.get(&format!("{path}/events")).answer().await.is(200);
    let types: Vec<&Value> = history["events"].as_array().unwrap().iter().map(|e| &e["type"]).collect();
    assert_eq!(types, [&json!("KeyIssued"), &json!("KeysRecalled")]);
    let listed = kit.get(&format!("{KEYS}?standing=recalled")).answer().await.is(200);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
    let revoke = format!("{path}/revoke");
    let refused = kit.post(&revoke, &json!({"reason": "other"})).answer().await;
    refused.is_problem(409, "already_recalled");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_shown_is_not_recalled_unless_said() {
    let kit = Kit::start().await;
    let mailer = json!({"labels": {"service": "mailer"}});
    kit.issue(mailer.clone()).await;
    let selector = json!({"label": "service=mailer"});
    let token = kit.preview(selector.clone()).await["token"].clone();
    let act = |more: Value| {
        let mut body = json!({"selector": selector, "reason": "compromised"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        kit.recall(body)
    };
    act(json!({})).answer().await.is_problem(409, "preview_needed");
    let new = kit.issue(mailer).await;
    let outdated = act(json!({"confirm": token})).answer().await.is_problem(409, "preview_outdated");
    assert!(outdated["detail"].as_str().unwrap().contains(new["key_id"].as_str().unwrap()), "{outdated}");
    assert_eq!(kit.verdict_of(&new).await, "valid");

    for bad in
        ["", "1-2", "x", &token.as_str().unwrap().replace('-', "_"), &format!("{}0", token.as_str().unwrap())]
    {
        act(json!({"confirm": bad})).answer().await.is_problem(409, "preview_invalid");
    }
    let other = json!({"selector": {"all": true}, "reason": "compromised", "confirm": token});
    kit.recall(other).answer().await.is_problem(409, "preview_invalid");
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let foreign = json!({"selector": selector, "reason": "compromised", "confirm": token});
    kit.post("/v1/tenants/acme/recalls", &foreign).answer().await.is_problem(409, "preview_invalid");

    let recalled = act(json!({"accept_changes": true})).answer().await.is(201);
    assert_eq!((&recalled["count"], &recalled["beyond_preview"]), (&json!(2), &Value::Null));
    act(json!({"accept_changes": true})).answer().await.is_problem(409, "nothing_matches");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_says_what_it_means() {
    let kit = Kit::start().await;
    for (selector, words) in [
        (json!({}), "says all"),
        (json!({"all": true, "owner": "a"}), "all goes with no other part"),
        (json!({"label": "mailer"}), "selector.label"),
        (json!({"scope": "a::b"}), "selector.scope"),
        (json!({"issuer": "nobody"}), "selector.issuer"),
        (json!({"environment": "stage"}), "selector.environment"),
        (json!({"name": "x"}), "no field name"),
    ] {
        let problem = kit.recall(json!({"selector": selector, "dry_run": true})).answer().await;
        let problem = problem.is_problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let all = json!({"selector": {"all": true}, "reason": "compromised", "accept_changes": true});
    kit.post("/v1/tenants/rescind/recalls", &all).answer().await.is_problem(409, "last_operator");
    kit.post("/v1/tenants/nobody/recalls", &all).answer().await.is_problem(404, "not_found");
    let revoker = kit.operator(&["keys:read"]).await;
    kit.recall(all).with_key(&revoker).answer().await.is_problem(403, "scope_missing");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_operator_issued_goes_with_it_generation_by_generation() {
    let kit = Kit::start().await;
    let first = kit.operator(&["tenants:admin", "keys:issue", "keys:read"]).await;
    let body = json!({"owner": "operations", "scopes": ["keys:issue"]});
    let second = kit.post("/v1/tenants/rescind/keys", &body).with_key(&first).answer().await.is(201);
    let second_key = second["key"].as_str().unwrap();
    let body = json!({"owner": "list-sender"});
    let by_first = kit.post(KEYS, &body).with_key(&first).answer().await.is(201);
    let by_second = kit.post(KEYS, &body).with_key(second_key).answer().await.is(201);
    let by_root = kit.issue(json!({})).await;
    let first_id = domain::ParsedKey::parse(&first).unwrap().key_id;
    let revoke = format!("/v1/tenants/rescind/keys/{first_id}/revoke");
    let body = json!({"reason": "compromised", "cascade": true});
    let revoked = kit.post(&revoke, &body).answer().await.is(200);
    assert_eq!(revoked["cascaded"].as_array().unwrap().len(), 3, "{revoked}");
    for (key, verdict) in [(&by_first, "recalled"), (&by_second, "recalled"), (&by_root, "valid")] {
        assert_eq!(kit.verdict_of(key).await, verdict);
    }
    assert_eq!(kit.verdict_of(&second).await, "recalled");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_ends_by_hand_only_once_the_successor_was_used() {
    let kit = Kit::start().await;
    let old = kit.issue(json!({"name": "spring", "labels": {"service": "mailer"}})).await;
    let act = |action: &str, body: Value| {
        kit.post(&format!("{KEYS}/{}/{action}", old["key_id"].as_str().unwrap()), &body)
    };
    act("rotation/finish", json!({})).answer().await.is_problem(409, "not_rotating");
    let bad = json!({"finish_at": "2999-01-01T00:00:00Z", "by_hand": true});
    act("rotate", bad).answer().await.is_problem(422, "invalid_value");
    act("rotate", json!({"finish_at": "2001-01-01T00:00:00Z"}))
        .answer()
        .await
        .is_problem(409, "rotation_in_past");
    let rotated = act("rotate", json!({})).header("idempotency-key", "r").answer().await.is(201);
    let repeated = act("rotate", json!({})).header("idempotency-key", "r").answer().await.is(200);
    assert_eq!((&repeated["key"], &repeated["secret_already_shown"]), (&Value::Null, &json!(true)));
    assert_eq!((&rotated["predecessor"], &repeated["key_id"]), (&old["key_id"], &rotated["key_id"]));
    act("rotate", json!({})).answer().await.is_problem(409, "already_rotating");
    act("rotation/finish", json!({})).answer().await.is_problem(409, "successor_unused");
    assert_eq!(kit.verdict_of(&old).await, "valid");
    assert_eq!(kit.verdict_of(&rotated).await, "valid");

    let path = format!("{KEYS}/{}?min_position={}", rotated["key_id"].as_str().unwrap(), rotated["position"]);
    let shown = kit.get(&path).answer().await.is(200);
    assert_eq!((&shown["name"], &shown["labels"]["service"]), (&json!("spring"), &json!("mailer")));
    assert_eq!(shown["predecessor"], old["key_id"]);
    let list = kit.get("/v1/tenants/default/rotations?state=running").answer().await.is(200);
    assert_eq!(list["rotations"][0]["key_id"], old["key_id"]);
    assert_eq!(
        list["rotations"][0]["rule"],
        json!({"on": "evidence", "quiet_s": 86400, "look_back_s": 2592000})
    );

    act("rotation/finish", json!({"force": true})).answer().await.is(200);
    assert_eq!(kit.verdict_of(&old).await, "revoked");
    assert_eq!(kit.verdict_of(&rotated).await, "valid");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_called_off_retires_the_successor() {
    let kit = Kit::start().await;
    let old = kit.issue(json!({})).await;
    let path = format!("{KEYS}/{}", old["key_id"].as_str().unwrap());
    let rotated = kit.post(&format!("{path}/rotate"), &json!({"by_hand": true})).answer().await.is(201);
    let cancelled = kit.post(&format!("{path}/rotation/cancel"), &json!({})).answer().await.is(200);
    assert_eq!(kit.verdict_of(&old).await, "valid");
    assert_eq!(kit.verdict_of(&rotated).await, "revoked");
    let list = format!("/v1/tenants/default/rotations?min_position={}", cancelled["position"]);
    assert_eq!(kit.get(&list).answer().await.is(200)["rotations"][0]["state"], "cancelled");
    kit.post(&format!("{path}/rotate"), &json!({})).answer().await.is(201);
    kit.node.stop().await;
}
