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
    /// Until when it cannot be deleted, epoch milliseconds. Heads say so; listings need not.
    pub locked_until_ms: Option<i64>,
    /// Whether a legal hold is on it. Heads say so; listings need not.
    pub held: bool,
    /// The customer's key that it is encrypted with, as the provider names it. Heads say so; listings
    /// need not.
    pub encryption: Option<String>,
}

impl ObjectHead {
    /// An object that can be read, is neither locked nor held and lies under the provider's own key;
    /// its identity is its etag.
    pub fn plain(key: String, size: u64, etag: String, modified_ms: i64, class: &str) -> Self {
        Self {
            key,
            size,
            identity: etag.clone(),
            etag,
            modified_ms,
            class: class.to_owned(),
            restore: Restore::Online,
            locked_until_ms: None,
            held: false,
            encryption: None,
        }
    }
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

/// How fast an archived object is brought back; what a class does not know is the next slower one,
/// but for [`StoreError::NoExpedited`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RestoreSpeed {
    /// Hours to days, cheapest. S3: `Bulk`; Azure: priority `Standard`.
    Bulk,
    /// Hours. S3: `Standard`; Azure: priority `Standard`.
    Standard,
    /// Minutes to an hour, dearest. S3: `Expedited`; Azure: priority `High`.
    Expedited,
}

/// How an object is locked until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Privileged users can lift it (Azure and GCS: unlocked).
    Governance,
    /// Nobody can lift or shorten it (Azure and GCS: locked).
    Compliance,
}

/// What else a new object gets, in the same request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutAs<'a> {
    /// Storage class in the provider's word; the store's default when `None`.
    pub class: Option<&'a str>,
    /// Lock until this time, epoch milliseconds.
    pub lock: Option<(LockMode, i64)>,
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
    /// Deletes `key` only if its etag still is `etag`; refuses with [`StoreError::Locked`] while a lock
    /// or a hold is on it.
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError>;
    /// [`Store::put`] into a storage class and under a lock from the first moment. An object in an
    /// archive class costs one request this way instead of two.
    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        if with.lock.is_some() {
            return Err(StoreError::Unsupported { key: key.to_owned(), what: "object lock" });
        }
        match with.class {
            None => self.put(key, bytes).await,
            Some(class) => Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() }),
        }
    }
    /// Asks for the archived version `etag` of `key` to be readable for `days`; says how it stands. One
    /// that is readable keeps being so for `days` from now on. Refuses with
    /// [`StoreError::RestoreInProgress`] where a restore is under way already.
    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        let _ = (etag, speed, days);
        Err(StoreError::Unsupported { key: key.to_owned(), what: "restore" })
    }
    /// Lets the readable copy of an archived object go, where it does not go by itself. It is no fault
    /// that there is none.
    async fn release(&self, key: &str) -> Result<(), StoreError> {
        let _ = key;
        Ok(())
    }
    /// Locks the version `etag` of `key` until `until_ms` (epoch milliseconds). A lock is made longer
    /// this way, never shorter: that is refused with [`StoreError::Locked`].
    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        let _ = (etag, mode, until_ms);
        Err(StoreError::Unsupported { key: key.to_owned(), what: "object lock" })
    }
    /// Puts a legal hold on the version `etag` of `key`, or takes it away. It has no end of its own.
    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        let _ = (etag, on);
        Err(StoreError::Unsupported { key: key.to_owned(), what: "legal hold" })
    }
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
    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        (**self).put_as(key, bytes, with).await
    }
    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        (**self).restore(key, etag, speed, days).await
    }
    async fn release(&self, key: &str) -> Result<(), StoreError> {
        (**self).release(key).await
    }
    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        (**self).lock(key, etag, mode, until_ms).await
    }
    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        (**self).hold(key, etag, on).await
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
