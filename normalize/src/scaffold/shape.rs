//! How the events of a sample are found and read: a first guess.

use serde_json::Value;

use crate::framing;
use crate::glob::Glob;
use crate::views::columns::{Cell, Split};

/// Lines that are looked at.
const LINES_MAX: usize = 50;
/// Fewest pairs of a line that consists of them.
const PAIRS_MIN: usize = 3;
/// Fewest values of a line that is separated values.
const VALUES_MIN: usize = 3;

/// How a sample is read: lines of a mapping, and what tells its lines from others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// `framing`, `parse`: whole lines of the mapping.
    pub yaml: String,
    /// The sample is JSON: its paths tell it from others.
    pub json: bool,
    /// What a line looks like.
    pub text: Option<String>,
}

const SEPARATORS: &[(&str, Split)] = &[
    ("tab", Split::By(b'\t')),
    ("pipe", Split::By(b'|')),
    ("semicolon", Split::By(b';')),
    ("comma", Split::By(b',')),
    ("quoted", Split::Quoted),
];

/// Guesses the shape of a sample.
pub(super) fn of(bytes: &[u8]) -> Shape {
    if framing::is_json(bytes) {
        return json(bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX).collect();
    let Some(first) = lines.first() else { return Shape::default() };
    header(&lines)
        .or_else(|| inside(&lines, first))
        .or_else(|| values(&lines))
        .unwrap_or_else(|| Shape { yaml: "framing: { lines: }\n".into(), ..Shape::default() })
}

/// JSON is framed by itself, but for an envelope with a key of its own.
fn json(bytes: &[u8]) -> Shape {
    let envelope = serde_json::from_slice::<Value>(bytes).ok().and_then(|value| {
        let lists = |value: &Value| value.as_array().is_some_and(|l| l.first().is_some_and(Value::is_object));
        let (key, _) = value.as_object()?.iter().find(|(_, value)| lists(value))?;
        // An event may have a list as well; an envelope has little else.
        (value.as_object()?.len() <= 4 && !framing::ENVELOPES.contains(&key.as_str())).then(|| key.clone())
    });
    let yaml = envelope.map_or(String::new(), |key| format!("framing: {{ json_array: {} }}\n", quoted(&key)));
    Shape { yaml, json: true, text: None }
}

/// A first line that names the values of the others.
fn header(lines: &[&str]) -> Option<Shape> {
    let (first, rest) = lines.split_first()?;
    let second = rest.first()?;
    let (name, split) = SEPARATORS.iter().find(|(_, split)| {
        let (names, values) = (cells(first, *split), cells(second, *split));
        names.len() >= VALUES_MIN
            && names.len() == values.len()
            && names.iter().all(|cell| is_name(cell))
            && names != values
            && !values.iter().all(|cell| is_name(cell))
    })?;
    let known: Vec<String> = cells(first, *split).into_iter().map(quoted).collect();
    let yaml =
        format!("framing: {{ lines: {{ split: {name}, fields: header, known: [{}] }} }}\n", known.join(", "));
    Some(Shape { yaml, json: false, text: None })
}

/// A format that a line holds, behind the header of syslog or by itself.
fn inside(lines: &[&str], first: &str) -> Option<Shape> {
    let syslog = crate::views::is_syslog(first);
    let found = ["CEF:", "LEEF:"].iter().find_map(|mark| first.find(mark).map(|at| (mark, at)));
    let (format, text) = if let Some((mark, at)) = found {
        let mut vendor = first[at..].splitn(4, '|').skip(1);
        let text = format!("{mark}*|{}|{}|*", vendor.next().unwrap_or("*"), vendor.next().unwrap_or("*"));
        let behind = if at == 0 { "" } else { "*" };
        (mark.trim_end_matches(':').to_ascii_lowercase(), Some(format!("{behind}{text}")))
    } else if lines.iter().all(|line| pairs(line).len() >= PAIRS_MIN) {
        ("kv".to_owned(), keys(lines))
    } else if syslog {
        (String::new(), None)
    } else {
        return None;
    };
    let behind = if found.map_or(syslog, |(_, at)| at > 0 && syslog) { ".message" } else { "" };
    let mut parse = Vec::new();
    if !behind.is_empty() {
        parse.push("  message: syslog\n".to_owned());
    }
    if !format.is_empty() {
        parse.push(format!("  message{behind}: {format}\n"));
    }
    Some(Shape { yaml: format!("framing: {{ lines: }}\nparse:\n{}", parse.concat()), json: false, text })
}

/// Separated values without names.
fn values(lines: &[&str]) -> Option<Shape> {
    let (name, count) = SEPARATORS.iter().find_map(|(name, split)| {
        let count = cells(lines.first()?, *split).len();
        let alike = lines.iter().all(|line| cells(line, *split).len() == count);
        (count >= VALUES_MIN && alike).then_some((name, count))
    })?;
    let names: Vec<String> = (1..=count).map(|n| format!("value_{n}")).collect();
    let yaml = format!("framing: {{ lines: {{ split: {name}, fields: [{}] }} }}\n", names.join(", "));
    Some(Shape { yaml, json: false, text: None })
}

fn cells(line: &str, split: Split) -> Vec<&str> {
    let mut found: Vec<Cell> = Vec::new();
    split.cells(line, &mut found);
    found.iter().map(|cell| &line[cell.start..cell.end]).collect()
}

/// Whether a word may name a field: letters, and no number or sentence.
fn is_name(word: &str) -> bool {
    let byte =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'(' | b')' | b' ' | b'#');
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.len() <= 40
        && word.bytes().all(byte)
}

/// The keys of the pairs of a line.
fn pairs(line: &str) -> Vec<&str> {
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(key, _)| key)
        .filter(|key| key.len() > 1 && is_name(key))
        .collect()
}

/// What lines of pairs look like: the keys that all have, in their order.
fn keys(lines: &[&str]) -> Option<String> {
    let mut text = String::new();
    for key in pairs(lines.first()?) {
        let longer = format!("{text}*{key}=");
        let glob = Glob::new(&format!("{longer}*"));
        if lines.iter().all(|line| glob.fits(line)) {
            text = longer;
        }
    }
    (!text.is_empty()).then(|| format!("{text}*"))
}

/// A word as YAML.
pub(super) fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let word_like = word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.bytes().all(plain);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word_like && !reserved.contains(&word.to_ascii_lowercase().as_str()) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "''"))
    }
}
