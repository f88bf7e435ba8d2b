//! Tiering: what happens to events once they are normalised.
//!
//! The [`archive`] is the byte-exact truth, the [`ledger`] says what is in it, the [`hot`] table and
//! every output are views with positions of their own. An [`epoch`] gathers what a worker took in
//! and commits it in one piece; [`replay`] reads it back. [`policy`] decides how long, [`search`],
//! [`rehydrate`] and [`evidence`] answer questions, [`enforce`] lets go of what is due.

pub mod apply;
pub mod archive;
pub mod delta;
pub mod enforce;
pub mod epoch;
pub mod evidence;
pub mod explain;
pub mod hold;
pub mod hot;
pub mod jobs;
pub mod lake;
pub mod ledger;
pub mod lifecycle;
pub mod plan;
pub mod policy;
mod presence;
pub mod prices;
pub mod rehydrate;
pub mod renormalize;
pub mod replay;
pub mod search;
pub mod signing;
pub mod tiers;

#[cfg(test)]
mod sample;

pub use lake::{Cursor, Lake, LakeError};
