//! The record of webhooks on disk: what they are, how far each has come, and its dead letters. It cannot be made again.

use std::collections::{BTreeMap, BTreeSet};

use domain::LogId;
use projection::RecordPlace;
use projection::tree::{Batch, Tree, TreeError};

use super::hook::{DeadLetter, Webhook, WebhookId};
use crate::record::{self, damaged, read, write};

const WEBHOOK: u8 = b'h';
const LETTER: u8 = b'd';

/// What is remembered of the record, to be looked at without waiting for a disk.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) webhooks: BTreeMap<WebhookId, Webhook>,
    /// Dead letters that somebody asked for again.
    pub(super) due: BTreeSet<(WebhookId, u64)>,
}

/// Opens the record and reads it; see [`record::open`]. Blocks.
pub(super) fn open(place: &RecordPlace, log_id: LogId) -> Result<(Box<dyn Tree>, Remembered), TreeError> {
    record::open(place, log_id, "add the webhooks again", remember)
}

fn remember(tree: &dyn Tree) -> Result<Remembered, TreeError> {
    let mut remembered = Remembered::default();
    for (name, row) in tree.scan(&[WEBHOOK], None, usize::MAX)? {
        let id = name.get(1..).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
        let id = WebhookId(id.ok_or_else(|| damaged("a webhook's row has no id"))?);
        for (position, letter) in letters(tree, id, 0, usize::MAX)? {
            if letter.due {
                remembered.due.insert((id, position));
            }
        }
        remembered.webhooks.insert(id, read(&row)?);
    }
    Ok(remembered)
}

/// The dead letters behind a position.
pub(super) fn letters(
    tree: &dyn Tree,
    id: WebhookId,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, DeadLetter)>, TreeError> {
    let rows = tree.scan(&letters_of(id), Some(&letter_name(id, after)), limit)?;
    rows.iter().map(|(name, row)| Ok((letter_position(name)?, read(row)?))).collect()
}

pub(super) fn put_webhook(batch: &mut Batch, id: WebhookId, webhook: &Webhook) {
    batch.push((webhook_name(id), Some(write(webhook))));
}

pub(super) fn put_letter(batch: &mut Batch, id: WebhookId, position: u64, letter: &DeadLetter) {
    batch.push((letter_name(id, position), Some(write(letter))));
}

pub(super) fn remove_letter(batch: &mut Batch, id: WebhookId, position: u64) {
    batch.push((letter_name(id, position), None));
}

/// A webhook with all that is kept of it.
pub(super) fn remove_webhook(tree: &dyn Tree, batch: &mut Batch, id: WebhookId) -> Result<(), TreeError> {
    batch.push((webhook_name(id), None));
    let rows = tree.scan(&letters_of(id), None, usize::MAX)?;
    batch.extend(rows.into_iter().map(|(name, _)| (name, None)));
    Ok(())
}

fn webhook_name(id: WebhookId) -> Vec<u8> {
    [&[WEBHOOK][..], &id.0.to_be_bytes()].concat()
}

fn letters_of(id: WebhookId) -> Vec<u8> {
    [&[LETTER][..], &id.0.to_be_bytes()].concat()
}

fn letter_name(id: WebhookId, position: u64) -> Vec<u8> {
    [letters_of(id), position.to_be_bytes().to_vec()].concat()
}

fn letter_position(name: &[u8]) -> Result<u64, TreeError> {
    let position = name.get(17..).and_then(|position| position.try_into().ok());
    position.map(u64::from_be_bytes).ok_or_else(|| damaged("a dead letter's row has no position"))
}
