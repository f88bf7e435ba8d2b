//! A folder as an object store: create-only, durable and conditional like the clouds.
//!
//! An object appears at once and complete: its bytes are written to a temporary file beside it and
//! synced, then linked to the final name, which fails if that name is taken. Replacing and deleting
//! compare the etag under a lock file, so two processes cannot both win. No symbolic link below
//! the root is followed, and names that start with [`RESERVED`] are the store's own.
//! A crash leaves at most a temporary file; [`LocalStore::sweep`] removes it.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use tokio::io::AsyncReadExt as _;
use ulid::Ulid;

use crate::{
    LIST_PAGE_MAX, ObjectHead, ObjectStream, PutAs, Store, StoreError,
    durable::{Publish, create_folder, publish, sync_parent},
};

/// Start of every file name that is the store's own: never a key, never listed.
const RESERVED: &str = ".linchpin-";
/// Start of the name of an object that is still being written.
const TEMP: &str = ".linchpin-tmp-";
/// The file that conditional replaces and deletes lock, in the root.
const LOCK: &str = ".linchpin-lock";
/// Most bytes of one piece of a stream.
const PIECE_BYTES: usize = 256 << 10;
/// Storage class of every object in a folder.
const CLASS: &str = "LOCAL";

/// Objects as files below one folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: Arc<Path>,
}

impl LocalStore {
    /// Opens the folder `root`, and creates it where it is missing.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let root = root.as_ref();
        let open = || {
            create_folder(&std::path::absolute(root)?)?;
            root.canonicalize()
        };
        let root = open().map_err(|e| failed(&root.display().to_string(), e))?;
        Ok(Self { root: root.into() })
    }

    /// The folder, absolute and without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Removes temporary files that crashed writers left more than `age` ago; gives their number.
    pub async fn sweep(&self, age: Duration) -> Result<usize, StoreError> {
        self.blocking(TEMP, move |store| {
            let before = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
            sweep(&store.root, before).map_err(|e| failed(TEMP, e))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let joined = tokio::task::spawn_blocking(move || work(&store)).await;
        joined.unwrap_or_else(|e| Err(failed(key, io::Error::other(e))))
    }

    /// The path of a checked key, when nothing on the way is a symbolic link.
    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let bad = || StoreError::BadKey(key.to_owned());
        if key.contains(['\0', '\\']) {
            return Err(bad());
        }
        let mut path = self.root.to_path_buf();
        for name in key.split('/') {
            if matches!(name, "" | "." | "..") || name.starts_with(RESERVED) {
                return Err(bad());
            }
            path.push(name);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_symlink() => return Err(bad()),
                Err(e) if !is_missing(&e) => return Err(failed(key, e)),
                _ => {}
            }
        }
        Ok(path)
    }

    fn head_at(key: &str, path: &Path) -> Result<ObjectHead, StoreError> {
        let meta = fs::symlink_metadata(path).map_err(|e| missing_or(key, e))?;
        if !meta.is_file() {
            return Err(StoreError::NotFound(key.to_owned()));
        }
        let modified = nanos(meta.modified().map_err(|e| failed(key, e))?);
        Ok(head_of(key, meta.len(), modified))
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(key)?;
        publish(&path, &staged(&path), [bytes], Publish::Create).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => StoreError::Precondition(key.to_owned()),
            _ => failed(key, e),
        })
    }

    /// Replaces an object whose etag is `etag`.
    fn replace(&self, key: &str, bytes: &[u8], etag: &str) -> Result<(), StoreError> {
        let _lock = self.lock(key)?;
        let path = self.path(key)?;
        match Self::head_at(key, &path) {
            Ok(head) if head.etag == etag => {}
            Ok(_) | Err(StoreError::NotFound(_)) => return Err(StoreError::Precondition(key.to_owned())),
            Err(e) => return Err(e),
        }
        publish(&path, &staged(&path), [bytes], Publish::Replace).map_err(|e| failed(key, e))
    }

    /// Deletes an object whose etag is `etag`.
    fn delete(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        let _lock = self.lock(key)?;
        let path = self.path(key)?;
        if Self::head_at(key, &path)?.etag != etag {
            return Err(StoreError::Precondition(key.to_owned()));
        }
        fs::remove_file(&path).and_then(|()| sync_parent(&path)).map_err(|e| failed(key, e))
    }

    fn read(&self, key: &str, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(key)?;
        let mut file = File::open(&path).map_err(|e| missing_or(key, e))?;
        let mut read = || {
            let meta = file.metadata()?;
            if !meta.is_file() {
                return Err(ErrorKind::NotFound.into());
            }
            let length = range.end.min(meta.len()).saturating_sub(range.start);
            let mut bytes = Vec::with_capacity(length as usize);
            if length > 0 {
                file.seek(SeekFrom::Start(range.start))?;
                (&mut file).take(length).read_to_end(&mut bytes)?;
            }
            Ok(Bytes::from(bytes))
        };
        read().map_err(|e| missing_or(key, e))
    }

    /// Opens the version `etag` at a byte. What is written later under the name is another file.
    fn pinned(&self, key: &str, etag: &str, start: u64) -> Result<File, StoreError> {
        let mut file = File::open(self.path(key)?).map_err(|e| missing_or(key, e))?;
        let meta = file.metadata().map_err(|e| failed(key, e))?;
        if !meta.is_file() {
            return Err(StoreError::NotFound(key.to_owned()));
        }
        let modified = nanos(meta.modified().map_err(|e| failed(key, e))?);
        if head_of(key, meta.len(), modified).etag != etag {
            return Err(StoreError::Precondition(key.to_owned()));
        }
        file.seek(SeekFrom::Start(start)).map_err(|e| failed(key, e))?;
        Ok(file)
    }

    /// Waits for the lock that replaces and deletes take; it ends with the file.
    fn lock(&self, key: &str) -> Result<File, StoreError> {
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(self.root.join(LOCK));
        open.and_then(|file| file.lock().map(|()| file)).map_err(|e| failed(key, e))
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let owned = key.to_owned();
        self.blocking(key, move |store| store.create(&owned, &bytes)).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        let (owned, etag) = (key.to_owned(), etag.map(str::to_owned));
        self.blocking(key, move |store| match etag {
            None => store.create(&owned, &bytes),
            Some(etag) => store.replace(&owned, &bytes, &etag),
        })
        .await
    }

    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let owned = key.to_owned();
        self.blocking(key, move |store| store.read(&owned, &range)).await
    }

    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        let (owned, etag) = (key.to_owned(), etag.to_owned());
        let file = self.blocking(key, move |store| store.pinned(&owned, &etag, start)).await?;
        let key = key.to_owned();
        let pieces = stream::unfold(Some(tokio::fs::File::from_std(file)), move |file| {
            let key = key.clone();
            async move {
                let mut file = file?;
                let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                match file.read_buf(&mut piece).await {
                    Ok(0) => None,
                    Ok(_) => Some((Ok(piece.freeze()), Some(file))),
                    Err(error) => Some((Err(failed(&key, error)), None)),
                }
            }
        });
        Ok(pieces.boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        let owned = key.to_owned();
        self.blocking(key, move |store| Self::head_at(&owned, &store.path(&owned)?)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        let (owned, after) = (prefix.to_owned(), after.unwrap_or_default().to_owned());
        self.blocking(prefix, move |store| {
            let mut page = Page { prefix: &owned, after: &after, heads: Vec::new() };
            // The prefix may end inside a name: start at its last folder.
            let base = owned.rfind('/').map_or("", |i| &owned[..=i]);
            let folder = match base.strip_suffix('/') {
                Some(key) => store.path(key)?,
                None => store.root.to_path_buf(),
            };
            page.walk(&folder, base)?;
            Ok(page.heads)
        })
        .await
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        if class != CLASS {
            return Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() });
        }
        let is = self.head(key).await?.etag;
        if is == etag { Ok(()) } else { Err(StoreError::Precondition(key.to_owned())) }
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        if with.lock.is_some() {
            return Err(StoreError::Unsupported { key: key.to_owned(), what: "object lock" });
        }
        match with.class {
            None | Some(CLASS) => self.put(key, bytes).await,
            Some(class) => Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() }),
        }
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        let (owned, etag) = (key.to_owned(), etag.to_owned());
        self.blocking(key, move |store| store.delete(&owned, &etag)).await
    }
}

/// One page of a listing while it is gathered.
struct Page<'a> {
    prefix: &'a str,
    after: &'a str,
    heads: Vec<ObjectHead>,
}

impl Page<'_> {
    /// Appends the objects below `folder`, whose keys start with `base`, until the page is full.
    fn walk(&mut self, folder: &Path, base: &str) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let names = self.names(folder, base, cursor.as_deref())?;
            for name in &names {
                if self.heads.len() == LIST_PAGE_MAX {
                    return Ok(());
                }
                let key = format!("{base}{name}");
                let path = folder.join(name);
                if name.ends_with('/') {
                    self.walk(&path, &key)?;
                } else {
                    match LocalStore::head_at(&key, &path) {
                        Ok(head) => self.heads.push(head),
                        // Deleted since the folder was read.
                        Err(StoreError::NotFound(_)) => {}
                        Err(e) => return Err(e),
                    }
                }
            }
            // Fewer names than fit: the folder is done. Otherwise some may have been set aside.
            if names.len() < LIST_PAGE_MAX {
                return Ok(());
            }
            cursor = names.into_iter().next_back();
        }
    }

    /// The first names of a folder after `cursor` that may hold keys of this page, in key order: a
    /// folder's name ends in `/`, which is how its keys sort. At most one page is kept.
    fn names(&self, folder: &Path, base: &str, cursor: Option<&str>) -> Result<BTreeSet<String>, StoreError> {
        let fail = |e| failed(base, e);
        let entries = match fs::read_dir(folder) {
            Err(e) if is_missing(&e) => return Ok(BTreeSet::new()),
            entries => entries.map_err(fail)?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            // Names that are not UTF-8 cannot be keys, and none was put here by this store.
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            let kind = match entry.file_type() {
                Err(e) if is_missing(&e) => continue,
                kind => kind.map_err(fail)?,
            };
            if name.starts_with(RESERVED) || !(kind.is_dir() || kind.is_file()) {
                continue;
            }
            if kind.is_dir() {
                name.push('/');
            }
            if cursor.is_some_and(|c| name.as_str() <= c) || !self.wants(&format!("{base}{name}")) {
                continue;
            }
            names.insert(name);
            if names.len() > LIST_PAGE_MAX {
                names.pop_last();
            }
        }
        Ok(names)
    }

    /// Whether `key`, or any key below it where it ends in `/`, belongs to this page.
    fn wants(&self, key: &str) -> bool {
        if key.ends_with('/') {
            let within = key.starts_with(self.prefix) || self.prefix.starts_with(key);
            within && (key > self.after || self.after.starts_with(key))
        } else {
            key.starts_with(self.prefix) && key > self.after
        }
    }
}

/// The etag is made of size and modification time, which moves forward with every replace.
fn head_of(key: &str, size: u64, modified: u128) -> ObjectHead {
    let etag = format!("{size:x}-{modified:x}");
    ObjectHead::plain(key.to_owned(), size, etag, (modified / 1_000_000) as i64, CLASS)
}

fn sweep(folder: &Path, before: SystemTime) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            removed += sweep(&entry.path(), before)?;
        } else if entry.file_name().to_string_lossy().starts_with(TEMP) {
            match entry.metadata().and_then(|m| m.modified()) {
                Ok(modified) if modified < before => {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
                Err(e) if !is_missing(&e) => return Err(e),
                _ => {}
            }
        }
    }
    Ok(removed)
}

/// A fresh name beside `path` for bytes that are not all there yet.
fn staged(path: &Path) -> PathBuf {
    path.with_file_name(format!("{TEMP}{}", Ulid::new()))
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos())
}

fn is_missing(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn missing_or(key: &str, e: io::Error) -> StoreError {
    if is_missing(&e) { StoreError::NotFound(key.to_owned()) } else { failed(key, e) }
}

fn failed(key: &str, source: io::Error) -> StoreError {
    StoreError::Failed { key: key.to_owned(), source }
}
