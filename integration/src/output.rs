//! The contract that every output keeps with the lane that feeds it.
//!
//! A lane hands over one [`Delivery`] a step: the events of one worker's epoch that the output's
//! predicate chose, in the order of their times. It delivers the steps of one worker one after the
//! other, and moves its cursor only after [`Output::deliver`] and [`Output::flush`] returned `Ok` and
//! it has recorded [`Delivered::rejected`]. Whatever fails before that is delivered again, so:
//!
//! - **At least once, in order.** The events of a delivery reach the destination in their order, and
//!   `Ok` means that each was accepted or is named in `rejected`. Nothing is dropped silently.
//! - **Repeats are harmless** where the destination allows it: the same `(worker, seq)` twice replaces,
//!   or carries the same name, so that the receiver can drop it.
//! - **Errors are decisions.** [`OutputError::Retry`] means wait and deliver the same step again; the
//!   others mean stop this output and alert. None of them means that an event may be skipped.
//! - **Bounded.** An output holds at most one delivery and one request a lane in memory, and returns
//!   within its own time limits instead of waiting for ever.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

/// Longest worker name in bytes (a ULID has 26).
pub const WORKER_NAME_BYTES_MAX: usize = 64;

/// One event, rendered in the shape the output asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutEvent {
    /// The `event_id` column: the same event has the same id in every repeat.
    pub id: String,
    /// Time of the event, epoch milliseconds.
    pub time_ms: i64,
    /// The rendered document: one JSON object on one line, without the newline.
    pub body: Bytes,
}

/// One step of a lane: all events of one worker's epoch for one output.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Id of the worker whose epoch it is: letters, digits, `-` and `_`.
    pub worker: &'a str,
    /// Sequence number of the epoch within that worker.
    pub seq: u64,
    /// Commit time of the epoch as the ledger has it, epoch milliseconds: the same in every repeat.
    pub committed_ms: i64,
    /// The events, in the order of their times and, where those are equal, of their ids.
    pub events: &'a [OutEvent],
}

impl Delivery<'_> {
    /// The step's name, `<worker>-<seq>`, safe in a file name and in a header. The sequence number
    /// has ten digits at least, so that names sort in the order of delivery.
    pub fn label(&self) -> Result<String, OutputError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=WORKER_NAME_BYTES_MAX).contains(&self.worker.len());
        if fits && self.worker.bytes().all(plain) {
            return Ok(format!("{}-{:010}", self.worker, self.seq));
        }
        Err(OutputError::Configuration {
            reason: format!(
                "worker `{}` is not a name\nhint: use 1 to {WORKER_NAME_BYTES_MAX} letters, digits, `-` or `_`",
                self.worker.escape_debug()
            ),
        })
    }
}

/// An event the destination will never take; the lane records it before its cursor moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Index in [`Delivery::events`].
    pub index: usize,
    /// Id of the event.
    pub id: String,
    /// What the destination said, without secrets.
    pub reason: String,
}

/// What became of a delivery; `events` and the length of `rejected` add up to all of it.
#[must_use = "rejected events are lost unless they are recorded"]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Events the destination accepted.
    pub events: u64,
    /// Their bytes as rendered, before framing and compression.
    pub bytes: u64,
    /// Requests or writes it took, repeats included.
    pub requests: u64,
    /// Events for the dead-letter record, in order.
    pub rejected: Vec<Rejected>,
}

/// Why a delivery, or an output's configuration, failed; the variants are decisions.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Deliver the same step again later.
    #[error("output cannot deliver now: {reason}")]
    Retry {
        /// What happened last.
        reason: String,
        /// How long to wait at least; `None` leaves it to the lane.
        after: Option<Duration>,
    },
    /// The destination refuses the credentials: stop this output and alert.
    #[error("output is not authorised: {reason}")]
    Unauthorized {
        /// What the destination said.
        reason: String,
    },
    /// The configuration cannot work: stop this output and alert.
    #[error("output is misconfigured: {reason}")]
    Configuration {
        /// What is wrong.
        reason: String,
    },
}

impl OutputError {
    /// A [`OutputError::Retry`] that leaves the wait to whoever repeats.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    /// An [`OutputError::Configuration`].
    pub fn configuration(reason: impl Into<String>) -> Self {
        Self::Configuration { reason: reason.into() }
    }
}

/// A destination of events; see the module for its contract.
#[async_trait]
pub trait Output: Debug + Send + Sync {
    /// Name of the output in the configuration.
    fn name(&self) -> &str;

    /// Hands one step over. Harmless to repeat, and safe to drop half-way.
    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Delivered, OutputError>;

    /// Makes everything delivered so far safe at the destination; outputs that collect several
    /// deliveries into one object write it here.
    async fn flush(&self) -> Result<(), OutputError> {
        Ok(())
    }
}
