//! An output as the destination of a job. What was read is kept in the lake first: an output that is
//! down must not cost a second restore.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use linchpin_integration::{Delivered, Delivery, OutEvent, Output, OutputError, Rejected};
use linchpin_normalize::{EventId, Normalizer};
use linchpin_tiering::{
    Lake,
    jobs::{Job, JobError, Jobs, Sink, SinkError},
    rehydrate::{Rehydrated, Shape},
    replay::replay_unit,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Events of one delivery, and bytes of their bodies.
const EVENTS_MAX: usize = 5_000;
const BYTES_MAX: usize = 8 << 20;
/// Pieces that a part may have, so that a delivery's number tells part and piece.
const PIECES_MAX: u64 = 1 << 20;

/// A piece of a part in the lake: one delivery.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Piece {
    last: bool,
    events: Vec<Event>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Event {
    id: String,
    time_ms: i64,
    body: String,
}

/// See the module.
pub(super) struct OutputSink {
    output: Arc<dyn Output>,
    jobs: Jobs,
    job: String,
    created_ms: i64,
    shape: Shape,
    part: u32,
    pieces: u32,
    open: Piece,
    bytes: usize,
}

impl OutputSink {
    pub(super) fn new(output: Arc<dyn Output>, lake: &Lake, job: &Job) -> Self {
        Self {
            output,
            jobs: Jobs::of(lake),
            job: job.id.clone(),
            created_ms: job.created_ms,
            shape: job.order.shape,
            part: 0,
            pieces: 0,
            open: Piece::default(),
            bytes: 0,
        }
    }

    async fn stage(&mut self, last: bool) -> Result<(), SinkError> {
        let piece = Piece { last, ..std::mem::take(&mut self.open) };
        self.bytes = 0;
        let json = serde_json::to_vec(&piece).map_err(|e| SinkError::Stop(e.to_string()))?;
        self.jobs.stage(&self.job, self.part, self.pieces, &json).await.map_err(retry)?;
        self.pieces += 1;
        Ok(())
    }

    fn event(&mut self, event: &Rehydrated<'_>, normalizer: &mut Normalizer) {
        let (key, offset, bytes) = (event.unit.id().key(), event.event.offset, event.event.bytes);
        let mut push = |id: EventId, time_ms: i64, body: String| {
            self.bytes += body.len();
            self.open.events.push(Event { id: id.to_string(), time_ms, body });
        };
        if self.shape == Shape::Ocsf {
            let documents = normalizer.render(&replay_unit(event.unit), offset, bytes);
            for sub in event.subs {
                let Some(document) = documents.get(*sub as usize) else { continue };
                let time_ms = document.get("time").and_then(serde_json::Value::as_i64);
                push(
                    EventId::new(key, offset, *sub),
                    time_ms.unwrap_or(event.unit.received_ms),
                    document.to_string(),
                );
            }
            return;
        }
        let id = EventId::new(key, offset, 0);
        let mut body = Vec::new();
        // Writing to memory does not fail.
        let written = Shape::Framed.write(event, normalizer, &mut body);
        if let (Ok(()), Ok(body)) = (written, String::from_utf8(body)) {
            push(id, event.unit.received_ms, body.trim_end().to_owned());
        }
    }

    async fn hand_over(&self, part: u32, number: u32, piece: Piece) -> Result<u64, SinkError> {
        let mut events: Vec<OutEvent> = piece
            .events
            .into_iter()
            .map(|e| OutEvent { id: e.id, time_ms: e.time_ms, body: Bytes::from(e.body) })
            .collect();
        events.sort_unstable_by(|a, b| (a.time_ms, &a.id).cmp(&(b.time_ms, &b.id)));
        // The same number in every repeat, so that a receiver can drop what it has.
        let seq = u64::from(part) * PIECES_MAX + u64::from(number) + 1;
        let delivery = Delivery { worker: &self.job, seq, committed_ms: self.created_ms, events: &events };
        let delivered = match self.output.deliver(&delivery).await {
            Ok(delivered) => self.output.flush().await.map(|()| delivered),
            Err(error) => Err(error),
        };
        let delivered = delivered.map_err(|error| match error {
            OutputError::Retry { reason, .. } => SinkError::Retry(reason),
            error => SinkError::Stop(error.to_string()),
        })?;
        self.note(part, number, &events, &delivered).await?;
        Ok(delivered.events)
    }

    /// Keeps what the output refused for good.
    async fn note(
        &self,
        part: u32,
        number: u32,
        events: &[OutEvent],
        delivered: &Delivered,
    ) -> Result<(), SinkError> {
        if delivered.rejected.is_empty() {
            return Ok(());
        }
        tracing::warn!(job = self.job, events = delivered.rejected.len(), "output refused events for good");
        let letter = |refused: &Rejected| {
            let body = events.get(refused.index).map(|e| String::from_utf8_lossy(&e.body));
            let letter = json!({ "event_id": refused.id, "reason": refused.reason, "body": body });
            letter.to_string() + "\n"
        };
        let lines: String = delivered.rejected.iter().map(letter).collect();
        self.jobs.refused(&self.job, part, number, lines.into()).await.map_err(retry)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
fn retry(error: JobError) -> SinkError {
    SinkError::Retry(error.to_string())
}

#[async_trait]
impl Sink for OutputSink {
    async fn begin(&mut self, part: u32) -> Result<(), SinkError> {
        (self.part, self.pieces, self.bytes) = (part, 0, 0);
        self.open = Piece::default();
        Ok(())
    }

    async fn take(
        &mut self,
        events: &[Rehydrated<'_>],
        normalizer: &mut Normalizer,
    ) -> Result<(), SinkError> {
        for event in events {
            self.event(event, normalizer);
            if self.open.events.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX {
                self.stage(false).await?;
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        self.stage(true).await
    }

    fn stages(&self) -> bool {
        true
    }

    async fn deliver(&mut self, part: u32) -> Result<u64, SinkError> {
        let mut events = 0;
        for number in 0..PIECES_MAX as u32 {
            let Some(json) = self.jobs.staged(&self.job, part, number).await.map_err(retry)? else {
                return Err(SinkError::Stop(format!(
                    "part {part} of job `{}` is not complete in the lake",
                    self.job
                )));
            };
            let piece: Piece = serde_json::from_slice(&json).map_err(|e| SinkError::Stop(e.to_string()))?;
            let last = piece.last;
            if !piece.events.is_empty() {
                events += self.hand_over(part, number, piece).await?;
            }
            if last {
                break;
            }
        }
        Ok(events)
    }
}
