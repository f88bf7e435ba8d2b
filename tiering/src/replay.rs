//! Reads segments back: the events of a block with the units they came from, and whole epochs as
//! the rows they once gave.

use std::sync::Arc;

use linchpin_normalize::{Normalized, Normalizer, ReplayUnit};
use linchpin_store::Store;

use crate::{
    archive::{ArchiveError, Block, EventRef, SegmentReader, UnitMeta},
    hot::HotRows,
    ledger::{SegmentPlace, SegmentState},
};

/// A segment opened for reading events with their units.
pub struct OpenSegment {
    /// The reader; blocks are read one at a time.
    pub reader: SegmentReader,
    units: Vec<UnitMeta>,
}

/// Consecutive events of one unit within a block.
pub struct Run<'a> {
    /// Their unit.
    pub unit: &'a UnitMeta,
    /// The events, in row order.
    pub events: Vec<EventRef<'a>>,
}

impl Run<'_> {
    /// What the normaliser needs to read them.
    pub fn replay(&self) -> ReplayUnit<'_> {
        replay_unit(self.unit)
    }
}

/// What the normaliser needs to read events of a unit.
pub fn replay_unit(unit: &UnitMeta) -> ReplayUnit<'_> {
    ReplayUnit {
        key: unit.id().key(),
        source: &unit.source,
        context: &unit.context,
        received_ms: unit.received_ms,
    }
}

impl OpenSegment {
    /// Opens the segment at a place of `store` (that of the place's name) and reads its units.
    pub async fn open(store: Arc<dyn Store>, place: &SegmentPlace) -> Result<Self, ArchiveError> {
        let reader = SegmentReader::open_part(store, &place.object, place.offset, place.length).await?;
        let units = reader.units().await?;
        Ok(Self { reader, units })
    }

    /// The units of the segment.
    pub fn units(&self) -> &[UnitMeta] {
        &self.units
    }

    /// The events of a block, by unit.
    pub fn runs<'a>(&'a self, block: &'a Block) -> Vec<Run<'a>> {
        let mut runs: Vec<(u32, Run<'a>)> = Vec::new();
        for event in block.events() {
            match runs.last_mut() {
                Some((unit, run)) if *unit == event.unit => run.events.push(event),
                _ => runs
                    .push((event.unit, Run { unit: &self.units[event.unit as usize], events: vec![event] })),
            }
        }
        runs.into_iter().map(|(_, run)| run).collect()
    }
}

/// The rows of a run of events, normalised again; the number of each row's event is its row in the
/// segment.
pub fn normalize(normalizer: &mut Normalizer, run: &Run<'_>) -> Option<(Normalized, Vec<u32>)> {
    let normalized = normalizer.replay(&run.replay(), run.events.iter().map(|e| (e.offset, e.bytes)))?;
    let rows = normalized.batch.row_event.iter().map(|e| run.events[*e as usize].row).collect();
    Some((normalized, rows))
}

/// The hot rows of one segment, as they were when it was made. `class` is the index its retention
/// class has among `classes`.
pub async fn hot_rows(
    store: Arc<dyn Store>,
    segment: &SegmentState,
    class: u8,
    classes: usize,
    normalizer: &mut Normalizer,
) -> Result<Vec<HotRows>, ArchiveError> {
    let open = OpenSegment::open(store, segment.place()).await?;
    let mut names: Vec<Arc<str>> = vec!["".into(); classes];
    names[usize::from(class)] = segment.fact.id.as_str().into();
    let names: Arc<[Arc<str>]> = names.into();
    let mut out = Vec::new();
    for block in 0..open.reader.footer().blocks.len() {
        let block = open.reader.read_block(block).await?;
        for run in open.runs(&block) {
            let Some((normalized, rows)) = normalize(normalizer, &run) else { continue };
            out.push(HotRows {
                class: vec![class; rows.len()],
                segments: Arc::clone(&names),
                row: rows,
                sub: normalized.batch.row_sub,
                feed: run.unit.feed.as_str().into(),
                rows: normalized.batch.rows,
            });
        }
    }
    Ok(out)
}
