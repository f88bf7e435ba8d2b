//! The lake as one thing: ledger, hot table, archives and cursors of a deployment.

use std::{collections::BTreeMap, fs::File, path::PathBuf, sync::Arc};

use linchpin_config::Place;
use serde::{Deserialize, Serialize};

use crate::{
    delta::{self, DeltaError},
    hot::{HotError, HotTable},
    ledger::{Ledger, LedgerError, LedgerOptions},
    store::{Counters, CountingStore, LocalStore, Store, StoreError},
};

/// Why a lake could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The place is not one this build can use.
    #[error("`{0}` is not a folder\nhint: this build keeps lake and archives in folders")]
    Unsupported(String),
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The hot table failed.
    #[error(transparent)]
    Hot(#[from] HotError),
    /// A table failed.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// No archive of that name is configured.
    #[error(
        "the ledger names the archive `{0}`, which the configuration does not have\nhint: add it under `archives`"
    )]
    NoArchive(String),
    /// A file beside the tables failed.
    #[error("cannot use `{path}`: {source}")]
    Io {
        /// Path.
        path: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// Where an output stands in a worker's epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Last epoch delivered.
    pub seq: u64,
    /// When, epoch milliseconds.
    pub at_ms: i64,
}

/// An open deployment.
#[derive(Debug)]
pub struct Lake {
    /// The ledger.
    pub ledger: Ledger,
    /// The hot table.
    pub hot: HotTable,
    archives: BTreeMap<String, Arc<dyn Store>>,
    root: Arc<dyn Store>,
    folder: PathBuf,
    counters: Counters,
}

impl Lake {
    /// Opens (or creates) the lake and its archives.
    pub async fn open<'p>(
        lake: &Place,
        archives: impl IntoIterator<Item = (&'p str, &'p Place)>,
    ) -> Result<Self, LakeError> {
        let counters = Counters::default();
        let folder = |place: &Place| {
            place
                .as_folder()
                .map(std::path::Path::to_owned)
                .ok_or_else(|| LakeError::Unsupported(place.to_string()))
        };
        let store = |path: PathBuf| -> Result<Arc<dyn Store>, LakeError> {
            Ok(Arc::new(CountingStore::new(LocalStore::open(path)?, counters.clone())))
        };
        let path = folder(lake)?;
        let root = store(path.clone())?;
        let place = delta::Place::folder(&path)?;
        let mut open = BTreeMap::new();
        for (name, place) in archives {
            open.insert(name.to_owned(), store(folder(place)?)?);
        }
        let ledger = Ledger::open(&place, LedgerOptions::default()).await?;
        let hot = HotTable::open(&place).await?;
        Ok(Self { ledger, hot, archives: open, root, folder: path, counters })
    }

    /// The archive of that name.
    pub fn archive(&self, name: &str) -> Result<Arc<dyn Store>, LakeError> {
        self.archives.get(name).map(Arc::clone).ok_or_else(|| LakeError::NoArchive(name.to_owned()))
    }

    /// Requests and bytes of archives and cursors so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where `output` stands in the epochs of `worker`, and the cursor's etag.
    pub async fn cursor(&self, output: &str, worker: &str) -> Result<Option<(Cursor, String)>, LakeError> {
        let key = cursor_key(output, worker);
        let head = match self.root.head(&key).await {
            Ok(head) => head,
            Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = self.root.range(&key, 0..head.size).await?;
        let cursor =
            serde_json::from_slice(&bytes).map_err(|e| StoreError::Failed { key, source: e.into() })?;
        Ok(Some((cursor, head.etag)))
    }

    /// Moves a cursor, if it still is where `etag` saw it; false if another worker moved it first.
    pub async fn move_cursor(
        &self,
        output: &str,
        worker: &str,
        cursor: Cursor,
        etag: Option<&str>,
    ) -> Result<bool, LakeError> {
        let json = serde_json::to_vec(&cursor).unwrap_or_default();
        match self.root.put_if(&cursor_key(output, worker), json.into(), etag).await {
            Ok(()) => Ok(true),
            Err(StoreError::Precondition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what an output refused for good, one JSON object a line, under `dead/`.
    pub async fn dead_letters(
        &self,
        output: &str,
        worker: &str,
        seq: u64,
        lines: Vec<u8>,
    ) -> Result<(), LakeError> {
        let key = format!("dead/{output}/{worker}-{seq:010}.ndjson");
        match self.root.put(&key, lines.into()).await {
            // The same step was refused before: its letters are there.
            Ok(()) | Err(StoreError::Precondition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Marks `worker` as alive for as long as the file is held: the system lets go of it when the
    /// process ends, however it ends.
    pub fn presence(&self, worker: &str) -> Result<File, LakeError> {
        let path = self.presence_path(worker);
        let io = |source| LakeError::Io { path: path.display().to_string(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        let file = File::create(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(file)
    }

    /// Whether a worker that ran on this machine is certainly gone. A worker of another machine (no
    /// presence file here) is only known by how long it has been idle.
    pub fn is_gone(&self, worker: &str) -> bool {
        match File::open(self.presence_path(worker)) {
            Ok(file) => file.try_lock().is_ok(),
            Err(_) => false,
        }
    }

    /// Removes the presence of a worker whose lanes are closed.
    pub fn forget_presence(&self, worker: &str) {
        if let Err(error) = std::fs::remove_file(self.presence_path(worker)) {
            tracing::debug!(worker, %error, "presence file was not there");
        }
    }

    fn presence_path(&self, worker: &str) -> PathBuf {
        self.folder.join("workers").join(worker)
    }
}

fn cursor_key(output: &str, worker: &str) -> String {
    format!("cursors/{output}/{worker}.json")
}
