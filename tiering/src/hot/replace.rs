//! Exchanging chosen rows for others in one commit.

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::Int32Type,
};
use datafusion::physical_plan::execute_stream;
use deltalake::{
    DeltaTable,
    kernel::{Action, Add, LogicalFileView},
    protocol::{DeltaOperation, SaveMode},
};
use futures::StreamExt;
use jiff::civil::Date;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    errors::ParquetError,
};

use super::{
    HotError, HotFile, HotTable,
    columns::{PARTITION_COLUMNS, ROW, SEGMENT, file_schema, writer_properties},
    compact::merge_plan,
    stats::delta_stats,
    table::{Tries, log_files, put_file},
};
use crate::{
    delta,
    search::{SearchLimits, Session, partition_of},
};

/// New files that nobody sees yet.
#[derive(Debug, Default)]
pub struct Replacement {
    adds: Vec<Add>,
}

/// Files without the rows that go.
struct Rewritten {
    removes: Vec<Action>,
    /// Paths of `removes`.
    paths: Vec<String>,
    adds: Vec<Add>,
    /// Rows that go.
    gone: u64,
}

/// Whether the row with that number in that segment goes.
pub type Goes<'a> = &'a (dyn Fn(&str, u32) -> bool + Sync);

impl HotTable {
    /// Puts a file that takes part in a replacement.
    pub async fn put_replacement(
        &self,
        file: &HotFile,
        replacement: &mut Replacement,
    ) -> Result<(), HotError> {
        let log = self.log().await;
        replacement.adds.push(put_file(&log, file).await?);
        Ok(())
    }

    /// Deletes the files of a replacement that is not wanted any more.
    pub async fn discard(&self, replacement: Replacement) {
        let log = self.log().await;
        for add in &replacement.adds {
            delta::discard(&log, &add.path).await;
        }
    }

    /// Takes the rows that go out of the chosen partitions and the files of `replacement` in, in one
    /// commit, and gives the number of rows that went. If that is not `expected`, nothing is changed.
    pub async fn replace_rows(
        &self,
        chosen: impl Fn(&(String, Date)) -> bool,
        goes: Goes<'_>,
        expected: u64,
        replacement: Replacement,
    ) -> Result<u64, HotError> {
        let mut tries = Tries::default();
        let mut rewritten: Option<Rewritten> = None;
        loop {
            let snapshot = self.fresh().await?;
            if let Some(stale) = rewritten.take_if(|done| !has_all(&snapshot, &done.paths)) {
                self.discard(Replacement { adds: stale.adds }).await;
            }
            let done = match &rewritten {
                Some(done) => done,
                None => &*rewritten.insert(rewrite(&snapshot, &chosen, goes).await?),
            };
            if done.gone != expected {
                let adds = done.adds.iter().cloned().chain(replacement.adds).collect();
                let gone = done.gone;
                self.discard(Replacement { adds }).await;
                return Ok(gone);
            }
            let mut table = self.newest().await?;
            if table.version() != snapshot.version() && !has_all(&table, &done.paths) {
                continue;
            }
            let adds = replacement.adds.iter().chain(&done.adds).cloned().map(Action::Add);
            let actions: Vec<Action> = done.removes.iter().cloned().chain(adds).collect();
            if actions.is_empty() {
                return Ok(0);
            }
            let operation = DeltaOperation::Write {
                mode: SaveMode::Overwrite,
                partition_by: Some(PARTITION_COLUMNS.map(str::to_owned).to_vec()),
                predicate: None,
            };
            // No rebase: that the files are still there is known of this snapshot only. Rows that others
            // have added since are of other segments.
            match delta::commit(&mut table, actions, operation, Vec::new(), 0).await {
                Ok(_) => return Ok(expected),
                Err(error) => tries.again(table, error).await?,
            }
        }
    }
}

/// Whether a snapshot has all of these files.
fn has_all(table: &DeltaTable, paths: &[String]) -> bool {
    let Ok(files) = log_files(table) else { return false };
    let present: std::collections::BTreeSet<String> =
        files.iter().map(|file| file.path().into_owned()).collect();
    paths.iter().all(|path| present.contains(path))
}

/// Writes the files of the chosen partitions that hold rows that go again, without those.
async fn rewrite(
    table: &DeltaTable,
    chosen: &impl Fn(&(String, Date)) -> bool,
    goes: Goes<'_>,
) -> Result<Rewritten, HotError> {
    let mut done = Rewritten { removes: Vec::new(), paths: Vec::new(), adds: Vec::new(), gone: 0 };
    for file in log_files(table)? {
        let Some((class, day)) = partition_of(&file).filter(chosen) else { continue };
        let Some((kept, gone)) = without(table, &class, day, &file, goes).await? else { continue };
        done.gone += gone;
        done.paths.push(file.path().into_owned());
        done.removes.push(Action::Remove(file.remove_action(true)));
        if let Some(kept) = kept {
            done.adds.push(put_file(&table.log_store(), &kept).await?);
        }
    }
    Ok(done)
}

/// A file without the rows that go (nothing if all do) and their number; `None` if none does.
async fn without(
    table: &DeltaTable,
    class: &str,
    day: Date,
    file: &LogicalFileView,
    goes: Goes<'_>,
) -> Result<Option<(Option<HotFile>, u64)>, HotError> {
    let session = Session::open(table, &SearchLimits { threads: 1, ..SearchLimits::default() })?;
    let plan = merge_plan(&session, std::slice::from_ref(file))?;
    let mut stream = execute_stream(plan, session.context().task_ctx())?;
    let total = file.num_records().unwrap_or(0);
    let options =
        ArrowWriterOptions::new().with_properties(writer_properties(total)?).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), file_schema(), options)?;
    let (mut rows, mut gone) = (0, 0);
    while let Some(batch) = stream.next().await {
        let batch = RecordBatch::try_new(file_schema(), batch?.columns().to_vec())?;
        let stays = stays(&batch, goes)?;
        gone += (stays.len() - stays.true_count()) as u64;
        let batch = filter_record_batch(&batch, &stays)?;
        rows += batch.num_rows() as u64;
        writer = blocking(move || writer.write(&batch).map(|()| writer)).await?;
    }
    if gone == 0 {
        return Ok(None);
    }
    if rows == 0 {
        return Ok(Some((None, gone)));
    }
    let (footer, bytes) =
        blocking(move || writer.finish().map(|footer| (footer, std::mem::take(writer.inner_mut())))).await?;
    let stats = delta_stats(&footer);
    let kept = HotFile { class: class.to_owned(), day, stats, bytes: bytes.into(), rows };
    Ok(Some((Some(kept), gone)))
}

/// Encoding takes a while: not on the threads that serve requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
) -> Result<T, HotError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|e| ParquetError::External(Box::new(e)))??)
}

fn stays(batch: &RecordBatch, goes: Goes<'_>) -> Result<BooleanArray, HotError> {
    let segments = batch.column_by_name(SEGMENT).and_then(|c| c.as_string_opt::<i32>());
    let rows = batch.column_by_name(ROW).and_then(|c| c.as_primitive_opt::<Int32Type>());
    let (Some(segments), Some(rows)) = (segments, rows) else {
        return Err(HotError::Rows("a file without addresses".to_owned()));
    };
    Ok((0..batch.num_rows()).map(|n| Some(!goes(segments.value(n), rows.value(n) as u32))).collect())
}
