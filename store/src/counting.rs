//! Counts what is asked of a store: figures, prices and `--explain` come from here.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use crate::{LockMode, ObjectHead, ObjectStream, PutAs, Restore, RestoreSpeed, Store, StoreError};

/// Requests sent and bytes moved since the start; refused requests count, as they are billed. What an
/// SDK repeats by itself is not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Puts, conditional or not, changes of the storage class, locks and holds. The parts of a large
    /// object count one by one.
    pub puts: u64,
    /// Restores asked for.
    pub restores: u64,
    /// Range reads and streams.
    pub gets: u64,
    /// Heads.
    pub heads: u64,
    /// List pages.
    pub lists: u64,
    /// Deletes.
    pub deletes: u64,
    /// Bytes received by range reads and streams.
    pub bytes_read: u64,
    /// Bytes sent by puts.
    pub bytes_written: u64,
}

/// Shared counters; clones count into the same place.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    puts: AtomicU64,
    restores: AtomicU64,
    gets: AtomicU64,
    heads: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl Counters {
    /// Adds what was counted elsewhere.
    pub fn add(&self, more: &Counts) {
        let cells = &self.0;
        cells.puts.fetch_add(more.puts, Relaxed);
        cells.restores.fetch_add(more.restores, Relaxed);
        cells.gets.fetch_add(more.gets, Relaxed);
        cells.heads.fetch_add(more.heads, Relaxed);
        cells.lists.fetch_add(more.lists, Relaxed);
        cells.deletes.fetch_add(more.deletes, Relaxed);
        cells.bytes_read.fetch_add(more.bytes_read, Relaxed);
        cells.bytes_written.fetch_add(more.bytes_written, Relaxed);
    }

    /// The counts now.
    pub fn get(&self) -> Counts {
        let cells = &self.0;
        Counts {
            puts: cells.puts.load(Relaxed),
            restores: cells.restores.load(Relaxed),
            gets: cells.gets.load(Relaxed),
            heads: cells.heads.load(Relaxed),
            lists: cells.lists.load(Relaxed),
            deletes: cells.deletes.load(Relaxed),
            bytes_read: cells.bytes_read.load(Relaxed),
            bytes_written: cells.bytes_written.load(Relaxed),
        }
    }
}

/// A store that counts.
#[derive(Debug, Clone)]
pub struct CountingStore<S> {
    inner: S,
    counters: Counters,
}

impl<S: Store> CountingStore<S> {
    /// Wraps `inner`; its counts go to `counters`, which several stores may share.
    pub fn new(inner: S, counters: Counters) -> Self {
        Self { inner, counters }
    }

    fn wrote(&self, bytes: &Bytes) {
        let bytes = bytes.len() as u64;
        self.counters.0.puts.fetch_add(self.inner.put_requests(bytes), Relaxed);
        self.counters.0.bytes_written.fetch_add(bytes, Relaxed);
    }
}

#[async_trait]
impl<S: Store> Store for CountingStore<S> {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.wrote(&bytes);
        self.inner.put(key, bytes).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        self.wrote(&bytes);
        self.inner.put_if(key, bytes, etag).await
    }

    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.counters.0.gets.fetch_add(1, Relaxed);
        let bytes = self.inner.range(key, range).await?;
        self.counters.0.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
        Ok(bytes)
    }

    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        self.counters.0.gets.fetch_add(1, Relaxed);
        let (stream, counters) = (self.inner.open(key, etag, start).await?, self.counters.clone());
        let counted = stream.inspect_ok(move |bytes| {
            counters.0.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
        });
        Ok(counted.boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        self.counters.0.heads.fetch_add(1, Relaxed);
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        self.counters.0.lists.fetch_add(1, Relaxed);
        self.inner.list(prefix, after).await
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        self.counters.0.puts.fetch_add(1, Relaxed);
        self.inner.set_class(key, etag, class).await
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        self.wrote(&bytes);
        self.inner.put_as(key, bytes, with).await
    }

    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        self.counters.0.restores.fetch_add(1, Relaxed);
        self.inner.restore(key, etag, speed, days).await
    }

    async fn release(&self, key: &str) -> Result<(), StoreError> {
        self.inner.release(key).await
    }

    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        self.counters.0.puts.fetch_add(1, Relaxed);
        self.inner.lock(key, etag, mode, until_ms).await
    }

    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        self.counters.0.puts.fetch_add(1, Relaxed);
        self.inner.hold(key, etag, on).await
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        self.counters.0.deletes.fetch_add(1, Relaxed);
        self.inner.delete_if(key, etag).await
    }

    fn put_requests(&self, bytes: u64) -> u64 {
        self.inner.put_requests(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{super::LocalStore, *};

    #[tokio::test]
    async fn counts_requests_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let counters = Counters::default();
        let store = CountingStore::new(LocalStore::open(dir.path()).unwrap(), counters.clone());
        store.put("a", Bytes::from_static(b"12345")).await.unwrap();
        store.put("a", Bytes::from_static(b"12345")).await.unwrap_err();
        store.range("a", 1..3).await.unwrap();
        let etag = store.head("a").await.unwrap().etag;
        store.list("", None).await.unwrap();
        store.delete_if("a", &etag).await.unwrap();
        let expected = Counts {
            puts: 2,
            restores: 0,
            gets: 1,
            heads: 1,
            lists: 1,
            deletes: 1,
            bytes_read: 2,
            bytes_written: 10,
        };
        assert_eq!(counters.get(), expected);
    }
}
