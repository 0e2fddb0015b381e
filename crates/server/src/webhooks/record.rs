//! The record of webhooks on disk: what they are, how far each has come, and its dead letters. It cannot be made again.

use std::collections::{BTreeMap, BTreeSet};

use domain::LogId;
use projection::RecordPlace;
use projection::tree::{Batch, Tree, TreeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::error;

use super::hook::{DeadLetter, Webhook, WebhookId};

/// The form of the rows: JSON, so that a member can be added. A build that writes another form has to read this one.
const SCHEMA: u32 = 1;
const META: &[u8] = b"m";
const WEBHOOK: u8 = b'h';
const LETTER: u8 = b'd';

#[derive(Serialize, Deserialize)]
struct Meta {
    schema: u32,
    log_id: String,
}

/// What is remembered of the record, to be looked at without waiting for a disk.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) webhooks: BTreeMap<WebhookId, Webhook>,
    /// Dead letters that somebody asked for again.
    pub(super) due: BTreeSet<(WebhookId, u64)>,
}

/// Opens the record and reads it. One that does not open, is damaged or belongs to another log is set aside under another
/// name, and begins anew. Blocks.
pub(super) fn open(place: &RecordPlace, log_id: LogId) -> Result<(Box<dyn Tree>, Remembered), TreeError> {
    match open_once(place, log_id) {
        Err(TreeError::Io { reason }) => Err(TreeError::Io { reason }),
        Err(TreeError::OpenFailed { reason } | TreeError::Damaged { reason }) => {
            let now_at = place.set_aside().map_err(|source| TreeError::Io { reason: source.to_string() })?;
            error!(
                reason,
                now_at, "the record of webhooks was set aside and begins anew: add the webhooks again"
            );
            open_once(place, log_id)
        }
        opened => opened,
    }
}

fn open_once(place: &RecordPlace, log_id: LogId) -> Result<(Box<dyn Tree>, Remembered), TreeError> {
    let tree = place.open()?;
    let meta = Meta { schema: SCHEMA, log_id: log_id.to_string() };
    match tree.get(META)? {
        Some(row) => {
            let there: Meta = read(&row)?;
            if there.schema != meta.schema {
                return Err(damaged("its rows have a form that this build does not read"));
            }
            if there.log_id != meta.log_id {
                return Err(damaged("it belongs to another log"));
            }
        }
        None if tree.scan(b"", None, 1)?.is_empty() => {
            tree.apply(vec![(META.to_vec(), Some(write(&meta)))])?;
            tree.flush()?;
        }
        None => return Err(damaged("it has rows but does not say what they are")),
    }
    let remembered = remember(&*tree)?;
    Ok((tree, remembered))
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

fn write(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("texts and numbers always serialise")
}

/// What serde says may quote a secret.
fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, TreeError> {
    serde_json::from_slice(row).map_err(|_| damaged("a row does not read"))
}

fn damaged(reason: &str) -> TreeError {
    TreeError::Damaged { reason: reason.to_owned() }
}
