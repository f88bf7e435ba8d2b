//! CEF and LEEF: a header of fields between bars, then pairs.

use super::{Kv, Out, unquote};

/// `CEF:0|vendor|product|version|id|name|severity|key=value …`; what stands before it is skipped.
pub(super) fn cef(text: &str, out: &mut Out<'_>) -> bool {
    const NAMES: [&str; 7] = ["cef", "vendor", "product", "version", "id", "name", "severity"];
    let Some(start) = text.find("CEF:") else { return false };
    let Some(rest) = header(text, start + 4, &NAMES, out) else { return false };
    let pairs = Kv { between: "".into(), equals: "=".into(), loose: true };
    below(text, rest, &pairs, out);
    true
}

/// `LEEF:1.0|vendor|product|version|id|` and tab-separated pairs; LEEF 2 names the separator.
pub(super) fn leef(text: &str, out: &mut Out<'_>) -> bool {
    const NAMES: [&str; 5] = ["leef", "vendor", "product", "version", "id"];
    let Some(start) = text.find("LEEF:") else { return false };
    let Some(mut rest) = header(text, start + 5, &NAMES, out) else { return false };
    let mut between = '\t';
    if text[start..].starts_with("LEEF:2")
        && let Some((named, _)) = text[rest..].split_once('|')
        && named.len() <= 6
        && !named.contains('=')
    {
        rest += named.len() + 1;
        between = separator(named).unwrap_or(between);
    }
    // Some senders write spaces where the format wants tabs.
    let pairs = if text[rest..].contains(between) {
        Kv { between: between.to_string().into(), equals: "=".into(), loose: true }
    } else {
        Kv { loose: true, ..Kv::default() }
    };
    below(text, rest, &pairs, out);
    true
}

/// A separator as it is, or as `x09` or `0x09`.
fn separator(named: &str) -> Option<char> {
    let hex = named.strip_prefix("0x").or_else(|| named.strip_prefix('x'));
    match hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
        Some(code) => char::from_u32(code),
        None => named.chars().next(),
    }
}

/// Pairs of the text from `start` on.
fn below(text: &str, start: usize, pairs: &Kv, out: &mut Out<'_>) {
    out.base += start;
    pairs.read(&text[start..], out);
    out.base -= start;
}

/// The header's fields; gives where they end.
fn header(text: &str, mut at: usize, names: &[&str], out: &mut Out<'_>) -> Option<usize> {
    for name in names {
        let (start, mut escaped) = (at, false);
        let end = loop {
            let hit = at + memchr::memchr2(b'|', b'\\', text.get(at..)?.as_bytes())?;
            if text.as_bytes()[hit] == b'|' {
                break hit;
            }
            escaped = true;
            at = hit + 2;
        };
        let path = out.key(name);
        if escaped {
            out.decoded(path, &unquote(&text[start..end], '|', false));
        } else {
            out.span(path, start, end);
        }
        at = end + 1;
    }
    Some(at)
}
