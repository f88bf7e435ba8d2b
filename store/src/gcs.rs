//! Google Cloud Storage by the official SDK: HTTP for the bytes, gRPC for everything else.
//!
//! What the contract rests on, as the vendor documents it:
//! - *Create-only*: `ifGenerationMatch=0`. *Replace* and *delete*: `ifGenerationMatch` with the
//!   generation, which is the etag here; 412 (`FAILED_PRECONDITION`) for the loser.
//! - *Checksum*: the CRC32C of the object goes with it, and the service compares.
//! - *Durable and complete*: strongly consistent; a resumable upload appears when it is finished.
//! - *Listing*: lexicographic order of UTF-8; `lexicographicStart` is inclusive.
//! - *Restore*: none is needed, every class is read in milliseconds.
//! - *Class*: a rewrite, which makes a new generation.
//! - *Lock, hold*: object retention and the temporary hold, by `ifGenerationMatch`. A guarded object can
//!   be neither deleted nor written over, so its class is not changed either.
//! - *Encryption*: the archive's Cloud KMS key on every write and rewrite.
//! - *Throttling*: exponential pauses; the service asks for no `Retry-After`, and the SDK reads none.

use std::{future::Future, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use google_cloud_auth::credentials::{Credentials, anonymous, service_account};
use google_cloud_gax::{
    error::rpc::Code,
    exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder},
    options::RequestOptionsBuilder as _,
    retry_policy::{RetryPolicyArg, RetryPolicyExt as _},
};
use google_cloud_storage::{
    client::{Storage, StorageControl},
    model::{
        Bucket, Object, RewriteObjectRequest, UpdateObjectRequest,
        object::{Retention, retention::Mode},
    },
    model_ext::ReadRange,
    read_resume_policy::NeverResume,
    retry_policy::RetryableErrors,
};
use google_cloud_wkt::{FieldMask, Timestamp};
use linchpin_config::GcsStore as Settings;
use tokio::time::timeout;

use crate::{
    LockMode, ObjectHead, ObjectStream, PART_BYTES, PutAs, Restore, RestoreSpeed, Store, StoreError,
    connect::{endpoint, secret},
    error::chain,
    keys::Keys,
    pages::{self, Answer, Pages, Query, Tokens},
    resume::{collect, resuming},
    retry::{ATTEMPT_TIME_MAX, ATTEMPTS_MAX, CALL_TIME_MAX, PAUSE_FIRST, PAUSE_MAX},
    store::missing_or_changed,
};

/// Storage classes that an object can be moved to.
const CLASSES: &[&str] = &["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"];

/// What stands before the name of a bucket in every request.
const BUCKETS: &str = "projects/_/buckets/";
/// The project that new buckets belong to.
const PROJECT_VARIABLE: &str = "GOOGLE_CLOUD_PROJECT";

/// A bucket.
#[derive(Debug, Clone)]
pub struct GcsStore {
    data: Storage,
    control: StorageControl,
    /// With [`BUCKETS`] before its name.
    bucket: String,
    keys: Keys,
    tokens: Arc<Tokens>,
    /// Cloud KMS key of new objects; the bucket's default when `None`.
    kms: Option<Arc<str>>,
}

impl GcsStore {
    /// The bucket with the service account of the configuration, else with the application default
    /// credentials, else (an endpoint without TLS is a test's) with none.
    pub async fn connect(bucket: &str, prefix: &str, settings: &Settings) -> Result<Self, StoreError> {
        let endpoint = endpoint(settings.endpoint.as_ref())?;
        let credentials = credentials(settings, endpoint.as_deref())?;
        let mut data = Storage::builder()
            .with_retry_policy(retries())
            .with_backoff_policy(pauses())
            .with_read_resume_policy(NeverResume)
            .with_resumable_upload_threshold(PART_BYTES);
        let mut control =
            StorageControl::builder().with_retry_policy(retries()).with_backoff_policy(pauses());
        if let Some(endpoint) = endpoint {
            data = data.with_endpoint(&endpoint);
            control = control.with_endpoint(endpoint);
        }
        if let Some(credentials) = credentials {
            data = data.with_credentials(credentials.clone());
            control = control.with_credentials(credentials);
        }
        let bad = |error: &(dyn std::error::Error + 'static)| StoreError::Config(chain(error));
        Ok(Self {
            data: data.build().await.map_err(|error| bad(&error))?,
            control: control.build().await.map_err(|error| bad(&error))?,
            bucket: format!("{BUCKETS}{bucket}"),
            keys: Keys::new(prefix),
            tokens: Arc::default(),
            kms: None,
        })
    }

    /// The same bucket, whose new objects are encrypted with a Cloud KMS key.
    #[must_use]
    pub fn encrypted(self, key: Option<&str>) -> Self {
        Self { kms: key.map(Arc::from), ..self }
    }

    /// Creates the bucket, unless it is there, in the project that the environment names.
    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        let project = std::env::var(PROJECT_VARIABLE)
            .map_err(|_| StoreError::Config(format!("`{PROJECT_VARIABLE}` is not set")))?;
        let bucket = Bucket::new().set_project(format!("projects/{project}"));
        let id = self.bucket.trim_start_matches(BUCKETS);
        let create =
            self.control.create_bucket().set_parent("projects/_").set_bucket_id(id).set_bucket(bucket);
        match in_time(id, create.with_attempt_timeout(ATTEMPT_TIME_MAX).send()).await {
            Ok(_) | Err(StoreError::Precondition(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes an object over the generation, or over none.
    async fn write(
        &self,
        key: &str,
        bytes: Bytes,
        generation: i64,
        with: PutAs<'_>,
    ) -> Result<(), StoreError> {
        let name = self.keys.name(key)?;
        let mut write = self.data.write_object(&self.bucket, name, bytes).set_if_generation_match(generation);
        if let Some(class) = with.class {
            write = write.set_storage_class(known(key, class)?);
        }
        if let Some((mode, until_ms)) = with.lock {
            write = write.set_retention(retention(key, mode, until_ms)?);
        }
        if let Some(kms) = &self.kms {
            write = write.set_kms_key(&**kms);
        }
        match Box::pin(in_time(key, write.send_unbuffered())).await {
            // Gone is not what the caller saw either.
            Err(StoreError::NotFound(key)) if generation != 0 => Err(StoreError::Precondition(key)),
            answer => answer.map(drop),
        }
    }

    /// Changes fields of an object's metadata, by their names.
    async fn update(&self, key: &str, etag: &str, object: Object, fields: &[&str]) -> Result<(), StoreError> {
        let object = object.set_bucket(&self.bucket).set_name(self.keys.name(key)?);
        let request = UpdateObjectRequest::new()
            .set_object(object)
            .set_if_generation_match(generation(key, etag)?)
            .set_update_mask(FieldMask::default().set_paths(fields.iter().copied()));
        let update = self.control.update_object().with_request(request).with_idempotency(true);
        match in_time(key, update.with_attempt_timeout(ATTEMPT_TIME_MAX).send()).await {
            Err(StoreError::Precondition(key)) => Err(missing_or_changed(self, key).await),
            answer => answer.map(drop),
        }
    }

    async fn read(
        &self,
        key: &str,
        etag: Option<&str>,
        start: u64,
        end: Option<u64>,
    ) -> Result<ObjectStream, StoreError> {
        let (data, bucket, name) = (self.data.clone(), self.bucket.clone(), self.keys.name(key)?);
        let generation = etag.map(|etag| generation(key, etag)).transpose()?;
        let owned = key.to_owned();
        let request = move |from: u64| {
            let mut read = data.read_object(&bucket, &name);
            if let Some(generation) = generation {
                read = read.set_generation(generation);
            }
            match end {
                Some(end) => read = read.set_read_range(ReadRange::segment(from, end.saturating_sub(from))),
                None if from > 0 => read = read.set_read_range(ReadRange::offset(from)),
                None => {}
            }
            let key = owned.clone();
            Box::pin(async move {
                let sent = timeout(ATTEMPT_TIME_MAX * ATTEMPTS_MAX, read.send()).await;
                match sent.map_err(|_| StoreError::failed(&key, "no answer in time"))? {
                    Ok(got) => Ok(got.into_stream().map_err(std::io::Error::other).boxed()),
                    Err(error) if error.http_status_code() == Some(416) => Ok(stream::empty().boxed()),
                    Err(error) => Err(fault(&key, &error)),
                }
            }) as _
        };
        resuming(key, start, Box::new(request)).await
    }
}

#[async_trait]
impl Store for GcsStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.write(key, bytes, 0, PutAs::default()).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        let generation = etag.map_or(Ok(0), |etag| generation(key, etag))?;
        self.write(key, bytes, generation, PutAs::default()).await
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        self.write(key, bytes, 0, with).await
    }

    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let stream = self.read(key, None, range.start, Some(range.end)).await?;
        collect(stream, range.end - range.start).await
    }

    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        self.read(key, Some(etag), start, None).await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        let get = self.control.get_object().set_bucket(&self.bucket).set_object(self.keys.name(key)?);
        let object = in_time(key, get.with_attempt_timeout(ATTEMPT_TIME_MAX).send()).await?;
        Ok(of_object(key.to_owned(), &object))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        pages::list(self, &self.tokens, &self.keys, prefix, after).await
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        let class = known(key, class)?;
        let (name, generation) = (self.keys.name(key)?, generation(key, etag)?);
        let mut request = RewriteObjectRequest::new()
            .set_source_bucket(&self.bucket)
            .set_source_object(&name)
            .set_if_source_generation_match(generation)
            .set_destination_bucket(&self.bucket)
            .set_destination_name(&name)
            .set_destination(Object::new().set_storage_class(class))
            .set_if_generation_match(generation);
        if let Some(kms) = &self.kms {
            request = request.set_destination_kms_key(&**kms);
        }
        // A large object takes several calls, each with the token of the one before.
        loop {
            let rewrite = self.control.rewrite_object().with_request(request.clone()).with_idempotency(true);
            let answer = in_time(key, rewrite.with_attempt_timeout(ATTEMPT_TIME_MAX).send()).await?;
            if answer.done {
                return Ok(());
            }
            request = request.set_rewrite_token(answer.rewrite_token);
        }
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        let delete = self.control.delete_object().set_bucket(&self.bucket).set_object(self.keys.name(key)?);
        let delete = delete.set_if_generation_match(generation(key, etag)?).with_idempotency(true);
        match in_time(key, delete.with_attempt_timeout(ATTEMPT_TIME_MAX).send()).await {
            Err(StoreError::Precondition(key)) => Err(missing_or_changed(self, key).await),
            answer => answer,
        }
    }

    async fn restore(&self, key: &str, etag: &str, _: RestoreSpeed, _: u32) -> Result<Restore, StoreError> {
        let is = self.head(key).await?.etag;
        if is == etag { Ok(Restore::Online) } else { Err(StoreError::Precondition(key.to_owned())) }
    }

    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        let object = Object::new().set_retention(retention(key, mode, until_ms)?);
        self.update(key, etag, object, &["retention"]).await
    }

    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        self.update(key, etag, Object::new().set_temporary_hold(on), &["temporary_hold"]).await
    }

    fn put_requests(&self, bytes: u64) -> u64 {
        // A resumable upload is begun by a request of its own.
        if bytes >= PART_BYTES as u64 { 2 } else { 1 }
    }
}

#[async_trait]
impl Pages for GcsStore {
    async fn page(&self, query: Query<'_>) -> Result<Answer, StoreError> {
        let list = self.control.list_objects().set_parent(&self.bucket).set_prefix(query.prefix);
        let list = list.set_page_size(i32::try_from(query.size).unwrap_or(i32::MAX));
        let list = list.set_lexicographic_start(query.start.unwrap_or_default());
        let list = list.set_page_token(query.token.unwrap_or_default());
        let got = in_time(query.prefix, list.with_attempt_timeout(ATTEMPT_TIME_MAX).send()).await?;
        Ok(Answer {
            heads: got.objects.iter().map(|object| of_object(object.name.clone(), object)).collect(),
            token: Some(got.next_page_token).filter(|token| !token.is_empty()),
        })
    }
}

fn credentials(settings: &Settings, endpoint: Option<&str>) -> Result<Option<Credentials>, StoreError> {
    let bad = |why: String| StoreError::Config(format!("`stores.gcs.service_account`: {why}"));
    if let Some(key) = secret(settings.service_account.as_ref())? {
        let key = serde_json::from_str(key.expose()).map_err(|_| bad("is not JSON".to_owned()))?;
        let built = service_account::Builder::new(key).build();
        return built.map(Some).map_err(|error| bad(chain(&error)));
    }
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    Ok(plain.then(|| anonymous::Builder::new().build()))
}

fn retries() -> RetryPolicyArg {
    RetryableErrors.with_attempt_limit(ATTEMPTS_MAX).with_time_limit(CALL_TIME_MAX).into()
}

/// The SDK draws each pause between nothing and the bound: full jitter.
fn pauses() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new().with_initial_delay(PAUSE_FIRST).with_maximum_delay(PAUSE_MAX).clamp()
}

async fn in_time<T>(
    key: &str,
    call: impl Future<Output = google_cloud_storage::Result<T>> + Send,
) -> Result<T, StoreError> {
    match timeout(CALL_TIME_MAX, call).await {
        Ok(answer) => answer.map_err(|error| fault(key, &error)),
        Err(_) => Err(StoreError::failed(key, "no answer in time")),
    }
}

/// An etag of this store is a generation; another text is not the version that is there.
fn generation(key: &str, etag: &str) -> Result<i64, StoreError> {
    let generation = etag.parse().ok().filter(|generation| *generation > 0);
    generation.ok_or_else(|| StoreError::Precondition(key.to_owned()))
}

fn known<'c>(key: &str, class: &'c str) -> Result<&'c str, StoreError> {
    let unknown = || StoreError::NoClass { key: key.to_owned(), class: class.to_owned() };
    CLASSES.contains(&class).then_some(class).ok_or_else(unknown)
}

fn retention(key: &str, mode: LockMode, until_ms: i64) -> Result<Retention, StoreError> {
    let until =
        Timestamp::new(until_ms.div_euclid(1000), 0).map_err(|error| StoreError::failed(key, error))?;
    let mode = match mode {
        LockMode::Governance => Mode::Unlocked,
        LockMode::Compliance => Mode::Locked,
    };
    Ok(Retention::new().set_mode(mode).set_retain_until_time(until))
}

fn of_object(key: String, object: &Object) -> ObjectHead {
    let generation = object.generation.to_string();
    let modified = object.update_time.as_ref().or(object.create_time.as_ref());
    ObjectHead {
        key,
        size: object.size.unsigned_abs(),
        etag: generation.clone(),
        identity: generation,
        modified_ms: modified.map_or(0, |t| t.seconds() * 1000 + i64::from(t.nanos()) / 1_000_000),
        class: object.storage_class.clone(),
        restore: Restore::Online,
        locked_until_ms: object
            .retention
            .as_ref()
            .and_then(|retention| retention.retain_until_time)
            .map(|until| until.seconds() * 1000),
        held: object.temporary_hold || object.event_based_hold == Some(true),
        encryption: Some(object.kms_key.clone()).filter(|key| !key.is_empty()),
    }
}

fn fault(key: &str, error: &google_cloud_storage::Error) -> StoreError {
    let status = error.http_status_code().or_else(|| {
        Some(match error.status()?.code {
            Code::NotFound => 404,
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => 412,
            Code::Unauthenticated => 401,
            Code::PermissionDenied => 403,
            Code::ResourceExhausted => 429,
            Code::Unavailable => 503,
            _ => return None,
        })
    });
    let status = if error.is_authentication() { Some(401) } else { status };
    let why = chain(error);
    if status == Some(404) && why.contains("bucket does not exist") {
        return StoreError::Config(why);
    }
    let guarded = ["retention", "hold"].iter().any(|guard| why.to_ascii_lowercase().contains(guard));
    if status == Some(403) && guarded {
        return StoreError::Locked { key: key.to_owned(), why };
    }
    StoreError::of_status(key, status, why)
}

#[cfg(test)]
mod tests {
    use linchpin_config::{Place, Stores};

    use crate::{
        contract::{Lane, check_bucket, new_bucket, server, stores},
        weather::{WaitsAsAsked, check_weather},
    };

    fn at(endpoint: &str) -> Stores {
        stores(&format!("gcs: {{ endpoint: \"{endpoint}\" }}"))
    }

    fn place(bucket: String, prefix: String) -> Place {
        Place::Gcs { bucket, prefix }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_tests_own_server_keeps_the_contract() {
        let lane = Lane { online: Some("ARCHIVE"), holds: true, ..Lane::default() };
        check_bucket(place, &at(&server("LINCHPIN_TEST_GCS")), lane).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn throttles_and_broken_connections_are_survived() {
        let place = place(new_bucket(), "w".to_owned());
        check_weather(&server("LINCHPIN_TEST_GCS"), &place, at, WaitsAsAsked(false)).await;
    }
}
