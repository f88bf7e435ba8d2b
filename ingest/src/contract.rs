//! What every listing [`Source`] must do; each one's tests run [`check`] on an empty place.
#![allow(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use linchpin_normalize::Carry;

use crate::{Candidate, Feed, Inflater, IngestError, Limits, Source, UnitReader};

/// A place with objects, and sources over it.
#[async_trait]
pub(crate) trait Shelf {
    /// Creates an object or puts another in its place.
    async fn write(&self, name: &str, bytes: &[u8]);
    /// Removes an object.
    async fn remove(&self, name: &str);
    /// The key that a candidate has for a name.
    fn key(&self, name: &str) -> String;
    /// A new source over the whole place.
    fn source(&self) -> Box<dyn Source>;
}

/// Runs the whole contract on an empty place.
pub(crate) async fn check(shelf: &dyn Shelf) {
    a_listing_is_sorted_complete_and_repeats_nothing(shelf).await;
    versions_are_objects(shelf).await;
    the_version_that_was_listed_is_read(shelf).await;
    a_large_object_comes_whole(shelf).await;
}

/// One pass, in pages of `max`.
pub(crate) async fn pass(source: &dyn Source, max: usize) -> Vec<Candidate> {
    let mut all = Vec::new();
    loop {
        let page = source.next(max).await.unwrap();
        assert!(page.len() <= max);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// What a candidate opens to, read to its end while `meanwhile` happens after its opening.
pub(crate) async fn read(
    source: &dyn Source,
    candidate: &Candidate,
    meanwhile: impl AsyncFnOnce(),
) -> Result<Vec<u8>, IngestError> {
    let body = source.open(candidate).await?;
    meanwhile().await;
    let candidate = candidate.clone();
    // Reading blocks.
    let units = tokio::task::spawn_blocking(move || {
        let feed = Feed { name: "f".into(), source: None };
        let mut scratch = Inflater::new(Limits::default());
        let cut = |bytes: &[u8], _: &Carry| (bytes.len(), Carry::default());
        let mut reader = UnitReader::new(&mut scratch, body, &feed, &candidate, &cut);
        reader.next_unit().unwrap().map(|unit| unit.bytes.to_vec())
    });
    units.await.unwrap()
}

async fn named(shelf: &dyn Shelf, name: &str) -> Candidate {
    let key = shelf.key(name);
    let all = pass(&*shelf.source(), 100).await;
    all.into_iter().find(|candidate| *candidate.key == *key).unwrap()
}

async fn a_listing_is_sorted_complete_and_repeats_nothing(shelf: &dyn Shelf) {
    let names = ["a-b.log", "a.log", "a/1.gz", "a/b/c/2", "a/b/c-3", "ab", "b/x", "b y", "é/1"];
    let names: Vec<String> =
        names.into_iter().map(String::from).chain((0..40).map(|n| format!("many/{n}.json"))).collect();
    for name in &names {
        shelf.write(name, name.as_bytes()).await;
    }
    let mut expected: Vec<String> = names.iter().map(|name| shelf.key(name)).collect();
    expected.sort_unstable();
    for max in [1000, 7, 1] {
        let found = pass(&*shelf.source(), max).await;
        let keys: Vec<&str> = found.iter().map(|candidate| &*candidate.key).collect();
        assert_eq!(keys, expected, "pages of {max}");
        assert!(
            found.iter().all(|c| c.size == (c.key.len() - shelf.key("").len()) as u64 && c.lease.is_none())
        );
    }
    for name in &names {
        shelf.remove(name).await;
    }
    assert_eq!(pass(&*shelf.source(), 10).await, []);
}

async fn versions_are_objects(shelf: &dyn Shelf) {
    shelf.write("v/one", b"{}\n").await;
    let first = named(shelf, "v/one").await;
    assert!(first.modified_ms > 1_600_000_000_000, "{first:?}");
    assert_eq!(named(shelf, "v/one").await, first);
    for bytes in ["{ }\n", "{}\n{}\n"] {
        shelf.write("v/one", bytes.as_bytes()).await;
        assert_ne!(named(shelf, "v/one").await.object, first.object);
    }
    shelf.remove("v/one").await;
}

async fn the_version_that_was_listed_is_read(shelf: &dyn Shelf) {
    shelf.write("r/one", b"one\n").await;
    let source = shelf.source();
    let listed = named(shelf, "r/one").await;
    assert_eq!(read(&*source, &listed, async || ()).await.unwrap(), b"one\n");
    shelf.write("r/one", b"second\n").await;
    let changed = read(&*source, &listed, async || ()).await;
    assert!(matches!(changed, Err(IngestError::Changed { .. })), "{changed:?}");
    let listed = named(shelf, "r/one").await;
    assert_eq!(read(&*source, &listed, async || ()).await.unwrap(), b"second\n");
    shelf.remove("r/one").await;
    let gone = read(&*source, &listed, async || ()).await;
    assert!(matches!(gone, Err(IngestError::Missing { .. } | IngestError::Changed { .. })), "{gone:?}");
    shelf.write("r/empty", b"").await;
    let empty = named(shelf, "r/empty").await;
    assert_eq!(read(&*source, &empty, async || ()).await.unwrap(), b"");
    shelf.remove("r/empty").await;
}

async fn a_large_object_comes_whole(shelf: &dyn Shelf) {
    let lines = (0..300_000).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
    shelf.write("large", lines.as_bytes()).await;
    let listed = named(shelf, "large").await;
    assert!(read(&*shelf.source(), &listed, async || ()).await.unwrap() == lines.as_bytes());
    shelf.remove("large").await;
}
