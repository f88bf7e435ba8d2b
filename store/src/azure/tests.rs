//! What the vendor's emulator does with the calls of Azure.
#![allow(clippy::unwrap_used, reason = "tests")]
use linchpin_config::{Place, Stores};

use super::*;
use crate::{
    contract::{Lane, check_bucket, new_bucket, server, stores},
    weather::{WaitsAsAsked, check_weather},
};

fn at(endpoint: &str) -> Stores {
    stores(&format!("azure: {{ endpoint: \"{endpoint}\", sas_token: {{ env: LINCHPIN_TEST_AZURE_SAS }} }}"))
}

fn place(container: String, prefix: String) -> Place {
    Place::Azure { account: "devstoreaccount1".to_owned(), container, prefix }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emulator_keeps_the_contract() {
    let lane = Lane { online: Some("Cool"), archive: Some("Archive"), ..Lane::default() };
    check_bucket(place, &at(&server("LINCHPIN_TEST_AZURE")), lane).await;
}

/// The emulator copies nothing out of the archive tier, so the copy is put beside the blob here.
#[tokio::test]
async fn an_archived_blob_is_read_from_a_copy_beside_it() {
    let settings = at(&server("LINCHPIN_TEST_AZURE")).azure;
    let store = AzureStore::connect("devstoreaccount1", &new_bucket(), "r", &settings).unwrap();
    store.create().await.unwrap();
    store.put("online", Bytes::from_static(b"warm")).await.unwrap();
    let online = store.head("online").await.unwrap().etag;
    let speed = RestoreSpeed::Expedited;
    assert_eq!(store.restore("online", &online, speed, 2).await.unwrap(), Restore::Online);
    let with = PutAs { class: Some("Archive"), lock: None };
    store.put_as("k", Bytes::from_static(b"cold"), with).await.unwrap();
    let etag = store.head("k").await.unwrap().etag;
    let asked = store.restore("k", &etag, speed, 2).await;
    assert!(matches!(asked, Err(StoreError::Denied { .. })), "{asked:?}");
    let wrong = store.restore("k", "0x0", speed, 2).await;
    assert!(matches!(wrong, Err(StoreError::Precondition(_))), "{wrong:?}");

    for (of, until, restore) in [
        ("0x0", now_ms() + DAY_MS, Restore::Archived),
        (etag.as_str(), now_ms() - 1, Restore::Archived),
        (etag.as_str(), 32_503_680_000_000, Restore::Until(32_503_680_000_000)),
    ] {
        let metadata =
            HashMap::from([(UNTIL.to_owned(), until.to_string()), (COPY_OF.to_owned(), of.to_owned())]);
        let options =
            BlobClientUploadOptions { metadata: Some(metadata), ..BlobClientUploadOptions::default() };
        let copy = store.blob(&copy_name("k")).unwrap();
        copy.upload(Bytes::from_static(b"cold").into(), Some(options)).await.unwrap();
        let head = store.head("k").await.unwrap();
        assert_eq!((head.class.as_str(), head.restore), ("Archive", restore));
    }
    assert_eq!(store.range("k", 1..3).await.unwrap(), "ol");
    assert_eq!(store.list("k", None).await.unwrap().len(), 1, "the copy is not listed");
    let shorter = store.restore("k", &etag, RestoreSpeed::Bulk, 9).await.unwrap();
    assert!(matches!(shorter, Restore::Until(until) if until < 32_503_680_000_000), "{shorter:?}");
    store.release("k").await.unwrap();
    store.release("k").await.unwrap();
    assert_eq!(store.head("k").await.unwrap().restore, Restore::Archived);
    assert!(matches!(store.range("k", 0..9).await, Err(StoreError::Archived(_))));
    store.delete_if("k", &etag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttles_and_broken_connections_are_survived() {
    let place = place(new_bucket(), "w".to_owned());
    check_weather(&server("LINCHPIN_TEST_AZURE"), &place, at, WaitsAsAsked(true)).await;
}
