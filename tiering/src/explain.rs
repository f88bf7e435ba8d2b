//! Why an event is kept as it is: the rule that gave its class, where it lies now, and what becomes of it.
//!
//! While its rows are hot nothing but the hot table is read. Later its raw bytes are read back (one
//! block), if they can be read without a restore, and normalised again.

use std::time::Duration;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int32Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use linchpin_normalize::{Normalizer, columns, unit::SUB_BITS};
use linchpin_store::StoreError;

use crate::{
    Lake, LakeError,
    archive::ArchiveError,
    hot::{ROW, SEGMENT, SUB},
    ledger::{LedgerError, SegmentState},
    policy::{FEED, Predicate, RetentionClass, RetentionPolicy, RiskTables},
    prices::Provider,
    replay::{self, OpenSegment},
    search::{SearchError, SearchLimits},
    tiers,
};

/// Hex digits of an event id that are its unit's.
const UNIT_DIGITS: usize = 28;

/// Why an event could not be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// It is not an event id.
    #[error("`{0}` is not an event id\nhint: it has 40 hex digits, as the column `event_id` shows them")]
    NotAnId(String),
    /// There is no such event.
    #[error("no event `{0}` is in the hot table or the ledger")]
    Unknown(String),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The hot table failed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Rows could not be handled.
    #[error("rows of the event failed: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// A rule, as it judged a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Number of the rule, from 0.
    pub rule: usize,
    /// Class that it gives.
    pub class: String,
    /// Whether it matches the row; the first that does decides.
    pub matches: bool,
    /// The columns that its predicate reads, with the row's values.
    pub columns: Vec<(String, String)>,
}

/// One row of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowJudged {
    /// Number of the row among those of its event.
    pub sub: u32,
    /// The rules up to the one that decides.
    pub rules: Vec<Judged>,
}

/// Why an event is kept, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Segment that holds it, as the ledger has it now.
    pub segment: SegmentState,
    /// Number of the event in it.
    pub row: u32,
    /// Class that it is kept in.
    pub class: String,
    /// What today's rules say of each of its rows; empty where it cannot be read now.
    pub rows: Vec<RowJudged>,
    /// Class that today's rules would give.
    pub today: Option<String>,
    /// Whether its rows are in the hot table.
    pub hot: bool,
    /// What its class means, if the policy still has it.
    pub kept: Option<Kept>,
}

/// What a class means for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Until when its rows are hot, epoch milliseconds, counted from the commit; the event's day counts.
    pub hot_until_ms: i64,
    /// (From when on, storage class) of its bytes, epoch milliseconds.
    pub way: Vec<(i64, &'static str)>,
    /// When it is due for deletion, epoch milliseconds.
    pub expires_ms: i64,
}

/// Explains an event: `id` as the column `event_id` shows it, which names one row of it.
pub async fn explain(
    lake: &Lake,
    policy: &RetentionPolicy,
    risk: &RiskTables,
    normalizer: &mut Normalizer,
    id: &str,
) -> Result<Explanation, ExplainError> {
    let id = id.to_ascii_lowercase();
    if id.len() != 40 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ExplainError::NotAnId(id));
    }
    let limits = SearchLimits::default();
    let found = lake.hot.search(&format!("SELECT * FROM events WHERE event_id = '{id}'"), &limits).await?;
    let (found, _) = found.collect().await?;
    let Some(first) = found.iter().find(|batch| batch.num_rows() > 0) else {
        return archived(lake, policy, risk, normalizer, &id).await;
    };
    let segment = text(first, SEGMENT)?.unwrap_or_default();
    let row = int(first, ROW).unwrap_or(0);
    let all = format!(
        "SELECT * FROM events WHERE \"{SEGMENT}\" = '{segment}' AND \"{ROW}\" = {row} ORDER BY \"{SUB}\""
    );
    let (batches, _) = lake.hot.search(&all, &limits).await?.collect().await?;
    let state = lake.ledger.segment(&segment).ok_or_else(|| ExplainError::Unknown(id.clone()))?;
    let mut explanation = Explanation::new(lake, state, row as u32, policy, true)?;
    for batch in &batches {
        let feed = text(batch, FEED)?.unwrap_or_default();
        let subs = batch.column_by_name(SUB).and_then(|c| c.as_primitive_opt::<Int32Type>());
        let subs: Vec<u32> = subs.into_iter().flat_map(|s| s.values().iter().map(|v| *v as u32)).collect();
        let rows = risk.rows(&linchpin_columns(batch)?, &feed)?;
        explanation.judge(policy, &rows, &subs)?;
    }
    Ok(explanation)
}

/// An event whose rows are not hot any more: its unit tells its segments, its offset which event it is.
async fn archived(
    lake: &Lake,
    policy: &RetentionPolicy,
    risk: &RiskTables,
    normalizer: &mut Normalizer,
    id: &str,
) -> Result<Explanation, ExplainError> {
    let unknown = || ExplainError::Unknown(id.to_owned());
    let place = u64::from_str_radix(&id[UNIT_DIGITS..], 16).map_err(|_| unknown())?;
    let offset = (place >> SUB_BITS) as u32;
    let mut closed = None;
    for unit in lake.ledger.units_hashed(&id[..UNIT_DIGITS]).await? {
        for name in &unit.segments {
            let Some(segment) = lake.ledger.segment(name) else { continue };
            let store = lake.archive(&segment.place().store)?;
            let open = match OpenSegment::open(store, segment.place()).await {
                Ok(open) => open,
                Err(ArchiveError::Store(StoreError::Archived(_))) => {
                    closed = closed.or(Some(segment));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let key = unit.key;
            for block in 0..open.reader.footer().blocks.len() {
                let block = open.reader.read_block(block).await?;
                for mut run in open.runs(&block) {
                    if run.unit.id().key() != key {
                        continue;
                    }
                    run.events.retain(|event| event.offset == offset);
                    let Some(event) = run.events.first() else { continue };
                    let mut found = Explanation::new(lake, segment.clone(), event.row, policy, false)?;
                    if let Some((normalized, _)) = replay::normalize(normalizer, &run) {
                        let rows = risk.rows(&normalized.batch.rows, &run.unit.feed)?;
                        found.judge(policy, &rows, &normalized.batch.row_sub)?;
                    }
                    return Ok(found);
                }
            }
        }
    }
    // It is in a segment that needs a restore to be read: what is known without is said.
    match closed {
        Some(segment) => Ok(Explanation::new(lake, segment, 0, policy, false)?),
        None => Err(unknown()),
    }
}

impl Explanation {
    fn new(
        lake: &Lake,
        segment: SegmentState,
        row: u32,
        policy: &RetentionPolicy,
        hot: bool,
    ) -> Result<Self, LakeError> {
        let class = segment.fact.retention.clone();
        let provider = lake.provider(&segment.place().store)?;
        let kept = policy.classes().iter().find(|c| c.name == class);
        let kept = kept.map(|class| Kept::of(class, &segment, provider));
        Ok(Self { class, kept, segment, row, rows: Vec::new(), today: None, hot })
    }

    fn judge(
        &mut self,
        policy: &RetentionPolicy,
        rows: &RecordBatch,
        subs: &[u32],
    ) -> Result<(), ExplainError> {
        let classes = policy.classify(rows);
        let strictest = classes.iter().copied().reduce(|a, b| policy.stricter(a, b));
        self.today = strictest.and_then(|c| policy.classes().get(usize::from(c))).map(|c| c.name.clone());
        for n in 0..rows.num_rows() {
            let row = rows.slice(n, 1);
            let mut judged = RowJudged { sub: subs.get(n).copied().unwrap_or(0), rules: Vec::new() };
            for (rule, (predicate, class)) in policy.rules().iter().enumerate() {
                let matches = predicate.evaluate(&row).is_ok_and(|mask| mask.value(0));
                let class = policy.classes().get(usize::from(*class)).map_or("", |c| c.name.as_str());
                let columns = values(predicate, &row)?;
                judged.rules.push(Judged { rule, class: class.to_owned(), matches, columns });
                if matches {
                    break;
                }
            }
            self.rows.push(judged);
        }
        Ok(())
    }
}

impl Kept {
    fn of(class: &RetentionClass, segment: &SegmentState, provider: Provider) -> Self {
        let after = |wait: Duration| {
            segment.committed_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
        };
        let way = tiers::way(&class.tiers, provider).into_iter().map(|(wait, word)| (after(wait), word));
        Self { hot_until_ms: after(class.hot), way: way.collect(), expires_ms: after(class.expire) }
    }
}

/// The columns that a predicate reads, with the values of a row.
fn values(predicate: &Predicate, row: &RecordBatch) -> Result<Vec<(String, String)>, ExplainError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut shown = Vec::new();
    for name in predicate.columns() {
        let Some(column) = row.column_by_name(&name) else { continue };
        shown.push((name, ArrayFormatter::try_new(column, &options)?.value(0).to_string()));
    }
    Ok(shown)
}

fn linchpin_columns(batch: &RecordBatch) -> Result<RecordBatch, ExplainError> {
    let schema = columns::schema();
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name());
        column.map_or_else(
            || Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows())),
            |column| cast(column, field.data_type()),
        )
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<_>, _>>()?)?)
}

fn text(batch: &RecordBatch, name: &str) -> Result<Option<String>, ExplainError> {
    let Some(column) = batch.column_by_name(name) else { return Ok(None) };
    let column = cast(column, &DataType::Utf8)?;
    let column = column.as_string::<i32>();
    Ok((!column.is_empty()).then(|| column.value(0).to_owned()))
}

fn int(batch: &RecordBatch, name: &str) -> Option<i32> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
    (!column.is_empty()).then(|| column.value(0))
}
