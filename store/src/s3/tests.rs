//! What the servers of S3 do with its calls.
#![allow(clippy::unwrap_used, reason = "tests")]
use linchpin_config::{Place, Stores};

use super::*;
use crate::{
    contract::{Lane, check_bucket, new_bucket, server, stores},
    weather::{WaitsAsAsked, check_weather},
};

fn at(endpoint: &str) -> Stores {
    stores(&format!("s3: {{ endpoint: \"{endpoint}\", region: us-east-1, path_style: true }}"))
}

fn place(bucket: String, prefix: String) -> Place {
    Place::S3 { bucket, prefix }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_keeps_the_contract() {
    let lane = Lane { replaces_in_two_steps: true, ..Lane::default() };
    check_bucket(place, &at(&server("LINCHPIN_TEST_S3")), lane).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emulator_keeps_the_contract() {
    let lane = Lane { online: Some("STANDARD_IA"), archive: Some("GLACIER"), lax: true, ..Lane::default() };
    check_bucket(place, &at(&server("LINCHPIN_TEST_MOTO")), lane).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttles_and_broken_connections_are_survived() {
    let place = place(new_bucket(), "w".to_owned());
    check_weather(&server("LINCHPIN_TEST_S3"), &place, at, WaitsAsAsked(true)).await;
}

#[tokio::test]
async fn a_restored_object_keeps_its_class_and_can_be_read() {
    let settings = at(&server("LINCHPIN_TEST_MOTO")).s3;
    let store = S3Store::connect(&new_bucket(), "", &settings).await.unwrap();
    store.create().await.unwrap();
    store.put("k", Bytes::from_static(b"cold")).await.unwrap();
    let etag = store.head("k").await.unwrap().etag;
    assert_eq!(store.restore("k", &etag, RestoreSpeed::Bulk, 2).await.unwrap(), Restore::Online);
    store.set_class("k", &etag, "DEEP_ARCHIVE").await.unwrap();
    let etag = store.head("k").await.unwrap().etag;
    assert!(matches!(store.range("k", 0..4).await, Err(StoreError::Archived(_))));
    let fast = store.restore("k", &etag, RestoreSpeed::Bulk, 2).await.unwrap();
    assert!(matches!(fast, Restore::InProgress | Restore::Until(_)), "{fast:?}");
    let head = store.head("k").await.unwrap();
    assert_eq!(head.class, "DEEP_ARCHIVE");
    assert!(matches!(head.restore, Restore::Until(until) if until > head.modified_ms), "{head:?}");
    assert_eq!(store.range("k", 0..4).await.unwrap(), "cold");
}

/// Locks, holds and keys as the emulator and the real server have them; both take a lock only in
/// a bucket that was created for it.
async fn guarded(variable: &str) {
    let settings = at(&server(variable)).s3;
    let store = S3Store::connect(&new_bucket(), "", &settings).await.unwrap();
    let create = store.client.create_bucket().bucket(&store.bucket);
    create.object_lock_enabled_for_bucket(true).send().await.unwrap();
    crate::contract::holds(&store).await;
    crate::contract::locks(&store).await;
    // Of two versions the one that was meant is gone, not hidden.
    store.put("v", Bytes::from_static(b"one")).await.unwrap();
    let etag = store.head("v").await.unwrap().etag;
    store.delete_if("v", &etag).await.unwrap();
    let left = store.client.list_object_versions().bucket(&store.bucket).prefix("v").send().await.unwrap();
    assert!(left.versions().is_empty() && left.delete_markers().is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_emulator_guards_what_is_locked() {
    guarded("LINCHPIN_TEST_MOTO").await;
}

#[tokio::test]
async fn a_real_server_guards_what_is_locked() {
    guarded("LINCHPIN_TEST_S3").await;
}

#[tokio::test]
async fn objects_lie_under_the_archives_key() {
    let key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let settings = at(&server("LINCHPIN_TEST_MOTO")).s3;
    let store = S3Store::connect(&new_bucket(), "", &settings).await.unwrap().encrypted(Some(key));
    store.create().await.unwrap();
    store.put("k", Bytes::from_static(b"cold")).await.unwrap();
    let head = store.head("k").await.unwrap();
    assert_eq!(head.encryption.as_deref(), Some(key));
    store.set_class("k", &head.etag, "STANDARD_IA").await.unwrap();
    assert_eq!(store.head("k").await.unwrap().encryption.as_deref(), Some(key));
}
