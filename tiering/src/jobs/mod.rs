//! Rehydration jobs: events come back from tiers that cannot be read at once, priced before they are
//! paid for.
//!
//! A job is *estimated* ([`estimate`]: which objects, how many bytes, what each speed costs and how
//! long it takes), *approved* with a budget ([`Job::approve`]), and then *advanced* by any process
//! ([`Runner::advance`]) until it is done: restores are asked for, looked after, and every object is
//! read and delivered as soon as it is ready. Its state is one document in the lake; a process may die
//! at any moment and another goes on. What may cost money is decided by a pure state machine
//! (`machine.rs`), which also says how the budget is kept.
//!
//! Deliveries are repeated after a crash: a part of a job replaces what an earlier try of it left.

mod estimate;
mod job;
mod machine;
mod read;
mod run;
mod shelf;
mod sink;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use linchpin_store::StoreError;

pub use estimate::{Estimated, Pricing, estimate};
pub use job::{
    Approval, Destination, Job, Lease, Micros, Offer, Order, PARTS_MAX, Part, PartState, Phase, speed_name,
};
pub use machine::{Seen, Step, TRIES_MAX};
pub use run::{LEASE, Progress, Runner, approve, tidy};
pub use shelf::{Held, Jobs, Wanted, Work};
pub use sink::{FolderSink, Sink, SinkError};
pub use table::TableSink;

use crate::{LakeError, archive::ArchiveError, ledger::CommitError, rehydrate::RehydrateError};

/// Why a job could not be made or advanced.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The events could not be found.
    #[error(transparent)]
    Find(#[from] RehydrateError),
    /// A segment could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ledger could not be told.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There is no such job.
    #[error("no job `{0}`\nhint: `linchpin jobs` lists them")]
    NoJob(String),
    /// Another process works on it.
    #[error("job `{0}` is being worked on by another process")]
    Taken(String),
    /// It has too many objects or events.
    #[error(
        "the job would have {count} {what}; the most is {most}\nhint: narrow the predicate or the period"
    )]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The most.
        most: usize,
    },
    /// What the lake holds of a job cannot be understood.
    #[error("job `{id}` cannot be understood: {why}")]
    Damaged {
        /// Its id.
        id: String,
        /// Cause.
        why: String,
    },
    /// Its predicate does not compile any more.
    #[error("the predicate of job `{id}` is not usable: {why}")]
    Predicate {
        /// Its id.
        id: String,
        /// Cause.
        why: String,
    },
    /// The destination cannot be used.
    #[error("cannot deliver: {0}")]
    Sink(String),
}
