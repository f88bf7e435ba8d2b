//! The archive: segments, the byte-exact truth that everything else is derived from.
//!
//! A segment is one immutable object of one retention class. `zstd -dc SEGMENT` prints its raw
//! events, each followed by a newline, and nothing else; where the events begin and end, which unit
//! and offset they came from, the units' residues and the evidence ride beside them in skippable
//! frames. `docs/format.md` specifies every byte, `docs/read_segment.py` reads it without this program.
//!
//! - [`SegmentBuilder`] holds finished (compressed) blocks and one open block per feed, source and
//!   level: its memory grows with the stored bytes, not with the raw bytes. Rows are numbered in
//!   stored order; [`ClosedSegment::rows`] says where each pushed event went.
//! - [`SegmentReader`] costs one range read to open and one range read per block, so one event costs
//!   at most a block. Everything it decodes is checked first: no bytes make it panic or allocate
//!   more than the limits below.
//! - [`verify`] re-reads a whole segment and names what does not agree with the ledger's facts.
//! - [`rebuild_unit`] puts a unit together again from its [`Residue`] and its events.
//! - [`pack()`] puts whole segments into one object, from which they are read as from their own;
//!   [`merged`] gives those with many small blocks fewer.
//! - [`without_units`] copies a closed segment without the units that another worker committed first.

mod block;
mod error;
mod frame;
mod merkle;
mod meta;
mod pack;
mod reader;
mod residue;
mod rewrite;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use linchpin_normalize::unit::{EVENT_BYTES_MAX, UNIT_BYTES_MAX};

pub use block::{Block, EventRef};
pub use error::ArchiveError;
pub use merkle::MerkleTree;
pub use meta::{BlockEntry, Footer, Place, PolicyRef, SegmentHeader, UnitMeta, UnitsEntry};
pub use pack::{Entry, Packed, Part, pack};
pub use reader::SegmentReader;
pub use residue::{Residue, ResidueBuilder, rebuild_unit};
pub use rewrite::{merged, without_units};
pub use verify::{Finding, SegmentFacts, verify};
pub use writer::{BuilderOptions, ClosedSegment, SegmentBuilder};

/// Version of the container: frames, index, footer.
pub const FORMAT_VERSION: u32 = 1;
/// Codec of the blocks: 1 = standard zstd frames of newline-terminated raw events.
pub const CODEC_RAW: u32 = 1;

/// Most content (events and newlines) of a block in bytes, unless one event alone is larger.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Most events of a block.
pub const BLOCK_EVENTS_MAX: usize = 1 << 16;
/// Longest event a segment takes, in bytes: a unit that is one single record.
pub const EVENT_STORED_MAX: usize = UNIT_BYTES_MAX + EVENT_BYTES_MAX;
/// Most bytes a block may inflate to.
pub const BLOCK_CONTENT_MAX: usize = EVENT_STORED_MAX + 1;
/// Most bytes a block's index may inflate to.
pub const INDEX_BYTES_MAX: usize = 2 << 20;
/// Most bytes of the header frame.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Most bytes of the footer frame as stored.
pub const FOOTER_STORED_MAX: usize = 16 << 20;
/// Most bytes the footer may inflate to.
pub const FOOTER_BYTES_MAX: usize = 128 << 20;
/// Most units described by one units frame.
pub const UNITS_PER_FRAME: usize = 1024;
/// A units frame is closed when its JSON has grown to this many bytes.
pub const UNITS_FRAME_BYTES: usize = 1 << 20;
/// Most bytes a units frame may inflate to: one unit more than [`UNITS_FRAME_BYTES`], with its context.
pub const UNITS_BYTES_MAX: usize = 192 << 20;
/// Most bytes a residue frame may inflate to: the unit's bytes, and its events' order.
pub const RESIDUE_BYTES_MAX: usize = 256 << 20;
/// Most bytes of one stored units or residue frame: zstd hardly grows what it cannot shrink.
pub const FRAME_STORED_MAX: usize = RESIDUE_BYTES_MAX + (2 << 20);
/// Most units of a segment.
pub const UNITS_MAX: usize = 1 << 24;
/// Most events of a segment.
pub const EVENTS_MAX: u32 = u32::MAX - 1;
/// A reader's first range read: the footer of most segments is shorter.
pub const FOOTER_GUESS: u64 = 64 << 10;

/// Lower-case hex of `bytes`.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // writing to a `String` cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}
