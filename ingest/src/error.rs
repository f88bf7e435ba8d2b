//! What can go wrong while units are fetched; each variant is a decision for the caller.

use std::{io, sync::Arc};

/// Why something could not be listed or read.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The place a source lists cannot be read at all: the feed waits, alerts and tries again.
    #[error("cannot list `{place}`: {source}; hint: check that it exists and may be read")]
    List {
        /// Folder, bucket or queue.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The object was announced or listed, but is not there or may not be read: record the gap
    /// ([`crate::missing_unit`]) and go on.
    #[error("cannot open `{object}`: {why}")]
    Missing {
        /// Identity of the object.
        object: Arc<str>,
        /// What the system said.
        why: String,
    },
    /// The object is no longer the version that was listed: leave it, the next pass finds the new one.
    #[error("`{object}` changed while it was read")]
    Changed {
        /// Identity of the version that was listed.
        object: Arc<str>,
    },
    /// Reading broke off: fetch the object again.
    #[error("cannot read `{object}`: {source}")]
    Read {
        /// Identity of the object.
        object: Arc<str>,
        /// What the system said.
        source: io::Error,
    },
}
