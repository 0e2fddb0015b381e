//! Imports over HTTP: what becomes of each line, what the stream tells, and that imported keys pass.

use axum::body::{Body, Bytes};
use axum::http::Method;
use domain::SecretDigest;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::kit::{Ask, Kit};

const PATH: &str = "/v1/tenants/default/imports";
/// Far above what an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn hex(token: &str) -> String {
    SecretDigest::of_token(token).to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(token: &str, more: Value) -> String {
    let mut line = json!({"digest": hex(token), "owner": "list-sender", "scopes": ["campaigns:send"]});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{line}\n")
}

fn import<'a>(kit: &'a Kit, query: &str, body: impl Into<Body>) -> Ask<'a> {
    kit.ask(Method::POST, &format!("{PATH}{query}")).header("content-type", "application/x-ndjson").body(body)
}

/// The reports and the end; progress in between is left out.
async fn imported(kit: &Kit, query: &str, body: String) -> (Vec<Value>, Value) {
    let answer = import(kit, query, body).answer().await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    let mut lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap();
    lines.retain(|line| line["line"].is_u64());
    (lines, end)
}

fn counts(end: &Value) -> [u64; 5] {
    ["lines", "imported", "known", "known_otherwise", "refused"].map(|name| end[name].as_u64().unwrap())
}

async fn verdict(kit: &Kit, body: Value) -> Value {
    kit.post("/v1/verify", &body).answer().await.is(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_keys_pass_in_their_tenant_and_are_known_the_second_time() {
    let kit = Kit::start().await;
    let lines = [line("old-a", json!({})), line("old-b", json!({"labels": {"service": "mailer"}}))].concat();
    let (reports, end) = imported(&kit, "", lines.clone()).await;
    assert_eq!((reports.len(), counts(&end)), (0, [2, 2, 0, 0, 0]), "{end}");
    assert_eq!(
        (&end["done"], &end["effective"], &end["dry_run"]),
        (&json!(true), &json!(true), &json!(false))
    );

    let valid = verdict(&kit, json!({"key": "old-a", "tenant": "default", "scope": "campaigns:send"})).await;
    assert_eq!((&valid["verdict"], &valid["owner"]), (&json!("valid"), &json!("list-sender")));
    assert_eq!(verdict(&kit, json!({"key": "old-a"})).await["verdict"], "malformed");
    let of_default = kit.operator(&["default/verify"]).await;
    let unnamed = kit.post("/v1/verify", &json!({"key": "old-b"})).with_key(&of_default).answer().await;
    assert_eq!(unnamed.is(200)["verdict"], "valid");
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let of_acme = kit.operator(&["acme/verify"]).await;
    let foreign = kit.post("/v1/verify", &json!({"key": "old-b"})).with_key(&of_acme).answer().await;
    assert_ne!(foreign.is(200)["verdict"], "valid");

    let (reports, end) = imported(&kit, "", lines).await;
    assert_eq!((reports.len(), counts(&end)), (0, [2, 0, 2, 0, 0]), "{end}");
    assert_eq!(end["position"], Value::Null);
    let otherwise = [line("old-a", json!({"owner": "analytics", "scopes": []})), line("old-b", json!({}))];
    let (reports, end) = imported(&kit, "", otherwise.concat()).await;
    assert_eq!(counts(&end), [2, 0, 2, 2, 0], "{end}");
    let told = |n: usize| (reports[n]["code"].clone(), reports[n]["detail"].as_str().unwrap().to_owned());
    assert_eq!(told(0), (json!("known_otherwise"), "what stands has another owner, scopes".to_owned()));
    assert!(told(1).1.contains("labels"));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refused_line_is_told_and_the_others_are_imported() {
    let kit = Kit::start().await;
    let lines = [
        line("old-a", json!({})),
        "{\n".to_owned(),
        line("old-b", json!({"colour": "red"})),
        line("old-c", json!({"digest": {"algorithm": "bcrypt", "value": hex("old-c")}})),
        line("old-d", json!({"digest": "abc"})),
        line("old-a", json!({})),
        "\n".to_owned(),
        line("old-e", json!({"expires_at": "2001-01-01T00:00:00Z"})),
        format!("{}\n", "x".repeat(40_000)),
        line("old-f", json!({"digest": {"algorithm": "sha256", "value": hex("old-f")}})).trim().to_owned(),
    ];
    let (reports, end) = imported(&kit, "?first_line=101", lines.concat()).await;
    let told: Vec<_> = reports
        .iter()
        .map(|report| (report["line"].as_u64().unwrap(), report["code"].as_str().unwrap()))
        .collect();
    let expected = [
        (102, "malformed_json"),
        (103, "invalid_value"),
        (104, "unknown_algorithm"),
        (105, "invalid_value"),
        (106, "duplicate"),
        (108, "expiry_in_past"),
        (109, "line_too_long"),
    ];
    assert_eq!(told, expected);
    assert_eq!(counts(&end), [110, 2, 0, 0, 7], "{end}");
    for (token, standing) in [("old-a", true), ("old-f", true), ("old-b", false), ("old-e", false)] {
        let answer = verdict(&kit, json!({"key": token, "tenant": "default"})).await;
        assert_eq!(answer["verdict"] == "valid", standing, "{token}: {answer}");
    }
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_be_and_changes_nothing() {
    let kit = Kit::start().await;
    imported(&kit, "", line("old-a", json!({}))).await;
    let head = kit.node.app.log.head().await.unwrap();
    let lines =
        [line("old-a", json!({})), line("old-b", json!({})), line("old-b", json!({})), "[]\n".to_owned()];
    let (reports, end) = imported(&kit, "?dry_run=true", lines.concat()).await;
    assert_eq!((counts(&end), &end["dry_run"]), ([4, 1, 1, 0, 2], &json!(true)), "{end}");
    assert_eq!(reports[0]["code"], "duplicate");
    assert_eq!(kit.node.app.log.head().await.unwrap(), head);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_import_is_told_before_any_line() {
    let kit = Kit::start().await;
    let body = || line("old-a", json!({}));
    let reader = kit.operator(&["keys:read"]).await;
    import(&kit, "", body()).with_key(&reader).answer().await.is_problem(403, "scope_missing");
    let bound = kit.operator(&["acme/keys:issue"]).await;
    import(&kit, "", body()).with_key(&bound).answer().await.is_problem(404, "not_found");
    import(&kit, "", body())
        .header("content-type", "application/json")
        .answer()
        .await
        .is_problem(415, "unsupported_media_type");
    import(&kit, "", body())
        .header("content-encoding", "gzip")
        .answer()
        .await
        .is_problem(415, "unsupported_encoding");
    import(&kit, "?dry=true", body()).answer().await.is_problem(400, "bad_query");
    let ask =
        |path: &str| kit.ask(Method::POST, path).header("content-type", "application/x-ndjson").body(body());
    ask("/v1/tenants/rescind/imports").answer().await.is_problem(409, "not_for_operators");
    ask("/v1/tenants/nobody/imports").answer().await.is_problem(404, "not_found");
    kit.node.stop().await;
}

/// A body that is sent as the test goes.
fn slow_body() -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let parts = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (sender, Body::from_stream(parts))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_while_lines_are_sent_and_a_revoked_operator_imports_no_more() {
    let kit = Kit::start().await;
    let issuer = json!({"owner": "operations", "scopes": ["keys:issue"]});
    let issuer = kit.post("/v1/tenants/rescind/keys", &issuer).answer().await.is(201);
    let (sender, body) = slow_body();
    let response = import(&kit, "", body).with_key(issuer["key"].as_str().unwrap()).response().await;
    let mut answers = response.into_body().into_data_stream();
    sender.send(Ok(format!("{}[]\n", line("old-a", json!({}))).into())).await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, async {
        while !text.contains("invalid_value") {
            text.push_str(std::str::from_utf8(&answers.next().await.unwrap().unwrap()).unwrap());
        }
        let id = issuer["key_id"].as_str().unwrap();
        let path = format!("/v1/tenants/rescind/keys/{id}/revoke");
        kit.post(&path, &json!({"reason": "compromised"})).answer().await.is(200);
        while let Some(piece) = answers.next().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    })
    .await
    .unwrap();
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&end["done"], &end["code"]), (&json!(false), &json!("operator_revoked")), "{text}");
    assert_eq!(counts(&end), [2, 1, 0, 0, 1]);
    assert_eq!(verdict(&kit, json!({"key": "old-a", "tenant": "default"})).await["verdict"], "valid");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_leaves_whole_lines_and_room_for_the_next() {
    let kit = Kit::start().await;
    for n in 0..5 {
        let (sender, body) = slow_body();
        let response = import(&kit, "", body).response().await;
        let mut answers = response.into_body().into_data_stream();
        let lines = [line("old-a", json!({})), "[]\n".to_owned(), "{\"digest\":\"".to_owned()];
        sender.send(Ok(lines.concat().into())).await.unwrap();
        let first = timeout(PATIENCE, answers.next()).await.unwrap().unwrap().unwrap();
        assert!(!first.is_empty());
        sender.send(Err(std::io::Error::other("gone"))).await.unwrap();
        while let Some(piece) = timeout(PATIENCE, answers.next()).await.unwrap() {
            let text = String::from_utf8(piece.unwrap().to_vec()).unwrap();
            assert!(!text.contains("done"), "nobody hears how it ended: {text}");
        }
        let app = &kit.node.app;
        let head = app.log.head().await.unwrap();
        assert!(app.application.wait_applied(head, PATIENCE).await);
        assert_eq!(app.index.key_count(), 2, "the operator's and one more, in round {n}");
    }
    kit.node.stop().await;
}
