//! Parquet files as the hot table has them. The settings are those of `tiering/src/hot/columns.rs`:
//! change them together, or the parts are measured on another file than the whole.

use anyhow::Result;
use arrow::{
    array::RecordBatch,
    compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch},
};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use crate::rows::{needles, schema};

const ROW_GROUP_ROWS_MAX: usize = 131_072;
/// Rows of a page, and of the batches that are written.
pub const PAGE_ROWS_MAX: usize = 8192;
const BLOOM_FPP: f64 = 0.01;
const ZSTD_LEVEL: i32 = 3;
const UNIQUE_COLUMNS: [&str; 4] = ["event_id", "raw_hash", "metadata_uid", "api_request_uid"];
const ASCENDING_COLUMNS: [&str; 2] = ["time", "row"];

/// All rows by class and time, in batches of a page.
pub fn sorted(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let all = concat_batches(&schema(), batches)?;
    let keys = ["class_uid", "time"].map(|name| {
        let values = all.schema().index_of(name).map(|column| all.column(column).clone())?;
        Ok(SortColumn { values, options: None })
    });
    let keys = keys.into_iter().collect::<Result<Vec<_>>>()?;
    let sorted = take_record_batch(&all, &lexsort_to_indices(&keys, None)?)?;
    let starts = (0..sorted.num_rows()).step_by(PAGE_ROWS_MAX);
    Ok(starts.map(|at| sorted.slice(at, PAGE_ROWS_MAX.min(sorted.num_rows() - at))).collect())
}

/// The batches as one file: what is timed.
pub fn write(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let options = ArrowWriterOptions::new().with_properties(properties(rows)?).with_skip_arrow_metadata(true);
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut file, schema(), options)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    Ok(file)
}

fn properties(rows: usize) -> Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_statistics_enabled(EnabledStatistics::Page);
    let values_max = rows.clamp(1, ROW_GROUP_ROWS_MAX) as u64;
    for name in needles() {
        builder = builder
            .set_column_bloom_filter_fpp(ColumnPath::from(name), BLOOM_FPP)
            .set_column_bloom_filter_max_ndv(ColumnPath::from(name), values_max);
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
