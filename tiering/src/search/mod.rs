//! Read-only SQL over the hot table.
//!
//! One query sees one snapshot of the table as the table `events`. It is a single `SELECT`, `WITH` or
//! `EXPLAIN`: nothing that writes, defines or sets anything, and nothing that opens a file or a URL; the
//! only store it can reach is the table's own, and that one refuses writes. Memory and time are
//! bounded. Files are passed by on what the table's log says of them, row groups on their statistics
//! and bloom filters, pages on their index, so that one needle costs a few pages; [`Explain`] says
//! what was read.

mod events;
mod explain;
mod format;
mod io;
mod session;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::DataFusionError,
    execution::{SendableRecordBatchStream, SessionState},
    logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit},
    physical_plan::{ExecutionPlan, execute_stream},
    scalar::ScalarValue,
};
use futures::StreamExt;
use tokio::time::Instant;

use crate::{
    hot::{HotError, HotTable},
    policy::Predicate,
};

pub(crate) use events::{open_files, partition_of, partitioned_file};
pub use explain::Explain;
pub use format::{Format, RowsWriter, TABLE_ROWS_MAX};
pub(crate) use session::Session;

/// Name of the table in a query.
pub const EVENTS: &str = "events";
/// Name of the table of rows that jobs brought back, in a query.
pub const REHYDRATED: &str = "rehydrated";

/// What a query may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchLimits {
    /// Memory for sorting, joining and grouping, in bytes; also for the rows that [`Search::collect`]
    /// gathers.
    pub memory_bytes: usize,
    /// Time from start to the last row.
    pub time: Duration,
    /// Threads that may work at once.
    pub threads: usize,
    /// Rows that are read and handed on together.
    pub batch_rows: usize,
}

impl Default for SearchLimits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_bytes: 256 << 20, time: Duration::from_mins(5), threads, batch_rows: 8192 }
    }
}

/// Why a query gave no (more) rows.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// It is not a single reading query.
    #[error("{0}\nhint: a search is one SELECT, WITH or EXPLAIN over the table `{EVENTS}`")]
    Refused(String),
    /// It cannot be understood.
    #[error("{0}")]
    Sql(String),
    /// It needs more memory than it may use (bytes).
    #[error("the query needs more than {0} bytes of memory\nhint: narrow the time range or raise `--memory`")]
    Memory(usize),
    /// It took longer than it may.
    #[error("the query took longer than {} s\nhint: narrow the time range or raise `--timeout`", .0.as_secs())]
    Time(Duration),
    /// The table could not be opened.
    #[error(transparent)]
    Table(#[from] HotError),
    /// Reading failed.
    #[error("search failed: {0}")]
    Failed(DataFusionError),
}

/// A running query: rows as they come.
pub struct Search {
    stream: SendableRecordBatchStream,
    plan: Arc<dyn ExecutionPlan>,
    session: Session,
    limits: SearchLimits,
    deadline: Instant,
    rows: u64,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search")
            .field("schema", &self.schema())
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl HotTable {
    /// Runs one reading query over the table's newest snapshot.
    pub async fn search(&self, sql: &str, limits: &SearchLimits) -> Result<Search, SearchError> {
        self.search_beside(None, sql, limits).await
    }

    /// The same, where the query can also see the rows that jobs brought back, as [`REHYDRATED`].
    pub(crate) async fn search_beside(
        &self,
        rehydrated: Option<&Self>,
        sql: &str,
        limits: &SearchLimits,
    ) -> Result<Search, SearchError> {
        let mut session = Session::open(&self.fresh().await?, limits).map_err(SearchError::Failed)?;
        if let Some(rehydrated) = rehydrated {
            session.add(REHYDRATED, &rehydrated.fresh().await?).map_err(SearchError::Failed)?;
        }
        let state = session.context().state();
        let statement = session::reading_statement(&state, sql)?;
        Search::start(session, limits, |state| async move {
            let plan = state.statement_to_plan(statement).await?;
            session::verify(&plan)?;
            Ok(plan)
        })
        .await
    }

    /// Rows for which `predicate` holds and whose time (epoch milliseconds) is in `period`: the named
    /// columns, or all.
    pub async fn rows_where(
        &self,
        predicate: Option<&Predicate>,
        period: Range<i64>,
        columns: &[&str],
        limits: &SearchLimits,
    ) -> Result<Search, SearchError> {
        let session = Session::open(&self.fresh().await?, limits).map_err(SearchError::Failed)?;
        let time = |ms: i64| {
            lit(ScalarValue::TimestampMicrosecond(Some(ms.saturating_mul(1000)), Some("UTC".into())))
        };
        let mut filter = col("time").gt_eq(time(period.start)).and(col("time").lt(time(period.end)));
        if let Some(predicate) = predicate {
            filter = filter.and(predicate.expr().clone());
        }
        let columns: Vec<_> = columns.iter().map(|name| col(*name)).collect();
        let events = session.events().await.map_err(SearchError::Failed)?;
        Search::start(session, limits, |_| async move {
            let rows = LogicalPlanBuilder::from(events).filter(filter)?;
            if columns.is_empty() { rows.build() } else { rows.project(columns)?.build() }
        })
        .await
    }
}

impl Search {
    async fn start<F: Future<Output = Result<LogicalPlan, DataFusionError>>>(
        session: Session,
        limits: &SearchLimits,
        plan: impl FnOnce(SessionState) -> F,
    ) -> Result<Self, SearchError> {
        let deadline = Instant::now() + limits.time;
        let state = session.context().state();
        let planned = tokio::time::timeout_at(deadline, async {
            let logical = plan(state.clone()).await?;
            session::cooperative(state.create_physical_plan(&logical).await?)
        });
        let planned = planned.await.map_err(|_| SearchError::Time(limits.time))?;
        let plan = planned.map_err(|e| planning_error(e, limits))?;
        let stream = execute_stream(Arc::clone(&plan), session.context().task_ctx())
            .map_err(|e| running_error(e, limits))?;
        Ok(Self { stream, plan, session, limits: limits.clone(), deadline, rows: 0 })
    }

    /// Columns of the result.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next rows; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SearchError> {
        match tokio::time::timeout_at(self.deadline, self.stream.next()).await {
            Err(_) => Err(SearchError::Time(self.limits.time)),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(running_error(error, &self.limits)),
            Ok(Some(Ok(batch))) => {
                self.rows += batch.num_rows() as u64;
                Ok(Some(batch))
            }
        }
    }

    /// All rows that are left, and what it cost to read them.
    pub async fn collect(mut self) -> Result<(Vec<RecordBatch>, Explain), SearchError> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = self.next().await? {
            bytes += batch.get_array_memory_size();
            if bytes > self.limits.memory_bytes {
                return Err(SearchError::Memory(self.limits.memory_bytes));
            }
            batches.push(batch);
        }
        let explain = self.explain();
        Ok((batches, explain))
    }

    /// What was read until now.
    pub fn explain(&self) -> Explain {
        explain::explain(&self.plan, &self.session, self.rows)
    }
}

fn planning_error(error: DataFusionError, limits: &SearchLimits) -> SearchError {
    match error.find_root() {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_) => SearchError::Sql(first_line(&error)),
        _ => running_error(error, limits),
    }
}

fn running_error(error: DataFusionError, limits: &SearchLimits) -> SearchError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => SearchError::Memory(limits.memory_bytes),
        _ => SearchError::Failed(error),
    }
}

fn first_line(error: &DataFusionError) -> String {
    let text = error.find_root().strip_backtrace();
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}
