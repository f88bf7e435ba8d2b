//! From a configured place to the store that holds its tables.

use std::{sync::Arc, time::Duration};

use linchpin_config::{AzureStore, GcsStore, Place as Configured, S3Store, SecretRef, Stores};
use linchpin_store::Counters;
use object_store::{
    ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::AmazonS3Builder,
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GcpCredential, GoogleCloudStorageBuilder},
};

use super::{DeltaError, Place, credentials::Aws, objects::Objects};

/// Longest time for one request, which may carry a whole file.
const REQUEST_TIME_MAX: Duration = Duration::from_mins(3);
/// Longest time to reach a server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Tries of a request that was throttled or got no answer; pauses grow and differ at random.
const RETRIES_MAX: usize = 8;
/// Longest time for all tries together.
const RETRY_TIME_MAX: Duration = Duration::from_mins(2);

impl Place {
    /// The place that a configuration names, reached as `stores` says and otherwise as the
    /// environment does. Nothing is asked of it yet; what will be is counted in `counters`.
    pub async fn connect(
        place: &Configured,
        stores: &Stores,
        counters: &Counters,
    ) -> Result<Self, DeltaError> {
        let bad = |why: String| DeltaError::Place { place: place.to_string(), why };
        let (authority, prefix, root) = match place {
            Configured::Folder(path) => return Ok(Self::folder(path)?.counted(counters.clone())),
            Configured::S3 { bucket, prefix } => {
                (format!("s3://{bucket}"), prefix, s3(bucket, &stores.s3).await.map_err(bad)?)
            }
            Configured::Azure { account, container, prefix } => {
                // The form that other engines know it by.
                let authority = format!("abfss://{container}@{account}.dfs.core.windows.net");
                (authority, prefix, azure(account, container, &stores.azure).map_err(bad)?)
            }
            Configured::Gcs { bucket, prefix } => {
                (format!("gs://{bucket}"), prefix, gcs(bucket, &stores.gcs).map_err(bad)?)
            }
        };
        // Azure's client deletes in batches only, which neither its emulator nor every role allows.
        let deletes = match place {
            Configured::Azure { account, container, .. } => {
                let (account, container) = (account.clone(), container.clone());
                let whole = Configured::Azure { account, container, prefix: String::new() };
                Some(linchpin_store::connect(&whole, stores).await.map_err(|e| bad(e.to_string()))?)
            }
            _ => None,
        };
        Self::bucket(&authority, prefix, Objects::new(root, deletes, counters.clone()))
    }
}

async fn s3(bucket: &str, store: &S3Store) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
    let environment = Aws::load().await;
    let endpoint = store.endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned());
    let endpoint = endpoint.or_else(|| environment.endpoint());
    let endpoint = endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'));
    if let Some(endpoint) = endpoint {
        // With the bucket as a part of the host, the client wants it in the endpoint.
        let endpoint = match endpoint.split_once("://") {
            Some((scheme, host)) if !store.path_style => format!("{scheme}://{bucket}.{host}"),
            _ => endpoint.to_owned(),
        };
        builder = builder.with_endpoint(endpoint);
    }
    // Without an endpoint the client knows both forms.
    builder = builder.with_virtual_hosted_style_request(!store.path_style);
    if let Some(region) = store.region.as_deref().or_else(|| environment.region()) {
        builder = builder.with_region(region);
    }
    let (id, key) = (secret(store.access_key_id.as_ref())?, secret(store.secret_access_key.as_ref())?);
    match (id, key, environment.keys()) {
        (Some(id), Some(key), _) => builder = builder.with_access_key_id(id).with_secret_access_key(key),
        (_, _, Some(keys)) => builder = builder.with_credentials(keys),
        _ => {}
    }
    let builder = builder.with_client_options(client(endpoint)).with_retry(retries());
    Ok(Arc::new(builder.build().map_err(|e| e.to_string())?))
}

fn azure(account: &str, container: &str, store: &AzureStore) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_account(account).with_container_name(container);
    let endpoint = store.endpoint.as_ref().map(|endpoint| endpoint.as_str().trim_end_matches('/'));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.to_owned());
    }
    if let Some(sas) = secret(store.sas_token.as_ref())? {
        builder = builder.with_config(AzureConfigKey::SasKey, sas);
    }
    let builder = builder.with_client_options(client(endpoint)).with_retry(retries());
    Ok(Arc::new(builder.build().map_err(|e| e.to_string())?))
}

fn gcs(bucket: &str, store: &GcsStore) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    let endpoint = store.endpoint.as_ref().map(|endpoint| endpoint.as_str().trim_end_matches('/'));
    if let Some(endpoint) = endpoint {
        builder = builder.with_base_url(endpoint);
    }
    match secret(store.service_account.as_ref())? {
        Some(key) => builder = builder.with_service_account_key(key),
        // An endpoint without TLS is a test's: credentials are not for it.
        None if endpoint.is_some_and(is_plain) => {
            let nobody = GcpCredential { bearer: String::new() };
            builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
        }
        None => {}
    }
    let builder = builder.with_client_options(client(endpoint)).with_retry(retries());
    Ok(Arc::new(builder.build().map_err(|e| e.to_string())?))
}

fn secret(reference: Option<&SecretRef>) -> Result<Option<String>, String> {
    let secret = reference.map(SecretRef::resolve).transpose().map_err(|e| e.to_string())?;
    Ok(secret.map(|secret| secret.expose().to_owned()))
}

/// Without TLS only where the endpoint says so itself.
fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

fn client(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_timeout(REQUEST_TIME_MAX)
        .with_connect_timeout(CONNECT_TIME_MAX)
        .with_allow_http(endpoint.is_some_and(is_plain))
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME_MAX, ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_place_has_the_address_that_other_engines_know() {
        let stores = Stores::default();
        let names = |bucket: &str, prefix: &str| (bucket.to_owned(), prefix.to_owned());
        let (bucket, prefix) = names("acme-lake", "soc/a b");
        let (account, container) = names("acme", "lake");
        let cases = [
            (Configured::S3 { bucket: bucket.clone(), prefix: prefix.clone() }, "s3://acme-lake/soc/a%20b/"),
            (Configured::Gcs { bucket, prefix: String::new() }, "gs://acme-lake/"),
            (
                Configured::Azure { account, container, prefix },
                "abfss://lake@acme.dfs.core.windows.net/soc/a%20b/",
            ),
        ];
        for (place, url) in cases {
            let place = Place::connect(&place, &stores, &Counters::default()).await.unwrap();
            assert_eq!(place.url().as_str(), url);
            assert_eq!(place.join("ledger").url().as_str(), format!("{url}ledger/"));
            assert!(place.path().is_none());
        }
    }

    #[tokio::test]
    async fn a_place_shows_no_secret() {
        let place = Configured::S3 { bucket: "acme".to_owned(), prefix: "lake".to_owned() };
        let place = Place::connect(&place, &Stores::default(), &Counters::default()).await.unwrap();
        assert_eq!(format!("{place:?}"), "Place(\"s3://acme/lake/\")");
    }
}
