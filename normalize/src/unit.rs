//! What a source hands over: bytes with an identity, and what is known about their delivery.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Largest unit in bytes (inflated). A larger object is cut at record boundaries into parts.
pub const UNIT_BYTES_MAX: usize = 64 << 20;

/// Largest event in bytes. A longer record is archived, but its table row is only a reference.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// Identity of a unit, independent of the feed that found it.
///
/// `object` names one version of one source object, for example
/// `s3://bucket/key#etag,size` or `file:///var/log/a.json#size,mtime_ns`.
/// `start` and `end` are offsets in its inflated bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitId {
    /// One version of one source object.
    pub object: Arc<str>,
    /// First byte (inflated).
    pub start: u64,
    /// One past the last byte (inflated).
    pub end: u64,
}

impl UnitId {
    /// The look-up key: a hash of the object and the start, not of the end, so that a unit that
    /// was seen shorter (a truncated or growing object) gives the same events the same ids.
    pub fn key(&self) -> UnitKey {
        let mut hash = Sha256::new();
        hash.update(self.object.as_bytes());
        hash.update([0]);
        hash.update(self.start.to_le_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        UnitKey(key)
    }
}

/// First 16 bytes of SHA-256 over a unit's object and start; shown as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitKey(pub [u8; 16]);

impl fmt::Display for UnitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Bits of an [`EventId`] that hold the event's offset in its unit (256 MiB).
const OFFSET_BITS: u32 = 28;
/// Bits of an [`EventId`] that hold the sub-index (a million rows an event).
pub const SUB_BITS: u32 = 20;

/// Name of one row: 112 bits of the unit's hash, then 28 bits of offset, then 20 bits of sub-index.
///
/// Shown as 40 hex digits. The hashed part repeats for every event of a unit, so the column costs
/// a few bytes an event in a compressed table instead of sixteen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId([u8; 20]);

impl EventId {
    /// The id of row `sub` of the event that starts at byte `offset` of the unit.
    pub fn new(unit: UnitKey, offset: u32, sub: u32) -> Self {
        debug_assert!(offset < 1 << OFFSET_BITS && sub < 1 << SUB_BITS);
        let place = (u64::from(offset) << SUB_BITS) | u64::from(sub);
        let mut id = [0; 20];
        id[..14].copy_from_slice(&unit.0[..14]);
        id[14..].copy_from_slice(&place.to_be_bytes()[2..]);
        Self(id)
    }

    /// The 40 hex digits, without allocation.
    pub fn hex(self) -> [u8; 40] {
        let mut out = [0; 40];
        hex_into(&self.0, &mut out);
        out
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Writes `bytes` as lower-case hex into `out`, which is twice as long.
pub fn hex_into(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, b) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(b >> 4)];
        pair[1] = DIGITS[usize::from(b & 15)];
    }
}

/// Something the delivery of an object lacked; recorded in the ledger, never silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The compressed stream ends early; whole events before the cut are kept.
    Truncated,
    /// Bytes after the end of the compressed stream, not decodable (count).
    TrailingGarbage(u64),
    /// The compressed stream is damaged (a code or a checksum does not fit): what was decoded up to
    /// there is kept, this many delivered bytes after it are not decoded.
    Corrupt(u64),
    /// Inflating was stopped by a named limit (which one).
    Quarantined(&'static str),
    /// The object was announced or listed, but could not be read (why).
    Missing(String),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("truncated"),
            Self::TrailingGarbage(n) => write!(f, "trailing garbage: {n} bytes"),
            Self::Corrupt(n) => write!(f, "corrupt: {n} bytes not decoded"),
            Self::Quarantined(limit) => write!(f, "quarantined: {limit}"),
            Self::Missing(why) => write!(f, "missing: {why}"),
        }
    }
}

/// What was delivered, before it was inflated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivered {
    /// SHA-256 of the object as delivered (compressed); known at its last part.
    pub sha256: Option<[u8; 32]>,
    /// Size as delivered, in bytes.
    pub bytes: u64,
}

/// Bytes of one source object, or of a part of it cut at record boundaries, and their identity.
#[derive(Debug, Clone)]
pub struct RawUnit {
    /// Identity, known to the ledger once committed.
    pub id: UnitId,
    /// Name of the feed that found it.
    pub feed: Arc<str>,
    /// Key of the delivered object within its store (`rehydrate --object`; recognition by path).
    pub key: Arc<str>,
    /// Source name of the configuration, or `None` to recognise it by path and content.
    pub source: Option<Arc<str>>,
    /// Inflated bytes, at most [`UNIT_BYTES_MAX`] plus one event.
    pub bytes: Bytes,
    /// What an earlier part of the same object said that is needed to read this one.
    pub carry: Carry,
    /// When the object was written (its modification time), epoch milliseconds: the time of
    /// events that do not say their own.
    pub received_ms: i64,
    /// The object as delivered.
    pub delivered: Delivered,
    /// What was wrong with the delivery.
    pub gaps: Vec<Gap>,
}

/// Framing state that a later part of an object inherits from the earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carry {
    /// The part starts inside a JSON array (after an element).
    pub in_array: bool,
    /// Objects outside arrays are events of their own: none of them is an envelope.
    pub plain: bool,
    /// Header lines or envelope that the events' meaning depends on.
    pub context: Bytes,
    /// Source recognised at the first part, so that one object never flips between two.
    pub source: Option<Arc<str>>,
}
