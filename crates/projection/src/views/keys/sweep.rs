//! A recall on its way through the rows: a bounded number of them at a time.

use domain::{KeyId, KeysRecalled, Position, Selector, TenantId, Timestamp};

use super::fold::recalled;
use super::leads::{BY_OWNER, ROW, label_prefix, row_name};
use super::put;
use super::stored::StoredRow;
use crate::changes::Changes;
use crate::tree::TreeError;
use crate::view::{Taken, decode_row};
use crate::views::{RowName, split_end};

/// Rows that one part of a recall looks at: with their leads about as many changes as a batch of events makes.
const PART: usize = 256;

/// How far the recall at a position has come. If this is lost, the recall begins anew and passes over what it has marked.
#[derive(Default)]
pub(super) struct Sweep {
    at: Position,
    /// The last name that was looked at.
    after: Option<Vec<u8>>,
}

/// A recall as the rows have to show it.
pub(super) struct Recall<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) recalled: &'a KeysRecalled,
    pub(super) occurred_at: Timestamp,
    pub(super) position: Position,
}

impl Sweep {
    /// Marks the next rows that the recall hits.
    ///
    /// It looks for them in the tree, so nothing may wait that is not there yet. Marking a row changes neither its name nor
    /// the leads by owner and label, so a place in them stays good from part to part.
    pub(super) fn part(
        &mut self,
        recall: &Recall<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Taken, TreeError> {
        if !changes.is_empty() {
            return Ok(Taken::Part);
        }
        if self.at != recall.position {
            *self = Self { at: recall.position, after: None };
        }
        let names = names(recall.tenant, &recall.recalled.selector);
        let mut rows = changes.scan_applied(&names, self.after.as_deref(), PART)?;
        let last = rows.len() < PART;
        for (name, value) in &rows {
            let key_id = KeyId::from_bytes(split_end(name)?.1);
            let value = if names[0] == ROW {
                Some(value.clone())
            } else {
                changes.get(&row_name(recall.tenant, key_id))?
            };
            let value = value.ok_or_else(|| TreeError::damaged("a lead leads to no key"))?;
            let old: StoredRow = decode_row(&value)?;
            if let Some(new) = recalled(&old, recall.recalled, recall.occurred_at, recall.position)? {
                put(changes, recall.tenant, key_id, Some(&old), &new);
            }
        }
        if last {
            *self = Self::default();
            return Ok(Taken::Whole);
        }
        self.after = rows.pop().map(|(name, _)| name);
        Ok(Taken::Part)
    }
}

/// The beginning of the names that lead to all keys that a selector may mean: few where it names an owner or a label.
fn names(tenant: &TenantId, selector: &Selector) -> Vec<u8> {
    match selector {
        Selector { owner: Some(owner), .. } => {
            RowName::of(BY_OWNER).tenant(tenant).bytes(&owner.tag.to_bytes()).done()
        }
        Selector { label: Some(label), .. } => label_prefix(tenant, label.name(), label.value()).done(),
        _ => RowName::of(ROW).tenant(tenant).done(),
    }
}
