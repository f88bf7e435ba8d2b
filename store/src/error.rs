//! Why a store refused.

use std::{error::Error, io};

/// Why a store refused; the variants are decisions a caller takes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No object at that key.
    #[error("no object `{0}`")]
    NotFound(String),
    /// A create-only put found the key taken, or a conditional call found another etag.
    #[error("precondition failed for `{0}`")]
    Precondition(String),
    /// The key would leave the store or cannot be represented.
    #[error("key `{0}` is not allowed")]
    BadKey(String),
    /// The object lies in an archive class: reads need a restore first.
    #[error("`{0}` is archived and must be restored before it can be read")]
    Archived(String),
    /// A restore of it is under way: wait for that one.
    #[error("`{0}` is being restored already")]
    RestoreInProgress(String),
    /// No expedited restore can be had now (or ever, of this class): take a slower one or try later.
    #[error("`{0}` cannot be restored fast now\nhint: take the speed `standard`")]
    NoExpedited(String),
    /// A lock or a legal hold is on the object, or a lock would become shorter.
    #[error("`{key}` is locked: {why}")]
    Locked {
        /// Key that was asked for.
        key: String,
        /// What the provider says.
        why: String,
    },
    /// The store has no such operation.
    #[error("the store of `{key}` has no {what}")]
    Unsupported {
        /// Key that was asked for.
        key: String,
        /// The operation.
        what: &'static str,
    },
    /// The store has no such storage class, or none at all.
    #[error("the store of `{key}` has no storage class `{class}`")]
    NoClass {
        /// Key that was asked for.
        key: String,
        /// Class that was asked for.
        class: String,
    },
    /// The credentials are missing, expired or do not suffice. Trying again does not help; nothing is
    /// wrong with the object.
    #[error("access to `{key}` denied: {why}\nhint: check the credentials and their permissions")]
    Denied {
        /// Key that was asked for.
        key: String,
        /// What the provider says.
        why: String,
    },
    /// The store asks for patience, after all repeats.
    #[error("store is overloaded at `{key}`: {why}")]
    Throttled {
        /// Key that was asked for.
        key: String,
        /// What the provider says.
        why: String,
    },
    /// The store cannot be used as configured.
    #[error("cannot use the store: {0}")]
    Config(String),
    /// Anything else; the source says what.
    #[error("store failed at `{key}`: {source}")]
    Failed {
        /// Key that was asked for.
        key: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// Anything else than a decision.
    pub(crate) fn failed(key: &str, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { key: key.to_owned(), source: io::Error::other(why) }
    }

    /// What an HTTP status means at every provider; `why` is what the provider says.
    pub(crate) fn of_status(key: &str, status: Option<u16>, why: String) -> Self {
        let key = key.to_owned();
        match status {
            Some(404) => Self::NotFound(key),
            Some(409 | 412) => Self::Precondition(key),
            Some(401 | 403) => Self::Denied { key, why },
            Some(429 | 503) => Self::Throttled { key, why },
            _ => Self::Failed { key, source: io::Error::other(why) },
        }
    }
}

/// An error with its causes on one line; SDKs put what matters at the end of the chain.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
