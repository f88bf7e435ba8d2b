//! What the ledger says: facts, never changed once committed.

use jiff::civil::Date;
use linchpin_normalize::UnitKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Start of the unit that stands for "all parts of this object are consumed".
///
/// An object that may have several parts is known by it: that its first part is consumed does not
/// say so, as a crash may have come between two parts.
pub const COMPLETE_START: u64 = i64::MAX as u64;

/// One statement of the ledger. Ids are strings that other parts chose; the ledger does not read
/// meaning into them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// An archive object exists and holds events.
    SegmentCreated(SegmentFact),
    /// A unit is in the archive; it is never taken again.
    UnitConsumed(UnitFact),
    /// Hot rows of a retention class and an event day were dropped: only the archive has them.
    HotExpired {
        /// Retention class.
        #[serde(rename = "retention")]
        class: String,
        /// Event day.
        #[serde(with = "text")]
        day: Date,
    },
    /// A segment's bytes are (also) somewhere else now: that is where they are read from.
    Repacked(RepackedFact),
    /// The object that holds a segment lies in another storage class now.
    Moved {
        /// Segment id.
        segment: String,
        /// The class, in the provider's word.
        tier: String,
    },
    /// The object that a segment has moved away from is gone.
    Freed {
        /// Segment id.
        segment: String,
        /// Name of that object's store.
        store: String,
        /// Key of that object.
        object: String,
    },
    /// The archived object that holds a segment can be read until a time.
    Restored {
        /// Segment id.
        segment: String,
        /// Until when, epoch milliseconds.
        until_ms: i64,
        /// Job that asked for it.
        job: String,
    },
    /// A legal hold keeps these segments. A case may have several of these facts; what they name adds
    /// up until the case is released.
    Held(HeldFact),
    /// A case keeps nothing any more.
    Released {
        /// Case.
        case: String,
        /// Why.
        reason: String,
        /// Who says so.
        by: String,
    },
    /// A segment was moved to where an output that has not passed it cannot read it at once: a replay
    /// has to restore it first.
    OutputGap {
        /// Output.
        output: String,
        /// Segment id.
        segment: String,
    },
    /// Hot rows of a period were made again from the archive.
    HotRebuilt(HotRebuiltFact),
    /// A segment is due for deletion; the waiting time starts.
    Tombstoned {
        /// Segment id.
        segment: String,
        /// What makes it due, signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// A segment's object was deleted.
    Deleted {
        /// Segment id.
        segment: String,
        /// What was deleted and why, signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// A policy was applied: deletion may run under it.
    Applied(AppliedFact),
    /// A worker is gone and its lanes are drained.
    WorkerClosed {
        /// Worker id.
        worker: String,
    },
    /// A kind that a newer version wrote; kept as it is, including its `kind`.
    #[serde(untagged)]
    Unknown(Map<String, Value>),
}

/// One archive object, as it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFact {
    /// Segment id; unique, never used again.
    #[serde(rename = "segment")]
    pub id: String,
    /// Key of the object in its store.
    pub object: String,
    /// Name of the store.
    pub store: String,
    /// Storage class it was put with, in the provider's word.
    pub tier: String,
    /// Retention class.
    pub retention: String,
    /// Feeds of its events.
    #[serde(default)]
    pub feeds: Vec<String>,
    /// Sources of its events.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Worker that wrote it.
    pub worker: String,
    /// Epoch of that worker; all segments of an epoch share it. Grows by one.
    pub seq: u64,
    /// Earliest event time, epoch milliseconds.
    pub time_min_ms: i64,
    /// Latest event time, epoch milliseconds.
    pub time_max_ms: i64,
    /// Raw events.
    pub events: u64,
    /// Rows of those events.
    pub rows: u64,
    /// Bytes of the raw events.
    pub raw_bytes: u64,
    /// Bytes of the object.
    pub stored_bytes: u64,
    /// SHA-256 of the object.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    /// Merkle root over the events' hashes.
    #[serde(with = "hex")]
    pub merkle_root: [u8; 32],
    /// Root of the worker's segment before this one; zeros for its first.
    #[serde(with = "hex")]
    pub prev_root: [u8; 32],
}

/// One unit, as it was consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFact {
    /// Look-up key of the unit's identity.
    #[serde(rename = "unit_key", with = "unit_key")]
    pub key: UnitKey,
    /// Source object of the identity.
    pub object: String,
    /// First byte of the object (inflated).
    #[serde(rename = "unit_start")]
    pub start: u64,
    /// One past the last byte (inflated).
    #[serde(rename = "unit_end")]
    pub end: u64,
    /// Feed that found it.
    pub feed: String,
    /// Source that was recognised.
    pub source: String,
    /// Key of the delivered object within its store.
    pub delivered_key: String,
    /// SHA-256 of the delivered object, known at its last part.
    #[serde(default, with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub delivered_sha256: Option<[u8; 32]>,
    /// Size of the delivered object in bytes.
    pub delivered_bytes: u64,
    /// When the source object was written, epoch milliseconds.
    pub received_ms: i64,
    /// Latest event time, epoch milliseconds; the receipt time if there is no event.
    pub time_max_ms: i64,
    /// Segment that holds the unit's residue; empty for a unit without events.
    pub segment: String,
    /// All segments that hold events of the unit.
    pub segments: Vec<String>,
    /// Raw events.
    pub events: u64,
    /// Rejects found while normalising.
    pub rejects: u64,
    /// What the delivery lacked.
    #[serde(default)]
    pub gaps: Vec<String>,
}

/// Where the bytes of a segment are since they were repacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepackedFact {
    /// Segment id.
    pub segment: String,
    /// Name of the store.
    pub store: String,
    /// Key of the pack.
    pub object: String,
    /// First byte of the segment in it.
    pub offset: u64,
    /// Bytes of the segment, which may have been encoded again.
    pub stored_bytes: u64,
    /// SHA-256 of those bytes.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    /// Storage class of the pack, in the provider's word.
    pub tier: String,
}

/// A legal hold, or more of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFact {
    /// Case.
    pub case: String,
    /// What is asked for.
    pub predicate: String,
    /// Event times from here on, epoch milliseconds; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Event times before this, epoch milliseconds; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// Segments that hold, or could hold, what is asked for.
    pub segments: Vec<String>,
    /// Segments committed up to here were looked at, epoch milliseconds. Later ones are kept if their
    /// times fit, until somebody has looked.
    pub looked_ms: i64,
    /// Who says so.
    pub by: String,
}

/// Hot rows that were made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotRebuiltFact {
    /// Which rows.
    pub predicate: String,
    /// Their source, if only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Event times from here on, epoch milliseconds.
    pub from_ms: i64,
    /// Event times before this, epoch milliseconds.
    pub to_ms: i64,
    /// How many rows.
    pub rows: u64,
    /// Who asked for it.
    pub by: String,
}

/// A statement and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Exactly what was signed: JSON.
    pub statement: String,
    /// Public key, hex digits.
    pub key: String,
    /// Ed25519 signature over the bytes of the statement, hex digits.
    pub signature: String,
}

/// A policy that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedFact {
    /// SHA-256 of its text.
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    /// Its text.
    pub policy: String,
    /// Who applied it.
    pub who: String,
    /// The same, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Kinds that this version reads; a row of another kind is kept, but means nothing here.
const KINDS: &[&str] = &[
    "segment_created",
    "unit_consumed",
    "hot_expired",
    "repacked",
    "moved",
    "freed",
    "restored",
    "held",
    "released",
    "output_gap",
    "hot_rebuilt",
    "tombstoned",
    "deleted",
    "applied",
    "worker_closed",
];

impl Fact {
    /// A fact from its JSON. A known kind in a form that is not known is an error: to read over it
    /// could lose a segment.
    pub(super) fn from_json(object: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let kind = object.get("kind").and_then(Value::as_str).map(str::to_owned);
        match serde_json::from_value(Value::Object(object))? {
            Self::Unknown(_) if kind.as_deref().is_some_and(|k| KINDS.contains(&k)) => {
                let kind = kind.unwrap_or_default();
                Err(serde::de::Error::custom(format!("fact of kind `{kind}` has a form that is not known")))
            }
            fact => Ok(fact),
        }
    }

    /// The unit that this fact consumes.
    pub fn unit(&self) -> Option<UnitKey> {
        match self {
            Self::UnitConsumed(unit) => Some(unit.key),
            _ => None,
        }
    }
}

/// Serde of what has a text form.
mod text {
    use std::{borrow::Cow, fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        input: D,
    ) -> Result<T, D::Error> {
        Cow::<str>::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

/// Serde of a unit's look-up key.
mod unit_key {
    use linchpin_normalize::UnitKey;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &UnitKey, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<UnitKey, D::Error> {
        super::hex::deserialize(input).map(UnitKey)
    }
}

/// Serde of hashes as hex digits.
pub(super) mod hex {
    use std::borrow::Cow;

    use linchpin_normalize::unit::hex_into;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn show(bytes: &[u8]) -> String {
        let mut out = vec![0; bytes.len() * 2];
        hex_into(bytes, &mut out);
        out.into_iter().map(char::from).collect()
    }

    /// The bytes of exactly `2 * N` hex digits.
    pub(in super::super) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
        let text = text.as_bytes();
        if text.len() != N * 2 {
            return None;
        }
        let mut out = [0; N];
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(out)
    }

    pub(super) fn serialize<const N: usize, S: Serializer>(
        bytes: &[u8; N],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&show(bytes))
    }

    pub(super) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        input: D,
    ) -> Result<[u8; N], D::Error> {
        let text = Cow::<str>::deserialize(input)?;
        parse(&text).ok_or_else(|| D::Error::custom("not a hash in hex digits"))
    }
}

/// The same where the hash may be missing.
mod hex_option {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(super) fn serialize<const N: usize, S: Serializer>(
        bytes: &Option<[u8; N]>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => super::hex::serialize(bytes, out),
            None => out.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        let text = Option::<Cow<str>>::deserialize(input)?;
        text.map(|t| super::hex::parse(&t).ok_or_else(|| D::Error::custom("not a hash in hex digits")))
            .transpose()
    }
}
