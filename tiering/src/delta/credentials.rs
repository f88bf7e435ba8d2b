//! Credentials for the tables' client from where the clouds' own SDKs find theirs, so that archives
//! and tables of one bucket are reached as the same user.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::{CredentialProvider, Error, Result, aws::AwsCredential};
use tokio::sync::Mutex;

/// Keys are fetched again when so much of their life is left at most; a fifth of it for short ones.
const RENEW_BEFORE: Duration = Duration::from_mins(10);

/// What the AWS SDK finds in its environment: settings, and keys that are renewed in time.
pub(super) struct Aws {
    config: SdkConfig,
}

impl Aws {
    pub(super) async fn load() -> Self {
        Self { config: aws_config::load_from_env().await }
    }

    /// The region of the environment or of the profile.
    pub(super) fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// The address of the service, if the environment gives one.
    pub(super) fn endpoint(&self) -> Option<String> {
        let of_service = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|endpoint| !endpoint.is_empty());
        of_service.or_else(|| self.config.endpoint_url().map(str::to_owned))
    }

    /// The keys of the SDK's chain.
    pub(super) fn keys(&self) -> Option<Arc<Keys>> {
        let provider = self.config.credentials_provider()?;
        Some(Arc::new(Keys { provider, held: Mutex::new(None) }))
    }
}

/// Keys of the SDK's chain, held while they are fresh.
pub(super) struct Keys {
    provider: SharedCredentialsProvider,
    held: Mutex<Option<Held>>,
}

struct Held {
    keys: Arc<AwsCredential>,
    renew: Option<SystemTime>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        let now = SystemTime::now();
        if let Some(fresh) = held.as_ref().filter(|held| held.renew.is_none_or(|renew| now < renew)) {
            return Ok(Arc::clone(&fresh.keys));
        }
        let found = self.provider.provide_credentials().await;
        let found = found.map_err(|error| Error::Unauthenticated {
            path: "credentials".to_owned(),
            source: error.into(),
        })?;
        let keys = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        let renew = found.expiry().map(|expiry| renew_at(now, expiry));
        *held = Some(Held { keys: Arc::clone(&keys), renew });
        Ok(keys)
    }
}

fn renew_at(now: SystemTime, expiry: SystemTime) -> SystemTime {
    let life = expiry.duration_since(now).unwrap_or_default();
    expiry - RENEW_BEFORE.min(life / 5)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use aws_credential_types::{Credentials, provider::future};

    use super::*;

    /// Gives other keys each time, which live for so long.
    #[derive(Debug)]
    struct Turning(AtomicU32, Duration);

    impl ProvideCredentials for Turning {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let n = self.0.fetch_add(1, Relaxed);
            let expiry = SystemTime::now() + self.1;
            future::ProvideCredentials::ready(Ok(Credentials::new(
                n.to_string(),
                "s",
                None,
                Some(expiry),
                "test",
            )))
        }
    }

    #[tokio::test]
    async fn keys_are_held_while_they_are_fresh() {
        for (life, fetched) in [(Duration::from_hours(1), 1), (Duration::ZERO, 3)] {
            let provider = SharedCredentialsProvider::new(Turning(AtomicU32::new(0), life));
            let keys = Keys { provider, held: Mutex::new(None) };
            let mut last = String::new();
            for _ in 0..3 {
                last.clone_from(&keys.get_credential().await.unwrap().key_id);
            }
            assert_eq!(last, (fetched - 1).to_string());
            assert_eq!(format!("{keys:?}"), "Keys(***)");
        }
    }

    #[test]
    fn keys_are_renewed_before_they_expire() {
        let now = SystemTime::now();
        let renew = |minutes| {
            renew_at(now, now + Duration::from_mins(minutes)).duration_since(now).unwrap().as_secs() / 60
        };
        assert_eq!((renew(720), renew(60), renew(15)), (710, 50, 12));
    }
}
