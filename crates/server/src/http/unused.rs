//! Which keys are known not to be used, and of which that is not known: for a list, and for one key.

use domain::{KeyId, TenantId, Timestamp};
use projection::usage::{Coverage, UnknownSpan, Why};
use projection::{KeyGrant, KeyPage, KeyQuery, KeyRow};
use serde::Serialize;
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::app::App;
use crate::http::opened::list_keys;
use crate::http::problem::Problem;
use crate::http::usage::CoverageJson;
use crate::policy::subject::settled_until;

/// How often one page goes back to the list for more keys, when those it got were used: then it answers what it has and a
/// cursor.
const ROUNDS_MAX: usize = 10;

/// What is known of the use of the keys of a page, back to `unused_since`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListedUsage {
    /// Keys that nobody is known to have used since then, which are not in the list because not all use since then is known.
    /// They count among the rows of the page.
    left_out: Vec<String>,
    /// What is known since then, up to where all servers have reported.
    coverage: CoverageJson,
}

/// A page of the keys that were issued before an instant and are known not to have been used since.
pub(crate) async fn page(
    app: &App,
    query: KeyQuery,
    text: Option<&str>,
    since: Timestamp,
) -> Result<(KeyPage, ListedUsage), Problem> {
    let until = settled_until(app);
    // Before the last uses are read: what is reported in between makes a key used, never unused.
    let coverage = coverage_of(app, &query.tenant, since, until);
    let limit = query.limit;
    let mut query = KeyQuery { issued_before: Some(since), ..query };
    let (mut unused, mut left_out) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS_MAX {
        query.limit = limit - unused.len() - left_out.len();
        let page = list_keys(app, query.clone(), text).await?;
        let (ids, wanted): (Vec<KeyId>, usize) =
            (page.keys.iter().map(|key| key.key_id).collect(), query.limit);
        let looked_enough = ids.len() < wanted;
        let last_used = app.usage.last_used_of(&query.tenant, ids).await?;
        let idle = page.keys.into_iter().zip(last_used);
        let idle = idle.filter(|(_, last)| last.is_none_or(|at| at < since)).map(|(key, _)| key);
        match coverage.is_covered() {
            true => unused.extend(idle),
            false => left_out.extend(idle.map(|key| key.key_id.to_string())),
        }
        query.cursor = page.next;
        if query.cursor.is_none() || looked_enough || unused.len() + left_out.len() == limit {
            break;
        }
    }
    let coverage = CoverageJson::of(&coverage, (since, until), app.usage.known_until());
    Ok((KeyPage { keys: unused, next: query.cursor }, ListedUsage { left_out, coverage }))
}

/// What is known from `since` on; of a span that has not been reported yet, nothing.
fn coverage_of(app: &App, tenant: &TenantId, since: Timestamp, until: Timestamp) -> Coverage {
    if since < until {
        return app.usage.coverage(tenant, since, until);
    }
    let to = app.ambient.now();
    Coverage::Unknown { spans: vec![UnknownSpan { from: since, to, whom: None, why: Why::NotHeard }] }
}

/// When a key was used last, as far as that is known.
#[derive(Serialize, ToSchema)]
pub(crate) struct LastUse {
    /// The last verdict `valid`, RFC 3339; null if none is known.
    last_used_at: Option<String>,
    /// Whether all use since then, or else since the issue, is known. If not, there may have been a later one.
    last_used_complete: bool,
}

impl LastUse {
    /// Of one key. A record of usage that cannot be read knows nothing; it is no reason not to show the key.
    pub(crate) async fn of(app: &App, row: &KeyRow) -> Self {
        let until = settled_until(app);
        let issued_at = row.grant.as_ref().map(|grant: &KeyGrant| grant.issued_at).unwrap_or_default();
        // In this order, as for a list.
        let coverage = coverage_of(app, &row.tenant, issued_at, until);
        let Ok(last_used) = app.usage.last_used(&row.tenant, row.key_id).await else {
            return Self { last_used_at: None, last_used_complete: false };
        };
        let is_later = |span: &UnknownSpan| last_used.is_none_or(|at| span.to > at);
        Self {
            last_used_at: last_used.map(format_rfc3339),
            last_used_complete: !coverage.unknown().iter().any(is_later),
        }
    }
}
