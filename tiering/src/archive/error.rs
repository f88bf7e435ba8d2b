use std::borrow::Cow;

use linchpin_store::StoreError;

/// Why a segment could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The object store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object does not end as a segment does.
    #[error("`{0}` is not a segment\nhint: segments end with `LPSEGEND`")]
    NotASegment(String),
    /// A segment of a format or codec that this program does not know.
    #[error("`{key}` has {what} {found}\nhint: read it with a newer linchpin")]
    Unsupported {
        /// Key of the segment.
        key: String,
        /// `format version` or `codec`.
        what: &'static str,
        /// What it says.
        found: u32,
    },
    /// The bytes contradict themselves, a checksum or a limit.
    #[error("`{key}` is damaged in {place}: {what}")]
    Damaged {
        /// Key of the segment, or its id where it has no key yet.
        key: String,
        /// Which part: `footer`, `block 3`, `units frame 0`, `residue of unit 7`.
        place: String,
        /// What is wrong.
        what: Cow<'static, str>,
    },
    /// The segment has no such block, row or unit.
    #[error("`{key}` has no {what} {index}")]
    OutOfRange {
        /// Key of the segment.
        key: String,
        /// `block`, `row` or `unit`.
        what: &'static str,
        /// The number asked for.
        index: u64,
    },
    /// Something handed to the writer is above a limit or does not fit what it belongs to.
    #[error("cannot archive {what} {value}: the limit is {limit}")]
    Limit {
        /// What was too large, with its unit.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The greatest value allowed.
        limit: u64,
    },
    /// A residue and the events it orders do not belong together.
    #[error("cannot rebuild unit: {0}")]
    Rebuild(Cow<'static, str>),
    /// The zstd library failed (in practice: out of memory).
    #[error("zstd failed: {0}")]
    Compress(#[source] std::io::Error),
    /// Metadata could not be written as JSON.
    #[error("metadata failed: {0}")]
    Metadata(#[source] serde_json::Error),
}

/// What is wrong with some bytes, before it is known whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(pub(super) Cow<'static, str>);

impl Fault {
    /// Names the segment and the part that the bytes belong to.
    pub(super) fn at(self, key: &str, place: impl Into<String>) -> ArchiveError {
        ArchiveError::Damaged { key: key.to_owned(), place: place.into(), what: self.0 }
    }
}

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self(Cow::Owned(what))
    }
}

/// Refuses a value above its limit.
pub(super) fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), ArchiveError> {
    if value <= limit {
        return Ok(());
    }
    Err(ArchiveError::Limit { what, value: value as u64, limit: limit as u64 })
}
