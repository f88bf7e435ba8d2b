//! The state machine against a cloud of its own, and the whole of it against the model of the clouds.
#![allow(clippy::unwrap_used, reason = "tests")]

mod lake;
mod machine;
pub(crate) mod real;
