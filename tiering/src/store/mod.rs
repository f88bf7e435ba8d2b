//! Object stores: one small trait, one file a provider, one contract suite for all of them.
//!
//! A put creates and never overwrites, replacing and deleting are conditional, and what a call
//! returned is durable. [`probe()`] asks a store whether it keeps that promise before it is used.

#[cfg(test)]
pub(crate) mod contract;
mod counting;
pub(crate) mod durable;
mod local;
mod probe;

use std::{fmt::Debug, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

pub use counting::{Counters, CountingStore, Counts};
pub use local::LocalStore;
pub use probe::{ProbeError, probe};

/// What `head` and `list` say of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Key within the store, `/`-separated.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag: changes whenever the content does.
    pub etag: String,
    /// Last modification, epoch milliseconds.
    pub modified_ms: i64,
    /// Storage class in the provider's own word; `LOCAL` for a folder.
    pub class: String,
}

/// Why a store refused; the variants are decisions a caller takes.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No object at that key.
    #[error("no object `{0}`")]
    NotFound(String),
    /// A create-only put found the key taken, or a conditional delete found another etag.
    #[error("precondition failed for `{0}`")]
    Precondition(String),
    /// The key would leave the store or cannot be represented.
    #[error("key `{0}` is not allowed")]
    BadKey(String),
    /// Anything else; the source says what.
    #[error("store failed at `{key}`: {source}")]
    Failed {
        /// Key that was asked for.
        key: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// Most keys in one page of [`Store::list`].
pub const LIST_PAGE_MAX: usize = 1000;

/// An object store or a folder.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Creates `key` with `bytes`; refuses with [`StoreError::Precondition`] if it exists. When it
    /// returns, the object is complete and durable.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError>;
    /// Replaces `key` only if its etag still is `etag`, or creates it when `etag` is `None`; refuses
    /// with [`StoreError::Precondition`] otherwise.
    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError>;
    /// Reads a byte range; a range that ends beyond the object is cut, one that starts beyond it is
    /// empty.
    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError>;
    /// Size, etag, modification time and class.
    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError>;
    /// Objects whose keys start with `prefix` and sort after `after`, in key order, at most
    /// [`LIST_PAGE_MAX`]; fewer than that means the end.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError>;
    /// Deletes `key` only if its etag still is `etag`.
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError>;
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
    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        (**self).head(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        (**self).list(prefix, after).await
    }
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        (**self).delete_if(key, etag).await
    }
}
