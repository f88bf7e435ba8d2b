//! Rows for tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{DataType, TimeUnit},
    json::ReaderBuilder,
};
use linchpin_normalize::columns;

/// `n` rows with these columns; the others are null, or the row's number where they must not be.
pub(crate) fn rows(n: usize, given: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = columns::schema();
    let columns = schema.fields().iter().map(|field| {
        if let Some((_, column)) = given.iter().find(|(name, _)| name == field.name()) {
            return Arc::clone(column);
        }
        match field.data_type() {
            ty if field.is_nullable() => new_null_array(ty, n),
            DataType::Utf8 => Arc::new(StringArray::from_iter_values((0..n).map(|i| i.to_string()))),
            DataType::Int32 => Arc::new(Int32Array::from_iter_values(0..n as i32)),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(0..n as i64)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => times(0..n as i64),
            other => panic!("no sample of {other}"),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// Times in microseconds as a column.
pub(crate) fn times(micros: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

/// Rows from one JSON object a line.
pub(crate) fn json_rows(lines: &str) -> RecordBatch {
    let schema = columns::schema();
    let nullable = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    let nullable = Arc::new(arrow::datatypes::Schema::new(nullable.collect::<Vec<_>>()));
    let mut reader = ReaderBuilder::new(nullable).build(lines.as_bytes()).unwrap();
    let read = reader.next().unwrap().unwrap();
    let given: Vec<(&str, ArrayRef)> = columns::COLUMNS
        .iter()
        .map(|c| (c.name, Arc::clone(read.column_by_name(c.name).unwrap())))
        .filter(|(_, column)| column.null_count() < column.len())
        .collect();
    rows(read.num_rows(), &given)
}
