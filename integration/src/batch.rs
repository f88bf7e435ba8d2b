//! Cuts a delivery into requests, and halves what a destination refuses.
//!
//! Requests go out one after the other, so that order holds. A request that is too large is halved,
//! and the smaller size is kept for later ones. A request that is refused is halved as well, until
//! the events at fault stand alone: those go to the dead letters, all others are delivered, at about
//! `2 × log2(events)` requests for each bad event.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;

use crate::output::{Delivered, Delivery, OutEvent, OutputError, Rejected};

/// Most bytes in one request before compression.
pub const BATCH_BYTES_MAX: usize = 5 << 20;
/// Most events in one request.
pub const BATCH_EVENTS_MAX: usize = 1000;
/// A destination that finds this too large is not believed for later requests.
pub const BATCH_BYTES_MIN: usize = 16 << 10;
/// Lone events refused one after the other, none accepted between them, that show the endpoint and
/// not the events to be at fault: the output stops instead of sending everything to the dead letters.
pub const REFUSED_RUN_MAX: usize = 100;

/// Limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most bytes before compression ([`BATCH_BYTES_MAX`]); a longer event goes alone.
    pub bytes: usize,
    /// Most events ([`BATCH_EVENTS_MAX`]).
    pub events: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { bytes: BATCH_BYTES_MAX, events: BATCH_EVENTS_MAX }
    }
}

/// What a destination made of one request that it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it was accepted.
    Accepted,
    /// Send less at once (why).
    TooLarge(String),
    /// Something in it will never be accepted (why).
    Refused(String),
}

/// One request of a destination.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends `events`, which start at index `first` of the delivery called `label`. Gives the verdict
    /// and the number of requests it took.
    async fn post(
        &self,
        label: &str,
        first: usize,
        events: &[OutEvent],
    ) -> Result<(Verdict, u32), OutputError>;
}

/// Sends deliveries by requests within limits, and learns what size the destination takes.
#[derive(Debug)]
pub struct Batcher {
    events_max: usize,
    bytes_max: AtomicUsize,
}

impl Batcher {
    /// A batcher that starts at `limits`; zero counts as one.
    pub fn new(limits: BatchLimits) -> Self {
        Self { events_max: limits.events.max(1), bytes_max: AtomicUsize::new(limits.bytes.max(1)) }
    }

    /// Delivers all events through `to`, in order.
    pub async fn deliver(&self, delivery: &Delivery<'_>, to: &impl Post) -> Result<Delivered, OutputError> {
        let label = delivery.label()?;
        let events = delivery.events;
        let mut done = Delivered::default();
        let mut refused_run = 0;
        // Ranges still to send, the next one last; `next` is where the rest begins.
        let mut halves: Vec<Range<usize>> = Vec::new();
        let mut next = 0;
        while let Some(range) = halves.pop().or_else(|| self.cut(events, &mut next)) {
            let batch = &events[range.clone()];
            let (verdict, requests) = to.post(&label, range.start, batch).await?;
            done.requests += u64::from(requests);
            let reason = match verdict {
                Verdict::Accepted => {
                    refused_run = 0;
                    done.events += batch.len() as u64;
                    done.bytes += batch.iter().map(|e| e.body.len() as u64).sum::<u64>();
                    continue;
                }
                Verdict::TooLarge(reason) => {
                    self.learn(batch);
                    reason
                }
                Verdict::Refused(reason) => reason,
            };
            if let [event] = batch {
                refused_run += 1;
                if refused_run >= REFUSED_RUN_MAX {
                    return Err(OutputError::configuration(format!(
                        "{REFUSED_RUN_MAX} events in a row were refused: {reason}"
                    )));
                }
                done.rejected.push(Rejected { index: range.start, id: event.id.clone(), reason });
            } else {
                let middle = range.start + range.len() / 2;
                halves.push(middle..range.end);
                halves.push(range.start..middle);
            }
        }
        Ok(done)
    }

    /// The longest range from `next` within the limits, at least one event; `None` at the end.
    fn cut(&self, events: &[OutEvent], next: &mut usize) -> Option<Range<usize>> {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let start = *next;
        let mut bytes = 0;
        let fitting = events.get(start..)?.iter().take(self.events_max).take_while(|event| {
            bytes += framed_bytes(event);
            bytes <= bytes_max
        });
        let end = (start + fitting.count().max(1)).min(events.len());
        *next = end;
        (start < end).then_some(start..end)
    }

    /// Keeps half the size of a batch that was too large as the limit of later ones.
    fn learn(&self, batch: &[OutEvent]) {
        if batch.len() > 1 {
            let half = batch.iter().map(framed_bytes).sum::<usize>() / 2;
            self.bytes_max.fetch_min(half.max(BATCH_BYTES_MIN), Ordering::Relaxed);
        }
    }
}

/// Bytes an event takes in a request, with its separator.
fn framed_bytes(event: &OutEvent) -> usize {
    event.body.len() + 1
}
