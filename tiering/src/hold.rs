//! Legal holds: what a case asks for is kept, whatever the policy says, until the case is released.
//!
//! A hold is placed on segments, as these are what is deleted. Where the hot table still has all rows
//! of a segment it says whether one of them is asked for; where rows have expired or are not there yet,
//! every segment that could hold such a row is kept. What comes in later is looked at by each pass of
//! the enforcer, and kept until it was.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{array::AsArray, compute::cast, datatypes::DataType};
use linchpin_store::{Store, StoreError};

use crate::{
    Lake, LakeError,
    enforce::hold_on,
    hot::{SEGMENT, event_day},
    ledger::{CommitError, Fact, HeldFact, HoldState, SegmentFilter, SegmentState},
    policy::{Predicate, PredicateError, schema},
    search::{SearchError, SearchLimits},
};

/// Most segments in one fact.
const SEGMENTS_PER_FACT: usize = 10_000;
/// A segment whose events span more days than this is not looked at day by day: it could hold anything.
const SPAN_DAYS_MAX: i64 = 400;
const DAY_MS: i64 = 24 * 3_600_000;

/// Why a hold could not be placed or released.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The predicate is wrong.
    #[error("the predicate is wrong: {0}")]
    Predicate(#[from] PredicateError),
    /// There is no such case, or it has no hold.
    #[error("no hold is in force for the case `{0}`\nhint: `linchpin hold list` shows all")]
    NoCase(String),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The hot table could not be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The ledger could not be told.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What to keep.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Case.
    pub case: String,
    /// SQL predicate over the linchpin columns.
    pub predicate: String,
    /// Event times from here on, epoch milliseconds.
    pub from_ms: Option<i64>,
    /// Event times before this, epoch milliseconds.
    pub to_ms: Option<i64>,
    /// Who says so.
    pub by: String,
}

/// What a hold keeps.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Segments with rows that are asked for.
    pub certain: Vec<String>,
    /// Segments that could have such rows, but whose hot rows are not (all) there to say.
    pub possible: Vec<String>,
    /// Objects whose store did not take the hold, with what it said; the ledger's hold is in force.
    pub problems: Vec<(String, String)>,
}

/// Places a hold, or adds to that of the same case.
pub async fn add(lake: &Lake, asked: &Asked, now_ms: i64) -> Result<Placed, HoldError> {
    Predicate::compile(&asked.predicate, schema())?;
    lake.ledger.refresh().await.map_err(LakeError::from)?;
    place(lake, asked, i64::MIN, now_ms).await
}

/// Takes the hold of a case away. Gives the objects whose store did not let go of it, with what it said.
pub async fn release(
    lake: &Lake,
    case: &str,
    reason: &str,
    by: &str,
    now_ms: i64,
) -> Result<Vec<(String, String)>, HoldError> {
    lake.ledger.refresh().await.map_err(LakeError::from)?;
    let hold = lake.ledger.holds().into_iter().find(|hold| hold.case == case);
    let hold = hold.ok_or_else(|| HoldError::NoCase(case.to_owned()))?;
    let (case, reason, by) = (case.to_owned(), reason.to_owned(), by.to_owned());
    // Later than every fact of the hold: one of the same moment would be taken for a new one.
    let now_ms = now_ms.max(lake.ledger.last_ms() + 1);
    lake.ledger.commit_at(vec![Fact::Released { case, reason, by }], now_ms).await?;
    let freed = hold.segments.iter().filter_map(|id| lake.ledger.segment(id));
    mark(lake, freed.collect(), false).await
}

/// The holds in force.
pub fn list(lake: &Lake) -> Vec<HoldState> {
    lake.ledger.holds()
}

/// Looks at the segments that came in since; gives what a store did not take.
pub(crate) async fn extend(lake: &Lake, now_ms: i64) -> Result<Vec<(String, String)>, HoldError> {
    let mut problems = Vec::new();
    for hold in lake.ledger.holds() {
        let asked = Asked {
            case: hold.case,
            predicate: hold.predicate,
            from_ms: hold.from_ms,
            to_ms: hold.to_ms,
            by: hold.by,
        };
        problems.extend(place(lake, &asked, hold.looked_ms, now_ms).await?.problems);
    }
    Ok(problems)
}

/// Looks at the segments that were committed after `looked_ms` and keeps those that are asked for.
async fn place(lake: &Lake, asked: &Asked, looked_ms: i64, now_ms: i64) -> Result<Placed, HoldError> {
    // Whatever was committed before this moment is among the segments.
    let now_looked_ms = lake.ledger.last_ms() - 1;
    let filter = SegmentFilter { from_ms: asked.from_ms, to_ms: asked.to_ms, ..SegmentFilter::default() };
    let mut segments = lake.ledger.segments(&filter);
    segments.retain(|segment| segment.committed_ms > looked_ms);
    let first = looked_ms == i64::MIN;
    if segments.is_empty() && !first {
        return Ok(Placed::default());
    }
    let looked_ms = now_looked_ms.max(looked_ms);
    let (known, possible) = split(lake, segments).await?;
    let hits = if known.is_empty() { BTreeSet::new() } else { hits(lake, asked).await? };
    let certain: Vec<SegmentState> = known.into_iter().filter(|s| hits.contains(&s.fact.id)).collect();
    let ids = |segments: &[SegmentState]| segments.iter().map(|s| s.fact.id.clone()).collect::<Vec<_>>();
    let mut placed = Placed { certain: ids(&certain), possible: ids(&possible), problems: Vec::new() };
    let all: Vec<String> = placed.certain.iter().chain(&placed.possible).cloned().collect();
    let fact = |segments: &[String]| {
        Fact::Held(HeldFact {
            case: asked.case.clone(),
            predicate: asked.predicate.clone(),
            from_ms: asked.from_ms,
            to_ms: asked.to_ms,
            segments: segments.to_vec(),
            looked_ms,
            by: asked.by.clone(),
        })
    };
    let facts: Vec<Fact> =
        if all.is_empty() { vec![fact(&[])] } else { all.chunks(SEGMENTS_PER_FACT).map(fact).collect() };
    lake.ledger.commit_at(facts, now_ms).await?;
    placed.problems = mark(lake, certain.into_iter().chain(possible).collect(), true).await?;
    Ok(placed)
}

/// Segments whose rows are all in the hot table, and the others.
async fn split(
    lake: &Lake,
    segments: Vec<SegmentState>,
) -> Result<(Vec<SegmentState>, Vec<SegmentState>), HoldError> {
    let expired = lake.ledger.hot_expired();
    let mut positions: BTreeMap<String, u64> = BTreeMap::new();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for segment in segments {
        let fact = &segment.fact;
        if !positions.contains_key(&fact.worker) {
            let position = lake.hot.position(&fact.worker).await.map_err(LakeError::from)?.unwrap_or(0);
            positions.insert(fact.worker.clone(), position);
        }
        let span = (fact.time_max_ms.saturating_sub(fact.time_min_ms)) / DAY_MS;
        let has_expired = || {
            (0..=span + 1).any(|n| {
                let at_ms = (fact.time_min_ms + n * DAY_MS).min(fact.time_max_ms);
                let day = event_day(at_ms.saturating_mul(1000), segment.committed_ms);
                day.map_or(true, |day| expired.contains(&(fact.retention.clone(), day)))
            })
        };
        let is_there = positions.get(&fact.worker).is_some_and(|position| *position >= fact.seq);
        if is_there && span <= SPAN_DAYS_MAX && !has_expired() {
            known.push(segment);
        } else {
            unknown.push(segment);
        }
    }
    Ok((known, unknown))
}

/// Segments with hot rows that are asked for.
async fn hits(lake: &Lake, asked: &Asked) -> Result<BTreeSet<String>, HoldError> {
    let predicate = Predicate::compile(&asked.predicate, schema())?;
    // Whole microseconds of these are still in range.
    let period = asked.from_ms.unwrap_or(i64::MIN / 1000)..asked.to_ms.unwrap_or(i64::MAX / 1000);
    let mut rows =
        lake.hot.rows_where(Some(&predicate), period, &[SEGMENT], &SearchLimits::default()).await?;
    let mut segments = BTreeSet::new();
    while let Some(batch) = rows.next().await? {
        let Ok(column) = cast(batch.column(0), &DataType::Utf8) else { continue };
        segments.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(segments)
}

/// Puts the stores' own holds on the objects of segments, or takes them away where no case keeps any
/// segment of an object. Gives what failed.
async fn mark(
    lake: &Lake,
    segments: Vec<SegmentState>,
    on: bool,
) -> Result<Vec<(String, String)>, HoldError> {
    let objects: BTreeSet<(String, String)> =
        segments.iter().map(|s| (s.place().store.clone(), s.place().object.clone())).collect();
    let kept: BTreeSet<(String, String)> = if on {
        BTreeSet::new()
    } else {
        let all = lake.ledger.segments(&SegmentFilter::default());
        let held = all.iter().filter(|s| !s.holds.is_empty());
        held.map(|s| (s.place().store.clone(), s.place().object.clone())).collect()
    };
    let mut problems = Vec::new();
    for (store, object) in objects.difference(&kept) {
        if let Err(error) = mark_one(&*lake.archive(store)?, object, on).await {
            tracing::warn!(store, object, on, %error, "the store's own hold could not be changed");
            problems.push((format!("the hold on `{object}` in the store `{store}`"), error.to_string()));
        }
    }
    Ok(problems)
}

async fn mark_one(store: &dyn Store, object: &str, on: bool) -> Result<(), StoreError> {
    let head = store.head(object).await?;
    if head.held == on {
        return Ok(());
    }
    hold_on(store, object, &head.etag, on).await
}
