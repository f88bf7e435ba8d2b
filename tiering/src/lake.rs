//! The lake as one thing: ledger, hot table, archives and cursors of a deployment, in folders or
//! buckets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use linchpin_config::{Place, Stores};
use linchpin_store::{
    Counters, CountingStore, Counts, ProbeError, Store, StoreError, connect_encrypted, probe,
};
use serde::{Deserialize, Serialize};

use crate::{
    delta::{self, DeltaError},
    hot::{HotError, HotTable},
    ledger::{Ledger, LedgerError, LedgerOptions},
    presence::Presence,
    prices::Provider,
    search::{REHYDRATED, Search, SearchError, SearchLimits},
};

/// Places whose promises this process has seen kept.
static PROBED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Why a lake could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// A store could not be connected to.
    #[error("cannot use `{place}`: {source}")]
    Place {
        /// The place as configured.
        place: String,
        /// Cause.
        #[source]
        source: StoreError,
    },
    /// A store does not keep the promises that archive and ledger are built on.
    #[error("cannot use `{place}`: {source}")]
    Unsafe {
        /// The place as configured.
        place: String,
        /// What it did.
        #[source]
        source: ProbeError,
    },
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
    archives: BTreeMap<String, Opened>,
    /// Cursors, dead letters and jobs.
    root: Opened,
    /// The same for tables.
    place: delta::Place,
    /// Requests of both tables.
    tables: Counters,
    presence: Presence,
}

/// A store, where it is, and what was asked of it.
#[derive(Debug)]
struct Opened {
    place: Place,
    store: Arc<dyn Store>,
    counters: Counters,
    /// Key that its objects are to be encrypted with.
    key: Option<String>,
}

impl Opened {
    async fn new(place: &Place, stores: &Stores, key: Option<&str>) -> Result<Self, LakeError> {
        let counters = Counters::default();
        let store = connect_encrypted(place, stores, key)
            .await
            .map_err(|source| LakeError::Place { place: place.to_string(), source })?;
        let store = Arc::new(CountingStore::new(store, counters.clone()));
        Ok(Self { place: place.clone(), store, counters, key: key.map(str::to_owned) })
    }

    /// Asks a bucket, once a process, whether it keeps its promises; a folder is our own code.
    async fn probe(&self) -> Result<(), LakeError> {
        let place = self.place.to_string();
        let probed = || PROBED.lock().unwrap_or_else(PoisonError::into_inner);
        if self.place.as_folder().is_some() || probed().contains(&place) {
            return Ok(());
        }
        match probe(&*self.store).await {
            Ok(()) => {
                probed().insert(place);
                Ok(())
            }
            Err(source) => Err(LakeError::Unsafe { place, source }),
        }
    }
}

impl Lake {
    /// Opens (or creates) the lake and its archives; `stores` says how buckets are reached where the
    /// environment does not.
    pub async fn open<'p>(
        lake: &Place,
        archives: impl IntoIterator<Item = (&'p str, &'p Place)>,
        stores: &Stores,
    ) -> Result<Self, LakeError> {
        let mut open = BTreeMap::new();
        for (name, place) in archives {
            let key = stores.encryption.iter().find(|(of, _)| of.value.as_str() == name);
            let key = key.map(|(_, key)| key.as_str());
            open.insert(name.to_owned(), Opened::new(place, stores, key).await?);
        }
        Self::over(lake, open, stores).await
    }

    /// A lake in a folder over archives that are open already, each with the place that it stands for:
    /// for tests and simulations.
    pub async fn open_with<'p>(
        lake: &Place,
        archives: impl IntoIterator<Item = (&'p str, Place, Arc<dyn Store>)>,
    ) -> Result<Self, LakeError> {
        let open = archives.into_iter().map(|(name, place, store)| {
            let counters = Counters::default();
            let store = Arc::new(CountingStore::new(store, counters.clone()));
            (name.to_owned(), Opened { place, store, counters, key: None })
        });
        Self::over(lake, open.collect(), &Stores::default()).await
    }

    async fn over(
        lake: &Place,
        archives: BTreeMap<String, Opened>,
        stores: &Stores,
    ) -> Result<Self, LakeError> {
        let root = Opened::new(lake, stores, None).await?;
        let tables = Counters::default();
        let place = delta::Place::connect(lake, stores, &tables).await?;
        let ledger = Ledger::open(&place, LedgerOptions::default()).await?;
        let hot = HotTable::open(&place).await?;
        Ok(Self { ledger, hot, archives, root, place, tables, presence: Presence::of(lake) })
    }

    /// Refuses buckets that would let two writers both believe that they won. Before the first
    /// write; costs a few requests for each place, once a process.
    pub async fn probe(&self) -> Result<(), LakeError> {
        let stores = std::iter::once(&self.root).chain(self.archives.values());
        futures::future::try_join_all(stores.map(Opened::probe)).await.map(drop)
    }

    /// The archive of that name.
    pub fn archive(&self, name: &str) -> Result<Arc<dyn Store>, LakeError> {
        self.opened(name).map(|archive| Arc::clone(&archive.store))
    }

    /// The storage class that the archive of that name gives a new segment, in its provider's word.
    pub fn archive_tier(&self, name: &str) -> &'static str {
        match self.opened(name).map(|archive| &archive.place) {
            Ok(Place::S3 { .. } | Place::Gcs { .. }) => "STANDARD",
            Ok(Place::Azure { .. }) => "Hot",
            Ok(Place::Folder(_)) | Err(_) => "LOCAL",
        }
    }

    /// Names of the archives.
    pub fn archive_names(&self) -> impl Iterator<Item = &str> {
        self.archives.keys().map(String::as_str)
    }

    /// The key that the objects of the archive of that name are to be encrypted with.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.archives.get(name)?.key.as_deref()
    }

    /// Who runs the archive of that name.
    pub fn provider(&self, name: &str) -> Result<Provider, LakeError> {
        self.opened(name).map(|archive| Provider::of(&archive.place))
    }

    /// Who runs the store of the lake itself.
    pub fn root_provider(&self) -> Provider {
        Provider::of(&self.root.place)
    }

    /// What lies in the lake beside its tables.
    pub(crate) fn root(&self) -> &Arc<dyn Store> {
        &self.root.store
    }

    /// The table of rows that jobs brought back, which is made when `create` says so.
    pub async fn rehydrated(&self, create: bool) -> Result<Option<HotTable>, LakeError> {
        Ok(HotTable::rehydrated(&self.place, create).await?)
    }

    /// Runs one reading query over the hot table (`events`) and, where the query names it, the table
    /// `rehydrated`.
    pub async fn search(&self, sql: &str, limits: &SearchLimits) -> Result<Search, SearchError> {
        // Most lakes have no such table, and most questions are not about it.
        let asked = sql.to_lowercase().contains(REHYDRATED);
        let table = if asked { HotTable::rehydrated(&self.place, false).await? } else { None };
        self.hot.search_beside(table.as_ref(), sql, limits).await
    }

    fn opened(&self, name: &str) -> Result<&Opened, LakeError> {
        self.archives.get(name).ok_or_else(|| LakeError::NoArchive(name.to_owned()))
    }

    /// Requests and bytes of the archives so far.
    pub fn archive_requests(&self) -> Counts {
        let sum = Counters::default();
        self.archives.values().for_each(|archive| sum.add(&archive.counters.get()));
        sum.get()
    }

    /// Requests and bytes so far by what they were for: both tables, cursors and dead letters, and
    /// each archive.
    pub fn requests(&self) -> Vec<(String, Counts)> {
        let archives = self.archives.iter().map(|(name, a)| (format!("archive {name}"), a.counters.get()));
        [("tables".to_owned(), self.tables.get()), ("cursors".to_owned(), self.root.counters.get())]
            .into_iter()
            .chain(archives)
            .collect()
    }

    /// Where `output` stands in the epochs of `worker`, and the cursor's etag.
    pub async fn cursor(&self, output: &str, worker: &str) -> Result<Option<(Cursor, String)>, LakeError> {
        let key = cursor_key(output, worker);
        let Some((bytes, etag)) = self.note(&key).await? else { return Ok(None) };
        let cursor =
            serde_json::from_slice(&bytes).map_err(|e| StoreError::Failed { key, source: e.into() })?;
        Ok(Some((cursor, etag)))
    }

    /// A small file that the lake keeps beside its tables, and its etag; `None` if there is none.
    pub async fn note(&self, key: &str) -> Result<Option<(Bytes, String)>, LakeError> {
        let head = match self.root.store.head(key).await {
            Ok(head) => head,
            Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = self.root.store.range(key, 0..head.size).await?;
        Ok(Some((bytes, head.etag)))
    }

    /// Writes such a file, if it still is what `etag` saw (`None`: not there); false if somebody
    /// else was first.
    pub async fn put_note(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<bool, LakeError> {
        match self.root.store.put_if(key, bytes, etag).await {
            Ok(()) => Ok(true),
            Err(StoreError::Precondition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
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
        self.put_note(&cursor_key(output, worker), json.into(), etag).await
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
        match self.root.store.put(&key, lines.into()).await {
            // The same step was refused before: its letters are there.
            Ok(()) | Err(StoreError::Precondition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Marks `worker` as alive for as long as the file is held: the system lets go of it when the
    /// process ends, however it ends. `None` where no file can be kept; see [`Lake::is_gone`].
    pub fn presence(&self, worker: &str) -> Result<Option<File>, LakeError> {
        let path = self.presence.folder().display().to_string();
        self.presence.hold(worker).map_err(|source| LakeError::Io { path, source })
    }

    /// Whether a worker that ran on this machine is certainly gone. A worker of another machine (no
    /// presence file here) is only known by how long it has been idle.
    pub fn is_gone(&self, worker: &str) -> bool {
        self.presence.is_gone(worker)
    }

    /// Removes the presence of a worker whose lanes are closed.
    pub fn forget_presence(&self, worker: &str) {
        self.presence.forget(worker);
    }
}

fn cursor_key(output: &str, worker: &str) -> String {
    format!("cursors/{output}/{worker}.json")
}
