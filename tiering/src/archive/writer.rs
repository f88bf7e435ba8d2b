//! The writer: takes events of many units and feeds, gives one finished object.

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::{
    BLOCK_BYTES_MAX, EVENT_STORED_MAX, EVENTS_MAX, FOOTER_BYTES_MAX, FOOTER_STORED_MAX, FORMAT_VERSION,
    HEADER_BYTES_MAX, RESIDUE_BYTES_MAX, UNITS_BYTES_MAX, UNITS_FRAME_BYTES, UNITS_MAX, UNITS_PER_FRAME,
    block::OpenBlock,
    error::{ArchiveError, limit},
    frame::{self, Encoder},
    hex,
    merkle::MerkleTree,
    meta::{BlockEntry, Footer, HeaderFrame, Place, SegmentHeader, UnitMeta, UnitsEntry},
    residue::Residue,
    verify::SegmentFacts,
};

/// Last bytes of every segment.
pub(super) const END_MAGIC: [u8; 8] = *b"LPSEGEND";
/// Bytes of the trailer: length of the footer frame, format version, [`END_MAGIC`].
pub(super) const TRAILER_BYTES: usize = 16;
/// Row of an event whose block is still open.
const ROW_OPEN: u32 = u32::MAX;

/// How a builder cuts and compresses.
#[derive(Debug, Clone, Copy)]
pub struct BuilderOptions {
    /// zstd level of metadata and residues (blocks have the level of their unit's source).
    pub level: i32,
    /// Most content of a block in bytes; at most [`BLOCK_BYTES_MAX`].
    pub block_bytes: usize,
}

impl Default for BuilderOptions {
    fn default() -> Self {
        Self { level: 3, block_bytes: BLOCK_BYTES_MAX }
    }
}

/// A finished segment, ready to be put under [`ClosedSegment::object_key`].
#[derive(Debug, Clone)]
pub struct ClosedSegment {
    /// Last component of the key: `<worker>-<seq>-<hash>`.
    pub id: String,
    /// `<retention class>/<commit day>/<id>`.
    pub object_key: String,
    /// The object.
    pub bytes: Bytes,
    /// SHA-256 of `bytes`.
    pub sha256: [u8; 32],
    /// Merkle root over the events in row order.
    pub merkle_root: [u8; 32],
    /// Number of events.
    pub events: u32,
    /// Bytes of all events, without newlines.
    pub raw_bytes: u64,
    /// Feeds of its units.
    pub feeds: Vec<String>,
    /// Earliest event, epoch milliseconds (0 without events).
    pub time_min_ms: i64,
    /// Latest event, epoch milliseconds (0 without events).
    pub time_max_ms: i64,
    /// Row of every event, in the order they were pushed.
    pub rows: Vec<u32>,
    /// Who made it.
    pub header: SegmentHeader,
}

impl ClosedSegment {
    /// What the ledger records, and [`super::verify`] checks against.
    pub fn facts(&self) -> SegmentFacts {
        SegmentFacts {
            id: self.id.clone(),
            sha256: self.sha256,
            encoded_again: false,
            packed: false,
            stored_bytes: self.bytes.len() as u64,
            events: u64::from(self.events),
            raw_bytes: self.raw_bytes,
            merkle_root: self.merkle_root,
            previous_root: self.header.previous_root,
        }
    }
}

/// One open block: events of one feed, source and level.
struct Stream {
    feed: u32,
    source: u32,
    level: i32,
    block: OpenBlock,
}

/// Builds one segment; see the module docs of [`crate::archive`].
pub struct SegmentBuilder {
    options: BuilderOptions,
    encoder: Encoder,
    /// Finished frames, without the header.
    out: Vec<u8>,
    /// Block index columns, before compression.
    index: Vec<u8>,
    streams: Vec<Stream>,
    units: Vec<UnitMeta>,
    /// For every unit, its stream.
    unit_stream: Vec<u32>,
    /// Rough bytes that `units` take.
    unit_bytes: usize,
    feeds: Vec<String>,
    sources: Vec<String>,
    blocks: Vec<BlockEntry>,
    rows: Vec<u32>,
    rows_closed: u32,
    raw_bytes: u64,
    merkle: MerkleTree,
}

impl SegmentBuilder {
    /// An empty segment.
    pub fn new(options: BuilderOptions) -> Result<Self, ArchiveError> {
        let block_bytes = options.block_bytes.clamp(1, BLOCK_BYTES_MAX);
        Ok(Self {
            options: BuilderOptions { block_bytes, ..options },
            encoder: Encoder::new(options.level)?,
            out: Vec::new(),
            index: Vec::new(),
            streams: Vec::new(),
            units: Vec::new(),
            unit_stream: Vec::new(),
            unit_bytes: 0,
            feeds: Vec::new(),
            sources: Vec::new(),
            blocks: Vec::new(),
            rows: Vec::new(),
            rows_closed: 0,
            raw_bytes: 0,
            merkle: MerkleTree::default(),
        })
    }

    /// Registers a unit and returns its index. `level` is the zstd level of its source; `feed` and
    /// `source` of `meta` must be known now, the rest may follow through [`Self::unit_mut`].
    pub fn unit(&mut self, meta: UnitMeta, level: i32) -> u32 {
        let feed = position(&mut self.feeds, &meta.feed);
        let source = position(&mut self.sources, &meta.source);
        let known = self.streams.iter().position(|s| (s.feed, s.source, s.level) == (feed, source, level));
        let stream = known.unwrap_or_else(|| {
            self.streams.push(Stream { feed, source, level, block: OpenBlock::default() });
            self.streams.len() - 1
        });
        self.unit_bytes += size_of::<UnitMeta>() + meta.object.len() + meta.key.len() + meta.context.len();
        self.unit_stream.push(stream as u32);
        self.units.push(UnitMeta { events: 0, residue: None, ..meta });
        self.units.len() as u32 - 1
    }

    /// A registered unit, to add what is only known at its end: `context`, what was delivered, `gaps`
    /// and `events_total`. The builder itself keeps `events` and `residue`.
    pub fn unit_mut(&mut self, unit: u32) -> Option<&mut UnitMeta> {
        self.units.get_mut(unit as usize)
    }

    /// Adds an event of `unit` that starts at `offset` in it, and returns its number in push order
    /// (see [`ClosedSegment::rows`]). Events of one unit are pushed in the order of the unit.
    pub fn event(
        &mut self,
        unit: u32,
        offset: u32,
        bytes: &[u8],
        sha256: &[u8; 32],
        time_ms: i64,
    ) -> Result<u32, ArchiveError> {
        self.push(unit, offset, bytes, sha256, (time_ms, time_ms))
    }

    /// [`Self::event`] for an event of which only the earliest and latest possible time is known.
    pub(crate) fn push(
        &mut self,
        unit: u32,
        offset: u32,
        bytes: &[u8],
        sha256: &[u8; 32],
        times: (i64, i64),
    ) -> Result<u32, ArchiveError> {
        limit("event of bytes", bytes.len(), EVENT_STORED_MAX)?;
        limit("event that ends at byte", offset as usize + bytes.len(), u32::MAX as usize)?;
        limit("segment with events", self.rows.len() + 1, EVENTS_MAX as usize)?;
        let stream = self.stream_of(unit)?;
        if !self.streams[stream].block.fits(bytes.len(), self.options.block_bytes) {
            self.close_block(stream)?;
        }
        let local = self.rows.len() as u32;
        let block = &mut self.streams[stream].block;
        block.push(unit, offset, bytes, times);
        block.hashes.push(*sha256);
        block.locals.push(local);
        self.units[unit as usize].events += 1;
        self.rows.push(ROW_OPEN);
        self.raw_bytes += bytes.len() as u64;
        Ok(local)
    }

    /// Adds the residue of `unit`, which also says its `events_total`; it is compressed at once.
    pub fn residue(&mut self, unit: u32, residue: &Residue) -> Result<(), ArchiveError> {
        self.stream_of(unit)?;
        let content = residue.encode();
        limit("residue of bytes", content.len(), RESIDUE_BYTES_MAX)?;
        let offset = self.out.len();
        self.encoder.tagged(
            frame::RESIDUE,
            &unit.to_le_bytes(),
            &content,
            self.options.level,
            &mut self.out,
        )?;
        let meta = &mut self.units[unit as usize];
        meta.residue = Some(place(offset, &self.out));
        meta.events_total = residue.events() as u32;
        Ok(())
    }

    /// Memory that grows with the segment: finished frames, open blocks, and notes on both.
    pub fn held_bytes(&self) -> usize {
        let open: usize = self.streams.iter().map(|stream| stream.block.held_bytes()).sum();
        let notes = self.rows.len() * size_of::<u32>() + self.blocks.len() * size_of::<BlockEntry>();
        self.out.len() + open + notes + self.unit_bytes
    }

    /// Number of events so far.
    pub fn events(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Bytes of all events so far, without newlines.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Names of the sources of its units.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Whether nothing was registered: such a segment need not exist.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Finishes the open blocks, writes units, footer and header, and names the object.
    pub fn close(mut self, header: SegmentHeader) -> Result<ClosedSegment, ArchiveError> {
        for stream in 0..self.streams.len() {
            self.close_block(stream)?;
        }
        let header = HeaderFrame::new(header);
        self.put_header(&header)?;
        let units = self.put_units()?;
        let footer = self.footer(header, units);
        self.put_footer(&footer)?;
        let sha256: [u8; 32] = Sha256::digest(&self.out).into();
        let header = footer.header.segment;
        let id = format!("{}-{:08}-{}", header.worker, header.seq, hex(&sha256[..8]));
        let day =
            Timestamp::from_millisecond(header.commit_ms).unwrap_or_default().to_zoned(TimeZone::UTC).date();
        Ok(ClosedSegment {
            object_key: format!("{}/{day}/{id}", header.class),
            id,
            bytes: Bytes::from(self.out),
            sha256,
            merkle_root: footer.merkle_root,
            events: footer.events,
            raw_bytes: footer.raw_bytes,
            feeds: footer.feeds,
            time_min_ms: footer.time_min_ms,
            time_max_ms: footer.time_max_ms,
            rows: self.rows,
            header,
        })
    }

    /// Ends the block that the events of `unit` go to; its next event begins another one.
    pub(super) fn end_block(&mut self, unit: u32) -> Result<(), ArchiveError> {
        let stream = self.stream_of(unit)?;
        self.close_block(stream)
    }

    fn stream_of(&self, unit: u32) -> Result<usize, ArchiveError> {
        let limit = self.units.len() as u64;
        let unknown = ArchiveError::Limit { what: "event of unit", value: u64::from(unit), limit };
        self.unit_stream.get(unit as usize).map(|&stream| stream as usize).ok_or(unknown)
    }

    /// Writes a stream's open block and its index, and numbers its events.
    fn close_block(&mut self, stream: usize) -> Result<(), ArchiveError> {
        let stream = &mut self.streams[stream];
        let Some((time_min_ms, time_max_ms)) = stream.block.time_ms else { return Ok(()) };
        let offset = self.out.len();
        self.encoder.frame(&stream.block.content, stream.level, &mut self.out)?;
        let stored = self.out.len() - offset;
        stream.block.index(&mut self.index);
        self.encoder.tagged(frame::INDEX, &[], &self.index, stream.level, &mut self.out)?;
        let events = stream.block.events() as u32;
        self.blocks.push(BlockEntry {
            offset: offset as u64,
            stored: stored as u32,
            index: (self.out.len() - offset - stored) as u32,
            content: stream.block.content.len() as u32,
            first_row: self.rows_closed,
            events,
            feed: stream.feed,
            source: stream.source,
            time_min_ms,
            time_max_ms,
            xxh3: frame::checksum(&self.out[offset..]),
        });
        for (&local, row) in stream.block.locals.iter().zip(self.rows_closed..) {
            self.rows[local as usize] = row;
        }
        stream.block.hashes.iter().for_each(|sha256| self.merkle.push(sha256));
        self.rows_closed += events;
        stream.block.reset();
        Ok(())
    }

    /// Puts the header before everything and moves all places by its length.
    fn put_header(&mut self, header: &HeaderFrame) -> Result<(), ArchiveError> {
        let mut head = Vec::new();
        let start = frame::open_frame(frame::HEADER, &mut head);
        serde_json::to_writer(&mut head, header).map_err(ArchiveError::Metadata)?;
        frame::close_frame(start, &mut head);
        limit("header of bytes", head.len(), HEADER_BYTES_MAX)?;
        let end = self.out.len();
        self.out.resize(end + head.len(), 0);
        self.out.copy_within(..end, head.len());
        self.out[..head.len()].copy_from_slice(&head);
        let moved = head.len() as u64;
        self.blocks.iter_mut().for_each(|block| block.offset += moved);
        self.units
            .iter_mut()
            .filter_map(|unit| unit.residue.as_mut())
            .for_each(|place| place.offset += moved);
        Ok(())
    }

    fn put_units(&mut self) -> Result<Vec<UnitsEntry>, ArchiveError> {
        limit("segment with units", self.units.len(), UNITS_MAX)?;
        let mut entries: Vec<UnitsEntry> = Vec::new();
        let (mut json, mut first) = (vec![b'['], 0u32);
        for i in 0..self.units.len() {
            serde_json::to_writer(&mut json, &self.units[i]).map_err(ArchiveError::Metadata)?;
            let count = i as u32 + 1 - first;
            let full = count as usize == UNITS_PER_FRAME || json.len() >= UNITS_FRAME_BYTES;
            if !full && i + 1 < self.units.len() {
                json.push(b',');
                continue;
            }
            json.push(b']');
            limit("units frame of bytes", json.len(), UNITS_BYTES_MAX)?;
            let offset = self.out.len();
            self.encoder.tagged(frame::UNITS, &[], &json, self.options.level, &mut self.out)?;
            entries.push(UnitsEntry { place: place(offset, &self.out), first, count });
            json.truncate(1);
            first += count;
        }
        Ok(entries)
    }

    fn footer(&mut self, header: HeaderFrame, units: Vec<UnitsEntry>) -> Footer {
        Footer {
            header,
            events: self.rows_closed,
            raw_bytes: self.raw_bytes,
            time_min_ms: self.blocks.iter().map(|block| block.time_min_ms).min().unwrap_or_default(),
            time_max_ms: self.blocks.iter().map(|block| block.time_max_ms).max().unwrap_or_default(),
            merkle_root: self.merkle.root(),
            feeds: std::mem::take(&mut self.feeds),
            sources: std::mem::take(&mut self.sources),
            blocks: std::mem::take(&mut self.blocks),
            units,
            unit_count: self.units.len() as u32,
        }
    }

    fn put_footer(&mut self, footer: &Footer) -> Result<(), ArchiveError> {
        let json = serde_json::to_vec(footer).map_err(ArchiveError::Metadata)?;
        limit("footer of bytes", json.len(), FOOTER_BYTES_MAX)?;
        let start = frame::open_frame(frame::FOOTER, &mut self.out);
        self.encoder.frame(&json, self.options.level, &mut self.out)?;
        let length = self.out.len() - start + TRAILER_BYTES;
        limit("footer frame of bytes", length, FOOTER_STORED_MAX)?;
        self.out.extend_from_slice(&(length as u32).to_le_bytes());
        self.out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        self.out.extend_from_slice(&END_MAGIC);
        frame::close_frame(start, &mut self.out);
        Ok(())
    }
}

/// The place of the frame that begins at `offset` and ends `out`.
fn place(offset: usize, out: &[u8]) -> Place {
    Place {
        offset: offset as u64,
        length: (out.len() - offset) as u32,
        xxh3: frame::checksum(&out[offset..]),
    }
}

/// Index of `name` in `names`, added if it is new.
fn position(names: &mut Vec<String>, name: &str) -> u32 {
    let known = names.iter().position(|known| known == name);
    known.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    }) as u32
}
