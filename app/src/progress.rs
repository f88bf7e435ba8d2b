//! Progress of long work on standard error: a bar on a terminal, a plain line every few seconds
//! otherwise.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Bytes,
    /// Anything else.
    Count,
}

/// Tells a person how far some work is; shared between threads. Gone from the terminal when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    unit: Unit,
    total: u64,
    /// `None` where nobody watches a terminal.
    bar: Option<ProgressBar>,
    /// When a line was last written.
    last: Mutex<Instant>,
}

impl Progress {
    /// Progress in words, for work whose end is not known; see [`Progress::say`].
    pub(crate) fn new() -> Self {
        Self::start("", Unit::Count, 0, "{spinner} {msg}")
    }

    /// Progress towards a total; see [`Progress::set`].
    pub(crate) fn towards(what: &'static str, unit: Unit, total: u64) -> Self {
        let template = match unit {
            Unit::Bytes => {
                "{prefix} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta}"
            }
            Unit::Count => "{prefix} {wide_bar} {human_pos} of {human_len}, {eta}",
        };
        Self::start(what, unit, total, template)
    }

    fn start(what: &'static str, unit: Unit, total: u64, template: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_prefix(what)
        });
        Self { what, unit, total, bar, last: Mutex::new(Instant::now()) }
    }

    /// So much of the total is done.
    pub(crate) fn set(&self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None => self.line(|| towards(self.what, self.unit, done, self.total)),
        }
    }

    /// How far the work is, in words.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.tick();
            }
            None => self.line(|| text.to_owned()),
        }
    }

    /// The work is over; nothing stays on the terminal.
    pub(crate) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: impl FnOnce() -> String) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            eprintln!("{}", text());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done();
    }
}

fn towards(what: &str, unit: Unit, done: u64, total: u64) -> String {
    let show = |n: u64| match unit {
        Unit::Bytes => HumanBytes(n).to_string(),
        Unit::Count => HumanCount(n).to_string(),
    };
    format!("{what}: {} of {}", show(done), show(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_far_the_work_is() {
        for (unit, done, total, expected) in [
            (Unit::Bytes, 1 << 20, 64 << 20, "work: 1.00 MiB of 64.00 MiB"),
            (Unit::Count, 1_234_567, 2_000_000, "work: 1,234,567 of 2,000,000"),
        ] {
            assert_eq!(towards("work", unit, done, total), expected);
        }
    }
}
