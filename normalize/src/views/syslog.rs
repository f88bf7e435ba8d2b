//! The header of a syslog line: RFC 5424, RFC 3164 and what devices make of that.
//!
//! Gives `priority`, `facility`, `severity`, `time`, `host`, `app`, `pid`, `msgid`, `sd` (the
//! parameters of the structured data, and its `id`) and `message`. A time without a year is taken
//! to be the last such one before the event was received.

use super::{Out, unquote};
use crate::value::{civil_from_days, days_from_civil};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Longest name of a program in the header of RFC 3164.
const TAG_BYTES_MAX: usize = 64;

/// Reads a syslog line; false if it has neither a priority nor a time.
pub(super) fn read(text: &str, received_ms: i64, out: &mut Out<'_>) -> bool {
    let start = octet_count(text);
    let (priority, mut at) = priority(text, start);
    if let Some(priority) = priority {
        for (key, value) in [("priority", priority), ("facility", priority >> 3), ("severity", priority & 7)]
        {
            let path = out.key(key);
            out.decoded(path, &value.to_string());
        }
        if let Some(rest) = text[at..].strip_prefix("1 ")
            && rest.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        {
            return rfc5424(text, at + 2, out);
        }
    }
    at = spaces(text, at);
    match time(&text[at..], received_ms) {
        Some(Time { len, text: written }) => {
            let path = out.key("time");
            match written {
                Some(written) => out.decoded(path, &written),
                None => out.span(path, at, at + len),
            }
            at += len;
            rfc3164(text, at, true, out);
        }
        None if priority.is_none() => return false,
        None => rfc3164(text, at, false, out),
    }
    true
}

/// Whether a line begins as one of syslog: with a priority or a time.
pub(super) fn begins(text: &str) -> bool {
    let (priority, at) = priority(text, octet_count(text));
    priority.is_some() || time(&text[spaces(text, at)..], 0).is_some()
}

/// Skips the length that stands before a message in a stream.
fn octet_count(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=6).contains(&digits) && text[digits..].starts_with(" <") { digits + 1 } else { 0 }
}

fn priority(text: &str, start: usize) -> (Option<u32>, usize) {
    let found = text[start..].strip_prefix('<').and_then(|rest| {
        let digits = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
        let priority: u32 = rest[..digits].parse().ok().filter(|p| *p < 192)?;
        rest[digits..].starts_with('>').then_some((priority, start + digits + 2))
    });
    found.map_or((None, start), |(priority, at)| (Some(priority), at))
}

fn spaces(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|b| **b == b' ').count()
}

fn word_end(text: &str, at: usize) -> usize {
    memchr::memchr(b' ', &text.as_bytes()[at..]).map_or(text.len(), |n| at + n)
}

fn rfc5424(text: &str, mut at: usize, out: &mut Out<'_>) -> bool {
    for key in ["time", "host", "app", "pid", "msgid"] {
        let end = word_end(text, at);
        if &text[at..end] != "-" {
            let path = out.key(key);
            out.span(path, at, end);
        }
        at = (end + 1).min(text.len());
    }
    let (rest, data) = (&text[at..], at);
    if rest == "-" || rest.starts_with("- ") {
        at += 1;
    } else {
        while let Some(end) = structured(text, at, out) {
            at = end;
        }
    }
    at = spaces(text, at);
    if text[at..].starts_with('\u{FEFF}') {
        at += '\u{FEFF}'.len_utf8();
    }
    // Devices that say everything in the structured data leave nothing else to hand on.
    if text[at..].trim_end().is_empty() && text[data..].starts_with('[') {
        at = data;
    }
    let path = out.key("message");
    out.span(path, at, at + text[at..].trim_end().len());
    true
}

/// One element `[id name="value" …]`; gives where it ends. What only looks like one is left to the
/// message.
fn structured(text: &str, start: usize, out: &mut Out<'_>) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(start) != Some(&b'[') {
        return None;
    }
    let id_end = start + 1 + bytes[start + 1..].iter().position(|b| matches!(b, b' ' | b']' | b'"'))?;
    let first = text[id_end..].trim_start();
    let equals = first.find("=\"")?;
    if bytes[id_end] != b']' && first[..equals].contains([' ', ']', '"']) || bytes[id_end] == b'"' {
        return None;
    }
    let sd = out.key("sd");
    let path = out.paths.child(sd, Some("id"));
    out.span(path, start + 1, id_end);
    let mut at = id_end;
    loop {
        at = spaces(text, at);
        if *bytes.get(at)? == b']' {
            return Some(at + 1);
        }
        let Some(equals) = text[at..].find('=') else { return Some(text.len()) };
        let (name, value) = (&text[at..at + equals], at + equals + 1);
        let path = out.paths.child(sd, Some(name));
        if bytes.get(value) != Some(&b'"') {
            at = word_end(text, value).min(text.len());
            out.span(path, value, at);
            continue;
        }
        let (end, escaped) = crate::scan::string_end(bytes, value + 1)?;
        if escaped {
            out.decoded(path, &unquote(&text[value + 1..end], '"', false));
        } else {
            out.span(path, value + 1, end);
        }
        at = end + 1;
    }
}

/// Host, program and message, as far as they are there; without a time before it, a word is a host
/// only if a device's message follows it.
fn rfc3164(text: &str, at: usize, timed: bool, out: &mut Out<'_>) {
    let mut at = zone(text, spaces(text, at));
    let end = word_end(text, at);
    let word = &text[at..end];
    let after = spaces(text, end);
    let device = text[after..].starts_with(['%', ':']);
    let bare = word.strip_suffix(':').unwrap_or(word);
    let is_host = !bare.is_empty()
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'))
        && (timed && bare.len() == word.len() || device)
        && !matches!(bare, "CEF" | "LEEF");
    if is_host && after > end {
        let path = out.key("host");
        out.span(path, at, at + bare.len());
        at = after;
    }
    if let Some(rest) = text[at..].strip_prefix(':') {
        at = text.len() - rest.trim_start().len();
    }
    if let Some((name, pid, end)) = tag(text, at) {
        let path = out.key("app");
        out.span(path, at, at + name);
        if let Some((start, end)) = pid {
            let path = out.key("pid");
            out.span(path, start, end);
        }
        at = spaces(text, end);
    }
    let path = out.key("message");
    out.span(path, at, at + text[at..].trim_end().len());
}

/// Names of zones that devices write, and their offsets.
const ZONES: &[(&str, &str)] = &[
    ("UTC", "Z"),
    ("GMT", "Z"),
    ("BST", "+01:00"),
    ("CET", "+01:00"),
    ("CEST", "+02:00"),
    ("EST", "-05:00"),
    ("EDT", "-04:00"),
    ("CST", "-06:00"),
    ("CDT", "-05:00"),
    ("MST", "-07:00"),
    ("MDT", "-06:00"),
    ("PST", "-08:00"),
    ("PDT", "-07:00"),
];

/// Skips a zone's name, as in `09:34:34 EDT: `.
fn zone(text: &str, at: usize) -> usize {
    let len = text.bytes().skip(at).take_while(u8::is_ascii_uppercase).count();
    if (3..=4).contains(&len) && text[at + len..].starts_with(": ") { at + len } else { at }
}

/// `name[pid]:` or `name:`: the length of the name, the pid, and where it ends.
#[allow(clippy::type_complexity, reason = "two spans")]
fn tag(text: &str, at: usize) -> Option<(usize, Option<(usize, usize)>, usize)> {
    let rest = &text[at..];
    let name_byte = |b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/' | b'(' | b')' | b'@' | b'#')
    };
    let name = rest.bytes().take_while(name_byte).count();
    let letters = rest[..name].bytes().any(|b| b.is_ascii_alphabetic());
    if name == 0 || name > TAG_BYTES_MAX || !letters || matches!(&rest[..name], "CEF" | "LEEF") {
        return None;
    }
    let after = &rest[name..];
    if let Some(inside) = after.strip_prefix('[') {
        let close = inside.find(']')?;
        let end = name + close + 2;
        let pid = (at + name + 1, at + name + 1 + close);
        return rest[end..].starts_with(':').then_some((name, Some(pid), at + end + 1));
    }
    let ends = after.starts_with(':') && matches!(after.as_bytes().get(1), None | Some(b' '));
    ends.then_some((name, None, at + name + 1))
}

/// A time at the start of a text.
struct Time {
    len: usize,
    /// In RFC 3339, if it is written otherwise.
    text: Option<String>,
}

fn time(text: &str, received_ms: i64) -> Option<Time> {
    let bytes = text.as_bytes();
    if bytes.len() > 19 && bytes[4] == b'-' && matches!(bytes[10], b'T' | b' ') && text.is_char_boundary(19) {
        let zone = text.bytes().skip(19).take_while(|b| b.is_ascii_digit() || b"+-:.,Z".contains(b));
        let len = 19 + zone.count();
        // `2026-01-02T03:04:05: ` ends with the mark that follows it.
        let len = len - usize::from(text[..len].ends_with(':'));
        crate::value::rfc3339(&text[..len])?;
        return Some(Time { len, text: None });
    }
    // `*` and `.` say that a device's clock is not set.
    let lead = usize::from(text.starts_with(['*', '.']));
    let month = text.get(lead..lead + 3)?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    let mut at = spaces(text, lead + 3);
    let day = number(text, &mut at, 31)?;
    at = spaces(text, at);
    let mut year = None;
    if text.as_bytes().get(at + 2) != Some(&b':') {
        year = Some(number(text, &mut at, 9999)?);
        at = spaces(text, at);
    }
    let clock = text.get(at..at + 8)?;
    let parts: Vec<i64> = clock.split(':').filter_map(|p| p.parse().ok()).collect();
    let [hour, minute, second] = parts[..] else { return None };
    at += 8;
    let fraction = text[at..]
        .strip_prefix('.')
        .map_or(0, |rest| 1 + rest.bytes().take_while(u8::is_ascii_digit).count());
    let fraction_text = &text[at..at + fraction];
    at += fraction;
    if year.is_none()
        && let Some(written) = text.get(at..at + 5)
        && let Ok(after) = written.trim_start().parse::<i64>()
        && (1970..3000).contains(&after)
        && written.starts_with(' ')
        && text[at + 5..].starts_with([' ', ':'])
    {
        year = Some(after);
        at += 5;
    }
    let seconds = hour * 3600 + minute * 60 + second;
    let year = year.unwrap_or_else(|| last_year(month, day, seconds, received_ms));
    let fraction = if fraction > 1 { fraction_text } else { "" };
    let zone = &text[at..zone(text, spaces(text, at))];
    let zone = ZONES.iter().find(|(name, _)| *name == zone.trim()).map_or("", |(_, offset)| offset);
    Some(Time { len: at, text: Some(format!("{year:04}-{month:02}-{day:02}T{clock}{fraction}{zone}")) })
}

fn number(text: &str, at: &mut usize, max: i64) -> Option<i64> {
    let digits = text.bytes().skip(*at).take(4).take_while(u8::is_ascii_digit).count();
    let value = text[*at..*at + digits].parse().ok().filter(|n| (1..=max).contains(n))?;
    *at += digits;
    Some(value)
}

/// The year in which the time was last, a day ahead of the receipt at most.
fn last_year(month: i64, day: i64, seconds: i64, received_ms: i64) -> i64 {
    let received = received_ms.div_euclid(1000);
    let year = civil_from_days(received.div_euclid(86_400)).0;
    let moment = days_from_civil(year, month, day) * 86_400 + seconds;
    if moment > received + 86_400 { year - 1 } else { year }
}
