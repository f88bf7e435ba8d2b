//! Who we are to Azure, as the environment says: the SDK's credentials, tried in the usual order.

use std::{
    env,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::{Error, ErrorKind},
};
use azure_identity::{
    ClientSecretCredential, DeveloperToolsCredential, ManagedIdentityCredential, WorkloadIdentityCredential,
};

/// Makes a credential if the environment has what it needs.
type Make = fn() -> azure_core::Result<Arc<dyn TokenCredential>>;

/// Every credential, in the order in which they are tried.
const CREDENTIALS: &[(&str, Make)] = &[
    ("AZURE_CLIENT_SECRET", client_secret),
    ("workload identity", || Ok(WorkloadIdentityCredential::new(None)?)),
    ("managed identity", || Ok(ManagedIdentityCredential::new(None)?)),
    ("developer tools", || Ok(DeveloperToolsCredential::new(None)?)),
];

fn client_secret() -> azure_core::Result<Arc<dyn TokenCredential>> {
    let variable = |name: &str| {
        env::var(name).map_err(|_| Error::with_message(ErrorKind::Credential, format!("`{name}` is not set")))
    };
    let secret = Secret::new(variable("AZURE_CLIENT_SECRET")?);
    let (tenant, client) = (variable("AZURE_TENANT_ID")?, variable("AZURE_CLIENT_ID")?);
    Ok(ClientSecretCredential::new(&tenant, client, secret, None)?)
}

/// The first of the environment's credentials that gives a token; the choice is kept.
pub(super) fn of_environment() -> Arc<dyn TokenCredential> {
    Arc::new(Chain::default())
}

#[derive(Debug, Default)]
struct Chain {
    chosen: OnceLock<Arc<dyn TokenCredential>>,
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(chosen) = self.chosen.get() {
            return chosen.get_token(scopes, options).await;
        }
        let mut faults = Vec::new();
        for (name, make) in CREDENTIALS {
            let credential = match make() {
                Ok(credential) => credential,
                Err(error) => {
                    faults.push(format!("{name}: {error}"));
                    continue;
                }
            };
            match credential.get_token(scopes, options.clone()).await {
                Ok(token) => {
                    tracing::debug!(credential = name, "Azure credential chosen");
                    return Ok(self.chosen.set(credential).map_or(token.clone(), |()| token));
                }
                Err(error) => faults.push(format!("{name}: {error}")),
            }
        }
        Err(Error::with_message(ErrorKind::Credential, format!("no credentials ({})", faults.join("; "))))
    }
}
