//! What needs no operator (health, metrics), and the log for auditors.

use serde_json::{Value, json};

use super::kit::Kit;

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_what_is_missing_and_everything_on_demand() {
    let kit = Kit::start().await;
    assert_eq!(kit.get("/livez").without("authorization").answer().await.is(200), json!({"live": true}));
    let ready = kit.get("/readyz").without("authorization").answer().await.is(200);
    assert_eq!(ready, json!({"ready": true, "missing": []}));
    let checks = kit.get("/readyz?verbose").answer().await.is(200)["checks"].clone();
    assert_eq!(
        (&checks["log"]["durability"], &checks["log"]["reachable"]),
        (&json!("on_disk"), &json!(true))
    );
    assert_eq!((&checks["lease"]["fresh"], &checks["bootstrapped"]), (&json!(true), &json!(true)));
    assert_eq!((&checks["role"], &checks["lease"]["max_staleness_ms"]), (&json!("all"), &json!(5000)));
    let names: Vec<&Value> = checks["progress"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["index", "keys", "history", "tenants", "notices", "times"]);
    kit.node.app.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    kit.get("/livez").answer().await.is(503);
    assert_eq!(kit.get("/readyz").answer().await.is(503)["missing"], json!(["workers"]));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_described_and_name_no_tenant() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme-lists"})).answer().await.is(201);
    kit.get("/v1/tenants/acme-lists/keys").answer().await.is(200);
    kit.post("/v1/verify", &json!({"key": "x"})).answer().await.is(200);
    let text = kit.get("/metrics").without("authorization").answer().await.text;
    for wanted in [
        "rescind_verify_total{verdict=\"malformed\"}",
        "route=\"/v1/tenants/{tenant}/keys\"",
        "rescind_command_seconds_bucket{command=\"open_tenant\",code=\"ok\"",
        "rescind_build_info{version=",
        "rescind_log_head_position",
        "rescind_projection_lag_events{view=\"keys\"}",
    ] {
        assert!(text.contains(wanted), "{wanted}:\n{text}");
    }
    assert!(!text.contains("acme"));
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no description");
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_told_line_by_line() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let other = kit.issue(json!({})).await;
    let revoked = kit.revoke(key["key_id"].as_str().unwrap()).await["position"].as_u64().unwrap();
    let lines = async |query: &str| {
        let answer = kit.get(&format!("/v1/events?{query}")).answer().await;
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        let lines = answer.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|event| event["position"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(lines("").await, (1..=revoked).collect::<Vec<_>>());
    assert_eq!(lines("from=2&to=3").await, [2, 3]);
    assert_eq!(lines("from=999").await, Vec::<u64>::new());
    let (issued, last) = (key["position"].as_u64().unwrap(), other["position"].as_u64().unwrap());
    assert_eq!(lines(&format!("key={}", key["key_id"].as_str().unwrap())).await, [issued, revoked]);
    assert_eq!(lines("tenant=default&from=4").await, [issued, last, revoked]);
    kit.get("/v1/events?tenant=acme").answer().await.is_problem(404, "not_found");
    assert_eq!(lines("since=2999-01-01T00:00:00Z").await, Vec::<u64>::new());
    assert_eq!(lines("until=2001-01-01T00:00:00Z").await, Vec::<u64>::new());
    let bound = kit.operator(&["default/audit:read"]).await;
    kit.get("/v1/events").with_key(&bound).answer().await.is_problem(400, "tenant_needed");
    assert_eq!(kit.get("/v1/events?tenant=default&from=4").with_key(&bound).answer().await.status, 200);
    kit.get("/v1/events?from=x").answer().await.is_problem(400, "bad_query");
    kit.node.stop().await;
}
