//! The table `rehydrated` as a destination: rows by today's mappings, in partitions of their job, so
//! that they go as they came: all at once.

use std::sync::Arc;

use arrow::{
    array::{AsArray, BooleanArray},
    compute::filter_record_batch,
    datatypes::TimestampMicrosecondType,
};
use async_trait::async_trait;
use linchpin_normalize::{Normalizer, columns};

use super::sink::{Sink, SinkError};
use crate::{
    hot::{HotRows, HotTable, encode},
    policy::RetentionClass,
    rehydrate::Rehydrated,
    replay::replay_unit,
};

/// Rows of one commit.
const ROWS_MAX: usize = 200_000;

/// The table `rehydrated`. Every part is a worker of the table, so that a part that is repeated adds
/// nothing.
#[derive(Debug)]
pub struct TableSink {
    table: HotTable,
    job: String,
    class: [RetentionClass; 1],
    part: u32,
    commits: u64,
    rows: Vec<HotRows>,
    count: usize,
}

impl TableSink {
    /// Rows of `job` go into `table`.
    pub fn new(table: HotTable, job: &str) -> Self {
        let class = RetentionClass::new(job, std::time::Duration::MAX, std::time::Duration::MAX);
        Self { table, job: job.to_owned(), class: [class], part: 0, commits: 0, rows: Vec::new(), count: 0 }
    }

    async fn commit(&mut self) -> Result<(), SinkError> {
        let rows = std::mem::take(&mut self.rows);
        self.count = 0;
        let Some(latest) = rows.iter().filter_map(latest_ms).max() else { return Ok(()) };
        let class = self.class.clone();
        // Days count from the latest of them: a job brings back old events by their own days.
        let files = tokio::task::spawn_blocking(move || encode(&rows, &class, latest)).await;
        let files = files.map_err(|e| stop(&e))?.map_err(|e| stop(&e))?;
        self.commits += 1;
        let worker = format!("{}-{}", self.job, self.part);
        let done = self.table.commit(files, &worker, self.commits).await;
        done.map(drop).map_err(|e| SinkError::Retry(e.to_string()))
    }
}

fn stop(error: &impl ToString) -> SinkError {
    SinkError::Stop(error.to_string())
}

/// Time of the latest row, epoch milliseconds.
fn latest_ms(rows: &HotRows) -> Option<i64> {
    let times = rows.rows.column(columns::index("time")?).as_primitive_opt::<TimestampMicrosecondType>()?;
    arrow::compute::max(times).map(|micros| micros.div_euclid(1000))
}

/// The matching rows of events of one unit.
fn rows_of(events: &[Rehydrated<'_>], normalizer: &mut Normalizer) -> Result<Option<HotRows>, SinkError> {
    let Some(first) = events.first() else { return Ok(None) };
    let unit = replay_unit(first.unit);
    let replayed = normalizer.replay(&unit, events.iter().map(|e| (e.event.offset, e.event.bytes)));
    let Some(normalized) = replayed else { return Ok(None) };
    let batch = normalized.batch;
    let asked: Vec<bool> = batch
        .row_event
        .iter()
        .zip(&batch.row_sub)
        .map(|(event, sub)| events[*event as usize].subs.contains(sub))
        .collect();
    let kept =
        |of: &dyn Fn(usize) -> u32| -> Vec<u32> { (0..asked.len()).filter(|n| asked[*n]).map(of).collect() };
    let row = kept(&|n| events[batch.row_event[n] as usize].event.row);
    let sub = kept(&|n| batch.row_sub[n]);
    let rows = filter_record_batch(&batch.rows, &BooleanArray::from(asked)).map_err(|e| stop(&e))?;
    Ok(Some(HotRows {
        class: vec![0; row.len()],
        segments: [Arc::from(first.segment)].into(),
        feed: first.unit.feed.as_str().into(),
        rows,
        row,
        sub,
    }))
}

#[async_trait]
impl Sink for TableSink {
    async fn begin(&mut self, part: u32) -> Result<(), SinkError> {
        (self.part, self.commits, self.count) = (part, 0, 0);
        self.rows.clear();
        Ok(())
    }

    async fn take(
        &mut self,
        events: &[Rehydrated<'_>],
        normalizer: &mut Normalizer,
    ) -> Result<(), SinkError> {
        let same = |a: &Rehydrated<'_>, b: &Rehydrated<'_>| a.event.unit == b.event.unit;
        for run in events.chunk_by(same) {
            if let Some(rows) = rows_of(run, normalizer)?.filter(|rows| !rows.row.is_empty()) {
                self.count += rows.row.len();
                self.rows.push(rows);
            }
        }
        if self.count >= ROWS_MAX { self.commit().await } else { Ok(()) }
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        self.commit().await
    }
}
