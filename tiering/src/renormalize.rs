//! Makes hot rows again from the archive, by today's mappings.
//!
//! [`prepare`] finds the events that a predicate chooses by the rows they have, reads their raw bytes,
//! normalises them again and says field by field what differs. It changes nothing that a reader sees.
//! [`Prepared::replace`] then exchanges the rows in one commit: a reader sees all old rows or all new
//! ones. All rows of an event are exchanged, also those that the predicate does not choose. The
//! retention class of an event stays: rules are for new events only.
//!
//! Days whose hot rows have expired are not touched; a job that delivers to the table `rehydrated`
//! gives their rows by today's mappings.

mod difference;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int32Type,
};
use jiff::civil::Date;
use linchpin_normalize::Normalizer;
use linchpin_store::StoreError;

use difference::Differences;
pub use difference::{Difference, Report};

use crate::{
    Lake, LakeError,
    archive::ArchiveError,
    hot::{EVENT_DAY, HotError, HotRows, RETENTION, ROW, Replacement, SEGMENT, encode},
    ledger::{CommitError, Fact, HotRebuiltFact, SegmentState},
    policy::{Predicate, RetentionClass},
    replay::{self, OpenSegment, Run},
    search::{SearchError, SearchLimits},
};

/// Most events in one go: their addresses are in memory.
pub const EVENTS_MAX: usize = 5_000_000;
/// Rows that are compared at once.
const ROWS_MAX: usize = 50_000;
const DAY_MS: i64 = 86_400_000;

/// Why rows could not be made again.
#[derive(Debug, thiserror::Error)]
pub enum RenormalizeError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The hot table could not be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The hot table could not be changed.
    #[error(transparent)]
    Hot(#[from] HotError),
    /// A segment could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Rows could not be handled.
    #[error("rows cannot be compared: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The ledger could not be told.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Too much at once.
    #[error("more than {EVENTS_MAX} events\nhint: narrow the predicate or the period and go step by step")]
    TooMany,
    /// A segment must be restored first.
    #[error(
        "segment `{0}` must be restored before it can be read\nhint: `linchpin rehydrate … --deliver table` gives its rows by today's mappings"
    )]
    Archived(String),
    /// The hot table names a segment that the ledger does not have.
    #[error("segment `{0}` is not in the ledger\nhint: run `linchpin verify`")]
    NoSegment(String),
    /// Rows came or went meanwhile; nothing was changed.
    #[error(
        "the hot table changed meanwhile: {found} rows instead of {expected}; nothing was replaced\nhint: try again"
    )]
    Changed {
        /// Rows that are to go.
        expected: u64,
        /// Rows that would have gone.
        found: u64,
    },
}

/// Which events.
pub struct Request {
    /// By the rows they have.
    pub predicate: Predicate,
    /// Their times, epoch milliseconds.
    pub period: Range<i64>,
    /// What finding them may use.
    pub limits: SearchLimits,
}

/// Rows of events by segment.
pub(crate) type Addresses = BTreeMap<String, BTreeSet<u32>>;

/// New rows, ready to take the place of the old ones.
#[derive(Debug)]
pub struct Prepared {
    /// What differs.
    pub report: Report,
    addresses: Addresses,
    partitions: BTreeSet<(String, Date)>,
    replacement: Replacement,
    fact: HotRebuiltFact,
}

/// Finds and reads the events and compares their rows. With `keep` the new rows are put into the
/// store of the hot table, where nobody sees them until they are [replaced](Prepared::replace).
pub async fn prepare(
    lake: &Lake,
    request: &Request,
    normalizer: &mut Normalizer,
    keep: bool,
    by: &str,
) -> Result<Prepared, RenormalizeError> {
    let expired = lake.ledger.hot_expired();
    let (addresses, mut partitions) = addresses(lake, request, &expired).await?;
    let mut segments = Vec::with_capacity(addresses.len());
    for id in addresses.keys() {
        segments.push(lake.ledger.segment(id).ok_or_else(|| RenormalizeError::NoSegment(id.clone()))?);
    }
    // Rows of one class and ingest day share their files.
    segments.sort_by_key(batch_key);
    let mut making = Making {
        lake,
        addresses: &addresses,
        expired: &expired,
        limits: &request.limits,
        differences: Differences::default(),
        replacement: keep.then(Replacement::default),
        partitions: &mut partitions,
        rows: Vec::new(),
        batch: Vec::new(),
        count: 0,
    };
    for segment in segments {
        making.segment(segment, normalizer).await?;
    }
    making.flush().await?;
    let Making { differences, replacement, .. } = making;
    let report = differences.report();
    let fact = HotRebuiltFact {
        predicate: request.predicate.sql().to_owned(),
        source: None,
        from_ms: request.period.start,
        to_ms: request.period.end,
        rows: report.rows_after,
        by: by.to_owned(),
    };
    let replacement = replacement.unwrap_or_default();
    Ok(Prepared { report, addresses, partitions, replacement, fact })
}

impl Prepared {
    /// Exchanges old rows for new ones in one commit and tells the ledger; gives the number of new rows.
    pub async fn replace(self, lake: &Lake, now_ms: i64) -> Result<u64, RenormalizeError> {
        let (addresses, expected) = (&self.addresses, self.report.rows_before);
        let goes = |segment: &str, row: u32| addresses.get(segment).is_some_and(|rows| rows.contains(&row));
        let partitions = &self.partitions;
        let gone = lake
            .hot
            .replace_rows(|partition| partitions.contains(partition), &goes, expected, self.replacement)
            .await?;
        if gone != expected {
            return Err(RenormalizeError::Changed { expected, found: gone });
        }
        lake.ledger.commit_at(vec![Fact::HotRebuilt(self.fact)], now_ms).await?;
        Ok(self.report.rows_after)
    }

    /// Forgets the new rows.
    pub async fn discard(self, lake: &Lake) {
        lake.hot.discard(self.replacement).await;
    }
}

/// Events that are asked for, by the rows they have, and the partitions of those rows.
async fn addresses(
    lake: &Lake,
    request: &Request,
    expired: &BTreeSet<(String, Date)>,
) -> Result<(Addresses, BTreeSet<(String, Date)>), RenormalizeError> {
    let wanted = [SEGMENT, ROW, RETENTION, EVENT_DAY];
    let predicate = Some(&request.predicate);
    let mut found = lake.hot.rows_where(predicate, request.period.clone(), &wanted, &request.limits).await?;
    let (mut addresses, mut partitions, mut events) = (Addresses::new(), BTreeSet::new(), 0);
    while let Some(batch) = found.next().await? {
        let (segments, rows) = (texts(&batch, SEGMENT)?, ints(&batch, ROW)?);
        let (classes, days) = (texts(&batch, RETENTION)?, texts(&batch, EVENT_DAY)?);
        for n in 0..batch.num_rows() {
            let partition = days[n].parse().ok().map(|day| (classes[n].clone(), day));
            let Some(partition) = partition.filter(|p| !expired.contains(p)) else { continue };
            partitions.insert(partition);
            let rows_of = match addresses.get_mut(&segments[n]) {
                Some(rows) => rows,
                None => addresses.entry(segments[n].clone()).or_default(),
            };
            events += usize::from(rows_of.insert(rows[n] as u32));
        }
        if events > EVENTS_MAX {
            return Err(RenormalizeError::TooMany);
        }
    }
    Ok((addresses, partitions))
}

/// A text column as text, whatever its encoding; a date as `2026-01-31`.
pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Result<Vec<String>, arrow::error::ArrowError> {
    let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)?;
    Ok(column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// A column of numbers.
pub(crate) fn ints(batch: &RecordBatch, name: &str) -> Result<Vec<i32>, arrow::error::ArrowError> {
    let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int32Type>());
    Ok(column.ok_or_else(|| missing(name))?.values().to_vec())
}

fn missing(name: &str) -> arrow::error::ArrowError {
    arrow::error::ArrowError::SchemaError(format!("no column `{name}`"))
}

/// Retention class and ingest day: what decides a row's partition beside its own day.
fn batch_key(segment: &SegmentState) -> (String, i64) {
    (segment.fact.retention.clone(), segment.committed_ms.div_euclid(DAY_MS))
}

/// New rows on their way into files.
struct Making<'a> {
    lake: &'a Lake,
    addresses: &'a Addresses,
    expired: &'a BTreeSet<(String, Date)>,
    limits: &'a SearchLimits,
    differences: Differences,
    /// Where new files are noted, if they are kept.
    replacement: Option<Replacement>,
    partitions: &'a mut BTreeSet<(String, Date)>,
    rows: Vec<HotRows>,
    /// The segments of `rows`.
    batch: Vec<SegmentState>,
    count: usize,
}

impl Making<'_> {
    async fn segment(
        &mut self,
        segment: SegmentState,
        normalizer: &mut Normalizer,
    ) -> Result<(), RenormalizeError> {
        let other = self.batch.first().is_some_and(|first| batch_key(first) != batch_key(&segment));
        if other || self.count >= ROWS_MAX {
            self.flush().await?;
        }
        let rows = read(self.lake, self.addresses, &segment, normalizer).await?;
        self.count += rows.iter().map(|rows| rows.row.len()).sum::<usize>();
        self.rows.extend(rows);
        self.batch.push(segment);
        Ok(())
    }

    /// Compares what was gathered with what the table has, and puts it into files.
    async fn flush(&mut self) -> Result<(), RenormalizeError> {
        let (rows, batch) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.batch));
        self.count = 0;
        let Some(first) = batch.first() else { return Ok(()) };
        let old = self.old(&batch).await?;
        self.differences.add(&old, &rows, self.addresses)?;
        let class =
            [RetentionClass::new(&first.fact.retention, std::time::Duration::MAX, std::time::Duration::MAX)];
        // The day of ingest decides where implausible times go: as it did then.
        let files = encode(&rows, &class, first.committed_ms)?;
        if let Some(replacement) = &mut self.replacement {
            for file in files {
                let partition = (file.class.clone(), file.day);
                // What has expired meanwhile is answered from the archive.
                if !self.expired.contains(&partition) {
                    self.lake.hot.put_replacement(&file, replacement).await?;
                }
            }
        }
        Ok(())
    }

    /// The rows that the table has of some segments' events.
    async fn old(&mut self, batch: &[SegmentState]) -> Result<Vec<RecordBatch>, RenormalizeError> {
        let names: Vec<String> = batch.iter().map(|s| format!("'{}'", s.fact.id)).collect();
        let from = batch.iter().map(|s| s.fact.time_min_ms).min().unwrap_or(0);
        let to = batch.iter().map(|s| s.fact.time_max_ms).max().unwrap_or(0);
        // The times only help to pass files by; the segment's facts are in milliseconds.
        let sql = format!(
            "SELECT * FROM events WHERE segment IN ({}) AND time >= to_timestamp_millis({from}) AND time < to_timestamp_millis({})",
            names.join(", "),
            to.saturating_add(1)
        );
        let mut search = self.lake.hot.search(&sql, self.limits).await?;
        let mut old = Vec::new();
        while let Some(rows) = search.next().await? {
            let (classes, days) = (texts(&rows, RETENTION)?, texts(&rows, EVENT_DAY)?);
            for (class, day) in classes.into_iter().zip(days) {
                if let Ok(day) = day.parse() {
                    self.partitions.insert((class, day));
                }
            }
            old.push(rows);
        }
        Ok(old)
    }
}

/// The rows that the chosen events of a segment have by today's mappings.
async fn read(
    lake: &Lake,
    addresses: &Addresses,
    segment: &SegmentState,
    normalizer: &mut Normalizer,
) -> Result<Vec<HotRows>, RenormalizeError> {
    let id = &segment.fact.id;
    let archived = |error| match error {
        ArchiveError::Store(StoreError::Archived(_)) => RenormalizeError::Archived(id.clone()),
        error => error.into(),
    };
    let Some(wanted) = addresses.get(id) else { return Ok(Vec::new()) };
    let place = segment.place();
    let open = OpenSegment::open(lake.archive(&place.store)?, place).await.map_err(archived)?;
    let blocks: BTreeSet<usize> = wanted.iter().filter_map(|row| open.reader.block_of_row(*row)).collect();
    let names: Arc<[Arc<str>]> = [Arc::from(id.as_str())].into();
    let mut out = Vec::new();
    for block in blocks {
        let block = open.reader.read_block(block).await.map_err(archived)?;
        for Run { unit, mut events } in open.runs(&block) {
            events.retain(|event| wanted.contains(&event.row));
            let Some((normalized, rows)) = replay::normalize(normalizer, &Run { unit, events }) else {
                continue;
            };
            out.push(HotRows {
                class: vec![0; rows.len()],
                segments: Arc::clone(&names),
                row: rows,
                sub: normalized.batch.row_sub,
                feed: unit.feed.as_str().into(),
                rows: normalized.batch.rows,
            });
        }
    }
    Ok(out)
}
