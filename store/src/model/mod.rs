//! A model of S3, Azure Blob Storage and Google Cloud Storage: the same trait, in memory and on a
//! clock that passes only when told.
//!
//! It keeps the contract of the real ones (its tests run the same suite) and knows what emulators lack:
//! restores that take their hours and end again, locks and legal holds, throttling, torn bodies, lost
//! requests and lost answers. And it writes down what a provider would: every request, and how long
//! every object lay in which class ([`Usage`]). Prices are not known here.
//!
//! Where the clouds differ, it does as each does: S3 writes an object again to change its class and
//! keeps the old version for as long as it is locked, GCS refuses to write a guarded object again,
//! Azure moves it in place; S3 and Azure restore a copy beside the object (that of S3 goes by itself, at
//! a midnight), GCS needs no restore.

mod bill;
mod calls;
mod clock;
mod clouds;
mod faults;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use clouds::Class;
use faults::{Fate, Weather};

pub use bill::{Request, Requests, Stay, Usage};
pub use clock::VirtualClock;
pub use clouds::Cloud;
pub use faults::Faults;

use crate::{LockMode, ObjectHead, Restore, Store, StoreError, keys::Keys};

/// Bytes of one piece of a stream.
const PIECE_BYTES: usize = 64 << 10;
const DAY_MS: i64 = 24 * 3_600_000;

/// A bucket of one cloud; clones share it.
#[derive(Debug, Clone)]
pub struct ModelStore {
    cloud: Cloud,
    clock: VirtualClock,
    keys: Keys,
    /// Bytes on the bill for one byte here.
    scale: u64,
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    usage: Usage,
    weather: Weather,
    generation: u64,
}

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    etag: String,
    created_ms: i64,
    modified_ms: i64,
    class: &'static Class,
    /// Its stay in the class, in the bill.
    stay: usize,
    restore: Option<Restoring>,
    lock: Option<(LockMode, i64)>,
    held: bool,
}

/// A restore that was asked for.
#[derive(Debug, Clone, Copy)]
struct Restoring {
    /// When it can be read.
    ready_ms: i64,
    /// When it no longer can.
    until_ms: i64,
    /// The copy's stay, in the bill.
    stay: usize,
}

impl ModelStore {
    /// An empty bucket in good weather.
    pub fn new(cloud: Cloud, clock: VirtualClock) -> Self {
        let bucket = Bucket {
            objects: BTreeMap::new(),
            usage: Usage::default(),
            weather: Weather::new(Faults::default()),
            generation: 0,
        };
        Self { cloud, clock, keys: Keys::new(""), scale: 1, bucket: Arc::new(Mutex::new(bucket)) }
    }

    /// The same bucket, where each byte stands for `scale` bytes on the bill.
    #[must_use]
    pub fn scaled(self, scale: u64) -> Self {
        Self { scale, ..self }
    }

    /// Changes the weather, for all clones.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().weather = Weather::new(faults);
    }

    /// Which cloud it is a model of.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// An object's bytes and class, whatever the weather and without a request: for checks.
    pub fn peek(&self, key: &str) -> Option<(Bytes, &'static str)> {
        let bucket = self.lock();
        let object = bucket.objects.get(&self.keys.name(key).ok()?)?;
        Some((object.bytes.clone(), object.class.name))
    }

    /// What was used so far.
    pub fn usage(&self) -> Usage {
        self.lock().usage.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request about `key` and does it, if the weather lets it through.
    fn call<T>(
        &self,
        key: &str,
        request: Request,
        work: impl FnOnce(&mut Bucket, &str) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (name, mut bucket) = (self.keys.name(key)?, self.lock());
        let lost =
            || StoreError::Failed { key: key.to_owned(), source: io::ErrorKind::ConnectionReset.into() };
        let fate = bucket.weather.fate();
        if fate == Fate::Unsent {
            return Err(lost());
        }
        let class = bucket.objects.get(&name).map_or(self.cloud.first(), |object| object.class);
        if !matches!(request, Request::Put | Request::Move) {
            bucket.usage.count(request, class.name, 1, 0);
        }
        if fate == Fate::Throttled {
            return Err(StoreError::Throttled { key: key.to_owned(), why: "the model's weather".to_owned() });
        }
        let answer = work(&mut bucket, &name);
        if fate == Fate::Unanswered { Err(lost()) } else { answer }
    }

    fn readable(
        &self,
        bucket: &Bucket,
        name: &str,
        etag: Option<&str>,
    ) -> Result<(Bytes, &'static Class), StoreError> {
        let object = bucket.objects.get(name).ok_or_else(|| StoreError::NotFound(name.to_owned()))?;
        if etag.is_some_and(|etag| etag != object.etag) {
            return Err(StoreError::Precondition(name.to_owned()));
        }
        if !self.restore_of(object).is_readable() {
            return Err(StoreError::Archived(name.to_owned()));
        }
        Ok((object.bytes.clone(), object.class))
    }

    fn restore_of(&self, object: &Object) -> Restore {
        if object.class.archive.is_none() {
            return Restore::Online;
        }
        let now_ms = self.clock.now_ms();
        match object.restore {
            Some(restoring) if now_ms < restoring.ready_ms => Restore::InProgress,
            Some(restoring) if now_ms < restoring.until_ms => Restore::Until(restoring.until_ms),
            _ => Restore::Archived,
        }
    }

    fn head_of(&self, name: &str, object: &Object) -> ObjectHead {
        let identity = match self.cloud {
            Cloud::Azure => object.created_ms.to_string(),
            Cloud::S3 | Cloud::Gcs => object.etag.clone(),
        };
        ObjectHead {
            identity,
            restore: self.restore_of(object),
            locked_until_ms: object.lock.map(|(_, until)| until),
            held: object.held,
            ..ObjectHead::plain(
                name.to_owned(),
                object.bytes.len() as u64,
                object.etag.clone(),
                object.modified_ms,
                object.class.name,
            )
        }
    }

    fn create(
        &self,
        bucket: &mut Bucket,
        name: &str,
        bytes: Bytes,
        etag: Option<&str>,
        class: &'static Class,
        lock: Option<(LockMode, i64)>,
    ) -> Result<(), StoreError> {
        let (now_ms, size) = (self.clock.now_ms(), bytes.len() as u64 * self.scale);
        // The request that makes the object is billed with its class, those for its parts are not.
        bucket.usage.count(Request::Put, class.name, 1, 0);
        bucket.usage.count(Request::Put, self.cloud.first().name, self.put_requests(size) - 1, 0);
        let old = bucket.objects.get(name);
        if old.map(|object| object.etag.as_str()) != etag {
            return Err(StoreError::Precondition(name.to_owned()));
        }
        if let Some(object) = old {
            guard(name, object, now_ms)?;
        }
        let created_ms = old.map_or(now_ms, |object| object.created_ms);
        if let Some(old) = bucket.objects.remove(name) {
            bucket.usage.stays[old.stay].to_ms = Some(now_ms);
        }
        let object = Object {
            etag: bucket.next_etag(),
            created_ms,
            modified_ms: now_ms,
            class,
            stay: bucket.usage.stays.len(),
            restore: None,
            lock,
            held: false,
            bytes,
        };
        bucket.usage.stays.push(Stay {
            class: class.name,
            bytes: object.bytes.len() as u64 * self.scale,
            from_ms: now_ms,
            to_ms: None,
            restored_copy: false,
        });
        bucket.objects.insert(name.to_owned(), object);
        Ok(())
    }

    /// When a restored copy that is wanted until a time goes: with S3, at the midnight (UTC) after it.
    fn ends(&self, ms: i64) -> i64 {
        if self.cloud == Cloud::S3 { (ms.div_euclid(DAY_MS) + 1) * DAY_MS } else { ms }
    }

    fn class(&self, key: &str, class: &str) -> Result<&'static Class, StoreError> {
        let unknown = || StoreError::NoClass { key: key.to_owned(), class: class.to_owned() };
        self.cloud.class(class).ok_or_else(unknown)
    }
}

impl Bucket {
    fn next_etag(&mut self) -> String {
        self.generation += 1;
        // Of digits only, as a generation is; never the same again.
        (1_000_000 + self.generation).to_string()
    }

    /// The version `etag` of an object.
    fn version(&mut self, name: &str, etag: &str) -> Result<&mut Object, StoreError> {
        match self.objects.get_mut(name) {
            None => Err(StoreError::NotFound(name.to_owned())),
            Some(object) if object.etag == etag => Ok(object),
            Some(_) => Err(StoreError::Precondition(name.to_owned())),
        }
    }
}

/// Refuses what would remove a guarded object.
fn guard(name: &str, object: &Object, now_ms: i64) -> Result<(), StoreError> {
    let locked = object.lock.is_some_and(|(_, until)| until > now_ms);
    let why = match (object.held, locked) {
        (true, _) => "a legal hold is on it",
        (false, true) => "its retention is not over",
        (false, false) => return Ok(()),
    };
    Err(StoreError::Locked { key: name.to_owned(), why: why.to_owned() })
}

/// Ends a stay and begins another of the same bytes; gives its index.
fn move_stay(usage: &mut Usage, stay: usize, class: &'static Class, at_ms: i64) -> usize {
    usage.stays[stay].to_ms = Some(at_ms);
    let bytes = usage.stays[stay].bytes;
    usage.stays.push(Stay { class: class.name, bytes, from_ms: at_ms, to_ms: None, restored_copy: false });
    usage.stays.len() - 1
}
