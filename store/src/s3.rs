//! S3, and what speaks its protocol, by the official SDK.
//!
//! What the contract rests on, as the vendor documents it:
//! - *Create-only*: `If-None-Match: *` on `PutObject` and `CompleteMultipartUpload`; 412 for the
//!   loser. *Replace*: `If-Match` with the etag; 412, or 404 if the object is gone. 409
//!   (`ConditionalRequestConflict`) means that another request was under way: asked again.
//! - *Checksum*: `x-amz-checksum-crc32` goes with every body and part, and the service compares.
//! - *Durable and complete*: strong read-after-write consistency; a multipart upload appears as a
//!   whole when it is completed.
//! - *Listing*: `ListObjectsV2` in the order of UTF-8 bytes, `start-after` is exclusive.
//! - *Restore*: `x-amz-restore` of a head and `RestoreStatus` of a listing. The class stays.
//! - *Class*: the object is copied onto itself (`x-amz-copy-source-if-match`), up to 5 GiB.
//! - *Delete*: `If-Match` on `DeleteObject`. Look-alikes may ignore it, and then only the `HEAD`
//!   before guards it: between the two an unchanged etag is not certain.
//! - *Versions*: a bucket with Object Lock keeps versions. There, deleting and changing the class
//!   remove the version that they mean, as a delete marker or a newer version would leave it to be
//!   paid for. What a lock keeps of it is left to a lifecycle rule for noncurrent versions.
//! - *Restore, lock, hold*: `RestoreObject`, `PutObjectRetention` and `PutObjectLegalHold` know no
//!   condition on the etag, so it is compared before them.
//! - *Encryption*: `aws:kms` with the archive's key on every write and copy.

mod terms;
#[cfg(test)]
mod tests;
mod wire;

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use aws_config::{SdkConfig, sts::AssumeRoleProvider};
use aws_sdk_s3::{
    Client,
    config::{
        Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        SharedCredentialsProvider,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
    operation::head_object::HeadObjectOutput,
    primitives::{ByteStream, DateTime},
    types::{
        BucketLocationConstraint, ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart,
        CreateBucketConfiguration, GlacierJobParameters, MetadataDirective, ObjectLockLegalHold,
        ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode, OptionalObjectAttributes,
        RestoreRequest, ServerSideEncryption,
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use linchpin_config::{AssumeRole, S3Store as Settings};
use terms::{Condition, class_of, is_guarded, tier_of, version};
use tokio::time::sleep;
use wire::{Fault, RetryAfter, body, encoded, of_head, of_listing, quoted};

use crate::{
    LockMode, ObjectHead, ObjectStream, PART_BYTES, PutAs, Restore, RestoreSpeed, Store, StoreError,
    connect::{endpoint, secret},
    error::chain,
    keys::Keys,
    pages::{self, Answer, Pages, Query, Tokens},
    resume::{collect, resuming},
    retry::{ATTEMPT_TIME_MAX, ATTEMPTS_MAX, CONNECT_TIME_MAX, PAUSE_FIRST, PAUSE_MAX, pause},
    store::parts,
};

/// How the sessions of a role are called in CloudTrail.
const SESSION: &str = "linchpin";
/// Parts of one object that are sent at once.
const PARTS_AT_ONCE: usize = 4;
/// The region that look-alikes are asked in, when none is configured.
const REGION_OF_ENDPOINTS: &str = "us-east-1";

/// A bucket.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    bucket: String,
    keys: Keys,
    tokens: Arc<Tokens>,
    /// KMS key that objects are encrypted with; the bucket's default when `None`.
    key: Option<Arc<str>>,
}

impl S3Store {
    /// The bucket with the credentials of the SDK's chain, unless the configuration has some.
    pub async fn connect(bucket: &str, prefix: &str, settings: &Settings) -> Result<Self, StoreError> {
        Self::connect_as(bucket, prefix, settings, None).await
    }

    /// The bucket with the credentials of a role, which those of [`S3Store::connect`] take on.
    pub async fn connect_as(
        bucket: &str,
        prefix: &str,
        settings: &Settings,
        role: Option<&AssumeRole>,
    ) -> Result<Self, StoreError> {
        let mut loader = aws_config::from_env()
            .retry_config(
                // Not adaptive: one throttled prefix would hold back every request of the process.
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS_MAX)
                    .with_initial_backoff(PAUSE_FIRST)
                    .with_max_backoff(PAUSE_MAX),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIME_MAX)
                    .operation_attempt_timeout(ATTEMPT_TIME_MAX)
                    .build(),
            );
        let endpoint = endpoint(settings.endpoint.as_ref())?;
        if let Some(endpoint) = &endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let keys = (secret(settings.access_key_id.as_ref())?, secret(settings.secret_access_key.as_ref())?);
        match keys {
            (Some(id), Some(key)) => {
                let keys = Credentials::new(id.expose(), key.expose(), None, None, "linchpin.yaml");
                loader = loader.credentials_provider(keys);
            }
            (None, None) => {}
            _ => {
                let why = "`stores.s3` has half of a key\nhint: give `access_key_id` and `secret_access_key`";
                return Err(StoreError::Config(why.to_owned()));
            }
        }
        let mut shared = loader.load().await;
        if let Some(role) = role {
            shared = assume(role, &shared).await?;
        }
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(settings.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
            // Buckets do not share what repeats they may make.
            .retry_partition(RetryPartition::new(format!("{endpoint:?} {bucket}")))
            .retry_classifier(RetryAfter);
        if shared.region().is_none() && endpoint.is_some() {
            config = config.region(Region::from_static(REGION_OF_ENDPOINTS));
        }
        Ok(Self {
            client: Client::from_conf(config.build()),
            bucket: bucket.to_owned(),
            keys: Keys::new(prefix),
            tokens: Arc::default(),
            key: None,
        })
    }

    /// The same bucket, whose new objects are encrypted with a KMS key.
    #[must_use]
    pub fn encrypted(self, key: Option<&str>) -> Self {
        Self { key: key.map(Arc::from), ..self }
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let key = self.key.as_deref();
        (key.map(|_| ServerSideEncryption::AwsKms), key.map(str::to_owned))
    }

    /// Creates the bucket, unless it is there.
    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        let region = self.client.config().region().map(|region| region.as_ref().to_owned());
        let place = region.filter(|region| region != REGION_OF_ENDPOINTS).map(|region| {
            let place = BucketLocationConstraint::from(region.as_str());
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let create = self.client.create_bucket().bucket(&self.bucket);
        match create.set_create_bucket_configuration(place).send().await.map_err(Fault::from) {
            Err(fault) if fault.code != "BucketAlreadyOwnedByYou" => Err(fault.of(&self.bucket)),
            _ => Ok(()),
        }
    }

    /// Sends an object; another request under way to the same name is waited for.
    async fn upload(&self, key: &str, bytes: Bytes, condition: Condition<'_>) -> Result<(), StoreError> {
        let name = self.keys.name(key)?;
        if let Some(class) = condition.with.class {
            class_of(key, class)?;
        }
        let mut repeat = 0;
        loop {
            let sent = if bytes.len() <= PART_BYTES {
                self.whole(&name, bytes.clone(), &condition).await
            } else {
                self.parts(&name, &bytes, &condition).await
            };
            match sent {
                Err(fault) if fault.status == Some(409) && repeat < ATTEMPTS_MAX => {
                    repeat += 1;
                    sleep(pause(repeat)).await;
                }
                // Gone is not what the caller saw either.
                Err(fault) if fault.status == Some(404) && fault.code != "NoSuchBucket" => {
                    return Err(StoreError::Precondition(key.to_owned()));
                }
                sent => return sent.map_err(|fault| fault.of(key)),
            }
        }
    }

    async fn whole(&self, name: &str, bytes: Bytes, condition: &Condition<'_>) -> Result<(), Fault> {
        let put = self.client.put_object().bucket(&self.bucket).key(name);
        let (encryption, key) = self.encryption();
        put.set_if_none_match(condition.none_match())
            .set_if_match(condition.if_match())
            .set_storage_class(condition.class())
            .set_object_lock_mode(condition.lock_mode())
            .set_object_lock_retain_until_date(condition.lock_until())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(bytes))
            .send()
            .await?;
        Ok(())
    }

    async fn parts(&self, name: &str, bytes: &Bytes, condition: &Condition<'_>) -> Result<(), Fault> {
        let create = self.client.create_multipart_upload().bucket(&self.bucket).key(name);
        let (encryption, key) = self.encryption();
        let created = create
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_storage_class(condition.class())
            .set_object_lock_mode(condition.lock_mode())
            .set_object_lock_retain_until_date(condition.lock_until())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .send()
            .await?;
        let id = created.upload_id.ok_or_else(|| Fault::of_answer("no upload id"))?;
        let done = self.send_parts(name, &id, bytes, condition).await;
        if done.is_err() {
            // What is left when this fails too, a lifecycle rule for unfinished uploads removes.
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(name).upload_id(&id);
            if let Err(error) = abort.send().await {
                tracing::warn!(name, error = chain(&error), "cannot abort a multipart upload");
            }
        }
        done
    }

    async fn send_parts(
        &self,
        name: &str,
        id: &str,
        bytes: &Bytes,
        condition: &Condition<'_>,
    ) -> Result<(), Fault> {
        let sending = (0..bytes.len()).step_by(PART_BYTES).zip(1..).map(|(start, number)| {
            let part = bytes.slice(start..bytes.len().min(start + PART_BYTES));
            async move {
                let upload = self.client.upload_part().bucket(&self.bucket).key(name).upload_id(id);
                let upload = upload.part_number(number).checksum_algorithm(ChecksumAlgorithm::Crc32);
                let sent = upload.body(ByteStream::from(part)).send().await?;
                let part = CompletedPart::builder().part_number(number);
                Ok(part.set_e_tag(sent.e_tag).set_checksum_crc32(sent.checksum_crc32).build())
            }
        });
        let parts: Vec<CompletedPart> = stream::iter(sending)
            .buffered(PARTS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await
            .map_err(|fault: Fault| fault)?;
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(name).upload_id(id);
        complete
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_if_none_match(condition.none_match())
            .set_if_match(condition.if_match())
            .send()
            .await?;
        Ok(())
    }

    /// The head of an object whose etag is `etag`.
    async fn current(&self, key: &str, name: &str, etag: &str) -> Result<HeadObjectOutput, StoreError> {
        let head = self.client.head_object().bucket(&self.bucket).key(name);
        let head = head.send().await.map_err(|error| Fault::from(error).of(key))?;
        if of_head(key, &head).etag == etag {
            Ok(head)
        } else {
            Err(StoreError::Precondition(key.to_owned()))
        }
    }

    async fn delete_version(&self, key: &str, name: &str, version: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(name).version_id(version);
        delete.send().await.map_err(|error| Fault::from(error).of(key))?;
        Ok(())
    }

    async fn read(
        &self,
        key: &str,
        etag: Option<&str>,
        start: u64,
        end: Option<u64>,
    ) -> Result<ObjectStream, StoreError> {
        let (client, bucket, name) = (self.client.clone(), self.bucket.clone(), self.keys.name(key)?);
        let (owned, etag) = (key.to_owned(), etag.map(quoted));
        let request = move |from: u64| {
            let range = match end {
                Some(end) => Some(format!("bytes={from}-{}", end - 1)),
                None => (from > 0).then(|| format!("bytes={from}-")),
            };
            let get = client.get_object().bucket(&bucket).key(&name).set_range(range);
            let (sent, key) = (get.set_if_match(etag.clone()).send(), owned.clone());
            Box::pin(async move {
                match sent.await.map_err(Fault::from) {
                    Ok(got) => Ok(body(got)),
                    Err(fault) if fault.status == Some(416) => Ok(stream::empty().boxed()),
                    Err(fault) => Err(fault.of(&key)),
                }
            }) as _
        };
        resuming(key, start, Box::new(request)).await
    }
}

/// The same settings with the credentials of a role, renewed by the SDK.
async fn assume(role: &AssumeRole, shared: &SdkConfig) -> Result<SdkConfig, StoreError> {
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(SESSION);
    if let Some(id) = secret(role.external_id.as_ref())? {
        provider = provider.external_id(id.expose());
    }
    let provider = SharedCredentialsProvider::new(provider.configure(shared).build().await);
    Ok(shared.to_builder().credentials_provider(provider).build())
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.upload(key, bytes, Condition::default()).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        self.upload(key, bytes, Condition { is: etag.map(quoted), ..Condition::default() }).await
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        self.upload(key, bytes, Condition { with, ..Condition::default() }).await
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
        let name = self.keys.name(key)?;
        let head = self.client.head_object().bucket(&self.bucket).key(&name);
        let head = head.send().await.map_err(|error| Fault::from(error).of(key))?;
        Ok(of_head(key, &head))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        pages::list(self, &self.tokens, &self.keys, prefix, after).await
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        let (name, known) = (self.keys.name(key)?, class_of(key, class)?);
        let (encryption, kms) = self.encryption();
        let copy = self.client.copy_object().bucket(&self.bucket).key(&name);
        let copied = copy
            .copy_source(format!("{}/{}", self.bucket, encoded(&name)))
            .copy_source_if_match(quoted(etag))
            .metadata_directive(MetadataDirective::Copy)
            .storage_class(known)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms)
            .send()
            .await
            .map_err(|error| Fault::from(error).of(key))?;
        match version(copied.copy_source_version_id.as_deref()) {
            Some(old) => match self.delete_version(key, &name, old).await {
                Err(StoreError::Locked { .. }) => Ok(()),
                answer => answer,
            },
            None => Ok(()),
        }
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        let name = self.keys.name(key)?;
        let head = self.current(key, &name, etag).await?;
        if let Some(version) = version(head.version_id.as_deref()) {
            return match self.delete_version(key, &name, version).await {
                // Not every server says why.
                Err(StoreError::Denied { key, why }) if is_guarded(&head) => {
                    Err(StoreError::Locked { key, why })
                }
                answer => answer,
            };
        }
        let delete = self.client.delete_object().bucket(&self.bucket).key(name);
        delete.if_match(quoted(etag)).send().await.map_err(|error| Fault::from(error).of(key))?;
        Ok(())
    }

    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        let name = self.keys.name(key)?;
        let head = of_head(key, &self.current(key, &name, etag).await?);
        match head.restore {
            Restore::Online => return Ok(Restore::Online),
            Restore::InProgress => return Err(StoreError::RestoreInProgress(key.to_owned())),
            Restore::Archived | Restore::Until(_) => {}
        }
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let tier = GlacierJobParameters::builder().tier(tier_of(speed)).build();
        let tier = tier.map_err(|error| StoreError::failed(key, error))?;
        let request = RestoreRequest::builder().days(days).glacier_job_parameters(tier).build();
        let restore = self.client.restore_object().bucket(&self.bucket).key(&name).restore_request(request);
        restore.send().await.map_err(|error| Fault::from(error).of(key))?;
        Ok(self.head(key).await?.restore)
    }

    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        let name = self.keys.name(key)?;
        let head = of_head(key, &self.current(key, &name, etag).await?);
        if head.locked_until_ms.is_some_and(|is| is > until_ms) {
            let why = "its retention would be shorter".to_owned();
            return Err(StoreError::Locked { key: key.to_owned(), why });
        }
        let retention = ObjectLockRetention::builder()
            .mode(match mode {
                LockMode::Governance => ObjectLockRetentionMode::Governance,
                LockMode::Compliance => ObjectLockRetentionMode::Compliance,
            })
            .retain_until_date(DateTime::from_millis(until_ms))
            .build();
        let put = self.client.put_object_retention().bucket(&self.bucket).key(name).retention(retention);
        put.send().await.map_err(|error| Fault::from(error).of(key))?;
        Ok(())
    }

    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        let name = self.keys.name(key)?;
        self.current(key, &name, etag).await?;
        let status = if on { ObjectLockLegalHoldStatus::On } else { ObjectLockLegalHoldStatus::Off };
        let hold = ObjectLockLegalHold::builder().status(status).build();
        let put = self.client.put_object_legal_hold().bucket(&self.bucket).key(name).legal_hold(hold);
        put.send().await.map_err(|error| Fault::from(error).of(key))?;
        Ok(())
    }

    fn put_requests(&self, bytes: u64) -> u64 {
        // Creation and completion are requests too.
        parts(bytes) + if bytes > PART_BYTES as u64 { 2 } else { 0 }
    }
}

#[async_trait]
impl Pages for S3Store {
    async fn page(&self, query: Query<'_>) -> Result<Answer, StoreError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(query.prefix);
        let list = list.max_keys(i32::try_from(query.size).unwrap_or(i32::MAX));
        let list = list.optional_object_attributes(OptionalObjectAttributes::RestoreStatus);
        let list = match query.token {
            Some(token) => list.continuation_token(token),
            None => list.set_start_after(query.start.map(str::to_owned)),
        };
        let got = list.send().await.map_err(|error| Fault::from(error).of(query.prefix))?;
        let token = got.next_continuation_token.filter(|_| got.is_truncated == Some(true));
        Ok(Answer { heads: got.contents.unwrap_or_default().iter().filter_map(of_listing).collect(), token })
    }
}
