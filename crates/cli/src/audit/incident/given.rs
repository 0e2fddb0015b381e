//! An incident as the server tells it, with all that can be in it.

use serde_json::{Value, json};

pub(super) fn incident() -> Value {
    json!({
        "key_id": "01JDA7W5W6M4Q0T3S8V2N9X1YZ", "tenant": "acme", "name": "forged\u{1b}[2J", "owner": "sender-team",
        "standing": "revoked", "made_at": "2026-11-30T12:01:00.000Z", "position": 9, "whole": true,
        "began": {"at": "2026-11-30T12:00:00.000Z", "position": 5, "what": "leak_report"},
        "exposure": {"ms": 5402, "exactness": "at_most", "why": "a verifier was not heard"},
        "spans": [],
        "accepted": {
            "last_at": "2026-11-30T12:00:00.005Z", "last_exactness": "at_least", "last_after_ms": 5, "count": 4,
            "count_exactness": "by_hour", "why": "the hour in which it began counts whole",
        },
        "successor": {"key_id": "01K", "standing": "active", "first_used": null},
        "attempts": {
            "count": 3, "exactness": "at_least", "why": "not all was reported: mail-1:8750",
            "services": [{"service": "lists", "refused": 3, "valid": 1, "last_seen": "2026-11-30T12:00:30.000Z"}],
            "networks": [{"name": null, "refused": 3, "valid": 1, "last_seen": "2026-11-30T12:00:30.000Z"}],
            "other_networks": {"refused": 1, "valid": 0, "last_seen": "2026-11-30T12:00:20.000Z"},
            "hours": [{"start": "2026-11-30T12:00:00.000Z", "refused": 3}],
        },
        "timeline": [
            {"at": "2026-11-23T12:00:00.000Z", "kind": "event", "exactness": "exact", "event": {
                "position": 1, "type": "KeyIssued", "actor": {"kind": "operator", "key_id": "01A"}, "data": {}}},
            {"at": "2026-11-30T12:00:00.000Z", "kind": "event", "exactness": "exact", "event": {
                "position": 5, "type": "KeyLeaked", "actor": {"kind": "scanner", "source": "github"},
                "data": {"source": "github", "response": "revoke"}}},
            {"at": "2026-11-30T12:00:05.402Z", "kind": "enforced", "exactness": "at_most", "position": 5,
                "verifier": {"kind": "guard", "name": "lists", "by": "bound", "after_ms": 5400}},
            {"at": null, "kind": "outstanding", "exactness": "unknown", "position": 5,
                "verifier": {"kind": "guard", "name": "mailer", "refuses_within_ms": 900}},
            {"at": "2026-11-30T12:00:10.000Z", "kind": "attempts", "exactness": "exact", "attempts": {
                "verdict": "revoked", "count": 3, "first": "2026-11-30T12:00:10.000Z", "last": "2026-11-30T12:00:30.000Z",
                "service": "lists", "network": null}},
            {"at": "2026-11-30T12:00:40.000Z", "kind": "unreported", "exactness": "unknown", "unreported": {
                "from": "2026-11-30T12:00:40.000Z", "to": "2026-11-30T12:01:00.000Z", "server": "mail-1:8750", "why": "silent"}},
        ],
    })
}
