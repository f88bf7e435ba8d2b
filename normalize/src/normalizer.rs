//! The normaliser: units in, batches of linchpin rows out.
//!
//! It is total: every byte of a unit is in an event or in the residue, every event has a row, and
//! what could not be read as its mapping says is class 0 with a reject that says where and why.

mod recognise;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::batch::{BATCH_ROWS_MAX, Event, EventBatch, Normalized, UnitFacts};
use crate::catalog::{Catalog, Place};
use crate::envelope::{Opener, SCRATCH_PATHS_MAX, Within};
use crate::event::EventFacts;
use crate::framing::{self, Frame, JsonFrames};
use crate::inventory::Inventory;
use crate::lines::{self, LineMode, Lines, last_block};
use crate::pass::{Mode, Part, Pass, ReplayUnit};
use crate::plan::{Framing, Header};
use crate::render::{Coverage, DocumentSink};
use crate::rendered::Format;
use crate::rows::Rows;
use crate::scan::{ScanError, Scanned, Scanner};
use crate::sink::{ColumnSink, Gathering};
use crate::source::{SourceState, States};
use crate::unit::{Carry, EVENT_BYTES_MAX, RawUnit, UnitKey, hex_into};

/// With fewer bytes, and more to come, it is not said that no source is known.
const RECOGNISE_BYTES: usize = 4096;
/// The context of JSON of a source that comes as text as well.
const AS_JSON: &[u8] = b"{}";

/// Normalises units; keeps the scanners of the sources it has met, so one per thread.
pub struct Normalizer {
    catalog: Arc<Catalog>,
    states: States,
    scratch: Scanner,
    scanned: Scanned,
    rows: Rows,
}

impl Normalizer {
    /// A normaliser for the sources of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let states = States::new(catalog.plans().len());
        Self {
            catalog,
            states,
            scratch: Scanner::default(),
            scanned: Scanned::default(),
            rows: Rows::default(),
        }
    }

    /// One that makes inventories of the events of every source; [`Normalizer::seen`] gives them.
    pub fn watching(catalog: Arc<Catalog>) -> Self {
        let states = States::watching(catalog.plans().len());
        Self { states, ..Self::new(catalog) }
    }

    /// What the events of every source looked like since the last call, by source.
    pub fn seen(&mut self) -> BTreeMap<Arc<str>, Inventory> {
        let plans = self.catalog.plans();
        let seen = self.states.seen().map(|(source, found)| (Arc::clone(&plans[source].name), found));
        seen.collect()
    }

    /// The sources this normaliser knows.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Recognises a unit's source and how it is framed.
    pub fn begin(&mut self, unit: &RawUnit) -> Pass {
        let pass = Pass { received_ms: unit.received_ms, ..Pass::blob(unit.id.key()) };
        self.start(&Part::from(unit), pass)
    }

    fn start(&mut self, part: &Part<'_>, mut pass: Pass) -> Pass {
        if part.carry.source.is_none() && Format::of(part.bytes).is_some() {
            // Each of its records is of the source that it says itself.
            return pass;
        }
        let named = part.carry.source.as_deref().or(part.source);
        let set = named.and_then(|name| self.catalog.index(name));
        (pass.source, pass.recognised) = match set {
            Some(source) => (Some(source), None),
            None if part.carry.source.is_some() => (None, None),
            None => {
                let found = self.recognise(part.key, part.bytes);
                (found.as_ref().map(|r| r.source), found)
            }
        };
        self.frame(part, &mut pass);
        pass
    }

    fn frame(&mut self, unit: &Part<'_>, pass: &mut Pass) {
        let bytes = unit.bytes;
        let plan = pass.source.map(|s| Arc::clone(&self.catalog.plans()[s]));
        let json = unit.carry.in_array || unit.carry.plain || framing::is_json(bytes);
        pass.mode = match plan.as_deref().map(|p| &p.framing) {
            Some(framing) if framing.takes_json() && (json || !matches!(framing, Framing::Lines(_))) => {
                if matches!(framing, Framing::Lines(_)) {
                    pass.context = Bytes::from_static(AS_JSON);
                }
                Mode::Json(JsonFrames::inside(unit.carry.in_array, unit.carry.plain))
            }
            Some(Framing::Lines(lines)) => {
                lines::header(unit, lines, pass);
                self.lines(pass.source, &pass.context)
            }
            None if json => Mode::Json(JsonFrames::inside(unit.carry.in_array, unit.carry.plain)),
            _ if is_text(bytes) => Mode::Lines(LineMode::default()),
            _ => Mode::Blob,
        };
    }

    /// Fields of a text source: those of the header, else the usual ones.
    fn lines(&mut self, source: Option<usize>, context: &[u8]) -> Mode {
        let Some(source) = source else { return Mode::Lines(LineMode::default()) };
        let plan = Arc::clone(&self.catalog.plans()[source]);
        if !matches!(plan.framing, Framing::Lines(_)) || context == AS_JSON {
            return Mode::Json(JsonFrames::default());
        }
        let paths = &mut self.states.get(&self.catalog, source).scanner.paths;
        Mode::Lines(LineMode::new(&plan, context, paths))
    }

    /// The next batch of a unit, `None` after the last.
    pub fn batch(&mut self, unit: &RawUnit, pass: &mut Pass) -> Option<Normalized> {
        let mut out = Gathering::default();
        while self.rows.len < BATCH_ROWS_MAX {
            let Some(frame) = self.next_frame(&unit.bytes, pass) else {
                // What follows the last event is done with: it is not to be read again.
                pass.at = unit.bytes.len();
                break;
            };
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

    /// Scans one event of a recognised source whose bytes are known; says what is wrong with it.
    fn rescan(&mut self, pass: &Pass, bytes: &[u8]) -> Option<ScanError> {
        let Mode::Json(_) = pass.mode else { return None };
        let scanner = scanner(&mut self.states, &mut self.scratch, &self.catalog, pass.source);
        whole(scanner, &mut self.scanned, bytes)
    }

    fn next_frame(&mut self, bytes: &[u8], pass: &mut Pass) -> Option<Frame> {
        match &mut pass.mode {
            Mode::Json(frames) => {
                let arrays = pass.source.map_or(&[][..], |s| self.catalog.plans()[s].framing.arrays());
                let scanner = scanner(&mut self.states, &mut self.scratch, &self.catalog, pass.source);
                frames.next(bytes, pass.at, arrays, scanner, &mut self.scanned)
            }
            Mode::Lines(_) => {
                let plan = pass.source.map(|s| &self.catalog.plans()[s].framing);
                let Some(Framing::Lines(lines)) = plan else { return framing::next_line(bytes, pass.at) };
                lines::next_record(bytes, pass.at, lines)
            }
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
        let text = std::str::from_utf8(bytes).ok();
        let owner = self.owner(pass, text.filter(|_| frame.broken.is_none()));
        let source = owner.map(|s| &*self.catalog.plans()[s].name);
        let broken = match pass.source {
            Some(_) => frame.broken,
            None => unknown_fault(&mut self.scratch, &mut self.scanned, bytes),
        };
        let mut sink = ColumnSink {
            rows: &mut self.rows,
            out,
            index,
            key: pass.key,
            offset: frame.start as u32,
            source: source.unwrap_or("unknown"),
            inner: None,
            received_ms: pass.received_ms,
            hash,
        };
        let facts = EventFacts { bytes, text, broken, received_ms: pass.received_ms };
        if let Some(source) = owner {
            let state = self.states.get(&self.catalog, source);
            let lines = lines_of(pass, source, frame.start as u32, state);
            let (catalog, states, scratch) = (&self.catalog, &mut self.states, &mut self.scratch);
            let mut opener = Opener { catalog, states, scratch };
            opener.event(source, &facts, lines.as_deref(), &Within::default(), &mut self.scanned, &mut sink);
        } else {
            let (catalog, states, scratch) = (&self.catalog, &mut self.states, &mut self.scratch);
            Opener { catalog, states, scratch }.unowned(&facts, &mut sink);
        }
    }

    /// The source of a scanned event: the unit's, unless the event is clearly of another one, as in
    /// a stream that several logs share. Then it is scanned anew for that.
    /// A broken event, without `text`, stays with the unit.
    fn owner(&mut self, pass: &Pass, text: Option<&str>) -> Option<usize> {
        let own = pass.source?;
        let Some(text) = text else { return Some(own) };
        if let Mode::Lines(_) = pass.mode {
            return Some(self.line_owner(own, text));
        }
        if !matches!(pass.mode, Mode::Json(_)) {
            return Some(own);
        }
        let state = self.states.get(&self.catalog, own);
        if state.recognises(text, &self.scanned) {
            return Some(own);
        }
        let found = self.catalog.of_json("", text, &self.scanned.leaves, &state.scanner.paths, None);
        let Some(other) = found.map(|f| f.source).filter(|other| *other != own) else { return Some(own) };
        let scanner = scanner(&mut self.states, &mut self.scratch, &self.catalog, Some(other));
        // It was JSON before, so that it is now.
        scanner.json(text.as_bytes(), &mut self.scanned).is_ok().then_some(other)
    }

    /// The source of a line: the unit's, unless it is clearly of another one.
    fn line_owner(&self, own: usize, line: &str) -> usize {
        let plan = &self.catalog.plans()[own];
        let headed = matches!(&plan.framing, Framing::Lines(lines) if lines.header != Header::None);
        if headed || plan.recognise.iter().any(|r| r.fits_line(line)) {
            return own;
        }
        self.catalog.of_line("", line, Place::Among).map_or(own, |found| found.source)
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

    /// A unit from byte `from` on as one event of class 0: what is kept of a unit that broke the
    /// normaliser.
    pub fn quarantined(&mut self, unit: &RawUnit, from: usize, reason: &str) -> Option<Normalized> {
        self.rows = Rows::default();
        let mut out = Gathering::default();
        let broken = ScanError { at: 0, what: "the unit could not be read", truncated: false };
        let pass = Pass { received_ms: unit.received_ms, ..Pass::blob(unit.id.key()) };
        let frame = Frame { start: from, end: unit.bytes.len(), broken: Some(broken) };
        if frame.start < frame.end {
            self.event(&pass, &unit.bytes[from..], frame, &mut out);
        }
        out.rejects.iter_mut().for_each(|reject| reason.clone_into(&mut reject.reason));
        self.gathered(out)
    }

    /// What the unit said beside its events.
    pub fn facts(&self, pass: &Pass) -> UnitFacts {
        let source =
            pass.source.map_or_else(|| Arc::from("unknown"), |s| Arc::clone(&self.catalog.plans()[s].name));
        UnitFacts { source, context: pass.context.clone() }
    }

    /// zstd level for the archive blocks of a unit's source.
    pub fn archive_level(&self, pass: &Pass) -> i32 {
        pass.source.map_or(3, |s| self.catalog.plans()[s].archive_level)
    }

    /// How many leading bytes of a part of a large object form whole records, and what the next
    /// part inherits; 0 if there is no whole record, so that more bytes are needed. `last` says that
    /// nothing follows.
    pub fn cut(&mut self, part: &Part<'_>, last: bool) -> (usize, Carry) {
        let mut pass = self.start(part, Pass::blob(UnitKey([0; 16])));
        let source = Some(self.facts(&pass).source);
        let bytes = part.bytes;
        let (mut end, mut in_array, mut plain) = (0, false, false);
        match &pass.mode {
            _ if last => end = bytes.len(),
            // Its first line may not say yet what it is.
            _ if pass.source.is_none() && bytes.len() < RECOGNISE_BYTES => {}
            Mode::Lines(_) => {
                let plan = pass.source.map(|s| &self.catalog.plans()[s].framing);
                end = lines::records_end(plan, bytes);
            }
            Mode::Blob => end = bytes.len(),
            Mode::Json(_) => {
                while let Some(frame) = self.next_frame(bytes, &mut pass) {
                    // What ends with the part may go on in the next.
                    let open = frame.broken.is_some() && framing::separators(bytes, frame.end) == bytes.len();
                    if open || frame.broken.is_some_and(|b| b.truncated) || frame.end == bytes.len() {
                        break;
                    }
                    pass.at = frame.end;
                    end = frame.end;
                    if let Mode::Json(frames) = &pass.mode {
                        (in_array, plain) = (frames.in_array, frames.plain);
                    }
                }
            }
        }
        if end == 0 {
            return (0, part.carry.clone());
        }
        let context = match &pass.mode {
            Mode::Lines(_) => last_block(&pass.context).into(),
            _ => pass.context,
        };
        (end, Carry { in_array, plain, context, source })
    }

    /// Full OCSF documents of one event, one for each of its rows.
    pub fn render(&mut self, unit: &ReplayUnit<'_>, offset: u32, bytes: &[u8]) -> Vec<Value> {
        self.documents(unit, offset, bytes, None).0
    }

    /// As [`Normalizer::render`], each with how much of the event it says: for authors of mappings.
    pub fn examine(&mut self, unit: &ReplayUnit<'_>, offset: u32, bytes: &[u8]) -> Vec<(Value, Coverage)> {
        let (documents, coverage) = self.documents(unit, offset, bytes, Some(Vec::new()));
        documents.into_iter().zip(coverage.unwrap_or_default()).collect()
    }

    fn documents(
        &mut self,
        unit: &ReplayUnit<'_>,
        offset: u32,
        bytes: &[u8],
        coverage: Option<Vec<Coverage>>,
    ) -> (Vec<Value>, Option<Vec<Coverage>>) {
        let pass = self.resume(unit);
        let broken = match pass.source {
            Some(_) => self.rescan(&pass, bytes),
            None => unknown_fault(&mut self.scratch, &mut self.scanned, bytes),
        };
        let sha256: [u8; 32] = Sha256::digest(bytes).into();
        let text = std::str::from_utf8(bytes).ok();
        let facts = EventFacts { bytes, text, broken, received_ms: pass.received_ms };
        let owner = self.owner(&pass, text.filter(|_| broken.is_none()));
        let catalog = Arc::clone(&self.catalog);
        let source = owner.map_or(unit.source, |s| &*catalog.plans()[s].name);
        let unit = ReplayUnit { source, ..unit.clone() };
        let mut sink = DocumentSink::new(&unit, offset, bytes, sha256);
        sink.coverage = coverage;
        if let Some(source) = owner {
            let state = self.states.get(&self.catalog, source);
            let lines = lines_of(&pass, source, offset, state);
            let (catalog, states, scratch) = (&self.catalog, &mut self.states, &mut self.scratch);
            let mut opener = Opener { catalog, states, scratch };
            opener.event(source, &facts, lines.as_deref(), &Within::default(), &mut self.scanned, &mut sink);
        } else {
            let (catalog, states, scratch) = (&self.catalog, &mut self.states, &mut self.scratch);
            Opener { catalog, states, scratch }.unowned(&facts, &mut sink);
        }
        (sink.documents, sink.coverage)
    }
}

/// What is wrong with an event that must be one JSON value.
fn whole(scanner: &mut Scanner, out: &mut Scanned, bytes: &[u8]) -> Option<ScanError> {
    match scanner.json(bytes, out) {
        Ok(()) if out.len as usize == bytes.len() => None,
        Ok(()) => Some(ScanError { at: out.len, what: "bytes after the value", truncated: false }),
        Err(error) => Some(error),
    }
}

/// What is wrong with an event of no known source: by its own bytes, so that it is the same when it
/// is read again alone.
fn unknown_fault(scanner: &mut Scanner, out: &mut Scanned, bytes: &[u8]) -> Option<ScanError> {
    if scanner.paths.len() > SCRATCH_PATHS_MAX {
        *scanner = Scanner::default();
    }
    bytes.starts_with(b"{").then(|| whole(scanner, out, bytes)).flatten()
}

/// How a source reads the line at `offset`: as the unit's header says, or as its mapping says where
/// the line is in a unit of another source.
fn lines_of(pass: &Pass, source: usize, offset: u32, state: &mut SourceState) -> Option<Arc<Lines>> {
    let Mode::Lines(mode) = &pass.mode else { return None };
    if pass.source == Some(source) { mode.at(offset).map(Arc::clone) } else { state.lines() }
}

fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    !head.contains(&0)
}

fn scanner<'s>(
    states: &'s mut States,
    scratch: &'s mut Scanner,
    catalog: &Catalog,
    source: Option<usize>,
) -> &'s mut Scanner {
    match source {
        Some(source) => &mut states.get(catalog, source).scanner,
        None => scratch,
    }
}
