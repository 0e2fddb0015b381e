//! Usage over HTTP: what verifies leave behind, for whom it is shown, and what is not known.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::KeyId;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::kit::{Kit, eventually};

/// Sums arrive once a second; on a busy machine, seconds later.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);

fn path(key: &Value) -> String {
    let (key_id, position) = (key["key_id"].as_str().unwrap(), &key["position"]);
    format!("/v1/tenants/default/keys/{key_id}/usage?min_position={position}")
}

/// The usage of a key once so many verdicts on it are on record.
async fn usage_of(kit: &Kit, key: &Value, verdicts: u64) -> Value {
    let usage = &kit.node.app.usage;
    let mut applied = usage.applied();
    let id: KeyId = key["key_id"].as_str().unwrap().parse().unwrap();
    let reported = async {
        let tenant = "default".parse().unwrap();
        while usage.of_key(&tenant, id, kit.node.app.ambient.now()).await.unwrap().total.all() < verdicts {
            applied.changed().await.unwrap();
        }
    };
    timeout(REPORTED_WITHIN, reported).await.expect("verdicts are reported");
    kit.get(&path(key)).answer().await.is(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_shown_by_what_was_asked_from_where() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let asks = |body: Value| {
        let mut body = body;
        body["key"] = key["key"].clone();
        body
    };
    let requests = json!({"requests": [
        asks(json!({"service": "mailer", "scope": "campaigns:send", "network": "192.0.2.9"})),
        asks(json!({"service": "mailer", "scope": "lists:read", "network": "2001:db8:5::1"})),
    ]});
    kit.post("/v1/verify/batch", &requests).answer().await.is(200);
    let body = json!({"owner": "operations", "scopes": ["verify"], "labels": {"service": "lists-api"}});
    let named = kit.post("/v1/tenants/rescind/keys", &body).answer().await.is(201);
    let bare = asks(json!({}));
    kit.post("/v1/verify", &bare).with_key(named["key"].as_str().unwrap()).answer().await.is(200);
    kit.revoke(key["key_id"].as_str().unwrap()).await;
    kit.post("/v1/verify", &asks(json!({"network": "198.51.100.20"}))).answer().await.is(200);

    let usage = usage_of(&kit, &key, 4).await;
    assert_eq!(usage["total"], json!({"valid": 2, "refused": 2}));
    assert!(usage["first_used"].is_string() && usage["last_used"].as_str() >= usage["first_used"].as_str());
    let (hours, days) = (usage["hours"].as_array().unwrap(), usage["days"].as_array().unwrap());
    assert_eq!((hours.len(), days.len()), (168, 90));
    let valid: u64 = hours.iter().filter_map(|hour| hour["valid"].as_u64()).sum();
    assert_eq!((valid, days[89]["refused"].as_u64()), (2, Some(2)));
    let named = |list: &str, member: &str| -> Vec<Value> {
        usage[list].as_array().unwrap().iter().map(|part| part[member].clone()).collect()
    };
    let root = format!("operator/{}", &kit.root["rsk_live_".len()..][..26]);
    assert_eq!(named("services", "service"), [json!(root), json!("lists-api"), json!("mailer")]);
    assert_eq!(named("refused", "verdict"), ["revoked", "scope_denied"]);
    assert_eq!(named("refused", "network"), ["198.51.100.0/24", "2001:db8:5::/48"]);
    assert!(
        named("scopes", "name").contains(&Value::Null) && named("networks", "name").contains(&Value::Null)
    );
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_null_and_never_zero() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let usage = usage_of(&kit, &key, 0).await;
    assert_eq!((&usage["last_used"], &usage["total"]), (&Value::Null, &json!({"valid": 0, "refused": 0})));
    let yesterday = &usage["days"][88];
    assert_eq!((&yesterday["valid"], &yesterday["complete"]), (&Value::Null, &json!(false)));
    let coverage = &usage["coverage"];
    assert_eq!(
        (&coverage["complete"], &coverage["unknown"][0]["why"]),
        (&json!(false), &json!("before_record"))
    );
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_listed_as_unused_only_where_that_is_known() {
    let kit = Kit::start().await;
    let (used, idle) = (kit.issue(json!({})).await, kit.issue(json!({})).await);
    let since = eventually("the clock is past the issue", async || {
        let now = wire::format_rfc3339(kit.node.app.ambient.now());
        Some(now).filter(|now| Some(&**now) > idle["issued_at"].as_str())
    })
    .await;
    let keys = "/v1/tenants/default/keys";
    let list = format!("{keys}?unused_since={since}&min_position={}", idle["position"]);
    let ids = |list: &Value| -> Vec<String> {
        let id = |key: &Value| key.as_str().or(key["key_id"].as_str()).unwrap().to_owned();
        list.as_array().unwrap().iter().map(id).collect()
    };
    let id_of = |key: &Value| key["key_id"].as_str().unwrap().to_owned();

    // What came after has not been reported: nobody is unused, both are named.
    let early = kit.get(&list).answer().await.is(200);
    assert_eq!(early["keys"], json!([]), "{early}");
    let coverage = &early["usage"]["coverage"];
    assert_eq!(
        (ids(&early["usage"]["left_out"]).len(), &coverage["complete"]),
        (2, &json!(false)),
        "{early}"
    );
    assert_eq!(coverage["unknown"][0]["why"], "not_heard");
    let show = format!("{keys}/{}", id_of(&idle));
    let shown = kit.get(&show).answer().await.is(200);
    assert_eq!((&shown["last_used_at"], &shown["last_used_complete"]), (&Value::Null, &json!(false)));
    let one = kit.get(&format!("{list}&limit=1")).answer().await.is(200);
    assert_eq!((ids(&one["usage"]["left_out"]).len(), one["next_cursor"].is_string()), (1, true), "{one}");

    kit.post("/v1/verify", &json!({"key": used["key"]})).answer().await.is(200);
    let late = eventually("all since then is reported", async || {
        let late = kit.get(&list).answer().await.is(200);
        Some(late).filter(|late| late["usage"]["coverage"]["complete"] == true)
    })
    .await;
    assert_eq!((ids(&late["keys"]), &late["usage"]["left_out"]), (vec![id_of(&idle)], &json!([])), "{late}");
    let shown = kit.get(&show).answer().await.is(200);
    assert_eq!((&shown["last_used_at"], &shown["last_used_complete"]), (&Value::Null, &json!(true)));
    let shown = kit.get(&format!("{keys}/{}", id_of(&used))).answer().await.is(200);
    assert!(shown["last_used_at"].as_str() >= Some(&*since), "{shown}");

    // A key of today is not called unused for years, and other filters go on counting.
    let years = kit.get(&format!("{keys}?unused_since=2001-01-01T00:00:00Z")).answer().await.is(200);
    assert_eq!((&years["keys"], &years["usage"]["left_out"]), (&json!([]), &json!([])), "{years}");
    let other = kit.get(&format!("{list}&owner=somebody")).answer().await.is(200);
    assert_eq!(other["keys"], json!([]));
    assert!(kit.get(keys).answer().await.is(200).get("usage").is_none());
    let ahead = format!("{keys}?unused_since=2999-01-01T00:00:00Z");
    kit.get(&ahead).answer().await.is_problem(400, "bad_query");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guess_is_no_use_and_usage_is_for_who_may_read_the_key() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let key = kit.issue(json!({})).await;
    let id: KeyId = key["key_id"].as_str().unwrap().parse().unwrap();
    let secret = domain::PlainSecret::draw(|bytes| bytes.fill(7));
    let forged = domain::format_key(&domain::Prefix::default(), domain::Environment::Live, id, &secret);
    kit.post("/v1/verify", &json!({"key": forged.expose()})).answer().await.is(200);
    let bound = kit.operator(&["acme/verify", "acme/keys:read"]).await;
    kit.post("/v1/verify", &json!({"key": key["key"]})).with_key(&bound).answer().await.is(200);
    kit.post("/v1/verify", &json!({"key": key["key"]})).answer().await.is(200);
    assert_eq!(usage_of(&kit, &key, 1).await["total"], json!({"valid": 1, "refused": 0}));

    let absent = "/v1/tenants/default/keys/01JDA7W5W6M4Q0T3S8V2N9X1YZ/usage";
    kit.get(absent).answer().await.is_problem(404, "not_found");
    kit.get(&path(&key)).with_key(&bound).answer().await.is_problem(404, "not_found");
    let cannot = kit.operator(&["verify"]).await;
    kit.get(&path(&key)).with_key(&cannot).answer().await.is_problem(403, "scope_missing");
    for service in ["", "two words", &"x".repeat(65)] {
        let body = json!({"key": "x", "service": service});
        let problem = kit.post("/v1/verify", &body).answer().await.is_problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains("service"), "{problem}");
    }
    kit.node.stop().await;
}

/// Keys of one request, each asked about so often.
const KEYS: usize = 64;
const TIMES: usize = 6;
/// Pairs of requests of one round, and rounds.
const PAIRS: usize = 60;
const ROUNDS: usize = 9;
/// What counting may cost: a tenth. A machine that does much else at the same time may need another try.
const COST_MAX: f64 = 1.10;
const TRIES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the measured ratio, for whoever asks for it with --nocapture")]
async fn counting_costs_less_than_a_tenth_of_a_verify() {
    let kit = Kit::start().await;
    let mut requests = Vec::new();
    for n in 0..KEYS {
        let key = kit.issue(json!({})).await["key"].clone();
        let one = json!({"key": key, "scope": "campaigns:send", "network": format!("192.0.{n}.9")});
        requests.extend(std::iter::repeat_n(one, TIMES));
    }
    let body = json!({"requests": requests});
    let meter = &kit.node.app.meter;
    let once = async |is_off: bool| {
        meter.is_off.store(is_off, Ordering::Relaxed);
        let began = Instant::now();
        let status = kit.post("/v1/verify/batch", &body).response().await.status();
        assert_eq!(status.as_u16(), 200);
        began.elapsed().as_secs_f64()
    };
    let mut said = Vec::new();
    for _ in 0..TRIES {
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            // Side by side, so that whatever else the machine does falls on both.
            let (mut on, mut off) = (Vec::new(), Vec::new());
            for _ in 0..PAIRS {
                off.push(once(true).await);
                on.push(once(false).await);
            }
            ratios.push(median(on) / median(off));
        }
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ROUNDS - 1]);
        let middle = ratios[ROUNDS / 2];
        said.push(format!("on/off median {middle:.3}, {least:.3} to {most:.3} of {ROUNDS} rounds"));
        if middle <= COST_MAX {
            kit.node.stop().await;
            eprintln!("{said:?}");
            return;
        }
    }
    panic!("counting costs too much: {said:?}");
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
