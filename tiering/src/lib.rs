//! (under construction)

pub mod archive;
pub mod hot;
pub mod policy;
pub mod search;
pub mod delta;
pub mod ledger;
pub mod store;

#[cfg(test)]
mod sample;
