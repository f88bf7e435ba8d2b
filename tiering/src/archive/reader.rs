//! The reader: one range read to open, one per block, units frame or residue.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use linchpin_store::Store;

use super::{
    CODEC_RAW, FOOTER_BYTES_MAX, FOOTER_GUESS, FOOTER_STORED_MAX, FORMAT_VERSION, RESIDUE_BYTES_MAX,
    UNITS_BYTES_MAX,
    block::Block,
    error::{ArchiveError, Fault},
    frame,
    meta::{Footer, Place, UnitMeta, UnitsEntry},
    residue::Residue,
    writer::{END_MAGIC, TRAILER_BYTES},
};

/// An opened segment: its footer, and where to read the rest.
#[derive(Debug, Clone)]
pub struct SegmentReader {
    store: Arc<dyn Store>,
    key: Arc<str>,
    /// First byte of the segment in its object.
    base: u64,
    size: u64,
    /// First byte of the footer frame.
    footer_start: u64,
    footer: Arc<Footer>,
}

impl SegmentReader {
    /// Opens the segment at `key`: asks for its size, then reads the footer.
    pub async fn open(store: Arc<dyn Store>, key: &str) -> Result<Self, ArchiveError> {
        let size = store.head(key).await?.size;
        Self::open_sized(store, key, size).await
    }

    /// Opens a segment that is its whole object and whose size in bytes is known; see
    /// [`SegmentReader::open_part`].
    pub async fn open_sized(store: Arc<dyn Store>, key: &str, size: u64) -> Result<Self, ArchiveError> {
        Self::open_part(store, key, 0, size).await
    }

    /// Opens the segment of `size` bytes that begins at byte `base` of the object at `key`, as the
    /// ledger says: one range read, or two if the footer is longer than [`FOOTER_GUESS`].
    pub async fn open_part(
        store: Arc<dyn Store>,
        key: &str,
        base: u64,
        size: u64,
    ) -> Result<Self, ArchiveError> {
        let tail_start = size.saturating_sub(FOOTER_GUESS);
        let mut tail = read(&*store, key, base + tail_start..base + size, "footer").await?;
        let length = footer_length(&tail, size, key)?;
        if length > tail.len() {
            tail = read(&*store, key, base + size - length as u64..base + size, "footer").await?;
        }
        let footer_start = size - length as u64;
        let footer = decode_footer(&tail[tail.len() - length..], footer_start);
        let footer = footer.map_err(|fault| fault.at(key, "footer"))?;
        check_version(key, "format version", footer.header.format, FORMAT_VERSION)?;
        check_version(key, "codec", footer.header.codec, CODEC_RAW)?;
        Ok(Self { store, key: key.into(), base, size, footer_start, footer: Arc::new(footer) })
    }

    /// The footer: totals, blocks, feeds, sources, Merkle root, header.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Key of the object.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Size of the segment in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// First byte of the footer frame.
    pub(super) fn footer_start(&self) -> u64 {
        self.footer_start
    }

    /// Index of the block that holds `row`.
    pub fn block_of_row(&self, row: u32) -> Option<usize> {
        self.footer.block_of_row(row)
    }

    /// Reads one block and its index (one range read) and checks both.
    pub async fn read_block(&self, block: usize) -> Result<Block, ArchiveError> {
        let entry = self.footer.blocks.get(block).ok_or_else(|| self.out_of_range("block", block as u64))?;
        let stored = self.read(entry.range(), "block").await?;
        self.decode_block(block, &stored)
    }

    /// Decodes the stored bytes of block `block`, however they were read.
    pub(super) fn decode_block(&self, block: usize, stored: &[u8]) -> Result<Block, ArchiveError> {
        let entry = self.footer.blocks.get(block).ok_or_else(|| self.out_of_range("block", block as u64))?;
        let decoded = Block::decode(stored, entry, self.footer.unit_count);
        decoded.map_err(|fault| fault.at(&self.key, format!("block {block}")))
    }

    /// All units, in the order of their indices.
    pub async fn units(&self) -> Result<Vec<UnitMeta>, ArchiveError> {
        let mut units = Vec::new();
        for entry in &self.footer.units {
            units.extend(self.units_frame(entry).await?);
        }
        Ok(units)
    }

    /// One unit: reads only the frame that describes it.
    pub async fn unit(&self, unit: u32) -> Result<UnitMeta, ArchiveError> {
        let after = self.footer.units.partition_point(|entry| entry.first <= unit);
        let entry = after.checked_sub(1).and_then(|i| self.footer.units.get(i));
        let entry = entry.ok_or_else(|| self.out_of_range("unit", u64::from(unit)))?;
        let mut units = self.units_frame(entry).await?;
        let index = (unit - entry.first) as usize;
        if index >= units.len() {
            return Err(self.out_of_range("unit", u64::from(unit)));
        }
        Ok(units.swap_remove(index))
    }

    async fn units_frame(&self, entry: &UnitsEntry) -> Result<Vec<UnitMeta>, ArchiveError> {
        let stored = self.read_place(&entry.place, "units frame").await?;
        decode_units(&stored, entry, self.size).map_err(|fault| fault.at(&self.key, "units frame"))
    }

    /// The residue of `unit` (index `index`), or `None` if another segment carries it.
    pub async fn residue(&self, index: u32, unit: &UnitMeta) -> Result<Option<Residue>, ArchiveError> {
        let Some(place) = &unit.residue else { return Ok(None) };
        let stored = self.read_place(place, "residue").await?;
        let residue = decode_residue(&stored, place, index);
        residue.map(Some).map_err(|fault| fault.at(&self.key, format!("residue of unit {index}")))
    }

    async fn read_place(&self, place: &Place, what: &str) -> Result<Bytes, ArchiveError> {
        self.read(place.offset..place.end(), what).await
    }

    /// Reads exactly `range`, which the footer or a unit gave.
    pub(super) async fn read(&self, range: Range<u64>, what: &str) -> Result<Bytes, ArchiveError> {
        if range.end > self.size {
            return Err(Fault::from("reaches beyond the object").at(&self.key, what));
        }
        read(&*self.store, &self.key, self.base + range.start..self.base + range.end, what).await
    }

    fn out_of_range(&self, what: &'static str, index: u64) -> ArchiveError {
        ArchiveError::OutOfRange { key: self.key.to_string(), what, index }
    }
}

async fn read(store: &dyn Store, key: &str, range: Range<u64>, what: &str) -> Result<Bytes, ArchiveError> {
    let length = range.end - range.start;
    let bytes = store.range(key, range).await?;
    if bytes.len() as u64 == length {
        return Ok(bytes);
    }
    Err(Fault::from(format!("{} of {length} bytes are there", bytes.len())).at(key, what))
}

/// Length of the whole footer frame, from the trailer that ends `tail`.
pub(super) fn footer_length(tail: &[u8], size: u64, key: &str) -> Result<usize, ArchiveError> {
    let not_a_segment = || ArchiveError::NotASegment(key.to_owned());
    let (rest, magic) = tail.split_last_chunk::<8>().ok_or_else(not_a_segment)?;
    let (rest, version) = rest.split_last_chunk::<4>().ok_or_else(not_a_segment)?;
    let (_, length) = rest.split_last_chunk::<4>().ok_or_else(not_a_segment)?;
    if *magic != END_MAGIC {
        return Err(not_a_segment());
    }
    check_version(key, "format version", u32::from_le_bytes(*version), FORMAT_VERSION)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > FOOTER_STORED_MAX || length as u64 > size || length < TRAILER_BYTES {
        return Err(Fault::from("impossible length").at(key, "footer"));
    }
    Ok(length)
}

fn check_version(key: &str, what: &'static str, found: u32, known: u32) -> Result<(), ArchiveError> {
    if found == known {
        return Ok(());
    }
    Err(ArchiveError::Unsupported { key: key.to_owned(), what, found })
}

/// Decodes the footer frame that begins at `offset` of its segment.
pub(super) fn decode_footer(stored: &[u8], offset: u64) -> Result<Footer, Fault> {
    let payload = frame::payload(stored, frame::FOOTER)?;
    let packed = payload.len().checked_sub(TRAILER_BYTES).ok_or("cut short")?;
    let json = frame::inflate(&payload[..packed], FOOTER_BYTES_MAX)?;
    let footer: Footer = serde_json::from_slice(&json).map_err(|error| Fault::from(error.to_string()))?;
    footer.check(offset)?;
    Ok(footer)
}

/// Decodes a units frame of a segment of `size` bytes.
pub(super) fn decode_units(stored: &[u8], entry: &UnitsEntry, size: u64) -> Result<Vec<UnitMeta>, Fault> {
    check_sum(stored, &entry.place)?;
    let json = frame::inflate(frame::payload(stored, frame::UNITS)?, UNITS_BYTES_MAX)?;
    let units: Vec<UnitMeta> =
        serde_json::from_slice(&json).map_err(|error| Fault::from(error.to_string()))?;
    if units.len() != entry.count as usize {
        return Err("number of units does not match the footer".into());
    }
    units.iter().filter_map(|unit| unit.residue.as_ref()).try_for_each(|residue| residue.check(size))?;
    Ok(units)
}

/// Decodes the residue frame of the unit with index `unit`.
pub(super) fn decode_residue(stored: &[u8], place: &Place, unit: u32) -> Result<Residue, Fault> {
    check_sum(stored, place)?;
    let payload = frame::payload(stored, frame::RESIDUE)?;
    let (of, packed) = payload.split_first_chunk::<4>().ok_or("cut short")?;
    if u32::from_le_bytes(*of) != unit {
        return Err("belongs to another unit".into());
    }
    Residue::decode(&frame::inflate(packed, RESIDUE_BYTES_MAX)?)
}

fn check_sum(stored: &[u8], place: &Place) -> Result<(), Fault> {
    if frame::checksum(stored) == place.xxh3 { Ok(()) } else { Err("checksum does not match".into()) }
}
