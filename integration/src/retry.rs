//! What an answer means, and when to ask again.
//!
//! [`Decision::of_status`] turns an HTTP status into one of five decisions by a table. [`Retry::run`]
//! repeats an attempt as long as it asks for it: exponential backoff with full jitter, never sooner
//! than the server's `Retry-After`, and never beyond the policy's attempts and time. Beyond them the
//! last error goes back to the lane, which keeps the events and comes again. A circuit breaker counts
//! failures across calls, so that a destination that is down costs one probe a period.

use std::{
    future::Future,
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use crate::output::OutputError;

/// Most attempts in one call.
pub const ATTEMPTS_MAX: u32 = 5;
/// Longest time one call spends on attempts and waits; then the lane takes over.
pub const ELAPSED_MAX: Duration = Duration::from_mins(1);
/// Upper end of the first wait.
pub const DELAY_BASE: Duration = Duration::from_millis(250);
/// Upper end of every wait that the server did not ask for.
pub const DELAY_MAX: Duration = Duration::from_secs(30);
/// Longest `Retry-After` that is obeyed; a longer one is cut.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);
/// Failures in a row that open the circuit.
pub const BREAKER_FAILURES: u32 = 5;
/// How long an open circuit refuses before it lets one probe through.
pub const BREAKER_OPEN: Duration = Duration::from_secs(30);

/// What an HTTP status asks of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The destination has it.
    Accepted,
    /// Send the same again later.
    Retry,
    /// Send less at once.
    TooLarge,
    /// Something in it will never be accepted.
    Refused,
    /// Credentials are wrong: stop and alert.
    Unauthorized,
    /// The endpoint is wrong: stop and alert.
    Configuration,
}

/// The first row that contains the status decides; what no row has is a configuration error, because
/// stopping loses nothing.
const STATUSES: &[(RangeInclusive<u16>, Decision)] = &[
    (200..=299, Decision::Accepted),
    (400..=400, Decision::Refused),
    (401..=401, Decision::Unauthorized),
    (403..=403, Decision::Unauthorized),
    (407..=407, Decision::Unauthorized),
    (408..=408, Decision::Retry),
    (413..=413, Decision::TooLarge),
    (422..=422, Decision::Refused),
    (425..=425, Decision::Retry),
    (429..=429, Decision::Retry),
    (500..=599, Decision::Retry),
];

impl Decision {
    /// The decision for an HTTP status code.
    pub fn of_status(status: u16) -> Self {
        STATUSES
            .iter()
            .find(|(range, _)| range.contains(&status))
            .map_or(Self::Configuration, |(_, decision)| *decision)
    }
}

/// Reads a `Retry-After` value, in seconds or as an HTTP date seen from `now`, cut to
/// [`RETRY_AFTER_MAX`]. `None` when it is neither.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value).ok()?;
        Duration::try_from(at.duration_since(now).max(SignedDuration::ZERO)).ok()?
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Limits of one call to [`Retry::run`], and of the circuit breaker across calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most attempts ([`ATTEMPTS_MAX`]).
    pub attempts_max: u32,
    /// Longest time on attempts and waits ([`ELAPSED_MAX`]).
    pub elapsed_max: Duration,
    /// Upper end of the first wait ([`DELAY_BASE`]); it doubles with every attempt.
    pub delay_base: Duration,
    /// Upper end of every wait ([`DELAY_MAX`]).
    pub delay_max: Duration,
    /// Failures in a row that open the circuit ([`BREAKER_FAILURES`]).
    pub breaker_failures: u32,
    /// How long the circuit stays open ([`BREAKER_OPEN`]).
    pub breaker_open: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: ATTEMPTS_MAX,
            elapsed_max: ELAPSED_MAX,
            delay_base: DELAY_BASE,
            delay_max: DELAY_MAX,
            breaker_failures: BREAKER_FAILURES,
            breaker_open: BREAKER_OPEN,
        }
    }
}

impl RetryPolicy {
    /// Upper end of the wait after the given attempt (1 is the first).
    fn ceiling(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.delay_base.saturating_mul(doubled).min(self.delay_max)
    }

    /// How long to wait after the given attempt: anywhere below the ceiling, so that senders that
    /// failed together do not come back together. What the server asked for is waited in full.
    fn delay(&self, attempt: u32, after: Option<Duration>) -> Duration {
        let jitter = self.ceiling(attempt).mul_f64(fastrand::f64());
        after.map_or(jitter, |after| after + jitter.min(self.delay_base))
    }
}

/// A circuit breaker: closed, open until a moment, or half open (one probe a period).
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    open_for: Duration,
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// A closed breaker that opens for `open_for` after `failures_max` failures in a row.
    pub fn new(failures_max: u32, open_for: Duration) -> Self {
        Self { failures_max, open_for, failures: 0, open_until: None }
    }

    /// Asks to make an attempt; `Err` says how long the circuit stays open. A probe moves the moment
    /// on at once, so that a second caller waits for it, and a probe that was dropped blocks nobody.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.open_until {
            None => Ok(()),
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                self.open_until = Some(now + self.open_for);
                Ok(())
            }
        }
    }

    /// Notes an answer that shows the destination alive: the circuit closes.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }

    /// Notes a failure; enough in a row open the circuit.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.failures_max {
            self.open_until = Some(now + self.open_for);
        }
    }
}

/// Runs attempts under a policy; one for each output, shared by its lanes.
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    breaker: Mutex<Breaker>,
}

impl Retry {
    /// A runner with a closed circuit.
    pub fn new(policy: RetryPolicy) -> Self {
        let breaker = Breaker::new(policy.breaker_failures, policy.breaker_open);
        Self { policy, breaker: Mutex::new(breaker) }
    }

    /// Repeats `attempt` until it gives anything but [`OutputError::Retry`], the policy is exhausted
    /// or the circuit is open. Gives the result and the number of attempts made.
    pub async fn run<T, F, Fut>(&self, mut attempt: F) -> Result<(T, u32), OutputError>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T, OutputError>> + Send,
    {
        let started = Instant::now();
        let mut last = "circuit is open after repeated failures".to_owned();
        for made in 1.. {
            if let Err(wait) = self.breaker().admit(Instant::now()) {
                return Err(OutputError::Retry { reason: last, after: Some(wait) });
            }
            let result = attempt().await;
            self.note(&result);
            let (reason, after) = match result {
                Err(OutputError::Retry { reason, after }) => (reason, after),
                other => return other.map(|value| (value, made)),
            };
            let wait = self.policy.delay(made, after);
            if made >= self.policy.attempts_max || started.elapsed() + wait > self.policy.elapsed_max {
                return Err(OutputError::Retry { reason, after });
            }
            tracing::debug!(attempt = made, wait_ms = wait.as_millis() as u64, reason, "attempt repeated");
            last = reason;
            tokio::time::sleep(wait).await;
        }
        Err(OutputError::retry("no attempt was allowed"))
    }

    /// A destination that names the time to come back is alive, only busy: that is no failure.
    fn note<T>(&self, result: &Result<T, OutputError>) {
        match result {
            Err(OutputError::Retry { after: None, .. }) => self.breaker().failed(Instant::now()),
            _ => self.breaker().succeeded(),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
