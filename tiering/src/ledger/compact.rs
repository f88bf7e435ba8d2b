//! Housekeeping beside appenders: many small files become one, sorted by unit key; the log gets
//! checkpoints. No fact is changed or lost, so it can run, fail or be repeated at any time.

use std::collections::BTreeMap;

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::{concat_batches, filter_record_batch, not, sort_to_indices, take_record_batch},
    error::ArrowError,
};
use deltalake::{
    checkpoints::{cleanup_metadata, create_checkpoint},
    kernel::{Action, Add, Remove},
    protocol::DeltaOperation,
};
use jiff::{Timestamp, civil::Date};

use super::{
    Ledger, LedgerError,
    columns::{AT, COMMIT_DAY, KIND, STATS, UNIT_CONSUMED, UNIT_KEY, file_schema},
    commit::{Landed, day_of, pause},
    corrupt,
    files::{GROUP_ROWS_MAX, Which, properties},
    state::FileEntry,
};
use crate::{
    delta::{self, DeltaError},
    ledger::Inner,
};

/// Most rows merged into one file, which bounds the memory of a merge to about 150 MB.
const MERGE_ROWS_MAX: u64 = 250_000;
/// A file with more rows than this is not merged again.
const SMALL_ROWS_MAX: u64 = MERGE_ROWS_MAX / 2;
/// Commits of others that one merge gives way to.
const TRIES_MAX: u32 = 64;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Small files that were merged.
    pub merged: usize,
    /// Files that hold their rows now.
    pub written: usize,
}

impl Ledger {
    /// Merges the small files of every closed day, and of the current day when it has many. Safe
    /// beside committers and other compactions, which try again or give up.
    pub async fn compact(&self) -> Result<Compacted, LedgerError> {
        self.refresh().await?;
        let mut done = Compacted::default();
        for (day, files) in self.inner.mergeable() {
            let merged = files.len();
            if self.inner.merge(day, files).await? {
                done.merged += merged;
                done.written += 1;
            }
        }
        Ok(done)
    }

    /// Writes a checkpoint, so that the ledger opens fast, and removes log entries that are older
    /// than the log's retention. Commits start one by themselves every so often.
    pub async fn checkpoint(&self) -> Result<(), LedgerError> {
        let place = &self.inner.place;
        let fail = |e| DeltaError::Table { table: place.url().to_string(), source: Box::new(e) };
        if let Some(table) = delta::load(place).await? {
            create_checkpoint(&table, None).await.map_err(fail)?;
            cleanup_metadata(&table, None).await.map_err(fail)?;
        }
        Ok(())
    }

    /// Deletes files that were merged more than 7 days ago: no reader needs them any more.
    pub async fn vacuum(&self) -> Result<usize, LedgerError> {
        let place = &self.inner.place;
        let fail = |e| DeltaError::Table { table: place.url().to_string(), source: Box::new(e) };
        let Some(table) = delta::load(place).await? else { return Ok(0) };
        let (_, metrics) = table.vacuum().await.map_err(fail)?;
        Ok(metrics.files_deleted.len())
    }
}

impl Inner {
    /// Starts a checkpoint in the background when it is time for one.
    pub(super) fn tidy(&self, version: u64) {
        if !version.is_multiple_of(self.options.checkpoint_every.max(1)) {
            return;
        }
        let place = self.place.clone();
        tokio::spawn(async move {
            let work = async {
                if let Some(table) = delta::load(&place).await? {
                    let fail = |e| DeltaError::Table { table: place.url().to_string(), source: Box::new(e) };
                    create_checkpoint(&table, None).await.map_err(fail)?;
                }
                Ok::<_, DeltaError>(())
            };
            if let Err(error) = work.await {
                tracing::warn!(%error, "checkpoint of the ledger failed, the next one will do");
            }
        });
    }

    /// Groups of small files to merge, each of one day and not too large.
    fn mergeable(&self) -> Vec<(Date, Vec<(String, FileEntry)>)> {
        let today = day_of(Timestamp::now().as_millisecond());
        let mut days: BTreeMap<Date, Vec<(String, FileEntry)>> = BTreeMap::new();
        for (path, file) in self.state().files.iter().filter(|(_, f)| f.rows <= SMALL_ROWS_MAX) {
            days.entry(file.day).or_default().push((path.clone(), file.clone()));
        }
        let mut groups = Vec::new();
        for (day, files) in days {
            let few = if day < today { 2 } else { self.options.compact_files_min.max(2) };
            if files.len() < few {
                continue;
            }
            let (mut group, mut rows) = (Vec::new(), 0);
            for file in files {
                if rows + file.1.rows > MERGE_ROWS_MAX && !group.is_empty() {
                    groups.push((day, std::mem::take(&mut group)));
                    rows = 0;
                }
                rows += file.1.rows;
                group.push(file);
            }
            groups.push((day, group));
        }
        groups.retain(|(_, files)| files.len() > 1);
        groups
    }

    /// Merges files; gives `false` if another process did so first.
    async fn merge(&self, day: Date, files: Vec<(String, FileEntry)>) -> Result<bool, LedgerError> {
        let mut batches = Vec::new();
        for (path, file) in &files {
            batches.extend(self.files.read(path, file.size, Which::All).await?);
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let arranged = tokio::task::spawn_blocking(move || arrange(&batches)).await;
        let arranged =
            arranged.map_err(|e| corrupt("compaction", &e))?.map_err(|e| corrupt("compaction", &e))?;
        let partition = [(COMMIT_DAY, Some(day.to_string()))];
        let mut add =
            delta::write_file(&self.log, &partition, arranged, properties(rows, true), STATS).await?;
        add.data_change = false;
        let entry = FileEntry { day, size: add.size.cast_unsigned(), rows: rows as u64, cold: false };
        let old: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
        let mut actions: Vec<Action> = files.iter().map(|(path, file)| remove(path, file, &add)).collect();
        actions.push(Action::Add(add.clone()));
        for attempt in 0..TRIES_MAX {
            let mut head = self.head.lock().await;
            self.catch_up(&mut head, &mut Landed::default()).await?;
            if self.state().files.contains_key(&add.path) {
                return Ok(true);
            }
            if !old.iter().all(|path| self.state().files.contains_key(path)) {
                break;
            }
            let operation = DeltaOperation::Optimize { predicate: None, target_size: add.size };
            let version = head.version + 1;
            if delta::append(&self.log, version, actions.clone(), operation, Vec::new()).await? {
                self.state_mut().rearrange(&old, vec![(add.path, entry)]);
                head.version = version;
                return Ok(true);
            }
            drop(head);
            pause(attempt).await;
        }
        delta::discard(&self.log, &add.path).await;
        Ok(false)
    }
}

fn remove(path: &str, file: &FileEntry, add: &Add) -> Action {
    Action::Remove(Remove {
        path: path.to_owned(),
        data_change: false,
        deletion_timestamp: Some(Timestamp::now().as_millisecond()),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values.clone()),
        size: Some(file.size.cast_signed()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    })
}

/// All rows, those of units last and by key, in batches that become row groups: a fold of old days
/// skips the groups of units, and a look-up reads one of them.
fn arrange(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    let all = concat_batches(&file_schema(), batches)?;
    let kinds = all.column_by_name(KIND).and_then(|c| c.as_string_opt::<i32>());
    let units: BooleanArray =
        kinds.into_iter().flat_map(|k| k.iter()).map(|k| Some(k == Some(UNIT_CONSUMED))).collect();
    let others = sorted(&filter_record_batch(&all, &not(&units)?)?, AT)?;
    let units = sorted(&filter_record_batch(&all, &units)?, UNIT_KEY)?;
    let slices = |batch: RecordBatch| {
        let starts = (0..batch.num_rows()).step_by(GROUP_ROWS_MAX);
        starts
            .map(|start| batch.slice(start, GROUP_ROWS_MAX.min(batch.num_rows() - start)))
            .collect::<Vec<_>>()
    };
    Ok(slices(others).into_iter().chain(slices(units)).collect())
}

fn sorted(batch: &RecordBatch, by: &str) -> Result<RecordBatch, ArrowError> {
    let Some(column) = batch.column_by_name(by) else { return Ok(batch.clone()) };
    take_record_batch(batch, &sort_to_indices(column, None, None)?)
}
