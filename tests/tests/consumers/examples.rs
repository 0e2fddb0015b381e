//! The two example consumers: what they deny, how they resume, what they do about a gap and about another log.

use serde_json::json;
use tests::nats::NatsServer;
use tests::server::{Admin, ServerSetup};

use crate::example::{Example, Language, Run, compiled, source};
use crate::forged::{ForgedFeed, heartbeat, hello, notice};
use crate::{issue_and_revoke, lines};

const LOG: &str = "01JDA5R0000000000000000000";
const OTHER_LOG: &str = "01JDA5R0000000000000000001";

#[test]
fn the_python_example_denies_on_server_sent_events() {
    denies_on_sse(Language::Python);
}

#[test]
fn the_typescript_example_denies_on_server_sent_events() {
    denies_on_sse(Language::TypeScript);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_denies_on_nats() {
    denies_on_nats(Language::Python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_example_denies_on_nats() {
    denies_on_nats(Language::TypeScript).await;
}

/// Every standing that a key can lose and get back, a restart of the consumer, and one of the server.
fn denies_on_sse(language: Language) {
    let setup = ServerSetup::embedded();
    let server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let mut example = Example::sse(language, server.url(), &server.operator_key());
    let run = denies_and_resumes(&mut example, &admin);

    let address = server.url().trim_start_matches("http://").to_owned();
    let key = server.operator_key();
    let again = server.stop().arg("--listen").arg(&address).start();
    let last = issue_and_revoke(&again.admin());
    let mut run = run;
    let _ = run.says(&format!("denied key={last} "));
    assert!(run.said().contains("disconnected "), "the server was away: {}", run.said());
    run.kill9();

    // Another log behind the same address: nothing of the first one may stay.
    let stopped = again.stop();
    let fresh = ServerSetup::embedded().arg("--listen").arg(&address);
    drop(stopped);
    let mut run = example.start();
    let _ = run.says("disconnected ");
    let fresh = fresh.start();
    fresh.admin().open_tenant("acme");
    example.use_key(&fresh.operator_key());
    let theirs = issue_and_revoke(&fresh.admin());
    let _ = run.says("reset log=");
    let _ = run.says(&format!("denied key={theirs} "));
    let kept = run.keeps("the other log", |held| held["denied"].get(&theirs).is_some());
    assert_eq!(kept["denied"].as_object().unwrap().len(), 1, "{kept}");
    assert!(!run.said().contains(&key) && !run.said().contains(&fresh.operator_key()), "no secret is told");
}

async fn denies_on_nats(language: Language) {
    let mut nats = NatsServer::start().await;
    let mut server = ServerSetup::nats(&nats.url()).start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let mut example = Example::nats(language, &nats.url());
    let mut run = denies_and_resumes(&mut example, &admin);

    nats.kill9();
    let _ = run.says("disconnected ");
    nats.restart().await;
    // Until it notices, it still counts on the connection that is gone.
    let open = || admin.post_as("open-lists", "/v1/tenants", &json!({"tenant": "lists"})).status;
    server.wait_for("takes commands again", |_| matches!(open(), 200 | 201).then_some(()));
    let last = issue_and_revoke(&admin);
    let _ = run.says(&format!("denied key={last} "));
    let _ = server.stop();

    // A stream of another log under the same name: nothing of the first one may stay.
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    for stream in ["RESCIND_LOG", "RESCIND_FEED", "KV_RESCIND_SEALS"] {
        context.delete_stream(stream).await.unwrap();
    }
    let fresh = ServerSetup::nats(&nats.url()).start();
    fresh.admin().open_tenant("acme");
    let theirs = issue_and_revoke(&fresh.admin());
    run.kill9();
    let mut run = example.start();
    let _ = run.says("reset log=");
    let _ = run.says(&format!("denied key={theirs} "));
    let kept = run.keeps("the other log", |held| held["denied"].get(&theirs).is_some());
    assert_eq!(kept["denied"].as_object().unwrap().len(), 1, "{kept}");
}

/// What both feeds have in common. Gives the consumer that runs at the end.
fn denies_and_resumes(example: &mut Example, admin: &Admin) -> Run {
    let mut run = example.start();
    let revoked = issue_and_revoke(admin);
    let line = run.says(&format!("denied key={revoked} "));
    assert!(line.ends_with("kind=revoked"), "{line}");
    let suspended = admin.issue("acme", "list-sender").key_id;
    let path = format!("/v1/tenants/acme/keys/{suspended}");
    let body = json!({"reason": "investigating"});
    let _ = admin.post(&format!("{path}/suspend"), &body).expect(200);
    let _ = run.says(&format!("denied key={suspended} "));
    let _ = admin.post(&format!("{path}/reinstate"), &json!({})).expect(200);
    let _ = run.says(&format!("reinstated key={suspended} "));
    let held = run.keeps("both keys", |held| {
        held["denied"].get(&revoked).is_some() && held["denied"].get(&suspended).is_none()
    });
    run.kill9();

    let while_away = issue_and_revoke(admin);
    let mut run = example.start();
    let started = run.says("started ");
    assert!(!started.contains("position=0"), "it goes on from its file: {started}");
    let _ = run.says(&format!("denied key={while_away} "));
    assert!(
        !run.said().contains(&format!("denied key={revoked} ")),
        "only what it had not heard: {}",
        run.said()
    );
    let body = json!({"selector": {"label": "service=mailer"}, "reason": "compromised", "dry_run": true});
    let shown = admin.post("/v1/tenants/acme/recalls", &body).expect(200).json();
    let body = json!({"selector": {"label": "service=mailer"}, "reason": "compromised",
        "confirm": shown["token"]});
    let recalled = admin.post("/v1/tenants/acme/recalls", &body).expect(201).json();
    let position = recalled["position"].as_u64().unwrap();
    let line = run.says(&format!("recalled position={position} "));
    assert!(line.contains("\"label\":\"service=mailer\""), "{line}");
    let kept = run.keeps("the recall", |held| held["floor"] == position);
    assert_eq!(kept["log_id"], held["log_id"]);
    assert!(!run.said().contains("gap "), "{}", run.said());
    run
}

#[test]
fn a_gap_is_repaired_by_asking_again() {
    for language in [Language::Python, Language::TypeScript] {
        let missing =
            [hello(LOG, 9, 9), notice(LOG, "revoked", "FIRST", 3, 0), notice(LOG, "revoked", "THIRD", 9, 7)];
        let whole = [
            hello(LOG, 9, 9),
            notice(LOG, "revoked", "SECOND", 7, 3),
            notice(LOG, "revoked", "THIRD", 9, 7),
            heartbeat(12, 9),
        ];
        let feed = ForgedFeed::saying(vec![missing.concat(), whole.concat()]);
        let mut example = Example::sse(language, feed.url(), "rsk_live_nobody");
        let mut run = example.start();
        assert_eq!(feed.resumed_from(), "0");
        let _ = run.says("gap heard=3 previous=7 position=9");
        assert_eq!(feed.resumed_from(), "3", "asked again from the last one that was heard");
        let kept =
            run.keeps("all three", |held| held["denied"].as_object().is_some_and(|keys| keys.len() == 3));
        assert_eq!(kept["last_notice"], 9, "{kept}");
    }
}

#[test]
fn a_gap_that_stays_makes_older_answers_void() {
    for language in [Language::Python, Language::TypeScript] {
        let cut = [hello(LOG, 9, 9), notice(LOG, "revoked", "THIRD", 9, 7)].concat();
        // The second one ends in silence about a notice that was never sent.
        let quiet = [hello(LOG, 20, 15), heartbeat(20, 15)].concat();
        let feed = ForgedFeed::saying(vec![cut.clone(), cut, quiet.clone(), quiet]);
        let mut example = Example::sse(language, feed.url(), "rsk_live_nobody");
        let mut run = example.start();
        let from: Vec<String> = (0..4).map(|_| feed.resumed_from()).collect();
        assert_eq!(from, ["0", "0", "9", "9"], "{}", run.said());
        let _ = run.says("denied key=THIRD ");
        let _ = run.says("gap heard=0 previous=7 position=9");
        let _ = run.says("gap heard=9 previous=15 position=15");
        let kept = run.keeps("the second gap", |held| held["floor"] == 15 && held["position"] == 20);
        assert_eq!(kept["last_notice"], 15, "{kept}");
    }
}

#[test]
fn another_log_and_a_reset_void_everything() {
    for language in [Language::Python, Language::TypeScript] {
        let first = [hello(LOG, 5, 5), notice(LOG, "revoked", "OURS", 5, 0)].concat();
        let another = hello(OTHER_LOG, 30, 0);
        let theirs =
            [hello(OTHER_LOG, 30, 8), notice(OTHER_LOG, "expired", "THEIRS", 8, 0), heartbeat(30, 8)];
        let older = [
            hello(OTHER_LOG, 4, 4),
            format!("event: reset\nid: 4\ndata: {{\"log_id\":\"{OTHER_LOG}\",\"head\":4}}\n\n"),
        ];
        let again = [hello(OTHER_LOG, 4, 4), notice(OTHER_LOG, "closed", "_tenant", 4, 0), heartbeat(4, 4)];
        let said = vec![first, another, theirs.concat(), older.concat(), again.concat()];
        let feed = ForgedFeed::saying(said);
        let mut example = Example::sse(language, feed.url(), "rsk_live_nobody");
        let mut run = example.start();
        let from: Vec<String> = (0..5).map(|_| feed.resumed_from()).collect();
        assert_eq!(from, ["0", "5", "0", "30", "0"], "{}", run.said());
        let _ = run.says("closed position=4 ");
        let kept = run.keeps("the closed tenant", |held| held["floor"] == 4);
        assert_eq!(kept["denied"], json!({}), "nothing of before: {kept}");
        assert_eq!(kept["log_id"], OTHER_LOG);
        assert_eq!(kept["position"], 4, "{kept}");
    }
}

/// What a service is told before it lets a key pass; each line one question.
const QUESTIONS_IN_PYTHON: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
from consumer import DenySet
def notice(kind, key, position, previous):
    return {"source": "/logs/L", "type": f"rescind.key.{kind}.v1", "subject": f"acme/{key}",
            "data": {"position": position, "previous": previous}}
held = DenySet("acme", sys.argv[2])
print("?", held.look("OTHER", 3))
held.hear_notice(notice("revoked", "GONE", 4, 0))
print("?", held.look("GONE", 9), held.look("OTHER", 3))
held.hear_notice(notice("recalled", "_tenant", 7, 4))
print("?", held.look("GONE", 9), held.look("OTHER", 6), held.look("OTHER", 7))
"#;
const QUESTIONS_IN_JAVASCRIPT: &str = r#"
const { DenySet } = await import(process.env.CONSUMER);
const notice = (kind, key, position, previous) => ({ source: "/logs/L", type: `rescind.key.${kind}.v1`,
  subject: `acme/${key}`, data: { position, previous } });
const set = new DenySet("acme", process.env.STATE);
console.log("?", set.look("OTHER", 3));
set.hearNotice(notice("revoked", "GONE", 4, 0));
console.log("?", set.look("GONE", 9), set.look("OTHER", 3));
set.hearNotice(notice("recalled", "_tenant", 7, 4));
console.log("?", set.look("GONE", 9), set.look("OTHER", 6), set.look("OTHER", 7));
"#;

#[test]
fn a_key_passes_only_on_an_answer_that_still_holds() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("none.json");
    let mut python = std::process::Command::new("python3");
    let python = python.args(["-B", "-c", QUESTIONS_IN_PYTHON]).arg(source("")).arg(&state);
    let mut node = std::process::Command::new("node");
    let node = node
        .args(["--input-type=module", "-e", QUESTIONS_IN_JAVASCRIPT])
        .env("CONSUMER", compiled())
        .env("STATE", &state);
    for language in [python, node] {
        let said = lines(language.output().unwrap());
        let answers: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("? ")).collect();
        assert_eq!(answers, ["stale", "denied pass", "denied ask pass"]);
    }
}
