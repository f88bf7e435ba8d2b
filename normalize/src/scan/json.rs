//! The general reader: any JSON value, with its paths, and a trace of its literals.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use super::{
    DEPTH_MAX, Kind, Leaf, PathId, PathTable, ScanError, Scanned, string_end, unescape, value::scalar,
};

/// How the array elements change on the way to a leaf: leave `pop` of them, then enter `push`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Turn {
    pub pop: u16,
    pub push: u16,
}

/// For each leaf of an event, what a template needs to find it again.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub turns: Vec<Turn>,
    /// Containers opened on the way to each leaf, with the array levels between them and the leaf.
    opened: Vec<(PathId, u16)>,
    /// For each leaf, where its containers end in `opened`.
    opened_end: Vec<u32>,
    /// Members seen: the key's path, and the object it is in.
    seen: FxHashSet<(PathId, u32)>,
}

impl Trace {
    /// For each leaf, the containers that were opened on the way to it.
    pub(super) fn opened(&self) -> impl Iterator<Item = &[(PathId, u16)]> {
        let starts = std::iter::once(0).chain(self.opened_end.iter().copied());
        starts.zip(&self.opened_end).map(|(start, end)| &self.opened[start as usize..*end as usize])
    }
}

struct Container {
    path: PathId,
    /// Number of the container in the event.
    number: u32,
    /// The path of the elements, for an array.
    item: Option<PathId>,
    /// The container has a member or element already.
    filled: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Container>,
    /// Open array elements, the innermost last.
    elements: Vec<u32>,
    turn: Turn,
    containers: u32,
}

/// Reads the value at the start of `bytes`, which stands at `path`.
pub(super) fn read(
    bytes: &[u8],
    mut path: PathId,
    paths: &mut PathTable,
    out: &mut Scanned,
    trace: &mut Trace,
) -> Result<(), ScanError> {
    trace.turns.clear();
    trace.opened.clear();
    trace.opened_end.clear();
    trace.seen.clear();
    let mut reader =
        Reader { bytes, at: 0, stack: Vec::new(), elements: vec![0], turn: Turn::default(), containers: 0 };
    loop {
        reader.value(path, paths, out, trace)?;
        match reader.next(paths, out, trace)? {
            Some(next) => path = next,
            None => break,
        }
    }
    out.len = reader.at as u32;
    Ok(())
}

/// Whether bytes that are no value may be the beginning of one.
fn begins_scalar(rest: &[u8]) -> bool {
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    words.iter().any(|word| word.starts_with(rest))
        || rest.iter().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
}

impl Reader<'_> {
    fn fail(&self, what: &'static str) -> ScanError {
        let truncated = self.at >= self.bytes.len();
        ScanError { at: self.at.min(self.bytes.len()) as u32, what, truncated }
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn open(&mut self, path: PathId, item: Option<PathId>) -> Result<(), ScanError> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(ScanError { truncated: false, ..self.fail("nested deeper than 128") });
        }
        self.at += 1;
        self.stack.push(Container { path, number: self.containers, item, filled: false });
        self.containers += 1;
        Ok(())
    }

    /// Reads one value; a container is only opened, its members come through `next`.
    fn value(
        &mut self,
        path: PathId,
        paths: &mut PathTable,
        out: &mut Scanned,
        trace: &mut Trace,
    ) -> Result<(), ScanError> {
        self.space();
        let start = self.at;
        let (start, end, after, kind) = match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                self.at += 1;
                self.space();
                let close = if open == b'{' { b'}' } else { b']' };
                if self.peek() != Some(close) {
                    self.at = start;
                    let item = (open == b'[').then(|| paths.child(path, None));
                    trace.opened.push((path, self.elements.len() as u16));
                    return self.open(path, item);
                }
                let kind = if open == b'{' { Kind::EmptyObject } else { Kind::EmptyArray };
                (start, self.at + 1, self.at + 1, kind)
            }
            Some(b'"') => {
                let Some((end, escaped)) = string_end(self.bytes, start + 1) else {
                    self.at = self.bytes.len();
                    return Err(self.fail("string without an end"));
                };
                (start + 1, end, end + 1, if escaped { Kind::Escaped } else { Kind::Text })
            }
            Some(_) => {
                let Some((end, kind)) = scalar(self.bytes, start) else {
                    let truncated = begins_scalar(&self.bytes[start..]);
                    return Err(ScanError { truncated, ..self.fail("expected a value") });
                };
                (start, end, end, kind)
            }
            None => return Err(self.fail("expected a value")),
        };
        self.at = after;
        let element = self.elements.last().copied().unwrap_or(0);
        out.leaves.push(Leaf { path, start: start as u32, end: end as u32, kind, element });
        trace.turns.push(std::mem::take(&mut self.turn));
        // So far `opened` holds how many elements were open; the leaf knows how many more are now.
        let before = trace.opened_end.last().map_or(0, |end| *end as usize);
        for (_, levels) in &mut trace.opened[before..] {
            *levels = self.elements.len() as u16 - *levels;
        }
        trace.opened_end.push(trace.opened.len() as u32);
        Ok(())
    }

    fn enter_element(&mut self, out: &mut Scanned) {
        let parent = self.elements.last().copied().unwrap_or(0);
        self.elements.push(out.elements.len() as u32);
        out.elements.push(parent);
        self.turn.push += 1;
    }

    fn leave_element(&mut self) {
        self.elements.pop();
        if self.turn.push > 0 {
            self.turn.push -= 1;
        } else {
            self.turn.pop += 1;
        }
    }

    /// After a value or an opening bracket: goes to the next value and says its path, or closes
    /// containers until the event ends.
    fn next(
        &mut self,
        paths: &mut PathTable,
        out: &mut Scanned,
        trace: &mut Trace,
    ) -> Result<Option<PathId>, ScanError> {
        loop {
            let Some(top) = self.stack.last() else { return Ok(None) };
            let (path, number, item, filled) = (top.path, top.number, top.item, top.filled);
            self.space();
            let close = if item.is_some() { b']' } else { b'}' };
            match self.peek() {
                Some(c) if c == close && filled => {
                    self.at += 1;
                    if item.is_some() {
                        self.leave_element();
                    }
                    self.stack.pop();
                    if self.stack.is_empty() {
                        return Ok(None);
                    }
                    continue;
                }
                Some(b',') if filled => {
                    self.at += 1;
                    if item.is_some() {
                        self.leave_element();
                    }
                }
                _ if !filled => {}
                _ => return Err(self.fail("expected `,` or a closing bracket")),
            }
            if let Some(top) = self.stack.last_mut() {
                top.filled = true;
            }
            if item.is_some() {
                self.enter_element(out);
                return Ok(item);
            }
            let key = self.key(path, paths)?;
            out.duplicate_keys |= key != PathId::OVERFLOW && !trace.seen.insert((key, number));
            return Ok(Some(key));
        }
    }

    fn key(&mut self, parent: PathId, paths: &mut PathTable) -> Result<PathId, ScanError> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.fail("expected a key"));
        }
        let start = self.at + 1;
        let Some((end, escaped)) = string_end(self.bytes, start) else {
            self.at = self.bytes.len();
            return Err(self.fail("key without an end"));
        };
        self.at = end + 1;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fail("expected `:`"));
        }
        self.at += 1;
        let mut key = String::from_utf8_lossy(&self.bytes[start..end]);
        if escaped {
            key = Cow::Owned(unescape(&key));
        }
        Ok(paths.child(parent, Some(&key)))
    }
}
