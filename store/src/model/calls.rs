//! The trait's calls.

use std::ops::{Bound, Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

use super::{
    Cloud, DAY_MS, ModelStore, PIECE_BYTES, Request, Restoring, Stay, faults::Fate, guard, move_stay,
};
use crate::{
    LIST_PAGE_MAX, LockMode, ObjectHead, ObjectStream, PutAs, Restore, RestoreSpeed, Store, StoreError,
    store::parts,
};

#[async_trait]
impl Store for ModelStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put_as(key, bytes, PutAs::default()).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        self.call(key, Request::Put, |bucket, name| {
            self.create(bucket, name, bytes, etag, self.cloud.first(), None)
        })
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        let class = with.class.map_or(Ok(self.cloud.first()), |class| self.class(key, class))?;
        self.call(key, Request::Put, |bucket, name| self.create(bucket, name, bytes, None, class, with.lock))
    }

    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.call(key, Request::Get, |bucket, name| {
            let (bytes, class) = self.readable(bucket, name, None)?;
            let end = range.end.min(bytes.len() as u64) as usize;
            let part = bytes.slice(end.min(range.start as usize)..end);
            bucket.usage.count(Request::Get, class.name, 0, part.len() as u64 * self.scale);
            match bucket.weather.tear(part.len()) {
                // What a client of a range sees of it: fewer bytes, and an error.
                Some(_) => Err(StoreError::failed(key, "the body broke")),
                None => Ok(part),
            }
        })
    }

    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        let (mut rest, tear) = self.call(key, Request::Get, |bucket, name| {
            let (mut bytes, class) = self.readable(bucket, name, Some(etag))?;
            let _ = bytes.split_to(bytes.len().min(start as usize));
            bucket.usage.count(Request::Get, class.name, 0, bytes.len() as u64 * self.scale);
            let tear = bucket.weather.tear(bytes.len());
            Ok((bytes, tear))
        })?;
        let broken = tear.map(|at| {
            rest.truncate(at);
            Err(StoreError::failed(key, "the body broke"))
        });
        let pieces = stream::iter(std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            (!piece.is_empty()).then_some(Ok(piece))
        }));
        Ok(pieces.chain(stream::iter(broken)).boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        self.call(key, Request::Get, |bucket, name| match bucket.objects.get(name) {
            Some(object) => Ok(self.head_of(name, object)),
            None => Err(StoreError::NotFound(name.to_owned())),
        })
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        let mut bucket = self.lock();
        bucket.usage.count(Request::List, self.cloud.first().name, 1, 0);
        if bucket.weather.fate() != Fate::Done {
            return Err(StoreError::Throttled {
                key: prefix.to_owned(),
                why: "the model's weather".to_owned(),
            });
        }
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = bucket.objects.range::<str, _>((from, Bound::Unbounded));
        let found = found.take_while(|(name, _)| name.starts_with(prefix)).take(LIST_PAGE_MAX);
        Ok(found.map(|(name, object)| self.head_of(name, object)).collect())
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        let class = self.class(key, class)?;
        let now_ms = self.clock.now_ms();
        self.call(key, Request::Move, |bucket, name| {
            bucket.usage.count(Request::Move, class.name, 1, 0);
            let object = bucket.version(name, etag)?;
            if object.class.name == class.name {
                return Ok(());
            }
            let (stay, bytes) = (object.stay, object.bytes.len() as u64 * self.scale);
            if !self.restore_of(bucket.version(name, etag)?).is_readable() {
                return Err(StoreError::Archived(name.to_owned()));
            }
            let object = bucket.version(name, etag)?;
            let from = object.class;
            let mut ends_ms = now_ms;
            match self.cloud {
                Cloud::Azure => {}
                Cloud::Gcs => guard(name, object, now_ms)?,
                // A new version, without the guards of the old one, which stays as long as it must.
                Cloud::S3 => {
                    if object.held {
                        guard(name, object, now_ms)?;
                    }
                    let lock = object.lock.take();
                    ends_ms = lock.map_or(now_ms, |(_, until)| until.max(now_ms));
                }
            }
            object.class = class;
            object.restore = None;
            if self.cloud != Cloud::Azure {
                object.modified_ms = now_ms;
                bucket.usage.count(Request::Get, from.name, 0, bytes);
            }
            let moved = move_stay(&mut bucket.usage, stay, class, now_ms);
            bucket.usage.stays[stay].to_ms = Some(ends_ms);
            let etag_now = (!self.cloud.keeps_etag()).then(|| bucket.next_etag());
            let object = bucket.version(name, etag)?;
            object.stay = moved;
            if let Some(etag) = etag_now {
                object.etag = etag;
            }
            Ok(())
        })
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        self.call(key, Request::Delete, |bucket, name| {
            guard(name, bucket.version(name, etag)?, now_ms)?;
            if let Some(object) = bucket.objects.remove(name) {
                bucket.usage.stays[object.stay].to_ms = Some(now_ms);
            }
            Ok(())
        })
    }

    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        let now_ms = self.clock.now_ms();
        self.call(key, Request::Restore(speed), |bucket, name| {
            let state = {
                let object = bucket.version(name, etag)?;
                self.restore_of(object)
            };
            let scale = self.scale;
            let until = |ready_ms: i64| self.ends(ready_ms + i64::from(days) * DAY_MS);
            match state {
                Restore::Online => Ok(Restore::Online),
                Restore::InProgress => Err(StoreError::RestoreInProgress(name.to_owned())),
                Restore::Until(_) => {
                    let object = bucket.version(name, etag)?;
                    let until_ms = until(now_ms);
                    if let Some(restoring) = &mut object.restore {
                        restoring.until_ms = until_ms;
                        let stay = restoring.stay;
                        bucket.usage.stays[stay].to_ms = Some(until_ms);
                    }
                    Ok(Restore::Until(until_ms))
                }
                Restore::Archived => {
                    let has_expedited = bucket.weather.has_expedited();
                    let object = bucket.version(name, etag)?;
                    let delay = object.class.archive.and_then(|delays| delays.of(speed));
                    let delay = delay.filter(|_| speed != RestoreSpeed::Expedited || has_expedited);
                    let delay = delay.ok_or_else(|| StoreError::NoExpedited(name.to_owned()))?;
                    let ready_ms = now_ms + i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                    object.restore = Some(Restoring { ready_ms, until_ms: until(ready_ms), stay: 0 });
                    let (class, bytes) = (object.class, object.bytes.len() as u64 * scale);
                    bucket.usage.count(Request::Restore(speed), class.name, 0, bytes);
                    let (class, to_ms) = (self.cloud.first().name, Some(until(ready_ms)));
                    let copy = Stay { class, bytes, from_ms: ready_ms, to_ms, restored_copy: true };
                    let stay = bucket.usage.stays.len();
                    bucket.usage.stays.push(copy);
                    if let Some(restoring) = &mut bucket.version(name, etag)?.restore {
                        restoring.stay = stay;
                    }
                    Ok(Restore::InProgress)
                }
            }
        })
    }

    async fn release(&self, key: &str) -> Result<(), StoreError> {
        if self.cloud == Cloud::S3 {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.call(key, Request::Delete, |bucket, name| {
            let object = bucket.objects.get_mut(name).ok_or_else(|| StoreError::NotFound(name.to_owned()))?;
            let gone = object.restore.take_if(|restoring| restoring.ready_ms <= now_ms);
            if let Some(Restoring { stay, .. }) = gone {
                let stay = &mut bucket.usage.stays[stay];
                stay.to_ms = stay.to_ms.min(Some(now_ms));
            }
            Ok(())
        })
    }

    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        self.call(key, Request::List, |bucket, name| {
            let object = bucket.version(name, etag)?;
            if object.lock.is_some_and(|(_, is)| is > now_ms && is > until_ms) {
                return Err(StoreError::Locked {
                    key: name.to_owned(),
                    why: "its retention would be shorter".to_owned(),
                });
            }
            object.lock = Some((mode, until_ms));
            Ok(())
        })
    }

    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        self.call(key, Request::List, |bucket, name| {
            bucket.version(name, etag)?.held = on;
            Ok(())
        })
    }

    fn put_requests(&self, bytes: u64) -> u64 {
        let parts = parts(bytes);
        match self.cloud {
            Cloud::S3 => parts + if parts > 1 { 2 } else { 0 },
            Cloud::Azure => parts + u64::from(parts > 1),
            Cloud::Gcs => parts.min(2),
        }
    }
}
