//! Transports that bring raw log units in.
//!
//! A [`Source`] names what there is to fetch ([`Candidate`]) before a byte is read, so that the
//! ledger can be asked first. [`UnitReader`] turns one fetched object into units: inflated by its
//! content, cut at record boundaries when it is large, and with every flaw of the delivery named.
//! Memory is bounded by named limits, whatever the size of an object and however many there are.

mod bucket;
#[cfg(test)]
mod contract;
mod error;
mod files;
mod inflate;
mod parts;
mod source;
mod stream;

pub use bucket::BucketSource;
pub use error::IngestError;
pub use files::FileSource;
pub use inflate::{Inflater, Limits};
pub use parts::{Cut, Feed, UnitReader, missing_unit};
pub use source::{Body, Candidate, Lease, Outcome, Source};
