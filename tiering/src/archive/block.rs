//! Blocks: events of one feed and source, and the index that delimits them.
//!
//! The index is four varint columns, one after the other: the number of events; their lengths; the
//! number of runs and, per run, (unit, events); and per event its offset in its unit: the first of a
//! run as it is, every other as the distance from the end of the event before it. A run ends where
//! the unit changes or an event starts before the last one ended, so distances are never negative.

use std::ops::Range;

use super::{
    BLOCK_EVENTS_MAX, INDEX_BYTES_MAX,
    error::Fault,
    frame::{self, Columns, put_varint},
    meta::BlockEntry,
};

/// Rough memory of the index columns of a block, per event, in bytes.
const OPEN_EVENT_BYTES: usize = 48;

/// A block that still takes events.
#[derive(Default)]
pub(super) struct OpenBlock {
    /// Events, each followed by a newline.
    pub(super) content: Vec<u8>,
    lengths: Vec<u8>,
    /// (unit, events).
    runs: Vec<(u32, u32)>,
    distances: Vec<u8>,
    /// End of the last event in its unit.
    end: u64,
    /// SHA-256 of every event, kept until the block's place in row order is known.
    pub(super) hashes: Vec<[u8; 32]>,
    /// Builder-local index of every event.
    pub(super) locals: Vec<u32>,
    pub(super) time_ms: Option<(i64, i64)>,
}

impl OpenBlock {
    pub(super) fn is_empty(&self) -> bool {
        self.locals.is_empty()
    }

    pub(super) fn events(&self) -> usize {
        self.locals.len()
    }

    /// Whether an event of `length` bytes may join a block of at most `block_bytes`.
    pub(super) fn fits(&self, length: usize, block_bytes: usize) -> bool {
        self.is_empty() || (self.content.len() + length < block_bytes && self.events() < BLOCK_EVENTS_MAX)
    }

    pub(super) fn push(&mut self, unit: u32, offset: u32, bytes: &[u8], times: (i64, i64)) {
        self.content.extend_from_slice(bytes);
        self.content.push(b'\n');
        put_varint(bytes.len() as u64, &mut self.lengths);
        let offset = u64::from(offset);
        let before = match self.runs.last_mut() {
            Some((of, events)) if *of == unit && offset >= self.end => {
                *events += 1;
                self.end
            }
            _ => {
                self.runs.push((unit, 1));
                0
            }
        };
        put_varint(offset - before, &mut self.distances);
        self.end = offset + bytes.len() as u64;
        let (min, max) = self.time_ms.unwrap_or(times);
        self.time_ms = Some((min.min(times.0), max.max(times.1)));
    }

    /// The index columns, into `out`.
    pub(super) fn index(&self, out: &mut Vec<u8>) {
        out.clear();
        put_varint(self.events() as u64, out);
        out.extend_from_slice(&self.lengths);
        put_varint(self.runs.len() as u64, out);
        for &(unit, events) in &self.runs {
            put_varint(u64::from(unit), out);
            put_varint(u64::from(events), out);
        }
        out.extend_from_slice(&self.distances);
    }

    /// Empties the block and keeps its memory for the next one.
    pub(super) fn reset(&mut self) {
        self.content.clear();
        self.lengths.clear();
        self.runs.clear();
        self.distances.clear();
        self.hashes.clear();
        self.locals.clear();
        self.end = 0;
        self.time_ms = None;
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.content.capacity() + self.events() * OPEN_EVENT_BYTES
    }
}

/// One event of a segment, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// Its row in the segment.
    pub row: u32,
    /// Index of its unit in the segment.
    pub unit: u32,
    /// Offset of its first byte in its unit.
    pub offset: u32,
    /// Its exact bytes.
    pub bytes: &'a [u8],
}

/// An inflated block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    first_row: u32,
    content: Vec<u8>,
    events: Vec<Slot>,
}

/// Where an event is in its block and in its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    content: Range<u32>,
    unit: u32,
    offset: u32,
}

impl Block {
    /// The events in row order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = EventRef<'_>> {
        self.events.iter().enumerate().map(|(i, slot)| self.view(slot, self.first_row + i as u32))
    }

    /// The event of `row`, if it is in this block.
    pub fn event(&self, row: u32) -> Option<EventRef<'_>> {
        let slot = self.events.get(row.checked_sub(self.first_row)? as usize)?;
        Some(self.view(slot, row))
    }

    fn view(&self, slot: &Slot, row: u32) -> EventRef<'_> {
        let bytes = &self.content[slot.content.start as usize..slot.content.end as usize];
        EventRef { row, unit: slot.unit, offset: slot.offset, bytes }
    }

    /// Decodes the stored bytes of `entry` (the block's frame and its index frame) and checks them
    /// against it; `units` is the number of units of the segment.
    pub(super) fn decode(stored: &[u8], entry: &BlockEntry, units: u32) -> Result<Self, Fault> {
        if frame::checksum(stored) != entry.xxh3 {
            return Err("checksum does not match".into());
        }
        let (block, index) = stored.split_at_checked(entry.stored as usize).ok_or("block is cut short")?;
        let content = frame::inflate(block, entry.content as usize)?;
        if content.len() != entry.content as usize {
            return Err("content is shorter than the footer says".into());
        }
        let index = frame::inflate(frame::payload(index, frame::INDEX)?, INDEX_BYTES_MAX)?;
        let events = decode_index(&index, &content, entry, units)?;
        Ok(Self { first_row: entry.first_row, content, events })
    }
}

fn decode_index(index: &[u8], content: &[u8], entry: &BlockEntry, units: u32) -> Result<Vec<Slot>, Fault> {
    let mut columns = Columns(index);
    let count = columns.count(BLOCK_EVENTS_MAX)?;
    if count != entry.events as usize {
        return Err("number of events does not match the footer".into());
    }
    let mut events = Vec::with_capacity(count);
    let mut start = 0u32;
    for event in 0..count {
        let end = start.checked_add(columns.small()?).ok_or("event is too long")?;
        if content.get(end as usize) != Some(&b'\n') {
            let row = u64::from(entry.first_row) + event as u64;
            return Err(format!("row {row} does not end with a newline").into());
        }
        events.push(Slot { content: start..end, unit: 0, offset: 0 });
        start = end + 1;
    }
    if start as usize != content.len() {
        return Err("content goes on after the last event".into());
    }
    let runs = columns.count(count)?;
    let runs: Vec<(u32, u32)> =
        (0..runs).map(|_| Ok((columns.small()?, columns.small()?))).collect::<Result<_, Fault>>()?;
    let mut slots = events.iter_mut();
    for (unit, run) in runs {
        if unit >= units || run == 0 || run as usize > slots.len() {
            return Err("a run of events has no unit or is too long".into());
        }
        let mut end = 0u32;
        for slot in slots.by_ref().take(run as usize) {
            let offset = end.checked_add(columns.small()?).ok_or("offset is too large")?;
            end = offset.checked_add(slot.content.end - slot.content.start).ok_or("offset is too large")?;
            (slot.unit, slot.offset) = (unit, offset);
        }
    }
    if slots.len() > 0 {
        return Err("events without a unit".into());
    }
    columns.end()?;
    Ok(events)
}
