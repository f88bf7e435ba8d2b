//! The hot table as the engine sees it: a list of files with what the table's log knows of them.
//!
//! The files are listed here, and not by the Delta library's own table provider, because this way
//! filters reach the Parquet reader itself, which then uses bloom filters and page indexes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::Session as EngineSession,
    common::{
        ColumnStatistics, DFSchema, DataFusionError, Result, Statistics, project_schema, stats::Precision,
    },
    datasource::{
        TableProvider, TableType,
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetSource, parquet::CachedParquetFileReaderFactory,
        },
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, utils::conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::{ExecutionPlan, empty::EmptyExec},
    scalar::ScalarValue,
};
use deltalake::{DeltaTable, kernel::LogicalFileView, table::state::DeltaTableState};
use jiff::civil::Date;

use crate::hot::{
    EVENT_DAY, RETENTION, ROW_GROUP_ROWS_MAX, day_number, file_schema, partition_fields, table_schema,
};

/// Where the session finds a table's store; a name, not an address.
pub(super) fn store_url(table: &str) -> ObjectStoreUrl {
    let url = ObjectStoreUrl::parse(format!("linchpin-hot://{table}"));
    url.unwrap_or_else(|_| ObjectStoreUrl::local_filesystem())
}

/// One snapshot of the hot table.
pub(super) struct Events {
    name: &'static str,
    state: DeltaTableState,
    schema: SchemaRef,
    files_total: AtomicUsize,
    files_matched: AtomicUsize,
}

impl Events {
    pub(super) fn new(name: &'static str, table: &DeltaTable) -> Result<Self> {
        let state = table.snapshot().map_err(|e| DataFusionError::External(Box::new(e)))?.clone();
        Ok(Self {
            name,
            state,
            schema: table_schema(),
            files_total: AtomicUsize::new(0),
            files_matched: AtomicUsize::new(0),
        })
    }

    /// Files of the table and, of them, those that the log could not rule out; over all scans.
    pub(super) fn files(&self) -> (usize, usize) {
        (self.files_total.load(Ordering::Relaxed), self.files_matched.load(Ordering::Relaxed))
    }

    /// The files that may hold rows for which all filters are true.
    fn matching(&self, session: &dyn EngineSession, filters: &[Expr]) -> Result<Vec<LogicalFileView>> {
        let log = self.state.log_data();
        let files: Vec<LogicalFileView> = log.iter().collect();
        let keep = match conjunction(filters.iter().cloned()) {
            None => vec![true; files.len()],
            Some(filter) => {
                let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
                let filter = session.create_physical_expr(filter, &schema)?;
                // what cannot be decided from the log is read
                PruningPredicateBuilder::new()
                    .with_file_schema(Arc::clone(&self.schema))
                    .try_build(filter)
                    .and_then(|pruning| pruning.prune(&log))
                    .unwrap_or_else(|_| vec![true; files.len()])
            }
        };
        self.files_total.fetch_add(files.len(), Ordering::Relaxed);
        let files: Vec<_> =
            files.into_iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect();
        self.files_matched.fetch_add(files.len(), Ordering::Relaxed);
        Ok(files)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("version", &self.state.version()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn EngineSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files: Vec<_> =
            self.matching(session, filters)?.iter().map(partitioned_file).collect::<Result<_>>()?;
        if files.is_empty() {
            // The engine cannot group over a scan that has no partition.
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)));
        }
        let groups = FileGroup::new(files).split_files(session.config().target_partitions());
        let config = open_files(session, self.name, groups)?
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// A scan of these files of a session's table, with its columns.
pub(crate) fn open_files(
    session: &dyn EngineSession,
    table: &str,
    groups: Vec<FileGroup>,
) -> Result<FileScanConfigBuilder> {
    let runtime = session.runtime_env();
    let cache = runtime.cache_manager.get_file_metadata_cache();
    let reader = CachedParquetFileReaderFactory::new(runtime.object_store(store_url(table))?, cache);
    let schema =
        TableSchema::builder(file_schema()).with_table_partition_cols(partition_fields().to_vec()).build();
    let source = ParquetSource::new(schema)
        .with_table_parquet_options(session.default_table_options().parquet)
        .with_parquet_file_reader_factory(Arc::new(reader));
    let rows = groups.iter().flat_map(FileGroup::iter).map(file_rows);
    let rows = rows.fold(Precision::Exact(0), |sum, rows| sum.add(&rows));
    let statistics = Statistics { num_rows: rows, ..Statistics::new_unknown(&table_schema()) };
    Ok(FileScanConfigBuilder::new(store_url(table), Arc::new(source))
        .with_file_groups(groups)
        .with_statistics(statistics))
}

fn file_rows(file: &PartitionedFile) -> Precision<usize> {
    file.statistics.as_ref().map_or(Precision::Absent, |s| s.num_rows)
}

/// A file of the log for the engine.
pub(crate) fn partitioned_file(file: &LogicalFileView) -> Result<PartitionedFile> {
    let (class, day) = partition_of(file).ok_or_else(|| {
        DataFusionError::Execution(format!("file `{}` has no `{RETENTION}` and `{EVENT_DAY}`", file.path()))
    })?;
    let meta =
        file.try_into().map_err(|e: deltalake::DeltaTableError| DataFusionError::External(Box::new(e)))?;
    let num_rows = file.num_records().map_or(Precision::Absent, Precision::Exact);
    let columns = vec![ColumnStatistics::new_unknown(); file_schema().fields().len()];
    let statistics = Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: columns };
    Ok(PartitionedFile::new_from_meta(meta)
        .with_partition_values(vec![
            ScalarValue::Utf8(Some(class)),
            ScalarValue::Date32(Some(day_number(day))),
        ])
        .with_statistics(Arc::new(statistics))
        .with_metadata_size_hint(footer_guess(file.num_records().unwrap_or(0))))
}

/// Retention class and day of a file.
pub(crate) fn partition_of(file: &LogicalFileView) -> Option<(String, Date)> {
    let mut values = file.partition_values_map();
    let class = values.remove(RETENTION)??;
    let day = values.remove(EVENT_DAY)??.parse().ok()?;
    Some((class, day))
}

/// How much of a file's end is read at first, so that it holds the footer: the footer grows with the
/// number of row groups. The page index before it is only read of row groups that may match.
fn footer_guess(rows: usize) -> usize {
    const COLUMN_CHUNK_BYTES: usize = 160;
    const SCHEMA_BYTES: usize = 8 << 10;
    const FOOTER_BYTES_MAX: usize = 1 << 20;
    let groups = rows.div_ceil(ROW_GROUP_ROWS_MAX);
    let chunks = groups.saturating_mul(file_schema().fields().len());
    chunks.saturating_mul(COLUMN_CHUNK_BYTES).saturating_add(SCHEMA_BYTES).min(FOOTER_BYTES_MAX)
}
