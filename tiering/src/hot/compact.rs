//! Merging the small files of a partition into large ones, without changing a row.

use arrow::array::RecordBatch;
use datafusion::{
    common::DataFusionError,
    datasource::{physical_plan::FileGroup, source::DataSourceExec},
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col},
    physical_plan::{ExecutionPlan, execute_stream, sorts::sort_preserving_merge::SortPreservingMergeExec},
};
use deltalake::{
    DeltaTable,
    kernel::{Action, Add, LogicalFileView},
    protocol::DeltaOperation,
};
use futures::StreamExt;
use jiff::civil::Date;
use parquet::arrow::{AsyncArrowWriter, arrow_writer::ArrowWriterOptions};
use std::{collections::BTreeMap, sync::Arc};

use super::{
    HotError, HotTable,
    columns::{file_schema, table_schema, writer_properties},
    stats::delta_stats,
    table::{Tries, log_files, partition},
};
use crate::{
    delta,
    search::{EVENTS, SearchLimits, Session, open_files, partition_of, partitioned_file},
};

/// A partition is merged when it has at least this many small files.
pub const COMPACT_FILES_MIN: usize = 8;
/// Size that merged files aim at, in bytes; a file is small below half of it.
pub const COMPACT_BYTES_TARGET: u64 = 128 << 20;
/// Files that are merged into one: each is an open reader, of some megabytes.
pub const COMPACT_FILES_EACH: usize = 4;
/// Rows of each file that are in hand together.
const MERGE_BATCH_ROWS: usize = 1024;

/// What [`HotTable::compact`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that were merged away.
    pub removed: usize,
    /// Files that took their place.
    pub added: usize,
    /// Bytes of the new files.
    pub bytes: u64,
}

impl HotTable {
    /// Merges the small files of every partition that has many. Each merge is a commit of its own that
    /// changes no data; one that loses against an expiry is left to the next run.
    pub async fn compact(&self) -> Result<Compacted, HotError> {
        let mut done = Compacted::default();
        for ((class, day), files) in candidates(&self.fresh().await?)? {
            let add = merge(&self.fresh().await?, &class, day, &files).await?;
            let removes: Vec<Action> = files.iter().map(|f| Action::Remove(f.remove_action(false))).collect();
            if self.replace(removes, &add).await? {
                done.removed += files.len();
                done.added += 1;
                done.bytes += add.size.unsigned_abs();
            } else {
                delta::discard(&self.log().await, &add.path).await;
            }
        }
        Ok(done)
    }

    /// Commits the exchange, unless one of the files has left the table meanwhile.
    async fn replace(&self, removes: Vec<Action>, add: &Add) -> Result<bool, HotError> {
        let mut tries = Tries::default();
        loop {
            let mut table = self.newest().await?;
            let present: Vec<String> = log_files(&table)?.iter().map(|f| f.path().into_owned()).collect();
            let gone = |a: &Action| matches!(a, Action::Remove(r) if !present.contains(&r.path));
            if removes.iter().any(gone) {
                return Ok(false);
            }
            let actions = removes.iter().cloned().chain([Action::Add(add.clone())]).collect();
            let operation =
                DeltaOperation::Optimize { predicate: None, target_size: COMPACT_BYTES_TARGET as i64 };
            // No rebase: whether the files are still there is asked of this snapshot.
            match delta::commit(&mut table, actions, operation, Vec::new(), 0).await {
                Ok(_) => return Ok(true),
                Err(error) => tries.again(table, error).await?,
            }
        }
    }
}

type Partition = (String, Date);

/// The small files of every partition that has many, as groups to merge, smallest first; a group is no
/// more than one large file.
fn candidates(table: &DeltaTable) -> Result<Vec<(Partition, Vec<LogicalFileView>)>, HotError> {
    let mut partitions: BTreeMap<Partition, Vec<LogicalFileView>> = BTreeMap::new();
    let size = |file: &LogicalFileView| u64::try_from(file.size()).unwrap_or(0);
    for file in log_files(table)?.into_iter().filter(|f| size(f) < COMPACT_BYTES_TARGET / 2) {
        if let Some(partition) = partition_of(&file) {
            partitions.entry(partition).or_default().push(file);
        }
    }
    partitions.retain(|_, files| files.len() >= COMPACT_FILES_MIN);
    let mut groups = Vec::new();
    for (partition, mut files) in partitions {
        files.sort_unstable_by_key(size);
        let fits = |group: &&[LogicalFileView]| group.iter().map(size).sum::<u64>() <= COMPACT_BYTES_TARGET;
        for group in files.chunks_exact(COMPACT_FILES_EACH).take_while(fits) {
            groups.push((partition.clone(), group.to_vec()));
        }
    }
    Ok(groups)
}

/// Reads files that are each sorted, side by side, and puts one that is; what is in memory is a row group
/// of each. A thread of its own does it, reading and decoding as well: what it needs of memory, it has from
/// what another thread has left, and no request waits for it.
async fn merge(
    table: &DeltaTable,
    class: &str,
    day: Date,
    files: &[LogicalFileView],
) -> Result<Add, HotError> {
    let (done, merged) = tokio::sync::oneshot::channel();
    let (table, partition, files) = (table.clone(), partition(class, day), files.to_vec());
    std::thread::Builder::new().name("merge".to_owned()).spawn(move || {
        // Each thread would have memory of its own.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
        let merged = match runtime {
            Ok(runtime) => runtime.block_on(merge_here(&table, &partition, &files)),
            Err(error) => Err(error.into()),
        };
        done.send(merged).ok();
    })?;
    merged.await.map_err(|_| HotError::Rows("the thread that merges files has died".to_owned()))?
}

async fn merge_here(
    table: &DeltaTable,
    partition: &[(&str, Option<String>)],
    files: &[LogicalFileView],
) -> Result<Add, HotError> {
    let limits = SearchLimits { threads: 1, batch_rows: MERGE_BATCH_ROWS, ..SearchLimits::default() };
    let session = Session::open(table, &limits)?;
    let rows: usize = files.iter().filter_map(LogicalFileView::num_records).sum();
    let mut stream = execute_stream(merge_plan(&session, files)?, session.context().task_ctx())?;
    let options =
        ArrowWriterOptions::new().with_properties(writer_properties(rows)?).with_skip_arrow_metadata(true);
    let (path, upload) = delta::open_file(&table.log_store(), partition)?;
    let mut writer = AsyncArrowWriter::try_new_with_options(upload, file_schema(), options)?;
    let mut written = 0;
    while let Some(batch) = stream.next().await {
        let batch = RecordBatch::try_new(file_schema(), batch?.columns().to_vec())?;
        written += batch.num_rows();
        writer.write(&batch).await?;
    }
    if written != rows {
        return Err(HotError::Rows(format!("{rows} rows were merged into {written}")));
    }
    let footer = writer.finish().await?;
    let add = delta::added(path, partition, writer.bytes_written(), delta_stats(&footer));
    Ok(Add { data_change: false, ..add })
}

/// One sorted stream of the data columns of sorted files.
pub(super) fn merge_plan(
    session: &Session,
    files: &[LogicalFileView],
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let state = session.context().state();
    let groups = files.iter().map(|file| Ok(FileGroup::new(vec![partitioned_file(file)?])));
    let schema = table_schema();
    let ascending = |name| Ok(PhysicalSortExpr::new_default(col(name, &schema)?));
    let order = LexOrdering::new(
        ["class_uid", "time"].map(ascending).into_iter().collect::<Result<Vec<_>, DataFusionError>>()?,
    );
    let order = order.ok_or_else(|| DataFusionError::Internal("no sort order".to_owned()))?;
    let scan = open_files(&state, EVENTS, groups.collect::<Result<_, DataFusionError>>()?)?
        .with_output_ordering(vec![order.clone()])
        .with_projection_indices(Some((0..file_schema().fields().len()).collect()))?
        .build();
    Ok(Arc::new(SortPreservingMergeExec::new(order, DataSourceExec::from_data_source(scan))))
}
