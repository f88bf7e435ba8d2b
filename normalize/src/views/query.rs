//! The query of a URL, or one without a URL around it.

use super::Out;

/// Reads `name=value&…`; false if there is no pair.
pub(super) fn read(text: &str, out: &mut Out<'_>) -> bool {
    let mut at = text.find('?').map_or(0, |n| n + 1);
    let end = text[at..].find('#').map_or(text.len(), |n| at + n);
    let mut some = false;
    while at < end {
        let stop = text[at..end].find('&').map_or(end, |n| at + n);
        if let Some(equals) = text[at..stop].find('=').filter(|n| *n > 0) {
            some = true;
            let path =
                out.key(&plain(&text[at..at + equals]).unwrap_or_else(|| text[at..at + equals].into()));
            match plain(&text[at + equals + 1..stop]) {
                Some(value) => out.decoded(path, &value),
                None => out.span(path, at + equals + 1, stop),
            }
        }
        at = stop + 1;
    }
    some
}

/// The text without `%20` and `+`, if it has any.
fn plain(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let byte = if bytes[at] == b'+' { b' ' } else { bytes[at] };
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}
