//! What guards ask and say, and the receipts that come of it.

use serde_json::{Value, json};
use wire::guard::{Filled, FilledKey, SnapshotBegin, SnapshotEnd};

use super::kit::Kit;

const GUARD: &str = "01JDA7W5W6M4Q0T3S8V2N9X1YZ";

async fn register(kit: &Kit, key: &str) -> Value {
    let body = json!({
        "guard_id": GUARD, "tenant": "default", "name": "mailer", "version": "1.2.3", "feed": "sse",
        "max_staleness_ms": 60_000,
    });
    kit.post("/v1/guard/register", &body).with_key(key).answer().await.is(200)
}

async fn lease(kit: &Kit, key: &str, applied: u64) -> Value {
    let body = json!({"guard_id": GUARD, "nonce": 77, "applied": applied, "held": 3, "stale": false});
    kit.post("/v1/guard/lease", &body).with_key(key).answer().await.is(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_registers_fills_leases_reports_and_leaves() {
    let kit = Kit::start().await;
    let credential = kit.operator(&["default/verify", "default/feed"]).await;
    let issued = kit.issue(json!({"labels": {"service": "mailer"}})).await;
    let position = issued["position"].as_u64().unwrap();

    let registered = register(&kit, &credential).await;
    assert_eq!(registered["log_id"], kit.node.log_id().to_string());
    assert!(registered["at_least"].as_u64() >= Some(position));
    assert_eq!(registered["max_staleness_ms"], 5_000, "never above the server's own");

    let absent = "01JDA7W5W6M4Q0T3S8V2N9X1Y0";
    let ask = json!({"guard_id": GUARD, "keys": [issued["key_id"], absent], "at_least": position});
    let filled = kit.post("/v1/guard/fill", &ask).with_key(&credential).answer().await.is(200);
    let filled: Filled = serde_json::from_value(filled).unwrap();
    let key = filled.keys[0].as_ref().unwrap();
    assert_eq!((key.standing.as_str(), key.owner.as_deref()), ("active", Some("list-sender")));
    assert_eq!((key.settled_at, key.digest.len(), &filled.keys[1]), (position, 32, &None));
    assert!(filled.as_of >= position && !filled.tenant.closed);

    let granted = lease(&kit, &credential, position).await;
    assert_eq!((&granted["nonce"], &granted["last_notice"]), (&json!(77), &json!(position)));
    let fleet = kit.get("/v1/fleet").answer().await.is(200);
    assert_eq!(fleet["verifiers"][0]["kind"], "server");
    let guard = &fleet["verifiers"][1];
    assert_eq!(
        (&guard["name"], &guard["state"], &guard["held"]),
        (&json!("mailer"), &json!("current"), &json!(3))
    );

    // A revocation that the guard has not heard of names it; once it says so, the receipt does too.
    let path = format!("/v1/tenants/default/keys/{}/revoke?timeout_ms=1", issued["key_id"].as_str().unwrap());
    let revoked = kit.post(&path, &json!({"reason": "compromised"})).answer().await.is(200);
    let receipt = &revoked["receipt"];
    assert_eq!((&receipt["complete"], &receipt["outstanding"][0]["name"]), (&json!(false), &json!("mailer")));
    let position = revoked["position"].as_u64().unwrap();
    let reported = json!({"guard_id": GUARD, "position": position});
    let answer = kit.post("/v1/guard/applied", &reported).with_key(&credential).answer().await;
    assert_eq!(answer.status, 204);
    let receipt = kit.get(&format!("/v1/receipts/{position}")).answer().await.is(200);
    assert_eq!((&receipt["complete"], &receipt["tenant"]), (&json!(true), &json!("default")));
    assert_eq!(
        (&receipt["enforced"][1]["by"], &receipt["enforced"][1]["guard_id"]),
        (&json!("report"), &json!(GUARD))
    );
    let filled = kit.post("/v1/guard/fill", &ask).with_key(&credential).answer().await.is(200);
    assert_eq!(filled["keys"][0]["standing"], "revoked");

    let left = kit.post("/v1/guard/leave", &json!({"guard_id": GUARD})).with_key(&credential).answer().await;
    assert_eq!(left.status, 204);
    let fleet = kit.get("/v1/fleet?tenant=default").answer().await.is(200);
    assert_eq!(fleet["verifiers"][1]["state"], "gone");
    let ask = kit.post("/v1/guard/fill", &ask).with_key(&credential).answer().await;
    ask.is_problem(404, "guard_unknown");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_the_last_guard_has_said_so() {
    let kit = Kit::start().await;
    let credential = kit.operator(&["default/verify"]).await;
    register(&kit, &credential).await;
    lease(&kit, &credential, 0).await;
    let key = kit.issue(json!({})).await;
    let path = format!(
        "/v1/tenants/default/keys/{}/suspend?wait=enforced&timeout_ms=6000",
        key["key_id"].as_str().unwrap()
    );
    let suspend = kit.post(&path, &json!({}));
    let position = key["position"].as_u64().unwrap() + 1;
    let body = json!({"guard_id": GUARD, "position": position});
    let report = async {
        // Waits for the suspension to be there.
        let answer = kit.post("/v1/guard/applied", &body).with_key(&credential).answer().await;
        assert_eq!(answer.status, 204, "{}", answer.text);
    };
    let (suspended, ()) = tokio::join!(suspend.answer(), report);
    let receipt = suspended.is(200)["receipt"].take();
    assert_eq!((&receipt["complete"], &receipt["enforced"][1]["by"]), (&json!(true), &json!("report")));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guards_may_not_is_refused() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let credential = kit.operator(&["default/verify"]).await;
    let body = |change: Value| {
        let mut body = json!({
            "guard_id": GUARD, "tenant": "default", "name": "mailer", "version": "1", "feed": "sse",
            "max_staleness_ms": 5_000,
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (change, status, code) in [
        (json!({"tenant": "acme"}), 404, "not_found"),
        (json!({"tenant": "nobody"}), 404, "not_found"),
        (json!({"name": "a mailer"}), 422, "invalid_value"),
        (json!({"guard_id": "1"}), 422, "invalid_value"),
        (json!({"feed": "pigeon"}), 422, "invalid_value"),
        (json!({"version": "1\n2"}), 422, "invalid_value"),
        (json!({"max_staleness_ms": 0}), 422, "invalid_value"),
        (json!({"colour": "red"}), 422, "invalid_value"),
    ] {
        let answer =
            kit.post("/v1/guard/register", &body(change.clone())).with_key(&credential).answer().await;
        answer.is_problem(status, code);
    }
    register(&kit, &credential).await;
    let other = kit.operator(&["default/verify"]).await;
    let again = kit.post("/v1/guard/register", &body(json!({}))).with_key(&other).answer().await;
    again.is_problem(409, "guard_elsewhere");
    let reader = kit.operator(&["default/keys:read"]).await;
    let again = kit.post("/v1/guard/register", &body(json!({}))).with_key(&reader).answer().await;
    again.is_problem(403, "scope_missing");

    let many = vec![GUARD; 257];
    let fill = json!({"guard_id": GUARD, "keys": many, "at_least": 0});
    kit.post("/v1/guard/fill", &fill).with_key(&credential).answer().await.is_problem(422, "invalid_value");
    let ahead = json!({"guard_id": GUARD, "keys": [], "at_least": 99_999});
    let ahead = kit.post("/v1/guard/fill", &ahead).with_key(&credential).answer().await;
    ahead.is_problem(503, "position_not_reached");
    kit.get("/v1/receipts/99999").answer().await.is_problem(404, "receipt_unknown");
    kit.get("/v1/receipts/0").answer().await.is_problem(404, "receipt_unknown");
    kit.get("/v1/receipts/1").answer().await.is_problem(404, "receipt_unknown");
    kit.get("/v1/receipts/first").answer().await.is_problem(404, "receipt_unknown");
    kit.get("/v1/fleet").with_key(&reader).answer().await.is_problem(400, "tenant_needed");

    // A receipt of another tenant is no different from one that is not there.
    let key = kit.issue(json!({})).await;
    let revoked = kit.revoke(key["key_id"].as_str().unwrap()).await;
    let foreign = kit.operator(&["acme/keys:read"]).await;
    let receipt = format!("/v1/receipts/{}", revoked["position"]);
    kit.get(&receipt).with_key(&foreign).answer().await.is_problem(404, "receipt_unknown");
    kit.get(&receipt).with_key(&reader).answer().await.is(200);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_every_key_of_the_tenant() {
    let kit = Kit::start().await;
    let credential = kit.operator(&["default/verify"]).await;
    register(&kit, &credential).await;
    let mut keys = Vec::new();
    for n in 0..300 {
        keys.push(
            kit.issue(json!({"name": format!("sender {n}")})).await["key_id"].as_str().unwrap().to_owned(),
        );
    }
    kit.revoke(&keys[0]).await;
    let answer =
        kit.get(&format!("/v1/guard/snapshot?guard_id={GUARD}")).with_key(&credential).answer().await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<&str> = answer.text.lines().collect();
    let begin: SnapshotBegin = serde_json::from_str(lines[0]).unwrap();
    assert!(begin.as_of >= 300);
    let end: SnapshotEnd = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(end.keys, 300);
    let mut told: Vec<FilledKey> =
        lines[1..lines.len() - 1].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().filter(|key| key.standing == "revoked").count(), 1);
    told.sort_by(|a, b| a.key_id.cmp(&b.key_id));
    keys.sort();
    assert_eq!(told.into_iter().map(|key| key.key_id).collect::<Vec<_>>(), keys);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_of_a_tenant_that_is_not_there_is_not_found() {
    let kit = Kit::start().await;
    for nobody in ["nobody", "No%20body"] {
        let answer = kit.get(&format!("/v1/fleet?tenant={nobody}")).answer().await;
        answer.is_problem(404, "not_found");
    }
    let bound = kit.operator(&["default/keys:read"]).await;
    kit.get("/v1/fleet?tenant=nobody").with_key(&bound).answer().await.is_problem(404, "not_found");
    let fleet = kit.get("/v1/fleet?tenant=default").with_key(&bound).answer().await.is(200);
    assert_eq!(fleet["verifiers"][0]["kind"], "server");
    kit.node.stop().await;
}
