//! `key=value` pairs: white space or another text between them, values in quotes or bare.

use memchr::memmem;

use super::{Out, unquote};

/// How pairs are written.
#[derive(Debug, Clone)]
pub(crate) struct Kv {
    /// What stands between pairs; empty for any white space.
    pub between: Box<str>,
    /// What stands between a key and its value.
    pub equals: Box<str>,
    /// What has no key belongs to the value before it; otherwise it is a word of its own.
    pub loose: bool,
}

impl Default for Kv {
    fn default() -> Self {
        Self { between: "".into(), equals: "=".into(), loose: false }
    }
}

/// A value, as bytes of the text, before it is known where it ends.
struct Pending<'t> {
    key: &'t str,
    start: usize,
    end: usize,
}

impl Kv {
    /// Reads pairs; false if there is none.
    pub(super) fn read(&self, text: &str, out: &mut Out<'_>) -> bool {
        let mut at = 0;
        let mut some = false;
        let mut pending: Option<Pending<'_>> = None;
        while let Some(start) = self.skip(text, at) {
            let Some((key, value)) = self.key(text, start) else {
                let end = self.piece_end(text, start);
                match &mut pending {
                    Some(value) if self.loose => value.end = end,
                    _ => out.word(start, end),
                }
                at = end;
                continue;
            };
            self.put(text, pending.take().as_ref(), out);
            some = true;
            if let Some((inner, end, escaped)) = quoted(text, value) {
                let path = out.key(key);
                if escaped {
                    let quote = char::from(text.as_bytes()[value]);
                    out.decoded(path, &unquote(&text[inner..end], quote, false));
                } else {
                    out.span(path, inner, end);
                }
                at = end + 1;
            } else {
                at = self.piece_end(text, value);
                pending = Some(Pending { key, start: value, end: at });
            }
        }
        self.put(text, pending.as_ref(), out);
        some
    }

    fn put(&self, text: &str, value: Option<&Pending<'_>>, out: &mut Out<'_>) {
        let Some(&Pending { key, start, end }) = value else { return };
        let path = out.key(key);
        let end = start + text[start..end].trim_end().len();
        // Only where values may hold separators must these be escaped. A bare Windows path is none.
        let value = &text[start..end];
        if self.loose && value.contains('\\') {
            out.decoded(path, &unquote(value, '\\', !value.contains(":\\")));
        } else {
            out.span(path, start, end);
        }
    }

    /// The start of the next piece.
    fn skip(&self, text: &str, mut at: usize) -> Option<usize> {
        loop {
            let rest = text.get(at..)?;
            let trimmed = rest.trim_start();
            at += rest.len() - trimmed.len();
            let between = self.between.trim();
            if between.is_empty() || !trimmed.starts_with(between) {
                return (!trimmed.is_empty()).then_some(at);
            }
            at += between.len();
        }
    }

    /// The key of the piece at `start`, and where its value begins.
    fn key<'t>(&self, text: &'t str, start: usize) -> Option<(&'t str, usize)> {
        let rest = &text[start..];
        let spaced = !self.between.is_empty();
        let key_byte = |b: u8| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'_' | b'.' | b'-' | b'[' | b']' | b'@' | b'$' | b'/' | b'#')
                || b >= 0x80
                || spaced && b == b' '
        };
        let len = rest.bytes().take_while(|b| key_byte(*b)).count();
        let equals = self.equals.trim_end();
        let key = rest[..len].trim_end();
        if key.is_empty() || !rest[len..].starts_with(equals) {
            return None;
        }
        let mut value = start + len + equals.len();
        // `key::value` and `key: value` are written as well.
        while equals == ":" && text[value..].starts_with(':') {
            value += 1;
        }
        if self.equals.ends_with(' ') {
            value += text[value..].len() - text[value..].trim_start_matches(' ').len();
        }
        Some((key, value))
    }

    /// Where the bare piece at `start` ends.
    fn piece_end(&self, text: &str, start: usize) -> usize {
        let rest = &text.as_bytes()[start..];
        let len = if self.between.is_empty() {
            rest.iter().position(u8::is_ascii_whitespace)
        } else {
            memmem::find(rest, self.between.as_bytes())
        };
        start + len.unwrap_or(rest.len())
    }
}

/// The inside of the quotes that open at `at`, and whether it has escapes.
fn quoted(text: &str, at: usize) -> Option<(usize, usize, bool)> {
    let bytes = text.as_bytes();
    let quote = *bytes.get(at).filter(|b| matches!(b, b'"' | b'\''))?;
    let mut from = at + 1;
    let mut escaped = false;
    loop {
        let hit = from + memchr::memchr2(quote, b'\\', &bytes[from..])?;
        if bytes[hit] == quote {
            return Some((at + 1, hit, escaped));
        }
        escaped = true;
        from = hit + 2;
        if from > bytes.len() {
            return None;
        }
    }
}
