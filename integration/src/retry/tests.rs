#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

#[test]
fn statuses_decide() {
    let cases = [
        (200, Decision::Accepted),
        (204, Decision::Accepted),
        (302, Decision::Configuration),
        (400, Decision::Refused),
        (401, Decision::Unauthorized),
        (403, Decision::Unauthorized),
        (404, Decision::Configuration),
        (408, Decision::Retry),
        (413, Decision::TooLarge),
        (422, Decision::Refused),
        (429, Decision::Retry),
        (500, Decision::Retry),
        (503, Decision::Retry),
        (599, Decision::Retry),
        (100, Decision::Configuration),
        (999, Decision::Configuration),
    ];
    for (status, expected) in cases {
        assert_eq!(Decision::of_status(status), expected, "{status}");
    }
}

#[test]
fn retry_after_reads_seconds_and_dates() {
    let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
    let seconds = |n| Some(Duration::from_secs(n));
    let cases = [
        ("0", seconds(0)),
        (" 120 ", seconds(120)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(7)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", seconds(0)),
        ("99999", Some(RETRY_AFTER_MAX)),
        ("99999999999999999999999999", Some(RETRY_AFTER_MAX)),
        ("Sun, 06 Nov 2094 08:49:37 GMT", Some(RETRY_AFTER_MAX)),
        ("", None),
        ("-1", None),
        ("soon", None),
    ];
    for (value, expected) in cases {
        assert_eq!(retry_after(value, now), expected, "`{value}`");
    }
}

#[test]
fn waits_grow_are_spread_and_have_an_end() {
    let policy = RetryPolicy::default();
    assert_eq!(policy.ceiling(1), DELAY_BASE);
    assert_eq!(policy.ceiling(3), DELAY_BASE * 4);
    assert_eq!(policy.ceiling(u32::MAX), DELAY_MAX);
    let waits: Vec<_> = (0..1000).map(|_| policy.delay(4, None)).collect();
    assert!(waits.iter().all(|w| *w <= DELAY_BASE * 8));
    assert!(waits.iter().any(|w| *w < DELAY_BASE * 2) && waits.iter().any(|w| *w > DELAY_BASE * 6));
    let asked = Duration::from_secs(9);
    assert!((0..100).map(|_| policy.delay(4, Some(asked))).all(|w| w >= asked && w <= asked + DELAY_BASE));
}

#[test]
fn the_breaker_opens_lets_one_probe_through_and_closes() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut breaker = Breaker::new(3, Duration::from_secs(30));
    for _ in 0..2 {
        breaker.failed(at(0));
        assert!(breaker.admit(at(0)).is_ok());
    }
    breaker.failed(at(0));
    assert_eq!(breaker.admit(at(10)), Err(Duration::from_secs(20)));
    // Half open: one probe, the next caller waits a period, also when the probe never reports.
    assert!(breaker.admit(at(30)).is_ok());
    assert_eq!(breaker.admit(at(31)), Err(Duration::from_secs(29)));
    assert!(breaker.admit(at(60)).is_ok());
    breaker.failed(at(61));
    assert_eq!(breaker.admit(at(62)), Err(Duration::from_secs(29)));
    assert!(breaker.admit(at(91)).is_ok());
    breaker.succeeded();
    assert!(breaker.admit(at(91)).is_ok() && breaker.admit(at(91)).is_ok());
    breaker.failed(at(92));
    assert!(breaker.admit(at(92)).is_ok(), "one failure after a success opened it");
}

fn policy(attempts_max: u32) -> RetryPolicy {
    RetryPolicy { attempts_max, delay_base: Duration::from_millis(1), ..RetryPolicy::default() }
}

#[tokio::test]
async fn runs_until_it_works_or_may_not() {
    let calls = AtomicU32::new(0);
    let third = || async {
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(OutputError::retry("not yet")),
            n => Ok(n),
        }
    };
    assert_eq!(Retry::new(policy(3)).run(third).await.unwrap(), (2, 3));

    calls.store(0, Ordering::Relaxed);
    let error = Retry::new(policy(2)).run(third).await.unwrap_err();
    assert!(matches!(error, OutputError::Retry { .. }));
    assert_eq!(calls.load(Ordering::Relaxed), 2);

    calls.store(0, Ordering::Relaxed);
    let stop = || async {
        calls.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(OutputError::configuration("wrong"))
    };
    assert!(Retry::new(policy(5)).run(stop).await.is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_busy_destination_does_not_open_the_circuit() {
    let retry = Retry::new(RetryPolicy { breaker_failures: 2, ..policy(5) });
    let calls = AtomicU32::new(0);
    let busy = || async {
        calls.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(OutputError::Retry { reason: "busy".to_owned(), after: Some(Duration::ZERO) })
    };
    assert!(retry.run(busy).await.is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn time_ends_a_call_before_its_attempts_do() {
    let retry = Retry::new(RetryPolicy { elapsed_max: Duration::from_millis(50), ..policy(1_000_000) });
    let started = Instant::now();
    let error = retry
        .run(|| async {
            Err::<(), _>(OutputError::Retry {
                reason: "x".to_owned(),
                after: Some(Duration::from_millis(10)),
            })
        })
        .await
        .unwrap_err();
    assert!(matches!(error, OutputError::Retry { after: Some(_), .. }));
    assert!(started.elapsed() < Duration::from_secs(5));
}
