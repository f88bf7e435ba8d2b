//! The table itself: opening, committing epochs, expiring days.

use std::{collections::BTreeMap, ops::AddAssign, time::Duration};

use arrow::datatypes::{Field, Schema};
use deltalake::{
    DeltaTable,
    kernel::{
        Action, Add, LogicalFileView, StructType, Transaction, engine::arrow_conversion::TryIntoKernel,
    },
    operations::vacuum::VacuumMode,
    protocol::{DeltaOperation, SaveMode},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    HotError, HotFile,
    columns::{EVENT_DAY, PARTITION_COLUMNS, RETENTION, STATISTICS_COLUMNS, table_schema},
    encode::day_number,
};
use crate::{
    delta::{self, DeltaError, Place, TableSpec},
    policy::RetentionClass,
    search::partition_of,
};

/// How often a commit that lost against others is tried.
pub const COMMIT_ATTEMPTS_MAX: u32 = 20;
/// How many other commits one attempt may step over by itself; the log is checked for each of them.
const REBASES_MAX: usize = 5;
/// Files that are put at the same time.
const PUTS_MAX: usize = 8;
/// First pause after a lost attempt; grows linearly.
const PAUSE: Duration = Duration::from_millis(20);
/// Folder of the table in the lake.
const FOLDER: &str = "hot";
/// Folder of the table of rows that jobs brought back: a job's id is their retention class there.
const REHYDRATED: &str = "rehydrated";
const DAY_MS: i64 = 86_400_000;

/// The hot table of a lake. Handles of several processes may write at once.
#[derive(Debug)]
pub struct HotTable {
    table: Mutex<DeltaTable>,
    folder: &'static str,
}

/// The outcome of [`HotTable::commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotCommit {
    /// Version of the table that holds the epoch (or a later one).
    pub version: u64,
    /// Whether this call added it; otherwise the position had been passed before.
    pub added: bool,
}

/// Size of a partition or of the whole table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HotStats {
    /// Rows.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

impl AddAssign for HotStats {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.files += other.files;
    }
}

impl HotTable {
    /// Opens the hot table of the lake at `lake`, and creates it where there is none. Columns that the
    /// table does not have yet are added.
    pub async fn open(lake: &Place) -> Result<Self, HotError> {
        Self::named(lake, FOLDER).await
    }

    /// The table with the same columns for rows that jobs brought back, whose retention class is the
    /// id of their job. `None` if there is none and `create` does not ask for one.
    pub async fn rehydrated(lake: &Place, create: bool) -> Result<Option<Self>, HotError> {
        if !create && delta::load(&lake.join(REHYDRATED)).await?.is_none() {
            return Ok(None);
        }
        Self::named(lake, REHYDRATED).await.map(Some)
    }

    async fn named(lake: &Place, folder: &'static str) -> Result<Self, HotError> {
        let statistics = STATISTICS_COLUMNS.join(",");
        let spec = TableSpec {
            name: folder,
            schema: table_schema(),
            partition_by: &PARTITION_COLUMNS,
            properties: &[("delta.dataSkippingStatsColumns", &statistics)],
        };
        let table = delta::open_or_create(&lake.join(folder), &spec).await?;
        Ok(Self { table: Mutex::new(add_missing_columns(table).await?), folder })
    }

    /// Sequence number of the last epoch of `worker` that the table holds.
    pub async fn position(&self, worker: &str) -> Result<Option<u64>, HotError> {
        let table = self.fresh().await?;
        position(&table, &self.app_id(worker)).await
    }

    /// Adds the files of epoch `seq` of `worker` and records the position in one commit; an epoch
    /// without rows only records it. Sequence numbers of a worker rise. Adding an epoch again,
    /// whoever tries, changes nothing: after an error, whose outcome may be unclear, just try again.
    pub async fn commit(&self, files: Vec<HotFile>, worker: &str, seq: u64) -> Result<HotCommit, HotError> {
        let app = self.app_id(worker);
        let version = i64::try_from(seq).map_err(|_| HotError::Rows(format!("sequence number {seq}")))?;
        let mut adds = None;
        let mut tries = Tries::default();
        loop {
            let mut table = self.newest().await?;
            if position(&table, &app).await?.is_some_and(|done| done >= seq) {
                return Ok(HotCommit { version: table.version().unwrap_or_default(), added: false });
            }
            let actions = match &adds {
                Some(actions) => Vec::clone(actions),
                None => adds.insert(put_files(&table, &files).await?).clone(),
            };
            let operation = DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(PARTITION_COLUMNS.map(str::to_owned).to_vec()),
                predicate: None,
            };
            let transaction = vec![Transaction::new(app.as_str(), version)];
            // Stepping over other workers' commits is safe: a commit of the same worker among them
            // is a conflict.
            match delta::commit(&mut table, actions, operation, transaction, REBASES_MAX).await {
                Ok(version) => return Ok(HotCommit { version, added: true }),
                Err(error) => tries.again(table, error).await?,
            }
        }
    }

    /// Drops the days whose every moment is longer ago than their class stays hot, and names them.
    /// Files leave the table, none is rewritten; classes that are not in `classes` stay.
    pub async fn expire(
        &self,
        classes: &[RetentionClass],
        now_ms: i64,
    ) -> Result<Vec<(String, Date)>, HotError> {
        self.drop_partitions(|partition| is_due(partition, classes, now_ms)).await
    }

    /// Drops the partitions that are chosen, and names them. Files leave the table, none is rewritten.
    pub async fn drop_partitions(
        &self,
        chosen: impl Fn(&(String, Date)) -> bool,
    ) -> Result<Vec<(String, Date)>, HotError> {
        let mut tries = Tries::default();
        loop {
            let mut table = self.newest().await?;
            let mut dropped: BTreeMap<(String, Date), Vec<Action>> = BTreeMap::new();
            for file in log_files(&table)? {
                if let Some(partition) = partition_of(&file).filter(&chosen) {
                    dropped.entry(partition).or_default().push(Action::Remove(file.remove_action(true)));
                }
            }
            if dropped.is_empty() {
                return Ok(Vec::new());
            }
            let removes = dropped.values().flatten().cloned().collect();
            let operation = DeltaOperation::Delete { predicate: None };
            match delta::commit(&mut table, removes, operation, Vec::new(), 0).await {
                Err(error) => tries.again(table, error).await?,
                Ok(version) => {
                    tracing::info!(partitions = dropped.len(), version, "partitions dropped");
                    return Ok(dropped.into_keys().collect());
                }
            }
        }
    }

    /// Deletes files that left the table, or never came into it, at least a week ago, and gives their
    /// number. Younger ones may belong to a commit or a reader that is still under way.
    pub async fn vacuum(&self) -> Result<usize, HotError> {
        let table = self.fresh().await?;
        let url = table.table_url().to_string();
        // the table's own retention, a week, is the default and is enforced
        let done = table.vacuum().with_mode(VacuumMode::Full).await;
        let fail = |e| HotError::Delta(DeltaError::Table { table: url, source: Box::new(e) });
        done.map(|(_, metrics)| metrics.files_deleted.len()).map_err(fail)
    }

    /// Size of every partition (class, day).
    pub async fn stats(&self) -> Result<BTreeMap<(String, Date), HotStats>, HotError> {
        let mut partitions: BTreeMap<(String, Date), HotStats> = BTreeMap::new();
        for file in log_files(&self.fresh().await?)? {
            let Some(partition) = partition_of(&file) else { continue };
            let rows = file.num_records().unwrap_or(0) as u64;
            *partitions.entry(partition).or_default() +=
                HotStats { rows, bytes: u64::try_from(file.size()).unwrap_or(0), files: 1 };
        }
        Ok(partitions)
    }

    /// The store of the table's files.
    pub(super) async fn log(&self) -> deltalake::logstore::LogStoreRef {
        self.table.lock().await.log_store()
    }

    /// The application id of a worker's transactions.
    fn app_id(&self, worker: &str) -> String {
        format!("{}-{worker}", self.folder)
    }

    /// A copy of the newest snapshot, for readers.
    pub(crate) async fn fresh(&self) -> Result<DeltaTable, HotError> {
        Ok(self.newest().await?.clone())
    }

    /// The newest snapshot, to commit from.
    pub(super) async fn newest(&self) -> Result<MutexGuard<'_, DeltaTable>, HotError> {
        let mut table = self.table.lock().await;
        let updated = table.update_state().await;
        updated.map_err(|e| table_error(&table, e))?;
        Ok(table)
    }
}

/// How often a commit has been tried.
#[derive(Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Lets others go first after a commit that lost against one; anything else is given back.
    pub(super) async fn again(
        &mut self,
        table: MutexGuard<'_, DeltaTable>,
        error: DeltaError,
    ) -> Result<(), DeltaError> {
        drop(table);
        self.0 += 1;
        if !error.is_conflict() || self.0 >= COMMIT_ATTEMPTS_MAX {
            return Err(error);
        }
        tracing::debug!(tries = self.0, "hot commit lost against another one");
        tokio::time::sleep(PAUSE * self.0).await;
        Ok(())
    }
}

/// Of these partitions, the ones whose every moment is longer ago than their class stays hot.
pub fn due<'p>(
    partitions: impl IntoIterator<Item = &'p (String, Date)>,
    classes: &[RetentionClass],
    now_ms: i64,
) -> Vec<(String, Date)> {
    partitions.into_iter().filter(|p| is_due(p, classes, now_ms)).cloned().collect()
}

fn is_due((name, day): &(String, Date), classes: &[RetentionClass], now_ms: i64) -> bool {
    let class = classes.iter().find(|c| c.name == *name);
    let end_ms = (i64::from(day_number(*day)) + 1) * DAY_MS;
    let hot_ms = |c: &RetentionClass| i64::try_from(c.hot.as_millis()).unwrap_or(i64::MAX);
    class.is_some_and(|c| end_ms.saturating_add(hot_ms(c)) <= now_ms)
}

/// The files of a loaded snapshot.
pub(super) fn log_files(table: &DeltaTable) -> Result<Vec<LogicalFileView>, HotError> {
    let state = table.snapshot().map_err(|e| table_error(table, e))?;
    Ok(state.log_data().iter().collect())
}

fn table_error(table: &DeltaTable, source: deltalake::DeltaTableError) -> HotError {
    HotError::Delta(DeltaError::Table { table: table.table_url().to_string(), source: Box::new(source) })
}

async fn position(table: &DeltaTable, app: &str) -> Result<Option<u64>, HotError> {
    let state = table.snapshot().map_err(|e| table_error(table, e))?;
    let version = state.transaction_version(table.log_store().as_ref(), app).await;
    Ok(version.map_err(|e| table_error(table, e))?.and_then(|v| u64::try_from(v).ok()))
}

async fn put_files(table: &DeltaTable, files: &[HotFile]) -> Result<Vec<Action>, HotError> {
    let log = table.log_store();
    let puts: Vec<_> = files.iter().map(|file| put_file(&log, file)).collect();
    stream::iter(puts).buffer_unordered(PUTS_MAX).map_ok(Action::Add).try_collect().await
}

/// Puts a file durably; it is seen once its action is committed.
pub(super) async fn put_file(
    log: &deltalake::logstore::LogStoreRef,
    file: &HotFile,
) -> Result<Add, HotError> {
    let partition = partition(&file.class, file.day);
    Ok(delta::put_file(log, &partition, file.bytes.clone(), file.stats.clone()).await?)
}

/// A partition as the log names it.
pub(super) fn partition(class: &str, day: Date) -> [(&'static str, Option<String>); 2] {
    [(RETENTION, Some(class.to_owned())), (EVENT_DAY, Some(day.to_string()))]
}

/// A table of an older program gets the columns that came since; its old files read as null there.
async fn add_missing_columns(table: DeltaTable) -> Result<DeltaTable, HotError> {
    let schema = table.snapshot().map_err(|e| table_error(&table, e))?.schema();
    let ours = table_schema();
    let missing = ours.fields().iter().filter(|f| schema.field(f.name()).is_none());
    let missing: Vec<Field> = missing.map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let missing = Schema::new(missing);
    if missing.fields().is_empty() {
        return Ok(table);
    }
    let fail = |e| HotError::Delta(DeltaError::Table { table: FOLDER.to_owned(), source: Box::new(e) });
    let fields: StructType =
        (&missing).try_into_kernel().map_err(|e| fail(deltalake::DeltaTableError::from(e)))?;
    table.add_columns().with_fields(fields.fields().cloned().collect::<Vec<_>>()).await.map_err(fail)
}
