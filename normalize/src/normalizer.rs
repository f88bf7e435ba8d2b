//! The normaliser: units in, batches of linchpin rows out.
//!
//! It is total: every byte of a unit is in an event or in the residue, every event has a row, and
//! what could not be read as its mapping says is class 0 with a reject that says where and why.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::batch::{BATCH_ROWS_MAX, Event, EventBatch, Normalized, Reject, UnitFacts};
use crate::catalog::{Catalog, Recognised, is_header};
use crate::event::{BaseRow, EventFacts, EventRow, Sink};
use crate::framing::{self, Frame, JsonFrames};
use crate::plan::{Framing, Plan};
use crate::rows::{RowFacts, Rows};
use crate::scan::{PathId, Scanned, Scanner};
use crate::source::SourceState;
use crate::unit::{Carry, EVENT_BYTES_MAX, EventId, RawUnit, UnitKey, hex_into};

/// Most paths the scanner for unrecognised data keeps before it starts afresh.
const SCRATCH_PATHS_MAX: usize = 4096;

/// Normalises units; keeps the scanners of the sources it has met, so one per thread.
pub struct Normalizer {
    catalog: Arc<Catalog>,
    states: Vec<Option<Box<SourceState>>>,
    scratch: Scanner,
    scanned: Scanned,
    rows: Rows,
}

/// How the events of a unit are found.
#[derive(Debug, Clone)]
enum Mode {
    Json(JsonFrames),
    Lines { fields: Vec<PathId>, null: Vec<u8> },
    /// Neither JSON nor text: the unit is one event.
    Blob,
}

/// A unit on its way through the normaliser.
#[derive(Debug, Clone)]
pub struct Pass {
    key: UnitKey,
    source: Option<usize>,
    recognised: Option<Recognised>,
    mode: Mode,
    context: Bytes,
    received_ms: i64,
    at: usize,
}

impl Pass {
    /// Why the source was taken, if it was recognised rather than set.
    pub fn recognised(&self) -> Option<&Recognised> {
        self.recognised.as_ref()
    }

    /// Index of the source in the catalogue; `None` if nothing was recognised.
    pub fn source(&self) -> Option<usize> {
        self.source
    }
}

/// What is needed to read one event again by itself, as an archive segment keeps it.
#[derive(Debug, Clone)]
pub struct ReplayUnit<'a> {
    /// Key of the unit that the event came in.
    pub key: UnitKey,
    /// Name of its source.
    pub source: &'a str,
    /// Its header lines.
    pub context: &'a [u8],
    /// Time of events that do not say their own, epoch milliseconds.
    pub received_ms: i64,
}

impl Normalizer {
    /// A normaliser for the sources of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let states = catalog.plans().iter().map(|_| None).collect();
        Self { catalog, states, scratch: Scanner::default(), scanned: Scanned::default(), rows: Rows::default() }
    }

    /// The sources this normaliser knows.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Recognises a unit's source and how it is framed.
    pub fn begin(&mut self, unit: &RawUnit) -> Pass {
        let named = unit.carry.source.as_deref().or(unit.source.as_deref());
        let set = named.and_then(|name| self.catalog.index(name));
        let (source, recognised) = match set {
            Some(source) => (Some(source), None),
            None if unit.carry.source.is_some() => (None, None),
            None => {
                let found = self.recognise(&unit.key, &unit.bytes);
                (found.as_ref().map(|r| r.source), found)
            }
        };
        let mut pass = Pass {
            key: unit.id.key(),
            source,
            recognised,
            mode: Mode::Blob,
            context: Bytes::new(),
            received_ms: unit.received_ms,
            at: 0,
        };
        self.frame(unit, &mut pass);
        pass
    }

    fn frame(&mut self, unit: &RawUnit, pass: &mut Pass) {
        let bytes = &unit.bytes;
        let plan = pass.source.map(|s| Arc::clone(&self.catalog.plans()[s]));
        pass.mode = match plan.as_deref().map(|p| &p.framing) {
            Some(Framing::Json { .. }) => Mode::Json(JsonFrames::inside(unit.carry.in_array)),
            Some(Framing::Lines { .. }) => {
                if unit.carry.context.is_empty() {
                    if let Some(line) = framing::next_line(bytes, 0)
                        && plan.as_deref().is_some_and(|p| names_fields(p, &bytes[line.start..line.end]))
                    {
                        pass.context = bytes.slice(line.start..line.end);
                        pass.at = line.end;
                    }
                } else {
                    pass.context = unit.carry.context.clone();
                }
                self.lines(pass.source, &pass.context)
            }
            None if unit.carry.in_array || framing::is_json(bytes) => {
                Mode::Json(JsonFrames::inside(unit.carry.in_array))
            }
            None if is_text(bytes) => Mode::Lines { fields: Vec::new(), null: Vec::new() },
            None => Mode::Blob,
        };
    }

    /// Fields of a text source: those of the header, else the usual ones.
    fn lines(&mut self, source: Option<usize>, context: &[u8]) -> Mode {
        let Some(source) = source else { return Mode::Lines { fields: Vec::new(), null: Vec::new() } };
        let plan = Arc::clone(&self.catalog.plans()[source]);
        let Framing::Lines { default, null, .. } = &plan.framing else {
            return Mode::Json(JsonFrames::default());
        };
        let header = String::from_utf8_lossy(context);
        let paths = &mut state(&mut self.states, &self.catalog, source).scanner.paths;
        let fields = if context.is_empty() {
            default.iter().map(|name| paths.field(name)).collect()
        } else {
            header.split_ascii_whitespace().map(|name| paths.field(name)).collect()
        };
        Mode::Lines { fields, null: null.clone().into_bytes() }
    }

    fn recognise(&mut self, key: &str, bytes: &[u8]) -> Option<Recognised> {
        if !framing::is_json(bytes) {
            let line = framing::next_line(bytes, 0)?;
            let line = std::str::from_utf8(&bytes[line.start..line.end]).ok()?;
            return self.catalog.of_line(key, &line.split_ascii_whitespace().collect::<Vec<_>>());
        }
        self.fresh_scratch();
        let mut frames = JsonFrames::default();
        let mut at = 0;
        // A broken first event says nothing: look at a few.
        for _ in 0..8 {
            let frame = frames.next(bytes, at, &[], &mut self.scratch, &mut self.scanned)?;
            if frame.broken.is_none()
                && let Ok(text) = std::str::from_utf8(&bytes[frame.start..frame.end])
                && let Some(found) = self.catalog.of_json(key, text, &self.scanned.leaves, &self.scratch.paths)
            {
                return Some(found);
            }
            at = frame.end;
        }
        None
    }

    fn fresh_scratch(&mut self) {
        if self.scratch.paths.len() > SCRATCH_PATHS_MAX {
            self.scratch = Scanner::default();
        }
    }

    /// The next batch of a unit, `None` after the last.
    pub fn batch(&mut self, unit: &RawUnit, pass: &mut Pass) -> Option<Normalized> {
        let mut out = Gathering::default();
        while self.rows.len < BATCH_ROWS_MAX {
            let Some(frame) = self.next_frame(&unit.bytes, pass) else { break };
            pass.at = frame.end;
            let bytes = &unit.bytes[frame.start..frame.end];
            self.event(pass, bytes, frame, &mut out);
        }
        self.gathered(out)
    }

    /// Normalises events that were framed before, such as those of a segment: (offset in the unit,
    /// bytes). Gives the rows the events had when they first came in.
    pub fn replay<'b>(
        &mut self,
        unit: &ReplayUnit<'_>,
        events: impl IntoIterator<Item = (u32, &'b [u8])>,
    ) -> Option<Normalized> {
        let pass = self.resume(unit);
        let mut out = Gathering::default();
        for (offset, bytes) in events {
            let broken = self.rescan(&pass, bytes);
            let frame = Frame { start: offset as usize, end: offset as usize + bytes.len(), broken };
            self.event(&pass, bytes, frame, &mut out);
        }
        self.gathered(out)
    }

    fn resume(&mut self, unit: &ReplayUnit<'_>) -> Pass {
        let source = self.catalog.index(unit.source);
        let mode = self.lines(source, unit.context);
        Pass {
            key: unit.key,
            source,
            recognised: None,
            mode,
            context: Bytes::new(),
            received_ms: unit.received_ms,
            at: 0,
        }
    }

    /// Scans one event whose bytes are known; says what is wrong with it.
    fn rescan(&mut self, pass: &Pass, bytes: &[u8]) -> Option<crate::scan::ScanError> {
        let Mode::Json(_) = pass.mode else { return None };
        let scanner = scanner(&mut self.states, &mut self.scratch, &self.catalog, pass.source);
        match scanner.json(bytes, &mut self.scanned) {
            Ok(()) if self.scanned.len as usize == bytes.len() => None,
            Ok(()) => Some(crate::scan::ScanError {
                at: self.scanned.len,
                what: "bytes after the value",
                truncated: false,
            }),
            Err(error) => Some(error),
        }
    }

    fn next_frame(&mut self, bytes: &Bytes, pass: &mut Pass) -> Option<Frame> {
        match &mut pass.mode {
            Mode::Json(frames) => {
                let arrays = match pass.source.map(|s| &self.catalog.plans()[s].framing) {
                    Some(Framing::Json { arrays }) => arrays.as_slice(),
                    _ => &[],
                };
                let scanner = scanner(&mut self.states, &mut self.scratch, &self.catalog, pass.source);
                frames.next(bytes, pass.at, arrays, scanner, &mut self.scanned)
            }
            Mode::Lines { .. } => framing::next_line(bytes, pass.at),
            Mode::Blob => {
                let end = bytes.len().min(pass.at + EVENT_BYTES_MAX);
                (pass.at < end).then_some(Frame { start: pass.at, end, broken: None })
            }
        }
    }

    /// One event: scanned already if it is JSON.
    fn event(&mut self, pass: &Pass, bytes: &[u8], frame: Frame, out: &mut Gathering) {
        let sha256: [u8; 32] = Sha256::digest(bytes).into();
        let index = out.events.len() as u32;
        out.events.push(Event { start: frame.start as u32, end: frame.end as u32, sha256 });
        let mut hash = [0; 32];
        hex_into(&sha256[..16], &mut hash);
        let source = pass.source.map(|s| &*self.catalog.plans()[s].name);
        let mut sink = ColumnSink {
            rows: &mut self.rows,
            out,
            index,
            key: pass.key,
            offset: frame.start as u32,
            source: source.unwrap_or("unknown"),
            received_ms: pass.received_ms,
            hash,
        };
        let facts = EventFacts { bytes, broken: frame.broken };
        let (fields, null) = match &pass.mode {
            Mode::Lines { fields, null } => (Some(fields.as_slice()), null.as_slice()),
            _ => (None, &[][..]),
        };
        match pass.source {
            Some(source) => {
                let state = state(&mut self.states, &self.catalog, source);
                state.event(&facts, fields, null, &mut self.scanned, &mut sink);
            }
            None => crate::event::unknown(&facts, &mut sink),
        }
    }

    fn gathered(&mut self, out: Gathering) -> Option<Normalized> {
        if out.events.is_empty() {
            return None;
        }
        let Gathering { events, row_event, row_sub, rejects } = out;
        // The builders follow the schema; a mismatch would be a bug, which a property test rules out.
        let rows = self.rows.finish().ok()?;
        Some(Normalized { batch: EventBatch { rows, events, row_event, row_sub }, rejects })
    }

    /// What the unit said beside its events.
    pub fn facts(&self, pass: &Pass) -> UnitFacts {
        let source = pass.source.map_or_else(|| Arc::from("unknown"), |s| Arc::clone(&self.catalog.plans()[s].name));
        UnitFacts { source, context: pass.context.clone() }
    }

    /// zstd level for the archive blocks of a unit's source.
    pub fn archive_level(&self, pass: &Pass) -> i32 {
        pass.source.map_or(3, |s| self.catalog.plans()[s].archive_level)
    }

    /// How many leading bytes of a part of a large object form whole records, and what the next
    /// part inherits. `last` says that nothing follows.
    pub fn cut(&mut self, unit: &RawUnit, last: bool) -> (usize, Carry) {
        let mut pass = self.begin(unit);
        let source = Some(self.facts(&pass).source);
        let bytes = &unit.bytes;
        let line_end = memchr::memrchr(b'\n', bytes).map_or(0, |n| n + 1);
        let (mut end, mut in_array) = (0, false);
        match &pass.mode {
            _ if last => end = bytes.len(),
            Mode::Lines { .. } => end = line_end,
            Mode::Blob => end = bytes.len(),
            Mode::Json(_) => {
                while let Some(frame) = self.next_frame(bytes, &mut pass) {
                    if frame.broken.is_some_and(|b| b.truncated) || frame.end == bytes.len() {
                        break;
                    }
                    pass.at = frame.end;
                    end = frame.end;
                    in_array = matches!(&pass.mode, Mode::Json(frames) if frames.in_array);
                }
            }
        }
        (end, Carry { in_array, context: pass.context, source })
    }

    /// Full OCSF documents of one event, one for each of its rows.
    pub fn render(&mut self, unit: &ReplayUnit<'_>, offset: u32, bytes: &[u8]) -> Vec<serde_json::Value> {
        let pass = self.resume(unit);
        let broken = self.rescan(&pass, bytes);
        let sha256: [u8; 32] = Sha256::digest(bytes).into();
        let facts = EventFacts { bytes, broken };
        let mut sink = crate::render::DocumentSink::new(unit, offset, bytes, sha256);
        let (fields, null) = match &pass.mode {
            Mode::Lines { fields, null } => (Some(fields.as_slice()), null.as_slice()),
            _ => (None, &[][..]),
        };
        match pass.source {
            Some(source) => {
                let state = state(&mut self.states, &self.catalog, source);
                state.event(&facts, fields, null, &mut self.scanned, &mut sink);
            }
            None => crate::event::unknown(&facts, &mut sink),
        }
        sink.documents
    }
}

/// Whether a line is the header of a text source.
fn names_fields(plan: &Plan, line: &[u8]) -> bool {
    let Framing::Lines { header: true, known, .. } = &plan.framing else { return false };
    let line = String::from_utf8_lossy(line);
    is_header(&line.split_ascii_whitespace().collect::<Vec<_>>(), known)
}

fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    !head.contains(&0)
}

fn state<'s>(states: &'s mut [Option<Box<SourceState>>], catalog: &Catalog, source: usize) -> &'s mut SourceState {
    states[source].get_or_insert_with(|| Box::new(SourceState::new(Arc::clone(&catalog.plans()[source]))))
}

fn scanner<'s>(
    states: &'s mut [Option<Box<SourceState>>],
    scratch: &'s mut Scanner,
    catalog: &Catalog,
    source: Option<usize>,
) -> &'s mut Scanner {
    match source {
        Some(source) => &mut state(states, catalog, source).scanner,
        None => scratch,
    }
}

/// A batch under construction, beside its rows.
#[derive(Default)]
struct Gathering {
    events: Vec<Event>,
    row_event: Vec<u32>,
    row_sub: Vec<u32>,
    rejects: Vec<Reject>,
}

/// Writes the rows of one event into the column builders.
struct ColumnSink<'a> {
    rows: &'a mut Rows,
    out: &'a mut Gathering,
    index: u32,
    key: UnitKey,
    offset: u32,
    source: &'a str,
    received_ms: i64,
    hash: [u8; 32],
}

impl<'a> ColumnSink<'a> {
    fn facts<'f>(&self, sub: u32, marks: &'f str) -> RowFacts<'f>
    where
        'a: 'f,
    {
        RowFacts {
            event_id: EventId::new(self.key, self.offset, sub).hex(),
            raw_hash: self.hash,
            source: self.source,
            marks,
            received_ms: self.received_ms,
        }
    }

    fn addressed(&mut self, sub: u32) {
        self.out.row_event.push(self.index);
        self.out.row_sub.push(sub);
    }
}

impl Sink for ColumnSink<'_> {
    fn row(&mut self, row: &EventRow<'_>) {
        let facts = self.facts(row.sub, row.marks);
        let (rejects, offset) = (&mut self.out.rejects, u64::from(self.offset));
        self.rows.row(
            row.class,
            &facts,
            |target| row.view.target(target, row.alsos),
            |target, fault| {
                let field = Some(Arc::clone(&target.text));
                rejects.push(Reject { offset, at: None, field, reason: fault.to_owned() });
            },
        );
        self.addressed(row.sub);
    }

    fn base(&mut self, base: &BaseRow<'_>) {
        self.rows.base(&self.facts(base.sub, base.marks), base.time_micros);
        if let Some((at, reason)) = &base.reject {
            let offset = u64::from(self.offset);
            self.out.rejects.push(Reject { offset, at: *at, field: None, reason: reason.clone() });
        }
        self.addressed(base.sub);
    }
}
