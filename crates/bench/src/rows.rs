//! All rows, in the order in which they are measured: those that share the data folder with all keys stand together.

mod commands;
mod commands_nats;
mod enforced;
mod growth;
mod guard_hit;
mod import;
mod keys_apart;
mod overload;
mod recall;
mod replay;
mod sustained;
mod verify;
mod verify_http;
mod whole_server;

use crate::row::Row;
use crate::settings::Settings;

/// Every row that there is with these settings.
pub(crate) fn all(settings: &Settings) -> Vec<Row> {
    let families = [
        verify::rows(),
        verify_http::rows(),
        guard_hit::rows(),
        commands::rows(),
        sustained::rows(),
        commands_nats::rows(),
        import::rows(),
        enforced::rows(settings),
        recall::rows(),
        overload::rows(),
        whole_server::rows(),
        replay::rows(),
        growth::rows(settings),
    ];
    families.into_iter().flatten().collect()
}
