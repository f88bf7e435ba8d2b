//! From rows to sorted Parquet files: the part of the hot table that costs CPU and does no IO.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray, new_null_array},
    compute::interleave,
    datatypes::{Int32Type, TimestampMicrosecondType},
    error::ArrowError,
};
use bytes::Bytes;
use jiff::{SignedDuration, civil::Date};
use linchpin_normalize::columns;
use parquet::arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions};

use super::{
    HotError,
    columns::{PAGE_ROWS_MAX, file_schema, writer_properties},
    stats::delta_stats,
};
use crate::policy::RetentionClass;

/// Most partitions that one commit touches.
pub const COMMIT_PARTITIONS_MAX: usize = 128;
/// Events older than this are kept under the day of their ingest.
pub const EVENT_AGE_DAYS_MAX: i32 = 30;
/// Events further ahead than this are kept under the day of their ingest.
pub const EVENT_AHEAD_DAYS_MAX: i32 = 1;

const DAY_MICROS: i64 = 86_400_000_000;

/// Rows of one feed, with the address of each row's raw event.
#[derive(Debug, Clone)]
pub struct HotRows {
    /// The linchpin columns.
    pub rows: RecordBatch,
    /// For each row, the index of its class.
    pub class: Vec<u8>,
    /// For each class, the segment that holds its events (empty where no row has it).
    pub segments: Arc<[Arc<str>]>,
    /// For each row, the number of its raw event in its segment.
    pub row: Vec<u32>,
    /// For each row, its number among the rows of its event.
    pub sub: Vec<u32>,
    /// The feed.
    pub feed: Arc<str>,
}

/// Rows of one retention class and day, sorted by event class and time: one Parquet file.
#[derive(Debug, Clone)]
pub struct HotFile {
    /// Name of the retention class.
    pub class: String,
    /// Day of the events, or of their ingest where they were moved.
    pub day: Date,
    /// The file.
    pub bytes: Bytes,
    /// Statistics for the table's log (JSON).
    pub stats: String,
    /// Number of rows.
    pub rows: u64,
}

/// Sorts rows into one file per retention class and event day.
///
/// `now_ms` is the time of ingest (epoch milliseconds): events whose day is not within
/// [now − 30 d, now + 1 d], and those of more days than a commit may touch, go to its day.
pub fn encode(rows: &[HotRows], classes: &[RetentionClass], now_ms: i64) -> Result<Vec<HotFile>, HotError> {
    let mut groups = group(rows, now_ms)?;
    for places in groups.values_mut() {
        places.sort_unstable();
    }
    groups.into_iter().map(|((class, day), places)| encode_file(rows, classes, class, day, &places)).collect()
}

/// One row and what it is sorted by; the order of the fields is the order of the file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    class_uid: i32,
    time: i64,
    batch: u32,
    row: u32,
}

/// Class index and day (since 1970) of a partition.
type Partition = (u8, i32);

fn group(rows: &[HotRows], now_ms: i64) -> Result<BTreeMap<Partition, Vec<Place>>, HotError> {
    let today = today(now_ms);
    let mut groups: BTreeMap<Partition, Vec<Place>> = BTreeMap::new();
    for (batch, rows) in rows.iter().enumerate() {
        let n = rows.rows.num_rows();
        if [rows.class.len(), rows.row.len(), rows.sub.len()] != [n; 3] {
            return Err(HotError::Rows(format!("{n} rows, but not as many addresses")));
        }
        let (times, class_uids) = sort_columns(&rows.rows)?;
        for (row, ((class, time), class_uid)) in rows.class.iter().zip(times).zip(class_uids).enumerate() {
            let day = plausible_day(*time, today);
            let place = Place { class_uid: *class_uid, time: *time, batch: batch as u32, row: row as u32 };
            groups.entry((*class, day)).or_default().push(place);
        }
    }
    Ok(limit(groups, today))
}

fn today(now_ms: i64) -> i32 {
    now_ms.div_euclid(DAY_MICROS / 1000) as i32
}

/// The day of a moment, or that of its ingest where it is not plausible.
fn plausible_day(micros: i64, today: i32) -> i32 {
    let day = day_of(micros);
    let plausible = today - EVENT_AGE_DAYS_MAX..=today + EVENT_AHEAD_DAYS_MAX;
    if plausible.contains(&day) { day } else { today }
}

/// The partition day of an event at `micros` that was ingested at `now_ms`.
pub fn event_day(micros: i64, now_ms: i64) -> Result<Date, HotError> {
    date(plausible_day(micros, today(now_ms)))
}

/// Moves the smallest days to the day of ingest until a commit may touch all that is left.
fn limit(mut groups: BTreeMap<Partition, Vec<Place>>, today: i32) -> BTreeMap<Partition, Vec<Place>> {
    if groups.len() <= COMMIT_PARTITIONS_MAX {
        return groups;
    }
    let classes = groups.keys().map(|(class, _)| *class).collect::<std::collections::BTreeSet<u8>>().len();
    let mut days: Vec<(usize, Partition)> =
        groups.iter().filter(|((_, day), _)| *day != today).map(|(key, rows)| (rows.len(), *key)).collect();
    days.sort_unstable();
    let kept = COMMIT_PARTITIONS_MAX.saturating_sub(classes);
    for (_, key) in &days[..days.len().saturating_sub(kept)] {
        if let Some(moved) = groups.remove(key) {
            groups.entry((key.0, today)).or_default().extend(moved);
        }
    }
    groups
}

fn sort_columns(rows: &RecordBatch) -> Result<(&[i64], &[i32]), HotError> {
    let missing = || HotError::Rows("not the linchpin columns".to_owned());
    let column =
        |name: &str| columns::index(name).filter(|n| *n < rows.num_columns()).map(|n| rows.column(n));
    let times = column("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let class_uids = column("class_uid").and_then(|c| c.as_primitive_opt::<Int32Type>());
    Ok((times.ok_or_else(missing)?.values(), class_uids.ok_or_else(missing)?.values()))
}

fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX)
}

fn encode_file(
    rows: &[HotRows],
    classes: &[RetentionClass],
    class: u8,
    day: i32,
    places: &[Place],
) -> Result<HotFile, HotError> {
    let name = classes.get(usize::from(class)).map(|c| c.name.clone());
    let name = name.ok_or_else(|| HotError::Rows(format!("no class has the index {class}")))?;
    let gathered = Gathered::new(rows);
    let options = ArrowWriterOptions::new()
        .with_properties(writer_properties(places.len())?)
        .with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, file_schema(), options)?;
    for chunk in places.chunks(PAGE_ROWS_MAX) {
        let at: Vec<(usize, usize)> = chunk.iter().map(|p| (p.batch as usize, p.row as usize)).collect();
        let mut columns = gathered.at(&at)?;
        columns.extend(address_columns(rows, class, day, chunk)?);
        writer.write(&RecordBatch::try_new(file_schema(), columns)?)?;
    }
    let footer = writer.close()?;
    Ok(HotFile {
        class: name,
        day: date(day)?,
        stats: delta_stats(&footer),
        bytes: bytes.into(),
        rows: places.len() as u64,
    })
}

/// The linchpin columns of several batches: for each, its arrays. A column without any value, as most
/// are to most sources, is one array of nulls.
struct Gathered<'r>(Vec<Result<Vec<&'r dyn Array>, ArrayRef>>);

impl<'r> Gathered<'r> {
    fn new(rows: &'r [HotRows]) -> Self {
        let schema = columns::schema();
        let columns = schema.fields().iter().enumerate().map(|(n, field)| {
            let arrays: Vec<&dyn Array> = rows.iter().map(|r| r.rows.column(n).as_ref()).collect();
            let empty = arrays.iter().all(|array| array.null_count() == array.len());
            if empty { Err(new_null_array(field.data_type(), PAGE_ROWS_MAX)) } else { Ok(arrays) }
        });
        Self(columns.collect())
    }

    /// These rows, as (batch, row), of which there are no more than a page has.
    fn at(&self, places: &[(usize, usize)]) -> Result<Vec<ArrayRef>, ArrowError> {
        let column = |column: &Result<Vec<&dyn Array>, ArrayRef>| match column {
            Ok(arrays) => interleave(arrays, places),
            Err(nulls) => Ok(nulls.slice(0, places.len())),
        };
        self.0.iter().map(column).collect()
    }
}

/// `feed`, `segment`, `row`, `sub` and `day_moved` of these rows.
fn address_columns(
    rows: &[HotRows],
    class: u8,
    day: i32,
    places: &[Place],
) -> Result<[ArrayRef; 5], HotError> {
    let of = |p: &Place| &rows[p.batch as usize];
    let segment = |p: &Place| of(p).segments.get(usize::from(class)).filter(|s| !s.is_empty());
    if let Some(place) = places.iter().find(|p| segment(p).is_none()) {
        return Err(HotError::Rows(format!("feed `{}` has no segment for class {class}", of(place).feed)));
    }
    Ok([
        Arc::new(StringArray::from_iter_values(places.iter().map(|p| &of(p).feed))),
        Arc::new(StringArray::from_iter_values(places.iter().filter_map(segment))),
        Arc::new(Int32Array::from_iter_values(places.iter().map(|p| of(p).row[p.row as usize] as i32))),
        Arc::new(Int32Array::from_iter_values(places.iter().map(|p| of(p).sub[p.row as usize] as i32))),
        Arc::new(places.iter().map(|p| Some(day_of(p.time) != day)).collect::<BooleanArray>()),
    ])
}

/// The day with that number since 1970.
pub(super) fn date(day: i32) -> Result<Date, HotError> {
    let date = EPOCH.checked_add(SignedDuration::from_hours(i64::from(day) * 24));
    date.map_err(|e| HotError::Rows(format!("day {day}: {e}")))
}

/// The number of a day since 1970.
pub(crate) fn day_number(date: Date) -> i32 {
    date.duration_since(EPOCH).as_hours() as i32 / 24
}

const EPOCH: Date = Date::constant(1970, 1, 1);
