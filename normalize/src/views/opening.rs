//! Opens the values of an event that hold a format of their own.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{Format, Found, Memo, Open, Out, cef, query, syslog, xml};
use crate::plan::Plan;
use crate::scan::{Embedded, Kind, Leaf, PathId, PathTable, Scanned, unescape};

/// Deepest nesting of formats within each other.
const OPEN_DEPTH_MAX: usize = 6;
/// Most decoded text of one event, in bytes; what is beyond stays closed.
const DECODED_BYTES_MAX: usize = 64 << 20;

const NOT_OPENED: u8 = u8::MAX;
const UNMAPPED: u32 = u32::MAX;

/// The working state of a plan's opened paths.
pub(crate) struct Views {
    plan: Arc<Plan>,
    /// For each path, the entry of `opens` that it is.
    open_of: Vec<u8>,
    memos: Vec<Memo>,
    readers: Vec<Embedded>,
    /// Path ids of the holes of patterns.
    holes: Vec<Vec<PathId>>,
    spare: Vec<Spare>,
    out: Scanned,
}

/// Vectors that one level of nesting needs.
#[derive(Default)]
struct Spare {
    found: Found,
    scanned: Scanned,
    elements: Vec<u32>,
}

/// One event while it is opened.
struct Opening<'a> {
    text: &'a str,
    extra: String,
    received_ms: i64,
}

impl Views {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let opens = plan.opens.len();
        Self {
            plan,
            open_of: Vec::new(),
            memos: (0..opens).map(|_| Memo::default()).collect(),
            readers: (0..opens).map(|_| Embedded::default()).collect(),
            holes: vec![Vec::new(); opens],
            spare: Vec::new(),
            out: Scanned::default(),
        }
    }

    fn know(&mut self, paths: &PathTable) {
        for path in self.open_of.len()..paths.len() {
            let text = paths.text(PathId(path as u32));
            let found = self.plan.opens.iter().position(|open| *open.path == *text);
            self.open_of.push(found.map_or(NOT_OPENED, |n| n as u8));
        }
    }

    /// Opens what the plan says, in an event that has been read. `extra` is decoded text that
    /// already follows the event's own.
    pub(crate) fn open(
        &mut self,
        text: &mut Cow<'_, str>,
        extra: String,
        scanned: &mut Scanned,
        paths: &mut PathTable,
        received_ms: i64,
    ) {
        self.know(paths);
        if !scanned.leaves.iter().any(|leaf| self.open_of[leaf.path.0 as usize] != NOT_OPENED) {
            if !extra.is_empty() {
                text.to_mut().push_str(&extra);
            }
            return;
        }
        let mut opening = Opening { text, extra, received_ms };
        self.out.clear();
        self.out.len = scanned.len;
        self.out.duplicate_keys = scanned.duplicate_keys;
        let found = Found {
            leaves: std::mem::take(&mut scanned.leaves),
            elements: std::mem::take(&mut scanned.elements),
        };
        self.splice(&mut opening, &found, 0, paths, 0);
        let extra = opening.extra;
        std::mem::swap(scanned, &mut self.out);
        (self.out.leaves, self.out.elements) = (found.leaves, found.elements);
        if !extra.is_empty() {
            text.to_mut().push_str(&extra);
        }
    }

    /// Puts leaves into the event, each followed by what its text holds.
    fn splice(
        &mut self,
        opening: &mut Opening<'_>,
        found: &Found,
        parent: u32,
        paths: &mut PathTable,
        depth: usize,
    ) {
        let mut spare = self.spare.pop().unwrap_or_default();
        spare.elements.clear();
        spare.elements.resize(found.elements.len(), UNMAPPED);
        for leaf in &found.leaves {
            let element = self.element(leaf.element, found, parent, &mut spare.elements);
            let leaf = Leaf { element, ..*leaf };
            self.out.leaves.push(leaf);
            let open = self.open_of.get(leaf.path.0 as usize).copied().unwrap_or(NOT_OPENED);
            if open == NOT_OPENED
                || depth >= OPEN_DEPTH_MAX
                || !matches!(leaf.kind, Kind::Text | Kind::Escaped)
                || opening.extra.len() > DECODED_BYTES_MAX
            {
                continue;
            }
            let index = self.out.leaves.len() as u32 - 1;
            if self.read(opening, &leaf, usize::from(open), paths, &mut spare) {
                self.out.opened.push(index);
                self.know(paths);
                let found = std::mem::take(&mut spare.found);
                self.splice(opening, &found, element, paths, depth + 1);
                spare.found = found;
            }
        }
        self.spare.push(spare);
    }

    /// The element of the event that a found leaf's element is; elements keep the order in which
    /// they appear.
    fn element(&mut self, local: u32, found: &Found, parent: u32, known: &mut [u32]) -> u32 {
        if local == 0 {
            return parent;
        }
        let at = local as usize;
        if known[at] == UNMAPPED {
            let around = self.element(found.elements[at], found, parent, known);
            known[at] = self.out.elements.len() as u32;
            self.out.elements.push(around);
        }
        known[at]
    }

    /// Reads the text of a leaf into `spare.found` with the first format that fits.
    fn read(
        &mut self,
        opening: &mut Opening<'_>,
        leaf: &Leaf,
        open: usize,
        paths: &mut PathTable,
        spare: &mut Spare,
    ) -> bool {
        let Some((input, mut base)) = opening.input(leaf) else { return false };
        let mut input = input;
        let plan = Arc::clone(&self.plan);
        let Open { formats, .. } = &plan.opens[open];
        let mut decoded = false;
        for format in formats {
            if matches!(format, Format::Base64) {
                let Some(text) = base64_text(&input) else { return false };
                base = opening.append(&text);
                (input, decoded) = (Cow::Owned(text), true);
                continue;
            }
            let mut out = Out {
                paths,
                memo: &mut self.memos[open],
                found: &mut spare.found,
                extra: &mut opening.extra,
                extra_base: opening.text.len(),
                at: leaf.path,
                base,
            };
            out.begin();
            let fits = match format {
                Format::Json => json(&mut self.readers[open], &input, &mut out, &mut spare.scanned),
                Format::Kv(kv) => kv.read(&input, &mut out),
                Format::Cef => cef::cef(&input, &mut out),
                Format::Leef => cef::leef(&input, &mut out),
                Format::Columns(columns) => columns.read(&input, &mut out),
                Format::Syslog => syslog::read(&input, opening.received_ms, &mut out),
                Format::Xml => xml::read(&input, &mut out),
                Format::Query => query::read(&input, &mut out),
                Format::Patterns(patterns) => patterns.read(&input, &mut self.holes[open], &mut out),
                Format::Base64 => false,
            };
            if fits {
                return true;
            }
        }
        if decoded {
            // The text stands for what it encodes.
            spare.found.clear();
            let (start, end) = (base as u32, (base + input.len()) as u32);
            spare.found.leaves.push(Leaf {
                path: PathId::OVERFLOW,
                start,
                end,
                kind: Kind::Text,
                element: 0,
            });
            if let Some(found) = spare.found.leaves.last_mut() {
                found.path = paths.child(leaf.path, Some("text"));
            }
        }
        decoded
    }
}

impl<'a> Opening<'a> {
    /// The text of a leaf, without escapes, and where it begins.
    fn input(&mut self, leaf: &Leaf) -> Option<(Cow<'a, str>, usize)> {
        let (start, end) = (leaf.start as usize, leaf.end as usize);
        let own = self.text.len();
        let span: Cow<'a, str> = if start < own {
            Cow::Borrowed(self.text.get(start..end)?)
        } else {
            // Decoded text grows while it is read.
            Cow::Owned(self.extra.get(start - own..end - own)?.to_owned())
        };
        if leaf.kind == Kind::Escaped {
            let plain = unescape(&span);
            let base = self.append(&plain);
            return Some((Cow::Owned(plain), base));
        }
        Some((span, start))
    }

    fn append(&mut self, text: &str) -> usize {
        let base = self.text.len() + self.extra.len();
        self.extra.push_str(text);
        base
    }
}

/// An object or array that is the whole text.
fn json(reader: &mut Embedded, text: &str, out: &mut Out<'_>, scanned: &mut Scanned) -> bool {
    let trimmed = text.trim_start();
    let lead = text.len() - trimmed.len();
    if !trimmed.starts_with(['{', '['])
        || reader.json(trimmed.as_bytes(), out.at, out.paths, scanned).is_err()
    {
        return false;
    }
    if !trimmed[scanned.len as usize..].trim().is_empty() {
        return false;
    }
    let base = (out.base + lead) as u32;
    out.found.leaves.clear();
    out.found.leaves.extend(scanned.leaves.iter().map(|leaf| Leaf {
        start: leaf.start + base,
        end: leaf.end + base,
        ..*leaf
    }));
    std::mem::swap(&mut out.found.elements, &mut scanned.elements);
    true
}

fn base64_text(text: &str) -> Option<String> {
    let text = text.trim();
    let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD];
    let bytes = engines.iter().find_map(|engine| engine.decode(text).ok())?;
    String::from_utf8(bytes).ok().filter(|t| !t.is_empty())
}
