//! From a configured feed to the source that lists and reads it.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use linchpin_config::{Feed, FeedFrom, Stores};
use linchpin_ingest::{BucketSource, FileSource, Source};
use linchpin_store::{Counters, CountingStore, S3Store, Store, StoreError, connect};

use crate::exit::Failure;

/// Opens a feed; its requests are counted where they are of a bucket.
pub(super) async fn open(feed: &Feed, stores: &Stores) -> Result<(Arc<dyn Source>, Counters)> {
    let counters = Counters::default();
    if let FeedFrom::Files(folder) = &feed.from {
        let source = FileSource::new(&folder.value.0).map_err(Failure::environment)?;
        return Ok((Arc::new(source), counters));
    }
    let name = feed.name.value.as_str();
    let unserved = || Failure::usage(anyhow!("feed `{name}` uses a transport that this build does not have"));
    let (bucket, prefix) = feed.from.bucket().ok_or_else(unserved)?;
    let store = bucket_of(&feed.from, stores).await.ok_or_else(unserved)?;
    let store = store.with_context(|| format!("feed `{name}`")).map_err(Failure::environment)?;
    let store = Arc::new(CountingStore::new(store, counters.clone()));
    Ok((Arc::new(BucketSource::new(store, bucket.to_string(), prefix)), counters))
}

/// The whole bucket of a feed, with the role that the feed takes on for it; `None` for what is no
/// bucket.
pub(crate) async fn bucket_of(
    from: &FeedFrom,
    stores: &Stores,
) -> Option<Result<Arc<dyn Store>, StoreError>> {
    if let FeedFrom::S3(from) = from {
        let store = S3Store::connect_as(&from.bucket, "", &stores.s3, from.assume_role.as_ref()).await;
        return Some(store.map(|store| Arc::new(store) as _));
    }
    let (bucket, _) = from.bucket()?;
    Some(connect(&bucket, stores).await)
}
