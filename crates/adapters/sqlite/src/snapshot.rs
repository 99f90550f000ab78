use std::{ffi::c_int, path::Path, time::Duration};

use infirmary_kernel::StoreError;
use rusqlite::{Connection, backup::Backup};

use crate::SqliteStore;

impl SqliteStore {
    /// Copies the database as it is at one moment into a file that is empty or absent. Writers go on meanwhile: the copy
    /// is one read of the log and the file.
    pub async fn snapshot_into(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_owned();
        self.read(move |connection| {
            let mut copy = Connection::open(path)?;
            // All pages in one step: between steps another process could write, and the copy would start anew.
            Backup::new(connection, &mut copy)?.run_to_completion(c_int::MAX, Duration::ZERO, None)
        })
        .await
    }
}
