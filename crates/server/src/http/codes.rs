//! The error catalogue: every code that an answer can carry, its status, and what to do about it.

/// One kind of error. The code is stable: programs may rely on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable name.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What it says, in few words.
    pub title: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal, $title:literal, $remedy:literal;)*) => {
        $(pub(crate) const $name: Code = Code { code: $code, status: $status, title: $title, remedy: $remedy };)*
        /// All of them, by status.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    MALFORMED_JSON = 400 "malformed_json", "The body is not JSON", "Send one JSON object, complete and without trailing text.";
    BAD_QUERY = 400 "bad_query", "A query parameter is unknown or not valid", "See the detail; every parameter is in /openapi.json.";
    BAD_HEADER = 400 "bad_header", "A header is not valid", "See the detail, which names the header and its form.";
    TENANT_NEEDED = 400 "tenant_needed", "This operator is bound to tenants, so the request must name one", "Add ?tenant= with a tenant that the operator's scopes are bound to.";
    OPERATOR_MISSING = 401 "operator_missing", "No operator key was presented", "Send Authorization: Bearer and an operator key. The first one is in operator.key in the data folder.";
    OPERATOR_MALFORMED = 401 "operator_malformed", "What was presented is not a key", "Check that the whole key was copied: rsk_live_ and 64 letters and digits.";
    OPERATOR_UNKNOWN = 401 "operator_unknown", "The key presented is not an operator's", "Use a key of tenant rescind; a key of another tenant is no operator.";
    OPERATOR_REVOKED = 401 "operator_revoked", "The operator key presented is revoked", "Use another operator key, or issue one with an operator that holds tenants:admin.";
    OPERATOR_EXPIRED = 401 "operator_expired", "The operator key presented is expired", "Use another operator key, or issue one with an operator that holds tenants:admin.";
    OPERATOR_SUSPENDED = 401 "operator_suspended", "The operator key presented is suspended", "Reinstate it with an operator that holds tenants:admin, or use another.";
    OPERATOR_QUARANTINED = 401 "operator_quarantined", "Part of the operator key's history cannot be read by this build", "Upgrade this server, or use another operator key.";
    KEY_MISSING = 401 "key_missing", "No key was presented", "Send Authorization: Bearer and the key itself.";
    KEY_MALFORMED = 401 "key_malformed", "What was presented is not a key", "Check that the whole key was copied, and send one alone; an imported key needs its tenant in the body.";
    KEY_UNKNOWN = 401 "key_unknown", "What was presented is not the secret of any key", "Check that it is the whole key, of this service; an operator can revoke a key by its id.";
    KEY_REFUSED = 401 "key_refused", "The key presented may not be used", "See the detail for the verdict; ask who issued the key for another one.";
    SCOPE_MISSING = 403 "scope_missing", "The operator lacks the scope that this needs", "Use an operator that holds the scope named in the detail.";
    NETWORK_DENIED = 403 "network_denied", "The operator key may not be used from this network", "Send the request from one of the key's networks, or use another operator key.";
    KEY_NETWORK_DENIED = 403 "key_network_denied", "The key may not be used from this network", "Send the request from one of the key's networks. The gateway has to tell the client's address, see docs/gateways.md.";
    KEY_SCOPE_DENIED = 403 "key_scope_denied", "The key may not do this", "Use a key that holds the scope named in the detail.";
    WIDENING_NEEDS_ISSUE = 403 "widening_needs_issue", "Giving a key more than it has needs keys:issue", "Ask for less than the key has, or use an operator that holds keys:issue.";
    SIGNED_REPORTS_OFF = 403 "signed_reports_off", "This server does not hear signed leak reports", "Set leaks_github_keys, or send the report as an operator with keys:revoke.";
    SIGNER_UNKNOWN = 403 "signer_unknown", "The report is signed with a key that is not in the scanner's list", "Check Github-Public-Key-Identifier; the list is asked for again at most once a minute.";
    SIGNATURE_INVALID = 403 "signature_invalid", "The signature does not fit the body", "Send the very bytes that were signed, with their signature in Github-Public-Key-Signature.";
    NOT_FOUND = 404 "not_found", "There is no such tenant or key", "Check both ids; a key or tenant outside the operator's scopes is told as missing.";
    NOT_THERE_THEN = 404 "not_there_then", "The key or tenant was not there yet at that moment", "Ask about a later moment; the detail names the position at which it came to be.";
    GUARD_UNKNOWN = 404 "guard_unknown", "This server does not know the guard", "Register it; what it holds is kept, and it answers again with its next lease.";
    RECEIPT_UNKNOWN = 404 "receipt_unknown", "There is no such receipt here", "A receipt's id is the position of a revocation, suspension, recall, leak report or finished rotation; one of a tenant outside the operator's scopes is told as missing.";
    NO_SUCH_ROUTE = 404 "no_such_route", "There is nothing at this path", "The routes are in /openapi.json.";
    NO_SUCH_WEBHOOK = 404 "no_such_webhook", "There is no such webhook on this server", "List them: a webhook is known to the server where it was added, and outside the operator's scopes it is told as missing.";
    NO_NOTARY = 404 "no_notary", "This server is not the notary of its log", "Ask the server that runs with --notary; on a log in the data folder it is on unless --notary off is said.";
    NO_SUCH_EVENT = 404 "no_such_event", "There is no event at this position", "Positions count from 1 to the log's head; those of tenants outside the operator's scopes are told as missing.";
    NO_SUCH_TILE = 404 "no_such_tile", "The tree has no such tile", "Take the size from a checkpoint; the path is as C2SP tlog-tiles writes it, and the position at most the checkpoint's size.";
    METHOD_NOT_ALLOWED = 405 "method_not_allowed", "The path does not know this method", "The Allow header names the methods it knows.";
    REQUEST_TIMEOUT = 408 "request_timeout", "The body did not arrive in time; nothing was changed", "Send the whole body at once; it has 5 seconds.";
    IMPORT_IDLE = 408 "import_idle", "Nothing of the import came for 30 seconds; what was told as settled stands", "Send the rest again: lines that were imported are known.";
    TENANT_ALREADY_OPEN = 409 "tenant_already_open", "The tenant is open already", "Use it, or open one under another id.";
    TENANT_CLOSED = 409 "tenant_closed", "The tenant is closed and takes no commands", "Use another tenant; a closed one is never opened again.";
    KEY_ALREADY_ISSUED = 409 "key_already_issued", "The key was issued already", "Send the command with a new Idempotency-Key.";
    EXPIRY_IN_PAST = 409 "expiry_in_past", "The expiry asked for lies in the past", "Give an expires_at that is still to come, or none.";
    SCOPE_NOT_HELD = 409 "scope_not_held", "An operator cannot grant a scope that it does not hold", "Leave the scope named in the detail away, or issue with an operator that holds it.";
    ALREADY_REVOKED = 409 "already_revoked", "The key is revoked already", "Nothing to do: it cannot be used and never will be.";
    ALREADY_EXPIRED = 409 "already_expired", "The key is expired already", "Issue a new key if one is needed.";
    NOT_YET_EXPIRED = 409 "not_yet_expired", "The key's time is not up", "Revoke the key if it is to end now.";
    ALREADY_RECALLED = 409 "already_recalled", "A recall covers the key and it takes no further command", "Nothing to do: it cannot be used and never will be.";
    KEY_QUARANTINED = 409 "key_quarantined", "Part of the key's history cannot be read by this build", "Upgrade this server, or revoke the key, which always works.";
    LAST_OPERATOR = 409 "last_operator", "This is the last operator with tenants:admin that never expires", "Issue another operator with tenants:admin first, then end this one.";
    UNCHANGED = 409 "unchanged", "Everything is as asked for already", "Nothing to do.";
    POLICY_DENIES = 409 "policy_denies", "A policy of the tenant does not allow it", "See the detail, which names the policy and its rule; ask for less, or change the policy.";
    ALREADY_SUSPENDED = 409 "already_suspended", "The key is suspended already", "Nothing to do, or reinstate it first.";
    SUSPENSION_IN_PAST = 409 "suspension_in_past", "The end of the suspension asked for lies in the past", "Give an until that is still to come, or none.";
    NOT_SUSPENDED = 409 "not_suspended", "The key is not suspended", "Nothing to do: it can be used.";
    SUSPENSION_NOT_OVER = 409 "suspension_not_over", "The key's suspension does not end yet", "Reinstate the key if it is to be used now.";
    KEY_SUSPENDED = 409 "key_suspended", "The key is suspended", "Reinstate it first.";
    ALREADY_ROTATING = 409 "already_rotating", "The key is being rotated already", "Finish or cancel that rotation first; the detail names the successor.";
    ROTATION_IN_PAST = 409 "rotation_in_past", "The end of the rotation asked for lies in the past", "Give a time that is still to come.";
    ROTATION_OVERTAKEN = 409 "rotation_overtaken", "The key was recalled while it was rotated", "Issue a new key, if one is still wanted: the key is recalled, and its successor, which the detail names, was revoked at once.";
    NOT_ROTATING = 409 "not_rotating", "The key is not being rotated", "Rotate it first; rotations are listed under /v1/tenants/{tenant}/rotations.";
    NOT_A_SUCCESSOR = 409 "not_a_successor", "The key is not the successor of a rotation", "Only first uses of successors are recorded.";
    ALREADY_ADOPTED = 409 "already_adopted", "The successor's first use is recorded already", "Nothing to do.";
    SUCCESSOR_UNUSED = 409 "successor_unused", "The successor was never used", "Let the services move first, or force it: whoever still holds the predecessor is locked out.";
    SUCCESSOR_ENDED = 409 "successor_ended", "The successor cannot be used", "Cancel the rotation and rotate again, or force it.";
    ROTATION_NOT_DUE = 409 "rotation_not_due", "The rotation's rule is not met yet", "Wait, or finish it by hand.";
    WARNING_NOT_DUE = 409 "warning_not_due", "The key's expiry is not that near", "Nothing to do.";
    NOTHING_MATCHES = 409 "nothing_matches", "No key that can be used matches the selector", "Check the selector; list the keys with the same filters.";
    PREVIEW_NEEDED = 409 "preview_needed", "A recall acts on what a preview showed", "Send it with dry_run, look, and send it again with the token in confirm; or with accept_changes.";
    PREVIEW_INVALID = 409 "preview_invalid", "The token is not of a recent preview of this recall", "Preview again: a token holds for an hour, for one tenant and one selector.";
    PREVIEW_OUTDATED = 409 "preview_outdated", "More keys would be recalled than the preview showed", "See the detail; preview again, or send accept_changes.";
    TOO_MANY_POLICIES = 409 "too_many_policies", "The tenant has as many policies as it can have", "Remove one, or put two into one.";
    TOO_MANY_WEBHOOKS = 409 "too_many_webhooks", "The tenant or this server has as many webhooks as it can have", "Remove one, or add it on another server.";
    NO_SUCH_POLICY = 409 "no_such_policy", "There is no policy of that name", "The policies are listed under /v1/tenants/{tenant}/policies.";
    NOT_FOR_OPERATORS = 409 "not_for_operators", "This cannot be done in the tenant of operators", "Do it in another tenant.";
    OWNER_HAS_LIVE_KEYS = 409 "owner_has_live_keys", "The owner has keys that can be used, or could be again", "Revoke them, or give them to another owner; the detail says how many and names some.";
    NO_SUCH_OWNER = 409 "no_such_owner", "The tenant has no such owner", "Check the name, letter by letter: an owner is known by exactly the text that the keys were issued for.";
    ALREADY_ERASED = 409 "already_erased", "The owner is erased already", "Nothing to do: what was sealed about them can be read by nobody.";
    GUARD_ELSEWHERE = 409 "guard_elsewhere", "The guard's id was registered with another operator key", "Draw a new id at each start of a guard's process.";
    COMMAND_ID_REUSED = 409 "command_id_reused", "The Idempotency-Key was used before for another request", "Send the first request again unchanged, or this one under a new Idempotency-Key.";
    DUPLICATE = 409 "duplicate", "The digest is in an earlier line of the same import", "Remove one of the two lines; the first one was taken.";
    KNOWN_OTHERWISE = 409 "known_otherwise", "The key was imported before, and stands otherwise than the line has it", "What stands holds. See the detail for what differs, and change the key if the line is right.";
    REVISION_MISMATCH = 412 "revision_mismatch", "The key is at another revision than the one in If-Match", "Look at the key again, then send the change with its revision.";
    BODY_TOO_LARGE = 413 "body_too_large", "The body is larger than 64 KiB", "Send less; a batch is at most 1000 keys within 64 KiB unless the route says more.";
    LINE_TOO_LONG = 413 "line_too_long", "A line of an import is longer than 32 KiB", "One key with all that it can have is shorter; check for a missing line end.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported_media_type", "The body is not said to be JSON", "Send Content-Type: application/json.";
    UNSUPPORTED_ENCODING = 415 "unsupported_encoding", "The body is compressed", "Send it without Content-Encoding.";
    SPAN_TOO_LARGE = 422 "span_too_large", "More keys changed in the span than one answer holds", "Ask for a shorter span, up to the position in the detail, and go on from there; /v1/events has no such bound.";
    ADDRESS_REFUSED = 422 "address_refused", "The webhook's host has an address that is not public", "Use a public host, or start the server with --webhooks-allow-private where notices are to stay in its own network.";
    INVALID_VALUE = 422 "invalid_value", "A value is not valid", "See the detail, which names the field and its form.";
    UNKNOWN_ALGORITHM = 422 "unknown_algorithm", "The digest is not made in a way that a token can be looked up by", "Only SHA-256 of the whole token can be imported; a salted or slow hash cannot.";
    INTERNAL = 500 "internal", "This server made a mistake", "Try again; report it with the request_id if it stays.";
    GATEWAY_MISSING = 502 "gateway_missing", "No gateway speaks for this request", "Have the gateway set X-Rescind-Gateway, as in docs/gateways.md; clients use /v1/verify.";
    GATEWAY_REFUSED = 502 "gateway_refused", "The gateway's own key or settings are not good", "See the detail, and mend X-Rescind-Gateway in the gateway's configuration as in docs/gateways.md.";
    UNAVAILABLE = 503 "unavailable", "The log cannot be read or written now; nothing was changed", "Try again in a moment. If it stays, see the detail: free space where a disk is full; /readyz?verbose and `rescind doctor` tell what is away.";
    SIGNER_KEYS_UNAVAILABLE = 503 "signer_keys_unavailable", "The scanner's list of public keys cannot be had now; nothing was changed", "Send the report again; see leaks_github_keys, or pin the list in a file.";
    SEAL_MISSING = 503 "seal_missing", "The tenant's seal is lost; nothing was changed", "Put the tenant's file in seals/, or the bucket RESCIND_SEALS, back from the backup; no restart is needed. Its keys can be verified, revoked, suspended and recalled (not by owner) meanwhile.";
    CLOCK_SKEW = 503 "clock_skew", "This server's clock differs too much from the log's; nothing was changed", "Set the server's clock, with NTP; verifying goes on meanwhile.";
    STALE = 503 "stale", "This server cannot prove that it has heard every revocation, so it trusts no key", "Try again in a moment, or ask another server; /readyz?verbose tells what is away.";
    OVERLOADED = 503 "overloaded", "Too many requests of this kind are under way", "Try again after the time in Retry-After.";
    TOO_MANY_CLIENTS = 503 "too_many_clients", "Too many clients hear the feed or read the log from this server", "Try again later, or listen at another server.";
    REBUILD_RUNNING = 503 "rebuild_running", "Views are being compared on this server already", "Wait until that is over, or end it by closing its connection; one goes on at a time.";
    FLEET_FULL = 503 "fleet_full", "This server has as many guards as it takes", "Register at another server, or remove guards that nobody needs; GET /v1/fleet lists them.";
    TOO_MANY_IMPORTS = 503 "too_many_imports", "As many imports are under way as this server takes at once", "Try again when one of them has ended.";
    POSITION_NOT_REACHED = 503 "position_not_reached", "This server has not heard of the position in min_position yet", "Ask again; if it stays, the position is of another log.";
    VIEW_NOT_READY = 503 "view_not_ready", "The view that answers this is being built", "Ask again; the detail tells how far it is. Verifying is not affected.";
    PROOF_PENDING = 503 "proof_pending", "No checkpoint covers the event yet", "Ask again: one does within a second of the event.";
    NO_CHECKPOINT_YET = 503 "no_checkpoint_yet", "Nothing is signed yet", "Ask again: the first checkpoint comes within a second of the first event.";
    RECORD_FAILED = 503 "record_failed", "The record of webhooks cannot be read or written", "Ask again; if it stays, check the disk of the data folder and restart the server.";
    VIEW_FAILED = 503 "view_failed", "The view that answers this cannot be read", "Ask again: a damaged view is rebuilt by itself. Check the disk of the data folder.";
    VERIFY_ONLY = 503 "verify_only", "This server only verifies and takes no commands", "Send the command to a server that runs with --role all.";
    SHUTTING_DOWN = 503 "shutting_down", "This server is about to stop", "Ask another server, or this one after its restart.";
    TIMED_OUT = 503 "timed_out", "The answer took too long; nothing was changed by this request", "Try again; /readyz?verbose tells what is slow.";
    OUTCOME_UNKNOWN = 504 "outcome_unknown", "It is not known whether the change was made", "Send the same request again with Idempotency-Key set to the command_id of this answer: it has one effect.";
}

/// The catalogue as the page docs/errors.md.
#[must_use]
pub fn as_markdown() -> String {
    use std::fmt::Write;
    let mut page = String::from(
        "# Errors\n\n\
         Every error is a problem document (RFC 9457, `application/problem+json`) with these members: `type`, `title`, `status`,\n\
         `code`, `detail` (what happened in this case), `remedy`, `request_id`, and `command_id` or `key_id` where they help.\n\
         The code is stable. A 503 changed nothing; a 504 may have: send the same request again with its `command_id` as\n\
         `Idempotency-Key`.\n\n\
         | status | code | meaning | what to do |\n| --- | --- | --- | --- |\n",
    );
    for Code { code, status, title, remedy } in CODES {
        // Writing into a String cannot fail.
        let _ = writeln!(page, "| {status} | `{code}` | {title} | {remedy} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_there_once_and_says_what_to_do() {
        for (n, code) in CODES.iter().enumerate() {
            assert!(CODES[..n].iter().all(|other| other.code != code.code), "{}", code.code);
            assert!((400..600).contains(&code.status) && code.remedy.ends_with('.'), "{}", code.code);
            assert!(
                CODES[..n].iter().all(|other| other.status <= code.status),
                "{} stands by status",
                code.code
            );
        }
    }
}
