//! Feeds: where logs come from.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::checks::Checks;
use crate::located::Located;
use crate::place::{LocalPath, Place};
use crate::secret::SecretRef;
use crate::values::{DurationText, HttpUrl, ListenAddress, Name};

/// The archive of feeds that name none.
pub const DEFAULT_ARCHIVE: &str = "default";
/// The source of feeds that name none: each object is recognised by its path and content.
pub const AUTO_SOURCE: &str = "auto";

/// One stream of logs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Name of the feed, unique.
    pub name: Located<Name>,
    /// What the logs are, such as `aws.cloudtrail`; `auto` (the default) recognises them.
    pub source: Option<Located<String>>,
    /// Which of `archives` keeps the raw logs; `default` when left out.
    pub archive: Option<Located<Name>>,
    /// Where the logs come from.
    pub from: FeedFrom,
    /// What is normal for this feed; anything else raises an alert.
    #[serde(default)]
    pub expect: Expect,
}

/// A transport: one variant and one struct each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedFrom {
    /// A folder, read again for what is new.
    Files(Located<LocalPath>),
    /// A bucket of S3.
    S3(S3Feed),
    /// A container of Azure Blob Storage.
    AzureBlob(AzureBlobFeed),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsFeed),
    /// Topics of Kafka or of Azure Event Hubs.
    Kafka(KafkaFeed),
    /// A syslog listener.
    Syslog(SyslogFeed),
}

/// A bucket of S3.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Feed {
    /// Bucket.
    pub bucket: String,
    /// Only keys that start with it.
    #[serde(default)]
    pub prefix: String,
    /// URL of the SQS queue that is told of new objects; without it the bucket is listed.
    pub queue: Option<HttpUrl>,
    /// Role to take on for this bucket.
    pub assume_role: Option<AssumeRole>,
}

/// A role of AWS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssumeRole {
    /// ARN of the role.
    pub arn: String,
    /// External id that the role asks for.
    pub external_id: Option<SecretRef>,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureBlobFeed {
    /// Storage account.
    pub account: String,
    /// Container.
    pub container: String,
    /// Only blobs whose names start with it.
    #[serde(default)]
    pub prefix: String,
    /// Storage queue of the same account that is told of new blobs; without it the container is listed.
    pub queue: Option<String>,
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcsFeed {
    /// Bucket.
    pub bucket: String,
    /// Only objects whose names start with it.
    #[serde(default)]
    pub prefix: String,
    /// Pub/Sub subscription that is told of new objects; without it the bucket is listed.
    pub subscription: Option<String>,
}

/// Topics of Kafka or of Azure Event Hubs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaFeed {
    /// `host:port` of the brokers to begin with.
    pub brokers: Vec<String>,
    /// Topics to read.
    pub topics: Vec<String>,
    /// Consumer group.
    pub group: String,
    /// Credentials.
    pub sasl: Option<Sasl>,
}

/// Credentials for SASL.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// User.
    pub username: String,
    /// Password.
    pub password: SecretRef,
}

/// A syslog listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyslogFeed {
    /// Address to listen on.
    pub listen: ListenAddress,
    /// Certificate to serve TLS with.
    pub tls: Option<Tls>,
}

/// Files of a server certificate, in PEM.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and its chain.
    pub cert: LocalPath,
    /// Its private key.
    pub key: LocalPath,
}

/// What is normal for a feed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Most time between an event and its arrival.
    pub lag: Option<DurationText>,
    /// Most time without any event.
    pub silence: Option<DurationText>,
}

impl Feed {
    /// What the logs are; [`AUTO_SOURCE`] when the feed does not say.
    pub fn source(&self) -> &str {
        self.source.as_ref().map_or(AUTO_SOURCE, |source| source.value.as_str())
    }

    /// Which archive keeps the raw logs.
    pub fn archive(&self) -> &str {
        self.archive.as_ref().map_or(DEFAULT_ARCHIVE, |archive| archive.value.as_str())
    }
}

impl FeedFrom {
    /// The bucket that the feed reads, as a whole, and what the keys it takes start with; `None` for
    /// what is no bucket.
    pub fn bucket(&self) -> Option<(Place, &str)> {
        let prefix = String::new();
        Some(match self {
            Self::S3(from) => (Place::S3 { bucket: from.bucket.clone(), prefix }, &from.prefix),
            Self::AzureBlob(from) => {
                let (account, container) = (from.account.clone(), from.container.clone());
                (Place::Azure { account, container, prefix }, &from.prefix)
            }
            Self::Gcs(from) => (Place::Gcs { bucket: from.bucket.clone(), prefix }, &from.prefix),
            Self::Files(_) | Self::Kafka(_) | Self::Syslog(_) => return None,
        })
    }
}

/// Names are unique, archives exist, lists have entries.
pub(crate) fn check(feeds: &[Feed], archives: &[&str], checks: &mut Checks<'_>) {
    checks.unique("feed", feeds.iter().map(|feed| (feed.name.value.as_str(), feed.name.span)));
    for feed in feeds {
        if let Some(archive) = &feed.archive {
            checks.known("archive", archive, archives);
        }
        if let FeedFrom::Kafka(kafka) = &feed.from {
            for (key, list) in [("brokers", &kafka.brokers), ("topics", &kafka.topics)] {
                if list.is_empty() {
                    let name = feed.name.value.as_str();
                    checks.refuse(feed.name.span, name, format!("the feed `{name}` has no `{key}`"), None);
                }
            }
        }
    }
}
