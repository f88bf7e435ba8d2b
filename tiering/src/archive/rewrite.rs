//! Copies a closed segment without some of its units, when another worker committed those first.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    block::Block,
    error::ArchiveError,
    meta::UnitMeta,
    reader::{decode_footer, decode_residue, decode_units, footer_length},
    writer::{BuilderOptions, SegmentBuilder},
};

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
    const KEY: &str = "segment in memory";
    let size = segment.len() as u64;
    let start = segment.len() - footer_length(segment, size, KEY)?;
    let footer = decode_footer(&segment[start..], start as u64).map_err(|fault| fault.at(KEY, "footer"))?;
    let stored = |offset: u64, end: u64| segment.get(offset as usize..end as usize).unwrap_or_default();

    let mut builder = SegmentBuilder::new(options)?;
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
    let mut rows = Vec::new();
    for (i, entry) in footer.blocks.iter().enumerate() {
        let range = entry.range();
        let block = Block::decode(stored(range.start, range.end), entry, footer.unit_count);
        let block = block.map_err(|fault| fault.at(KEY, format!("block {i}")))?;
        for event in block.events() {
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
