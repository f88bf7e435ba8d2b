//! Copies segments: without some of their units, when another worker committed those first, and with
//! larger blocks, when they go to where they stay.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    BLOCK_BYTES_MAX,
    block::Block,
    error::{ArchiveError, Fault},
    meta::{BlockEntry, Footer, UnitMeta},
    reader::{decode_footer, decode_residue, decode_units, footer_length},
    writer::{BuilderOptions, ClosedSegment, SegmentBuilder},
};

/// Name of a segment that has no key here.
const KEY: &str = "segment in memory";
/// Blocks with less content than this, in bytes, join their neighbours.
const SMALL_BLOCK_BYTES: usize = 256 << 10;
/// zstd level of segments that are encoded again: it is done once, and they stay for years.
const MERGED_LEVEL: i32 = 9;

/// A new builder with the events and residues of `segment`, except those of units that `taken` says
/// true of; `level` gives the zstd level of a unit's source. Beside it, for each row of `segment`,
/// the event's number in the builder (an index into [`super::ClosedSegment::rows`]), or `None` if its
/// unit was taken.
///
/// Event times are kept per block: the copied blocks span at least the times of their events.
pub fn without_units(
    segment: &Bytes,
    options: BuilderOptions,
    taken: &dyn Fn(&UnitMeta) -> bool,
    level: &dyn Fn(&UnitMeta) -> i32,
) -> Result<(SegmentBuilder, Vec<Option<u32>>), ArchiveError> {
    let footer = footer_of(segment)?;
    let mut builder = SegmentBuilder::new(options)?;
    let copies = copy_units(segment, &footer, &mut builder, taken, level)?;
    let mut rows = Vec::new();
    for (i, entry) in footer.blocks.iter().enumerate() {
        for event in block_of(segment, &footer, i)?.events() {
            let Some(unit) = copies[event.unit as usize] else {
                rows.push(None);
                continue;
            };
            let sha256 = Sha256::digest(event.bytes).into();
            let times = (entry.time_min_ms, entry.time_max_ms);
            let local = builder.push(unit, event.offset, event.bytes, &sha256, times)?;
            rows.push(Some(local));
        }
    }
    Ok((builder, rows))
}

/// The same segment with fewer blocks: of neighbours of one feed and source, of which one is smaller
/// than 256 KiB. `None` if there are none. Events, rows, units and Merkle root are the same;
/// only the bytes are others.
pub fn merged(segment: &Bytes) -> Result<Option<ClosedSegment>, ArchiveError> {
    let footer = footer_of(segment)?;
    let joins = joins(&footer.blocks);
    if !joins.contains(&true) {
        return Ok(None);
    }
    let mut builder =
        SegmentBuilder::new(BuilderOptions { level: MERGED_LEVEL, ..BuilderOptions::default() })?;
    copy_units(segment, &footer, &mut builder, &|_| false, &|_| MERGED_LEVEL)?;
    for (i, entry) in footer.blocks.iter().enumerate() {
        let mut last = 0;
        for event in block_of(segment, &footer, i)?.events() {
            let sha256 = Sha256::digest(event.bytes).into();
            let times = (entry.time_min_ms, entry.time_max_ms);
            builder.push(event.unit, event.offset, event.bytes, &sha256, times)?;
            last = event.unit;
        }
        // Rows are numbered block by block: one that is not joined ends here.
        if joins.get(i + 1) != Some(&true) {
            builder.end_block(last)?;
        }
    }
    let merged = builder.close(footer.header().clone())?;
    if merged.merkle_root == footer.merkle_root && merged.events == footer.events {
        return Ok(Some(merged));
    }
    Err(Fault::from("its copy has other events").at(KEY, "blocks"))
}

/// For each block, whether it joins the one before it.
fn joins(blocks: &[BlockEntry]) -> Vec<bool> {
    let (mut joins, mut bytes) = (Vec::with_capacity(blocks.len()), 0);
    for (i, block) in blocks.iter().enumerate() {
        let content = block.content as usize;
        let before = i.checked_sub(1).and_then(|i| blocks.get(i));
        let join = before.is_some_and(|before| {
            (before.feed, before.source) == (block.feed, block.source)
                && content.min(before.content as usize) < SMALL_BLOCK_BYTES
                && bytes + content <= BLOCK_BYTES_MAX
        });
        bytes = if join { bytes + content } else { content };
        joins.push(join);
    }
    joins
}

fn footer_of(segment: &Bytes) -> Result<Footer, ArchiveError> {
    let start = segment.len() - footer_length(segment, segment.len() as u64, KEY)?;
    decode_footer(&segment[start..], start as u64).map_err(|fault| fault.at(KEY, "footer"))
}

fn part(segment: &Bytes, offset: u64, end: u64) -> &[u8] {
    segment.get(offset as usize..end as usize).unwrap_or_default()
}

fn block_of(segment: &Bytes, footer: &Footer, i: usize) -> Result<Block, ArchiveError> {
    let entry = &footer.blocks[i];
    let range = entry.range();
    let block = Block::decode(part(segment, range.start, range.end), entry, footer.unit_count);
    block.map_err(|fault| fault.at(KEY, format!("block {i}")))
}

/// Registers the units of a segment with a builder, with their residues, except those that `taken` says
/// true of; gives the index of each in the builder.
fn copy_units(
    segment: &Bytes,
    footer: &Footer,
    builder: &mut SegmentBuilder,
    taken: &dyn Fn(&UnitMeta) -> bool,
    level: &dyn Fn(&UnitMeta) -> i32,
) -> Result<Vec<Option<u32>>, ArchiveError> {
    let size = segment.len() as u64;
    let stored = |offset: u64, end: u64| part(segment, offset, end);
    let mut copies = Vec::new();
    for entry in &footer.units {
        let frame = stored(entry.place.offset, entry.place.end());
        for unit in decode_units(frame, entry, size).map_err(|fault| fault.at(KEY, "units frame"))? {
            let index = copies.len() as u32;
            if taken(&unit) {
                copies.push(None);
                continue;
            }
            let level = level(&unit);
            let residue = unit.residue.clone();
            let copy = builder.unit(unit, level);
            copies.push(Some(copy));
            if let Some(place) = residue {
                let residue = decode_residue(stored(place.offset, place.end()), &place, index);
                builder.residue(copy, &residue.map_err(|fault| fault.at(KEY, "residue"))?)?;
            }
        }
    }
    Ok(copies)
}
