//! Stores: endpoints and credentials, where they differ from the environment's.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::entries::Entries;
use crate::secret::SecretRef;
use crate::values::{HttpUrl, Name};

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
    /// Keys that new objects are encrypted with, by archive; the bucket's default when left out. S3: a KMS
    /// key; Azure: an encryption scope; GCS: a Cloud KMS key.
    pub encryption: Entries<Name, String>,
}

/// S3 and what speaks its protocol.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3Store {
    /// Address of the service, for what is not AWS; the region is then `us-east-1` unless one is given.
    pub endpoint: Option<HttpUrl>,
    /// Region.
    pub region: Option<String>,
    /// Whether the bucket is part of the path rather than of the host.
    pub path_style: bool,
    /// Access key id, together with the secret; without both, the AWS SDK looks for credentials where it
    /// always does.
    pub access_key_id: Option<SecretRef>,
    /// Secret access key.
    pub secret_access_key: Option<SecretRef>,
}

/// Azure Blob Storage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AzureStore {
    /// Address of the account's blob service, up to where the container follows: another domain than
    /// that of the public cloud, or an emulator with the account in the path.
    pub endpoint: Option<HttpUrl>,
    /// Shared access signature; without one, the identity of the environment is used (client secret,
    /// workload identity, managed identity, developer tools).
    pub sas_token: Option<SecretRef>,
}

/// Google Cloud Storage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GcsStore {
    /// Address of the service; one without TLS is asked without credentials.
    pub endpoint: Option<HttpUrl>,
    /// Key of a service account, in JSON; without one, the application default credentials are used.
    pub service_account: Option<SecretRef>,
}
