//! Records that nothing can make again: rows of JSON, of one log, set aside when they cannot be read.

use domain::LogId;
use projection::RecordPlace;
use projection::tree::{Tree, TreeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::error;

/// The form of the rows: JSON, so that a member can be added. A build that writes another form has to read this one.
const SCHEMA: u32 = 1;
const META: &[u8] = b"m";

#[derive(Serialize, Deserialize)]
struct Meta {
    schema: u32,
    log_id: String,
}

/// Opens a record and looks at its rows. One that does not open, is damaged or belongs to another log is set aside under
/// another name, and begins anew; `lost` says in the server's log what that means. Blocks.
pub(crate) fn open<T>(
    place: &RecordPlace,
    log_id: LogId,
    lost: &str,
    look: impl Fn(&dyn Tree) -> Result<T, TreeError>,
) -> Result<(Box<dyn Tree>, T), TreeError> {
    match open_once(place, log_id, &look) {
        Err(TreeError::Io { reason }) => Err(TreeError::Io { reason }),
        Err(TreeError::OpenFailed { reason } | TreeError::Damaged { reason }) => {
            let now_at = place.set_aside().map_err(|source| TreeError::Io { reason: source.to_string() })?;
            error!(reason, now_at, "a record was set aside and begins anew: {lost}");
            open_once(place, log_id, &look)
        }
        opened => opened,
    }
}

fn open_once<T>(
    place: &RecordPlace,
    log_id: LogId,
    look: impl Fn(&dyn Tree) -> Result<T, TreeError>,
) -> Result<(Box<dyn Tree>, T), TreeError> {
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
    let seen = look(&*tree)?;
    Ok((tree, seen))
}

/// Says of a record that its log is called otherwise from now on; nothing happens to one of another log. Blocks.
pub(crate) fn rename_log(place: &RecordPlace, was: LogId, is: LogId) -> Result<(), TreeError> {
    let tree = place.open()?;
    let Some(row) = tree.get(META)? else { return Ok(()) };
    let meta: Meta = read(&row)?;
    if meta.log_id == was.to_string() {
        let meta = Meta { log_id: is.to_string(), ..meta };
        tree.apply(vec![(META.to_vec(), Some(write(&meta)))])?;
        tree.flush()?;
    }
    Ok(())
}

/// The bytes of a row.
pub(crate) fn write(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("texts and numbers always serialise")
}

/// A row from its bytes. What serde says may quote a secret, so it is not repeated.
pub(crate) fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, TreeError> {
    serde_json::from_slice(row).map_err(|_| damaged("a row does not read"))
}

pub(crate) fn damaged(reason: &str) -> TreeError {
    TreeError::Damaged { reason: reason.to_owned() }
}
