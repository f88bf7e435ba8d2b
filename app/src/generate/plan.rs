//! Which files a source writes: lanes (an account in a region, a subscription, …), windows of time
//! and bytes, spread over the day as people work, with a peak in the middle of it.

use std::f64::consts::TAU;

/// How strongly activity swings over the span: 0 is flat, below 1.
const SWING: f64 = 0.45;

/// Milliseconds of an hour, the window of the clouds' hourly files.
const HOUR_MS: i64 = 3_600_000;

/// One file to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    /// Index of the lane.
    pub(super) lane: usize,
    /// First millisecond (epoch).
    pub(super) from_ms: i64,
    /// One past the last millisecond.
    pub(super) until_ms: i64,
    /// Raw bytes to aim at.
    pub(super) bytes: f64,
    /// No later slot of this lane follows.
    pub(super) last: bool,
}

/// The span of all logs, in epoch milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl Span {
    /// Length in milliseconds, at least one.
    pub(super) fn length_ms(self) -> i64 {
        (self.until_ms - self.from_ms).max(1)
    }

    /// Share of the activity that falls between two times of the span.
    fn share(self, from_ms: i64, until_ms: i64) -> f64 {
        let reach = |ms: i64| {
            let at = ((ms - self.from_ms) as f64 / self.length_ms() as f64).clamp(0.0, 1.0);
            at - SWING * (TAU * at).sin() / TAU
        };
        reach(until_ms) - reach(from_ms)
    }
}

/// Files by size: `bytes` over lanes of the given weights, about `file_bytes` each, every lane's
/// files side by side over the whole span. A lane too small for one file is left out.
pub(super) fn by_size(span: Span, weights: &[f64], bytes: u64, file_bytes: u64) -> Vec<Slot> {
    let files = (bytes / file_bytes.max(1)).max(1);
    let total: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / total * files as f64).collect();
    let mut counts: Vec<u64> = shares.iter().map(|share| *share as u64).collect();
    // What rounding left over goes to the lanes that lost most by it.
    let mut losers: Vec<usize> = (0..shares.len()).collect();
    losers.sort_by(|a, b| shares[*b].fract().total_cmp(&shares[*a].fract()));
    let left = files - counts.iter().sum::<u64>();
    losers.iter().take(left as usize).for_each(|lane| counts[*lane] += 1);
    let mut slots = Vec::new();
    for (lane, count) in counts.into_iter().enumerate() {
        let count = count as i64;
        for at in 0..count {
            let edge = |at: i64| {
                span.from_ms + (i128::from(span.length_ms()) * i128::from(at) / i128::from(count)) as i64
            };
            slots.push((lane, edge(at), edge(at + 1), count as f64 / files as f64));
        }
    }
    finish(span, bytes, &slots)
}

/// Hourly files: one a lane and hour of at least `least` bytes. If `bytes` do not suffice, the
/// lighter lanes and then some hours are left out.
pub(super) fn hourly(span: Span, weights: &[f64], bytes: u64, least: u64) -> Vec<Slot> {
    let first = span.from_ms.div_euclid(HOUR_MS);
    let hours = (span.until_ms - 1).div_euclid(HOUR_MS) - first + 1;
    let files = ((bytes / least.max(1)) as i64).max(1);
    let lanes = usize::try_from(files / hours).unwrap_or(1).clamp(1, weights.len());
    let step = (hours / files).max(1);
    let mut slots = Vec::new();
    for (lane, weight) in weights.iter().enumerate().take(lanes) {
        for hour in (first..first + hours).step_by(step as usize) {
            let from = (hour * HOUR_MS).max(span.from_ms);
            let until = ((hour + 1) * HOUR_MS).min(span.until_ms);
            slots.push((lane, from, until, *weight));
        }
    }
    finish(span, bytes, &slots)
}

/// Gives each (lane, from, until, weight) its bytes.
fn finish(span: Span, bytes: u64, slots: &[(usize, i64, i64, f64)]) -> Vec<Slot> {
    let share = |(_, from, until, weight): &(usize, i64, i64, f64)| weight * span.share(*from, *until);
    let total: f64 = slots.iter().map(share).sum();
    let lanes: Vec<usize> = slots.iter().map(|slot| slot.0).collect();
    let next = lanes.iter().skip(1).map(Some).chain([None]);
    let slot = |(slot, next): (&(usize, i64, i64, f64), Option<&usize>)| Slot {
        lane: slot.0,
        from_ms: slot.1,
        until_ms: slot.2,
        bytes: bytes as f64 * share(slot) / total,
        last: next != Some(&slot.0),
    };
    slots.iter().zip(next).map(slot).collect()
}
