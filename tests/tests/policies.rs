//! Policies and the review on real servers: what nobody uses goes, by one event however many servers look.

#![cfg(test)]

use std::time::Duration;

use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, ServerSetup, TestServer, binary};
use tests::tools::{chromium, node_package};
use tokio::time::Instant;

/// Longer than the spans of these tests, a look of the worker and a report of usage on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[track_caller]
fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !look() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Runs the client as the first operator of a server; its stdout.
#[track_caller]
fn rescind(server: &TestServer, arguments: &[&str]) -> String {
    let output = std::process::Command::new(binary())
        .args(arguments)
        .env("RESCIND_URL", server.url())
        .env("RESCIND_KEY", server.operator_key())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn standing(admin: &Admin, key_id: &str) -> String {
    admin.get(&format!("/v1/tenants/acme/keys/{key_id}")).json()["standing"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn events(admin: &Admin, kind: &str) -> Vec<Value> {
    let text = admin.get("/v1/events?tenant=acme").expect(200).text;
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["type"] == kind).collect()
}

#[test]
fn a_policy_suspends_the_key_that_nobody_uses_and_leaves_the_one_in_use() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let (idle, used) = (admin.issue("acme", "list-sender"), admin.issue("acme", "list-sender"));
    rescind(&server, &["policy", "set", "idle", "--tenant", "acme", "--suspend-idle-after", "3s"]);
    eventually("the idle key is suspended", || {
        // Used all the time, far more often than within the span.
        assert_eq!(admin.verdict(&used.key), "valid");
        standing(&admin, &idle.key_id) == "suspended"
    });
    assert_eq!(admin.verdict(&idle.key), "suspended");
    let suspended = events(&admin, "KeySuspended");
    assert_eq!(suspended.len(), 1, "{suspended:?}");
    assert_eq!(
        (&suspended[0]["cause"], &suspended[0]["data"]["reason"]),
        (&json!("policy"), &json!("policy"))
    );

    // Whoever reinstates it wants it to be used: it has its time again.
    rescind(&server, &["key", "reinstate", &idle.key_id, "--tenant", "acme"]);
    // Told by events: the list may still show the suspension before.
    eventually("it is suspended again", || {
        assert_eq!(admin.verdict(&used.key), "valid");
        events(&admin, "KeySuspended").len() == 2
    });
    let reinstated = events(&admin, "KeyReinstated");
    let again = events(&admin, "KeySuspended");
    assert_eq!((reinstated.len(), again.len()), (1, 2));
    let at = |event: &Value| wire::parse_rfc3339(event["occurred_at"].as_str().unwrap()).unwrap().as_millis();
    assert!(at(&again[1]) >= at(&reinstated[0]) + 3_000, "{again:?} {reinstated:?}");

    let shown = rescind(&server, &["policy", "show", "idle", "--tenant", "acme"]);
    assert!(shown.contains("suspend_idle_after=3s") && shown.contains("all keys"), "{shown}");
    let tried = ["policy", "try", "other", "--tenant", "acme", "--revoke-idle-after", "2s", "--json"];
    let tried: Value = serde_json::from_str(&rescind(&server, &tried)).unwrap();
    let found: Vec<&Value> = tried["keys"].as_array().unwrap().iter().map(|key| &key["key_id"]).collect();
    assert_eq!((found, &tried["examined"]), (vec![&json!(idle.key_id)], &json!(2)), "{tried}");
    rescind(&server, &["policy", "remove", "idle", "--tenant", "acme"]);
    let none: Value =
        serde_json::from_str(&rescind(&server, &["policy", "list", "--tenant", "acme", "--json"])).unwrap();
    assert_eq!(none["policies"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_apply_a_policy_one_event_comes_for_each_key() {
    let nats = NatsServer::start().await;
    let one = ServerSetup::nats(&nats.url()).start();
    let two = ServerSetup::nats(&nats.url()).start();
    let (first, second) = (one.admin(), two.admin_with(&one.operator_key()));
    first.open_tenant("acme");
    let keys: Vec<_> = (0..8).map(|_| first.issue("acme", "list-sender")).collect();
    // Used at the other server alone: the first hears of it.
    let used = first.issue("acme", "list-sender");
    let body = json!({"rules": {"suspend_idle_after": "4s", "revoke_idle_after": "8s"}});
    drop(first.send("PUT", "/v1/tenants/acme/policies/idle", &[], Some(&body)).expect(200));
    eventually("all idle keys are revoked", || {
        assert_eq!(second.verdict(&used.key), "valid");
        keys.iter().all(|key| standing(&first, &key.key_id) == "revoked")
    });
    let both = |admin: &Admin| (events(admin, "KeySuspended").len(), events(admin, "KeyRevoked").len());
    assert_eq!(both(&first), (8, 8));
    assert_eq!(standing(&first, &used.key_id), "active");
    // One that has left does not hold up the other.
    drop(two.stop());
    eventually("the last one is idle too", || standing(&first, &used.key_id) == "revoked");
    assert_eq!(both(&first), (9, 9));
}

/// A server that died may have let the key pass just before: until that is out of the question, the policy waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_waits_for_a_server_that_fell_silent() {
    let nats = NatsServer::start().await;
    let one = ServerSetup::nats(&nats.url()).start();
    let two = ServerSetup::nats(&nats.url()).start();
    let admin = one.admin();
    admin.open_tenant("acme");
    let key = admin.issue("acme", "list-sender");
    drop(two.kill9());
    let body = json!({"rules": {"suspend_idle_after": "2s"}});
    drop(admin.send("PUT", "/v1/tenants/acme/policies/idle", &[], Some(&body)).expect(200));
    eventually("it waits, and says for whom", || {
        let listed = admin.get("/v1/tenants/acme/policies").json();
        let state = &listed["policies"][0]["state"];
        let waits = state["waiting"] == 1 && !state["unreported"].as_array().unwrap().is_empty();
        assert!(waits || standing(&admin, &key.key_id) == "active", "{listed}");
        waits
    });
    eventually("it is out of the question", || standing(&admin, &key.key_id) == "suspended");
}

#[test]
fn a_review_is_a_table_json_csv_and_a_page_and_every_remedy_is_a_command() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let body = json!({"owner": "=HYPERLINK(\"x\")", "name": "<b>mailer</b>", "scopes": ["campaigns:send", "lists:*"]});
    drop(admin.post("/v1/tenants/acme/keys", &body).expect(201));
    rescind(
        &server,
        &["policy", "set", "late", "--tenant", "acme", "--require-networks", "--deny-scope", "lists:*"],
    );
    let review = |more: &[&str]| {
        let base = ["review", "--tenant", "acme", "--unused-for", "1s"];
        rescind(&server, &[&base, more].concat())
    };
    eventually("it is known that nobody used it", || review(&[]).contains("never_used"));
    let report: Value = serde_json::from_str(&review(&["--json"])).unwrap();
    let found: Vec<&Value> = report["findings"].as_array().unwrap().iter().collect();
    let kinds: Vec<_> = found.iter().map(|finding| finding["finding"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["never_used", "never_expires", "breaks_policy", "breaks_policy"], "{report}");
    for finding in &found {
        let words = finding["mend"].as_str().unwrap().replace('\'', "");
        cli::command().try_get_matches_from(words.split(' ')).unwrap();
    }
    let table = review(&[]);
    assert!(table.contains("$ rescind key suspend"), "{table}");
    let csv = review(&["--format", "csv"]);
    assert!(csv.starts_with("key_id,name,owner,") && csv.contains(",\"'=HYPERLINK(\"\"x\"\")\","), "{csv}");
    assert_eq!(csv.matches("\r\n").count(), 5);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("review.html");
    review(&["--format", "html", "--out", file.to_str().unwrap()]);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("&lt;b&gt;mailer&lt;/b&gt;") && !page.contains("<b>mailer"), "{page}");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
}

/// The same page as whoever opens and prints it gets it. What was issued tries to be markup.
#[test]
fn the_page_of_a_review_is_read_and_printed_in_a_browser_and_loads_nothing() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let (script, image) = ("<script>alert(1)</script>", "<img src=x onerror=alert(2)>");
    for (owner, name) in [(script, image), ("list-sender", "spring & \"autumn\"")] {
        let body = json!({"owner": owner, "name": name, "scopes": ["campaigns:send"]});
        drop(admin.post("/v1/tenants/acme/keys", &body).expect(201));
    }
    let folder = tempfile::tempdir().unwrap();
    let [file, pdf] = ["review.html", "review.pdf"].map(|name| folder.path().join(name));
    // What is found depends on time alone for what is left out here.
    let review = ["review", "--tenant", "acme", "--finding", "never_expires"];
    let report: Value =
        serde_json::from_str(&rescind(&server, &[&review[..], &["--json"]].concat())).unwrap();
    rescind(&server, &[&review[..], &["--format", "html", "--out", file.to_str().unwrap()]].concat());

    let address = format!("file://{}", file.display());
    let mut node = std::process::Command::new("node");
    node.env("NODE_PATH", node_package("playwright-core", "1.65.1").join("node_modules"));
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/browser/page.cjs"))
        .arg(chromium())
        .arg(&address)
        .arg(&pdf);
    let output = node.output().expect("node is on PATH");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(seen["requests"], json!([address]), "the page and nothing else");
    assert_eq!(
        (&seen["dialogs"], &seen["errors"]),
        (&json!([]), &json!([])),
        "nothing runs, nothing is missing"
    );
    let elements: Vec<&str> =
        seen["elements"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for bad in ["script", "img", "link", "iframe", "object", "form", "a"] {
        assert!(!elements.contains(&bad), "{bad}: {elements:?}");
    }
    assert_eq!(seen["title"], "Review of API keys: acme");
    assert_eq!(seen["head"], json!(["Finding", "Key", "Owner", "Since", "Evidence and remedy"]));
    let rows = seen["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{seen}");
    for (row, finding) in rows.iter().zip(report["findings"].as_array().unwrap()) {
        let cell = |at: usize| row[at].as_str().unwrap();
        let told = |member: &str| finding[member].as_str().unwrap();
        assert_eq!((cell(0), cell(2)), ("Never expires", told("owner")), "{row}");
        assert_eq!(cell(1), format!("{}\n{}", told("name"), told("key_id")));
        assert!(told("since").starts_with(cell(3)), "{row}");
    }
    let mends: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().map(|found| &found["mend"]).collect();
    assert_eq!(
        seen["copied"].as_array().unwrap().iter().collect::<Vec<_>>(),
        mends,
        "a remedy copies as it is"
    );
    assert!(rows.iter().any(|row| row[2] == script), "{seen}");
    assert!(seen["sum"].as_str().unwrap().contains("2 findings on 2 keys"), "{seen}");
    let places: Vec<f64> =
        seen["order"].as_array().unwrap().iter().map(|top| top.as_f64().unwrap()).collect();
    assert!(places.is_sorted(), "who made it, the sum, and then the table: {places:?}");
    assert!(seen["overflow"].as_i64().unwrap() <= 0, "{seen}");
    assert_eq!(seen["background"], "rgb(255, 255, 255)", "paper stays white");
    assert!(std::fs::read(&pdf).unwrap().starts_with(b"%PDF"), "it prints");
}
