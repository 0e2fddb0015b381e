//! Webhooks from outside: signatures that the reference library takes, retries, dead letters, restarts, addresses.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, ServerSetup, TestServer, binary};

use crate::receiver::{Received, Receiver, Reply};
use crate::{issue_and_revoke, lines, python, script};

fn setup() -> ServerSetup {
    ServerSetup::embedded().arg("--webhooks-allow-private").arg("--webhooks-retry").arg("1s,1s,1s,1s")
}

fn status(status: u16) -> Reply {
    Reply::Status(status, String::new())
}

fn add(admin: &Admin, url: &str) -> String {
    let added = admin.post("/v1/webhooks", &json!({"tenant": "acme", "url": url})).expect(201).json();
    added["webhook_id"].as_str().unwrap().to_owned()
}

fn show(admin: &Admin, id: &str) -> Value {
    admin.get(&format!("/v1/webhooks/{id}")).expect(200).json()
}

fn redeliver(admin: &Admin, id: &str, body: &Value) -> Value {
    admin.post(&format!("/v1/webhooks/{id}/redeliver"), body).expect(200).json()
}

/// Waits until a webhook is as it should be.
fn until(server: &mut TestServer, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let admin = server.admin();
    server.wait_for(what, |_| Some(show(&admin, id)).filter(|webhook| is(webhook)))
}

/// `rescind webhook …`: what it prints on stdout.
fn cli(server: &TestServer, args: &[&str]) -> Vec<String> {
    let output = Command::new(binary())
        .arg("webhook")
        .args(args)
        .env("RESCIND_URL", server.url())
        .env("RESCIND_KEY", server.operator_key())
        .output()
        .unwrap();
    lines(output)
}

/// What the reference library says of deliveries, each with a secret.
fn verdicts(deliveries: &[(&str, &Received)]) -> Vec<String> {
    let mut child = python(&[("standardwebhooks", "1.1.0")])
        .arg(script("webhook.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (secret, received) in deliveries {
        let line = json!({"secret": secret, "headers": received.headers, "body": received.body});
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    lines(child.wait_with_output().unwrap())
}

fn ids(received: &[Received]) -> Vec<&str> {
    received.iter().map(Received::id).collect()
}

#[test]
fn the_reference_library_takes_what_is_sent_through_a_rotation_of_the_secret() {
    let server = setup().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let receiver = Receiver::replying([]);
    let url = receiver.url();
    let first = cli(&server, &["add", &url, "--tenant", "acme", "--kind", "revoked"]).join("");
    assert!(first.starts_with("whsec_"), "the secret alone is on stdout");
    let listed = cli(&server, &["list", "--tenant", "acme", "--json"]).join("");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed["webhooks"][0]["webhook_id"].as_str().unwrap();

    let key = issue_and_revoke(&admin);
    let one = receiver.wait_for(1).remove(0);
    assert_eq!(one.about(), ("revoked".to_owned(), key), "no other kind was asked for");
    assert_eq!(one.headers["content-type"], "application/cloudevents+json");
    let notice = one.notice();
    let log_id = notice["source"].as_str().unwrap().strip_prefix("/logs/").unwrap();
    assert_eq!(one.id(), format!("{log_id}-{}", notice["id"].as_str().unwrap()));

    let second = cli(&server, &["rotate-secret", id, "--overlap", "1h"]).join("");
    let _ = issue_and_revoke(&admin);
    let two = receiver.wait_for(2).remove(1);
    let third = cli(&server, &["rotate-secret", id, "--overlap", "none"]).join("");
    let _ = issue_and_revoke(&admin);
    let three = receiver.wait_for(3).remove(2);
    let forged = Received { body: one.body.replace("revoked", "expired"), ..one.clone() };
    let given = [
        (&*first, &one),
        (&*second, &one),
        (&*first, &forged),
        (&*first, &two),
        (&*second, &two),
        (&*second, &three),
        (&*third, &three),
    ];
    let expected = ["verified", "refused", "refused", "verified", "verified", "refused", "verified"];
    assert_eq!(verdicts(&given), expected);

    for secret in [&first, &second, &third] {
        assert!(!show(&admin, id).to_string().contains(secret), "it is shown once");
        assert!(!server.stderr().contains(secret) && !server.stdout().contains(secret));
    }
    assert_eq!(cli(&server, &["remove", id]), [format!("removed webhook {id}")]);
    assert_eq!(admin.get(&format!("/v1/webhooks/{id}")).expect(404).code(), "no_such_webhook");
}

#[test]
fn what_fails_is_tried_again_in_order_and_under_the_same_id() {
    let mut server = setup().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let receiver =
        Receiver::replying([status(500), status(503), Reply::Status(429, "retry-after: 1\r\n".into())]);
    let id = add(&admin, &receiver.url());
    let key = issue_and_revoke(&admin);
    let all = receiver.wait_for(5);
    let sent = ids(&all);
    assert!(sent[..4].iter().all(|id| *id == sent[0]) && sent[4] != sent[0], "{sent:?}");
    assert_eq!(all[0].about(), ("issued".to_owned(), key.clone()));
    assert_eq!(all[4].about(), ("revoked".to_owned(), key), "the second waited for the first");
    assert_eq!(all[4].notice()["data"]["previous"], all[3].notice()["data"]["position"]);
    let webhook = until(&mut server, &id, "is active again", |webhook| webhook["state"] == "active");
    assert_eq!(webhook["dead_letters"], 0);
}

#[test]
fn a_receiver_that_never_answers_holds_up_nobody_else() {
    let mut server = setup().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let (hanging, deaf) = (Receiver::replying([Reply::Hang]), Receiver::replying([Reply::Deaf]));
    let quick = Receiver::replying([]);
    let stuck = [add(&admin, &hanging.url()), add(&admin, &deaf.url())];
    let _ = add(&admin, &quick.url());
    let _ = issue_and_revoke(&admin);
    let _ = quick.wait_for(2);
    for id in &stuck {
        let webhook = until(&mut server, id, "fails", |webhook| webhook["trouble"]["attempts"] == 1);
        assert_eq!(webhook["trouble"]["error"], "its receiver did not answer in time");
    }
    let sent = hanging.wait_for(3);
    assert_eq!(ids(&sent)[0], ids(&sent)[1]);
    let _ = deaf.wait_for(2);
}

#[test]
fn a_receiver_that_is_gone_is_sent_nothing_until_somebody_says_so() {
    let mut server = setup().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let receiver = Receiver::replying([status(410)]);
    let id = add(&admin, &receiver.url());
    let key = issue_and_revoke(&admin);
    let webhook = until(&mut server, &id, "is disabled", |webhook| webhook["state"] == "disabled");
    assert!(webhook["disabled"]["reason"].as_str().unwrap().contains("410"), "{webhook}");
    let metrics = admin.get("/metrics").text;
    assert!(metrics.contains("rescind_webhooks{state=\"disabled\"} 1"), "{metrics}");
    assert!(server.stderr().contains("a webhook is disabled"), "an alert is in the log");
    assert_eq!(receiver.received().len(), 1);
    let _ = redeliver(&admin, &id, &json!({}));
    let all = receiver.wait_for(3);
    assert_eq!(all[2].about(), ("revoked".to_owned(), key), "nothing was lost meanwhile");
}

#[test]
fn dead_letters_are_kept_and_sent_again_when_asked_for() {
    let setup = ServerSetup::embedded().arg("--webhooks-allow-private").arg("--webhooks-retry").arg("1s");
    let mut server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let receiver = Receiver::replying([status(500), status(500), status(204), status(500)]);
    let id = add(&admin, &receiver.url());
    let key = issue_and_revoke(&admin);
    let all = receiver.wait_for(3);
    assert_eq!(all[2].about(), ("revoked".to_owned(), key), "the next one goes on");
    let goes_on = |webhook: &Value| webhook["dead_letters"] == 1 && webhook["state"] == "active";
    let _ = until(&mut server, &id, "has a dead letter and goes on", goes_on);
    let told = cli(&server, &["dead-letters", &id, "--json"]).join("");
    let told: Value = serde_json::from_str(&told).unwrap();
    let letter = &told["dead_letters"][0];
    assert_eq!(letter["position"], all[0].notice()["data"]["position"]);
    assert_eq!((&letter["attempts"], &letter["error"]), (&json!(2), &json!("its receiver answered 500")));

    let mut server = server.stop().start();
    let admin = server.admin();
    assert_eq!(redeliver(&admin, &id, &json!({}))["redelivering"], 1);
    let letters = format!("/v1/webhooks/{id}/dead-letters");
    server.wait_for("failed once more", |_| {
        let letters = admin.get(&letters).expect(200).json();
        (letters["dead_letters"][0]["attempts"] == 3).then_some(())
    });
    assert_eq!(redeliver(&admin, &id, &json!({"positions": [letter["position"]]}))["redelivering"], 1);
    let _ = until(&mut server, &id, "has no dead letter", |webhook| webhook["dead_letters"] == 0);
    let last = receiver.received().pop().unwrap();
    assert_eq!(last.id(), all[0].id());
    assert_eq!(admin.get(&letters).expect(200).json(), json!({"dead_letters": []}));
}

#[test]
fn a_killed_server_sends_again_what_it_had_not_written_down() {
    let setup = setup();
    let server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    // It hangs in the middle: that attempt's fate is unknown to the server that is killed.
    let replies = [status(204), status(204), status(204), Reply::Hang];
    let receiver = Receiver::replying(replies);
    let id = add(&admin, &receiver.url());
    let keys = [(); 4].map(|()| issue_and_revoke(&admin));
    let _ = receiver.wait_for(4);
    let mut server = server.kill9().start();
    let revoked_last = |all: &[Received]| {
        all.last().is_some_and(|last| last.about().1 == keys[3] && last.about().0 == "revoked")
    };
    let all = receiver.wait_until("the last revocation", revoked_last);
    let mut distinct: Vec<&str> = Vec::new();
    ids(&all).into_iter().for_each(|id| {
        if !distinct.contains(&id) {
            distinct.push(id);
        }
    });
    assert_eq!(distinct.len(), 8, "each of them: {distinct:?}");
    let position = |id: &str| id.rsplit('-').next().unwrap().parse::<u64>().unwrap();
    assert!(distinct.is_sorted_by_key(|id| position(id)), "in order: {distinct:?}");
    let webhook =
        until(&mut server, &id, "has caught up", |webhook| webhook["position"] == position(distinct[7]));
    assert_eq!(webhook["state"], "active");
}

#[test]
fn addresses_that_are_not_public_are_refused_when_added() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let add = |url: &str| admin.post("/v1/webhooks", &json!({"tenant": "acme", "url": url}));
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.8",
        "[fd00::8]",
        "2130706433",
    ] {
        let answer = add(&format!("https://{host}:8443/hooks")).expect(422);
        assert_eq!(answer.code(), "address_refused", "{host}: {}", answer.text);
    }
    for url in ["http://lists.example.com/", "https://user:word@lists.example.com/", "lists.example.com"] {
        let answer = add(url).expect(422);
        assert_eq!(answer.code(), "invalid_value", "{url}: {}", answer.text);
        assert!(!answer.text.contains("word@"), "what was sent is not repeated");
    }
    assert_eq!(admin.get("/v1/webhooks?tenant=acme").expect(200).json(), json!({"webhooks": []}));
}

#[test]
fn addresses_are_looked_at_again_for_each_delivery_and_redirects_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let allowing = setup().data_in(dir.path());
    let mut server = allowing.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let inside = Receiver::replying([]);
    let receiver = Receiver::replying([Reply::Status(307, format!("location: {}\r\n", inside.url()))]);
    let redirected = add(&admin, &receiver.url());
    let by_name = add(&admin, &format!("http://localhost:{}/hooks", receiver.port()));
    let _ = issue_and_revoke(&admin);
    let webhook = until(&mut server, &redirected, "fails", |webhook| {
        webhook["trouble"].is_object() || webhook["position"].as_u64() > Some(0)
    });
    let _ = receiver.wait_for(5);
    assert!(inside.received().is_empty(), "{webhook}");

    // The names and addresses are as before; the server may not go there any more.
    let before = receiver.received().len();
    let _ = server.stop();
    let mut server = ServerSetup::embedded().data_in(dir.path()).start();
    let _ = issue_and_revoke(&server.admin());
    for id in [&redirected, &by_name] {
        let webhook = until(&mut server, id, "is refused", |webhook| webhook["trouble"].is_object());
        assert_eq!(webhook["trouble"]["error"], "its host has an address that is not public");
    }
    assert_eq!(receiver.received().len(), before, "no connection was made");
}

#[test]
fn a_repeat_adds_nothing_and_an_operator_sees_its_own_tenants_alone() {
    let server = setup().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    admin.open_tenant("lists");
    let body = json!({"tenant": "acme", "url": "https://lists.example.com/hooks", "kinds": ["revoked"]});
    let added = admin.post_as("add-1", "/v1/webhooks", &body).expect(201).json();
    let again = admin.post_as("add-1", "/v1/webhooks", &body).expect(200).json();
    assert_eq!(again["webhook_id"], added["webhook_id"]);
    assert_eq!((&again["secret"], &again["secret_already_shown"]), (&Value::Null, &json!(true)));
    let other = json!({"tenant": "acme", "url": "https://lists.example.com/others"});
    assert_eq!(admin.post_as("add-1", "/v1/webhooks", &other).expect(409).code(), "command_id_reused");
    let wrong = json!({"tenant": "acme", "url": "https://lists.example.com/", "kinds": ["leaked"]});
    assert!(admin.post("/v1/webhooks", &wrong).expect(422).text.contains("rotated"), "the kinds are told");
    let id = added["webhook_id"].as_str().unwrap();
    let rotate = format!("/v1/webhooks/{id}/rotate-secret");
    assert!(admin.post_as("rotate-1", &rotate, &json!({})).expect(200).json()["secret"].is_string());
    assert!(admin.post_as("rotate-1", &rotate, &json!({})).expect(200).json()["secret"].is_null());

    for (scope, status, code) in [
        ("lists/tenants:admin", 404, "no_such_webhook"),
        ("acme/keys:read", 403, "scope_missing"),
        ("acme/tenants:admin", 200, ""),
    ] {
        let operator = json!({"name": "campaign admin", "owner": "list-team", "scopes": [scope]});
        let operator = admin.post("/v1/tenants/rescind/keys", &operator).expect(201).json();
        let theirs = server.admin_with(operator["key"].as_str().unwrap());
        let answer = theirs.get(&format!("/v1/webhooks/{id}")).expect(status);
        assert_eq!(answer.code(), code, "{scope}");
    }
    for n in 1..16 {
        let _ = admin.post_as(&format!("more-{n}"), "/v1/webhooks", &body).expect(201);
    }
    assert_eq!(admin.post_as("more-16", "/v1/webhooks", &body).expect(409).code(), "too_many_webhooks");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_log_the_one_that_has_the_webhook_sends() {
    let nats = NatsServer::start().await;
    let mine = ServerSetup::nats(&nats.url()).arg("--webhooks-allow-private").start();
    let admin = mine.admin();
    admin.open_tenant("acme");
    let other = ServerSetup::nats(&nats.url()).arg("--webhooks-allow-private").start();
    let receiver = Receiver::replying([]);
    let id = add(&admin, &receiver.url());
    let on_other = other.admin_with(&mine.operator_key());
    assert_eq!(on_other.get(&format!("/v1/webhooks/{id}")).expect(404).code(), "no_such_webhook");
    let key = issue_and_revoke(&on_other);
    let after = issue_and_revoke(&admin);
    let all = receiver.wait_for(4);
    let about: Vec<_> = all.iter().map(Received::about).collect();
    let kinds = ["issued", "revoked", "issued", "revoked"];
    let expected: Vec<_> = kinds
        .iter()
        .zip([&key, &key, &after, &after])
        .map(|(kind, key)| ((*kind).to_owned(), key.clone()))
        .collect();
    assert_eq!(about, expected, "each once, whichever server took the command");
}
