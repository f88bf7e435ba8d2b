//! The local disk under a Delta table, made durable: a file is synced before it gets its name and
//! its folder is synced after, so that an acknowledged commit survives a power cut and a log entry
//! is never seen half-written.

use std::{ops::Range, path::PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use linchpin_store::durable::{Publish, publish, sync_parent};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
    local::LocalFileSystem, path::Path,
};
use ulid::Ulid;

/// The whole local file system, as the URLs of tables are absolute.
#[derive(Debug, Default)]
pub(super) struct SyncedDisk {
    inner: LocalFileSystem,
}

impl std::fmt::Display for SyncedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SyncedDisk")
    }
}

impl SyncedDisk {
    async fn sync(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        blocking(move || {
            std::fs::File::open(&path).and_then(|f| f.sync_all()).and_then(|()| sync_parent(&path))
        })
        .await
        .map_err(generic)
    }
}

#[async_trait]
impl ObjectStore for SyncedDisk {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let how = match opts.mode {
            PutMode::Create => Publish::Create,
            PutMode::Overwrite => Publish::Replace,
            // Refused there as well, in its own words.
            PutMode::Update(_) => return self.inner.put_opts(location, payload, opts).await,
        };
        let path = self.inner.path_to_filesystem(location)?;
        // `#` and digits: the form of names that listings take for unfinished uploads.
        let mut staged = path.clone().into_os_string();
        staged.push(format!("#{}", Ulid::new().0));
        let work = move || publish(&path, &PathBuf::from(staged), payload.iter().map(|b| &b[..]), how);
        blocking(work).await.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::AlreadyExists { path: location.to_string(), source: source.into() }
            }
            _ => generic(source),
        })?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(SyncedUpload { inner, path: self.inner.path_to_filesystem(location)? }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync(to).await
    }
}

/// A large file written in parts; synced before its completion is reported.
#[derive(Debug)]
struct SyncedUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(move || {
            std::fs::File::open(&path).and_then(|f| f.sync_all()).and_then(|()| sync_parent(&path))
        })
        .await
        .map_err(generic)?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(std::io::Error::other(e)))
}

fn generic(source: std::io::Error) -> Error {
    Error::Generic { store: "SyncedDisk", source: source.into() }
}
