//! Brings raw events back: finds which are asked for, and reads only the blocks that hold them.
//!
//! What the hot table still has is found there; days whose hot rows have expired are answered from
//! the archive, by normalising the segments of those days again and asking the same predicate.

mod shape;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int32Type,
};
use jiff::civil::Date;
use linchpin_normalize::{Normalizer, columns};

use crate::{
    Lake, LakeError,
    archive::{ArchiveError, Block, BlockEntry, EventRef, UnitMeta, rebuild_unit},
    hot::{EVENT_DAY, RETENTION, ROW, SEGMENT, SUB, event_day},
    ledger::{COMPLETE_START, SegmentFilter, SegmentState, UnitFact},
    policy::{Predicate, with_feed},
    replay::{self, OpenSegment},
    search::{SearchError, SearchLimits},
};

pub use shape::Shape;

/// Why events could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum RehydrateError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The hot table could not be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A segment could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The hot table names a segment that the ledger does not have.
    #[error("segment `{0}` is not in the ledger\nhint: run `linchpin verify`")]
    NoSegment(String),
    /// The object is not known, or not all of it is there.
    #[error("object `{key}`: {why}")]
    Object {
        /// Key that was asked for.
        key: String,
        /// What is missing.
        why: String,
    },
    /// The receiver of events failed.
    #[error(transparent)]
    Sink(#[from] std::io::Error),
}

/// What is asked for.
pub struct Request {
    /// Which rows.
    pub predicate: Predicate,
    /// Their times, epoch milliseconds.
    pub period: Range<i64>,
    /// What finding them may use.
    pub limits: SearchLimits,
}

/// Rows of raw events by segment: for each event its matching subs.
#[derive(Debug, Default)]
pub struct Found(BTreeMap<String, BTreeMap<u32, Vec<u32>>>);

impl Found {
    /// The segments, each with its events in row order and their matching subs.
    pub fn into_segments(self) -> BTreeMap<String, BTreeMap<u32, Vec<u32>>> {
        self.0
    }

    /// Ids of the segments.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Number of raw events.
    pub fn events(&self) -> u64 {
        self.0.values().map(|rows| rows.len() as u64).sum()
    }

    /// Number of segments that hold them.
    pub fn segments(&self) -> usize {
        self.0.len()
    }

    /// Adds a row of an event.
    pub(crate) fn add(&mut self, segment: &str, row: u32, sub: u32) {
        if !self.0.contains_key(segment) {
            self.0.insert(segment.to_owned(), BTreeMap::new());
        }
        if let Some(rows) = self.0.get_mut(segment) {
            rows.entry(row).or_default().push(sub);
        }
    }
}

/// One event that was brought back.
pub struct Rehydrated<'a> {
    /// Id of its segment.
    pub segment: &'a str,
    /// Its unit.
    pub unit: &'a UnitMeta,
    /// Its place and exact bytes.
    pub event: EventRef<'a>,
    /// Which of its rows matched.
    pub subs: &'a [u32],
}

/// Opens a segment where it is now.
async fn open(lake: &Lake, segment: &SegmentState) -> Result<OpenSegment, RehydrateError> {
    let place = segment.place();
    Ok(OpenSegment::open(lake.archive(&place.store)?, place).await?)
}

/// Finds the raw events that a request asks for.
pub async fn find(
    lake: &Lake,
    request: &Request,
    normalizer: &mut Normalizer,
) -> Result<Found, RehydrateError> {
    let mut found = Found::default();
    let expired = lake.ledger.hot_expired();
    hot(lake, request, &expired, &mut found).await?;
    if !expired.is_empty() {
        archived(lake, request, &expired, normalizer, &mut found).await?;
    }
    Ok(found)
}

/// Finds what the hot table has of it; days in `expired` are left out.
pub(crate) async fn hot(
    lake: &Lake,
    request: &Request,
    expired: &BTreeSet<(String, Date)>,
    found: &mut Found,
) -> Result<(), RehydrateError> {
    let wanted = [SEGMENT, ROW, SUB, RETENTION, EVENT_DAY];
    let mut rows = lake
        .hot
        .rows_where(Some(&request.predicate), request.period.clone(), &wanted, &request.limits)
        .await?;
    while let Some(batch) = rows.next().await? {
        let text = |name: &str| {
            batch.column_by_name(name).map(|c| arrow::compute::cast(c, &arrow::datatypes::DataType::Utf8))
        };
        let int = |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int32Type>());
        let (Some(Ok(segments)), Some(Ok(classes)), Some(Ok(days)), Some(row), Some(sub)) =
            (text(SEGMENT), text(RETENTION), text(EVENT_DAY), int(ROW), int(SUB))
        else {
            continue;
        };
        let (segments, classes, days) =
            (segments.as_string::<i32>(), classes.as_string::<i32>(), days.as_string::<i32>());
        for n in 0..batch.num_rows() {
            // Rows of a day that is being expired are answered from the archive, not twice.
            let gone = !expired.is_empty()
                && days
                    .value(n)
                    .parse()
                    .is_ok_and(|day| expired.contains(&(classes.value(n).to_owned(), day)));
            if !gone {
                found.add(segments.value(n), row.value(n) as u32, sub.value(n) as u32);
            }
        }
    }
    Ok(())
}

/// Segments that may hold rows of expired days: only reading them tells.
pub(crate) fn candidates(
    lake: &Lake,
    period: &Range<i64>,
    expired: &BTreeSet<(String, Date)>,
) -> Vec<SegmentState> {
    let classes: BTreeSet<&str> = expired.iter().map(|(class, _)| class.as_str()).collect();
    let of_class = |class: &str| {
        lake.ledger.segments(&SegmentFilter {
            retention: Some(class.to_owned()),
            from_ms: Some(period.start),
            to_ms: Some(period.end),
            ..SegmentFilter::default()
        })
    };
    classes.into_iter().flat_map(of_class).collect()
}

/// Asks the segments that may hold rows of expired days.
async fn archived(
    lake: &Lake,
    request: &Request,
    expired: &BTreeSet<(String, Date)>,
    normalizer: &mut Normalizer,
    found: &mut Found,
) -> Result<(), RehydrateError> {
    for segment in candidates(lake, &request.period, expired) {
        let open = open(lake, &segment).await?;
        for (n, entry) in open.reader.footer().blocks.iter().enumerate() {
            if may_hold(entry, &request.period) {
                let block = open.reader.read_block(n).await?;
                scan(&open, &block, &segment, request, expired, normalizer, found);
            }
        }
    }
    Ok(())
}

/// Whether a block may hold events of a period.
pub(crate) const fn may_hold(entry: &BlockEntry, period: &Range<i64>) -> bool {
    entry.time_max_ms >= period.start && entry.time_min_ms < period.end
}

/// Finds what is asked for in a block, as far as its hot rows have expired.
pub(crate) fn scan(
    open: &OpenSegment,
    block: &Block,
    segment: &SegmentState,
    request: &Request,
    expired: &BTreeSet<(String, Date)>,
    normalizer: &mut Normalizer,
    found: &mut Found,
) {
    for run in open.runs(block) {
        let Some((normalized, rows)) = replay::normalize(normalizer, &run) else { continue };
        let batch = &normalized.batch;
        let class = &segment.fact.retention;
        let hits = matching(request, &batch.rows, &run.unit.feed, class, segment.committed_ms, expired);
        for hit in hits {
            found.add(&segment.fact.id, rows[hit], batch.row_sub[hit]);
        }
    }
}

/// Rows of a batch that are asked for and whose hot rows are gone.
fn matching(
    request: &Request,
    rows: &RecordBatch,
    feed: &str,
    class: &str,
    committed_ms: i64,
    expired: &BTreeSet<(String, Date)>,
) -> Vec<usize> {
    let Ok(with_feed) = with_feed(rows, feed) else { return Vec::new() };
    let Ok(mask) = request.predicate.evaluate(&with_feed) else { return Vec::new() };
    let times = columns::index("time")
        .and_then(|at| rows.column(at).as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>());
    let Some(times) = times else { return Vec::new() };
    let asked = |n: usize| {
        let micros = times.value(n);
        let ms = micros.div_euclid(1000);
        mask.value(n)
            && request.period.contains(&ms)
            && event_day(micros, committed_ms).is_ok_and(|day| expired.contains(&(class.to_owned(), day)))
    };
    (0..rows.num_rows()).filter(|n| asked(*n)).collect()
}

/// Reads the events that were found, segment by segment in row order, and gives each to `sink`.
pub async fn fetch(
    lake: &Lake,
    found: &Found,
    mut sink: impl FnMut(&Rehydrated<'_>) -> std::io::Result<()>,
) -> Result<u64, RehydrateError> {
    let mut events = 0;
    for (id, rows) in &found.0 {
        let segment = lake.ledger.segment(id).ok_or_else(|| RehydrateError::NoSegment(id.clone()))?;
        let open = open(lake, &segment).await?;
        let mut by_block: BTreeMap<usize, Vec<(u32, &Vec<u32>)>> = BTreeMap::new();
        for (row, subs) in rows {
            if let Some(block) = open.reader.block_of_row(*row) {
                by_block.entry(block).or_default().push((*row, subs));
            }
        }
        for (n, rows) in by_block {
            let block = open.reader.read_block(n).await?;
            for (row, subs) in rows {
                let Some(event) = block.event(row) else { continue };
                sink(&Rehydrated { segment: id, unit: &open.units()[event.unit as usize], event, subs })?;
                events += 1;
            }
        }
    }
    Ok(events)
}

/// Rebuilds a delivered object (inflated), bit for bit, from the segments of all its classes. `key` is
/// its key, or the end of it after a `/`. Of several versions, the newest that is complete is taken.
pub async fn object(lake: &Lake, key: &str, sink: &mut dyn std::io::Write) -> Result<u64, RehydrateError> {
    let fail = |why: &str| RehydrateError::Object { key: key.to_owned(), why: why.to_owned() };
    let mut versions: BTreeMap<(i64, String), Vec<UnitFact>> = BTreeMap::new();
    for unit in lake.ledger.units_delivered(key).await.map_err(LakeError::from)? {
        if unit.start != COMPLETE_START {
            versions.entry((unit.received_ms, unit.object.clone())).or_default().push(unit);
        }
    }
    if versions.is_empty() {
        return Err(fail("no segment holds it"));
    }
    let whole = versions.into_values().rev().find(|parts| is_whole(parts));
    let mut bytes = 0;
    for part in whole.ok_or_else(|| fail("a part of it is not in the archive"))? {
        let part = unit(lake, &part).await?;
        bytes += part.len() as u64;
        sink.write_all(&part)?;
    }
    Ok(bytes)
}

/// Whether parts, by their start, follow one another from the object's first byte to its last.
fn is_whole(parts: &[UnitFact]) -> bool {
    let mut at = 0;
    parts.iter().all(|part| part.start == std::mem::replace(&mut at, part.end))
        && parts.last().is_some_and(|part| part.delivered_sha256.is_some())
}

/// Rebuilds one unit from its residue and the segments of its epoch.
async fn unit(lake: &Lake, fact: &UnitFact) -> Result<Vec<u8>, RehydrateError> {
    if fact.start == fact.end {
        return Ok(Vec::new());
    }
    let missing = |why: String| RehydrateError::Object { key: fact.delivered_key.clone(), why };
    let holder = lake.ledger.segment(&fact.segment);
    let holder = holder.ok_or_else(|| missing("its segment is gone".into()))?;
    let open = open(lake, &holder).await?;
    let index = open.units().iter().position(|u| u.object == fact.object && u.start == fact.start);
    let index = index.ok_or_else(|| missing("its segment does not hold it".into()))?;
    let meta = open.units()[index].clone();
    let residue = open.reader.residue(index as u32, &meta).await?;
    let residue = residue.ok_or_else(|| missing("its residue is missing".into()))?;
    let siblings =
        lake.ledger.segments_of_worker_after(&holder.fact.worker, holder.fact.seq.saturating_sub(1), 2);
    let mut by_class: Vec<Vec<Vec<u8>>> = Vec::new();
    for (n, class) in residue.classes().iter().enumerate() {
        let mut events = Vec::new();
        if residue.events_of(n) > 0 {
            let same_epoch = |s: &&SegmentState| {
                s.fact.seq == holder.fact.seq
                    && s.fact.store == holder.fact.store
                    && s.fact.retention == *class
            };
            let sibling = siblings.iter().find(same_epoch);
            let sibling =
                sibling.ok_or_else(|| missing(format!("its events of class `{class}` are gone")))?;
            events = events_of(lake, sibling, &meta).await?;
        }
        by_class.push(events);
    }
    let mut iterators: Vec<_> = by_class.iter().map(|events| events.iter().map(Vec::as_slice)).collect();
    Ok(rebuild_unit(&residue, &mut iterators)?)
}

/// The events of one unit in one segment, in the order of the unit.
async fn events_of(
    lake: &Lake,
    segment: &SegmentState,
    unit: &UnitMeta,
) -> Result<Vec<Vec<u8>>, RehydrateError> {
    let open = open(lake, segment).await?;
    let same = |other: &UnitMeta| other.object == unit.object && other.start == unit.start;
    let mut events = Vec::new();
    for n in 0..open.reader.footer().blocks.len() {
        let block = open.reader.read_block(n).await?;
        for run in open.runs(&block).iter().filter(|run| same(run.unit)) {
            events.extend(run.events.iter().map(|e| e.bytes.to_vec()));
        }
    }
    Ok(events)
}
