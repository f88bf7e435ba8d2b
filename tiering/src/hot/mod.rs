//! The hot table: the rows of recent events as a Delta Lake table that any engine can read.
//!
//! Rows lie in `retention=<class>/event_day=<day>` partitions, sorted by event class and time, so that
//! expiry drops whole files and a search reads few. [`encode`] makes the files (CPU only, for worker
//! threads); [`HotTable::commit`] puts them and records the worker's position in the same commit, so
//! that an epoch is added exactly once however often it is tried. Compaction merges small files and
//! changes no row. Readers never wait for writers.

mod columns;
mod compact;
mod encode;
mod replace;
mod stats;
mod table;
#[cfg(test)]
mod tests;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use parquet::errors::ParquetError;

pub(crate) use columns::partition_fields;
pub use columns::{
    DAY_MOVED, EVENT_DAY, PAGE_ROWS_MAX, PARTITION_COLUMNS, RETENTION, ROW, ROW_GROUP_ROWS_MAX, SEGMENT,
    STATISTICS_COLUMNS, SUB, file_schema, table_schema,
};
pub use compact::{COMPACT_BYTES_TARGET, COMPACT_FILES_EACH, COMPACT_FILES_MIN, Compacted};
pub(crate) use encode::day_number;
pub use encode::{
    COMMIT_PARTITIONS_MAX, EVENT_AGE_DAYS_MAX, EVENT_AHEAD_DAYS_MAX, HotFile, HotRows, encode, event_day,
};
pub use replace::{Goes, Replacement};
pub use table::{COMMIT_ATTEMPTS_MAX, HotCommit, HotStats, HotTable, due};

use crate::delta::DeltaError;

/// Why the hot table could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HotError {
    /// The rows that were given do not fit together.
    #[error("hot rows are not usable: {0}")]
    Rows(String),
    /// The table or its store failed.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// A batch could not be built.
    #[error("hot rows failed: {0}")]
    Arrow(#[from] ArrowError),
    /// A file could not be encoded.
    #[error("hot file failed: {0}")]
    Parquet(#[from] ParquetError),
    /// Files could not be merged.
    #[error("merging hot files failed: {0}")]
    Merge(#[from] DataFusionError),
    /// There is no thread to merge files.
    #[error("files cannot be merged: {0}")]
    Thread(#[from] std::io::Error),
}
