//! The records of a log that goes on under another name: what they say stays true, so they go on with it.

use domain::LogId;
use projection::RecordPlace;
use projection::tree::TreeError;
use projection::usage::rename_log as rename_usage;

use super::KeepError;
use crate::node::Folder;
use crate::record;

/// Gives the records of usage, receipts and webhooks the log's new name. One that cannot be given it is set aside by the
/// next start, as any record that is another log's.
pub(super) fn rename_log(folder: &Folder, was: LogId, is: LogId) -> Result<(), KeepError> {
    let usage = RecordPlace::usage(folder.records());
    let failed =
        |error: TreeError| KeepError::io(&folder.records(), std::io::Error::other(error.to_string()));
    if usage.is_there() {
        rename_usage(&usage, was, is).map_err(failed)?;
    }
    for place in [RecordPlace::receipts(folder.records()), RecordPlace::webhooks(folder.records())] {
        if place.is_there() {
            record::rename_log(&place, was, is).map_err(failed)?;
        }
    }
    Ok(())
}
