//! The store under tables: counts what is asked of it, as requests are a part of the bill.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use linchpin_store::{Counters, Counts, Store, StoreError};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result, UploadPart, coalesce_ranges, path::Path,
};

/// Objects in one page of a listing.
const LIST_PAGE: u64 = 1000;

/// Deletes under way at once.
const DELETES_AT_ONCE: usize = 8;

/// A store that counts its requests. Repeats that the client makes by itself are not seen here.
#[derive(Debug)]
pub(super) struct Objects {
    inner: Arc<dyn ObjectStore>,
    /// Deletes one by one, where the client itself can only delete in batches.
    deletes: Option<Arc<dyn Store>>,
    counters: Counters,
}

impl Objects {
    pub(super) fn new(
        inner: Arc<dyn ObjectStore>,
        deletes: Option<Arc<dyn Store>>,
        counters: Counters,
    ) -> Self {
        Self { inner, deletes, counters }
    }

    fn put(&self, bytes: usize) {
        self.counters.add(&Counts { puts: 1, bytes_written: bytes as u64, ..Counts::default() });
    }

    /// A listing is a request for each page that is taken.
    fn listed<T: 'static>(&self, entries: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let counters = self.counters.clone();
        let page = Counts { lists: 1, ..Counts::default() };
        counters.add(&page);
        let mut seen = 0;
        let count = move |entry| {
            seen += 1;
            if seen % LIST_PAGE == 0 {
                counters.add(&page);
            }
            entry
        };
        entries.map(count).boxed()
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.put(payload.content_length());
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.put(0);
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(CountedUpload { inner, counters: self.counters.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let counts = if options.head {
            Counts { heads: 1, ..Counts::default() }
        } else {
            Counts { gets: 1, ..Counts::default() }
        };
        self.counters.add(&counts);
        let head = options.head;
        let result = self.inner.get_opts(location, options).await?;
        if !head {
            let bytes_read = result.range.end - result.range.start;
            self.counters.add(&Counts { bytes_read, ..Counts::default() });
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        // Put together here, so that the requests that are left are counted.
        coalesce_ranges(ranges, |range| self.get_range(location, range), OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let counters = self.counters.clone();
        let count = move |location| {
            counters.add(&Counts { deletes: 1, ..Counts::default() });
            location
        };
        let locations = locations.map(count).boxed();
        match &self.deletes {
            None => self.inner.delete_stream(locations),
            Some(store) => {
                let store = Arc::clone(store);
                let delete = move |location| delete(Arc::clone(&store), location);
                locations.map(delete).buffered(DELETES_AT_ONCE).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.counters.add(&Counts { lists: 1, ..Counts::default() });
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.put(0);
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.put(0);
        self.inner.rename_opts(from, to, options).await
    }
}

async fn delete(store: Arc<dyn Store>, location: Result<Path>) -> Result<Path> {
    let location = location?;
    let deleted = async {
        let head = store.head(location.as_ref()).await?;
        store.delete_if(location.as_ref(), &head.etag).await
    };
    let path = || location.to_string();
    match deleted.await {
        Ok(()) => Ok(location),
        Err(error @ StoreError::NotFound(_)) => Err(Error::NotFound { path: path(), source: error.into() }),
        Err(error) => Err(Error::Generic { store: "Objects", source: error.into() }),
    }
}

/// A large object written in parts, each a request.
#[derive(Debug)]
struct CountedUpload {
    inner: Box<dyn MultipartUpload>,
    counters: Counters,
}

#[async_trait]
impl MultipartUpload for CountedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes_written = data.content_length() as u64;
        self.counters.add(&Counts { puts: 1, bytes_written, ..Counts::default() });
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.counters.add(&Counts { puts: 1, ..Counts::default() });
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
