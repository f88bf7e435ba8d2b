//! Objects in memory: for tests of what uses a store, and to try things out.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::{LIST_PAGE_MAX, ObjectHead, ObjectStream, PutAs, Restore, Store, StoreError, keys::Keys};

/// The class of a new object.
const CLASS: &str = "STANDARD";
/// The class whose objects cannot be read.
const ARCHIVE_CLASS: &str = "ARCHIVE";
/// Bytes of one piece of a stream.
const PIECE_BYTES: usize = 64 << 10;

/// A store that ends with the process; clones share their objects. It has the classes `STANDARD`
/// and `ARCHIVE`, whose objects cannot be read.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    keys: Keys,
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
}

#[derive(Debug)]
struct Object {
    head: ObjectHead,
    bytes: Bytes,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { keys: Keys::new(""), objects: Arc::default() }
    }
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, StoreError> {
        let objects = self.lock();
        let object =
            objects.get(&self.keys.name(key)?).ok_or_else(|| StoreError::NotFound(key.to_owned()))?;
        if etag.is_some_and(|etag| etag != object.head.etag) {
            return Err(StoreError::Precondition(key.to_owned()));
        }
        if object.head.class == ARCHIVE_CLASS {
            return Err(StoreError::Archived(key.to_owned()));
        }
        Ok(object.bytes.clone())
    }

    /// Changes or removes the version `etag`.
    fn change(
        &self,
        key: &str,
        etag: &str,
        change: impl FnOnce(Object) -> Option<Object>,
    ) -> Result<(), StoreError> {
        let (name, mut objects) = (self.keys.name(key)?, self.lock());
        match objects.remove(&name) {
            None => Err(StoreError::NotFound(key.to_owned())),
            Some(object) if object.head.etag == etag => {
                objects.extend(change(object).map(|object| (name, object)));
                Ok(())
            }
            Some(object) => {
                objects.insert(name, object);
                Err(StoreError::Precondition(key.to_owned()))
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put_if(key, bytes, None).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        let (name, mut objects) = (self.keys.name(key)?, self.lock());
        let old = objects.get(&name).map(|object| object.head.etag.as_str());
        if old != etag {
            return Err(StoreError::Precondition(key.to_owned()));
        }
        let etag = ulid::Ulid::new().to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = ObjectHead::plain(name.clone(), bytes.len() as u64, etag, now.as_millis() as i64, CLASS);
        objects.insert(name, Object { head, bytes });
        Ok(())
    }

    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.get(key, None)?;
        let end = range.end.min(bytes.len() as u64) as usize;
        Ok(bytes.slice(end.min(range.start as usize)..end))
    }

    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        let mut rest = self.get(key, Some(etag))?;
        let _ = rest.split_to(rest.len().min(start as usize));
        let pieces = stream::iter(std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            (!piece.is_empty()).then_some(Ok(piece))
        }));
        Ok(pieces.boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        let objects = self.lock();
        let object = objects.get(&self.keys.name(key)?);
        object.map(|object| object.head.clone()).ok_or_else(|| StoreError::NotFound(key.to_owned()))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        let objects = self.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = objects.range::<str, _>((from, Bound::Unbounded));
        let found = found.take_while(|(name, _)| name.starts_with(prefix)).take(LIST_PAGE_MAX);
        Ok(found.map(|(_, object)| object.head.clone()).collect())
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        if ![CLASS, ARCHIVE_CLASS].contains(&class) {
            return Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() });
        }
        self.change(key, etag, |mut object| {
            class.clone_into(&mut object.head.class);
            object.head.restore = if class == CLASS { Restore::Online } else { Restore::Archived };
            Some(object)
        })
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        let class = with.class.unwrap_or(CLASS);
        if with.lock.is_some() {
            return Err(StoreError::Unsupported { key: key.to_owned(), what: "object lock" });
        }
        if ![CLASS, ARCHIVE_CLASS].contains(&class) {
            return Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() });
        }
        self.put(key, bytes).await?;
        let etag = self.head(key).await?.etag;
        self.set_class(key, &etag, class).await
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        self.change(key, etag, |_| None)
    }
}
