//! Stores: endpoints and credentials, where they differ from the environment's.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::values::HttpUrl;

/// Overrides for each kind of object store.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stores {
    /// S3 and what speaks its protocol.
    pub s3: S3Store,
    /// Azure Blob Storage.
    pub azure: AzureStore,
    /// Google Cloud Storage.
    pub gcs: GcsStore,
}

/// S3 and what speaks its protocol.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3Store {
    /// Address of the service.
    pub endpoint: Option<HttpUrl>,
    /// Region.
    pub region: Option<String>,
    /// Whether the bucket is part of the path rather than of the host.
    pub path_style: bool,
    /// Access key id.
    pub access_key_id: Option<SecretRef>,
    /// Secret access key.
    pub secret_access_key: Option<SecretRef>,
}

/// Azure Blob Storage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AzureStore {
    /// Address of the service.
    pub endpoint: Option<HttpUrl>,
    /// Shared access signature.
    pub sas_token: Option<SecretRef>,
}

/// Google Cloud Storage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GcsStore {
    /// Address of the service.
    pub endpoint: Option<HttpUrl>,
    /// Key of a service account, in JSON.
    pub service_account: Option<SecretRef>,
}
