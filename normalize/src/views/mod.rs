//! Formats inside an event: a value that is text in some format of its own is opened, so that what
//! it holds has paths as well.
//!
//! A `Format` reads a text and gives leaves below the path of the text. What had to be decoded
//! (escapes, entities, base64) is appended to the event's text, so that every leaf is a span of it;
//! nothing is copied that can be pointed at. A text that is not in its format stays a plain value.

mod cef;
pub(crate) mod columns;
mod kv;
mod opening;
mod patterns;
mod query;
mod syslog;
#[cfg(test)]
mod tests;
mod xml;

pub(crate) use kv::Kv;
pub(crate) use opening::Views;
pub(crate) use patterns::Patterns;

use columns::Columns;

use crate::scan::{Kind, Leaf, PathId, PathTable};

/// Whether a line begins as one of syslog.
pub(crate) fn is_syslog(line: &str) -> bool {
    syslog::begins(line)
}

/// Path of the name of the template that a text fits.
pub(crate) const PATTERN: &str = "pattern";
/// Most keys that a value's memo holds; further ones are looked up.
const MEMO_MAX: usize = 256;
/// How far ahead a key is looked for in the memo.
const MEMO_AHEAD: usize = 8;

/// A path whose text is opened, and the formats tried on it; the first that reads it is taken.
#[derive(Debug)]
pub(crate) struct Open {
    pub path: Box<str>,
    pub formats: Vec<Format>,
}

/// How a text is read.
#[derive(Debug)]
pub(crate) enum Format {
    /// An object or array.
    Json,
    /// `key=value` pairs.
    Kv(Kv),
    /// The Common Event Format.
    Cef,
    /// The Log Event Extended Format, 1 and 2.
    Leef,
    /// Separated values.
    Columns(Columns),
    /// A syslog line, RFC 3164 or 5424.
    Syslog,
    /// An XML document.
    Xml,
    /// A URL's query.
    Query,
    /// What the text encodes, for the formats after it.
    Base64,
    /// Templates with named holes.
    Patterns(Patterns),
}

/// Leaves found in one text, with array elements of their own; element 0 is what the text is in.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub leaves: Vec<Leaf>,
    pub elements: Vec<u32>,
}

impl Found {
    pub(crate) fn clear(&mut self) {
        self.leaves.clear();
        self.elements.clear();
        self.elements.push(0);
    }
}

/// Paths of the keys of the last text, in their order: the next has mostly the same.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    keys: Vec<(Box<str>, PathId)>,
    at: usize,
}

impl Memo {
    fn path(&mut self, paths: &mut PathTable, parent: PathId, key: &str) -> PathId {
        let ahead = self.keys.iter().skip(self.at).take(MEMO_AHEAD);
        if let Some(n) = ahead.map(|(known, _)| known).position(|known| **known == *key) {
            self.at += n + 1;
            return self.keys[self.at - 1].1;
        }
        let path = paths.child(parent, Some(key));
        if self.keys.len() < MEMO_MAX {
            self.keys.insert(self.at, (key.into(), path));
            self.at += 1;
        }
        path
    }
}

/// Takes what a format finds in a text.
pub(crate) struct Out<'a> {
    pub paths: &'a mut PathTable,
    pub memo: &'a mut Memo,
    pub found: &'a mut Found,
    /// Decoded text, which follows the event's own.
    pub extra: &'a mut String,
    /// Length of the event's own text.
    pub extra_base: usize,
    /// Path of the text.
    pub at: PathId,
    /// Where the text begins.
    pub base: usize,
}

impl Out<'_> {
    /// Starts a text: keys come in their usual order again.
    pub(crate) fn begin(&mut self) {
        self.found.clear();
        self.memo.at = 0;
    }

    /// The path of a key below the text.
    pub(crate) fn key(&mut self, key: &str) -> PathId {
        self.memo.path(self.paths, self.at, key)
    }

    /// A value at bytes `start` to `end` of the text; an empty one is left out.
    pub(crate) fn span(&mut self, path: PathId, start: usize, end: usize) {
        if start < end {
            let (start, end) = ((self.base + start) as u32, (self.base + end) as u32);
            self.found.leaves.push(Leaf { path, start, end, kind: Kind::Text, element: 0 });
        }
    }

    /// A value that the text has in another writing.
    pub(crate) fn decoded(&mut self, path: PathId, value: &str) {
        let start = self.extra_base + self.extra.len();
        self.extra.push_str(value);
        let end = start + value.len();
        if start < end {
            let (start, end) = (start as u32, end as u32);
            self.found.leaves.push(Leaf { path, start, end, kind: Kind::Text, element: 0 });
        }
    }

    /// Puts the value that was added last into an element of its own.
    pub(crate) fn as_element(&mut self) {
        if let Some(leaf) = self.found.leaves.last_mut() {
            leaf.element = self.found.elements.len() as u32;
            self.found.elements.push(0);
        }
    }

    /// A word without a key, an element of `words[]`.
    pub(crate) fn word(&mut self, start: usize, end: usize) {
        let words = self.key("words");
        let path = self.paths.child(words, None);
        let before = self.found.leaves.len();
        self.span(path, start, end);
        if self.found.leaves.len() > before {
            self.as_element();
        }
    }
}

/// Text between quotes without its escapes: a backslash or, if doubled, a quote stands for what
/// follows it. `\n`, `\r` and `\t` are the control characters.
pub(crate) fn unquote(text: &str, quote: char, controls: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (c, next) {
            ('\\', Some('n')) if controls => out.push('\n'),
            ('\\', Some('r')) if controls => out.push('\r'),
            ('\\', Some('t')) if controls => out.push('\t'),
            ('\\', Some(escaped @ ('\\' | '=' | '|' | ']'))) => out.push(escaped),
            ('\\', Some(escaped)) if escaped == quote => out.push(escaped),
            (c, Some(same)) if c == quote && same == quote => out.push(quote),
            (c, _) => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    out
}
