//! Separated values: the fields of a line by their place.

use super::{Out, unquote};
use crate::scan::{PathId, PathTable};

/// Most values of one line; what follows them is one more.
const VALUES_MAX: usize = 4096;

/// What separates the values of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// White space; values are bare.
    #[default]
    Words,
    /// White space; what stands in `"…"` or `[…]` is one value.
    Quoted,
    /// One byte; but for tabs, a value in `"…"` may hold it.
    By(u8),
}

/// How the values of a line are separated and named.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// What separates them.
    pub split: Split,
    /// Names of the values: the list that `by` chooses; without that, the first with as many names
    /// as there are values, else the first.
    pub layouts: Vec<Vec<String>>,
    /// The value that chooses the list, by its place, and the list of each of its values.
    pub by: Option<By>,
    /// Values that stand for none.
    pub null: Vec<String>,
}

/// A value that says which names the others have.
#[derive(Debug, Clone, Default)]
pub struct By {
    /// Its place, from 0.
    pub place: usize,
    /// Values and their lists.
    pub lists: Vec<(String, usize)>,
    /// The list of every other value.
    pub otherwise: Option<usize>,
}

/// One value of a line: its bytes, and the quote that must be taken out of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub start: usize,
    pub end: usize,
    pub escaped: bool,
}

impl Columns {
    /// The list of names of a line with these values.
    pub(crate) fn layout(&self, text: &str, cells: &[Cell]) -> Option<usize> {
        if let Some(by) = &self.by {
            let cell = cells.get(by.place)?;
            let value = &text[cell.start..cell.end];
            let found = by.lists.iter().find(|(known, _)| known.eq_ignore_ascii_case(value));
            return found.map(|(_, list)| *list).or(by.otherwise);
        }
        let fits = self.layouts.iter().position(|names| names.len() == cells.len());
        fits.or((!self.layouts.is_empty()).then_some(0))
    }

    /// Reads a text that is a line of values; false if no list of names is meant for it.
    pub(super) fn read(&self, text: &str, out: &mut Out<'_>) -> bool {
        let mut cells = Vec::new();
        self.split.cells(text, &mut cells);
        let Some(layout) = self.layout(text, &cells) else { return false };
        if cells.len() < 2 {
            return false;
        }
        let names = &self.layouts[layout];
        for (n, cell) in cells.iter().enumerate() {
            if self.is_null(text, *cell) {
                continue;
            }
            if let Some(name) = names.get(n) {
                let path = out.key(name);
                put(text, *cell, path, out);
            } else {
                let extra = out.key("extra");
                let path = out.paths.child(extra, None);
                put(text, *cell, path, out);
                out.as_element();
            }
        }
        true
    }

    pub(crate) fn is_null(&self, text: &str, cell: Cell) -> bool {
        cell.start == cell.end || self.null.iter().any(|null| **null == text[cell.start..cell.end])
    }
}

fn put(text: &str, cell: Cell, path: PathId, out: &mut Out<'_>) {
    if cell.escaped {
        out.decoded(path, &unquote(&text[cell.start..cell.end], '"', false));
    } else {
        out.span(path, cell.start, cell.end);
    }
}

/// The names of a layout as paths.
pub(crate) fn paths_of(names: &[String], paths: &mut PathTable) -> Vec<PathId> {
    names.iter().map(|name| paths.field(name)).collect()
}

impl Split {
    /// Finds the values of a line.
    pub(crate) fn cells(self, text: &str, cells: &mut Vec<Cell>) {
        cells.clear();
        let bytes = text.as_bytes();
        match self {
            Self::Words | Self::Quoted => {
                let mut at = 0;
                while let Some(skipped) = bytes[at..].iter().position(|b| !matches!(b, b' ' | b'\t')) {
                    let start = at + skipped;
                    let cell = if self == Self::Quoted { wrapped(bytes, start, is_space) } else { None };
                    let (cell, after) = cell.unwrap_or_else(|| {
                        let len = bytes[start..].iter().position(|b| is_space(*b));
                        let end = len.map_or(bytes.len(), |n| start + n);
                        (Cell { start, end, escaped: false }, end)
                    });
                    cells.push(cell);
                    at = after;
                    if cells.len() >= VALUES_MAX {
                        return;
                    }
                }
            }
            Self::By(separator) => separated(text, separator, cells),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn separated(text: &str, separator: u8, cells: &mut Vec<Cell>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let start = at + bytes[at..].iter().take_while(|b| **b == b' ' && separator != b' ').count();
        let quoted = if separator == b'\t' { None } else { wrapped(bytes, start, |b| b == separator) };
        let (cell, after) = quoted.filter(|_| bytes[start] == b'"').unwrap_or_else(|| {
            let end = memchr::memchr(separator, &bytes[start..]).map_or(bytes.len(), |n| start + n);
            (Cell { start, end: start + text[start..end].trim_end().len(), escaped: false }, end)
        });
        cells.push(cell);
        if after >= bytes.len() || cells.len() >= VALUES_MAX {
            return;
        }
        at = after + 1;
    }
}

/// What stands in quotes or brackets at `start`, and where it ends; the end is a closing mark that a
/// separator or the end of the line follows, so that a quote within does not end it.
fn wrapped(bytes: &[u8], start: usize, separator: impl Fn(u8) -> bool) -> Option<(Cell, usize)> {
    let close = match bytes.get(start)? {
        b'"' => b'"',
        b'[' => b']',
        _ => return None,
    };
    let mut at = start + 1;
    let mut escaped = false;
    loop {
        let hit = at + memchr::memchr2(close, b'\\', &bytes[at..])?;
        if bytes[hit] == b'\\' {
            escaped = true;
            at = (hit + 2).min(bytes.len());
            continue;
        }
        if close == b'"' && bytes.get(hit + 1) == Some(&b'"') && hit > start + 1 {
            escaped = true;
            at = hit + 2;
            continue;
        }
        if bytes.get(hit + 1).is_none_or(|b| separator(*b)) {
            return Some((Cell { start: start + 1, end: hit, escaped }, hit + 1));
        }
        at = hit + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_lines() {
        for (split, text, expected) in [
            (Split::Words, " a  b\tc ", vec!["a", "b", "c"]),
            (
                Split::Quoted,
                r#"h2 [06/Feb/2026:00:00:38 +0000] "GET /a b" "-" x"#,
                vec!["h2", "06/Feb/2026:00:00:38 +0000", "GET /a b", "-", "x"],
            ),
            (
                Split::Quoted,
                r#""a \"b\" c" "d "e"f" "" "unclosed g"#,
                vec![r#"a "b" c"#, r#"d "e"f"#, "", r#""unclosed"#, "g"],
            ),
            (Split::By(b','), r#"1,"a, ""b""", c ,,"d"#, vec!["1", r#"a, "b""#, "c", "", r#""d"#]),
            (Split::By(b','), "", vec![""]),
            (Split::By(b','), "a,", vec!["a", ""]),
            (Split::By(b'\t'), "a\t\"b\tc", vec!["a", "\"b", "c"]),
            (Split::By(b';'), "é;\"ü;ö\"", vec!["é", "ü;ö"]),
        ] {
            let mut cells = Vec::new();
            split.cells(text, &mut cells);
            let values: Vec<String> = cells
                .iter()
                .map(|c| {
                    let raw = &text[c.start..c.end];
                    if c.escaped { unquote(raw, '"', false) } else { raw.to_owned() }
                })
                .collect();
            assert_eq!(values, expected, "{text}");
        }
    }
}
