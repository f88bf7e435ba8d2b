//! File statistics as Delta Lake wants them: a JSON text in the action that adds the file.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::{max, max_string, min, min_string},
    datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use jiff::{Span, Timestamp, civil::Date};
use serde_json::{Map, Value, json};

/// Longest text that goes into statistics, in bytes; a column with a longer bound gets none.
const TEXT_BYTES_MAX: usize = 64;

/// Row count, and minimum, maximum and null count of the columns `names` that `batches` have.
pub(super) fn of(batches: &[RecordBatch], names: &[&str]) -> String {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for name in names {
        let columns: Vec<&dyn Array> =
            batches.iter().filter_map(|b| b.column_by_name(name)).map(AsRef::as_ref).collect();
        if columns.is_empty() {
            continue;
        }
        nulls.insert((*name).to_owned(), columns.iter().map(|c| c.null_count()).sum::<usize>().into());
        let bounds = columns.iter().filter(|c| c.null_count() < c.len()).map(|c| bounds(*c));
        let merged = bounds.reduce(|a, b| Some((a?, b?)).map(|(a, b)| merge(a, b)));
        if let Some(Some((min, max))) = merged {
            low.insert((*name).to_owned(), min.json());
            high.insert((*name).to_owned(), max.json());
        }
    }
    json!({ "numRecords": rows, "minValues": low, "maxValues": high, "nullCount": nulls }).to_string()
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Bound {
    Text(String),
    Number(i64),
    Day(i32),
    Micros(i64),
}

impl Bound {
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(n) => (*n).into(),
            Self::Day(days) => days_text(*days).into(),
            // Bounds keep whole microseconds; times that jiff cannot show are none of ours.
            Self::Micros(us) => {
                Timestamp::from_microsecond(*us).map_or(Value::Null, |t| t.to_string().into())
            }
        }
    }
}

fn days_text(days: i32) -> String {
    let epoch = Date::constant(1970, 1, 1);
    epoch.saturating_add(Span::new().days(days)).to_string()
}

fn merge(a: (Bound, Bound), b: (Bound, Bound)) -> (Bound, Bound) {
    (if b.0 < a.0 { b.0 } else { a.0 }, if b.1 > a.1 { b.1 } else { a.1 })
}

/// Lowest and highest value of a column that has one, for the types that are bounded.
fn bounds(column: &dyn Array) -> Option<(Bound, Bound)> {
    match column.data_type() {
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            let (low, high) = (min_string(column)?, max_string(column)?);
            let short = low.len() <= TEXT_BYTES_MAX && high.len() <= TEXT_BYTES_MAX;
            short.then(|| (Bound::Text(low.to_owned()), Bound::Text(high.to_owned())))
        }
        DataType::Int32 => {
            let column = column.as_primitive::<Int32Type>();
            Some((Bound::Number(min(column)?.into()), Bound::Number(max(column)?.into())))
        }
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            Some((Bound::Number(min(column)?), Bound::Number(max(column)?)))
        }
        DataType::Date32 => {
            let column = column.as_primitive::<Date32Type>();
            Some((Bound::Day(min(column)?), Bound::Day(max(column)?)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let column = column.as_primitive::<TimestampMicrosecondType>();
            Some((Bound::Micros(min(column)?), Bound::Micros(max(column)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn batch(text: Vec<Option<&str>>, numbers: Vec<Option<i64>>) -> RecordBatch {
        let times = TimestampMicrosecondArray::from(numbers.clone()).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringArray::from(text))),
            ("number", Arc::new(Int64Array::from(numbers))),
            ("time", Arc::new(times)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn bounds_span_batches_and_leave_out_what_is_null_or_long() {
        let one = batch(vec![Some("b"), None], vec![Some(7), Some(1)]);
        let two = batch(vec![Some("a"), Some("c")], vec![None, Some(1_000_000)]);
        let stats: Value = serde_json::from_str(&of(&[one, two], &["text", "number", "time", "no"])).unwrap();
        let expected = json!({
            "numRecords": 4,
            "minValues": { "text": "a", "number": 1, "time": "1970-01-01T00:00:00.000001Z" },
            "maxValues": { "text": "c", "number": 1_000_000, "time": "1970-01-01T00:00:01Z" },
            "nullCount": { "text": 1, "number": 1, "time": 1 },
        });
        assert_eq!(stats, expected);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let stats: Value =
            serde_json::from_str(&of(&[batch(vec![Some(&long)], vec![None])], &["text", "number"])).unwrap();
        assert_eq!(stats["minValues"], json!({}));
        assert_eq!(stats["nullCount"], json!({ "text": 0, "number": 1 }));
    }
}
