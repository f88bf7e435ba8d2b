//! Object stores: folders and the buckets of three clouds behind one small trait.
//!
//! A put creates and never overwrites, replacing and deleting are conditional, and what a call
//! returned is durable. [`connect()`] opens the [`Store`] of a configured place; [`probe()`] asks it
//! whether it keeps that promise before it is used. Every provider's module says what it guarantees
//! and by which header; all of them run one contract suite. Repeats, pauses and time-outs are the
//! same everywhere and set in one place.

mod azure;
mod connect;
#[cfg(test)]
mod contract;
mod counting;
pub mod durable;
mod error;
mod gcs;
mod keys;
mod local;
mod memory;
pub mod model;
mod pages;
mod probe;
mod resume;
mod retry;
mod s3;
mod store;
#[cfg(test)]
mod weather;

pub use azure::AzureStore;
pub use connect::{connect, connect_encrypted, create_bucket};
pub use counting::{Counters, CountingStore, Counts};
pub use error::StoreError;
pub use gcs::GcsStore;
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use probe::{ProbeError, clock_ms, probe};
pub use s3::S3Store;
pub use store::{
    LIST_PAGE_MAX, LockMode, ObjectHead, ObjectStream, PART_BYTES, PutAs, Restore, RestoreSpeed, Store,
};
