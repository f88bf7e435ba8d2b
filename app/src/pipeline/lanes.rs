//! Lanes: (worker, consumer) positions over the ledger.
//!
//! A worker serves its own lanes from memory right after its commit. A lane that has fallen behind,
//! because its output was down or its worker died, is served by reading the segments back and
//! normalising them again, epoch by epoch, by whoever finds it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use linchpin_integration::{Delivery, OutEvent, OutputError};
use linchpin_normalize::Normalizer;
use linchpin_tiering::{
    Cursor, hot,
    ledger::{Fact, SegmentState, WorkerState},
    policy::RetentionClass,
    replay::{self, OpenSegment},
};

use super::{Shared, TAKE_OVER_EVERY, matched, now_ms};
use crate::exit::Failure;

/// A lane of a worker that may still be alive is left alone for so long after its last commit.
const IDLE: Duration = Duration::from_mins(1);
/// Tries of `run --once` for the first delivery that fails, each of which repeats its requests for
/// itself; a pause between two lets the output's circuit close.
const DELIVERIES_ONCE: u32 = 2;
/// How often a service removes files that the tables have let go of.
const VACUUM_EVERY: Duration = Duration::from_hours(24);
/// Longest pause between two deliveries of the same step.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One epoch of one worker for one output.
pub(super) struct Step<'a> {
    pub output: usize,
    pub worker: &'a str,
    pub seq: u64,
    pub committed_ms: i64,
}

/// Delivers a worker's own epoch from memory, if the lane has come so far. What fails stays behind
/// and is read back later; the worker goes on.
pub(super) async fn own(
    shared: &Shared,
    step: &Step<'_>,
    events: Vec<OutEvent>,
    normalizer: &mut Normalizer,
) {
    let position = match position(shared, step.output, step.worker).await {
        Ok((seq, _)) => seq,
        Err(error) => {
            tracing::warn!(%error, output = shared.outputs[step.output].name(), "cannot read a cursor");
            return;
        }
    };
    let outcome = if position + 1 == step.seq {
        deliver(shared, step, events, 1).await
    } else {
        catch_up(shared, step.output, step.worker, normalizer, 1).await
    };
    if let Err(error) = outcome {
        tracing::warn!(%error, output = shared.outputs[step.output].name(), "output is behind");
    }
}

async fn position(shared: &Shared, output: usize, worker: &str) -> Result<(u64, Option<String>)> {
    let cursor = shared.lake.cursor(shared.outputs[output].name(), worker).await;
    Ok(match cursor.map_err(Failure::environment)? {
        Some((cursor, etag)) => (cursor.seq, Some(etag)),
        None => (0, None),
    })
}

/// Delivers one step and moves the cursor.
async fn deliver(shared: &Shared, step: &Step<'_>, mut events: Vec<OutEvent>, tries_max: u32) -> Result<()> {
    let output = &shared.outputs[step.output];
    let (position, etag) = position(shared, step.output, step.worker).await?;
    if position >= step.seq {
        return Ok(());
    }
    // One order whether they come from memory or from segments, so that a repeat is the same bytes.
    events.sort_unstable_by(|a, b| (a.time_ms, &a.id).cmp(&(b.time_ms, &b.id)));
    let delivery =
        Delivery { worker: step.worker, seq: step.seq, committed_ms: step.committed_ms, events: &events };
    let mut tries = 0;
    let delivered = loop {
        let outcome = match output.deliver(&delivery).await {
            Ok(delivered) => output.flush().await.map(|()| delivered),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(delivered) => break delivered,
            Err(OutputError::Retry { reason, after }) => {
                tries += 1;
                if tries >= tries_max {
                    return Err(Failure::environment(anyhow!("output `{}`: {reason}", output.name())));
                }
                let pause = after.unwrap_or(Duration::from_secs(1 << tries.min(5)));
                tokio::time::sleep(pause.min(PAUSE_MAX)).await;
            }
            Err(error) => return Err(Failure::environment(error)),
        }
    };
    if !delivered.rejected.is_empty() {
        tracing::warn!(
            output = output.name(),
            events = delivered.rejected.len(),
            "output refused events for good"
        );
        let mut lines = String::new();
        for refused in &delivered.rejected {
            let body = events.get(refused.index).map(|e| String::from_utf8_lossy(&e.body));
            let letter =
                serde_json::json!({ "event_id": refused.id, "reason": refused.reason, "body": body });
            lines.push_str(&letter.to_string());
            lines.push('\n');
        }
        let kept = shared.lake.dead_letters(output.name(), step.worker, step.seq, lines.into_bytes()).await;
        kept.map_err(Failure::environment)?;
    }
    let cursor = Cursor { seq: step.seq, at_ms: now_ms() };
    let moved = shared.lake.move_cursor(output.name(), step.worker, cursor, etag.as_deref()).await;
    if !moved.map_err(Failure::environment)? {
        tracing::debug!(
            output = output.name(),
            worker = step.worker,
            "another worker served the lane as well"
        );
    }
    Ok(())
}

/// Reads back and delivers every epoch of a worker that an output has not had.
async fn catch_up(
    shared: &Shared,
    output: usize,
    worker: &str,
    normalizer: &mut Normalizer,
    tries: u32,
) -> Result<()> {
    loop {
        let (position, _) = position(shared, output, worker).await?;
        let segments = shared.lake.ledger.segments_of_worker_after(worker, position, 1);
        let Some(first) = segments.first() else { return Ok(()) };
        let step = Step { output, worker, seq: first.fact.seq, committed_ms: first.committed_ms };
        let mut events = Vec::new();
        for segment in &segments {
            events.extend(read_back(shared, output, segment, normalizer).await?);
        }
        deliver(shared, &step, events, tries).await?;
    }
}

/// The events of a segment that an output asked for.
async fn read_back(
    shared: &Shared,
    output: usize,
    segment: &SegmentState,
    normalizer: &mut Normalizer,
) -> Result<Vec<OutEvent>> {
    let store = shared.lake.archive(&segment.place().store).map_err(Failure::environment)?;
    let open = OpenSegment::open(store, segment.place()).await.map_err(Failure::problem)?;
    let (deployment, only) = (&shared.deployment, output..output + 1);
    let mut events = Vec::new();
    for block in 0..open.reader.footer().blocks.len() {
        let block = open.reader.read_block(block).await.map_err(Failure::problem)?;
        for run in open.runs(&block) {
            let Some((normalized, _)) = replay::normalize(normalizer, &run) else { continue };
            let event = |n: usize| (run.events[n].offset, run.events[n].bytes);
            let found = matched::out_events(
                deployment,
                only.clone(),
                normalizer,
                &run.replay(),
                &run.unit.feed,
                &normalized,
                event,
            );
            events.extend(found.into_iter().flatten());
        }
    }
    Ok(events)
}

/// Adds every epoch of a worker that the hot table does not have.
async fn catch_up_hot(shared: &Shared, worker: &str, normalizer: &mut Normalizer) -> Result<()> {
    loop {
        let position = shared.lake.hot.position(worker).await.map_err(Failure::environment)?.unwrap_or(0);
        let segments = shared.lake.ledger.segments_of_worker_after(worker, position, 1);
        let Some(first) = segments.first() else { return Ok(()) };
        let (seq, committed_ms) = (first.fact.seq, first.committed_ms);
        let mut names: Vec<&str> = segments.iter().map(|s| s.fact.retention.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut rows = Vec::new();
        for segment in &segments {
            let class = names.iter().position(|n| *n == segment.fact.retention).unwrap_or(0) as u8;
            let store = shared.lake.archive(&segment.place().store).map_err(Failure::environment)?;
            let read = replay::hot_rows(store, segment, class, names.len(), normalizer).await;
            rows.extend(read.map_err(Failure::problem)?);
        }
        // Only the names matter here: the rows have their classes already.
        let named = |name: &&str| RetentionClass::new(name, Duration::ZERO, Duration::MAX);
        let classes: Vec<RetentionClass> = names.iter().map(named).collect();
        let files = hot::encode(&rows, &classes, committed_ms).map_err(Failure::problem)?;
        let bytes: u64 = files.iter().map(|f| f.bytes.len() as u64).sum();
        let commit = shared.lake.hot.commit(files, worker, seq).await.map_err(Failure::environment)?;
        if commit.added {
            shared.totals.hot_bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Whether some consumer of a worker is behind.
async fn is_behind(shared: &Shared, worker: &str, state: &WorkerState) -> Result<bool> {
    let hot = shared.lake.hot.position(worker).await.map_err(Failure::environment)?.unwrap_or(0);
    if hot < state.max_seq {
        return Ok(true);
    }
    for output in 0..shared.outputs.len() {
        if position(shared, output, worker).await?.0 < state.max_seq {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Serves the lanes of one worker to their end. A lane that fails holds up no other: what failed is
/// given at the end, and after the first failure each delivery is tried once.
async fn serve(
    shared: &Shared,
    worker: &str,
    normalizer: &mut Normalizer,
    tries: &mut u32,
) -> Vec<anyhow::Error> {
    let mut failed: Vec<anyhow::Error> =
        catch_up_hot(shared, worker, normalizer).await.err().into_iter().collect();
    for output in 0..shared.outputs.len() {
        if let Err(error) = catch_up(shared, output, worker, normalizer, *tries).await {
            *tries = 1;
            failed.push(error);
        }
    }
    failed
}

/// Takes over what nobody serves; the number of lanes that must still wait for their worker.
async fn take_over(shared: &Shared, normalizer: &mut Normalizer, mut tries: u32) -> Result<usize> {
    // Who is gone is asked before the ledger is read: then what it holds of them is all there is.
    let known = shared.lake.ledger.workers();
    let gone: BTreeSet<String> =
        known.into_iter().filter(|(id, w)| !w.closed && shared.lake.is_gone(id)).map(|(id, _)| id).collect();
    shared.lake.ledger.refresh().await.map_err(Failure::environment)?;
    let mut waiting = 0;
    let mut failed = Vec::new();
    for (worker, state) in shared.lake.ledger.workers() {
        if state.closed {
            continue;
        }
        let gone = gone.contains(&worker);
        let idle = now_ms().saturating_sub(state.last_commit_ms) > IDLE.as_millis() as i64;
        if is_behind(shared, &worker, &state).await? {
            if !gone && !idle {
                waiting += 1;
                continue;
            }
            tracing::info!(worker, "taking over the lanes of a worker");
            let failures = serve(shared, &worker, normalizer, &mut tries).await;
            if !failures.is_empty() {
                failed.extend(failures);
                continue;
            }
        }
        if gone {
            let closed = Fact::WorkerClosed { worker: worker.clone() };
            shared.lake.ledger.commit(vec![closed]).await.map_err(Failure::environment)?;
            shared.lake.forget_presence(&worker);
        }
    }
    let mut failed = failed.into_iter();
    let first = failed.next();
    failed.for_each(|error| tracing::warn!(%error, "another lane failed as well"));
    first.map_or(Ok(waiting), Err)
}

/// `run --once`: every lane is drained before it returns.
pub(super) async fn drain(shared: &Arc<Shared>) -> Result<()> {
    let mut normalizer = Normalizer::new(shared.catalog());
    let behind = "what came in is safe, but not all of it was delivered; the next run goes on";
    while take_over(shared, &mut normalizer, DELIVERIES_ONCE).await.context(behind)? > 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tidy(shared).await;
    Ok(())
}

/// Merges small files of the tables; what fails is tried again at the next pass.
async fn tidy(shared: &Shared) {
    if let Err(error) = shared.lake.hot.compact().await {
        tracing::warn!(%error, "cannot compact the hot table");
    }
    if let Err(error) = shared.lake.ledger.compact().await {
        tracing::warn!(%error, "cannot compact the ledger");
    }
}

/// Removes files that neither table has had any more for a week.
async fn vacuum(shared: &Shared) {
    if let Err(error) = shared.lake.hot.vacuum().await {
        tracing::warn!(%error, "cannot vacuum the hot table");
    }
    if let Err(error) = shared.lake.ledger.vacuum().await {
        tracing::warn!(%error, "cannot vacuum the ledger");
    }
}

/// A service looks for lanes to take over, and tidies the tables, until it stops.
pub(super) async fn watch(shared: &Arc<Shared>) -> Result<()> {
    let mut normalizer = Normalizer::new(shared.catalog());
    let mut vacuumed = tokio::time::Instant::now();
    while !shared.stopping() {
        if !Arc::ptr_eq(normalizer.catalog(), &shared.catalog()) {
            normalizer = Normalizer::new(shared.catalog());
        }
        if let Err(error) = take_over(shared, &mut normalizer, 1).await {
            tracing::warn!(%error, "cannot serve all lanes");
        }
        tidy(shared).await;
        if vacuumed.elapsed() >= VACUUM_EVERY {
            vacuum(shared).await;
            vacuumed = tokio::time::Instant::now();
        }
        let until = tokio::time::Instant::now() + TAKE_OVER_EVERY;
        while !shared.stopping() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
