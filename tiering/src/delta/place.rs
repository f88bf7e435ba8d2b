//! Where tables are: a folder, or a bucket of one of three clouds.
//!
//! A place holds the store of the whole disk or bucket; a table's log store sees it through the
//! path of its URL. The library's own way from a URL to a store is not used: it would bring a
//! second set of credentials and, for S3, commits by a lock table. Every store here commits by a
//! create-only put.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use deltalake::{
    DeltaTable,
    logstore::{LogStoreRef, StorageConfig, default_logstore},
};
use linchpin_store::{Counters, durable::create_folder};
use object_store::{ObjectStore, path::Path as ObjectPath, prefix::PrefixStore};
use url::Url;

use super::{DeltaError, objects::Objects, synced::SyncedDisk};

/// Where tables are: a URL, and the store of all that shares its authority.
#[derive(Clone)]
pub struct Place {
    url: Url,
    root: Arc<dyn ObjectStore>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A store's own form may hold secrets.
        f.debug_tuple("Place").field(&self.url.as_str()).finish()
    }
}

impl Place {
    /// A folder of this machine; created where it is missing.
    pub fn folder(path: impl AsRef<Path>) -> Result<Self, DeltaError> {
        let path = path.as_ref();
        let bad = |why: String| DeltaError::Place { place: path.display().to_string(), why };
        let absolute = std::path::absolute(path)
            .and_then(|p| create_folder(&p).and_then(|()| p.canonicalize()))
            .map_err(|e| bad(e.to_string()))?;
        let url = Url::from_directory_path(absolute).map_err(|()| bad("not an absolute path".to_owned()))?;
        Ok(Self { url, root: Arc::new(SyncedDisk::default()) })
    }

    /// A place in a bucket: `root` is the store of the whole bucket, `authority` its URL and `prefix`
    /// the path in it, without slashes at its ends.
    pub(super) fn bucket(authority: &str, prefix: &str, root: Objects) -> Result<Self, DeltaError> {
        let bad = |why: String| DeltaError::Place { place: format!("{authority}/{prefix}"), why };
        let mut url = Url::parse(authority).map_err(|e| bad(e.to_string()))?;
        url.path_segments_mut()
            .map_err(|()| bad("not an address of a bucket".to_owned()))?
            .clear()
            .extend(prefix.split('/').filter(|name| !name.is_empty()))
            .push("");
        Ok(Self { url, root: Arc::new(root) })
    }

    /// The same place, whose requests `counters` count.
    pub(super) fn counted(self, counters: Counters) -> Self {
        Self { root: Arc::new(Objects::new(self.root, None, counters)), url: self.url }
    }

    /// A place below this one; `name` is relative.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}/", url.path(), name.trim_matches('/')));
        Self { url, root: Arc::clone(&self.root) }
    }

    /// The URL; ends in `/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The folder, if this is one of this machine.
    pub(super) fn path(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()
    }

    /// A table handle, not loaded.
    pub fn table(&self) -> Result<DeltaTable, DeltaError> {
        let path = ObjectPath::from_url_path(self.url.path())
            .map_err(|e| DeltaError::Place { place: self.url.to_string(), why: e.to_string() })?;
        let table = Arc::new(PrefixStore::new(Arc::clone(&self.root), path));
        let log: LogStoreRef =
            default_logstore(table, Arc::clone(&self.root), &self.url, &StorageConfig::default());
        Ok(DeltaTable::new(log))
    }
}
