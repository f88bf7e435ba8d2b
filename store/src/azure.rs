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
//!   Moving a blob out of the archive tier is a restore and not done here.
//! - *Delete*: `If-Match` on `Delete Blob`.

mod identity;
mod policies;

use std::{num::NonZero, ops::Range, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    error::ErrorKind,
    http::{ClientOptions, Etag, RetryOptions, Url},
    time::OffsetDateTime,
};
use azure_storage_blob::{
    BlobClient, BlobContainerClient, BlobContainerClientOptions,
    models::{
        AccessTier, BlobClientDeleteOptions, BlobClientDownloadOptions, BlobClientGetPropertiesResultHeaders,
        BlobClientUploadOptions, BlobContainerClientListBlobsOptions, BlobItem,
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use linchpin_config::AzureStore as Settings;

use crate::{
    ObjectHead, ObjectStream, PART_BYTES, Restore, Store, StoreError,
    connect::{endpoint, secret},
    error::chain,
    keys::Keys,
    pages::{self, Answer, Pages, Query, Tokens},
    resume::{collect, resuming},
    store::{missing_or_changed, parts},
};

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
        Ok(Self { container: Arc::new(container), keys: Keys::new(prefix), tokens: Arc::default() })
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

    async fn upload(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        let options = BlobClientUploadOptions {
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

    async fn read(
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
        self.upload(key, bytes, None).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        self.upload(key, bytes, etag).await
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
            ))
        };
        read().map_err(|error| fault(key, &error))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        pages::list(self, &self.tokens, &self.keys, prefix, after).await
    }

    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        let tier = match class.parse::<AccessTier>() {
            Ok(AccessTier::UnknownValue(_)) | Err(_) => {
                return Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() });
            }
            Ok(tier) => tier,
        };
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
        let options =
            BlobClientDeleteOptions { if_match: Some(quoted(etag)), ..BlobClientDeleteOptions::default() };
        match self.blob(key)?.delete(Some(options)).await.map_err(|error| fault(key, &error)) {
            Err(StoreError::Precondition(key)) => Err(missing_or_changed(self, key).await),
            answer => answer.map(drop),
        }
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

fn of_listing(item: BlobItem) -> Option<ObjectHead> {
    let properties = item.properties?;
    Some(head_of(
        &item.name?,
        properties.content_length,
        properties.etag.map(|etag| etag.to_string()),
        properties.creation_time,
        properties.last_modified,
        properties.access_tier.map(|tier| tier.to_string()),
        properties.archive_status.is_some(),
    ))
}

fn head_of(
    key: &str,
    size: Option<u64>,
    etag: Option<String>,
    created: Option<OffsetDateTime>,
    modified: Option<OffsetDateTime>,
    class: Option<String>,
    rehydrating: bool,
) -> ObjectHead {
    let millis = |time: Option<OffsetDateTime>| time.map_or(0, |time| time.unix_timestamp() * 1000);
    let class = class.unwrap_or_default();
    let archived = class == AccessTier::Archive.as_ref();
    ObjectHead {
        key: key.to_owned(),
        size: size.unwrap_or_default(),
        etag: etag.unwrap_or_default().trim_matches('"').to_owned(),
        identity: millis(created).to_string(),
        modified_ms: millis(modified),
        class,
        restore: match (rehydrating, archived) {
            (true, _) => Restore::InProgress,
            (false, true) => Restore::Archived,
            (false, false) => Restore::Online,
        },
    }
}

fn quoted(etag: &str) -> Etag {
    Etag::from(format!("\"{etag}\""))
}

fn fault(key: &str, error: &azure_core::Error) -> StoreError {
    let status = error.http_status().map(u16::from);
    let why = chain(error);
    match error.kind() {
        ErrorKind::HttpResponse { error_code: Some(code), .. } => match code.as_str() {
            "BlobArchived" | "BlobBeingRehydrated" => StoreError::Archived(key.to_owned()),
            "ContainerNotFound" | "ContainerBeingDeleted" | "ContainerDisabled" => StoreError::Config(why),
            "ServerBusy" => StoreError::Throttled { key: key.to_owned(), why },
            _ => StoreError::of_status(key, status, why),
        },
        ErrorKind::Credential => StoreError::of_status(key, Some(401), why),
        _ => StoreError::of_status(key, status, why),
    }
}

#[cfg(test)]
mod tests {
    use linchpin_config::{Place, Stores};

    use crate::{
        contract::{Lane, check_bucket, new_bucket, server, stores},
        weather::{WaitsAsAsked, check_weather},
    };

    fn at(endpoint: &str) -> Stores {
        stores(&format!(
            "azure: {{ endpoint: \"{endpoint}\", sas_token: {{ env: LINCHPIN_TEST_AZURE_SAS }} }}"
        ))
    }

    fn place(container: String, prefix: String) -> Place {
        Place::Azure { account: "devstoreaccount1".to_owned(), container, prefix }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_emulator_keeps_the_contract() {
        let lane = Lane { online: Some("Cool"), archive: Some("Archive"), ..Lane::default() };
        check_bucket(place, &at(&server("LINCHPIN_TEST_AZURE")), lane).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn throttles_and_broken_connections_are_survived() {
        let place = place(new_bucket(), "w".to_owned());
        check_weather(&server("LINCHPIN_TEST_AZURE"), &place, at, WaitsAsAsked(true)).await;
    }
}
