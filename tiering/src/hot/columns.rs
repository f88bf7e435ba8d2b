//! The columns of the hot table, and how its files are written.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use linchpin_normalize::columns::{self, COLUMNS};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use crate::policy::FEED;

/// Name of the retention class; partition column.
pub const RETENTION: &str = "retention";
/// UTC day of the event, or of its ingest where `day_moved`; partition column.
pub const EVENT_DAY: &str = "event_day";
/// Segment that holds the raw event.
pub const SEGMENT: &str = "segment";
/// Number of the raw event in its segment.
pub const ROW: &str = "row";
/// Number of the row among those of its event.
pub const SUB: &str = "sub";
/// Whether `event_day` is not the day of `time`: the event claims an implausible time.
pub const DAY_MOVED: &str = "day_moved";

/// The partition columns, in order.
pub const PARTITION_COLUMNS: [&str; 2] = [RETENTION, EVENT_DAY];

/// Columns whose smallest and largest values stand in the table's log.
pub const STATISTICS_COLUMNS: [&str; 8] = [
    "time",
    "class_uid",
    "severity_id",
    "source",
    "cloud_account_uid",
    "src_endpoint_ip",
    "dst_endpoint_ip",
    FEED,
];

/// Most rows of a row group: the unit that bloom filters skip.
pub const ROW_GROUP_ROWS_MAX: usize = 131_072;
/// Most rows of a page: the unit that is read.
pub const PAGE_ROWS_MAX: usize = 8192;
/// False positives of a bloom filter.
const BLOOM_FPP: f64 = 0.01;
/// Level of compression. On columns of this size the next level is slower and no smaller.
const ZSTD_LEVEL: i32 = 2;
/// Columns that hardly repeat: a dictionary would only be thrown away.
const UNIQUE_COLUMNS: [&str; 4] = ["event_id", "raw_hash", "metadata_uid", "api_request_uid"];
/// Columns that mostly grow from row to row: stored as differences.
const ASCENDING_COLUMNS: [&str; 2] = ["time", ROW];

/// Columns of a data file: the linchpin columns, then the address of the raw event.
pub fn file_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = columns::schema().fields().to_vec();
        let more = [
            Field::new(FEED, DataType::Utf8, false),
            Field::new(SEGMENT, DataType::Utf8, false),
            Field::new(ROW, DataType::Int32, false),
            Field::new(SUB, DataType::Int32, false),
            Field::new(DAY_MOVED, DataType::Boolean, false),
        ];
        fields.extend(more.map(Arc::new));
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Columns of the table: those of a file, then the partition columns.
pub fn table_schema() -> SchemaRef {
    let mut fields = file_schema().fields().to_vec();
    fields.extend(partition_fields());
    Arc::new(Schema::new(fields))
}

/// The partition columns as fields.
pub(crate) fn partition_fields() -> [Arc<Field>; 2] {
    [
        Arc::new(Field::new(RETENTION, DataType::Utf8, false)),
        Arc::new(Field::new(EVENT_DAY, DataType::Date32, false)),
    ]
}

/// How a file of `rows` rows is written.
pub(crate) fn writer_properties(rows: usize) -> Result<WriterProperties, ParquetError> {
    let schema = file_schema();
    let sorting = ["class_uid", "time"].iter().filter_map(|name| schema.index_of(name).ok());
    let sorting =
        sorting.map(|n| SortingColumn { column_idx: n as i32, descending: false, nulls_first: false });
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()));
    // the filters are folded to what their columns really hold
    let values_max = rows.clamp(1, ROW_GROUP_ROWS_MAX) as u64;
    for column in COLUMNS.iter().filter(|c| c.bloom) {
        builder = builder
            .set_column_bloom_filter_fpp(ColumnPath::from(column.name), BLOOM_FPP)
            .set_column_bloom_filter_max_ndv(ColumnPath::from(column.name), values_max);
    }
    for name in UNIQUE_COLUMNS {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    for name in ASCENDING_COLUMNS {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(builder.build())
}
