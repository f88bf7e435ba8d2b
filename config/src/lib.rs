//! Configuration of linchpin.
//!
//! `linchpin.yaml` becomes a [`Config`] in which every value has its type and has been checked, or
//! [`Diagnostics`] that name each fault with `file:line:col`, the offending text and a hint. Secrets are
//! given by reference only ([`SecretRef`]); a [`Secret`] cannot be printed. [`parse`] is the strict YAML
//! reader beneath, for other files of the same kind.

mod checks;
mod context;
mod diagnostic;
mod entries;
mod feeds;
mod limits;
mod located;
mod outputs;
mod place;
mod retention;
mod root;
mod secret;
mod stores;
mod values;
mod yaml;

#[cfg(test)]
mod tests;

pub use context::{Account, ContextFiles, DataRule, IdentityRule, Inventory, RECORDS_MAX};
pub use diagnostic::{Diagnostic, Diagnostics, SourceText, Span, nearest, suggestion};
pub use entries::Entries;
pub use feeds::{
    AUTO_SOURCE, AssumeRole, AzureBlobFeed, DEFAULT_ARCHIVE, Expect, Feed, FeedFrom, GcsFeed, KafkaFeed,
    S3Feed, Sasl, SyslogFeed, Tls,
};
pub use limits::{Flush, Limits};
pub use located::Located;
pub use outputs::{Batch, HttpOutput, NdjsonTarget, Output, OutputTo, Shape, SplunkHecOutput};
pub use place::{LocalPath, Place};
pub use retention::{ArchiveTiers, Lock, Preset, Regulation, Retention, RetentionClass, Rule, StorageClass};
pub use root::{Api, Config, ConfigError, Signing, read_file, schema};
pub use secret::{Secret, SecretError, SecretRef, TextOrSecret};
pub use stores::{AzureStore, GcsStore, S3Store, Stores};
pub use values::{ByteSize, DurationText, HttpUrl, ListenAddress, Name, ValueError};
pub use yaml::{FILE_BYTES_MAX, parse};
