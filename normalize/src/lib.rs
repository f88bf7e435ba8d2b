//! The pure heart of linchpin: bytes in, Arrow out. No IO, no clock, no async.
//!
//! A [`Normalizer`] takes [`RawUnit`]s, finds their events, recognises their source, reads each
//! event once and writes the *linchpin columns* straight into Arrow builders, as the source's
//! mapping says. It is total: what cannot be read becomes class 0 with a [`Reject`], and no byte is
//! left out. The same scan renders full OCSF documents for events that somebody asked for.

pub mod batch;
pub mod catalog;
pub mod columns;
pub mod conform;
#[cfg(test)]
mod documents;
pub mod drift;
mod envelope;
mod eval;
pub mod event;
mod framing;
pub mod functions;
pub mod glob;
#[cfg(test)]
mod goldens;
pub mod inventory;
mod lines;
mod mapping;
pub mod normalizer;
pub mod pass;
pub mod plan;
mod render;
mod rendered;
mod rows;
pub mod samples;
pub mod scaffold;
pub mod scan;
pub mod schema;
mod sink;
mod source;
#[cfg(test)]
mod tests;
pub mod unit;
pub mod value;
pub mod views;
mod watch;

pub use batch::{Event, EventBatch, Normalized, Reject, UnitFacts};
pub use catalog::{Catalog, Recognised};
pub use mapping::compile;
pub use normalizer::Normalizer;
pub use pass::{Part, Pass, ReplayUnit};
pub use plan::Plan;
pub use render::Coverage;
pub use unit::{Carry, Delivered, EventId, Gap, RawUnit, UnitId, UnitKey};
