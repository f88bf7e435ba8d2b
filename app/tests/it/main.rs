//! Campaigns against the whole program: generated and broken input, crashes, failing receivers,
//! other engines. Short by default; a variable makes one long (see each module).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cloud;
mod clouds;
mod corpus;
mod crash;
mod engines;
mod lake;
mod logs;
mod outputs;
mod parts;
mod property;
mod tiers;

/// The number in an environment variable, or how much is enough when nobody asks for more.
fn campaign(variable: &str, short: u32) -> u32 {
    std::env::var(variable).map_or(short, |text| text.parse().unwrap())
}
