//! What the hot table tells about a policy that is not in force yet: which class its rules would give to
//! what came in lately, how much of it a SIEM takes, and how segments divide over feeds.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, new_null_array},
    compute::{cast, kernels::cmp::neq, or},
    datatypes::{DataType, Int32Type, Int64Type, TimeUnit},
    error::ArrowError,
};
use linchpin_normalize::columns;

use crate::{
    Lake,
    hot::{RETENTION, SEGMENT},
    policy::{FEED, Predicate, RetentionPolicy, RiskTables},
    search::{SearchError, SearchLimits},
};

/// Most rows that are looked at.
pub const SAMPLE_ROWS_MAX: usize = 1_000_000;

/// Columns that the context is looked up by.
const CONTEXT_COLUMNS: [&str; 7] = [
    "cloud_account_uid",
    "actor_user_uid",
    "actor_user_name",
    "resource_uid",
    "resource_name",
    "severity_id",
    "category_uid",
];

/// What the rows said.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Rows that were looked at.
    pub rows: u64,
    /// By feed and the class that rows have: how many.
    seen: BTreeMap<(String, String), Seen>,
    /// By segment: rows of each feed.
    segments: BTreeMap<String, Vec<(String, f64)>>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    rows: u64,
    taken: u64,
    /// By index of the new class.
    classes: BTreeMap<String, u64>,
}

impl Sample {
    /// The parts of a feed and class that a policy's rules give to each class; `None` if no row tells.
    pub fn classes(&self, feed: &str, class: &str) -> Option<Vec<(String, f64)>> {
        let seen = self.seen.get(&(feed.to_owned(), class.to_owned()))?;
        Some(seen.classes.iter().map(|(name, n)| (name.clone(), *n as f64 / seen.rows as f64)).collect())
    }

    /// The part of a feed and class that a SIEM takes; `None` if no row tells.
    pub fn taken(&self, feed: &str, class: &str) -> Option<f64> {
        let seen = self.seen.get(&(feed.to_owned(), class.to_owned()))?;
        Some(seen.taken as f64 / seen.rows as f64)
    }

    /// The parts of a segment's rows by feed; `None` if they are not hot any more.
    pub fn feeds(&self, segment: &str) -> Option<&[(String, f64)]> {
        self.segments.get(segment).map(Vec::as_slice)
    }
}

/// Looks at the rows of a period (epoch milliseconds), or at any if there are none in it. `outputs` are
/// those that bring events to a SIEM; one without a predicate takes every event.
pub async fn sample(
    lake: &Lake,
    policy: &RetentionPolicy,
    risk: &RiskTables,
    outputs: &[Option<Predicate>],
    period: &Range<i64>,
) -> Result<Sample, SearchError> {
    let mut sample = Sample { segments: segments(lake).await?, ..Sample::default() };
    let mut names: Vec<String> = policy.columns();
    names.extend(outputs.iter().flatten().flat_map(Predicate::columns));
    names.extend(CONTEXT_COLUMNS.map(str::to_owned));
    names.push("class_uid".to_owned());
    names.retain(|name| columns::index(name).is_some());
    names.sort_unstable();
    names.dedup();
    let wanted: Vec<&str> = names.iter().map(String::as_str).chain([FEED, RETENTION]).collect();
    for period in [period.clone(), -MS_MAX..MS_MAX] {
        let mut rows = lake.hot.rows_where(None, period, &wanted, &SearchLimits::default()).await?;
        while let Some(batch) = rows.next().await? {
            sample.add(&batch, policy, risk, outputs).map_err(|e| SearchError::Failed(e.into()))?;
            if sample.rows >= SAMPLE_ROWS_MAX as u64 {
                break;
            }
        }
        if sample.rows > 0 {
            break;
        }
    }
    Ok(sample)
}

/// A time that no event has, as milliseconds that fit into microseconds.
const MS_MAX: i64 = i64::MAX / 1000;

/// Rows of each feed, by segment.
async fn segments(lake: &Lake) -> Result<BTreeMap<String, Vec<(String, f64)>>, SearchError> {
    let sql = format!("SELECT {SEGMENT}, {FEED}, count(*) AS n FROM events GROUP BY {SEGMENT}, {FEED}");
    let mut rows = lake.hot.search(&sql, &SearchLimits::default()).await?;
    let mut by: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    while let Some(batch) = rows.next().await? {
        let text = |n: usize| cast(batch.column(n), &DataType::Utf8);
        let (Ok(segments), Ok(feeds)) = (text(0), text(1)) else { continue };
        let counts = batch.column(2).as_primitive::<Int64Type>();
        for n in 0..batch.num_rows() {
            let feed = feeds.as_string::<i32>().value(n).to_owned();
            let segment = segments.as_string::<i32>().value(n).to_owned();
            by.entry(segment).or_default().push((feed, counts.value(n) as f64));
        }
    }
    for feeds in by.values_mut() {
        let all: f64 = feeds.iter().map(|(_, n)| n).sum();
        for (_, rows) in feeds.iter_mut() {
            *rows /= all.max(1.0);
        }
        feeds.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(by)
}

impl Sample {
    fn add(
        &mut self,
        batch: &RecordBatch,
        policy: &RetentionPolicy,
        risk: &RiskTables,
        outputs: &[Option<Predicate>],
    ) -> Result<(), ArrowError> {
        let text = |name: &str| {
            let column = batch.column_by_name(name).map(Arc::clone);
            cast(
                &column.unwrap_or_else(|| new_null_array(&DataType::Utf8, batch.num_rows())),
                &DataType::Utf8,
            )
        };
        let (feeds, retention) = (text(FEED)?, text(RETENTION)?);
        let rows = risk.rows_of(&widen(batch)?, Arc::clone(&feeds))?;
        let classes = policy.classify(&rows);
        let taken = taken(outputs, &rows)?;
        let (feeds, retention) = (feeds.as_string::<i32>(), retention.as_string::<i32>());
        for (n, class) in classes.iter().enumerate() {
            let key = (feeds.value(n).to_owned(), retention.value(n).to_owned());
            let seen = self.seen.entry(key).or_default();
            seen.rows += 1;
            seen.taken += u64::from(taken.value(n));
            let class = policy.classes().get(usize::from(*class)).map_or("", |class| class.name.as_str());
            match seen.classes.get_mut(class) {
                Some(rows) => *rows += 1,
                None => drop(seen.classes.insert(class.to_owned(), 1)),
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }
}

/// Which rows some output takes.
fn taken(outputs: &[Option<Predicate>], rows: &RecordBatch) -> Result<BooleanArray, ArrowError> {
    let mut any = BooleanArray::from(vec![false; rows.num_rows()]);
    for output in outputs {
        let mask = match output {
            Some(predicate) => {
                predicate.evaluate(rows).map_err(|e| ArrowError::ExternalError(Box::new(e)))?
            }
            None => match columns::index("class_uid").map(|at| rows.column(at).as_primitive::<Int32Type>()) {
                Some(class) => neq(class, &Int32Array::new_scalar(0))?,
                None => continue,
            },
        };
        any = or(&any, &mask)?;
    }
    Ok(any)
}

/// Some linchpin columns as all of them: what is not there is null, or nothing where it cannot be null.
fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let n = batch.num_rows();
    let schema = columns::schema();
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None if field.is_nullable() => Ok(new_null_array(field.data_type(), n)),
        None => nothing(field.data_type(), n),
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    RecordBatch::try_new(schema, columns)
}

/// A column that says nothing and has no nulls.
fn nothing(ty: &DataType, n: usize) -> Result<ArrayRef, ArrowError> {
    let zero: ArrayRef = Arc::new(Int32Array::from(vec![0; n]));
    match ty {
        DataType::Timestamp(TimeUnit::Microsecond, _) => cast(&cast(&zero, &DataType::Int64)?, ty),
        ty => cast(&zero, ty),
    }
}
