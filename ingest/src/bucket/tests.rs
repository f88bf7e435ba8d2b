#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::stream;
use linchpin_config::{Place, Stores};
use linchpin_store::{LIST_PAGE_MAX, LocalStore, MemoryStore, Restore, connect, create_bucket};

use super::*;
use crate::contract::{self, Shelf, pass, read};

/// A store as a shelf.
struct Bucket(Arc<dyn Store>);

#[async_trait]
impl Shelf for Bucket {
    async fn write(&self, name: &str, bytes: &[u8]) {
        let etag = self.0.head(name).await.ok().map(|head| head.etag);
        self.0.put_if(name, Bytes::copy_from_slice(bytes), etag.as_deref()).await.unwrap();
    }
    async fn remove(&self, name: &str) {
        let etag = self.0.head(name).await.unwrap().etag;
        self.0.delete_if(name, &etag).await.unwrap();
    }
    fn key(&self, name: &str) -> String {
        name.to_owned()
    }
    fn source(&self) -> Box<dyn Source> {
        Box::new(BucketSource::new(Arc::clone(&self.0), "s3://bucket", ""))
    }
}

#[tokio::test]
async fn a_local_store_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::check(&Bucket(Arc::new(LocalStore::open(dir.path()).unwrap()))).await;
}

#[tokio::test]
async fn a_store_in_memory_keeps_the_contract() {
    contract::check(&Bucket(Arc::new(MemoryStore::default()))).await;
}

/// A new bucket on a server that `cargo xtask test` has started keeps the contract.
async fn a_cloud_keeps_the_contract(stores: &str, place: impl Fn(String) -> Place) {
    let stores: Stores = linchpin_config::parse("stores.yaml", stores).unwrap();
    let place = place(format!("linchpin-{:016x}", fastrand::u64(..)));
    create_bucket(&place, &stores).await.unwrap();
    contract::check(&Bucket(connect(&place, &stores).await.unwrap())).await;
}

fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("`{variable}` is not set\nhint: run the tests by cargo xtask test"))
}

#[tokio::test]
async fn s3_keeps_the_contract() {
    for variable in ["LINCHPIN_TEST_S3", "LINCHPIN_TEST_MOTO"] {
        let endpoint = server(variable);
        let stores = format!("s3: {{ endpoint: \"{endpoint}\", region: us-east-1, path_style: true }}");
        a_cloud_keeps_the_contract(&stores, |bucket| Place::S3 { bucket, prefix: String::new() }).await;
    }
}

#[tokio::test]
async fn azure_keeps_the_contract() {
    let endpoint = server("LINCHPIN_TEST_AZURE");
    let stores =
        format!("azure: {{ endpoint: \"{endpoint}\", sas_token: {{ env: LINCHPIN_TEST_AZURE_SAS }} }}");
    let account = || "devstoreaccount1".to_owned();
    let place = |container| Place::Azure { account: account(), container, prefix: String::new() };
    a_cloud_keeps_the_contract(&stores, place).await;
}

#[tokio::test]
async fn gcs_keeps_the_contract() {
    let stores = format!("gcs: {{ endpoint: \"{}\" }}", server("LINCHPIN_TEST_GCS"));
    a_cloud_keeps_the_contract(&stores, |bucket| Place::Gcs { bucket, prefix: String::new() }).await;
}

/// What a fake store lists at a place: the key number `n`, or `None` after the last.
type Keys = fn(usize) -> Option<String>;

/// A store of keys that are made up as they are listed, and of one body.
#[derive(Debug)]
struct Fake {
    keys: Keys,
    lists: AtomicUsize,
    body: Vec<Result<Bytes, fn() -> StoreError>>,
    restore: Restore,
}

impl Fake {
    fn new(keys: Keys) -> Self {
        Self { keys, lists: AtomicUsize::new(0), body: Vec::new(), restore: Restore::Online }
    }

    fn first_after(&self, after: &str) -> usize {
        let (mut low, mut high) = (0, 1 << 24);
        while low < high {
            let mid = usize::midpoint(low, high);
            if (self.keys)(mid).is_some_and(|key| key.as_str() <= after) { low = mid + 1 } else { high = mid }
        }
        low
    }
}

fn unused<T>() -> Result<T, StoreError> {
    Err(StoreError::NotFound("not a part of these tests".to_owned()))
}

#[async_trait]
impl Store for Fake {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        self.lists.fetch_add(1, Relaxed);
        let from = after.map_or(0, |after| self.first_after(after)).max(self.first_after(prefix));
        let keys = (from..).map_while(|n| (self.keys)(n)).take_while(|key| key.starts_with(prefix));
        let head = |key| ObjectHead {
            restore: self.restore,
            ..ObjectHead::plain(key, 4, "e".to_owned(), 0, "STANDARD")
        };
        Ok(keys.take(LIST_PAGE_MAX).map(head).collect())
    }
    async fn open(&self, _: &str, etag: &str, _: u64) -> Result<ObjectStream, StoreError> {
        assert_eq!(etag, "e");
        let pieces: Vec<_> = self.body.iter().map(|piece| piece.clone().map_err(|error| error())).collect();
        Ok(stream::iter(pieces).boxed())
    }
    async fn put(&self, _: &str, _: Bytes) -> Result<(), StoreError> {
        unused()
    }
    async fn put_if(&self, _: &str, _: Bytes, _: Option<&str>) -> Result<(), StoreError> {
        unused()
    }
    async fn range(&self, _: &str, _: Range<u64>) -> Result<Bytes, StoreError> {
        unused()
    }
    async fn head(&self, _: &str) -> Result<ObjectHead, StoreError> {
        unused()
    }
    async fn set_class(&self, _: &str, _: &str, _: &str) -> Result<(), StoreError> {
        unused()
    }
    async fn delete_if(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unused()
    }
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The keys alone would be a gigabyte; what other tests use meanwhile is in the bound.
#[tokio::test]
async fn ten_million_objects_cost_a_page_of_memory() {
    const KEYS: usize = 10_000_000;
    const BYTES_MAX: usize = 400 << 20;
    let keys: Keys = |n| {
        let (day, n_of_day) = (n / 30_000, n % 30_000);
        let key = |month, day| {
            format!(
                "AWSLogs/111122223333/CloudTrail/eu-west-1/2020/{month:02}/{day:02}/111122223333_CloudTrail_eu-west-1_{n_of_day:08}.json.gz"
            )
        };
        (n < KEYS).then(|| key(day / 28 + 1, day % 28 + 1))
    };
    let store = Arc::new(Fake::new(keys));
    let source = BucketSource::new(Arc::clone(&store) as _, "s3://bucket", "AWSLogs/");
    let before = resident_bytes();
    let (mut listed, mut pages) = (0, 0_usize);
    loop {
        let page = source.next(1024).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed += page.len();
        pages += 1;
        if pages.is_multiple_of(500) {
            assert!(resident_bytes() < before + BYTES_MAX, "after {listed} keys");
        }
    }
    assert_eq!(listed, KEYS);
    assert_eq!(store.lists.load(Relaxed), KEYS / LIST_PAGE_MAX + 1);
}

#[tokio::test]
async fn what_is_no_log_is_passed_over() {
    let keys: Keys = |n| {
        let now = Timestamp::now().strftime("y=%Y/m=%m/d=%d/h=%H/m=00/PT1H.json").to_string();
        [
            "a/".to_owned(),
            "a/log".to_owned(),
            "b/y=2020/m=01/d=01/h=00/m=00/PT1H.json".to_owned(),
            format!("c/{now}"),
        ]
        .get(n)
        .cloned()
    };
    let source = BucketSource::new(Arc::new(Fake::new(keys)), "s3://bucket/", "");
    let found = pass(&source, 10).await;
    let objects: Vec<&str> = found.iter().map(|candidate| &*candidate.object).collect();
    assert_eq!(objects, ["s3://bucket/a/log#e,4", "s3://bucket/b/y=2020/m=01/d=01/h=00/m=00/PT1H.json#e,4"]);

    let archived = Fake { restore: Restore::Archived, ..Fake::new(keys) };
    assert_eq!(pass(&BucketSource::new(Arc::new(archived), "s3://bucket", ""), 10).await, []);
}

#[tokio::test]
async fn a_body_is_whole_or_says_what_became_of_it() {
    let one: Keys = |n| (n == 0).then(|| "a#1,2".to_owned());
    let piece = |text: &'static str| Ok::<_, fn() -> StoreError>(Bytes::from_static(text.as_bytes()));
    let changed = || Err((|| StoreError::Precondition("a".to_owned())) as fn() -> StoreError);
    let broken = || {
        Err((|| StoreError::Failed { key: "a".to_owned(), source: io::Error::other("reset") })
            as fn() -> StoreError)
    };
    let outcome = async |body: Vec<Result<Bytes, fn() -> StoreError>>| {
        let source = BucketSource::new(Arc::new(Fake { body, ..Fake::new(one) }), "s3://bucket", "");
        let listed = pass(&source, 10).await;
        read(&source, &listed[0], async || ()).await
    };
    assert_eq!(outcome(vec![piece("ab"), piece(""), piece("c\n")]).await.unwrap(), b"abc\n");
    let found = outcome(vec![piece("ab"), changed()]).await;
    assert!(matches!(found, Err(IngestError::Changed { .. })), "{found:?}");
    for body in [vec![piece("ab"), broken()], vec![piece("ab")], vec![piece("abcdef")]] {
        let found = outcome(body).await;
        assert!(matches!(found, Err(IngestError::Read { .. })), "{found:?}");
    }
}
