//! The ledger: an append-only Delta Lake table of facts, and the commit point of the pipeline.
//!
//! **Contract.** What [`Ledger::commit`] returned is durable and seen by every later commit of every
//! process. A unit is consumed by one commit and no other: a commit is written for exactly the
//! version after the last one that this process has folded, so a process that has missed a commit
//! cannot commit; it reads what it has missed, looks whether its units were taken, and only then
//! tries again. Nothing is updated in place: state is the fold of the facts, kept in memory and moved
//! on by reading new log entries only.
//!
//! Memory: live segments, plus unit keys and bloom filters up to the bounds in [`LedgerOptions`];
//! older units are found in their files. Positions are sequence numbers of workers and never log
//! versions, as old log entries are removed.

mod columns;
mod commit;
mod compact;
mod fact;
mod files;
mod recent;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

use deltalake::{
    DeltaTable,
    kernel::{Protocol, Version},
    logstore::LogStoreRef,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use linchpin_normalize::UnitKey;
use tokio::sync::Mutex;

pub use commit::{CommitError, Committed, FACTS_MAX};
pub use compact::Compacted;
pub use fact::{
    AppliedFact, COMPLETE_START, Fact, HeldFact, HotRebuiltFact, RepackedFact, SegmentFact, Signed, UnitFact,
};
pub use state::{AppliedState, FeedState, HoldState, SegmentPlace, SegmentState, WorkerState};

use crate::delta::{self, DeltaError, Place, TableSpec};
use arrow::array::RecordBatch;
use columns::{COMMIT_DAY, DELIVERED_KEY, KIND, Rows, UNIT_KEY, table_schema};
use commit::Landed;
use files::{Files, Which};
use state::{FileEntry, State};

/// Folder of the ledger within the lake.
const FOLDER: &str = "ledger";
/// Files read at once.
const READS_MAX: usize = 8;
/// Reader version of the Delta protocol that this code understands; a newer table is refused.
const READER_VERSION: i32 = 1;
/// Writer version of the Delta protocol that this code follows (append-only).
const WRITER_VERSION: i32 = 2;

/// What went wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The table failed.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// A file of the ledger does not hold what it should.
    #[error("ledger file `{path}` cannot be understood: {why}")]
    Corrupt {
        /// Path within the table.
        path: String,
        /// Cause.
        why: String,
    },
    /// The table asks for features that are not supported here.
    #[error(
        "the ledger needs version {reader} to read and {writer} to write\nhint: use the newer program that upgraded it"
    )]
    Newer {
        /// Reader version of its protocol.
        reader: i32,
        /// Writer version of its protocol.
        writer: i32,
    },
}

/// Bounds of a ledger in memory, and how often it is tidied.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Most unit keys in memory (about 35 bytes each); older ones are looked up in their files.
    pub keys_max: usize,
    /// Most bytes of bloom filters in memory (about 4 a unit); beyond it they are read again.
    pub filter_bytes_max: usize,
    /// A checkpoint is written every so many commits.
    pub checkpoint_every: u64,
    /// Small files that the current day may have before they are merged; closed days may have one.
    pub compact_files_min: usize,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { keys_max: 1_000_000, filter_bytes_max: 64 << 20, checkpoint_every: 100, compact_files_min: 64 }
    }
}

/// A handle on the ledger; clones share one state and one committer.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    log: LogStoreRef,
    files: Files,
    options: LedgerOptions,
    state: RwLock<State>,
    /// Held by the one that commits or reads on.
    head: Mutex<Head>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("place", &self.place)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Last log entry that was folded, and when it was seen to be the last.
#[derive(Debug)]
struct Head {
    version: Version,
    seen: SystemTime,
}

/// Which segments to give; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct SegmentFilter {
    /// In this retention class.
    pub retention: Option<String>,
    /// With events of this feed.
    pub feed: Option<String>,
    /// That may have events at or after this time, epoch milliseconds.
    pub from_ms: Option<i64>,
    /// That may have events before this time, epoch milliseconds.
    pub to_ms: Option<i64>,
    /// Tombstoned or not.
    pub tombstoned: Option<bool>,
}

impl SegmentFilter {
    fn takes(&self, segment: &SegmentState) -> bool {
        let fact = &segment.fact;
        self.retention.as_ref().is_none_or(|r| *r == fact.retention)
            && self.feed.as_ref().is_none_or(|f| fact.feeds.contains(f))
            && self.from_ms.is_none_or(|from| fact.time_max_ms >= from)
            && self.to_ms.is_none_or(|to| fact.time_min_ms < to)
            && self.tombstoned.is_none_or(|t| t == segment.tombstoned_ms.is_some())
    }
}

impl Ledger {
    /// Opens the ledger of the lake at `lake`, and creates it where there is none; several processes
    /// may do so at once.
    pub async fn open(lake: &Place, options: LedgerOptions) -> Result<Self, LedgerError> {
        let place = lake.join(FOLDER);
        let spec = TableSpec {
            name: "linchpin ledger",
            schema: table_schema(),
            partition_by: &[COMMIT_DAY],
            properties: &[("delta.appendOnly", "true"), ("delta.logRetentionDuration", "interval 30 days")],
        };
        let table = delta::open_or_create(&place, &spec).await?;
        let log = table.log_store();
        let files = Files::new(Arc::clone(&log), options.filter_bytes_max);
        let (state, head) = load(&table, &files, options.keys_max).await?;
        let (state, head) = (RwLock::new(state), Mutex::new(head));
        Ok(Self { inner: Arc::new(Inner { place, log, files, options, state, head }) })
    }

    /// Where the ledger's table is, for engines that query it.
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Folds what other processes have committed since.
    pub async fn refresh(&self) -> Result<(), LedgerError> {
        let mut head = self.inner.head.lock().await;
        self.inner.stay_fresh(&mut head).await?;
        self.inner.catch_up(&mut head, &mut Landed::default()).await
    }

    /// For each key, whether its unit is not consumed yet, as far as this process has read the log;
    /// [`Ledger::commit`] has the last word.
    pub async fn unknown(&self, keys: &[UnitKey]) -> Result<Vec<bool>, LedgerError> {
        let taken = self.inner.taken(keys).await?;
        Ok(keys.iter().map(|key| !taken.contains(key)).collect())
    }

    /// The units of the delivered objects with this key, or whose key ends with it after a `/`, of all
    /// versions, by version and start. Reads the key column of the whole ledger: for people who ask,
    /// not for pipelines.
    pub async fn units_delivered(&self, key: &str) -> Result<Vec<UnitFact>, LedgerError> {
        let files: Vec<(String, u64)> =
            self.inner.state().files.iter().map(|(path, f)| (path.clone(), f.size)).collect();
        let reads = files.into_iter().map(|(path, size)| async move {
            let batches = self.inner.files.matching(&path, size, DELIVERED_KEY, key).await?;
            units_of(&path, &batches)
        });
        let found: Vec<Vec<UnitFact>> = stream::iter(reads).buffer_unordered(READS_MAX).try_collect().await?;
        let mut units: Vec<UnitFact> = found.into_iter().flatten().collect();
        units.sort_by(|a, b| (&a.object, a.start).cmp(&(&b.object, b.start)));
        Ok(units)
    }

    /// The units whose look-up key begins with these hex digits, as an event id has them. Reads the key
    /// column of the whole ledger: for people who ask, not for pipelines.
    pub async fn units_hashed(&self, prefix: &str) -> Result<Vec<UnitFact>, LedgerError> {
        let files: Vec<(String, u64)> =
            self.inner.state().files.iter().map(|(path, f)| (path.clone(), f.size)).collect();
        let reads = files.into_iter().map(|(path, size)| async move {
            let batches = self.inner.files.beginning(&path, size, UNIT_KEY, prefix).await?;
            units_of(&path, &batches)
        });
        let found: Vec<Vec<UnitFact>> = stream::iter(reads).buffer_unordered(READS_MAX).try_collect().await?;
        Ok(found.into_iter().flatten().filter(|unit| unit.start != COMPLETE_START).collect())
    }

    /// All facts of a kind (`deleted`, `applied`, …) with their commit times in epoch milliseconds, in
    /// time's order. Reads the kind column of the whole ledger: for people who ask, not for pipelines.
    pub async fn facts_of(&self, kind: &str) -> Result<Vec<(i64, Fact)>, LedgerError> {
        let files: Vec<(String, u64)> =
            self.inner.state().files.iter().map(|(path, f)| (path.clone(), f.size)).collect();
        let reads = files.into_iter().map(|(path, size)| async move {
            let batches = self.inner.files.matching(&path, size, KIND, kind).await?;
            let mut facts = Vec::new();
            for batch in &batches {
                let rows = Rows::new(batch);
                for row in 0..batch.num_rows() {
                    facts.push((rows.at_ms(row), rows.fact(row).map_err(|e| corrupt(&path, &e))?));
                }
            }
            Ok::<_, LedgerError>(facts)
        });
        let found: Vec<Vec<(i64, Fact)>> =
            stream::iter(reads).buffer_unordered(READS_MAX).try_collect().await?;
        let mut facts: Vec<(i64, Fact)> = found.into_iter().flatten().collect();
        facts.sort_by_key(|(at_ms, _)| *at_ms);
        Ok(facts)
    }

    /// The segments that are not deleted and that `filter` takes, in no order.
    pub fn segments(&self, filter: &SegmentFilter) -> Vec<SegmentState> {
        let state = self.inner.state();
        state.segments.values().filter(|s| filter.takes(s)).map(|s| state.view(s)).collect()
    }

    /// One segment, if it is not deleted.
    pub fn segment(&self, id: &str) -> Option<SegmentState> {
        let state = self.inner.state();
        state.segments.get(id).map(|segment| state.view(segment))
    }

    /// The legal holds in force, by case.
    pub fn holds(&self) -> Vec<HoldState> {
        self.inner.state().holds.values().cloned().collect()
    }

    /// Whether a segment with that Merkle root was deleted under a policy.
    pub fn is_deleted(&self, merkle_root: &[u8; 32]) -> bool {
        self.inner.state().deleted_roots.contains(merkle_root)
    }

    /// The segments of a worker's epochs after `seq`, by epoch, at most `epochs` of them: what a lane
    /// at `seq` has to deliver next.
    pub fn segments_of_worker_after(&self, worker: &str, seq: u64, epochs: usize) -> Vec<SegmentState> {
        let state = self.inner.state();
        let Some(lane) = state.lanes.get(worker) else { return Vec::new() };
        let next = lane.range(seq.saturating_add(1)..).take(epochs);
        next.flat_map(|(_, ids)| ids)
            .filter_map(|id| state.segments.get(id))
            .map(|segment| state.view(segment))
            .collect()
    }

    /// All workers that ever committed a segment.
    pub fn workers(&self) -> BTreeMap<String, WorkerState> {
        self.inner.state().workers.clone()
    }

    /// The highest epoch that a worker has committed.
    pub fn max_seq(&self, worker: &str) -> Option<u64> {
        self.inner.state().workers.get(worker).map(|w| w.max_seq)
    }

    /// The (class, event day) pairs whose hot rows are gone.
    pub fn hot_expired(&self) -> BTreeSet<(String, Date)> {
        self.inner.state().hot_expired.clone()
    }

    /// Time of the latest commit that was read, epoch milliseconds.
    pub fn last_ms(&self) -> i64 {
        self.inner.state().last_at_ms
    }

    /// The policy that was applied last.
    pub fn applied(&self) -> Option<AppliedState> {
        self.inner.state().applied.clone()
    }

    /// What came in through each feed lately.
    pub fn feeds(&self) -> BTreeMap<String, FeedState> {
        self.inner.state().feeds.clone()
    }
}

impl Inner {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of `keys` are consumed: from memory, then from the cold files, newest first.
    async fn taken(&self, keys: &[UnitKey]) -> Result<BTreeSet<UnitKey>, LedgerError> {
        let (mut taken, cold) = {
            let state = self.state();
            let taken: BTreeSet<UnitKey> =
                keys.iter().copied().filter(|k| state.recent.contains(*k)).collect();
            let mut cold: Vec<(Date, String, u64)> = state
                .files
                .iter()
                .filter(|(_, f)| f.cold)
                .map(|(path, f)| (f.day, path.clone(), f.size))
                .collect();
            cold.sort_unstable_by(|a, b| b.cmp(a));
            (taken, cold)
        };
        let open: Vec<UnitKey> = keys.iter().copied().filter(|k| !taken.contains(k)).collect();
        if open.is_empty() {
            return Ok(taken);
        }
        let open = &open;
        let searches = cold.into_iter().map(|(_, path, size)| async move {
            // Compacted away meanwhile: its successor was cold as well, and the commit asks again.
            self.files.search(&path, size, open).await
        });
        let found: Vec<Vec<UnitKey>> =
            stream::iter(searches).buffer_unordered(READS_MAX).try_collect().await?;
        taken.extend(found.into_iter().flatten());
        Ok(taken)
    }
}

/// Folds a loaded table: the newest files with their units, as far as `keys_max` reaches, the older
/// ones without.
async fn load(table: &DeltaTable, files: &Files, keys_max: usize) -> Result<(State, Head), LedgerError> {
    let fail = |source| DeltaError::Table { table: table.table_url().to_string(), source: Box::new(source) };
    let seen = SystemTime::now();
    let snapshot = table.snapshot().map_err(fail)?;
    check_protocol(snapshot.protocol())?;
    let mut entries = Vec::new();
    for view in snapshot.log_data().iter() {
        let day = view.partition_values_map().remove(COMMIT_DAY).flatten();
        let entry = FileEntry {
            day: commit_day(&view.path(), day.as_deref())?,
            size: view.size().cast_unsigned(),
            rows: view.num_records().unwrap_or(0) as u64,
            cold: false,
        };
        entries.push((entry, view.modification_time(), view.path().into_owned()));
    }
    entries.sort_unstable_by(|a, b| (a.0.day, a.1, &a.2).cmp(&(b.0.day, b.1, &b.2)));
    let mut keys = 0;
    for (entry, ..) in entries.iter_mut().rev() {
        keys += entry.rows;
        entry.cold = keys > keys_max as u64;
    }
    let mut state = State::new(keys_max);
    let mut reads = stream::iter(entries)
        .map(|(entry, _, path)| async move {
            let which = if entry.cold { Which::NotUnits } else { Which::All };
            let batches = files.read(&path, entry.size, which).await?;
            Ok::<_, LedgerError>((path, entry, batches))
        })
        .buffered(READS_MAX);
    while let Some((path, entry, batches)) = reads.try_next().await? {
        state.fold(&path, entry, &batches).map_err(|e| corrupt(&path, &e))?;
    }
    Ok((state, Head { version: snapshot.version(), seen }))
}

/// The units in rows of a ledger file.
fn units_of(path: &str, batches: &[RecordBatch]) -> Result<Vec<UnitFact>, LedgerError> {
    let mut units = Vec::new();
    for batch in batches {
        let rows = Rows::new(batch);
        for row in 0..batch.num_rows() {
            if let Fact::UnitConsumed(unit) = rows.fact(row).map_err(|e| corrupt(path, &e))? {
                units.push(unit);
            }
        }
    }
    Ok(units)
}

fn check_protocol(protocol: &Protocol) -> Result<(), LedgerError> {
    let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
    if reader > READER_VERSION || writer > WRITER_VERSION {
        return Err(LedgerError::Newer { reader, writer });
    }
    Ok(())
}

fn commit_day(path: &str, day: Option<&str>) -> Result<Date, LedgerError> {
    let parsed = day.and_then(|d| d.parse().ok());
    parsed.ok_or_else(|| corrupt(path, &format!("commit day `{}` is not a date", day.unwrap_or("null"))))
}

fn corrupt(path: &str, why: &impl ToString) -> LedgerError {
    LedgerError::Corrupt { path: path.to_owned(), why: why.to_string() }
}
