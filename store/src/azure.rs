//! Azure Blob Storage by the official SDK: block blobs of one container.
//!
//! What the contract rests on, as the vendor documents it:
//! - *Create-only*: `If-None-Match: *` on `Put Blob` and `Put Block List`; 409 (`BlobAlreadyExists`)
//!   or 412 for the loser. *Replace*: `If-Match` with the etag; 412.
//! - *Checksum*: `Content-MD5` goes with every body and block, and the service compares.
//! - *Durable and complete*: strongly consistent; a blob changes only when its block list is put.
//! - *Listing*: alphabetical order; `startFrom` is inclusive. A server that does not know it lists
//!   from the beginning, which costs requests but gives the same answer.
//! - *Restore*: `x-ms-archive-status` while a rehydration is under way, `x-ms-access-tier` otherwise.
//! - *Class*: `Set Blob Tier` knows no condition on the etag, so the etag is compared before it.
//!   Moving a blob out of the archive tier is a restore and not done this way.
//! - *Restore*: a copy beside the blob (`Copy Blob` into `Hot` with a rehydration priority), named after
//!   it with [`RESTORED`]; reads of the archived blob are answered from it. `Set Blob Tier` would move
//!   the blob itself, cannot be taken back, and a lifecycle rule that looks at the last modification
//!   would archive it again at once. [`Store::release`] removes the copy, as does deleting the blob.
//! - *Lock, hold*: immutability policy and legal hold of the blob, in a container with version-level
//!   immutability. They know no condition on the etag, so it is compared before them.
//! - *Encryption*: the archive's encryption scope on every write and copy.
//! - *Delete*: `If-Match` on `Delete Blob`.

mod identity;
mod policies;
#[cfg(test)]
mod tests;
mod wire;

use std::{collections::HashMap, num::NonZero, ops::Range, sync::Arc};

use async_trait::async_trait;
use azure_core::http::{ClientOptions, Etag, RetryOptions, Url};
use azure_storage_blob::{
    BlobClient, BlobContainerClient, BlobContainerClientOptions,
    models::{
        AccessTier, BlobClientDeleteOptions, BlobClientDownloadOptions, BlobClientGetPropertiesResultHeaders,
        BlobClientSetImmutabilityPolicyOptions, BlobClientStartCopyFromUrlOptions, BlobClientUploadOptions,
        BlobContainerClientListBlobsOptions, CopyStatus, RehydratePriority,
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use linchpin_config::AzureStore as Settings;
use wire::{copy_name, fault, head_of, now_ms, of_listing, policy_mode, quoted, tier_of, time, unsupported};

use crate::{
    LockMode, ObjectHead, ObjectStream, PART_BYTES, PutAs, Restore, RestoreSpeed, Store, StoreError,
    connect::{endpoint, secret},
    keys::Keys,
    pages::{self, Answer, Pages, Query, Tokens},
    resume::{collect, resuming},
    store::{missing_or_changed, parts},
};

/// End of the name of the readable copy of an archived blob.
const RESTORED: &str = ".linchpin-restored";
/// Metadata of a restored copy: until when it is wanted (epoch milliseconds), and the etag of its blob.
const UNTIL: &str = "linchpin_until";
const COPY_OF: &str = "linchpin_of";
const DAY_MS: i64 = 24 * 3_600_000;

/// Blocks of one blob that are sent at once.
const BLOCKS_AT_ONCE: NonZero<usize> = NonZero::new(4).expect("four");
/// Size of a block.
const BLOCK_BYTES: NonZero<u64> = NonZero::new(PART_BYTES as u64).expect("not empty");
/// The SDK's parallel reads are not used: one request streams, and is taken up where it breaks.
const READ_BYTES: NonZero<usize> = NonZero::new(1 << 50).expect("not empty");
const READS_AT_ONCE: NonZero<usize> = NonZero::new(1).expect("one");

/// A container.
#[derive(Clone)]
pub struct AzureStore {
    container: Arc<BlobContainerClient>,
    keys: Keys,
    tokens: Arc<Tokens>,
    /// Encryption scope of new blobs; the container's default when `None`.
    scope: Option<Arc<str>>,
}

impl std::fmt::Debug for AzureStore {
    /// Without the URL, which may hold a signature.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureStore").field("path", &self.container.url().path()).finish_non_exhaustive()
    }
}

impl AzureStore {
    /// The container with the shared access signature of the configuration, else with the identity of
    /// the environment, else (an endpoint without TLS is a test's) with none.
    pub fn connect(
        account: &str,
        container: &str,
        prefix: &str,
        settings: &Settings,
    ) -> Result<Self, StoreError> {
        let base = endpoint(settings.endpoint.as_ref())?
            .unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
        let bad = |why: String| StoreError::Config(format!("`{base}/{container}`: {why}"));
        let mut url = Url::parse(&format!("{base}/{container}")).map_err(|error| bad(error.to_string()))?;
        let signature = secret(settings.sas_token.as_ref())?;
        let credential = match &signature {
            Some(signature) => {
                url.set_query(Some(signature.expose().trim_start_matches('?')));
                None
            }
            None if url.scheme() == "https" => Some(identity::of_environment()),
            None => None,
        };
        let options = BlobContainerClientOptions {
            client_options: ClientOptions {
                per_call_policies: vec![Arc::new(policies::ContentMd5)],
                per_try_policies: vec![Arc::new(policies::AttemptTime)],
                retry: RetryOptions::custom(Arc::new(policies::FullJitter::default())),
                ..ClientOptions::default()
            },
            ..BlobContainerClientOptions::default()
        };
        let container = BlobContainerClient::new(url, credential, Some(options))
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            container: Arc::new(container),
            keys: Keys::new(prefix),
            tokens: Arc::default(),
            scope: None,
        })
    }

    /// The same container, whose new blobs are encrypted in an encryption scope.
    #[must_use]
    pub fn encrypted(self, scope: Option<&str>) -> Self {
        Self { scope: scope.map(Arc::from), ..self }
    }

    /// Creates the container, unless it is there.
    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        match self.container.create(None).await {
            Err(error) if error.http_status().map(u16::from) != Some(409) => Err(fault("", &error)),
            _ => Ok(()),
        }
    }

    fn blob(&self, key: &str) -> Result<BlobClient, StoreError> {
        Ok(self.container.blob_client(&self.keys.name(key)?))
    }

    async fn upload(
        &self,
        key: &str,
        bytes: Bytes,
        etag: Option<&str>,
        with: PutAs<'_>,
    ) -> Result<(), StoreError> {
        let options = BlobClientUploadOptions {
            tier: with.class.map(|class| tier_of(key, class)).transpose()?,
            immutability_policy_mode: with.lock.map(|(mode, _)| policy_mode(mode)),
            immutability_policy_expiry: with.lock.map(|(_, until_ms)| time(key, until_ms)).transpose()?,
            encryption_scope: self.scope.as_deref().map(str::to_owned),
            if_none_match: etag.is_none().then(|| Etag::from("*")),
            if_match: etag.map(quoted),
            parallel: Some(BLOCKS_AT_ONCE),
            partition_size: Some(BLOCK_BYTES),
            ..BlobClientUploadOptions::default()
        };
        match self.blob(key)?.upload(bytes.into(), Some(options)).await {
            Ok(_) => Ok(()),
            // Gone is not what the caller saw either.
            Err(error) => Err(match fault(key, &error) {
                StoreError::NotFound(key) => StoreError::Precondition(key),
                other => other,
            }),
        }
    }

    /// Etag of what is there, if it is that one.
    async fn current(&self, key: &str, etag: &str) -> Result<ObjectHead, StoreError> {
        let head = self.head(key).await?;
        if head.etag == etag { Ok(head) } else { Err(StoreError::Precondition(key.to_owned())) }
    }

    /// How the restored copy of the version `etag` (or any) of an archived blob stands.
    async fn copy_state(&self, key: &str, etag: Option<&str>) -> Result<Restore, StoreError> {
        let copy = copy_name(key);
        let got = match self.blob(&copy)?.get_properties(None).await.map_err(|error| fault(&copy, &error)) {
            Ok(got) => got,
            Err(StoreError::NotFound(_)) => return Ok(Restore::Archived),
            Err(error) => return Err(error),
        };
        let read = || -> azure_core::Result<Restore> {
            let metadata = got.metadata()?;
            let until = metadata.get(UNTIL).and_then(|until| until.parse().ok()).unwrap_or(0);
            let other = etag.is_some_and(|etag| metadata.get(COPY_OF).map(String::as_str) != Some(etag));
            let pending = got.archive_status()?.is_some() || got.copy_status()? == Some(CopyStatus::Pending);
            Ok(match pending {
                _ if other => Restore::Archived,
                true => Restore::InProgress,
                false if until <= now_ms() => Restore::Archived,
                false => Restore::Until(until),
            })
        };
        read().map_err(|error| fault(&copy, &error))
    }

    /// [`Self::read_of`], from the restored copy where the blob itself is archived.
    async fn read(
        &self,
        key: &str,
        etag: Option<&str>,
        start: u64,
        end: Option<u64>,
    ) -> Result<ObjectStream, StoreError> {
        match self.read_of(key, etag, start, end).await {
            Err(StoreError::Archived(_)) if self.copy_state(key, etag).await?.is_readable() => {
                self.read_of(&copy_name(key), None, start, end).await
            }
            answer => answer,
        }
    }

    async fn read_of(
        &self,
        key: &str,
        etag: Option<&str>,
        start: u64,
        end: Option<u64>,
    ) -> Result<ObjectStream, StoreError> {
        let (blob, owned, etag) = (Arc::new(self.blob(key)?), key.to_owned(), etag.map(quoted));
        let request = move |from: u64| {
            let range = match end {
                Some(end) => Some((from..end).into()),
                None => (from > 0).then(|| (from..).into()),
            };
            let options = BlobClientDownloadOptions {
                if_match: etag.clone(),
                range,
                parallel: Some(READS_AT_ONCE),
                partition_size: Some(READ_BYTES),
                ..BlobClientDownloadOptions::default()
            };
            let (blob, key) = (Arc::clone(&blob), owned.clone());
            Box::pin(async move {
                match blob.download(Some(options)).await {
                    Ok(got) => Ok(got.body.map_err(std::io::Error::other).boxed()),
                    Err(error) if error.http_status().is_some_and(|status| u16::from(status) == 416) => {
                        Ok(stream::empty().boxed())
                    }
                    Err(error) => Err(fault(&key, &error)),
                }
            }) as _
        };
        resuming(key, start, Box::new(request)).await
    }
}

#[async_trait]
impl Store for AzureStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.upload(key, bytes, None, PutAs::default()).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        self.upload(key, bytes, etag, PutAs::default()).await
    }

    async fn put_as(&self, key: &str, bytes: Bytes, with: PutAs<'_>) -> Result<(), StoreError> {
        self.upload(key, bytes, None, with).await
    }

    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let stream = self.read(key, None, range.start, Some(range.end)).await?;
        collect(stream, range.end - range.start).await
    }

    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        match self.read(key, Some(etag), start, None).await {
            Err(StoreError::Precondition(key)) => Err(missing_or_changed(self, key).await),
            answer => answer,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        let got = self.blob(key)?.get_properties(None).await.map_err(|error| fault(key, &error))?;
        let read = || -> azure_core::Result<ObjectHead> {
            Ok(head_of(
                key,
                got.content_length()?,
                got.etag()?.map(|etag| etag.to_string()),
                got.creation_time()?,
                got.last_modified()?,
                got.access_tier()?,
                got.archive_status()?.is_some(),
            )
            .guarded(
                got.immutability_policy_expires_on()?,
                got.legal_hold()?,
                got.encryption_scope()?,
            ))
        };
        let mut head = read().map_err(|error| fault(key, &error))?;
        if head.restore == Restore::Archived {
            head.restore = self.copy_state(key, Some(&head.etag)).await?;
        }
        Ok(head)
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        pages::list(self, &self.tokens, &self.keys, prefix, after).await
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        let tier = tier_of(key, class)?;
        let head = self.head(key).await?;
        if head.etag != etag {
            return Err(StoreError::Precondition(key.to_owned()));
        }
        if head.class == class {
            return Ok(());
        }
        if !head.restore.is_readable() {
            return Err(StoreError::Archived(key.to_owned()));
        }
        self.blob(key)?.set_tier(tier, None).await.map_err(|error| fault(key, &error))?;
        Ok(())
    }

    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        // A copy of what is deleted must not stay.
        if self.current(key, etag).await?.class == AccessTier::Archive.as_ref() {
            self.release(key).await?;
        }
        let options =
            BlobClientDeleteOptions { if_match: Some(quoted(etag)), ..BlobClientDeleteOptions::default() };
        match self.blob(key)?.delete(Some(options)).await.map_err(|error| fault(key, &error)) {
            Err(StoreError::Precondition(key)) => Err(missing_or_changed(self, key).await),
            answer => answer.map(drop),
        }
    }

    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        let head = self.current(key, etag).await?;
        let until_ms = now_ms() + i64::from(days) * DAY_MS;
        let metadata =
            HashMap::from([(UNTIL.to_owned(), until_ms.to_string()), (COPY_OF.to_owned(), etag.to_owned())]);
        let copy = self.blob(&copy_name(key))?;
        match head.restore {
            Restore::Online => return Ok(Restore::Online),
            Restore::InProgress => return Err(StoreError::RestoreInProgress(key.to_owned())),
            Restore::Until(_) => {
                copy.set_metadata(&metadata, None).await.map_err(|error| fault(key, &error))?;
                return Ok(Restore::Until(until_ms));
            }
            // What is left of an earlier restore is in the way.
            Restore::Archived => self.release(key).await?,
        }
        let options = BlobClientStartCopyFromUrlOptions {
            tier: Some(AccessTier::Hot),
            rehydrate_priority: Some(match speed {
                RestoreSpeed::Expedited => RehydratePriority::High,
                RestoreSpeed::Standard | RestoreSpeed::Bulk => RehydratePriority::Standard,
            }),
            source_if_match: Some(quoted(etag)),
            if_none_match: Some(Etag::from("*")),
            metadata: Some(metadata),
            ..BlobClientStartCopyFromUrlOptions::default()
        };
        let source = self.blob(key)?.url().to_string();
        match copy.start_copy_from_url(source, Some(options)).await.map_err(|error| fault(key, &error)) {
            Ok(_) => self.copy_state(key, Some(etag)).await,
            Err(StoreError::Precondition(key)) => Err(StoreError::RestoreInProgress(key)),
            Err(error) => Err(error),
        }
    }

    async fn release(&self, key: &str) -> Result<(), StoreError> {
        let copy = copy_name(key);
        match self.blob(&copy)?.delete(None).await.map_err(|error| fault(&copy, &error)) {
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn lock(&self, key: &str, etag: &str, mode: LockMode, until_ms: i64) -> Result<(), StoreError> {
        let head = self.current(key, etag).await?;
        if head.locked_until_ms.is_some_and(|is| is > until_ms) {
            let why = "its retention would be shorter".to_owned();
            return Err(StoreError::Locked { key: key.to_owned(), why });
        }
        let options = BlobClientSetImmutabilityPolicyOptions {
            immutability_policy_mode: Some(policy_mode(mode)),
            ..BlobClientSetImmutabilityPolicyOptions::default()
        };
        let until = time(key, until_ms)?;
        let set = self.blob(key)?.set_immutability_policy(&until, Some(options)).await;
        set.map(drop).map_err(|error| unsupported(fault(key, &error), "object lock"))
    }

    async fn hold(&self, key: &str, etag: &str, on: bool) -> Result<(), StoreError> {
        self.current(key, etag).await?;
        let set = self.blob(key)?.set_legal_hold(on, None).await;
        set.map(drop).map_err(|error| unsupported(fault(key, &error), "legal hold"))
    }

    fn put_requests(&self, bytes: u64) -> u64 {
        // The block list is a request too.
        parts(bytes) + u64::from(bytes > BLOCK_BYTES.get())
    }
}

#[async_trait]
impl Pages for AzureStore {
    async fn page(&self, query: Query<'_>) -> Result<Answer, StoreError> {
        let options = BlobContainerClientListBlobsOptions {
            prefix: Some(query.prefix.to_owned()).filter(|prefix| !prefix.is_empty()),
            start_from: query.start.filter(|_| query.token.is_none()).map(str::to_owned),
            marker: query.token.map(str::to_owned),
            maxresults: i32::try_from(query.size).ok(),
            ..BlobContainerClientListBlobsOptions::default()
        };
        let fault = |error: azure_core::Error| fault(query.prefix, &error);
        let mut pages = self.container.list_blobs(Some(options)).map_err(fault)?.into_pages();
        let Some(page) = pages.try_next().await.map_err(fault)? else {
            return Ok(Answer { heads: Vec::new(), token: None });
        };
        let page = page.into_model().map_err(fault)?;
        Ok(Answer {
            heads: page.blob_items.into_iter().filter_map(of_listing).collect(),
            token: page.next_marker.filter(|marker| !marker.is_empty()),
        })
    }
}
