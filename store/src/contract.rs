//! What every [`Store`] must do; each provider's tests run [`check`] on an empty store. The servers
//! are started by `cargo xtask test`; one that is missing fails its test.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use futures::TryStreamExt as _;
use linchpin_config::{Place, Stores};

use crate::{
    Counters, CountingStore, LIST_PAGE_MAX, LocalStore, LockMode, MemoryStore, ObjectHead, ObjectStream,
    PART_BYTES, ProbeError, PutAs, Restore, Store, StoreError, connect, create_bucket, probe,
};

/// What a store is tried with. An unknown storage class is refused by all.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "what servers lack, one by one")]
pub(crate) struct Lane {
    /// One that is read at once.
    pub(crate) online: Option<&'static str>,
    /// One that is not, and has no way back here.
    pub(crate) archive: Option<&'static str>,
    /// Legal holds are kept.
    pub(crate) holds: bool,
    /// Locks are kept.
    pub(crate) locks: bool,
    /// The server is an emulation that completes and copies whatever the etag is, and lets two
    /// requests at once both win.
    pub(crate) lax: bool,
    /// The server compares an etag before it replaces, but not in one step: of writers at once that
    /// saw the same version, several may win. Creating is atomic all the same.
    pub(crate) replaces_in_two_steps: bool,
}

/// Runs the whole contract on an empty store.
pub(crate) async fn check<S: Store + 'static>(store: Arc<S>, lane: Lane) {
    create_only(&*store).await;
    conditional(&*store).await;
    ranges(&*store).await;
    opening(&*store).await;
    odd_keys(&*store).await;
    large(&*store, lane).await;
    storage_classes(&*store, lane).await;
    put_classes(&*store, lane).await;
    if lane.holds {
        holds(&*store).await;
    }
    if lane.locks {
        locks(&*store).await;
    }
    listing(&*store).await;
    paging(&*store).await;
    if !lane.lax {
        one_winner(Arc::clone(&store), lane).await;
    }
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
    assert_eq!((head.size, head.key.as_str(), head.restore), (0, "c/empty", Restore::Online));
    assert!(!head.etag.contains('"') && !head.identity.is_empty(), "{head:?}");
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

async fn text(stream: ObjectStream) -> String {
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

async fn opening<S: Store>(store: &S) {
    for (key, content) in [("s/ten", "0123456789"), ("s/empty", "")] {
        store.put(key, bytes(content)).await.unwrap();
        let etag = store.head(key).await.unwrap().etag;
        for start in [0, 3, 10] {
            let read = text(store.open(key, &etag, start).await.unwrap()).await;
            assert_eq!(read, content.get(start as usize..).unwrap_or_default());
        }
    }
    let old = store.head("s/ten").await.unwrap().etag;
    assert!(matches!(store.open("s/none", &old, 0).await.err(), Some(StoreError::NotFound(_))));
    store.put_if("s/ten", bytes("abcdefghij"), Some(&old)).await.unwrap();
    let stale = store.open("s/ten", &old, 0).await.err();
    assert!(matches!(stale, Some(StoreError::Precondition(_) | StoreError::NotFound(_))), "{stale:?}");
    let new = store.head("s/ten").await.unwrap();
    assert_eq!(text(store.open("s/ten", &new.etag, 5).await.unwrap()).await, "fghij");
    // A listing and a head say the same of a version.
    assert_eq!(store.list("s/ten", None).await.unwrap(), [new]);
}

/// Sources name their objects as they like.
async fn odd_keys<S: Store>(store: &S) {
    let mut odd = ["o/a b+c", "o/100%41&=?#", "o/é✓", "o/'(1)'!*", "o/day=2026-01-01T00:00/x.json.gz"];
    odd.sort_unstable();
    for key in odd {
        store.put(key, bytes(key)).await.unwrap();
        let head = store.head(key).await.unwrap();
        assert_eq!(head.key, key);
        assert_eq!(store.range(key, 0..99).await.unwrap(), key);
        assert_eq!(text(store.open(key, &head.etag, 0).await.unwrap()).await, key);
    }
    assert_eq!(keys(store, "o/", None).await, odd);
    for key in odd {
        let etag = store.head(key).await.unwrap().etag;
        store.delete_if(key, &etag).await.unwrap();
    }
    for key in ["", "..", "o/../p", "o/./p", "o\0"] {
        assert!(matches!(store.put(key, bytes("x")).await, Err(StoreError::BadKey(_))), "{key}");
        assert!(matches!(store.head(key).await, Err(StoreError::BadKey(_))), "{key}");
    }
}

/// Objects that are sent in parts are create-only and conditional as well.
async fn large<S: Store>(store: &S, lane: Lane) {
    let content: Bytes = (0..PART_BYTES + 4097).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
    store.put("x/large", content.clone()).await.unwrap();
    refused(&store.put("x/large", content.clone()).await);
    let head = store.head("x/large").await.unwrap();
    assert_eq!(head.size, content.len() as u64);
    let read: Vec<Bytes> = store.open("x/large", &head.etag, 1).await.unwrap().try_collect().await.unwrap();
    assert!(read.concat() == content[1..], "the bytes differ");
    let edge = PART_BYTES as u64;
    assert_eq!(
        store.range("x/large", edge - 2..edge + 2).await.unwrap(),
        content.slice(PART_BYTES - 2..PART_BYTES + 2)
    );
    let other = content.slice(1..);
    store.put_if("x/large", other.clone(), Some(&head.etag)).await.unwrap();
    if !lane.lax {
        refused(&store.put_if("x/large", other, Some(&head.etag)).await);
    }
    let head = store.head("x/large").await.unwrap();
    assert_eq!(head.size, content.len() as u64 - 1);
    store.delete_if("x/large", &head.etag).await.unwrap();
}

async fn storage_classes<S: Store>(store: &S, lane: Lane) {
    store.put("t/one", bytes("cold")).await.unwrap();
    let etag = store.head("t/one").await.unwrap().etag;
    let unknown = store.set_class("t/one", &etag, "LUKEWARM").await;
    assert!(matches!(unknown, Err(StoreError::NoClass { .. })), "{unknown:?}");
    if let Some(class) = lane.online {
        if !lane.lax {
            refused(&store.set_class("t/one", "123", class).await);
        }
        assert!(matches!(
            store.set_class("t/none", "123", class).await,
            Err(StoreError::NotFound(_) | StoreError::Precondition(_))
        ));
        store.set_class("t/one", &etag, class).await.unwrap();
        let head = store.head("t/one").await.unwrap();
        assert_eq!((head.class.as_str(), head.restore), (class, Restore::Online));
        assert_eq!(store.range("t/one", 0..9).await.unwrap(), "cold");
        assert_eq!(store.list("t/", None).await.unwrap(), [head]);
    }
    if let Some(class) = lane.archive {
        let etag = store.head("t/one").await.unwrap().etag;
        store.set_class("t/one", &etag, class).await.unwrap();
        let head = store.head("t/one").await.unwrap();
        assert_eq!((head.class.as_str(), head.restore), (class, Restore::Archived));
        assert!(!head.restore.is_readable());
        assert!(matches!(store.range("t/one", 0..9).await, Err(StoreError::Archived(_))));
        assert!(matches!(store.open("t/one", &head.etag, 0).await.err(), Some(StoreError::Archived(_))));
        assert_eq!(store.list("t/", None).await.unwrap(), [head]);
    }
    let etag = store.head("t/one").await.unwrap().etag;
    store.delete_if("t/one", &etag).await.unwrap();
}

/// An object can be put into its class at once.
async fn put_classes<S: Store>(store: &S, lane: Lane) {
    let unknown = PutAs { class: Some("LUKEWARM"), lock: None };
    let refused = store.put_as("d/none", bytes("x"), unknown).await;
    assert!(matches!(refused, Err(StoreError::NoClass { .. })), "{refused:?}");
    for (class, restore) in [(lane.online, Restore::Online), (lane.archive, Restore::Archived)] {
        let Some(class) = class else { continue };
        store.put_as("d/one", bytes("cold"), PutAs { class: Some(class), lock: None }).await.unwrap();
        let again = store.put_as("d/one", bytes("cold"), PutAs { class: Some(class), lock: None }).await;
        assert!(matches!(again, Err(StoreError::Precondition(_))), "{again:?}");
        let head = store.head("d/one").await.unwrap();
        assert_eq!((head.class.as_str(), head.restore), (class, restore));
        store.delete_if("d/one", &head.etag).await.unwrap();
    }
}

/// What is held is not deleted.
pub(crate) async fn holds<S: Store>(store: &S) {
    store.put("g/one", bytes("evidence")).await.unwrap();
    let head = store.head("g/one").await.unwrap();
    assert!(!head.held && head.locked_until_ms.is_none(), "{head:?}");
    store.hold("g/one", &head.etag, true).await.unwrap();
    let held = store.head("g/one").await.unwrap();
    assert!(held.held, "{held:?}");
    let deleted = store.delete_if("g/one", &held.etag).await;
    assert!(matches!(deleted, Err(StoreError::Locked { .. })), "{deleted:?}");
    store.hold("g/one", &held.etag, false).await.unwrap();
    let free = store.head("g/one").await.unwrap();
    assert!(!free.held, "{free:?}");
    store.delete_if("g/one", &free.etag).await.unwrap();
}

/// What is locked is not deleted, and a lock grows.
pub(crate) async fn locks<S: Store>(store: &S) {
    let day_ms = 24 * 3_600_000;
    store.put("g/now", bytes("x")).await.unwrap();
    let head = store.head("g/now").await.unwrap();
    let until = (head.modified_ms / 1000 + 86_400) * 1000;
    let with = PutAs { class: None, lock: Some((LockMode::Governance, until)) };
    store.put_as("g/two", bytes("evidence"), with).await.unwrap();
    let head = store.head("g/two").await.unwrap();
    assert_eq!(head.locked_until_ms, Some(until));
    let deleted = store.delete_if("g/two", &head.etag).await;
    assert!(matches!(deleted, Err(StoreError::Locked { .. })), "{deleted:?}");
    store.lock("g/two", &head.etag, LockMode::Governance, until + day_ms).await.unwrap();
    let head = store.head("g/two").await.unwrap();
    assert_eq!(head.locked_until_ms, Some(until + day_ms));
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

async fn one_winner<S: Store + 'static>(store: Arc<S>, lane: Lane) {
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
    if !lane.replaces_in_two_steps {
        let etag = store.head("w/one").await.unwrap().etag;
        assert_eq!(race("w/one", Some(etag)).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    check(Arc::new(LocalStore::open(dir.path().join("new/root")).unwrap()), Lane::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract_and_counts() {
    let counters = Counters::default();
    let store = CountingStore::new(MemoryStore::default(), counters.clone());
    check(Arc::new(store), Lane { online: Some("STANDARD"), archive: Some("ARCHIVE"), ..Lane::default() })
        .await;
    let counts = counters.get();
    for count in [counts.puts, counts.gets, counts.heads, counts.lists, counts.deletes] {
        assert!(count > 0, "{counts:?}");
    }
    assert!(counts.bytes_read > PART_BYTES as u64 && counts.bytes_written > PART_BYTES as u64, "{counts:?}");
}

/// A server that `cargo xtask test` has started.
pub(crate) fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("`{variable}` is not set\nhint: run the tests by cargo xtask test"))
}

/// Settings as a configuration has them.
pub(crate) fn stores(yaml: &str) -> Stores {
    linchpin_config::parse("stores.yaml", yaml).unwrap()
}

/// A name that no other test has.
pub(crate) fn new_bucket() -> String {
    format!("linchpin-{}", ulid::Ulid::new()).to_lowercase()
}

/// Runs the contract on a new bucket, below a prefix beside other objects. `place` makes a place of
/// bucket and prefix.
pub(crate) async fn check_bucket(place: impl Fn(String, String) -> Place, stores: &Stores, lane: Lane) {
    let bucket = new_bucket();
    let at = |prefix: &str| place(bucket.clone(), prefix.to_owned());
    let missing = connect(&at(""), stores).await.unwrap();
    for answer in [missing.put("a", bytes("x")).await.err(), missing.list("", None).await.err()] {
        assert!(
            matches!(answer, Some(StoreError::Config(_))),
            "a missing bucket is no missing object: {answer:?}"
        );
    }
    create_bucket(&at(""), stores).await.unwrap();
    // What is there already is no fault.
    create_bucket(&at(""), stores).await.unwrap();
    let whole = connect(&at(""), stores).await.unwrap();
    for key in ["pre", "prefi", "prefix-", "prefiy/c/one"] {
        whole.put(key, bytes("beside")).await.unwrap();
    }
    check(Arc::new(connect(&at("prefix"), stores).await.unwrap()), lane).await;
    assert_eq!(whole.range("prefix/c/one", 0..9).await.unwrap(), "first");
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
    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        self.0.open(key, etag, start).await
    }
    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        self.0.set_class(key, etag, class).await
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
