//! An incident in words, the same for a terminal and for a page.

use serde_json::Value;

use crate::output::text;

/// A line of the timeline: when, what, the rest, and how well the time is known.
pub(super) struct Line {
    pub(super) at: String,
    pub(super) what: String,
    pub(super) detail: String,
    pub(super) known: &'static str,
    /// Whether it is what a reader looks for first.
    pub(super) grave: bool,
}

/// How well a figure is known.
pub(super) fn known(exactness: &str) -> &'static str {
    match exactness {
        "exact" => "exact",
        "at_most" => "at most",
        "at_least" => "at least",
        "by_hour" => "by the hour",
        _ => "not known",
    }
}

/// `leak_report` as people read it.
pub(super) fn ending(what: &str) -> &str {
    match what {
        "leak_report" => "leak report",
        "rotation_finish" => "finish of its rotation",
        other => other,
    }
}

/// A number of milliseconds with how well it is known.
pub(super) fn figure(figure: &Value) -> String {
    let why = match text(figure, "why") {
        why if why.is_empty() => String::new(),
        why => format!(": {why}"),
    };
    match (figure["ms"].as_u64(), figure["exactness"].as_str()) {
        (Some(ms), Some("exact")) => format!("{ms} ms"),
        (Some(ms), Some(exactness)) => format!("{} {ms} ms{why}", known(exactness)),
        _ => format!("not known{why}"),
    }
}

/// For how long the key could be used.
pub(super) fn exposure(incident: &Value) -> String {
    if incident["began"].is_null() {
        return "the key was never refused".to_owned();
    }
    format!("{} until the last verifier refused", figure(&incident["exposure"]))
}

/// Uses that were accepted.
pub(super) fn accepted(incident: &Value) -> String {
    let accepted = &incident["accepted"];
    let may_be_later = accepted["last_exactness"] != "exact";
    let last = match (accepted["last_at"].as_str(), may_be_later) {
        (None, false) => "never used".to_owned(),
        (None, true) => "no use is known".to_owned(),
        (Some(at), false) => format!("last at {at}"),
        (Some(at), true) => format!("last known at {at}, or later"),
    };
    let relative = match accepted["last_after_ms"].as_i64() {
        Some(ms) if ms >= 0 => format!(", {ms} ms after it began"),
        Some(ms) => format!(", {} ms before it began", ms.unsigned_abs()),
        None => String::new(),
    };
    let count = match (incident["began"].is_null(), accepted["count"].as_u64()) {
        (false, Some(count)) => {
            let known = match accepted["count_exactness"].as_str() {
                Some("exact") => String::new(),
                Some("by_hour") => " at most".to_owned(),
                Some("at_least") => " at least".to_owned(),
                _ => " known, perhaps more".to_owned(),
            };
            format!("; {count}{known} since it began")
        }
        _ => String::new(),
    };
    let why = match text(accepted, "why") {
        why if why.is_empty() => String::new(),
        why => format!(" ({why})"),
    };
    format!("{last}{relative}{count}{why}")
}

/// Who went on trying.
pub(super) fn attempts(incident: &Value) -> Option<String> {
    let attempts = &incident["attempts"];
    let count = attempts["count"].as_u64()?;
    let why = match text(attempts, "why") {
        why if why.is_empty() => String::new(),
        why => format!(" ({why})"),
    };
    let at_least = if attempts["exactness"] == "exact" { "" } else { "at least " };
    Some(format!("{at_least}{count} refused since it ended{why}"))
}

/// The key that took over.
pub(super) fn successor(incident: &Value) -> Option<String> {
    let successor = incident["successor"].as_object().map(|_| &incident["successor"])?;
    let used = match successor["first_used"].as_str() {
        Some(at) => format!("first used at {at}"),
        None => "no use of it is known".to_owned(),
    };
    Some(format!("{}, {}, {used}", text(successor, "key_id"), text(successor, "standing")))
}

/// A line of the timeline in words.
pub(super) fn line(entry: &Value) -> Line {
    let (what, detail) = match entry["kind"].as_str() {
        Some("event") => event(&entry["event"]),
        Some("enforced") => enforced(&entry["verifier"]),
        Some("outstanding") => outstanding(&entry["verifier"]),
        Some("enforcement_unknown") => {
            let of = text(entry, "position");
            ("not known who refuses since when".to_owned(), format!("no receipt of position {of} is here"))
        }
        Some("first_use") => ("first use".to_owned(), String::new()),
        Some("last_use") => ("last accepted use".to_owned(), String::new()),
        Some("successor_first_use") => ("successor first used".to_owned(), text(entry, "key_id")),
        Some("attempts") => tried(&entry["attempts"]),
        Some("unreported") => unreported(&entry["unreported"]),
        other => (other.unwrap_or("?").to_owned(), String::new()),
    };
    let kind = entry["event"]["type"].as_str().unwrap_or_default();
    let ends = ["KeyLeaked", "KeyRevoked", "KeysRecalled", "KeySuspended", "RotationFinished", "KeyExpired"];
    let at = entry["at"].as_str().unwrap_or("not known").to_owned();
    let grave = ends.contains(&kind) || entry["kind"] == "outstanding";
    Line { at, what, detail, known: known(entry["exactness"].as_str().unwrap_or_default()), grave }
}

fn event(event: &Value) -> (String, String) {
    let what = match event["type"].as_str() {
        Some("KeyIssued") => "issued",
        Some("KeyImported") => "imported",
        Some("KeyLeaked") => "reported as leaked",
        Some("KeySuspended") => "suspended",
        Some("KeyReinstated") => "reinstated",
        Some("KeyRevoked") => "revoked",
        Some("KeysRecalled") => "recalled",
        Some("KeyRotated") => "rotation began",
        Some("RotationFinished") => "rotation finished",
        Some("RotationCancelled") => "rotation called off",
        Some("KeyExpired") => "expired",
        Some("KeyFirstUsed") => "first use recorded",
        Some(other) => other,
        None => "an event that the server cannot read",
    };
    let data = &event["data"];
    let named = |name: &str, member: &str| match text(data, member) {
        value if value.is_empty() => None,
        value => Some(format!("{name} {value}")),
    };
    let parts = [
        by(&event["actor"]),
        named("cause", "cause"),
        named("reason", "reason"),
        named("response", "response"),
        named("source", "source"),
        named("at", "url"),
        named("successor", "successor"),
        named("until", "until"),
        named("note", "note"),
        Some(text(event, "unreadable")).filter(|why| !why.is_empty()),
        Some(format!("position {}", text(event, "position"))),
    ];
    (what.to_owned(), parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn by(actor: &Value) -> Option<String> {
    let kind = actor["kind"].as_str()?;
    let more = ["key_id", "source", "network"].map(|member| text(actor, member));
    let more: Vec<_> = more.into_iter().filter(|part| !part.is_empty()).collect();
    Some(if more.is_empty() { format!("by {kind}") } else { format!("by {kind} {}", more.join(" ")) })
}

fn who(verifier: &Value) -> String {
    format!("{} {}", text(verifier, "kind"), text(verifier, "name"))
}

fn enforced(verifier: &Value) -> (String, String) {
    let how = match verifier["by"].as_str() {
        Some("index") => "the server that answers refuses",
        Some("report") => "it said so",
        Some("bound") => "it was not heard, and refuses since its bound has passed",
        Some("left") => "it answers nobody any more",
        _ => "it refuses",
    };
    let after = match verifier["after_ms"].as_u64() {
        Some(ms) => format!("{ms} ms after it was effective, "),
        None => "not known since when, ".to_owned(),
    };
    (format!("refused by {}", who(verifier)), format!("{after}{how}"))
}

fn outstanding(verifier: &Value) -> (String, String) {
    let within = text(verifier, "refuses_within_ms");
    (format!("NOT YET refused by {}", who(verifier)), format!("it refuses by itself within {within} ms"))
}

fn tried(attempts: &Value) -> (String, String) {
    let origin =
        [("service", "service"), ("network", "network")].map(|(name, member)| match text(attempts, member) {
            value if value.is_empty() => format!("{name} not told"),
            value => format!("{name} {value}"),
        });
    let (count, verdict, last) = (text(attempts, "count"), text(attempts, "verdict"), text(attempts, "last"));
    (
        format!("tried, and told {verdict}"),
        format!("{count} times until {last}, last from {}", origin.join(", ")),
    )
}

fn unreported(span: &Value) -> (String, String) {
    let whose = match text(span, "server") {
        name if name.is_empty() => "the record had not begun".to_owned(),
        name => format!("{name}, {}", text(span, "why")),
    };
    ("not all was reported".to_owned(), format!("until {}: {whose}", text(span, "to")))
}
