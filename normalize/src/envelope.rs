//! Envelopes: events that carry events of other sources.
//!
//! A source with `carries` is an envelope. Each of its events is opened, every text or object that
//! it carries is recognised by what it holds, and becomes rows of its own source, in the order of
//! the envelope; what the envelope says beside it is below `envelope.…`. What nothing recognises
//! stays with the envelope's own rules, one row for each. The raw event is the envelope as it was
//! delivered; its rows are told apart by their sub-index.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::catalog::{Catalog, Place::Inside};
use crate::eval::Place;
use crate::event::{BaseRow, EventFacts, EventRow, MARK_HEARTBEAT, MARK_REJECT, MARK_UNKNOWN, Sink, unknown};
use crate::framing::value_end;
use crate::lines::Lines;
use crate::plan::Plan;
use crate::rendered::Format;
use crate::scan::{Kind, Leaf, PathId, PathTable, Scanned, Scanner};
use crate::source::{SourceState, States};
use crate::unit::SUB_BITS;
use crate::views::PATTERN;

/// Most envelopes within each other.
const ENVELOPES_MAX: usize = 4;
/// Most paths the scanner for unrecognised data keeps before it starts afresh.
pub(crate) const SCRATCH_PATHS_MAX: usize = 4096;
/// Where a carried event finds what is around it.
pub(crate) const AROUND: &str = "envelope";

/// A path whose values are events.
#[derive(Debug)]
pub(crate) struct Carry {
    pub path: Box<str>,
    /// Keys from the top, `None` for the elements of a list.
    pub steps: Vec<Option<Box<str>>>,
}

/// What an envelope says beside an event: names below `envelope`, and values in `text`.
pub(crate) struct Around<'e> {
    pub text: &'e str,
    pub values: Vec<(Arc<Name>, Leaf)>,
}

/// A path of an envelope without its lists.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// As rules write it, with `envelope.` before it.
    pub text: String,
    pub keys: Vec<Box<str>>,
}

impl Name {
    fn is(&self, key: &str) -> bool {
        self.keys.len() == 1 && *self.keys[0] == *key
    }
}

/// Paths of an envelope's values within carried events, by name.
pub(crate) type Borrowed = FxHashMap<String, PathId>;

impl Around<'_> {
    /// The value of a path such as `envelope.logGroup`.
    fn value(&self, path: &str) -> Option<String> {
        let (_, leaf) = self.values.iter().find(|(name, _)| name.text == path)?;
        Place::from(leaf).value(self.text).map(|v| v.text().into_owned())
    }

    /// Adds the values to a carried event.
    pub(crate) fn add(
        &self,
        text: &mut Cow<'_, str>,
        scanned: &mut Scanned,
        paths: &mut PathTable,
        known: &mut Borrowed,
    ) {
        for (name, leaf) in &self.values {
            let Some(value) = self.text.get(leaf.start as usize..leaf.end as usize) else { continue };
            let path = known.get(&name.text).copied().unwrap_or_else(|| {
                let top = paths.field(AROUND);
                let path = name.keys.iter().fold(top, |path, key| paths.child(path, Some(key)));
                known.insert(name.text.clone(), path);
                path
            });
            let start = text.len() as u32;
            text.to_mut().push_str(value);
            let end = text.len() as u32;
            scanned.leaves.push(Leaf { path, start, end, kind: leaf.kind, element: 0 });
        }
    }
}

/// One carried event: its text, and the element of the envelope's list that it is in.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    start: usize,
    end: usize,
    element: u32,
    /// Unescaped, if the envelope has it in escapes.
    plain: Option<String>,
    /// What later entries of `carries` find in the same place, in case this is not recognised.
    others: Vec<Content>,
}

impl Content {
    /// Whether this stands for what a later entry of `carries` found.
    fn replaces(&self, later: &Self, scanned: &Scanned) -> bool {
        self.element == 0
            || list_element(self.element, scanned) == list_element(later.element, scanned)
            || self.start >= later.start && self.end <= later.end
    }
}

/// What an envelope's paths mean, by path id.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// The entry of `carries` that a path is, or lies below by this many lists.
    signs: Vec<Option<(u8, u8, bool)>>,
    names: Vec<Arc<Name>>,
}

impl Carried {
    fn know(&mut self, plan: &Plan, paths: &PathTable) {
        for path in self.signs.len()..paths.len() {
            let path = PathId(path as u32);
            let text = paths.text(path);
            let sign = plan.carries.iter().enumerate().find_map(|(n, carry)| {
                let rest = text.strip_prefix(&*carry.path)?;
                let below = rest.starts_with(['.', '[']);
                (rest.is_empty() || below).then(|| (n as u8, rest.matches("[]").count() as u8, below))
            });
            self.signs.push(sign);
            let keys: Vec<Box<str>> = paths.steps(path).into_iter().flatten().map(Into::into).collect();
            // An envelope's aliases name what it says as its own rules do.
            let bare = plan.aliases.iter().find_map(|(to, from)| {
                if !to.is_empty() || from.is_empty() {
                    return None;
                }
                let from: Vec<&str> = from.split('.').collect();
                let head = keys.iter().map(|k| &**k).take(from.len());
                (keys.len() > from.len() && head.eq(from.iter().copied()))
                    .then(|| keys[from.len()..].to_vec())
            });
            let keys = bare.unwrap_or(keys);
            let text = keys.iter().fold(AROUND.to_owned(), |text, key| format!("{text}.{key}"));
            self.names.push(Arc::new(Name { text, keys }));
        }
    }

    /// What the event carries: what the first entry of `carries` that an element has finds in it,
    /// with what the later ones find.
    fn contents(
        &mut self,
        plan: &Plan,
        text: &str,
        own: usize,
        scanned: &Scanned,
        paths: &PathTable,
    ) -> Vec<Content> {
        self.know(plan, paths);
        let mut contents: Vec<Content> = Vec::new();
        for (n, carry) in plan.carries.iter().enumerate() {
            let mut found: Vec<Content> = Vec::new();
            let sign =
                |leaf: &Leaf| self.signs[leaf.path.0 as usize].filter(|(at, ..)| usize::from(*at) == n);
            for leaf in &scanned.leaves {
                if let Some((_, 0, false)) = sign(leaf) {
                    found.extend(whole(leaf, text));
                }
            }
            // What was opened is carried as the text that it was.
            if found.is_empty() && scanned.leaves.iter().any(|leaf| matches!(sign(leaf), Some((.., true)))) {
                let mut spans = Vec::new();
                locate(text.get(..own).unwrap_or(text), 0, &carry.steps, &mut spans);
                for (start, end) in spans {
                    let inside = |leaf: &&Leaf| leaf.start as usize >= start && leaf.end as usize <= end;
                    let Some(leaf) = scanned.leaves.iter().find(inside) else { continue };
                    let levels = sign(leaf).map_or(0, |(_, levels, _)| levels);
                    let element = (0..levels).fold(leaf.element, |e, _| scanned.elements[e as usize]);
                    found.push(Content { start, end, element, plain: None, others: Vec::new() });
                }
            }
            let before = contents.len();
            for content in found {
                match contents[..before].iter_mut().find(|earlier| earlier.replaces(&content, scanned)) {
                    Some(earlier) => earlier.others.push(content),
                    None => contents.push(content),
                }
            }
        }
        contents.sort_by_key(|content| content.start);
        contents
    }

    /// What the envelope says beside one of the events that it carries.
    fn around<'e>(
        &self,
        content: &Content,
        contents: &[Content],
        text: &'e str,
        scanned: &Scanned,
    ) -> Around<'e> {
        let values = scanned.leaves.iter().enumerate().filter(|(index, leaf)| {
            let empty = matches!(leaf.kind, Kind::Null | Kind::EmptyObject | Kind::EmptyArray);
            let template = leaf.start >= scanned.len && self.names[leaf.path.0 as usize].is(PATTERN);
            let opened = template || scanned.opened.contains(&(*index as u32));
            let own = contents.iter().any(|c| inside(leaf, c));
            let around = holds(leaf.element, content.element, scanned);
            around && !own && !opened && !empty
        });
        let named = |(_, leaf): (usize, &Leaf)| (Arc::clone(&self.names[leaf.path.0 as usize]), *leaf);
        Around { text, values: values.map(named).collect() }
    }
}

fn whole(leaf: &Leaf, text: &str) -> Option<Content> {
    let (start, end) = (leaf.start as usize, leaf.end as usize);
    let span = text.get(start..end).filter(|span| !span.trim().is_empty())?;
    match leaf.kind {
        Kind::Text => Some(Content { start, end, element: leaf.element, plain: None, others: Vec::new() }),
        Kind::Escaped => {
            let plain = Some(crate::scan::unescape(span));
            Some(Content { start, end, element: leaf.element, plain, others: Vec::new() })
        }
        _ => None,
    }
}

fn inside(leaf: &Leaf, content: &Content) -> bool {
    leaf.start as usize >= content.start && leaf.end as usize <= content.end
}

/// Whether `outer` is an element around `inner`, or that itself.
fn holds(outer: u32, mut inner: u32, scanned: &Scanned) -> bool {
    while inner > outer {
        inner = scanned.elements[inner as usize];
    }
    inner == outer
}

/// The element of the outermost list that an element is in.
fn list_element(mut element: u32, scanned: &Scanned) -> u32 {
    while element != 0 && scanned.elements[element as usize] != 0 {
        element = scanned.elements[element as usize];
    }
    element
}

/// Finds the values at a path of JSON text.
fn locate(text: &str, at: usize, steps: &[Option<Box<str>>], found: &mut Vec<(usize, usize)>) -> Option<()> {
    let bytes = text.as_bytes();
    let space = |at: usize| at + bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let mut at = space(at);
    let Some((step, rest)) = steps.split_first() else {
        let end = value_end(bytes, at).unwrap_or(bytes.len());
        found.push((at, at + text[at..end].trim_end().len()));
        return Some(());
    };
    let open = if step.is_some() { b'{' } else { b'[' };
    if *bytes.get(at)? != open {
        return None;
    }
    at += 1;
    loop {
        at = space(at);
        if matches!(bytes.get(at)?, b'}' | b']') {
            return Some(());
        }
        let mut wanted = true;
        if let Some(key) = step {
            let end = crate::scan::string_end(bytes, at + 1)?.0;
            wanted = text.get(at + 1..end)? == &**key;
            at = space(space(end + 1) + 1);
        }
        if wanted {
            locate(text, at, rest, found);
        }
        at = space(value_end(bytes, at)?);
        if *bytes.get(at)? == b',' {
            at += 1;
        }
    }
}

/// Gives the rows of one carried event the numbers after those before it.
struct Numbered<'s> {
    sink: &'s mut dyn Sink,
    base: u32,
    next: u32,
}

impl Numbered<'_> {
    fn sub(&mut self, sub: u32) -> Option<u32> {
        let sub = self.base + sub;
        self.next = self.next.max(sub + 1);
        (sub >> SUB_BITS == 0).then_some(sub)
    }
}

impl Sink for Numbered<'_> {
    fn row(&mut self, row: &EventRow<'_>) {
        if let Some(sub) = self.sub(row.sub) {
            self.sink.row(&EventRow { sub, ..*row });
        }
    }

    fn base(&mut self, row: &BaseRow<'_>) {
        if let Some(sub) = self.sub(row.sub) {
            let BaseRow { marks, time_micros, .. } = *row;
            self.sink.base(&BaseRow { sub, marks, time_micros, reject: row.reject.clone() });
        }
    }

    fn source(&mut self, name: &Arc<str>) {
        self.sink.source(name);
    }

    fn is_intake(&self) -> bool {
        self.sink.is_intake()
    }
}

/// What an event came in.
#[derive(Default)]
pub(crate) struct Within<'e> {
    pub around: Option<&'e Around<'e>>,
    /// How many envelopes are around it.
    pub depth: usize,
}

/// What opening envelopes needs of the normaliser.
pub(crate) struct Opener<'n> {
    pub catalog: &'n Arc<Catalog>,
    pub states: &'n mut States,
    /// Reads what is not recognised yet.
    pub scratch: &'n mut Scanner,
}

impl Opener<'_> {
    fn state(&mut self, source: usize) -> &mut SourceState {
        self.states.get(self.catalog, source)
    }

    /// Gives the rows of one event of `source`, and of what it carries.
    pub(crate) fn event(
        &mut self,
        source: usize,
        facts: &EventFacts<'_>,
        lines: Option<&Lines>,
        within: &Within<'_>,
        scanned: &mut Scanned,
        sink: &mut dyn Sink,
    ) {
        let plan = Arc::clone(&self.catalog.plans()[source]);
        let state = self.state(source);
        let Some((text, lossy)) = state.prepare(facts, lines, within.around, scanned, sink) else { return };
        let own = facts.bytes.len();
        let contents = if within.depth >= ENVELOPES_MAX || plan.carries.is_empty() {
            Vec::new()
        } else {
            let (carried, paths) = state.carried();
            carried.contents(&plan, &text, own, scanned, paths)
        };
        if contents.is_empty() {
            return state.rows(&text, scanned, lossy, sink);
        }
        let mut next = 0;
        for content in &contents {
            let mut numbered = Numbered { sink, base: next, next };
            let known = std::iter::once(content).chain(&content.others).any(|one| {
                let around = self.state(source).carried().0.around(one, &contents, &text, scanned);
                let inner = one.plain.as_deref().or_else(|| text.get(one.start..one.end)).unwrap_or_default();
                self.carried(facts.received_ms, inner.trim(), &around, &mut numbered, within.depth + 1)
            });
            if !known {
                numbered.source(&plan.name);
                let alone = pruned(scanned, content);
                self.state(source).rows(&text, &alone, lossy, &mut numbered);
            }
            next = numbered.next;
        }
    }

    /// Gives the rows of an event of no known source: those of its records, if it is a file of such.
    pub(crate) fn unowned(&mut self, facts: &EventFacts<'_>, sink: &mut dyn Sink) {
        let Some(format) = Format::of(facts.bytes) else { return unknown(facts, sink) };
        let (nobody, nothing) = (Arc::from("unknown"), Around { text: "", values: Vec::new() });
        let mut next = 0;
        format.records(facts.bytes, &mut |record| {
            let mut numbered = Numbered { sink, base: next, next };
            let known = record
                .as_ref()
                .is_ok_and(|text| self.carried(facts.received_ms, text, &nothing, &mut numbered, 1));
            if !known {
                let reject = record.err().map(|why| (None, why));
                let marks = if reject.is_some() { MARK_REJECT } else { MARK_UNKNOWN };
                numbered.source(&nobody);
                numbered.base(&BaseRow { sub: 0, marks, time_micros: None, reject });
            }
            next = numbered.next;
        });
        if next == 0 {
            sink.base(&BaseRow { sub: 0, marks: MARK_HEARTBEAT, time_micros: None, reject: None });
        }
    }

    /// Gives the rows of a carried event; false if it is of no known source.
    fn carried(
        &mut self,
        received_ms: i64,
        text: &str,
        around: &Around<'_>,
        sink: &mut dyn Sink,
        depth: usize,
    ) -> bool {
        let catalog = Arc::clone(self.catalog);
        if self.scratch.paths.len() > SCRATCH_PATHS_MAX {
            *self.scratch = Scanner::default();
        }
        let value = |path: &str| around.value(path);
        let mut scanned = Scanned::default();
        let json = text.starts_with('{')
            && self.scratch.json(text.as_bytes(), &mut scanned).is_ok()
            && scanned.len as usize == text.len();
        let found = if json {
            catalog.of_json("", text, &scanned.leaves, &self.scratch.paths, Some(&value))
        } else {
            catalog.of_line("", text, Inside(&value))
        };
        let Some(source) = found.map(|found| found.source) else { return false };
        let state = self.state(source);
        let lines = if json { None } else { state.lines() };
        // It was JSON before, so that it is now.
        if json && state.scanner.json(text.as_bytes(), &mut scanned).is_err() {
            return false;
        }
        sink.source(&catalog.plans()[source].name);
        let facts = EventFacts { bytes: text.as_bytes(), text: Some(text), broken: None, received_ms };
        let within = Within { around: Some(around), depth };
        self.event(source, &facts, lines.as_deref(), &within, &mut scanned, sink);
        true
    }
}

/// The event as if it carried one thing only.
fn pruned(scanned: &Scanned, content: &Content) -> Scanned {
    let mut alone = Scanned {
        elements: scanned.elements.clone(),
        len: scanned.len,
        duplicate_keys: scanned.duplicate_keys,
        ..Scanned::default()
    };
    for (index, leaf) in scanned.leaves.iter().enumerate() {
        if holds(leaf.element, content.element, scanned) || holds(content.element, leaf.element, scanned) {
            if scanned.opened.contains(&(index as u32)) {
                alone.opened.push(alone.leaves.len() as u32);
            }
            alone.leaves.push(*leaf);
        }
    }
    alone
}
