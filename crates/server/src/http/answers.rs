//! Which error codes each operation of the interface can answer, for its description.

use crate::http::codes::{self, Code};

/// What any request can meet.
const ALWAYS: &[&Code] = &[&codes::OVERLOADED, &codes::TIMED_OUT, &codes::INTERNAL];
/// What any request can meet that an operator sends.
const OPERATOR: &[&Code] = &[
    &codes::OPERATOR_MISSING,
    &codes::OPERATOR_MALFORMED,
    &codes::OPERATOR_UNKNOWN,
    &codes::OPERATOR_REVOKED,
    &codes::OPERATOR_EXPIRED,
    &codes::OPERATOR_SUSPENDED,
    &codes::OPERATOR_QUARANTINED,
    &codes::NETWORK_DENIED,
    &codes::SCOPE_MISSING,
];
/// What an operator meets without a lease; only verifying goes on, with the verdict `stale`.
const STALE: &[&Code] = &[&codes::STALE];
/// What a body can be.
const BODY: &[&Code] = &[
    &codes::MALFORMED_JSON,
    &codes::REQUEST_TIMEOUT,
    &codes::BODY_TOO_LARGE,
    &codes::UNSUPPORTED_MEDIA_TYPE,
    &codes::UNSUPPORTED_ENCODING,
    &codes::INVALID_VALUE,
];
/// How a command can end.
const COMMAND: &[&Code] = &[
    &codes::BAD_HEADER,
    &codes::COMMAND_ID_REUSED,
    &codes::UNAVAILABLE,
    &codes::SEAL_MISSING,
    &codes::CLOCK_SKEW,
    &codes::VERIFY_ONLY,
    &codes::OUTCOME_UNKNOWN,
];
/// How a change of a webhook can end: it is in a record of this server, not in the log.
const WEBHOOK_COMMAND: &[&Code] = &[&codes::BAD_HEADER, &codes::VERIFY_ONLY, &codes::RECORD_FAILED];
/// Why a change of a key that exists is refused.
const KEY: &[&Code] = &[
    &codes::NOT_FOUND,
    &codes::REVISION_MISMATCH,
    &codes::ALREADY_REVOKED,
    &codes::ALREADY_RECALLED,
    &codes::ALREADY_EXPIRED,
    &codes::KEY_QUARANTINED,
];
/// How a question to a view can end.
const VIEW: &[&Code] =
    &[&codes::BAD_QUERY, &codes::POSITION_NOT_REACHED, &codes::VIEW_NOT_READY, &codes::VIEW_FAILED];
/// How a stream can fail to begin.
const STREAM: &[&Code] = &[&codes::BAD_QUERY, &codes::TENANT_NEEDED, &codes::TOO_MANY_CLIENTS];

/// How a question about the past can end.
const PAST: &[&Code] = &[&codes::NOT_FOUND, &codes::NOT_THERE_THEN, &codes::UNAVAILABLE];

/// What a guard is told that may not go on as it is.
const GUARD: &[&Code] = &[&codes::NOT_FOUND, &codes::GUARD_UNKNOWN, &codes::GUARD_ELSEWHERE];

/// What is met where a notary is asked for.
const NOTARY: &[&Code] = &[&codes::NO_NOTARY, &codes::NO_CHECKPOINT_YET];
/// What whoever reads whole events of all tenants meets.
const READING: &[&Code] = &[&codes::TENANT_NEEDED, &codes::TOO_MANY_CLIENTS];

/// The operations and what each can answer, in sets; one that is not here answers [`ALWAYS`].
const OPERATIONS: &[(&[&str], &[&[&Code]])] = &[
    (
        &["amend_key"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            KEY,
            &[&codes::TENANT_CLOSED, &codes::UNCHANGED, &codes::WIDENING_NEEDS_ISSUE, &codes::SCOPE_NOT_HELD],
            &[&codes::POLICY_DENIES, &codes::EXPIRY_IN_PAST, &codes::LAST_OPERATOR],
        ],
    ),
    (
        &["suspend_key"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            KEY,
            &[
                &codes::ALREADY_SUSPENDED,
                &codes::SUSPENSION_IN_PAST,
                &codes::LAST_OPERATOR,
                &codes::BAD_QUERY,
            ],
        ],
    ),
    (
        &["reinstate_key"],
        &[ALWAYS, OPERATOR, STALE, BODY, COMMAND, KEY, &[&codes::NOT_SUSPENDED, &codes::TENANT_CLOSED]],
    ),
    (
        &["recall_keys"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            VIEW,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::NOTHING_MATCHES, &codes::LAST_OPERATOR],
            &[&codes::PREVIEW_NEEDED, &codes::PREVIEW_INVALID, &codes::PREVIEW_OUTDATED],
        ],
    ),
    (&["review", "incident"], &[ALWAYS, OPERATOR, STALE, VIEW, &[&codes::NOT_FOUND, &codes::UNAVAILABLE]]),
    (
        &["add_webhook"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            WEBHOOK_COMMAND,
            &[
                &codes::NOT_FOUND,
                &codes::TENANT_CLOSED,
                &codes::ADDRESS_REFUSED,
                &codes::TOO_MANY_WEBHOOKS,
                &codes::COMMAND_ID_REUSED,
            ],
        ],
    ),
    (
        &["list_webhooks"],
        &[ALWAYS, OPERATOR, STALE, &[&codes::NOT_FOUND, &codes::BAD_QUERY, &codes::TENANT_NEEDED]],
    ),
    (&["show_webhook"], &[ALWAYS, OPERATOR, STALE, &[&codes::NO_SUCH_WEBHOOK]]),
    (&["remove_webhook"], &[ALWAYS, OPERATOR, STALE, WEBHOOK_COMMAND, &[&codes::NO_SUCH_WEBHOOK]]),
    (
        &["rotate_webhook_secret", "redeliver"],
        &[ALWAYS, OPERATOR, STALE, BODY, WEBHOOK_COMMAND, &[&codes::NO_SUCH_WEBHOOK]],
    ),
    (
        &["list_dead_letters"],
        &[ALWAYS, OPERATOR, STALE, &[&codes::NO_SUCH_WEBHOOK, &codes::BAD_QUERY, &codes::RECORD_FAILED]],
    ),
    (
        &["list_policies"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            &[&codes::NOT_FOUND, &codes::UNAVAILABLE, &codes::BAD_QUERY, &codes::POSITION_NOT_REACHED],
        ],
    ),
    (
        &["set_policy"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::UNCHANGED],
            &[&codes::TOO_MANY_POLICIES, &codes::NOT_FOR_OPERATORS],
        ],
    ),
    (
        &["remove_policy"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::NO_SUCH_POLICY],
        ],
    ),
    (
        &["try_policy"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            VIEW,
            &[&codes::NOT_FOUND, &codes::UNAVAILABLE, &codes::NOT_FOR_OPERATORS],
            &[&codes::SEAL_MISSING],
        ],
    ),
    (&["list_rotations"], &[ALWAYS, OPERATOR, STALE, VIEW, &[&codes::NOT_FOUND]]),
    (
        &["rotate_key"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            KEY,
            &[
                &codes::TENANT_CLOSED,
                &codes::ALREADY_ROTATING,
                &codes::ROTATION_IN_PAST,
                &codes::ROTATION_OVERTAKEN,
                &codes::KEY_SUSPENDED,
            ],
            &[
                &codes::KEY_ALREADY_ISSUED,
                &codes::EXPIRY_IN_PAST,
                &codes::SCOPE_NOT_HELD,
                &codes::POLICY_DENIES,
            ],
        ],
    ),
    (
        &["finish_rotation"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            KEY,
            &[&codes::NOT_ROTATING, &codes::SUCCESSOR_UNUSED, &codes::SUCCESSOR_ENDED, &codes::LAST_OPERATOR],
        ],
    ),
    (
        &["cancel_rotation"],
        &[ALWAYS, OPERATOR, STALE, COMMAND, KEY, &[&codes::NOT_ROTATING, &codes::LAST_OPERATOR]],
    ),
    (
        &["import_keys"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::BAD_QUERY, &codes::TOO_MANY_IMPORTS],
            &[&codes::UNSUPPORTED_MEDIA_TYPE, &codes::UNSUPPORTED_ENCODING, &codes::POSITION_NOT_REACHED],
            &[&codes::IMPORT_IDLE, &codes::DUPLICATE, &codes::KNOWN_OTHERWISE, &codes::LINE_TOO_LONG],
            &[
                &codes::UNKNOWN_ALGORITHM,
                &codes::MALFORMED_JSON,
                &codes::INVALID_VALUE,
                &codes::POLICY_DENIES,
            ],
            &[&codes::EXPIRY_IN_PAST, &codes::SHUTTING_DOWN],
        ],
    ),
    (
        &["report_leaks"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            &[&codes::SIGNED_REPORTS_OFF, &codes::SIGNER_UNKNOWN, &codes::SIGNATURE_INVALID],
            &[&codes::SIGNER_KEYS_UNAVAILABLE, &codes::LAST_OPERATOR],
        ],
    ),
    (
        &["self_revoke"],
        &[
            ALWAYS,
            STALE,
            BODY,
            COMMAND,
            &[&codes::KEY_MISSING, &codes::KEY_MALFORMED, &codes::KEY_UNKNOWN],
            &[&codes::BAD_QUERY],
            &[&codes::ALREADY_REVOKED, &codes::ALREADY_RECALLED, &codes::LAST_OPERATOR],
        ],
    ),
    (
        &["configure_tenant"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::UNCHANGED],
        ],
    ),
    (
        &["close_tenant"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::NOT_FOR_OPERATORS, &codes::BAD_QUERY],
        ],
    ),
    (
        &["erase_owner"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            &[&codes::NOT_FOUND],
            &[&codes::OWNER_HAS_LIVE_KEYS, &codes::NO_SUCH_OWNER, &codes::ALREADY_ERASED],
        ],
    ),
    (&["open_tenant"], &[ALWAYS, OPERATOR, STALE, BODY, COMMAND, &[&codes::TENANT_ALREADY_OPEN]]),
    (
        &["issue_key"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::TENANT_CLOSED, &codes::KEY_ALREADY_ISSUED],
            &[&codes::EXPIRY_IN_PAST, &codes::SCOPE_NOT_HELD, &codes::POLICY_DENIES],
        ],
    ),
    (
        &["revoke_key"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            COMMAND,
            &[&codes::NOT_FOUND, &codes::BAD_QUERY, &codes::REVISION_MISMATCH],
            &[&codes::ALREADY_REVOKED, &codes::ALREADY_RECALLED, &codes::LAST_OPERATOR],
        ],
    ),
    (&["list_tenants"], &[ALWAYS, OPERATOR, STALE, VIEW]),
    (
        &["list_keys"],
        &[ALWAYS, OPERATOR, STALE, VIEW, &[&codes::NOT_FOUND, &codes::UNAVAILABLE, &codes::SEAL_MISSING]],
    ),
    (&["key_history", "key_usage"], &[ALWAYS, OPERATOR, STALE, VIEW, &[&codes::NOT_FOUND]]),
    (&["show_key"], &[ALWAYS, OPERATOR, STALE, VIEW, PAST]),
    (
        &["explain"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            &[&codes::BAD_QUERY, &codes::NOT_FOUND, &codes::UNAVAILABLE],
            &[&codes::VIEW_NOT_READY, &codes::VIEW_FAILED],
        ],
    ),
    (&["diff"], &[ALWAYS, OPERATOR, STALE, VIEW, PAST, &[&codes::SPAN_TOO_LARGE, &codes::TOO_MANY_CLIENTS]]),
    (
        &["verify", "verify_batch"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            &[&codes::NOT_FOUND, &codes::BAD_QUERY, &codes::POSITION_NOT_REACHED],
        ],
    ),
    (
        &["authorize", "authorize_path"],
        &[
            ALWAYS,
            STALE,
            &[&codes::KEY_MISSING, &codes::KEY_MALFORMED, &codes::KEY_UNKNOWN, &codes::KEY_REFUSED],
            &[&codes::KEY_NETWORK_DENIED, &codes::KEY_SCOPE_DENIED],
            &[&codes::GATEWAY_MISSING, &codes::GATEWAY_REFUSED],
        ],
    ),
    (
        &["feed"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            STREAM,
            &[&codes::NOT_FOUND, &codes::BAD_HEADER, &codes::VIEW_NOT_READY, &codes::VIEW_FAILED],
            &[&codes::SHUTTING_DOWN],
        ],
    ),
    (
        &["events"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            STREAM,
            &[&codes::NOT_FOUND, &codes::UNAVAILABLE, &codes::POSITION_NOT_REACHED, &codes::SEAL_MISSING],
            &[&codes::VIEW_NOT_READY, &codes::VIEW_FAILED],
        ],
    ),
    (
        &["rebuild_views"],
        &[ALWAYS, OPERATOR, STALE, &[&codes::BAD_QUERY, &codes::REBUILD_RUNNING, &codes::SHUTTING_DOWN]],
    ),
    (&["fleet"], &[ALWAYS, OPERATOR, STALE, &[&codes::NOT_FOUND, &codes::BAD_QUERY, &codes::TENANT_NEEDED]]),
    (
        &["receipt"],
        &[ALWAYS, OPERATOR, STALE, &[&codes::RECEIPT_UNKNOWN, &codes::BAD_QUERY, &codes::INVALID_VALUE]],
    ),
    (
        &["register_guard"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            BODY,
            &[&codes::NOT_FOUND, &codes::GUARD_ELSEWHERE, &codes::FLEET_FULL],
            &[&codes::UNAVAILABLE, &codes::POSITION_NOT_REACHED],
        ],
    ),
    (
        &["lease_guard", "fill_guard", "guard_applied", "guard_usage", "guard_leaves"],
        &[ALWAYS, OPERATOR, STALE, BODY, GUARD, &[&codes::POSITION_NOT_REACHED]],
    ),
    (
        &["guard_snapshot"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            GUARD,
            &[&codes::POSITION_NOT_REACHED, &codes::BAD_QUERY, &codes::TOO_MANY_CLIENTS],
        ],
    ),
    (&["log_checkpoint"], &[ALWAYS, NOTARY]),
    (&["log_checkpoints"], &[ALWAYS, &[&codes::NO_NOTARY, &codes::UNAVAILABLE]]),
    (&["log_signers"], &[ALWAYS, &[&codes::NO_NOTARY]]),
    (&["log_tile"], &[ALWAYS, NOTARY, &[&codes::NO_SUCH_TILE, &codes::UNAVAILABLE]]),
    (
        &["log_entries"],
        &[ALWAYS, OPERATOR, STALE, NOTARY, &[&codes::NO_SUCH_TILE, &codes::UNAVAILABLE], READING],
    ),
    (
        &["log_proof"],
        &[
            ALWAYS,
            OPERATOR,
            STALE,
            NOTARY,
            READING,
            &[&codes::NO_SUCH_EVENT, &codes::PROOF_PENDING, &codes::UNAVAILABLE],
        ],
    ),
    (&["log_records"], &[ALWAYS, OPERATOR, STALE, STREAM, &[&codes::UNAVAILABLE]]),
    (&["backup_seals"], &[ALWAYS, OPERATOR, STALE, &[&codes::UNAVAILABLE]]),
    (&["ready"], &[ALWAYS, &[&codes::BAD_QUERY]]),
];

/// Every code that an operation can answer.
pub(super) fn codes_of(operation: &str) -> Vec<&'static Code> {
    let found = OPERATIONS.iter().find(|(names, _)| names.contains(&operation));
    found.map_or_else(|| ALWAYS.to_vec(), |(_, sets)| sets.concat())
}
