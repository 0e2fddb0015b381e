//! What the file keeps, refuses and survives.

mod copying;
mod damage;
mod disk;
mod failing;
mod power_cut;

use super::*;
use crate::conformance::{LogPlace, conformance, conformance_of_seals};
use crate::port::SealStore;

const LOG_ID: LogId = LogId::from_u128(7);

struct Place {
    folder: tempfile::TempDir,
    log: Option<EmbeddedLog>,
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        let path = self.folder.path().join("log.redb");
        Arc::new(self.log.get_or_insert_with(|| EmbeddedLog::open(&path, LOG_ID).unwrap()).clone())
    }

    async fn close(&mut self) {
        self.log = None;
    }
}

#[tokio::test]
async fn the_log_in_a_file_conforms() {
    conformance(async || Place { folder: tempfile::tempdir().unwrap(), log: None }).await;
}

#[tokio::test]
async fn seals_in_a_folder_conform() {
    let root = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    conformance_of_seals(async || {
        number.set(number.get() + 1);
        let folder = root.path().join(number.get().to_string());
        let open = || -> Arc<dyn SealStore> { Arc::new(EmbeddedSeals::open(&folder).unwrap()) };
        [open(), open()]
    })
    .await;
}
