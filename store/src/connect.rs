//! From a place to its store.

use std::{net::IpAddr, sync::Arc};

use linchpin_config::{HttpUrl, Place, Secret, SecretRef, Stores};

use crate::{AzureStore, GcsStore, LocalStore, S3Store, Store, StoreError};

/// Hosts that give credentials away to whoever asks from this machine.
const METADATA_HOSTS: &[&str] = &["metadata", "metadata.google.internal", "metadata.goog", "instance-data"];

/// Opens the store of a place; its prefix is part of it, so keys are relative to it. Buckets are
/// reached as `stores` says and otherwise as the environment does. Asks the bucket nothing: use
/// [`crate::probe()`] for that.
pub async fn connect(place: &Place, stores: &Stores) -> Result<Arc<dyn Store>, StoreError> {
    connect_encrypted(place, stores, None).await
}

/// [`connect()`] to a store whose new objects are encrypted with a key of the provider's key service; a
/// folder has none.
pub async fn connect_encrypted(
    place: &Place,
    stores: &Stores,
    key: Option<&str>,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match place {
        Place::Folder(path) if key.is_none() => Arc::new(LocalStore::open(path)?),
        Place::Folder(path) => {
            let why = format!("the folder `{}` cannot be encrypted with a key", path.display());
            return Err(StoreError::Config(why));
        }
        Place::S3 { bucket, prefix } => {
            Arc::new(S3Store::connect(bucket, prefix, &stores.s3).await?.encrypted(key))
        }
        Place::Azure { account, container, prefix } => {
            Arc::new(AzureStore::connect(account, container, prefix, &stores.azure)?.encrypted(key))
        }
        Place::Gcs { bucket, prefix } => {
            Arc::new(GcsStore::connect(bucket, prefix, &stores.gcs).await?.encrypted(key))
        }
    })
}

/// Creates the bucket or container of a place where it is missing, with the provider's defaults.
/// Tests and demonstrations need it; what keeps evidence should be created with thought.
pub async fn create_bucket(place: &Place, stores: &Stores) -> Result<(), StoreError> {
    match place {
        Place::Folder(path) => LocalStore::open(path).map(drop),
        Place::S3 { bucket, prefix } => S3Store::connect(bucket, prefix, &stores.s3).await?.create().await,
        Place::Azure { account, container, prefix } => {
            AzureStore::connect(account, container, prefix, &stores.azure)?.create().await
        }
        Place::Gcs { bucket, prefix } => GcsStore::connect(bucket, prefix, &stores.gcs).await?.create().await,
    }
}

/// The endpoint of a configuration without a slash at its end.
pub(crate) fn endpoint(url: Option<&HttpUrl>) -> Result<Option<String>, StoreError> {
    url.map(|url| safe(url.as_str())).transpose()
}

/// Refuses addresses that lead to this machine's own credentials.
fn safe(url: &str) -> Result<String, StoreError> {
    let bad = |why: &str| StoreError::Config(format!("the endpoint `{url}` {why}"));
    let parsed = azure_core::http::Url::parse(url).map_err(|_| bad("is not a URL"))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let link_local = host.parse().is_ok_and(|address: IpAddr| match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0x0ec2],
    });
    if link_local || METADATA_HOSTS.contains(&host.trim_end_matches('.')) {
        return Err(bad("is a link-local or metadata address"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Reads a secret of the configuration.
pub(crate) fn secret(reference: Option<&SecretRef>) -> Result<Option<Secret>, StoreError> {
    reference.map(SecretRef::resolve).transpose().map_err(|error| StoreError::Config(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_do_not_lead_to_the_machines_credentials() {
        let bad = [
            "http://169.254.169.254/",
            "http://2852039166",
            "http://[fe80::1]:80",
            "http://[::ffff:169.254.169.254]",
            "http://[fd00:ec2::254]",
            "http://Metadata.Google.Internal./x",
        ];
        for url in bad {
            assert!(matches!(safe(url), Err(StoreError::Config(_))), "{url}");
        }
        for url in [
            "http://127.0.0.1:9000",
            "https://s3.example.com/",
            "http://[::1]:80",
            "https://metadata.example.com",
        ] {
            assert!(safe(url).is_ok(), "{url}");
        }
    }
}
