//! The binary by its contract: standard output, standard error, exit codes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod day;
mod demo;
mod docs;
mod doctor;
mod generating;
mod jobs;
mod mappings;
mod normalising;
mod retention;
mod support;
mod usage;
