//! The checks: each asks one thing of one place.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use linchpin_config::{Config, FeedFrom, Place, Stores};
use linchpin_ingest::{FileSource, Source};
use linchpin_store::{Counters, ProbeError, Store, StoreError, connect, probe};
use linchpin_tiering::delta;
use ulid::Ulid;

use crate::pipeline::sources::bucket_of;

/// Longest wait for one check.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A clock that differs by more decides wrongly what is due.
const SKEW_MAX: Duration = Duration::from_mins(5);
/// Folder of the objects that a check writes.
const PREFIX: &str = "linchpin-doctor";
/// What a check writes.
const CONTENT: Bytes = Bytes::from_static(b"linchpin doctor\n");

/// What one check of one place found.
#[derive(Debug)]
pub(super) struct Check {
    /// What the configuration uses the place for.
    pub of: String,
    pub place: String,
    pub name: &'static str,
    /// What was seen, or what is wrong.
    pub found: Result<String, Problem>,
}

/// What is wrong and how to mend it.
#[derive(Debug)]
pub(super) struct Problem {
    pub what: String,
    pub hint: String,
}

/// What each check needs to be allowed to do, by cloud.
const RIGHTS: &[(&str, [&str; 3])] = &[
    ("list", ["s3:ListBucket", "Storage Blob Data Reader", "storage.objects.list"]),
    ("read", ["s3:GetObject", "Storage Blob Data Reader", "storage.objects.get"]),
    ("create", ["s3:PutObject", "Storage Blob Data Contributor", "storage.objects.create"]),
    ("promises", ["s3:PutObject", "Storage Blob Data Contributor", "storage.objects.create"]),
    ("tables", ["s3:PutObject", "Storage Blob Data Contributor", "storage.objects.create"]),
    ("delete", ["s3:DeleteObject", "Storage Blob Data Contributor", "storage.objects.delete"]),
];

/// All checks of a configuration, in its order.
pub(super) async fn all(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    let archives = config.archives.value.iter();
    let places = std::iter::once(("lake".to_owned(), &config.lake))
        .chain(archives.map(|(name, place)| (format!("archive {}", name.value), place)));
    for (of, place) in places {
        let mut doctor = Doctor::new(&of, place);
        Box::pin(doctor.written_to(&config.stores, of == "lake")).await;
        checks.append(&mut doctor.checks);
    }
    for feed in &config.feeds.value {
        let of = format!("feed {}", feed.name.value);
        match (&feed.from, feed.from.bucket()) {
            (FeedFrom::Files(folder), _) => {
                let place = Place::Folder(folder.value.0.clone());
                let mut doctor = Doctor::new(&of, &place);
                doctor.folder(&folder.value.0).await;
                checks.append(&mut doctor.checks);
            }
            (from, Some((bucket, prefix))) => {
                let mut doctor = Doctor::new(&of, &bucket);
                Box::pin(doctor.read_from(from, &config.stores, prefix)).await;
                checks.append(&mut doctor.checks);
            }
            _ => {}
        }
    }
    checks
}

/// Checks one place until something that the rest depends on is wrong.
struct Doctor<'a> {
    of: &'a str,
    place: &'a Place,
    checks: Vec<Check>,
}

impl<'a> Doctor<'a> {
    fn new(of: &'a str, place: &'a Place) -> Self {
        Self { of, place, checks: Vec::new() }
    }

    /// Notes what a check found, in words; gives its value if it was well.
    async fn check<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        asked: impl Future<Output = Result<T, E>>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let (found, value) = match tokio::time::timeout(WAIT_MAX, asked).await {
            Ok(Ok(value)) => (Ok(detail(&value)), Some(value)),
            Ok(Err(error)) => (Err(self.problem(name, &error.to_string())), None),
            Err(_) => (Err(self.problem(name, &format!("no answer in {} s", WAIT_MAX.as_secs()))), None),
        };
        self.note(name, found);
        value
    }

    fn note(&mut self, name: &'static str, found: Result<String, Problem>) {
        self.checks.push(Check { of: self.of.to_owned(), place: self.place.to_string(), name, found });
    }

    /// An error may bring its own hint; a cloud's right may be what is missing.
    fn problem(&self, name: &str, error: &str) -> Problem {
        let (what, own) =
            error.split_once("\nhint: ").map_or((error, None), |(what, hint)| (what, Some(hint)));
        let cloud = match self.place {
            Place::Folder(_) => None,
            Place::S3 { .. } => Some((0, "stores.s3")),
            Place::Azure { .. } => Some((1, "stores.azure")),
            Place::Gcs { .. } => Some((2, "stores.gcs")),
        };
        let mut hint = match (own, cloud) {
            (Some(own), _) => own.to_owned(),
            (None, Some((_, key))) => format!("check the network, `{key}` and the credentials"),
            (None, None) => "check that the folder exists, its rights, and the room on its disk".to_owned(),
        };
        if let (Some((at, _)), Some((_, rights))) = (cloud, RIGHTS.iter().find(|(check, _)| *check == name)) {
            hint = format!("{hint}; this check needs `{}`", rights[at]);
        }
        Problem { what: what.to_owned(), hint }
    }

    /// What lake and archives need.
    async fn written_to(&mut self, stores: &Stores, tables: bool) {
        let Some(store) = self.connect(Box::pin(connect(self.place, stores))).await else { return };
        if self.list(&store, "").await.is_none() {
            return;
        }
        let key = format!("{PREFIX}/{}", Ulid::new());
        let before = Timestamp::now();
        if self
            .check("create", store.put(&key, CONTENT), |()| "an object was created".to_owned())
            .await
            .is_none()
        {
            return;
        }
        let between = before.as_millisecond().midpoint(Timestamp::now().as_millisecond());
        self.check("read", read_back(&*store, &key), |()| "it was read back".to_owned()).await;
        self.check("clock", skew(&*store, &key, between), |skew| format!("{skew} s apart")).await;
        self.check("delete", delete(&*store, &key), |()| "it was removed".to_owned()).await;
        let kept = |(): &()| "it refuses to overwrite, and to replace or delete what has changed".to_owned();
        self.check::<(), ProbeError>("promises", probe(&*store), kept).await;
        if tables {
            let committed = async {
                let place = delta::Place::connect(self.place, stores, &Counters::default()).await?;
                delta::probe(&place, PREFIX).await
            };
            // The tables' own client has its own settings and credentials.
            let found = tokio::time::timeout(WAIT_MAX, committed).await;
            let found = match found {
                Ok(Ok(())) => Ok("the tables' client refuses to overwrite".to_owned()),
                Ok(Err(error)) => Err(self.problem("tables", &error.to_string())),
                Err(_) => Err(self.problem("tables", "no answer in time")),
            };
            self.note("tables", found);
        }
    }

    /// What a feed's bucket needs.
    async fn read_from(&mut self, from: &FeedFrom, stores: &Stores, prefix: &str) {
        let connected = Box::pin(async { bucket_of(from, stores).await.unwrap_or_else(|| Err(no_bucket())) });
        let Some(store) = self.connect(connected).await else { return };
        let Some(heads) = self.list(&store, prefix).await else { return };
        let Some(head) = heads.iter().find(|head| head.size > 0) else {
            return;
        };
        let first = store.range(&head.key, 0..1);
        self.check("read", first, |_| format!("`{}` can be read", head.key)).await;
    }

    async fn folder(&mut self, folder: &Path) {
        let listed = async {
            let source = FileSource::new(folder)?;
            source.next(1).await
        };
        let what =
            |found: &Vec<_>| if found.is_empty() { "no files yet" } else { "there are files" }.to_owned();
        let Some(found) = self.check("list", listed, what).await else { return };
        let Some(candidate) = found.first() else { return };
        let opened = async { FileSource::new(folder)?.open(candidate).await };
        self.check("read", opened, |_| format!("`{}` can be read", candidate.key)).await;
    }

    async fn connect(
        &mut self,
        connected: impl Future<Output = Result<Arc<dyn Store>, StoreError>>,
    ) -> Option<Arc<dyn Store>> {
        let place = self.place;
        self.check("connect", connected, |_| place.to_string()).await
    }

    async fn list(
        &mut self,
        store: &Arc<dyn Store>,
        prefix: &str,
    ) -> Option<Vec<linchpin_store::ObjectHead>> {
        let what = |heads: &Vec<_>| match heads.len() {
            0 => "nothing there yet".to_owned(),
            n => format!("{n} keys in the first page"),
        };
        self.check("list", store.list(prefix, None), what).await
    }
}

fn no_bucket() -> StoreError {
    StoreError::Config("the feed names no bucket".to_owned())
}

async fn read_back(store: &dyn Store, key: &str) -> Result<(), StoreError> {
    let read = store.range(key, 0..CONTENT.len() as u64 + 1).await?;
    if read == CONTENT {
        return Ok(());
    }
    let source = std::io::Error::other("other bytes came back than were written");
    Err(StoreError::Failed { key: key.to_owned(), source })
}

/// Seconds between this machine's clock and the store's, by when it says that it wrote the object.
async fn skew(store: &dyn Store, key: &str, written_ms: i64) -> Result<u64, String> {
    let head = store.head(key).await.map_err(|e| e.to_string())?;
    let apart = Duration::from_millis(head.modified_ms.abs_diff(written_ms));
    if apart <= SKEW_MAX {
        return Ok(apart.as_secs());
    }
    Err(format!(
        "the clocks of this machine and of the store are {} s apart\nhint: let the machine's clock follow a time server; retention refuses to delete until then",
        apart.as_secs()
    ))
}

async fn delete(store: &dyn Store, key: &str) -> Result<(), StoreError> {
    let head = store.head(key).await?;
    store.delete_if(key, &head.etag).await
}
