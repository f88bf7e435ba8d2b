//! What a segment says about itself: header, units, footer, and the checks a footer must pass.

use bytes::Bytes;
use linchpin_normalize::unit::{RawUnit, UnitId};
use serde::{Deserialize, Serialize};

use super::{
    BLOCK_BYTES_MAX, BLOCK_CONTENT_MAX, BLOCK_EVENTS_MAX, CODEC_RAW, EVENTS_MAX, FORMAT_VERSION,
    FRAME_STORED_MAX, UNITS_MAX, UNITS_PER_FRAME, error::Fault,
};

/// Who made a segment, and where it stands in its worker's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentHeader {
    /// Worker id (ULID).
    pub worker: String,
    /// The segment's number among its worker's segments.
    pub seq: u64,
    /// Retention class; the first component of the object's key.
    pub class: String,
    /// Name of the archive (store) it was made for.
    pub archive: String,
    /// Merkle root of the worker's previous segment; `None` for its first.
    #[serde(with = "hex_or_null")]
    pub previous_root: Option<[u8; 32]>,
    /// Time of the commit, epoch milliseconds; its day is part of the key.
    pub commit_ms: i64,
    /// The retention policy that chose the class.
    pub policy: PolicyRef,
}

/// Name and hash of the retention policy that was in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// Hash of its text, as the policy module gives it.
    pub hash: String,
}

/// The JSON of the header frame, repeated in the footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeaderFrame {
    pub(super) format: u32,
    pub(super) codec: u32,
    /// Version of the program that wrote it.
    pub(super) linchpin: String,
    #[serde(flatten)]
    pub(super) segment: SegmentHeader,
}

impl HeaderFrame {
    pub(super) fn new(segment: SegmentHeader) -> Self {
        let linchpin = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT_VERSION, codec: CODEC_RAW, linchpin, segment }
    }
}

/// A frame's place in its segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// First byte.
    pub offset: u64,
    /// Length in bytes, with the frame's head.
    pub length: u32,
    /// XXH3-64 of those bytes, 16 hex digits.
    pub xxh3: String,
}

impl Place {
    /// One past its last byte.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }

    /// It must end at or before `frames_end`, and be no longer than any frame.
    pub(super) fn check(&self, frames_end: u64) -> Result<(), Fault> {
        if self.end() > frames_end || self.length as usize > FRAME_STORED_MAX {
            return Err("a frame's place is impossible".into());
        }
        Ok(())
    }
}

/// One unit that has events or its residue in the segment.
///
/// `context`, the delivered facts, `gaps` and `events_total` are known when the unit ends: fill them
/// in through [`crate::archive::SegmentBuilder::unit_mut`] before the segment is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitMeta {
    /// Identity: one version of one source object.
    pub object: String,
    /// First byte of the unit in the inflated object.
    pub start: u64,
    /// One past its last byte.
    pub end: u64,
    /// Feed that found it.
    pub feed: String,
    /// Key of the delivered object within its store.
    pub key: String,
    /// Source that was recognised.
    pub source: String,
    /// When the object was written, epoch milliseconds.
    pub received_ms: i64,
    /// Header lines or envelope needed to parse one event by itself; base64 in JSON.
    #[serde(with = "base64_bytes")]
    pub context: Bytes,
    /// SHA-256 of the object as delivered, where known.
    #[serde(with = "hex_or_null")]
    pub delivered_sha256: Option<[u8; 32]>,
    /// Size of the object as delivered, in bytes.
    pub delivered_bytes: u64,
    /// What the delivery lacked, in words.
    pub gaps: Vec<String>,
    /// Its events in this segment; counted by the builder.
    pub events: u32,
    /// Its events in all classes.
    pub events_total: u32,
    /// Where its residue is, if this segment carries it; set by the builder.
    pub residue: Option<Place>,
}

impl UnitMeta {
    /// The identity that ledger look-ups and event ids are made from.
    pub fn id(&self) -> UnitId {
        UnitId { object: self.object.as_str().into(), start: self.start, end: self.end }
    }
}

/// What a unit says before it is normalised: `context`, `events_total` and a recognised `source` follow.
impl From<&RawUnit> for UnitMeta {
    fn from(unit: &RawUnit) -> Self {
        Self {
            object: unit.id.object.to_string(),
            start: unit.id.start,
            end: unit.id.end,
            feed: unit.feed.to_string(),
            key: unit.key.to_string(),
            source: unit.source.as_deref().unwrap_or_default().to_owned(),
            received_ms: unit.received_ms,
            delivered_sha256: unit.delivered.sha256,
            delivered_bytes: unit.delivered.bytes,
            gaps: unit.gaps.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }
}

/// One block in the footer's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEntry {
    /// First byte of the block's frame in the segment.
    pub offset: u64,
    /// Length of the block's frame in bytes.
    pub stored: u32,
    /// Length of the index frame that follows it, in bytes.
    pub index: u32,
    /// Inflated bytes: the events and one newline each.
    pub content: u32,
    /// Row of its first event.
    pub first_row: u32,
    /// Number of its events, at least one.
    pub events: u32,
    /// Index into the footer's `feeds`.
    pub feed: u32,
    /// Index into the footer's `sources`.
    pub source: u32,
    /// Earliest event, epoch milliseconds.
    pub time_min_ms: i64,
    /// Latest event, epoch milliseconds.
    pub time_max_ms: i64,
    /// XXH3-64 of the stored bytes of the block's frame and its index frame, 16 hex digits.
    pub xxh3: String,
}

impl BlockEntry {
    /// Bytes of the block and its index in the segment: one range read.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset.saturating_add(u64::from(self.stored) + u64::from(self.index))
    }
}

/// One units frame in the footer's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitsEntry {
    /// Where the frame is.
    #[serde(flatten)]
    pub place: Place,
    /// Index of its first unit.
    pub first: u32,
    /// Number of its units.
    pub count: u32,
}

/// The end of a segment: all that is needed to find, prune and prove its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The header frame's content.
    pub(super) header: HeaderFrame,
    /// Number of events.
    pub events: u32,
    /// Bytes of all events, without newlines.
    pub raw_bytes: u64,
    /// Earliest event, epoch milliseconds (0 without events).
    pub time_min_ms: i64,
    /// Latest event, epoch milliseconds (0 without events).
    pub time_max_ms: i64,
    /// Merkle root over the events in row order.
    #[serde(with = "hex")]
    pub merkle_root: [u8; 32],
    /// Feed names.
    pub feeds: Vec<String>,
    /// Source names.
    pub sources: Vec<String>,
    /// Blocks, in stored order, which is row order.
    pub blocks: Vec<BlockEntry>,
    /// Units frames.
    pub units: Vec<UnitsEntry>,
    /// Number of units.
    pub unit_count: u32,
}

impl Footer {
    /// Who made the segment.
    pub fn header(&self) -> &SegmentHeader {
        &self.header.segment
    }

    /// Index of the block that holds `row`.
    pub fn block_of_row(&self, row: u32) -> Option<usize> {
        if row >= self.events {
            return None;
        }
        self.blocks.partition_point(|block| block.first_row <= row).checked_sub(1)
    }

    /// Checks everything a reader relies on later; `frames_end` is where the footer frame begins.
    pub(super) fn check(&self, frames_end: u64) -> Result<(), Fault> {
        let (mut row, mut raw, mut end) = (0u32, 0u64, 0u64);
        for block in &self.blocks {
            self.check_block(block)?;
            if block.first_row != row || block.offset < end {
                return Err("blocks are not in order".into());
            }
            row = row.checked_add(block.events).ok_or("too many events")?;
            raw += u64::from(block.content - block.events);
            end = block.range().end;
        }
        if row != self.events || row > EVENTS_MAX || raw != self.raw_bytes {
            return Err("totals do not match the blocks".into());
        }
        let mut unit = 0u32;
        for units in &self.units {
            if units.first != unit || units.count == 0 || units.count as usize > UNITS_PER_FRAME {
                return Err("units frames are not in order".into());
            }
            unit = unit.checked_add(units.count).ok_or("too many units")?;
            units.place.check(frames_end)?;
        }
        if unit != self.unit_count || unit as usize > UNITS_MAX {
            return Err("number of units does not match the units frames".into());
        }
        if end > frames_end { Err("a block reaches into the footer".into()) } else { Ok(()) }
    }

    fn check_block(&self, block: &BlockEntry) -> Result<(), Fault> {
        let content = block.content as usize;
        let named = (block.feed as usize) < self.feeds.len() && (block.source as usize) < self.sources.len();
        if block.events == 0 || block.events > block.content || block.events as usize > BLOCK_EVENTS_MAX {
            return Err("a block's number of events is impossible".into());
        }
        if content > BLOCK_CONTENT_MAX || (content > BLOCK_BYTES_MAX && block.events > 1) {
            return Err("a block is too large".into());
        }
        // zstd never grows its input by more than one part in 256 and a few bytes.
        if block.stored as usize > content + content / 128 + 1024
            || block.index as usize > 2 * super::INDEX_BYTES_MAX
        {
            return Err("a block's stored length is impossible".into());
        }
        if named { Ok(()) } else { Err("a block names no feed or source".into()) }
    }
}

/// 32 bytes as 64 hex digits.
mod hex {
    use linchpin_normalize::unit::hex_into;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::super::hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        parse(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("expected 64 hex digits"))
    }

    pub(super) fn parse(text: &str) -> Option<[u8; 32]> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            *byte = (high << 4 | char::from(pair[1]).to_digit(16)?) as u8;
        }
        let mut canonical = [0; 64];
        hex_into(&bytes, &mut canonical);
        (canonical == *digits).then_some(bytes)
    }
}

/// 32 bytes as 64 hex digits, or null.
mod hex_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<[u8; 32]>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| super::super::hex(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[u8; 32]>, D::Error> {
        let parse =
            |text: String| super::hex::parse(&text).ok_or_else(|| D::Error::custom("expected 64 hex digits"));
        Option::<String>::deserialize(from)?.map(parse).transpose()
    }
}

/// Bytes as base64 (standard alphabet, padded).
mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map(Bytes::from).map_err(D::Error::custom)
    }
}
