//! Bytes made durable: redb commits in groups, and a plain file with fdatasync.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::time::Instant;

use crate::rush::Failure;

const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

/// A redb database with rows of one size.
pub(crate) struct Redb {
    database: Database,
    rows: u64,
    row: Vec<u8>,
}

impl Redb {
    pub(crate) fn create(folder: &Path, row_bytes: usize) -> Result<Self, Failure> {
        let database = Database::create(folder.join("floor.redb"))?;
        Ok(Self { database, rows: 0, row: vec![7; row_bytes] })
    }

    /// Rows a second, so many a commit, each commit on disk before the next.
    pub(crate) fn write(&mut self, rows: usize, group: usize) -> Result<f64, Failure> {
        let began = Instant::now();
        let mut left = rows;
        while left > 0 {
            let writing = self.database.begin_write()?;
            {
                let mut table = writing.open_table(ROWS)?;
                for _ in 0..group.min(left) {
                    table.insert(self.rows, self.row.as_slice())?;
                    self.rows += 1;
                }
            }
            writing.commit()?;
            left = left.saturating_sub(group);
        }
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }

    /// Rows a second, all of them, in order.
    pub(crate) fn read(&self) -> Result<f64, Failure> {
        let began = Instant::now();
        let reading = self.database.begin_read()?;
        let table = reading.open_table(ROWS)?;
        let (mut rows, mut bytes) = (0_u64, 0);
        for row in table.iter()? {
            bytes += row?.1.value().len();
            rows += 1;
        }
        if rows != self.rows || bytes != self.row.len() * usize::try_from(rows)? {
            return Err("the floor lost rows".into());
        }
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }
}

/// Rows a second into a plain file, each synced before the next.
pub(crate) fn fdatasync(folder: &Path, rows: usize, row_bytes: usize) -> Result<f64, Failure> {
    let (row, path) = (vec![7; row_bytes], folder.join("floor.bytes"));
    let mut file = File::options().create(true).append(true).open(path)?;
    let began = Instant::now();
    for _ in 0..rows {
        file.write_all(&row)?;
        file.sync_data()?;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}
