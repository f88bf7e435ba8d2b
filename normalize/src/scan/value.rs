//! Ends of values, and the text of escaped strings.

use super::Kind;

const LOW: u64 = u64::from_le_bytes([0x01; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// Marks (with the high bit of each byte) the bytes of `word` equal to `byte`; exact up to the
/// first match, which is all that is asked of it.
fn matches(word: u64, byte: u8) -> u64 {
    let x = word ^ (LOW * u64::from(byte));
    x.wrapping_sub(LOW) & !x & HIGH
}

/// Strings longer than this are searched with `memchr`, which pays for its call only then.
const SHORT: usize = 64;

/// Finds the quote that ends a string whose first byte is at `at`; says whether it has escapes.
pub fn string_end(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    let mut from = at;
    loop {
        let stop = special(bytes, from)?;
        if bytes[stop] == b'"' {
            return Some((stop, escaped));
        }
        escaped = true;
        from = stop + 2;
    }
}

/// The next quote or backslash.
#[inline]
fn special(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let mut chunks = rest.chunks_exact(8);
    let mut at = from;
    for chunk in chunks.by_ref().take(SHORT / 8) {
        let word = u64::from_le_bytes(chunk.try_into().ok()?);
        let hit = matches(word, b'"') | matches(word, b'\\');
        if hit != 0 {
            return Some(at + (hit.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr::memchr2(b'"', b'\\', &bytes[at..]).map(|n| at + n)
}

/// Reads the number, `true`, `false` or `null` at `at`: its end and kind.
pub(super) fn scalar(bytes: &[u8], at: usize) -> Option<(usize, Kind)> {
    match bytes.get(at)? {
        b't' => bytes[at..].starts_with(b"true").then_some((at + 4, Kind::True)),
        b'f' => bytes[at..].starts_with(b"false").then_some((at + 5, Kind::False)),
        b'n' => bytes[at..].starts_with(b"null").then_some((at + 4, Kind::Null)),
        b'-' | b'0'..=b'9' => number(bytes, at).map(|end| (end, Kind::Number)),
        _ => None,
    }
}

fn digits(bytes: &[u8], at: usize) -> Option<usize> {
    let n = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    (n > 0).then_some(at + n)
}

fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes[at] == b'-' {
        at += 1;
    }
    // No digit may follow a leading zero.
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(bytes, at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// The text of an escaped JSON string. A broken escape is kept as written; a lone surrogate
/// becomes the replacement character.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (ch, used) = escape(&rest[at..]);
        match ch {
            Some(ch) => out.push(ch),
            None => out.push_str(&rest[at..at + used]),
        }
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    out
}

/// One escape at the start of `text`: its character, and how many bytes it takes.
fn escape(text: &str) -> (Option<char>, usize) {
    let ch = match text.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unicode(text),
        Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
        Some(_) | None => return (None, 1),
    };
    (Some(ch), 2)
}

fn unicode(text: &str) -> (Option<char>, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|h| u16::from_str_radix(h, 16).ok());
    let Some(first) = unit(2) else { return (None, 2) };
    if (0xD800..0xDC00).contains(&first)
        && text.get(6..8) == Some("\\u")
        && let Some(second) = unit(8)
        && let Some(Ok(ch)) = char::decode_utf16([first, second]).next()
    {
        return (Some(ch), 12);
    }
    (Some(char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER)), 6)
}
