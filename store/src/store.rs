//! The trait, and what its calls say of an object.

use std::{fmt::Debug, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::StoreError;

/// What `head` and `list` say of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Key within the store, `/`-separated.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag without quotes: changes whenever the content does. It is what conditional calls
    /// and [`Store::open`] take: the `ETag` of S3 and Azure, the generation of GCS.
    pub etag: String,
    /// What tells the object from an earlier one of the same key, in listings and heads alike, as
    /// the identity of a unit needs it: the etag of S3, the generation of GCS, the creation time of
    /// Azure in epoch milliseconds (a blob that grows keeps it), the etag of a folder.
    pub identity: String,
    /// Last modification, epoch milliseconds.
    pub modified_ms: i64,
    /// Storage class in the provider's own word; `LOCAL` for a folder.
    pub class: String,
    /// Whether it can be read now. The class does not say: S3 keeps it while a copy is restored.
    pub restore: Restore,
}

/// Whether an object can be read, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// Reads need no restore.
    Online,
    /// Reads need a restore that nobody has asked for.
    Archived,
    /// A restore is under way.
    InProgress,
    /// A restored copy can be read until then, epoch milliseconds.
    Until(i64),
}

impl Restore {
    /// Whether a read would succeed now.
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Online | Self::Until(_))
    }
}

/// Bytes of one version of an object, in order. Memory holds only what the network has ready.
pub type ObjectStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// Most keys in one page of [`Store::list`].
pub const LIST_PAGE_MAX: usize = 1000;

/// Larger objects are sent in parts of this size (the last may be smaller), each with a checksum of
/// its own; they appear at once and complete all the same.
pub const PART_BYTES: usize = 32 << 20;

/// An object store or a folder.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Creates `key` with `bytes`; refuses with [`StoreError::Precondition`] if it exists. When it
    /// returns, the object is complete, durable and has the checksum that was sent with it.
    ///
    /// If an answer is lost and the client repeats the request by itself, the refusal may mean the
    /// object that the lost request created. A name must then not be adopted: take another.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError>;
    /// Replaces `key` only if its etag still is `etag`, or creates it when `etag` is `None`; refuses
    /// with [`StoreError::Precondition`] otherwise.
    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError>;
    /// Reads a byte range; a range that ends beyond the object is cut, one that starts beyond it is
    /// empty.
    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError>;
    /// Streams the version `etag` of `key` from the byte `start` to its end; refuses with
    /// [`StoreError::Precondition`] (or [`StoreError::NotFound`], where old versions vanish) if it is
    /// no longer that version. A connection that breaks is taken up where it broke, still pinned.
    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError>;
    /// Size, etag, modification time, class and whether it can be read.
    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError>;
    /// Objects whose keys start with `prefix` and sort after `after`, in key order, at most
    /// [`LIST_PAGE_MAX`]; fewer than that means the end. Going on from the last key of a page costs
    /// one request.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError>;
    /// Moves the version `etag` of `key` to the storage class `class`, in the provider's own word;
    /// refuses with [`StoreError::Precondition`] if it is no longer that version. On S3 and GCS this
    /// writes the object again: etag and modification time may change.
    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError>;
    /// Deletes `key` only if its etag still is `etag`.
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError>;
    /// Requests that putting so many bytes costs.
    fn put_requests(&self, bytes: u64) -> u64 {
        let _ = bytes;
        1
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        (**self).put(key, bytes).await
    }
    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        (**self).put_if(key, bytes, etag).await
    }
    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        (**self).range(key, range).await
    }
    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        (**self).open(key, etag, start).await
    }
    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        (**self).head(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        (**self).list(prefix, after).await
    }
    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        (**self).set_class(key, etag, class).await
    }
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        (**self).delete_if(key, etag).await
    }
    fn put_requests(&self, bytes: u64) -> u64 {
        (**self).put_requests(bytes)
    }
}

/// Servers differ in what they say when a condition is put on an object that is not there; a caller
/// acts differently on the two.
pub(crate) async fn missing_or_changed(store: &impl Store, key: String) -> StoreError {
    match store.head(&key).await {
        Err(error @ StoreError::NotFound(_)) => error,
        _ => StoreError::Precondition(key),
    }
}

/// Parts of an object of so many bytes; one that is sent whole has one.
pub(crate) const fn parts(bytes: u64) -> u64 {
    if bytes <= PART_BYTES as u64 { 1 } else { bytes.div_ceil(PART_BYTES as u64) }
}
