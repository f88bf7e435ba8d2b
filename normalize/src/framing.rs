//! Where events begin and end in a unit's bytes.
//!
//! JSON is framed by reading it: `{"Records":[…]}`, bare arrays, one value a line, concatenated and
//! pretty-printed values are one loop over values and what separates them. What is broken becomes
//! one event as well, up to where the next one clearly begins; no byte is skipped that is not a
//! separator or an envelope.

use crate::scan::{ScanError, Scanned, Scanner, string_end};

/// Most broken events in one unit; what follows the last is taken as one.
const BROKEN_MAX: u32 = 1000;

/// Keys of envelopes that every JSON source may come in.
pub(crate) const ENVELOPES: &[&str] = &["Records", "records"];

/// One event found: its span, and what was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub start: usize,
    pub end: usize,
    pub broken: Option<ScanError>,
}

/// The framing state of a JSON unit.
#[derive(Debug, Default, Clone)]
pub(crate) struct JsonFrames {
    /// The next event is an element of an array.
    pub in_array: bool,
    /// The array is, or may be, that of an envelope.
    envelope: bool,
    /// The first object was an event, so that later ones are not looked at for an envelope.
    pub plain: bool,
    /// Opening bytes of the first good event, up to its first `:`; tells where events begin.
    opening: Vec<u8>,
    broken: u32,
}

impl JsonFrames {
    /// State at the start of a later part of an object.
    pub(crate) fn inside(in_array: bool, plain: bool) -> Self {
        Self { in_array, envelope: in_array, plain, ..Self::default() }
    }

    /// The next event at or after `at`, scanned into `out`; `None` at the end of the unit.
    pub(crate) fn next(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        arrays: &[String],
        scanner: &mut Scanner,
        out: &mut Scanned,
    ) -> Option<Frame> {
        loop {
            at = separators(bytes, at);
            match *bytes.get(at)? {
                b']' | b'}' if !self.in_array => at += 1,
                b']' => {
                    self.in_array = false;
                    at += 1;
                    if std::mem::take(&mut self.envelope) && members_follow(bytes, at) {
                        at = object_end(bytes, at);
                    }
                }
                b'[' if !self.in_array => {
                    self.in_array = true;
                    at += 1;
                }
                b'{' if !self.in_array && !self.plain => match envelope(bytes, at, arrays) {
                    Some(inside) => {
                        (self.in_array, self.envelope) = (true, true);
                        at = inside;
                    }
                    None => self.plain = true,
                },
                _ => return Some(self.event(bytes, at, scanner, out)),
            }
        }
    }

    fn event(&mut self, bytes: &[u8], start: usize, scanner: &mut Scanner, out: &mut Scanned) -> Frame {
        // Only containers go over several lines: a stray quote does not swallow the next ones.
        let container = matches!(bytes[start], b'{' | b'[');
        let limit = if container { bytes.len() } else { line_end(bytes, start) };
        match scanner.json(&bytes[start..limit], out) {
            Ok(()) => {
                let end = start + out.len as usize;
                if self.opening.is_empty() {
                    self.opening = opening(&bytes[start..end]).to_vec();
                }
                Frame { start, end, broken: None }
            }
            Err(error) => {
                self.broken += 1;
                let end = if self.broken > BROKEN_MAX { bytes.len() } else { self.resume(bytes, start) };
                let end = start + bytes[start..end].trim_ascii_end().len().max(1);
                Frame { start, end, broken: Some(error) }
            }
        }
    }

    /// Where the next event begins after a broken one at `start`: on a new line, or where something
    /// that opens as the other events do follows an object's end. Outside arrays, what is no
    /// container ends with its line.
    fn resume(&self, bytes: &[u8], start: usize) -> usize {
        let container = matches!(bytes[start], b'{' | b'[');
        let limit = if container || self.in_array { bytes.len() } else { line_end(bytes, start) };
        for open in memchr::memchr_iter(b'{', &bytes[start + 1..limit]).map(|n| start + 1 + n) {
            let before = bytes[..open].trim_ascii_end();
            let looks_alike =
                bytes[open..].starts_with(&self.opening) && (container || !self.opening.is_empty());
            let new_line = bytes[open - 1] == b'\n' && !self.in_array;
            let after_comma = before.strip_suffix(b",").is_some_and(|b| b.trim_ascii_end().ends_with(b"}"));
            if new_line || looks_alike && (after_comma || before.ends_with(b"}") || bytes[open - 1] == b'\n')
            {
                // The comma before it is a separator, not part of the broken event.
                let cut = if after_comma { before.len() - 1 } else { open };
                return cut.max(start + 1);
            }
        }
        limit
    }
}

/// The end of the line that `at` is in.
fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n)
}

/// The bytes of an object up to its first `:`.
fn opening(event: &[u8]) -> &[u8] {
    match memchr::memchr(b':', event) {
        Some(at) if event.first() == Some(&b'{') => &event[..=at],
        _ => &[],
    }
}

/// Skips what may stand between JSON values: white space, commas, record separators, byte-order marks.
pub(crate) fn separators(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x1E) => at += 1,
            Some(0xEF) if bytes[at..].starts_with(b"\xEF\xBB\xBF") => at += 3,
            _ => return at,
        }
    }
}

/// If the object at `at` is an envelope, the place just inside its array of events.
fn envelope(bytes: &[u8], at: usize, arrays: &[String]) -> Option<usize> {
    let wanted = |key: &[u8]| {
        ENVELOPES.iter().any(|e| e.as_bytes() == key) || arrays.iter().any(|a| a.as_bytes() == key)
    };
    let mut at = at + 1;
    loop {
        at = separators(bytes, at);
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let (end, _) = string_end(bytes, at + 1)?;
        let key = &bytes[at + 1..end];
        at = separators(bytes, end + 1);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = separators(bytes, at + 1);
        if wanted(key) && bytes.get(at) == Some(&b'[') {
            return Some(at + 1);
        }
        at = value_end(bytes, at)?;
    }
}

/// One past a value, by brackets and strings only.
pub(crate) fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_u32;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at + 1)?.0,
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// Whether an envelope goes on after its array: it ends, or has another member.
fn members_follow(bytes: &[u8], at: usize) -> bool {
    match bytes[at..].trim_ascii_start() {
        [b'}', ..] => true,
        [b',', rest @ ..] => rest.trim_ascii_start().first() == Some(&b'"'),
        _ => false,
    }
}

/// One past the end of the object that is open at `at`.
fn object_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'}') => return at + 1,
            Some(b',') => at += 1,
            Some(_) => match value_end(bytes, at) {
                Some(end) => at = end,
                None => return bytes.len(),
            },
        }
    }
}

/// The next line with anything on it, without its line break.
pub(crate) fn next_line(bytes: &[u8], mut at: usize) -> Option<Frame> {
    loop {
        if at == 0 && bytes.starts_with(b"\xEF\xBB\xBF") {
            at = 3;
        }
        if at >= bytes.len() {
            return None;
        }
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
        let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
        if !line.trim_ascii().is_empty() {
            return Some(Frame { start: at, end: at + line.len(), broken: None });
        }
        at = end + 1;
    }
}

/// Whether a unit is JSON, by its first byte that is not white space.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    matches!(bytes.get(separators(bytes, 0)), Some(b'{' | b'['))
}
