//! What a data file says of itself in the table's log, so that readers can pass it by.

use jiff::Timestamp;
use parquet::file::{metadata::ParquetMetaData, statistics::Statistics};
use serde_json::{Map, Value, json};

use super::columns::STATISTICS_COLUMNS;

/// The statistics of a file as the text that Delta's log wants: number of rows, and for some columns the
/// smallest and largest value and the number of nulls, taken from the file's footer.
pub(super) fn delta_stats(footer: &ParquetMetaData) -> String {
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    for name in STATISTICS_COLUMNS {
        let chunks = footer
            .row_groups()
            .iter()
            .map(|group| group.columns().iter().find(|c| c.column_descr().name() == name)?.statistics());
        let Some(chunks) = chunks.collect::<Option<Vec<&Statistics>>>() else { continue };
        if let Some(count) = chunks.iter().map(|s| s.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(name.to_owned(), count.into());
        }
        if let Some(bounds) = bounds(name, &chunks) {
            min.insert(name.to_owned(), bounds.0);
            max.insert(name.to_owned(), bounds.1);
        }
    }
    let rows = footer.file_metadata().num_rows();
    json!({ "numRecords": rows, "minValues": min, "maxValues": max, "nullCount": nulls }).to_string()
}

/// Smallest and largest value over all row groups; `None` when a group does not say.
fn bounds(name: &str, chunks: &[&Statistics]) -> Option<(Value, Value)> {
    // a group of nulls only has no bounds and widens none
    let chunks: Vec<&&Statistics> = chunks.iter().filter(|s| s.min_bytes_opt().is_some()).collect();
    match chunks.first()? {
        Statistics::Int32(_) => {
            let (min, max) = fold(&chunks, |s| match s {
                Statistics::Int32(v) => Some((*v.min_opt()?, *v.max_opt()?)),
                _ => None,
            })?;
            Some((min.into(), max.into()))
        }
        Statistics::Int64(_) => {
            let (min, max) = fold(&chunks, |s| match s {
                Statistics::Int64(v) => Some((*v.min_opt()?, *v.max_opt()?)),
                _ => None,
            })?;
            if name == "time" { Some((rfc3339(min)?, rfc3339(max)?)) } else { Some((min.into(), max.into())) }
        }
        Statistics::ByteArray(_) => {
            let (min, max) = fold(&chunks, |s| match s {
                Statistics::ByteArray(v) => {
                    Some((v.min_opt()?.as_utf8().ok()?.to_owned(), v.max_opt()?.as_utf8().ok()?.to_owned()))
                }
                _ => None,
            })?;
            Some((min.into(), max.into()))
        }
        _ => None,
    }
}

fn fold<T: Ord>(chunks: &[&&Statistics], of: impl Fn(&Statistics) -> Option<(T, T)>) -> Option<(T, T)> {
    let mut all = chunks.iter().map(|s| of(s));
    let first = all.next()??;
    all.try_fold(first, |(low, high), next| next.map(|(min, max)| (low.min(min), high.max(max))))
}

/// A time in microseconds as text; `None` beyond the year 9999, where text sorts wrongly.
fn rfc3339(micros: i64) -> Option<Value> {
    Timestamp::from_microsecond(micros).ok().map(|t| Value::String(format!("{t:.6}")))
}
