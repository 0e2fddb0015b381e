//! Leaks: whoever holds a key ends it, operators and scanners report what they found, and nobody else learns or does anything.

use axum::http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::kit::{Answer, Kit};
use crate::config::KeyListPlace;
use crate::leaks::tests::{REAL_BODY, REAL_KEY_ID, REAL_LIST, REAL_SIGNATURE, Scanner};

const URL: &str = "https://example.com/lists/blob/main/mailer.env";

/// A server that hears GitHub, and a scanner of our own.
struct Heard {
    kit: Kit,
    scanner: Scanner,
    _folder: TempDir,
}

impl Heard {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let scanner = Scanner::new(7);
        let mut list: Value = serde_json::from_str(REAL_LIST).unwrap();
        let ours: Value = serde_json::from_str(&scanner.list("ours")).unwrap();
        list["public_keys"].as_array_mut().unwrap().push(ours["public_keys"][0].clone());
        std::fs::write(&path, list.to_string()).unwrap();
        let kit = Kit::start_with(|config| config.leaks_github_keys = Some(KeyListPlace::File(path))).await;
        Self { kit, scanner, _folder: folder }
    }

    async fn signed(&self, body: &str) -> Answer {
        self.send(body, "ours", &self.scanner.sign(body)).await
    }

    async fn send(&self, body: &str, key_id: &str, signature: &str) -> Answer {
        let ask = self.kit.ask(Method::POST, "/v1/leaks").without("authorization");
        let ask =
            ask.header("content-type", "application/json").header("github-public-key-identifier", key_id);
        ask.header("github-public-key-signature", signature).body(body.to_owned()).answer().await
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap()
}

/// The same key with another secret, whose checksum fits.
fn other_secret(key: &str) -> String {
    let (rest, tail) = key.split_at(key.len() - 38);
    let secret = tail[..32].chars().rev().collect::<String>();
    let covered = format!("{rest}{secret}");
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = crc32(covered.as_bytes());
    let mut checksum = Vec::new();
    for _ in 0..6 {
        checksum.insert(0, digits[(crc % 62) as usize]);
        crc /= 62;
    }
    format!("{covered}{}", String::from_utf8(checksum).unwrap())
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

async fn head(kit: &Kit) -> u64 {
    kit.node.app.log.head().await.unwrap().get()
}

async fn self_revoke(kit: &Kit, key: &str, body: &Value) -> Answer {
    kit.post("/v1/self/revoke", body).with_key(key).answer().await
}

async fn events(kit: &Kit, issued: &Value) -> Vec<Value> {
    let path = format!(
        "/v1/tenants/{}/keys/{}/events?min_position={}",
        text(issued, "tenant"),
        text(issued, "key_id"),
        head(kit).await
    );
    kit.get(&path).answer().await.is(200)["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn whoever_holds_a_key_ends_it() {
    let kit = Kit::start().await;
    let issued = kit.issue(json!({})).await;
    let key = text(&issued, "key");
    // Without any body, as somebody in a hurry sends it.
    let ask = kit.ask(Method::POST, "/v1/self/revoke").with_key(key);
    let revoked = ask.header("idempotency-key", "burn").answer().await;
    let told = revoked.is(200);
    assert_eq!(
        (&told["key_id"], &told["reason"], &told["effective"]),
        (&issued["key_id"], &json!("compromised"), &json!(true))
    );
    assert_eq!(revoked.header("rescind-position"), told["position"].to_string());
    let verdict = kit.post("/v1/verify", &json!({"key": key})).answer().await.is(200);
    assert_eq!(verdict["verdict"], "revoked");

    let again = kit.ask(Method::POST, "/v1/self/revoke").with_key(key);
    let again = again.header("idempotency-key", "burn").answer().await.is(200);
    assert_eq!((&again["position"], &again["repeated"]), (&told["position"], &json!(true)));
    self_revoke(&kit, key, &json!({})).await.is_problem(409, "already_revoked");
    let last = events(&kit, &issued).await.pop().unwrap();
    assert_eq!((text(&last, "type"), &last["actor"]["kind"]), ("KeyRevoked", &json!("holder")), "{last}");
    assert!(last.to_string().contains("192.0.2.7"), "{last}");
}

#[tokio::test]
async fn what_is_not_the_whole_secret_ends_nothing_and_learns_nothing() {
    let kit = Kit::start().await;
    let (live, ended) = (kit.issue(json!({})).await, kit.issue(json!({})).await);
    kit.revoke(text(&ended, "key_id")).await;
    let before = head(&kit).await;
    let mut answers = Vec::new();
    for key in [text(&live, "key"), text(&ended, "key")] {
        let answer = self_revoke(&kit, &other_secret(key), &json!({})).await;
        let mut told = answer.is_problem(401, "key_unknown");
        told.as_object_mut().unwrap().remove("request_id");
        answers.push(told);
        self_revoke(&kit, &key[..key.len() - 1], &json!({})).await.is_problem(401, "key_malformed");
        // Another tenant's, and none at all: as if there were no such key.
        for tenant in ["rescind", "lists", "no tenant"] {
            self_revoke(&kit, key, &json!({"tenant": tenant})).await.is_problem(401, "key_unknown");
        }
    }
    assert_eq!(answers[0], answers[1], "a live key and a revoked one are the same to who guesses");
    let none = kit.post("/v1/self/revoke", &json!({})).without("authorization").answer().await;
    none.is_problem(401, "key_missing");
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"rescind\"");
    self_revoke(&kit, text(&live, "key"), &json!({"reason": "fun"})).await.is_problem(422, "invalid_value");
    self_revoke(&kit, text(&live, "key"), &json!({"why": "fun"})).await.is_problem(422, "invalid_value");
    assert_eq!(head(&kit).await, before, "nothing was written");
    let ask = kit.ask(Method::POST, "/v1/self/revoke").with_key(text(&live, "key"));
    ask.body("key").answer().await.is_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_suspended_key_can_be_ended_and_the_last_operator_cannot() {
    let kit = Kit::start().await;
    let issued = kit.issue(json!({})).await;
    let path = format!("/v1/tenants/default/keys/{}/suspend", text(&issued, "key_id"));
    kit.post(&path, &json!({})).answer().await.is(200);
    let why = json!({"reason": "leaked", "note": "on a screen"});
    let revoked = self_revoke(&kit, text(&issued, "key"), &why).await.is(200);
    assert_eq!(revoked["reason"], "leaked");

    let root = kit.root.clone();
    self_revoke(&kit, &root, &json!({})).await.is_problem(409, "last_operator");
    let other = kit.operator(&["keys:read"]).await;
    self_revoke(&kit, &other, &json!({})).await.is(200);
    let reported = json!({"reports": [{"token": root, "source": "scan", "url": URL}]});
    let result = kit.post("/v1/leaks", &reported).answer().await.is(200)["results"][0].clone();
    assert_eq!((text(&result, "response"), text(&result, "code")), ("refused", "last_operator"));
    assert_eq!(text(&result, "label"), "true_positive");
}

#[tokio::test]
async fn an_operators_report_ends_what_its_tenants_want_ended() {
    let kit = Kit::start().await;
    let [leaked, ended, live] =
        [kit.issue(json!({})).await, kit.issue(json!({})).await, kit.issue(json!({})).await];
    kit.revoke(text(&ended, "key_id")).await;
    let cautious = json!({"tenant": "cautious"});
    kit.post("/v1/tenants", &cautious).answer().await.is(201);
    let suspends = kit.ask(Method::PATCH, "/v1/tenants/cautious").header("content-type", "application/json");
    suspends.body(json!({"leak_response": "suspend"}).to_string()).answer().await.is(200);
    let body = json!({"owner": "list-sender", "scopes": []});
    let aside = kit.post("/v1/tenants/cautious/keys", &body).answer().await.is(201);

    let report = |token: &str| json!({"token": token, "source": "scan", "url": URL, "type": "rescind_key"});
    let reports = json!({"reports": [
        report(text(&leaked, "key")), report(text(&ended, "key")), report(text(&aside, "key")),
        report(&other_secret(text(&live, "key"))), report("spring"), report(text(&leaked, "key")),
    ]});
    let answer = kit.post("/v1/leaks", &reports).answer().await;
    let results = answer.is(200)["results"].clone();
    let told = |name: &str| {
        results
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result[name].as_str().unwrap_or("-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told("response"), ["revoked", "already_ended", "suspended", "unknown", "unknown", "revoked"]);
    assert_eq!(told("label")[2..5], ["true_positive", "false_positive", "false_positive"]);
    assert_eq!(told("key_id")[..2], [text(&leaked, "key_id"), text(&ended, "key_id")]);
    assert_eq!(told("tenant")[2..4], ["cautious", "-"]);
    assert_eq!(results[0]["position"], results[5]["position"], "dealt with once");
    // Which of the two comes first is not promised.
    let last = results.as_array().unwrap().iter().filter_map(|result| result["position"].as_u64()).max();
    assert_eq!(answer.header("rescind-position"), last.unwrap().to_string());

    let history = events(&kit, &leaked).await;
    let last = history.last().unwrap();
    assert_eq!((history.len(), text(last, "type"), text(last, "cause")), (2, "KeyLeaked", "leak"), "{last}");
    assert_eq!((&last["data"]["source"], &last["data"]["url"]), (&json!("scan"), &json!(URL)), "{last}");
    for (key, verdict) in [(&leaked, "revoked"), (&aside, "suspended"), (&live, "valid")] {
        let told = kit.post("/v1/verify", &json!({"key": key["key"]})).answer().await.is(200);
        assert_eq!(told["verdict"], verdict);
    }
    let before = head(&kit).await;
    let again = kit.post("/v1/leaks", &reports).answer().await.is(200)["results"].clone();
    assert_eq!(
        (&again[0]["response"], &again[2]["response"]),
        (&json!("already_ended"), &json!("suspended"))
    );
    assert_eq!(head(&kit).await, before);
}

#[tokio::test]
async fn a_repeated_report_gets_the_first_outcome() {
    let kit = Kit::start().await;
    let issued = kit.issue(json!({})).await;
    let body = json!({"reports": [{"token": issued["key"], "source": "scan", "url": URL}]});
    let send =
        async |body: &Value| kit.post("/v1/leaks", body).header("idempotency-key", "spring").answer().await;
    let first = send(&body).await.is(200);
    assert_eq!(send(&body).await.is(200), first);
    let other = json!({"reports": [{"token": issued["key"], "source": "scan", "url": "elsewhere"}]});
    send(&other).await.is_problem(409, "command_id_reused");
}

#[tokio::test]
async fn an_operator_ends_only_keys_of_its_tenants() {
    let kit = Kit::start().await;
    let issued = kit.issue(json!({})).await;
    let body = json!({"reports": [{"token": issued["key"], "source": "scan"}]});
    for (scopes, response) in [
        (["keys:read"].as_slice(), None),
        (&["lists/keys:revoke"], Some("unknown")),
        (&["default/keys:revoke"], Some("revoked")),
    ] {
        let operator = kit.operator(scopes).await;
        let answer = kit.post("/v1/leaks", &body).with_key(&operator).answer().await;
        match response {
            None => drop(answer.is_problem(403, "scope_missing")),
            Some(response) => assert_eq!(answer.is(200)["results"][0]["response"], response),
        }
    }
    // Operators' own keys are for administrators.
    let (revoker, other) = (kit.operator(&["keys:revoke"]).await, kit.operator(&["keys:read"]).await);
    let body = json!({"reports": [{"token": other, "source": "scan"}]});
    for (operator, response) in [(revoker.as_str(), "unknown"), (&kit.root, "revoked")] {
        let told = kit.post("/v1/leaks", &body).with_key(operator).answer().await.is(200);
        assert_eq!(told["results"][0]["response"], response);
    }
    kit.post("/v1/leaks", &body).without("authorization").answer().await.is_problem(401, "operator_missing");
}

#[tokio::test]
async fn a_report_that_does_not_fit_does_nothing() {
    let kit = Kit::start().await;
    let issued = kit.issue(json!({})).await;
    let key = text(&issued, "key");
    let before = head(&kit).await;
    let good = json!({"token": key, "source": "scan"});
    for (bad, words) in [
        (json!({"token": key}), "source is missing"),
        (json!({"token": key, "source": "a b"}), "reports[1].source"),
        (json!({"token": key, "source": &key[35..]}), "reports[1].source"),
        (json!({"token": key, "source": "scan", "url": "x".repeat(1025)}), "reports[1].url"),
        (json!({"token": key, "source": "scan", "colour": 1}), "no field colour"),
    ] {
        let problem = kit.post("/v1/leaks", &json!({"reports": [good, bad]})).answer().await;
        let told = problem.is_problem(422, "invalid_value");
        assert!(text(&told, "detail").contains(words), "{told}");
        assert!(!problem.text.contains(&key[35..67]), "{}", problem.text);
    }
    let many = json!({"reports": vec![json!({"token": "x", "source": "scan"}); 101]});
    kit.post("/v1/leaks", &many).answer().await.is_problem(422, "invalid_value");
    kit.post("/v1/leaks", &json!([good])).answer().await.is_problem(422, "invalid_value");
    assert_eq!(head(&kit).await, before);
}

#[tokio::test]
async fn a_secret_in_the_place_of_a_leak_is_not_kept() {
    let heard = Heard::start().await;
    let kit = &heard.kit;
    let [first, second, other] =
        [kit.issue(json!({})).await, kit.issue(json!({})).await, kit.issue(json!({})).await];
    let url =
        |key: &Value| format!("https://example.com/?key={}&other={}", text(key, "key"), text(&other, "key"));
    let body = json!({"reports": [{"token": first["key"], "source": "scan", "url": url(&first)}]});
    kit.post("/v1/leaks", &body).answer().await.is(200);
    heard
        .signed(&json!([{"token": second["key"], "type": "k", "url": url(&second)}]).to_string())
        .await
        .is(200);
    for key in [&first, &second] {
        let told = json!(events(kit, key).await).to_string();
        assert!(told.contains("KeyLeaked") && told.contains("https://example.com/?key=rsk_live_"), "{told}");
        for secret in [&first, &second, &other] {
            assert!(!told.contains(&text(secret, "key")[35..67]), "{told}");
        }
    }
}

#[tokio::test]
async fn githubs_own_signed_report_is_heard_and_an_altered_one_is_not() {
    let heard = Heard::start().await;
    let answer = heard.send(REAL_BODY, REAL_KEY_ID, REAL_SIGNATURE).await.is(200);
    let hash: String = Sha256::digest("some_token").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer, json!([{"token_hash": hash, "token_type": "some_type", "label": "false_positive"}]));
    let altered = REAL_BODY.replace("some_url", "some_uri");
    heard.send(&altered, REAL_KEY_ID, REAL_SIGNATURE).await.is_problem(403, "signature_invalid");
    heard.send(REAL_BODY, "ours", REAL_SIGNATURE).await.is_problem(403, "signature_invalid");
    heard.send(REAL_BODY, "nobody", REAL_SIGNATURE).await.is_problem(403, "signer_unknown");
}

#[tokio::test]
async fn a_signed_report_ends_keys_once_however_often_it_comes() {
    let heard = Heard::start().await;
    let kit = &heard.kit;
    let [leaked, ended, live] =
        [kit.issue(json!({})).await, kit.issue(json!({})).await, kit.issue(json!({})).await];
    kit.revoke(text(&ended, "key_id")).await;
    let found = |token: &str| json!({"token": token, "type": "rescind_key", "url": URL, "source": "commit", "more": 1});
    let body = json!([
        found(text(&leaked, "key")),
        found(text(&ended, "key")),
        found(&other_secret(text(&live, "key"))),
        found("spring"),
        found(text(&leaked, "key")),
    ])
    .to_string();
    let before = head(kit).await;
    let first = heard.signed(&body).await.is(200);
    let labels: Vec<&str> = first.as_array().unwrap().iter().map(|label| text(label, "label")).collect();
    assert_eq!(
        labels,
        ["true_positive", "true_positive", "false_positive", "false_positive", "true_positive"]
    );
    assert!(!first.to_string().contains("rsk_live_"), "{first}");
    assert_eq!(heard.signed(&body).await.is(200), first);
    assert_eq!(head(kit).await, before + 1, "one event, whoever sends it again");
    let last = events(kit, &leaked).await.pop().unwrap();
    assert_eq!((text(&last, "type"), text(&last, "cause")), ("KeyLeaked", "leak"), "{last}");
    assert_eq!((&last["data"]["source"], &last["data"]["url"]), (&json!("github"), &json!(URL)), "{last}");
    assert_eq!(last["actor"]["kind"], "scanner", "{last}");
}

#[tokio::test]
async fn what_is_signed_has_to_be_a_report_and_not_too_large() {
    let heard = Heard::start().await;
    assert_eq!(heard.signed("[]").await.is(200), json!([]));
    for bad in ["{}", "[{}]", r#"[{"token":1,"type":"x"}]"#] {
        heard.signed(bad).await.is_problem(422, "invalid_value");
    }
    heard.signed("lists").await.is_problem(400, "malformed_json");
    // More than another body may have, and more than this one may.
    let of = |count: usize| json!(vec![json!({"token": "x".repeat(1000), "type": "k"}); count]).to_string();
    assert_eq!(heard.signed(&of(900)).await.is(200).as_array().unwrap().len(), 900);
    heard.signed(&of(1100)).await.is_problem(413, "body_too_large");
    let twice = heard.kit.post("/v1/leaks", &json!([])).header("github-public-key-identifier", "ours");
    twice.answer().await.is_problem(400, "bad_header");
}

#[tokio::test]
async fn without_a_key_list_a_signed_report_is_refused() {
    let kit = Kit::start().await;
    let ask = kit.post("/v1/leaks", &json!([])).header("github-public-key-identifier", REAL_KEY_ID);
    let answer = ask.header("github-public-key-signature", REAL_SIGNATURE).answer().await;
    answer.is_problem(403, "signed_reports_off");
}
