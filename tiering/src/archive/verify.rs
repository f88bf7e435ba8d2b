//! Verification: a whole segment against its own footer and against the ledger's facts.
//!
//! One pass over the object in offset order. Every byte must belong to the header, a block, a
//! residue, a units frame or the footer; every event is hashed again.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use linchpin_store::{Store, StoreError};
use sha2::{Digest, Sha256};

use super::{
    HEADER_BYTES_MAX,
    error::ArchiveError,
    frame, hex,
    merkle::MerkleTree,
    meta::{HeaderFrame, UnitMeta},
    reader::{SegmentReader, decode_residue},
};

/// Bytes fetched by one range read of a verification, unless one frame is longer.
const READ_BYTES: u64 = 8 << 20;

/// What the ledger knows of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Segment id: `<worker>-<seq>-<hash>`.
    pub id: String,
    /// SHA-256 of the segment.
    pub sha256: [u8; 32],
    /// Whether the segment was encoded again since it got its name, which the hash is a part of.
    pub encoded_again: bool,
    /// Whether it is in a pack, so that its object may be longer than it.
    pub packed: bool,
    /// Size of the segment in bytes.
    pub stored_bytes: u64,
    /// Number of events.
    pub events: u64,
    /// Bytes of all events, without newlines.
    pub raw_bytes: u64,
    /// Merkle root over the events.
    pub merkle_root: [u8; 32],
    /// Merkle root of the worker's previous segment.
    pub previous_root: Option<[u8; 32]>,
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Segment id.
    pub segment: String,
    /// Block, if it is inside one.
    pub block: Option<u32>,
    /// Rows of that block.
    pub rows: Option<Range<u32>>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment `{}`", self.segment)?;
        if let Some(block) = self.block {
            write!(f, ", block {block}")?;
        }
        if let Some(rows) = &self.rows {
            write!(f, ", rows {} to {}", rows.start, rows.end.saturating_sub(1))?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Reads the segment that begins at byte `base` of the object at `key` as a whole and says what does
/// not agree with `expected` or with itself; nothing means that it is intact. A missing object is a
/// finding; a store that fails is an error.
pub async fn verify(
    store: &Arc<dyn Store>,
    key: &str,
    base: u64,
    expected: &SegmentFacts,
) -> Result<Vec<Finding>, ArchiveError> {
    let alone = |what: String| vec![Finding { segment: expected.id.clone(), block: None, rows: None, what }];
    let opened = match store.head(key).await {
        // A part of a pack has the length that the ledger says; an object alone has its own.
        Ok(head) => {
            let size = if expected.packed { expected.stored_bytes } else { head.size };
            SegmentReader::open_part(Arc::clone(store), key, base, size).await
        }
        Err(error) => Err(error.into()),
    };
    let reader = match opened {
        Ok(reader) => reader,
        Err(ArchiveError::Store(StoreError::NotFound(key))) => {
            return Ok(alone(format!("object `{key}` is missing")));
        }
        Err(ArchiveError::Store(error)) => return Err(error.into()),
        Err(error) => return Ok(alone(error.to_string())),
    };
    let mut check = Check::new(&reader, expected);
    check.facts();
    check.walk().await?;
    Ok(check.findings)
}

/// What a stretch of the object is.
#[derive(Debug, Clone, Copy)]
enum Part {
    Block(usize),
    Units,
    Residue(u32),
    Footer,
}

struct Check<'a> {
    reader: &'a SegmentReader,
    expected: &'a SegmentFacts,
    findings: Vec<Finding>,
    /// Next byte to be hashed.
    position: u64,
    hash: Sha256,
    /// Bytes read ahead, from `position` on.
    ahead: Bytes,
    tree: MerkleTree,
    /// Events found of every unit.
    unit_events: Vec<u32>,
}

impl<'a> Check<'a> {
    fn new(reader: &'a SegmentReader, expected: &'a SegmentFacts) -> Self {
        Self {
            reader,
            expected,
            findings: Vec::new(),
            position: 0,
            hash: Sha256::new(),
            ahead: Bytes::new(),
            tree: MerkleTree::default(),
            unit_events: Vec::new(),
        }
    }

    fn found(&mut self, what: impl Into<String>) {
        let segment = self.expected.id.clone();
        self.findings.push(Finding { segment, block: None, rows: None, what: what.into() });
    }

    fn found_in_block(&mut self, block: usize, what: String) {
        let rows = self
            .reader
            .footer()
            .blocks
            .get(block)
            .map(|entry| entry.first_row..entry.first_row + entry.events);
        let segment = self.expected.id.clone();
        self.findings.push(Finding { segment, block: Some(block as u32), rows, what });
    }

    /// The footer against the ledger.
    fn facts(&mut self) {
        let (footer, expected) = (self.reader.footer(), self.expected);
        let header = footer.header();
        let number = format!("{}-{:08}-", header.worker, header.seq);
        let agree = [
            ("size", self.reader.size() == expected.stored_bytes),
            ("number of events", u64::from(footer.events) == expected.events),
            ("bytes of the events", footer.raw_bytes == expected.raw_bytes),
            ("Merkle root", footer.merkle_root == expected.merkle_root),
            ("previous Merkle root", header.previous_root == expected.previous_root),
            ("worker and sequence", expected.id.starts_with(&number)),
        ];
        for (what, _) in agree.iter().filter(|(_, same)| !same) {
            self.found(format!("{what} is not what the ledger says"));
        }
    }

    /// All bytes of the object in order.
    async fn walk(&mut self) -> Result<(), ArchiveError> {
        let units = match self.reader.units().await {
            Ok(units) => Some(units),
            Err(ArchiveError::Store(error)) => return Err(error.into()),
            Err(error) => {
                self.found(error.to_string());
                None
            }
        };
        let parts = self.parts(units.as_deref());
        let header_end = parts.first().map_or(0, |(range, _)| range.start);
        if header_end <= HEADER_BYTES_MAX as u64 {
            let header = self.take(header_end).await?;
            self.header(&header);
        }
        self.unit_events = vec![0; self.reader.footer().unit_count as usize];
        let mut blocks_intact = true;
        for (range, part) in parts {
            if range.start < self.position {
                self.found(format!("frames overlap at byte {}", range.start));
                continue;
            }
            if range.start > self.position {
                self.skip(range.start, units.is_some()).await?;
            }
            let stored = self.take(range.end).await?;
            match part {
                Part::Block(block) => blocks_intact &= self.block(block, &stored),
                Part::Residue(unit) => self.residue(unit, &stored, units.as_deref().unwrap_or_default()),
                // both were decoded and checked when they were first read
                Part::Units | Part::Footer => {}
            }
        }
        if blocks_intact {
            self.totals(units.as_deref());
        }
        self.object_hash();
        Ok(())
    }

    /// Everything the footer and the units name, in offset order.
    fn parts(&self, units: Option<&[UnitMeta]>) -> Vec<(Range<u64>, Part)> {
        let footer = self.reader.footer();
        let mut parts: Vec<(Range<u64>, Part)> =
            footer.blocks.iter().enumerate().map(|(i, block)| (block.range(), Part::Block(i))).collect();
        parts.extend(footer.units.iter().map(|entry| (entry.place.offset..entry.place.end(), Part::Units)));
        for (unit, meta) in (0u32..).zip(units.unwrap_or_default()) {
            parts.extend(meta.residue.as_ref().map(|place| (place.offset..place.end(), Part::Residue(unit))));
        }
        parts.push((self.reader.footer_start()..self.reader.size(), Part::Footer));
        parts.sort_by_key(|(range, _)| range.start);
        parts
    }

    fn header(&mut self, stored: &[u8]) {
        let json = frame::payload(stored, frame::HEADER).ok();
        let header: Option<HeaderFrame> = json.and_then(|json| serde_json::from_slice(json).ok());
        if header.as_ref() != Some(&self.reader.footer().header) {
            self.found("header is damaged or differs from the footer");
        }
    }

    /// Hashes every event of a block; false if it cannot be read.
    fn block(&mut self, block: usize, stored: &[u8]) -> bool {
        match self.reader.decode_block(block, stored) {
            Ok(decoded) => {
                for event in decoded.events() {
                    self.tree.push(&Sha256::digest(event.bytes).into());
                    // in range: the block was checked against the number of units
                    self.unit_events[event.unit as usize] += 1;
                }
                true
            }
            Err(error) => {
                let what = match error {
                    ArchiveError::Damaged { what, .. } => what.into_owned(),
                    other => other.to_string(),
                };
                self.found_in_block(block, what);
                false
            }
        }
    }

    fn residue(&mut self, unit: u32, stored: &[u8], units: &[UnitMeta]) {
        let Some(meta) = units.get(unit as usize) else { return };
        let Some(place) = &meta.residue else { return };
        match decode_residue(stored, place, unit) {
            Ok(residue) if residue.events() == meta.events_total as usize => {}
            Ok(_) => self.found(format!("residue of unit {unit} counts other events than the unit")),
            Err(fault) => self.found(format!("residue of unit {unit}: {}", fault.0)),
        }
    }

    /// Root and counts over all blocks.
    fn totals(&mut self, units: Option<&[UnitMeta]>) {
        let root = self.tree.root();
        if root != self.reader.footer().merkle_root {
            self.found(format!("events give the Merkle root `{}`, the footer says otherwise", hex(&root)));
        }
        let units = units.unwrap_or_default();
        let wrong = units.iter().zip(&self.unit_events).position(|(unit, &events)| unit.events != events);
        if let Some(unit) = wrong {
            self.found(format!(
                "unit {unit} has {} events, not {}",
                self.unit_events[unit], units[unit].events
            ));
        }
    }

    fn object_hash(&mut self) {
        let sha256: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        if sha256 != self.expected.sha256 {
            self.found(format!("object hash is `{}`, not what the ledger says", hex(&sha256)));
        }
        if !self.expected.encoded_again && !self.expected.id.ends_with(&hex(&sha256[..8])) {
            self.found("object hash does not match the segment's name");
        }
    }

    /// Passes over bytes that no frame claims.
    async fn skip(&mut self, end: u64, report: bool) -> Result<(), ArchiveError> {
        if report {
            self.found(format!("bytes {} to {} belong to no frame", self.position, end - 1));
        }
        while self.position < end {
            self.take(end.min(self.position + READ_BYTES)).await?;
        }
        Ok(())
    }

    /// The bytes from the current position up to `end`, hashed.
    async fn take(&mut self, end: u64) -> Result<Bytes, ArchiveError> {
        let length = end - self.position;
        if length > self.ahead.len() as u64 {
            let until = end.max(self.position + READ_BYTES).min(self.reader.size());
            self.ahead = self.reader.read(self.position..until, "object").await?;
        }
        let bytes = self.ahead.split_to(length as usize);
        self.hash.update(&bytes);
        self.position = end;
        Ok(bytes)
    }
}
