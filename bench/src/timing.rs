//! CPU time of one thread.

use std::{fs, hint::black_box, thread};

use anyhow::{Context, Result};

/// Does something; says what it gave, and the CPU seconds it took.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = cpu_nanoseconds()?;
    let outcome = black_box(work()?);
    let end = cpu_nanoseconds()?;
    Ok((outcome, end.saturating_sub(start) as f64 / 1e9))
}

/// Time on a processor of this thread, user and system.
fn cpu_nanoseconds() -> Result<u64> {
    // The kernel brings the count of a running thread up to date when it gives way.
    thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("no scheduler statistics")?;
    text.split(' ').next().and_then(|count| count.parse().ok()).context("unknown form of schedstat")
}

/// The middle of some times.
#[must_use]
pub fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
