//! What normalising gives: rows, the events they came from, and what was rejected.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;

/// Most rows in one batch; predicates are evaluated and tables written batch by batch.
pub const BATCH_ROWS_MAX: usize = 8192;

/// One raw event inside its unit. The bytes between events are the unit's residue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// First byte in the unit.
    pub start: u32,
    /// One past the last byte in the unit.
    pub end: u32,
    /// SHA-256 of the event's bytes; `raw_hash` is its first half.
    pub sha256: [u8; 32],
}

/// Rows of consecutive events of one unit, in the order of the unit.
#[derive(Debug, Clone)]
pub struct EventBatch {
    /// The linchpin columns ([`crate::columns::schema`]); every event has at least one row.
    pub rows: RecordBatch,
    /// The events, ascending and disjoint.
    pub events: Vec<Event>,
    /// For each row, the index of its event in `events` (ascending).
    pub row_event: Vec<u32>,
    /// For each row, its number among the rows of its event.
    pub row_sub: Vec<u32>,
}

/// Why an event, or one of its fields, did not become what its mapping says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Offset of the event in its unit, in bytes.
    pub offset: u64,
    /// Position of the fault within the event, in bytes, where it is known.
    pub at: Option<u32>,
    /// OCSF target of a field that was quarantined; `None` when the whole event became class 0.
    pub field: Option<Arc<str>>,
    /// What was wrong, with the offending text.
    pub reason: String,
}

/// The result of a total function: what could be normalised, and what could not.
#[derive(Debug, Clone)]
pub struct Normalized {
    /// Rows and events.
    pub batch: EventBatch,
    /// Faults found; the raw bytes of every one are among `batch.events`.
    pub rejects: Vec<Reject>,
}

/// What a whole unit said beside its events, known when its last batch was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// Name of the source that was recognised (`unknown` when none was).
    pub source: Arc<str>,
    /// Header lines or envelope needed to read one event again by itself.
    pub context: Bytes,
}
