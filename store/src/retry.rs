//! How often, how long and with what pauses the clouds are asked: one set of limits for all SDKs.
//!
//! An SDK repeats what was throttled (429, 503, `SlowDown`), failed at the server (5xx) or got no
//! answer. Pauses grow exponentially with full jitter; a `Retry-After` of the server is the least.

use std::time::Duration;

/// Tries of one request, the first included.
pub(crate) const ATTEMPTS_MAX: u32 = 6;
/// Bound of the first pause.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Bound of every pause, unless the server asks for more.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(20);
/// Longest pause that a server can ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// Longest time to reach a server.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest time for one try up to the head of its answer; its body may carry a whole part.
pub(crate) const ATTEMPT_TIME_MAX: Duration = Duration::from_mins(2);
/// Longest time for a call with all its tries, for the SDK that does not limit them one by one.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_mins(15);
/// Longest wait for the next bytes of a body.
pub(crate) const BODY_IDLE_MAX: Duration = Duration::from_secs(30);
/// How often a body is taken up again without having given a byte since.
pub(crate) const RESUMES_MAX: u32 = 5;

/// The pause before repeat number `repeat`, counted from 1: full jitter.
pub(crate) fn pause(repeat: u32) -> Duration {
    let bound = PAUSE_FIRST.saturating_mul(1 << repeat.saturating_sub(1).min(16)).min(PAUSE_MAX);
    bound.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let expected = [(0, PAUSE_FIRST), (1, PAUSE_FIRST), (2, PAUSE_FIRST * 2), (40, PAUSE_MAX)];
        for (repeat, bound) in expected {
            let pauses: Vec<_> = (0..200).map(|_| pause(repeat)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound), "{repeat}");
            assert!(pauses.iter().any(|pause| *pause > bound / 2), "{repeat}");
            assert!(pauses.iter().any(|pause| *pause < bound / 2), "{repeat}");
        }
    }
}
