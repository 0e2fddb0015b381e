//! All that a review needs to know of a page of keys; what several keys have in common is asked for once.

use std::collections::HashMap;

use domain::{
    Event, KeyId, OwnerTag, Position, RevokeReason, Selector, Standing, StreamName, Tenant, TenantId,
    Timestamp,
};
use projection::usage::{Coverage, KeyUsage};
use projection::{KeyQuery, KeyRow, QueryError, RotationState};

use crate::http::App;
use crate::policy::subject::{before, settled_until};
use crate::review::{Asked, EndedIssuer, Finding, Subject, Successor, findings};

/// Rows or events that are read at once.
const PAGE: usize = 200;

/// What is known of a page of keys.
pub(super) struct Gathered<'a> {
    app: &'a App,
    tenant: &'a Tenant,
    now: Timestamp,
    until: Timestamp,
    unknown: Coverage,
    usage: HashMap<KeyId, KeyUsage>,
    /// Owners whose keys were recalled as theirs.
    recalled: HashMap<OwnerTag, Timestamp>,
    left: HashMap<OwnerTag, Option<Timestamp>>,
    issuers: HashMap<KeyId, Option<EndedIssuer>>,
}

impl<'a> Gathered<'a> {
    pub(super) async fn of(app: &'a App, tenant: &'a Tenant, rows: &[KeyRow]) -> Result<Self, QueryError> {
        let now = app.ambient.now();
        let until = settled_until(app);
        Ok(Self {
            app,
            tenant,
            now,
            until,
            unknown: app.usage.coverage(&tenant.id, Timestamp::default(), until),
            usage: usage_of(app, &tenant.id, rows).await?,
            recalled: recalled_owners(app, &tenant.id).await?,
            left: HashMap::new(),
            issuers: HashMap::new(),
        })
    }

    pub(super) async fn findings(&mut self, row: &KeyRow, asked: &Asked) -> Result<Vec<Finding>, QueryError> {
        let Some(grant) = &row.grant else { return Ok(Vec::new()) };
        let owner_gone = match self.recalled.get(&grant.owner.tag) {
            Some(at) => Some(*at),
            None => self.left(grant.owner.tag).await?,
        };
        let issuer = match grant.issued_by {
            Some(issuer) => self.ended_before(issuer, row).await?,
            None => None,
        };
        let successor = match &row.rotation {
            Some(rotation) if rotation.state == RotationState::Running => {
                self.app.keys.one(&self.tenant.id, rotation.successor).await?
            }
            _ => None,
        };
        let unused = KeyUsage::default();
        let subject = Subject {
            tenant: &self.tenant.id,
            row,
            grant,
            usage: self.usage.get(&row.key_id).unwrap_or(&unused),
            unknown: self.unknown.unknown(),
            until: self.until,
            now: self.now,
            policies: &self.tenant.policies,
            owner_gone,
            issuer,
            successor: successor.map(|row| Successor { standing: row.standing }),
        };
        Ok(findings(&subject, asked))
    }

    /// When a key of the owner was revoked because its owner left. The first page of what was revoked tells.
    async fn left(&mut self, owner: OwnerTag) -> Result<Option<Timestamp>, QueryError> {
        if let Some(known) = self.left.get(&owner) {
            return Ok(*known);
        }
        let query = KeyQuery {
            owner: Some(owner),
            standing: Some(Standing::Revoked),
            ..KeyQuery::all(self.tenant.id.clone())
        };
        let page = self.app.keys.list(query).await?;
        let of_leaving = page.keys.iter().filter(|key| key.reason == Some(RevokeReason::OwnerLeft));
        let left = of_leaving.filter_map(|key| key.ended_at).max();
        self.left.insert(owner, left);
        Ok(left)
    }

    /// The issuer, if it had been revoked at the position of the issue.
    async fn ended_before(&mut self, issuer: KeyId, row: &KeyRow) -> Result<Option<EndedIssuer>, QueryError> {
        let ended = match self.issuers.get(&issuer) {
            Some(known) => *known,
            None => {
                let ended = ended(self.app, issuer).await?;
                self.issuers.insert(issuer, ended);
                ended
            }
        };
        let Some(ended) = ended else { return Ok(None) };
        let stream = StreamName::Key(self.tenant.id.clone(), row.key_id);
        let issued = self.app.history.events(&stream, Position::NONE, 1).await?;
        let issued = issued.events.first().map(|event| event.position);
        Ok(issued.filter(|position| *position > ended.position).map(|_| ended))
    }
}

/// An operator that was revoked or recalled, and where.
async fn ended(app: &App, issuer: KeyId) -> Result<Option<EndedIssuer>, QueryError> {
    let Some(row) = app.keys.one(&app.operators, issuer).await? else { return Ok(None) };
    let position = match row.standing {
        Standing::Revoked => Some(row.position),
        Standing::Recalled => row.recalled_by,
        _ => None,
    };
    Ok(position.zip(row.ended_at).map(|(position, at)| EndedIssuer { key_id: issuer, at, position }))
}

/// The usage of a page of keys, which are in the order of their ids, as the record is.
async fn usage_of(
    app: &App,
    tenant: &TenantId,
    rows: &[KeyRow],
) -> Result<HashMap<KeyId, KeyUsage>, QueryError> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(HashMap::new()) };
    let (mut found, mut after) = (HashMap::new(), before(first.key_id));
    loop {
        let page = app.usage.page(tenant, after, PAGE).await?;
        let more = page.len() == PAGE;
        after = page.last().map(|(key_id, _)| *key_id);
        found.extend(page);
        if !more || after.is_none_or(|key_id| key_id >= last.key_id) {
            found.retain(|key_id, _| *key_id <= last.key_id);
            return Ok(found);
        }
    }
}

/// The owners whose keys were recalled because they are theirs, and when last. Recalls are few.
async fn recalled_owners(app: &App, tenant: &TenantId) -> Result<HashMap<OwnerTag, Timestamp>, QueryError> {
    let stream = StreamName::Tenant(tenant.clone());
    let (mut found, mut after) = (HashMap::new(), Some(Position::NONE));
    while let Some(position) = after {
        let page = app.history.events(&stream, position, PAGE).await?;
        for event in &page.events {
            let Ok(envelope) = event.read() else { continue };
            let Event::KeysRecalled(recalled) = envelope.event else { continue };
            // With another part beside the owner it was not about the owner.
            if let Selector { owner: Some(owner), label: None, scope: None, issuer: None, .. } =
                recalled.selector
            {
                found.insert(owner.tag, envelope.occurred_at);
            }
        }
        after = page.next;
    }
    Ok(found)
}
