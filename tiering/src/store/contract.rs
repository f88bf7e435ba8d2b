//! What every [`Store`] must do; each provider's tests run [`check`] on an empty store.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{LIST_PAGE_MAX, LocalStore, ObjectHead, ProbeError, Store, StoreError, probe};

/// Runs the whole contract on an empty store.
pub(crate) async fn check<S: Store + 'static>(store: Arc<S>) {
    create_only(&*store).await;
    conditional(&*store).await;
    ranges(&*store).await;
    listing(&*store).await;
    paging(&*store).await;
    one_winner(Arc::clone(&store)).await;
    probe(&*store).await.unwrap();
    assert!(store.list("linchpin-probe/", None).await.unwrap().is_empty(), "the probe cleans up");
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn refused(answer: &Result<(), StoreError>) {
    assert!(matches!(answer, Err(StoreError::Precondition(_))), "{answer:?}");
}

async fn keys<S: Store + ?Sized>(store: &S, prefix: &str, after: Option<&str>) -> Vec<String> {
    store.list(prefix, after).await.unwrap().into_iter().map(|h| h.key).collect()
}

async fn create_only<S: Store>(store: &S) {
    assert!(matches!(store.head("c/none").await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.range("c/none", 0..1).await, Err(StoreError::NotFound(_))));
    store.put("c/one", bytes("first")).await.unwrap();
    refused(&store.put("c/one", bytes("other")).await);
    assert_eq!(store.range("c/one", 0..99).await.unwrap(), "first");
    store.put("c/empty", Bytes::new()).await.unwrap();
    let head = store.head("c/empty").await.unwrap();
    assert_eq!((head.size, head.key.as_str()), (0, "c/empty"));
    assert!(head.modified_ms > 1_600_000_000_000, "{head:?}");
}

async fn conditional<S: Store>(store: &S) {
    refused(&store.put_if("i/none", bytes("x"), Some("0-0")).await);
    store.put_if("i/one", bytes("aaa"), None).await.unwrap();
    refused(&store.put_if("i/one", bytes("bbb"), None).await);
    let mut old = store.head("i/one").await.unwrap().etag;
    // Same size, in quick succession: the etag has to change all the same.
    for text in ["bbb", "ccc", "ddd"] {
        store.put_if("i/one", bytes(text), Some(&old)).await.unwrap();
        refused(&store.put_if("i/one", bytes("zzz"), Some(&old)).await);
        refused(&store.delete_if("i/one", &old).await);
        let new = store.head("i/one").await.unwrap().etag;
        assert_ne!(new, old);
        assert_eq!(store.range("i/one", 0..3).await.unwrap(), text);
        old = new;
    }
    store.delete_if("i/one", &old).await.unwrap();
    assert!(matches!(store.head("i/one").await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.delete_if("i/one", &old).await, Err(StoreError::NotFound(_))));
}

async fn ranges<S: Store>(store: &S) {
    store.put("r", bytes("0123456789")).await.unwrap();
    for (range, expected) in [(0..10, "0123456789"), (3..5, "34"), (8..99, "89"), (10..20, ""), (4..4, "")] {
        assert_eq!(store.range("r", range).await.unwrap(), expected);
    }
}

async fn listing<S: Store>(store: &S) {
    // `-` sorts before `/`, `0` after it: the order is that of whole keys, not of folders.
    let sorted = ["l/a-b", "l/a/1", "l/a/2/x", "l/a0", "l/b/c"];
    for key in sorted.iter().rev() {
        store.put(key, bytes("1")).await.unwrap();
    }
    assert_eq!(keys(store, "l/", None).await, sorted.map(String::from).to_vec());
    assert_eq!(keys(store, "l/", Some("l/a/1")).await, ["l/a/2/x", "l/a0", "l/b/c"]);
    assert_eq!(keys(store, "l/", Some("l/a/0")).await, ["l/a/1", "l/a/2/x", "l/a0", "l/b/c"]);
    assert_eq!(keys(store, "l/a/", None).await, ["l/a/1", "l/a/2/x"]);
    assert_eq!(keys(store, "l/a-", None).await, ["l/a-b"]);
    assert!(keys(store, "l/nothing/", None).await.is_empty());
}

async fn paging<S: Store>(store: &S) {
    let count = LIST_PAGE_MAX + 5;
    let name = |i: usize| format!("p/{:03}/{i:05}", i / 600);
    for chunk in (0..count).collect::<Vec<_>>().chunks(50) {
        futures::future::join_all(
            chunk.iter().map(|i| async { store.put(&name(*i), bytes("1")).await.unwrap() }),
        )
        .await;
    }
    let first = keys(store, "p/", None).await;
    assert_eq!(first.len(), LIST_PAGE_MAX);
    let second = keys(store, "p/", first.last().map(String::as_str)).await;
    let all: Vec<String> = first.into_iter().chain(second).collect();
    assert_eq!(all, (0..count).map(name).collect::<Vec<_>>());
}

async fn one_winner<S: Store + 'static>(store: Arc<S>) {
    let race = |key: &'static str, etag: Option<String>| {
        let store = Arc::clone(&store);
        async move {
            let tasks = (0..8).map(|i| {
                let (store, etag) = (Arc::clone(&store), etag.clone());
                tokio::spawn(async move { store.put_if(key, bytes(&i.to_string()), etag.as_deref()).await })
            });
            let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
            answers.into_iter().filter(|a| a.as_ref().unwrap().is_ok()).count()
        }
    };
    assert_eq!(race("w/one", None).await, 1);
    let etag = store.head("w/one").await.unwrap().etag;
    assert_eq!(race("w/one", Some(etag)).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    check(Arc::new(LocalStore::open(dir.path().join("new/root")).unwrap())).await;
}

#[tokio::test]
async fn a_folder_refuses_keys_that_leave_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path().join("root")).unwrap();
    std::fs::write(dir.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(dir.path(), store.root().join("out")).unwrap();
    let bad = [
        "",
        "/etc/passwd",
        "../secret",
        "a/../../secret",
        "a//b",
        "a/",
        "./a",
        "a\0b",
        "a\\b",
        "out/secret",
        ".linchpin-lock",
    ];
    for key in bad {
        let answers = [
            store.put(key, bytes("x")).await.err(),
            store.put_if(key, bytes("x"), Some("1")).await.err(),
            store.range(key, 0..1).await.err(),
            store.head(key).await.err(),
            store.delete_if(key, "1").await.err(),
        ];
        for answer in answers {
            assert!(matches!(answer, Some(StoreError::BadKey(_))), "{key}: {answer:?}");
        }
    }
    assert!(matches!(store.list("../", None).await, Err(StoreError::BadKey(_))));
    assert!(store.list("", None).await.unwrap().is_empty(), "neither links nor own files are listed");
}

#[tokio::test]
async fn unfinished_files_are_not_listed_and_can_be_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    store.put("a/b", bytes("x")).await.unwrap();
    std::fs::write(dir.path().join("a/.linchpin-tmp-1"), "half").unwrap();
    assert_eq!(keys(&store, "", None).await, ["a/b"]);
    assert_eq!(store.sweep(std::time::Duration::from_hours(1)).await.unwrap(), 0);
    assert_eq!(store.sweep(std::time::Duration::ZERO).await.unwrap(), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
}

/// A store that takes every put: some S3 look-alikes ignore `If-None-Match`.
#[derive(Debug)]
struct Careless(LocalStore);

#[async_trait]
impl Store for Careless {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        match self.0.head(key).await {
            Ok(head) => self.0.put_if(key, bytes, Some(&head.etag)).await,
            Err(_) => self.0.put(key, bytes).await,
        }
    }
    async fn put_if(&self, key: &str, bytes: Bytes, _: Option<&str>) -> Result<(), StoreError> {
        self.put(key, bytes).await
    }
    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.0.range(key, range).await
    }
    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        self.0.head(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        self.0.list(prefix, after).await
    }
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        self.0.delete_if(key, etag).await
    }
}

#[tokio::test]
async fn the_probe_finds_a_careless_store_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Careless(LocalStore::open(dir.path()).unwrap());
    assert!(matches!(probe(&store).await, Err(ProbeError::Unsafe(_))));
    assert!(store.list("", None).await.unwrap().is_empty());
}
