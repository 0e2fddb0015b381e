//! What changed for a tenant between two positions: its settings and policies, and every key that is not what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use domain::{Event, KeyId, Policy, PolicyName, Position, Standing, StreamName, TenantId};
use eventlog::Recorded;

use super::streams::Streams;
use super::{Past, PastError};
use crate::shelf::QueryError;
use crate::view::Entry;
use crate::views::keys::{KeyQuery, KeyRow};
use crate::views::tenants::{TenantBefore, TenantRow};

/// The most keys of one answer: each is made twice from its own stream, together within a second or two.
const MOST_KEYS: usize = 10_000;

/// One key on both sides of a span.
#[derive(Clone, Debug)]
pub struct KeyDiff {
    /// Which key.
    pub key_id: KeyId,
    /// What it was; none if it was not there yet.
    pub before: Option<KeyRow>,
    /// What it was at the end.
    pub after: Option<KeyRow>,
}

/// A tenant at one position.
#[derive(Clone, Debug, Default)]
pub struct TenantThen {
    /// What is shown of it; none if it was not open yet.
    pub row: Option<TenantRow>,
    /// What it asked of its keys, by name.
    pub policies: BTreeMap<PolicyName, Policy>,
}

/// All that changed for a tenant.
#[derive(Clone, Debug)]
pub struct TenantDiff {
    /// The tenant at the begin of the span.
    pub before: TenantThen,
    /// The tenant at its end.
    pub after: TenantThen,
    /// The keys that some event of the span concerns, by id.
    pub keys: Vec<KeyDiff>,
    /// Where events of the span stand that this build cannot read: what they changed is not known.
    pub unreadable: Vec<Position>,
}

/// What the events of a span concern.
#[derive(Default)]
struct Touched {
    keys: BTreeSet<KeyId>,
    recalls: BTreeSet<Position>,
    unreadable: Vec<Position>,
    /// Where the keys became too many.
    too_many_at: Option<Position>,
}

impl Past {
    /// What changed for a tenant behind one position up to another; none if there is no such tenant. Whom a recall hit is
    /// read from the view of keys, which must show the end of the span.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn diff(
        &self,
        tenant: &TenantId,
        from: Position,
        to: Position,
    ) -> Result<Option<TenantDiff>, PastError> {
        let of_tenant = self.read(&StreamName::Tenant(tenant.clone())).await?;
        if of_tenant.is_empty() {
            return Ok(None);
        }
        let mut touched = Touched::default();
        self.walk(from, to, |event| touched.note(event, tenant)).await?;
        if !touched.recalls.is_empty() && touched.too_many_at.is_none() {
            self.find_recalled(tenant, to, &mut touched).await?;
        }
        if let Some(reached) = touched.too_many_at {
            return Err(PastError::TooMuch { most: MOST_KEYS, reached });
        }
        // Of the tenant's own events only these change keys.
        let recalls: Arc<[Recorded]> = of_tenant.iter().filter(|event| is_recall(event)).cloned().collect();
        let mut keys = Vec::with_capacity(touched.keys.len());
        for key_id in touched.keys {
            let own = self.read(&StreamName::Key(tenant.clone(), key_id)).await?;
            let streams = Streams { tenant: tenant.clone(), key_id, own, of_tenant: Arc::clone(&recalls) };
            let before = self.row_of(&streams, from).await?;
            keys.push(KeyDiff { key_id, before, after: self.row_of(&streams, to).await? });
        }
        let then = |position| tenant_at(&of_tenant, tenant, position);
        let (before, after) = (then(from)?, then(to)?);
        Ok(Some(TenantDiff { before, after, keys, unreadable: touched.unreadable }))
    }

    /// Adds the keys that the recalls of the span hit: a key that is recalled stays it, and its row names the recall.
    async fn find_recalled(
        &self,
        tenant: &TenantId,
        to: Position,
        touched: &mut Touched,
    ) -> Result<(), PastError> {
        let mut query = KeyQuery { standing: Some(Standing::Recalled), ..KeyQuery::all(tenant.clone()) };
        loop {
            let page = self.keys.list(query.clone()).await?;
            let by = |row: &KeyRow| row.recalled_by.is_some_and(|recall| touched.recalls.contains(&recall));
            let hit: Vec<KeyId> = page.keys.iter().filter(|row| by(row)).map(|row| row.key_id).collect();
            touched.keys.extend(hit);
            if touched.keys.len() > MOST_KEYS {
                touched.too_many_at = Some(to);
                return Ok(());
            }
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => return Ok(()),
            }
        }
    }
}

fn is_recall(event: &Recorded) -> bool {
    let envelope = Entry::of(event).and_then(|entry| entry.read().ok());
    envelope.is_some_and(|envelope| matches!(envelope.event, Event::KeysRecalled(_)))
}

impl Touched {
    fn note(&mut self, event: &Recorded, tenant: &TenantId) -> ControlFlow<()> {
        let Some(entry) = Entry::of(event).filter(|entry| entry.stream.tenant() == tenant) else {
            return ControlFlow::Continue(());
        };
        match entry.read() {
            Ok(envelope) if matches!(envelope.event, Event::KeysRecalled(_)) => {
                self.recalls.insert(event.position);
            }
            Ok(_) => {}
            Err(_) => self.unreadable.push(event.position),
        }
        self.keys.extend(entry.stream.key_id());
        if self.keys.len() > MOST_KEYS {
            self.too_many_at = Some(event.position);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn tenant_at(events: &[Recorded], tenant: &TenantId, position: Position) -> Result<TenantThen, PastError> {
    let (mut row, mut policies) = (TenantBefore::default(), BTreeMap::new());
    for event in events.iter().take_while(|event| event.position <= position) {
        row.take(event);
        match Entry::of(event).and_then(|entry| entry.read().ok()).map(|envelope| envelope.event) {
            Some(Event::PolicySet(set)) => drop(policies.insert(set.policy.name.clone(), set.policy)),
            Some(Event::PolicyRemoved(removed)) => drop(policies.remove(&removed.name)),
            _ => {}
        }
    }
    let row = row.show(tenant).map_err(|source| QueryError::Failed { view: "tenants", source })?;
    Ok(TenantThen { row, policies })
}
