//! Outputs: what linchpin sends on, one file a destination.
//!
//! Every destination implements [`Output`]; [`OUTPUTS`] names them, and [`build`] makes one from its
//! configuration. A new output is one file and one row of that table. The shared parts are small:
//! [`retry`] decides what an answer means and when to ask again, [`batch`] cuts a delivery into
//! requests, [`net`] is the only place that opens HTTP connections. This crate touches the network
//! and, for `ndjson`, one folder; it never reads the lake and never keeps a cursor.

pub mod batch;
pub mod http;
pub mod ndjson;
pub mod net;
pub mod output;
pub mod retry;
mod table;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod server;

pub use batch::BatchLimits;
pub use http::{Framing, HttpConfig, HttpOutput};
pub use ndjson::NdjsonOutput;
pub use output::{Delivered, Delivery, OutEvent, Output, OutputError, Rejected};
pub use retry::{Breaker, Decision, Retry, RetryPolicy};
pub use table::{Build, OUTPUTS, OutputKind, build};
