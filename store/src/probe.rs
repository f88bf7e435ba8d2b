//! Asks a store whether it keeps the promises that the archive and the ledger are built on.

use bytes::Bytes;
use ulid::Ulid;

use crate::{Store, StoreError};

/// Folder of the probe's objects; each is deleted again.
const PREFIX: &str = "linchpin-probe/";

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It answered, but not as promised: two writers could both believe that they won.
    #[error(
        "the store does not refuse {0}\nhint: use a store with conditional writes (If-None-Match and If-Match)"
    )]
    Unsafe(&'static str),
    /// It did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that a create-only put refuses a taken key, and that replacing and deleting under an etag
/// that is no longer true are refused. Leaves nothing behind.
pub async fn probe<S: Store + ?Sized>(store: &S) -> Result<(), ProbeError> {
    let key = format!("{PREFIX}{}", Ulid::new());
    store.put(&key, Bytes::from_static(b"first")).await?;
    let verdict = checks(store, &key).await;
    let cleaned = match store.head(&key).await {
        Ok(head) => store.delete_if(&key, &head.etag).await,
        Err(StoreError::NotFound(_)) => Ok(()),
        Err(e) => Err(e),
    };
    verdict?;
    Ok(cleaned?)
}

/// The store's clock, epoch milliseconds, to the second: when it says that an object was written that is
/// written for this. It costs three requests and leaves nothing behind.
pub async fn clock_ms<S: Store + ?Sized>(store: &S) -> Result<i64, StoreError> {
    let key = format!("{PREFIX}{}", Ulid::new());
    store.put(&key, Bytes::from_static(b"clock")).await?;
    let head = store.head(&key).await?;
    store.delete_if(&key, &head.etag).await?;
    Ok(head.modified_ms)
}

async fn checks<S: Store + ?Sized>(store: &S, key: &str) -> Result<(), ProbeError> {
    let other = Bytes::from_static(b"second");
    refused(store.put(key, other.clone()).await, "a second put of the same key")?;
    let first = store.head(key).await?.etag;
    store.put_if(key, other.clone(), Some(&first)).await?;
    refused(store.put_if(key, other, Some(&first)).await, "a replace under an old etag")?;
    refused(store.delete_if(key, &first).await, "a delete under an old etag")
}

fn refused(answer: Result<(), StoreError>, what: &'static str) -> Result<(), ProbeError> {
    match answer {
        Err(StoreError::Precondition(_)) => Ok(()),
        Ok(()) => Err(ProbeError::Unsafe(what)),
        Err(e) => Err(e.into()),
    }
}
