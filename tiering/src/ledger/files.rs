//! The ledger's Parquet files: how they are written, read, and asked for unit keys.

use std::{
    collections::VecDeque,
    io::Cursor,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{AsArray, BooleanArray, Datum, RecordBatch, StringArray},
    compute::{
        cast, filter_record_batch,
        kernels::{
            boolean::or,
            cmp::eq,
            comparison::{ends_with, starts_with},
        },
    },
    datatypes::DataType,
    error::ArrowError,
};
use deltalake::logstore::LogStoreRef;
use futures::TryStreamExt;
use linchpin_normalize::UnitKey;
use object_store::{ObjectStoreExt as _, path::Path as ObjectPath};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowPredicateFn, RowFilter},
        async_reader::AsyncFileReader,
    },
    basic::{Compression, ZstdLevel},
    bloom_filter::Sbbf,
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        properties::{EnabledStatistics, WriterProperties},
        statistics::Statistics,
    },
    schema::types::ColumnPath,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    columns::{KIND, UNIT_CONSUMED, UNIT_KEY, conform},
    fact::hex,
};
use crate::delta::{DeltaError, TableFile};

/// Most unit rows in a row group: what a look-up has to read when a filter says "perhaps".
pub(super) const GROUP_ROWS_MAX: usize = 32_768;
/// Wrong "perhaps" of a bloom filter. A new unit asks every cold file, so it has to be rare.
const FILTER_FPP: f64 = 1e-4;
/// A file up to this size is fetched with one request.
const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// Writer properties: small files are written once a commit, so they favour speed.
pub(super) fn properties(rows: usize, compacted: bool) -> WriterProperties {
    let level = if compacted { 9 } else { 1 };
    let unit_key = ColumnPath::from(UNIT_KEY);
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_column_dictionary_enabled(unit_key.clone(), false)
        .set_column_bloom_filter_enabled(unit_key.clone(), true)
        .set_column_bloom_filter_fpp(unit_key.clone(), FILTER_FPP)
        .set_column_bloom_filter_max_ndv(unit_key, rows.clamp(1, GROUP_ROWS_MAX) as u64)
        .build()
}

/// Which rows to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Without the rows of consumed units; row groups that hold nothing else are not read.
    NotUnits,
}

type Builder = ParquetRecordBatchStreamBuilder<Box<dyn AsyncFileReader>>;

/// Reads files and keeps the bloom filters of those that were asked, within a bound.
pub(super) struct Files {
    log: LogStoreRef,
    filters: Mutex<Filters>,
    filter_bytes_max: usize,
}

#[derive(Default)]
struct Filters {
    by_path: FxHashMap<String, Arc<FileFilter>>,
    order: VecDeque<String>,
    bytes: usize,
}

/// Row groups of a file that hold units, each with its filter.
struct FileFilter {
    groups: Vec<(usize, Option<Sbbf>)>,
    bytes: usize,
}

impl Files {
    pub(super) fn new(log: LogStoreRef, filter_bytes_max: usize) -> Self {
        Self { log, filters: Mutex::default(), filter_bytes_max }
    }

    async fn open(&self, path: &str, size: u64) -> Result<Builder, DeltaError> {
        let location = ObjectPath::parse(path).unwrap_or_else(|_| ObjectPath::from(path));
        let store = self.log.object_store(None);
        let reader: Box<dyn AsyncFileReader> = if size <= WHOLE_BYTES_MAX {
            let object = |source| DeltaError::Object { path: path.to_owned(), source };
            let bytes = store.get(&location).await.map_err(object)?.bytes().await.map_err(object)?;
            Box::new(Cursor::new(bytes))
        } else {
            Box::new(TableFile { store, path: location, size })
        };
        Builder::new(reader).await.map_err(|e| bad(path, e))
    }

    /// The rows of a file, in the file schema.
    pub(super) async fn read(
        &self,
        path: &str,
        size: u64,
        which: Which,
    ) -> Result<Vec<RecordBatch>, DeltaError> {
        let mut builder = self.open(path, size).await?;
        if which == Which::NotUnits {
            let groups = builder.metadata().row_groups().iter().enumerate();
            let wanted = groups.filter(|(_, g)| !only_units(g)).map(|(i, _)| i).collect();
            builder = builder.with_row_groups(wanted);
        }
        let stream = builder.build().map_err(|e| bad(path, e))?;
        let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(|e| bad(path, e))?;
        let finish = |batch: RecordBatch| {
            let batch = conform(&batch)?;
            if which == Which::All {
                return Ok(batch);
            }
            let kinds = batch.column_by_name(KIND).and_then(|c| c.as_string_opt::<i32>());
            let keep: BooleanArray =
                kinds.into_iter().flat_map(|k| k.iter()).map(|k| Some(k != Some(UNIT_CONSUMED))).collect();
            filter_record_batch(&batch, &keep)
        };
        batches.into_iter().map(finish).collect::<Result<_, _>>().map_err(|e| bad(path, e.into()))
    }

    /// Which of `keys` the file holds.
    pub(super) async fn search(
        &self,
        path: &str,
        size: u64,
        keys: &[UnitKey],
    ) -> Result<Vec<UnitKey>, DeltaError> {
        let filter = match self.cached(path) {
            Some(filter) => filter,
            None => self.filter(path, size).await?,
        };
        let texts: FxHashSet<String> = keys.iter().map(ToString::to_string).collect();
        let perhaps =
            |bloom: &Option<Sbbf>| texts.iter().any(|t| bloom.as_ref().is_none_or(|b| b.check(t.as_str())));
        let groups: Vec<usize> = filter.groups.iter().filter(|(_, b)| perhaps(b)).map(|(i, _)| *i).collect();
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let builder = self.open(path, size).await?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), [UNIT_KEY]);
        let stream =
            builder.with_row_groups(groups).with_projection(mask).build().map_err(|e| bad(path, e))?;
        let found = stream.try_fold(Vec::new(), |mut found, batch| {
            if let Some(column) = batch.column(0).as_string_opt::<i32>() {
                let hits = column.iter().flatten().filter(|t| texts.contains(*t));
                found.extend(hits.filter_map(hex::parse).map(UnitKey));
            }
            futures::future::ready(Ok(found))
        });
        found.await.map_err(|e| bad(path, e))
    }

    /// The rows of a file whose text column `name` is the path `value` or ends with it; the other
    /// columns are read for those rows only.
    pub(super) async fn matching(
        &self,
        path: &str,
        size: u64,
        name: &str,
        value: &str,
    ) -> Result<Vec<RecordBatch>, DeltaError> {
        let end = StringArray::new_scalar(format!("/{value}"));
        let value = StringArray::new_scalar(value);
        self.chosen(path, size, name, move |texts| or(&eq(texts, &value)?, &ends_with(texts, &end)?)).await
    }

    /// The rows of a file whose text column `name` begins with `prefix`; the other columns are read for
    /// those rows only.
    pub(super) async fn beginning(
        &self,
        path: &str,
        size: u64,
        name: &str,
        prefix: &str,
    ) -> Result<Vec<RecordBatch>, DeltaError> {
        let prefix = StringArray::new_scalar(prefix);
        self.chosen(path, size, name, move |texts| starts_with(texts, &prefix)).await
    }

    /// The rows of a file that are chosen by the text column `name`.
    async fn chosen(
        &self,
        path: &str,
        size: u64,
        name: &str,
        mut choose: impl FnMut(&dyn Datum) -> Result<BooleanArray, ArrowError> + Send + 'static,
    ) -> Result<Vec<RecordBatch>, DeltaError> {
        let builder = self.open(path, size).await?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), [name]);
        let chosen =
            ArrowPredicateFn::new(mask, move |batch| choose(&cast(batch.column(0), &DataType::Utf8)?));
        let stream = builder.with_row_filter(RowFilter::new(vec![Box::new(chosen)])).build();
        let batches: Vec<RecordBatch> =
            stream.map_err(|e| bad(path, e))?.try_collect().await.map_err(|e| bad(path, e))?;
        batches.iter().map(conform).collect::<Result<_, _>>().map_err(|e| bad(path, e.into()))
    }

    fn cached(&self, path: &str) -> Option<Arc<FileFilter>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner).by_path.get(path).cloned()
    }

    /// Loads the filters of a file and keeps them; the oldest make room.
    async fn filter(&self, path: &str, size: u64) -> Result<Arc<FileFilter>, DeltaError> {
        let mut builder = self.open(path, size).await?;
        let metadata = Arc::clone(builder.metadata());
        let mut filter = FileFilter { groups: Vec::new(), bytes: path.len() };
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let Some(column) = group.columns().iter().position(|c| c.column_path().string() == UNIT_KEY)
            else {
                continue;
            };
            if group.column(column).statistics().and_then(Statistics::null_count_opt)
                == Some(group.num_rows() as u64)
            {
                continue;
            }
            let bloom =
                builder.get_row_group_column_bloom_filter(index, column).await.map_err(|e| bad(path, e))?;
            filter.bytes += bloom.as_ref().map_or(0, |b| b.num_blocks() * 32);
            filter.groups.push((index, bloom));
        }
        let filter = Arc::new(filter);
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if filters.by_path.insert(path.to_owned(), Arc::clone(&filter)).is_none() {
            filters.order.push_back(path.to_owned());
            filters.bytes += filter.bytes;
        }
        while filters.bytes > self.filter_bytes_max {
            let Some(oldest) = filters.order.pop_front() else { break };
            let bytes = filters.by_path.remove(&oldest).map_or(0, |f| f.bytes);
            filters.bytes -= bytes;
        }
        Ok(filter)
    }
}

/// Whether a row group holds nothing but consumed units.
fn only_units(group: &RowGroupMetaData) -> bool {
    let kind = group.columns().iter().find(|c| c.column_path().string() == KIND);
    let Some(Statistics::ByteArray(stats)) = kind.and_then(|c| c.statistics()) else { return false };
    let is_unit = |bound: Option<&parquet::data_type::ByteArray>| {
        bound.is_some_and(|b| b.data() == UNIT_CONSUMED.as_bytes())
    };
    is_unit(stats.min_opt()) && is_unit(stats.max_opt()) && stats.null_count_opt() == Some(0)
}

fn bad(path: &str, source: ParquetError) -> DeltaError {
    DeltaError::Parquet { path: path.to_owned(), source }
}
