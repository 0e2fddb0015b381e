//! A key as policies look at it, and the list of those that a policy is about.

use domain::{KeyId, Selectable, Selector, StreamName, TenantId, Timestamp};
use projection::{KeyGrant, KeyQuery, KeyRow, QueryError};

use crate::http::App;
use crate::policy::standing::{Turn, turns};

/// Events of a key that are read at once.
const EVENTS: usize = 200;

/// Only after so long is a verifier that does not report known to be silent; until then its last reports may be under way.
const UNDER_WAY_MS: u64 = 3_000;

/// Up to here every verifier has reported, or is told as one that has not. Nothing is concluded from what comes later.
pub(crate) fn settled_until(app: &App) -> Timestamp {
    let reported = app.usage.known_until().unwrap_or_default().min(app.ambient.now());
    Timestamp::from_millis(reported.as_millis().saturating_sub(UNDER_WAY_MS))
}

/// What a selector looks at.
pub(crate) const fn selectable(grant: &KeyGrant) -> Selectable<'_> {
    Selectable {
        owner: grant.owner.tag,
        labels: &grant.labels,
        scopes: &grant.scopes,
        issuer: grant.issued_by,
        environment: grant.environment,
    }
}

/// The keys that a selector means.
pub(crate) fn meant_by(tenant: &TenantId, selector: &Selector) -> KeyQuery {
    KeyQuery {
        owner: selector.owner.as_ref().map(|owner| owner.tag),
        label: selector.label.clone(),
        scope: selector.scope.clone(),
        issued_by: selector.issuer,
        environment: selector.environment,
        ..KeyQuery::all(tenant.clone())
    }
}

/// When the key could be used. One that has no more than its first event needs no reading.
pub(crate) async fn turns_of(app: &App, row: &KeyRow, grant: &KeyGrant) -> Result<Vec<Turn>, QueryError> {
    if row.revision.get() <= 1 && row.recalled_by.is_none() {
        return Ok(vec![Turn::Begun(grant.issued_at)]);
    }
    let mut found = Vec::new();
    let mut after = Some(domain::Position::NONE);
    let stream = StreamName::Key(row.tenant.clone(), row.key_id);
    while let Some(position) = after {
        let page = app.history.events(&stream, position, EVENTS).await?;
        found.extend(turns(&page.events));
        after = page.next;
    }
    Ok(found)
}

/// The id just before another one, to begin a page with that.
pub(crate) fn before(key_id: KeyId) -> Option<KeyId> {
    key_id.to_u128().checked_sub(1).map(KeyId::from_u128)
}
