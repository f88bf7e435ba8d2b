//! The contract of every transport.
//!
//! A source hands out [`Candidate`]s page by page and opens them on demand. It is shared: one task
//! takes pages while workers read bodies and the committer settles leases, so every method takes
//! `&self`, and a source keeps its own state (listing position, messages in flight) behind a lock.
//!
//! - **Bounded**: a source holds the position of its listing and what is in flight, never the
//!   objects it has seen. Whether a candidate was taken before is the ledger's to say.
//! - **Listings** (folders, buckets) go through keys in order, hand out each key once a pass, and
//!   end with an empty page; a later call begins a new pass. A pass over what is recent may come in
//!   between: then a key comes more than once.
//! - **Queues** put a [`Lease`] on every candidate. One message may name several objects: it is
//!   acknowledged when all its candidates are settled as [`Outcome::Committed`], and given back when
//!   one of them is [`Outcome::Again`]. The source keeps leases alive in [`Source::extend`].
//! - **Messages that carry the events themselves** (Kafka, push) are candidates as well: their
//!   identity is topic, partition and offsets, and [`Source::open`] reads from memory.

use std::{io::Read, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::IngestError;

/// Something a source can fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// One version of one object: `UnitId::object`.
    pub object: Arc<str>,
    /// Key of the object within its store; for a file its absolute path.
    pub key: Arc<str>,
    /// Size as delivered, in bytes.
    pub size: u64,
    /// When the object was written, epoch milliseconds.
    pub modified_ms: i64,
    /// The message that announced it, if one did.
    pub lease: Option<Lease>,
}

/// A message in flight; means something only to the source that gave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease(pub u64);

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its units, or the gap it left, are in the ledger (now or from before).
    Committed,
    /// It was not taken: deliver it again.
    Again,
}

/// The bytes of one candidate as delivered, read on a worker thread (`read` may block).
///
/// A body that comes from a network is filled by a task through a bounded channel.
pub trait Body: Read + Send {
    /// Whether what has been read so far is of the version that was listed. Asked before each unit
    /// is handed over; a store that pins the version of a read says `true`.
    fn is_unchanged(&mut self) -> bool;
}

/// A place that units come from; see the module for the contract.
#[async_trait]
pub trait Source: Send + Sync {
    /// The next candidates, at most `max` (at least 1). Empty: the pass is over, or nothing waits.
    ///
    /// Cancel-safe: when the future is dropped, what it took comes again.
    async fn next(&self, max: usize) -> Result<Vec<Candidate>, IngestError>;

    /// Opens the version that `candidate` names.
    async fn open(&self, candidate: &Candidate) -> Result<Box<dyn Body>, IngestError>;

    /// Says what became of one candidate of a message; call it once for each candidate with a lease.
    async fn settle(&self, _lease: Lease, _outcome: Outcome) -> Result<(), IngestError> {
        Ok(())
    }

    /// Extends the leases that are due and says how soon to call again; `None` for a source
    /// without leases.
    async fn extend(&self) -> Result<Option<Duration>, IngestError> {
        Ok(None)
    }
}
