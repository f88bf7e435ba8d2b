#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use futures::TryStreamExt as _;

use super::*;
use crate::{
    Counters, CountingStore, PutAs, RestoreSpeed,
    contract::{Lane, check},
};

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const HOUR_MS: i64 = 3_600_000;

fn model(cloud: Cloud) -> (ModelStore, VirtualClock) {
    let clock = VirtualClock::at(START_MS);
    (ModelStore::new(cloud, clock.clone()), clock)
}

async fn etag(store: &ModelStore, key: &str) -> String {
    store.head(key).await.unwrap().etag
}

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_model_keeps_the_contract() {
    for (cloud, online, archive) in [
        (Cloud::S3, "STANDARD_IA", Some("GLACIER")),
        (Cloud::Azure, "Cool", Some("Archive")),
        (Cloud::Gcs, "ARCHIVE", None),
    ] {
        let (store, _) = model(cloud);
        let lane = Lane { online: Some(online), archive, holds: true, locks: true, ..Lane::default() };
        check(Arc::new(CountingStore::new(store, Counters::default())), lane).await;
    }
}

#[tokio::test]
async fn restores_take_their_time_and_end() {
    use RestoreSpeed::{Bulk, Expedited, Standard};
    for (cloud, class, speed, wait, then) in [
        (Cloud::S3, "GLACIER", Expedited, Some(1), 96),
        (Cloud::S3, "GLACIER", Standard, Some(5), 96),
        (Cloud::S3, "GLACIER", Bulk, Some(12), 96),
        (Cloud::S3, "DEEP_ARCHIVE", Expedited, None, 0),
        (Cloud::S3, "DEEP_ARCHIVE", Standard, Some(12), 96),
        (Cloud::S3, "DEEP_ARCHIVE", Bulk, Some(48), 144),
        (Cloud::Azure, "Archive", Expedited, Some(1), 73),
        (Cloud::Azure, "Archive", Standard, Some(15), 87),
    ] {
        let (store, clock) = model(cloud);
        store.put_as("k", "cold".into(), PutAs { class: Some(class), lock: None }).await.unwrap();
        let etag = etag(&store, "k").await;
        let asked = store.restore("k", &etag, speed, 3).await;
        let Some(wait) = wait else {
            assert!(matches!(asked, Err(StoreError::NoExpedited(_))), "{class}: {asked:?}");
            continue;
        };
        assert_eq!(asked.unwrap(), Restore::InProgress);
        let again = store.restore("k", &etag, speed, 3).await;
        assert!(matches!(again, Err(StoreError::RestoreInProgress(_))), "{again:?}");
        clock.pass(Duration::from_mins(wait * 60 - 56));
        if wait > 1 {
            assert!(matches!(store.range("k", 0..9).await, Err(StoreError::Archived(_))), "{class}");
        }
        clock.pass(Duration::from_mins(56));
        assert_eq!(store.range("k", 0..9).await.unwrap(), "cold");
        let head = store.head("k").await.unwrap();
        let until = START_MS + then * HOUR_MS;
        assert_eq!((head.class.as_str(), head.restore), (class, Restore::Until(until)));
        clock.pass(hours(24 * 4));
        assert!(matches!(store.range("k", 0..9).await, Err(StoreError::Archived(_))));
        assert_eq!(store.restore("k", &etag, speed, 1).await.unwrap(), Restore::InProgress);
    }
}

#[tokio::test]
async fn a_restored_copy_can_be_kept_longer() {
    let (store, clock) = model(Cloud::S3);
    store.put_as("k", "cold".into(), PutAs { class: Some("GLACIER"), lock: None }).await.unwrap();
    let etag = etag(&store, "k").await;
    store.restore("k", &etag, RestoreSpeed::Standard, 1).await.unwrap();
    clock.pass(hours(10));
    let until = START_MS + 6 * 24 * HOUR_MS;
    assert_eq!(store.restore("k", &etag, RestoreSpeed::Standard, 5).await.unwrap(), Restore::Until(until));
    clock.pass(hours(48));
    assert_eq!(store.range("k", 0..9).await.unwrap(), "cold");
}

#[tokio::test]
async fn what_is_guarded_stays() {
    for cloud in Cloud::ALL {
        let (store, clock) = model(cloud);
        let until = START_MS + 10 * 24 * HOUR_MS;
        let with = PutAs { class: None, lock: Some((LockMode::Compliance, until)) };
        store.put_as("k", "evidence".into(), with).await.unwrap();
        let now = etag(&store, "k").await;
        let replaced = store.put_if("k", "other".into(), Some(&now)).await;
        for answer in [store.delete_if("k", &now).await, replaced] {
            assert!(matches!(answer, Err(StoreError::Locked { .. })), "{cloud:?} {answer:?}");
        }
        clock.pass(hours(24 * 11));
        store.hold("k", &now, true).await.unwrap();
        assert!(matches!(store.delete_if("k", &now).await, Err(StoreError::Locked { .. })));
        store.hold("k", &now, false).await.unwrap();
        store.delete_if("k", &now).await.unwrap();
    }
}

#[tokio::test]
async fn the_bill_has_every_request_and_every_stay() {
    let (store, clock) = model(Cloud::S3);
    let store = store.scaled(1000);
    store.put("k", "12345".into()).await.unwrap();
    clock.pass(hours(24));
    let old = etag(&store, "k").await;
    store.set_class("k", &old, "GLACIER_IR").await.unwrap();
    store.range("k", 0..2).await.unwrap();
    clock.pass(hours(48));
    store.delete_if("k", &old).await.unwrap();
    let usage = store.usage();
    let day = 24 * HOUR_MS;
    let stay = |class, from: i64, to: i64| Stay {
        class,
        bytes: 5000,
        from_ms: START_MS + from * day,
        to_ms: Some(START_MS + to * day),
        restored_copy: false,
    };
    assert_eq!(usage.stays, [stay("STANDARD", 0, 1), stay("GLACIER_IR", 1, 3)]);
    let requests = |request, class| usage.requests.get(&(request, class)).copied().unwrap_or_default();
    assert_eq!(requests(Request::Put, "STANDARD"), Requests { count: 1, bytes: 0 });
    assert_eq!(requests(Request::Get, "STANDARD"), Requests { count: 1, bytes: 5000 });
    assert_eq!(requests(Request::Move, "GLACIER_IR"), Requests { count: 1, bytes: 0 });
    assert_eq!(requests(Request::Get, "GLACIER_IR"), Requests { count: 1, bytes: 2000 });
    assert_eq!(requests(Request::Delete, "GLACIER_IR"), Requests { count: 1, bytes: 0 });
}

#[tokio::test]
async fn bad_weather_is_the_same_for_the_same_seed() {
    let faults =
        Faults { seed: 7, throttled: 0.1, unsent: 0.1, unanswered: 0.1, torn: 0.2, no_expedited: 0.5 };
    let run = async || {
        let (store, _) = model(Cloud::Gcs);
        store.set_faults(faults);
        let mut seen = Vec::new();
        for i in 0..100 {
            let key = format!("k{i}");
            let put = store.put(&key, vec![7; 1000].into()).await;
            let there = loop {
                match store.head(&key).await {
                    Ok(_) => break true,
                    Err(StoreError::NotFound(_)) => break false,
                    Err(_) => {}
                }
            };
            // What was done is there, whatever was answered; what was throttled is not.
            assert!(put.is_err() || there, "{put:?}");
            assert!(!matches!(put, Err(StoreError::Throttled { .. })) || !there);
            let body = match store.open(&key, &there.to_string(), 0).await {
                Ok(stream) => stream.try_collect::<Vec<_>>().await.is_ok(),
                Err(_) => false,
            };
            seen.push((put.is_ok(), there, body));
        }
        seen
    };
    let first = run().await;
    assert_eq!(first, run().await);
    assert!(first.iter().any(|(ok, there, _)| !ok && *there), "an answer was lost");
    assert!(first.iter().any(|(ok, there, _)| !ok && !there), "a request was lost");
}
