//! Questions to the view `keys` about rotations: those of a tenant, and for workers those that run.

use std::fmt;
use std::str::FromStr;

use domain::{KeyId, TenantId};
use thiserror::Error;
use verify::KeyIndex;

use super::leads::{ROTATION, UNUSED};
use super::query::{Keys, MAX_EXAMINED, row};
use super::row::{KeyRow, RotationPhase};
use super::stored::code_of_phase;
use crate::shelf::QueryError;
use crate::tree::{Tree, TreeError};
use crate::views::{MAX_PAGE, RowName, split_end, tenant_in};

/// Where a page of rotations ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationCursor {
    phase: RotationPhase,
    key_id: KeyId,
}

/// A text that is no cursor of a list of rotations.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the cursor is not one that a list of rotations answered")]
pub struct RotationCursorError;

impl fmt::Display for RotationCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.phase, self.key_id)
    }
}

impl FromStr for RotationCursor {
    type Err = RotationCursorError;

    fn from_str(text: &str) -> Result<Self, RotationCursorError> {
        let (phase, key_id) = text.split_once('-').ok_or(RotationCursorError)?;
        Ok(Self {
            phase: phase.parse().map_err(|_| RotationCursorError)?,
            key_id: key_id.parse().map_err(|_| RotationCursorError)?,
        })
    }
}

/// A part of the list of a tenant's rotations.
#[derive(Clone, Debug)]
pub struct RotationPage {
    /// The predecessors, each with its last rotation: running ones first, then by what became of them, then by key id.
    pub keys: Vec<KeyRow>,
    /// Where the next page begins; none if this is the last. A page with a cursor may be short, even empty.
    pub next: Option<RotationCursor>,
}

/// Where a page of running rotations ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningCursor {
    tenant: TenantId,
    key_id: KeyId,
}

/// A part of all running rotations.
#[derive(Clone, Debug)]
pub struct RunningPage {
    /// The predecessors.
    pub keys: Vec<KeyRow>,
    /// Where the next page begins; none if this is the last. A page with a cursor may be short, even empty.
    pub next: Option<RunningCursor>,
}

/// The successor of a running rotation, of which no use was recorded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedSuccessor {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
}

impl Keys {
    /// The rotations of a tenant, or those of one phase; at most `limit` and at most [`MAX_PAGE`]. Of each key the last.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn rotations(
        &self,
        tenant: &TenantId,
        phase: Option<RotationPhase>,
        cursor: Option<RotationCursor>,
        limit: usize,
    ) -> Result<RotationPage, QueryError> {
        let (tenant, index) = (tenant.clone(), self.index.clone());
        let limit = limit.clamp(1, MAX_PAGE);
        self.shelf.query(move |tree| page(tree, &index, &tenant, phase, cursor, limit)).await
    }

    /// The running rotations of all tenants, at most `limit` and at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn rotations_running(
        &self,
        limit: usize,
        cursor: Option<RunningCursor>,
    ) -> Result<RunningPage, QueryError> {
        let (index, limit) = (self.index.clone(), limit.clamp(1, MAX_PAGE));
        self.shelf
            .query(move |tree| {
                let running = [ROTATION, code_of_phase(RotationPhase::Running)];
                let after = cursor.map(|at| {
                    RowName::of(ROTATION).bytes(&running[1..]).tenant(&at.tenant).key_id(at.key_id)
                });
                let leads = tree.scan(&running, after.map(RowName::done).as_deref(), limit)?;
                let (mut keys, mut last) = (Vec::with_capacity(leads.len()), None);
                for (name, _) in &leads {
                    let (tenant, key_id) = owner_of(name, running.len())?;
                    let key = row(tree, &index, &tenant, key_id)?;
                    keys.extend(key.filter(|key| phase_of(key) == Some(RotationPhase::Running)));
                    last = Some(RunningCursor { tenant, key_id });
                }
                Ok(RunningPage { keys, next: last.filter(|_| leads.len() == limit) })
            })
            .await
    }

    /// The successors of running rotations of all tenants that were not used yet, behind one of them; fewer than `limit`
    /// mean that there are no more.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn successors_unused(
        &self,
        after: Option<&UnusedSuccessor>,
        limit: usize,
    ) -> Result<Vec<UnusedSuccessor>, QueryError> {
        let after = after.map(|at| RowName::of(UNUSED).tenant(&at.tenant).key_id(at.key_id).done());
        self.shelf
            .query(move |tree| {
                let leads = tree.scan(&[UNUSED], after.as_deref(), limit.min(MAX_EXAMINED))?;
                let successors = leads.iter().map(|(name, _)| {
                    let (tenant, key_id) = owner_of(name, 1)?;
                    Ok(UnusedSuccessor { tenant, key_id })
                });
                successors.collect()
            })
            .await
    }
}

fn phase_of(key: &KeyRow) -> Option<RotationPhase> {
    key.rotation.as_ref().map(|rotation| rotation.state.phase())
}

/// A name that ends in a tenant, a zero and a key id, behind `skip` bytes.
fn owner_of(name: &[u8], skip: usize) -> Result<(TenantId, KeyId), TreeError> {
    let (rest, key_id) = split_end::<16>(name)?;
    let tenant = rest.get(skip..).and_then(|tenant| tenant.strip_suffix(&[0])).unwrap_or_default();
    Ok((tenant_in(tenant)?, KeyId::from_bytes(key_id)))
}

fn page(
    tree: &dyn Tree,
    index: &KeyIndex,
    tenant: &TenantId,
    phase: Option<RotationPhase>,
    cursor: Option<RotationCursor>,
    limit: usize,
) -> Result<RotationPage, TreeError> {
    let begin = cursor.map_or(0, |cursor| code_of_phase(cursor.phase));
    let (mut keys, mut last) = (Vec::new(), None);
    for phase in RotationPhase::ALL.into_iter().filter(|each| phase.is_none_or(|phase| phase == *each)) {
        let code = code_of_phase(phase);
        if code < begin {
            continue;
        }
        let prefix = RowName::of(ROTATION).bytes(&[code]).tenant(tenant);
        let after = cursor.filter(|at| at.phase == phase).map(|at| prefix.clone().key_id(at.key_id).done());
        let wanted = limit + 1 - keys.len();
        let leads = tree.scan(&prefix.done(), after.as_deref(), wanted)?;
        let more = leads.len() == wanted;
        for (name, _) in leads {
            if keys.len() == limit {
                // There is at least one more: the page after this one is not empty.
                return Ok(RotationPage { keys, next: last });
            }
            let key_id = KeyId::from_bytes(split_end(&name)?.1);
            // The row decides: its lead may be older, when the view moves on while we read.
            keys.extend(row(tree, index, tenant, key_id)?.filter(|key| phase_of(key) == Some(phase)));
            last = Some(RotationCursor { phase, key_id });
        }
        if more {
            return Ok(RotationPage { keys, next: last });
        }
    }
    Ok(RotationPage { keys, next: None })
}
