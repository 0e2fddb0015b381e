//! The doctor's questions to the server: is it there, ready, on disk, on time, and what may the operator do?

use domain::{ParsedKey, TenantId};
use serde_json::{Value, json};

use super::check::{Check, State};
use crate::client::{Call, Client};
use crate::clock;
use crate::output::{items, text};
use crate::target::FoundKey;

/// Clocks this far apart deserve a look; at 500 ms the server takes no commands.
const SKEW_WARN_MS: u64 = 250;
/// From here on the server takes no commands.
const SKEW_FAIL_MS: u64 = 500;
/// An operator key that ends within this deserves a successor.
const EXPIRES_SOON_MS: u64 = 14 * 86_400_000;

/// Everything that can be asked. Stops early where the rest makes no sense.
pub(super) fn look(client: &Client, key: Option<&FoundKey>) -> Vec<Check> {
    let ready = match client.once(&Call::get("/readyz").with("verbose", "")) {
        Ok(answer) => answer.body,
        Err(failure) => return vec![Check::failed("server", &failure)],
    };
    if !ready["checks"].is_object() {
        let said = format!("something answers at {}, but not as a Rescind server", client.url().text);
        return vec![Check::fail("server", said, "check the address")];
    }
    let mut checks = of_server(&ready);
    checks.extend(key.map(|key| operator(client, key)));
    checks
}

/// What `/readyz?verbose` says, in the doctor's words.
fn of_server(ready: &Value) -> Vec<Check> {
    let checks = &ready["checks"];
    let mut all = vec![
        server(ready),
        log(&checks["log"]),
        durability(&checks["log"]),
        seals(checks),
        views(checks),
        lease(&checks["lease"]),
        skew(checks),
    ];
    all.extend(notary(&checks["notary"]));
    all
}

fn server(ready: &Value) -> Check {
    let checks = &ready["checks"];
    let said = format!(
        "version {}, role {}, {} keys",
        text(checks, "version"),
        text(checks, "role"),
        text(checks, "keys")
    );
    if ready["ready"] == true {
        return Check::ok("server", format!("ready: {said}"));
    }
    Check::fail(
        "server",
        format!("not ready ({} missing): {said}", text(ready, "missing")),
        "the lines below, or its log, tell why",
    )
}

fn log(log: &Value) -> Check {
    let id = text(log, "log_id");
    if log["restored"].is_u64() {
        return Check::fail(
            "log",
            format!(
                "{id} was restored from a backup that ends at position {}; what came after is not known",
                text(log, "restored")
            ),
            "stop the server and run `rescind backup settle`; until then it trusts no key",
        );
    }
    if log["writable"] == false {
        let why = &log["not_written"];
        return Check::fail(
            "log",
            format!("{id} could not be written since {}: {}", text(why, "since"), text(why, "reason")),
            "free space on its disk (the data folder's, or that of NATS) or mend what the reason says; the next command tries again",
        );
    }
    if log["reachable"] == true {
        return Check::ok("log", format!("{id}, head {}", text(log, "head")));
    }
    Check::fail(
        "log",
        format!("{id} does not answer"),
        "check the NATS servers, or the disk of the data folder; no command succeeds until then",
    )
}

fn durability(log: &Value) -> Check {
    match text(log, "durability").as_str() {
        "on_disk" => Check::ok("durability", "an acknowledged change is on disk"),
        "unproven" => Check::warn(
            "durability",
            format!("unproven: {}", text(log, "reason")),
            "set `sync_interval: always` on every NATS server and start with --nats-monitor, so that it can be proven",
        ),
        other => Check::fail(
            "durability",
            format!("{other}: an acknowledged change may be lost"),
            "use the embedded log or NATS with file storage",
        ),
    }
}

/// Nothing where it works, and on a server that is not the log's notary.
fn notary(notary: &Value) -> Option<Check> {
    let trouble = notary["trouble"].as_str()?;
    Some(match notary["stopped"].as_bool() {
        Some(true) => Check::fail(
            "notary",
            format!("nothing is signed any more: {trouble}"),
            "put the log back from a backup; `rescind audit verify` on an archive tells where it parts",
        ),
        _ => Check::warn(
            "notary",
            format!("nothing is signed now, and it is tried again: {trouble}"),
            "look at the disk of the data folder and its rights, and at the log",
        ),
    })
}

fn seals(checks: &Value) -> Check {
    match checks["seals_lost"].as_u64().unwrap_or_default() {
        0 => Check::ok("seals", "none is known to be lost"),
        lost => Check::fail(
            "seals",
            format!(
                "{lost} lost: those tenants' keys can be verified and taken away, no more; the server's log names them"
            ),
            "put the files in seals/, or the bucket RESCIND_SEALS, back from the backup",
        ),
    }
}

fn views(checks: &Value) -> Check {
    let progress = items(checks, "progress");
    let late: Vec<_> = progress
        .iter()
        .filter(|view| view["stage"] != "ready")
        .map(|view| format!("{} {} {} %", text(view, "name"), text(view, "stage"), text(view, "percent")))
        .collect();
    if late.is_empty() {
        let names: Vec<_> = progress.iter().map(|view| text(view, "name")).collect();
        return Check::ok("views", format!("up to date: {}", names.join(", ")));
    }
    let stopped = progress.iter().any(|view| view["stage"] == "stopped");
    let said = late.join(", ");
    if stopped {
        return Check::fail("views", said, "the server's log tells why; a restart rebuilds what is damaged");
    }
    Check::warn("views", said, "wait: lists answer once they are built; verifying goes by the index")
}

fn lease(lease: &Value) -> Check {
    let bound = text(lease, "max_staleness_ms");
    if lease["fresh"] == true {
        return Check::ok(
            "lease",
            format!("everything was heard {} ms ago, at most {bound} ms are allowed", text(lease, "age_ms")),
        );
    }
    Check::fail(
        "lease",
        format!("no proof within {bound} ms that every event was heard: every key is refused as stale"),
        "check the log",
    )
}

fn skew(checks: &Value) -> Check {
    let skew = checks["clock_skew_ms"].as_i64().unwrap_or_default();
    let said = format!("the server's clock is {skew} ms off the log's");
    match skew.unsigned_abs() {
        SKEW_FAIL_MS.. => {
            Check::fail("clock", said, "set the server's clock, with NTP; it takes no commands until then")
        }
        SKEW_WARN_MS.. => {
            Check::warn("clock", said, "set the server's clock, with NTP; at 500 ms it takes no commands")
        }
        _ => Check::ok("clock", said),
    }
}

/// Asks with the operator key about the operator key.
fn operator(client: &Client, key: &FoundKey) -> Check {
    const NAME: &str = "operator";
    let asked = client
        .once(&Call::ask("/v1/verify", json!({"key": key.key.expose(), "tenant": TenantId::OPERATORS})));
    let answer = match asked {
        Ok(answer) if answer.status == 403 => return shown(client, key),
        Ok(answer) => answer,
        Err(failure) => return Check::failed(NAME, &failure),
    };
    if answer.status != 200 {
        let said = format!("refused: {} ({})", text(&answer.body, "title"), text(&answer.body, "code"));
        return Check::fail(NAME, said, text(&answer.body, "remedy"));
    }
    match text(&answer.body, "verdict").as_str() {
        "valid" => rights(&answer.body),
        verdict => Check::fail(
            NAME,
            format!("the key is {verdict}"),
            "use another operator key, or `rescind serve --recover-operator`",
        ),
    }
}

/// For an operator without the scope `verify`.
fn shown(client: &Client, key: &FoundKey) -> Check {
    let path = ParsedKey::parse(key.key.expose())
        .map(|parsed| format!("/v1/tenants/{}/keys/{}", TenantId::OPERATORS, parsed.key_id));
    match path.ok().and_then(|path| client.once(&Call::get(path)).ok()) {
        Some(answer) if answer.status == 200 => rights(&answer.body),
        _ => Check {
            state: State::Warn,
            ..Check::ok(
                "operator",
                "accepted; it may neither verify nor read keys, so its scopes cannot be told",
            )
        },
    }
}

fn rights(key: &Value) -> Check {
    let said = format!("{} may: {}", text(key, "key_id"), text(key, "scopes"));
    let ends = key["expires_at"].as_str().and_then(|text| wire::parse_rfc3339(text).ok());
    match ends {
        Some(ends) if ends.as_millis() < clock::wall().as_millis() + EXPIRES_SOON_MS => Check::warn(
            "operator",
            format!("{said}; it ends {}", wire::format_rfc3339(ends)),
            "issue its successor in tenant rescind before that",
        ),
        _ => Check::ok("operator", said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(checks: &[Check]) -> Vec<(&str, State)> {
        checks.iter().map(|check| (check.name, check.state)).collect()
    }

    fn ready() -> Value {
        json!({
            "ready": true, "missing": [],
            "checks": {
                "log": {"log_id": "01J", "reachable": true, "head": 7, "durability": "on_disk", "writable": true},
                "progress": [{"name": "index", "stage": "ready", "applied": 7, "head": 7, "percent": 100}],
                "lease": {"fresh": true, "age_ms": 10, "max_staleness_ms": 5000},
                "notary": {"checkpoint": 7, "trouble": null, "stopped": false},
                "clock_skew_ms": 0, "seals_lost": 0, "bootstrapped": true, "role": "all", "keys": 3, "version": "0.0.0"
            }
        })
    }

    #[test]
    fn a_good_server_has_nothing_to_do() {
        let checks = of_server(&ready());
        assert!(checks.iter().all(|check| check.state == State::Ok && check.remedy.is_none()), "{checks:?}");
    }

    #[test]
    fn each_trouble_is_told_where_it_is() {
        let spoil = |path: &str, value: Value| {
            let mut ready = ready();
            *ready.pointer_mut(path).unwrap() = value;
            of_server(&ready).into_iter().filter(|check| check.state != State::Ok).collect::<Vec<_>>()
        };
        for (path, value, expected) in [
            ("/ready", json!(false), ("server", State::Fail)),
            ("/checks/log/reachable", json!(false), ("log", State::Fail)),
            ("/checks/log/writable", json!(false), ("log", State::Fail)),
            ("/checks/seals_lost", json!(1), ("seals", State::Fail)),
            ("/checks/notary/trouble", json!("the disk is full"), ("notary", State::Warn)),
            ("/checks/log/durability", json!("unproven"), ("durability", State::Warn)),
            ("/checks/log/durability", json!("volatile"), ("durability", State::Fail)),
            ("/checks/progress/0/stage", json!("catching_up"), ("views", State::Warn)),
            ("/checks/progress/0/stage", json!("stopped"), ("views", State::Fail)),
            ("/checks/lease/fresh", json!(false), ("lease", State::Fail)),
            ("/checks/clock_skew_ms", json!(-300), ("clock", State::Warn)),
            ("/checks/clock_skew_ms", json!(700), ("clock", State::Fail)),
        ] {
            let checks = spoil(path, value);
            assert_eq!(states(&checks), [expected], "{path}");
            assert!(checks[0].remedy.is_some(), "{path} has no remedy");
        }
        let stopped = json!({"trouble": "the log differs", "stopped": true});
        assert_eq!(states(&spoil("/checks/notary", stopped)), [("notary", State::Fail)]);
    }
}
