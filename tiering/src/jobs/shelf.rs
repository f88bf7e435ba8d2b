//! Jobs in the lake: `jobs/<id>.json` is a job's state, replaced only by who has read the last
//! version; what belongs to it lies below `jobs/<id>/`.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use bytes::Bytes;
use linchpin_store::{LIST_PAGE_MAX, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Job, JobError};
use crate::Lake;

/// Folder of jobs in the lake.
const FOLDER: &str = "jobs";
/// Most bytes of a job's state.
const JOB_BYTES_MAX: u64 = 256 << 20;
/// Most bytes that what belongs to a job may inflate to, object by object.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Compression of what belongs to a job.
const ZSTD_LEVEL: i32 = 3;

/// Which events of a segment a job brings back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Known ones: (row in the segment, row of the event), ascending.
    pub rows: Vec<(u32, u32)>,
    /// Whether the segment also holds events of days whose hot rows have expired, which are found by
    /// asking every event.
    pub scan: bool,
}

/// Which events a job brings back, by segment. Written once, as it may be large.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// By id of the segment.
    pub segments: BTreeMap<String, Wanted>,
}

/// A job as it was read, to be replaced.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its state.
    pub job: Job,
    etag: String,
}

/// The jobs of a lake.
#[derive(Debug, Clone)]
pub struct Jobs {
    store: Arc<dyn Store>,
}

impl Jobs {
    /// Those of a lake.
    pub fn of(lake: &Lake) -> Self {
        Self { store: Arc::clone(lake.root()) }
    }

    /// Puts a new job into the lake, the list of its events first.
    pub async fn create(&self, job: Job, work: &Work) -> Result<Held, JobError> {
        let json = serde_json::to_vec(work).map_err(|e| damaged(&job.id, &e))?;
        let packed = zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(|e| damaged(&job.id, &e))?;
        self.store.put(&work_key(&job.id), packed.into()).await?;
        let bytes = encode(&job)?;
        self.store.put(&job_key(&job.id), bytes).await?;
        self.load(&job.id).await
    }

    /// The job with that id.
    pub async fn load(&self, id: &str) -> Result<Held, JobError> {
        self.read(id).await?.ok_or_else(|| JobError::NoJob(id.to_owned()))
    }

    async fn read(&self, id: &str) -> Result<Option<Held>, JobError> {
        let key = job_key(id);
        let head = match self.store.head(&key).await {
            Ok(head) => head,
            Err(StoreError::NotFound(_) | StoreError::BadKey(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = self.store.range(&key, 0..head.size.min(JOB_BYTES_MAX)).await?;
        let job = serde_json::from_slice(&bytes).map_err(|e| damaged(id, &e))?;
        Ok(Some(Held { job, etag: head.etag }))
    }

    /// All jobs, oldest first.
    pub async fn list(&self) -> Result<Vec<Job>, JobError> {
        let mut jobs = Vec::new();
        for id in self.ids().await? {
            jobs.extend(self.read(&id).await?.map(|held| held.job));
        }
        Ok(jobs)
    }

    /// Ids of all jobs, oldest first.
    pub async fn ids(&self) -> Result<Vec<String>, JobError> {
        let mut ids = Vec::new();
        let prefix = format!("{FOLDER}/");
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(&prefix, after.as_deref()).await?;
            for head in &page {
                let id = head.key.strip_prefix(&prefix).and_then(|name| name.strip_suffix(".json"));
                ids.extend(id.filter(|id| !id.contains('/')).map(str::to_owned));
            }
            match page.last() {
                Some(last) if page.len() == LIST_PAGE_MAX => after = Some(last.key.clone()),
                _ => return Ok(ids),
            }
        }
    }

    /// Replaces a job, if nobody else has since it was read: [`JobError::Taken`] says that somebody has.
    pub async fn save(&self, held: &mut Held, now_ms: i64) -> Result<(), JobError> {
        held.job.revision += 1;
        held.job.updated_ms = now_ms;
        let key = job_key(&held.job.id);
        let bytes = encode(&held.job)?;
        let taken = || JobError::Taken(held.job.id.clone());
        match self.store.put_if(&key, bytes.clone(), Some(&held.etag)).await {
            // An answer may have been lost and the request repeated: what lies there tells.
            Ok(()) | Err(StoreError::Precondition(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // A version is written once, so when the read shows it, the etag from before the read is its own.
        let head = self.store.head(&key).await?;
        if head.size != bytes.len() as u64 || self.store.range(&key, 0..head.size).await? != bytes {
            return Err(taken());
        }
        held.etag = head.etag;
        Ok(())
    }

    /// Changes a job that others may be changing as well.
    pub async fn change(
        &self,
        id: &str,
        now_ms: i64,
        change: impl Fn(&mut Job) -> Result<(), JobError>,
    ) -> Result<Job, JobError> {
        /// Other writers that one change gives way to.
        const TRIES_MAX: u32 = 20;
        for _ in 1..TRIES_MAX {
            let mut held = self.load(id).await?;
            change(&mut held.job)?;
            match self.save(&mut held, now_ms).await {
                Err(JobError::Taken(_)) => {}
                other => return other.map(|()| held.job),
            }
        }
        Err(JobError::Taken(id.to_owned()))
    }

    /// Which events a job brings back.
    pub async fn work(&self, id: &str) -> Result<Work, JobError> {
        let json = self.unpacked(id, &work_key(id)).await?;
        serde_json::from_slice(&json).map_err(|e| damaged(id, &e))
    }

    /// Keeps the `chunk`-th piece of what a part gave, in place of what an earlier try left there.
    pub async fn stage(&self, id: &str, part: u32, chunk: u32, bytes: &[u8]) -> Result<(), JobError> {
        let key = stage_key(id, part, chunk);
        let packed: Bytes = zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(|e| damaged(id, &e))?.into();
        match self.store.put(&key, packed.clone()).await {
            Err(StoreError::Precondition(_)) => {}
            other => return Ok(other?),
        }
        let etag = self.store.head(&key).await?.etag;
        Ok(self.store.put_if(&key, packed, Some(&etag)).await?)
    }

    /// A piece that was kept; `None` after the last.
    pub async fn staged(&self, id: &str, part: u32, chunk: u32) -> Result<Option<Vec<u8>>, JobError> {
        match self.unpacked(id, &stage_key(id, part, chunk)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(JobError::Store(StoreError::NotFound(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn unpacked(&self, id: &str, key: &str) -> Result<Vec<u8>, JobError> {
        let size = self.store.head(key).await?.size;
        let packed = self.store.range(key, 0..size).await?;
        let decoder = zstd::stream::read::Decoder::new(&*packed).map_err(|e| damaged(id, &e))?;
        let mut bytes = Vec::new();
        decoder.take(UNPACKED_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| damaged(id, &e))?;
        Ok(bytes)
    }

    /// Keeps what an output refused for good of a piece, one JSON object a line, under `dead/`.
    pub async fn refused(&self, id: &str, part: u32, chunk: u32, lines: Bytes) -> Result<(), JobError> {
        match self.store.put(&format!("dead/jobs/{id}-{part:06}-{chunk:06}.ndjson"), lines).await {
            // The same piece was refused before: its letters are there.
            Ok(()) | Err(StoreError::Precondition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what belongs to a job, but for its state.
    pub async fn clear(&self, id: &str) -> Result<(), JobError> {
        let prefix = format!("{FOLDER}/{id}/");
        loop {
            let page = self.store.list(&prefix, None).await?;
            for head in &page {
                match self.store.delete_if(&head.key, &head.etag).await {
                    Ok(()) | Err(StoreError::NotFound(_) | StoreError::Precondition(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if page.len() < LIST_PAGE_MAX {
                return Ok(());
            }
        }
    }
}

fn encode(job: &Job) -> Result<Bytes, JobError> {
    serde_json::to_vec(job).map(Bytes::from).map_err(|e| damaged(&job.id, &e))
}

fn damaged(id: &str, why: &impl ToString) -> JobError {
    JobError::Damaged { id: id.to_owned(), why: why.to_string() }
}

fn job_key(id: &str) -> String {
    format!("{FOLDER}/{id}.json")
}

fn work_key(id: &str) -> String {
    format!("{FOLDER}/{id}/work.json.zst")
}

fn stage_key(id: &str, part: u32, chunk: u32) -> String {
    format!("{FOLDER}/{id}/{part:06}-{chunk:06}.zst")
}
