//! Opens the texts of an answer: views and index hold them sealed, and only who is answered reads them.

use std::sync::Arc;
use std::time::Duration;

use ::verify::Answer;
use application::Closed;
use domain::{KeyId, Owner, TenantId};
use eventlog::ReadError;
use projection::{KeyPage, KeyQuery, KeyRow, MAX_EXAMINED, MAX_PAGE, StoredEvent, TenantDiff, TenantRow};
use serde_json::Value;
use tokio::time::timeout;
use wire::guard::FilledKey;

use crate::http::app::App;
use crate::http::codes;
use crate::http::problem::Problem;

/// How long a verdict waits for the name of a key's owner: it is told without it rather than late.
const NAME_WITHIN: Duration = Duration::from_millis(250);

fn away(error: &ReadError) -> Problem {
    Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry()
}

/// Opens rows of keys.
pub(crate) async fn open_keys(app: &App, rows: &mut [KeyRow]) -> Result<(), Problem> {
    let mut texts = Vec::new();
    for KeyRow { tenant, key_id, grant, leaked, note, .. } in rows {
        let key_id = Some(*key_id);
        let (name, owner) = match grant {
            Some(grant) => (grant.name.as_mut(), Some(&mut grant.owner)),
            None => (None, None),
        };
        let url = leaked.as_mut().and_then(|leak| leak.url.as_mut());
        let of_key = name.into_iter().chain(url).chain(note.as_mut());
        texts.extend(of_key.map(|value| Closed::Text { tenant, key_id, value }));
        texts.extend(owner.map(|owner| Closed::Owner(tenant, owner)));
    }
    app.application.seals().open(texts).await.map_err(|error| away(&error))
}

/// Opens rows of tenants.
pub(crate) async fn open_tenants(app: &App, rows: &mut [TenantRow]) -> Result<(), Problem> {
    let texts = rows.iter_mut().filter_map(|TenantRow { tenant, settings, .. }| {
        let value = settings.as_mut()?.name.as_mut()?;
        Some(Closed::Text { tenant, key_id: None, value })
    });
    app.application.seals().open(texts.collect()).await.map_err(|error| away(&error))
}

/// Events as auditors read them, opened; one that cannot be read says so and why.
pub(crate) async fn exported(app: &App, events: &[StoredEvent]) -> Result<Vec<Value>, Problem> {
    let mut read: Vec<_> = events.iter().map(StoredEvent::read).collect();
    let mut envelopes: Vec<_> = read.iter_mut().filter_map(|read| read.as_mut().ok()).collect();
    app.application.seals().open_events(&mut envelopes).await.map_err(|error| away(&error))?;
    let lines = events.iter().zip(&read).map(|(event, read)| match read {
        Ok(envelope) => wire::export(envelope, event.position),
        Err(_) => event.export(),
    });
    Ok(lines.collect())
}

/// Opens what is compared of a tenant: what is shown of it, its policies, its keys.
pub(crate) async fn open_diff(app: &App, diff: &mut TenantDiff) -> Result<(), Problem> {
    for then in [&mut diff.before, &mut diff.after] {
        open_tenants(app, then.row.as_mut_slice()).await?;
        if let Some(row) = &then.row {
            let owners = then.policies.values_mut().filter_map(|policy| policy.selector.owner.as_mut());
            let closed = owners.map(|owner| Closed::Owner(&row.tenant, owner)).collect();
            app.application.seals().open(closed).await.map_err(|error| away(&error))?;
        }
    }
    for key in &mut diff.keys {
        open_keys(app, key.before.as_mut_slice()).await?;
        open_keys(app, key.after.as_mut_slice()).await?;
    }
    Ok(())
}

/// A page of a list, opened; with a text, of the keys in whose id, name or owner it is, in any case of letters. Like any other
/// list it looks at a bounded number of keys, and then answers what it has and a cursor.
pub(crate) async fn list_keys(app: &App, query: KeyQuery, text: Option<&str>) -> Result<KeyPage, Problem> {
    let Some(text) = text else {
        let mut page = app.keys.list(query).await?;
        open_keys(app, &mut page.keys).await?;
        return Ok(page);
    };
    let (text, limit) = (text.to_lowercase(), query.limit.clamp(1, MAX_PAGE));
    let mut part = KeyQuery { limit: MAX_PAGE, ..query };
    let (mut found, mut taken, mut examined) = (Vec::new(), None, 0);
    loop {
        let mut page = app.keys.list(part.clone()).await?;
        open_keys(app, &mut page.keys).await?;
        examined += page.keys.len();
        for key in page.keys {
            if !contains(&key, &text) {
                continue;
            }
            if found.len() == limit {
                // There is at least one more: the page after this one is not empty.
                return Ok(KeyPage { keys: found, next: taken });
            }
            taken = Some(part.cursor_behind(&key));
            found.push(key);
        }
        part.cursor = page.next;
        if part.cursor.is_none() || examined >= MAX_EXAMINED {
            return Ok(KeyPage { keys: found, next: part.cursor });
        }
    }
}

fn contains(key: &KeyRow, text: &str) -> bool {
    let within = |hay: &str| hay.to_lowercase().contains(text);
    within(&key.key_id.to_string())
        || key.grant.as_ref().is_some_and(|grant| {
            let name = grant.name.as_ref().and_then(|name| name.plain());
            grant.owner.name.plain().is_some_and(within) || name.is_some_and(within)
        })
}

/// The name of an owner if it can be read now.
pub(crate) async fn name_of(app: &App, tenant: &TenantId, owner: &Owner) -> Option<Arc<str>> {
    let seals = app.application.seals();
    match seals.name_at_hand(tenant, owner) {
        Some(name) => Some(name),
        None => timeout(NAME_WITHIN, seals.name(tenant, owner)).await.ok()?.ok()?,
    }
}

/// The names of those whom verdicts are about, each at its place.
pub(crate) async fn names_of(app: &App, answers: &[Answer]) -> Vec<Option<Arc<str>>> {
    let seals = app.application.seals();
    let at_hand = |answer: &Answer| {
        let holder = answer.holder.as_ref()?;
        seals.name_at_hand(&holder.tenant, &holder.owner)
    };
    let mut names: Vec<_> = answers.iter().map(at_hand).collect();
    let missing = names.iter().zip(answers).enumerate();
    let missing = missing.filter_map(|(at, (name, answer))| match (name, &answer.holder) {
        (None, Some(holder)) => Some((at, holder.tenant.clone(), (*holder.owner).clone())),
        _ => None,
    });
    let mut missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return names;
    }
    let closed = missing.iter_mut().map(|(_, tenant, owner)| Closed::Owner(tenant, owner)).collect();
    // What cannot be read in time is told as sealed: a verdict does not wait for a name.
    let _ = timeout(NAME_WITHIN, seals.open(closed)).await;
    for (at, _, owner) in missing {
        names[at] = owner.name.plain().map(Arc::from);
    }
    names
}

/// Tells guards the names of the owners of keys that they are told of.
pub(crate) async fn name_owners(
    app: &App,
    tenant: &TenantId,
    filled: impl Iterator<Item = &mut FilledKey>,
) -> Result<(), Problem> {
    let facts_of = |filled: &FilledKey| {
        let key_id: KeyId = filled.key_id.parse().ok()?;
        app.index.facts(tenant, key_id)
    };
    let (mut owners, mut keys) = (Vec::new(), Vec::new());
    for key in filled {
        if let Some(facts) = facts_of(key) {
            owners.push((*facts.owner).clone());
            keys.push(key);
        }
    }
    let closed = owners.iter_mut().map(|owner| Closed::Owner(tenant, owner)).collect();
    app.application.seals().open(closed).await.map_err(|error| away(&error))?;
    for (key, owner) in keys.into_iter().zip(&owners) {
        key.owner = owner.name.plain().map(str::to_owned);
    }
    Ok(())
}
