//! The scan of an event: its structure as a template, its values as leaf spans.
//!
//! A template is the exact sequence of everything that is not a value: keys, punctuation, white
//! space. Events of one source repeat few steps from one value to the next, so the scanner keeps
//! those steps in an automaton (`template`) and reads an event by comparing literals and looking
//! for the ends of values; keys are not looked at again. A step that the automaton does not know is
//! read by the general reader (`json`) and added, up to a limit.
//!
//! Mapping resolves paths once per path, not once per event; the archive's columnar codec can use
//! the same leaves and template ids.

mod json;
mod paths;
mod template;
#[cfg(test)]
mod tests;
mod value;

pub use paths::{PathId, PathTable};
pub use value::{string_end, unescape};

use template::Templates;

/// Deepest nesting of an event.
pub const DEPTH_MAX: usize = 128;

/// What a leaf holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string without escapes; the span is between the quotes.
    Text,
    /// A string with escapes; the span is between the quotes.
    Escaped,
    /// A number, as written.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An object without members; the span has the braces.
    EmptyObject,
    /// An array without elements; the span has the brackets.
    EmptyArray,
}

/// One value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Where it stands in the structure; array elements share a path.
    pub path: PathId,
    /// First byte in the event.
    pub start: u32,
    /// One past the last byte in the event.
    pub end: u32,
    /// What it is.
    pub kind: Kind,
    /// The innermost array element it is in: an index into [`Scanned::elements`]; 0 is the event.
    pub element: u32,
}

/// The leaves of one event; reused from event to event.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Values in the order of the event.
    pub leaves: Vec<Leaf>,
    /// For each array element, the element that holds its array; element 0 is the event itself.
    pub elements: Vec<u32>,
    /// Length of the event in bytes.
    pub len: u32,
    /// Its structure as a number, when the automaton holds it: equal structures have equal numbers.
    pub template: Option<u64>,
    /// A key occurs twice in one object; the last value counts.
    pub duplicate_keys: bool,
    /// Leaves whose text was opened: what they hold follows them as leaves of its own.
    pub opened: Vec<u32>,
}

impl Scanned {
    pub(crate) fn clear(&mut self) {
        self.leaves.clear();
        self.elements.clear();
        self.elements.push(0);
        self.len = 0;
        self.template = None;
        self.duplicate_keys = false;
        self.opened.clear();
    }
}

/// Why an event is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanError {
    /// Offset in the event, in bytes.
    pub at: u32,
    /// What was wrong.
    pub what: &'static str,
    /// The bytes ended before the event did.
    pub truncated: bool,
}

/// Reads JSON that is kept as text in a value of an event: its paths lie below that value's.
#[derive(Debug, Default)]
pub(crate) struct Embedded {
    templates: Templates,
    trace: json::Trace,
}

impl Embedded {
    /// Reads the JSON value at the start of `bytes`, which stands at the path `at`, into `out`.
    pub(crate) fn json(
        &mut self,
        bytes: &[u8],
        at: PathId,
        paths: &mut PathTable,
        out: &mut Scanned,
    ) -> Result<(), ScanError> {
        out.clear();
        if self.templates.walk(bytes, out) {
            return Ok(());
        }
        out.clear();
        json::read(bytes, at, paths, out, &mut self.trace)?;
        self.templates.insert(bytes, out, &self.trace);
        Ok(())
    }
}

/// Reads events of one source; knows the paths and templates it has seen.
#[derive(Debug, Default)]
pub struct Scanner {
    /// Paths seen so far.
    pub paths: PathTable,
    templates: Templates,
    trace: json::Trace,
}

impl Scanner {
    /// Reads the JSON value at the start of `bytes` into `out`; bytes after it are not looked at.
    pub fn json(&mut self, bytes: &[u8], out: &mut Scanned) -> Result<(), ScanError> {
        out.clear();
        if self.templates.walk(bytes, out) {
            return Ok(());
        }
        out.clear();
        json::read(bytes, PathId::ROOT, &mut self.paths, out, &mut self.trace)?;
        self.templates.insert(bytes, out, &self.trace);
        Ok(())
    }

    /// Splits a line into white-space separated words, one leaf for each of `fields`; further
    /// words belong to the field `extra[]`. A word equal to `null` is a null.
    pub fn words(&mut self, line: &[u8], fields: &[PathId], null: &[u8], out: &mut Scanned) {
        out.clear();
        out.len = line.len() as u32;
        let extra = self.paths.field("extra");
        let extra = self.paths.child(extra, None);
        let mut at = 0;
        let mut index = 0;
        while at < line.len() {
            let end =
                line[at..].iter().position(|b| matches!(b, b' ' | b'\t')).map_or(line.len(), |n| at + n);
            if end > at {
                let word = &line[at..end];
                let kind = if word == null { Kind::Null } else { Kind::Text };
                let (path, element) = if let Some(path) = fields.get(index) {
                    (*path, 0)
                } else {
                    out.elements.push(0);
                    (extra, out.elements.len() as u32 - 1)
                };
                out.leaves.push(Leaf { path, start: at as u32, end: end as u32, kind, element });
                index += 1;
            }
            at = end + 1;
        }
    }
}
