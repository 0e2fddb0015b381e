//! What is done about reported tokens: which are keys, and their tenants' response to each, once.

use application::Request;
use domain::{
    CommandId, KeyId, LeakResponse, LeakSource, ParsedKey, Permission, Personal, Position, ReportLeak,
    TenantId,
};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};
use verify::Verdict;

use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::outcome;
use crate::http::extract::Shared;
use crate::http::problem::Problem;
use crate::http::receipts::keep_track;
use crate::http::self_revoke::{Identified, identify};

/// Keys that are dealt with at once: they share the log's commits, and leave room for other commands.
const AT_ONCE: usize = 32;

/// One reported token. Holds a secret: not `Debug`.
pub(super) struct Report<'a> {
    pub(super) token: &'a str,
    pub(super) source: LeakSource,
    pub(super) url: Option<Personal>,
    /// The tenant that it is looked for in; the inner one is none where the text can be no tenant.
    pub(super) tenant: Option<Option<TenantId>>,
}

/// Whose keys a report may end.
pub(super) enum Whose<'a> {
    /// Everyone's: what a scanner found is public.
    Everyone,
    /// Those of the tenants in which the operator may revoke.
    Operators(&'a Operator),
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Became {
    pub(super) key: Option<(TenantId, KeyId)>,
    pub(super) response: &'static str,
    pub(super) position: Option<Position>,
    /// Why a key that may be used was left as it is.
    pub(super) code: Option<&'static str>,
}

impl Became {
    const UNKNOWN: Self = Self { key: None, response: "unknown", position: None, code: None };

    fn of(found: &Identified, response: &'static str) -> Self {
        Self { key: Some((found.tenant.clone(), found.key_id)), response, position: None, code: None }
    }

    pub(super) const fn label(&self) -> &'static str {
        if self.key.is_some() { "true_positive" } else { "false_positive" }
    }
}

/// Responds to each report, at its place. A key that is reported twice is dealt with once.
///
/// If we stop on the way, what was done stays done, and the same request again does the rest.
pub(super) async fn respond(
    app: &Shared,
    request: &Request,
    reports: &[Report<'_>],
    whose: &Whose<'_>,
    until: Instant,
) -> Result<Vec<Became>, Problem> {
    let found = identify_all(app, reports, whose).await?;
    let mut firsts: Vec<(&Identified, &Report<'_>)> = Vec::new();
    let mut place_of = std::collections::HashMap::new();
    for (found, report) in found.iter().zip(reports) {
        if let Some(found) = found {
            place_of.entry(found.key_id).or_insert_with(|| {
                firsts.push((found, report));
                firsts.len() - 1
            });
        }
    }
    let mut done: Vec<Became> = Vec::with_capacity(firsts.len());
    for some in firsts.chunks(AT_ONCE) {
        let ended = join_all(some.iter().map(|(found, report)| respond_to(app, request, found, report)));
        let ended = timeout_at(until, ended).await.unwrap_or_else(|_elapsed| {
            vec![Err(Problem::new(&codes::OUTCOME_UNKNOWN).detail("the log did not answer in time"))]
        });
        let (stands, failed): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
        done.extend(stands.into_iter().flatten());
        // What may have happened goes before what did not.
        let failures = failed.into_iter().filter_map(Result::err);
        if let Some(problem) = failures.max_by_key(|problem| problem.code.status) {
            return Err(not_all(problem, done.len(), firsts.len()).command(&request.command_id));
        }
    }
    let became = |found: &Option<Identified>| match found {
        Some(found) => done[place_of[&found.key_id]].clone(),
        None => Became::UNKNOWN,
    };
    Ok(found.iter().map(became).collect())
}

/// The failure that stopped it. Where something was done before, it must not say that nothing was.
fn not_all(problem: Problem, done: usize, keys: usize) -> Problem {
    if done == 0 {
        return problem;
    }
    let words = format!("{done} of {keys} keys were dealt with: {}", problem.said());
    Problem::new(&codes::OUTCOME_UNKNOWN).detail(words)
}

/// The keys that the tokens open. Where one may be a key that this server has not heard of yet, it hears everything first.
async fn identify_all(
    app: &App,
    reports: &[Report<'_>],
    whose: &Whose<'_>,
) -> Result<Vec<Option<Identified>>, Problem> {
    let look = |report: &Report<'_>| {
        let tenant = match &report.tenant {
            Some(None) => return None,
            Some(Some(tenant)) => Some(tenant),
            None => None,
        };
        identify(app, report.token, tenant)
    };
    let mut found: Vec<_> = reports.iter().map(look).collect();
    let may_be_new = |report: &Report<'_>| {
        matches!(report.tenant, Some(Some(_)))
            || report.tenant.is_none() && ParsedKey::parse(report.token).is_ok()
    };
    if found.iter().zip(reports).any(|(found, report)| found.is_none() && may_be_new(report)) {
        app.reach_head().await?;
        for (found, report) in found.iter_mut().zip(reports).filter(|(found, _)| found.is_none()) {
            *found = look(report);
        }
    }
    // A key that the caller may not end is unknown to it, like any other text.
    found.iter_mut().for_each(|found| *found = found.take().filter(|found| whose.permit(&found.tenant)));
    Ok(found)
}

impl Whose<'_> {
    fn permit(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Operators(operator) => operator.require_write(Permission::KeysRevoke, tenant).is_ok(),
        }
    }
}

async fn respond_to(
    app: &Shared,
    request: &Request,
    found: &Identified,
    report: &Report<'_>,
) -> Result<Became, Problem> {
    let has_ended = matches!(found.verdict, Verdict::Revoked | Verdict::Recalled);
    // Only a repeat has something to learn from the log then: the first outcome.
    if has_ended && !request.may_be_repeat {
        return Ok(Became::of(found, "already_ended"));
    }
    let mut request = request.clone();
    request.command_id = command_id(&request.command_id, found.key_id);
    request.if_match = None;
    let command = ReportLeak {
        tenant: found.tenant.clone(),
        key_id: found.key_id,
        source: report.source.clone(),
        url: report.url.clone(),
    };
    let leaked = app.application.report_leak(&request, command);
    match outcome(app, "report_leak", &request.command_id, None, leaked).await {
        Ok(leaked) => {
            let response = match leaked.response {
                LeakResponse::Revoke => "revoked",
                LeakResponse::Suspend => "suspended",
            };
            let position = leaked.changed.position;
            keep_track(app, &found.tenant, &leaked.changed).await;
            info!(
                key.id = %found.key_id, tenant = %found.tenant, source = %report.source, log.position = %position,
                response, "a key was reported as leaked"
            );
            Ok(Became { position: Some(position), ..Became::of(found, response) })
        }
        Err(problem) => refused(found, problem),
    }
}

/// What a refusal means for a report; anything else is a failure.
fn refused(found: &Identified, problem: Problem) -> Result<Became, Problem> {
    if [&codes::ALREADY_REVOKED, &codes::ALREADY_RECALLED, &codes::ALREADY_EXPIRED].contains(&problem.code) {
        Ok(Became::of(found, "already_ended"))
    } else if *problem.code == codes::ALREADY_SUSPENDED {
        Ok(Became::of(found, "suspended"))
    } else if *problem.code == codes::LAST_OPERATOR {
        error!(
            key.id = %found.key_id,
            "the key of the last operator leaked and still works: issue another with tenants:admin, then revoke it"
        );
        Ok(Became { code: Some(problem.code.code), ..Became::of(found, "refused") })
    } else {
        Err(problem)
    }
}

/// Each key of a request has a command id of its own, which follows from the request's.
fn command_id(of_request: &CommandId, key_id: KeyId) -> CommandId {
    let mut hash = Sha256::new();
    hash.update(b"rescind leak\0");
    hash.update(of_request.as_str());
    hash.update(b"\0");
    hash.update(key_id.to_bytes());
    format!("leak-{}", hex(&hash.finalize()[..16])).parse().expect("a word and digits are printable ASCII")
}

/// Bytes as lower-case hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
