//! Lines as events: their values get the paths that a header or the mapping names.

use std::borrow::Cow;

use bytes::Bytes;

use crate::catalog::{is_header, known_name};
use crate::framing::{self, Frame};
use crate::glob::Glob;
use crate::pass::{Part, Pass};
use crate::plan::{Framing, Header, LineFraming, Plan};
use crate::scan::{Kind, Leaf, PathId, PathTable, Scanned, Scanner};
use crate::unit::EVENT_BYTES_MAX;
use crate::views::columns::{Cell, Columns, Split, paths_of};
use crate::views::unquote;

/// Begins a line of a context that says from which offset of the unit the header lines after it
/// hold.
const FROM: &str = "#@";
/// Most headers of one unit.
const HEADERS_MAX: usize = 1000;

/// How the lines of one source are read, below one header.
#[derive(Debug)]
pub(crate) struct Lines {
    columns: Columns,
    /// The paths of each layout; one if a header names the values.
    layouts: Vec<Vec<PathId>>,
    /// The header names the values.
    named: bool,
    /// Which values of a header's are lists, and what separates their elements.
    lists: Vec<Option<PathId>>,
    between: char,
    /// What the header says beside the names, where the mapping asks for it.
    stated: Vec<(PathId, String)>,
    message: PathId,
    extra: PathId,
}

/// The headers of a unit, each from an offset on.
#[derive(Debug, Default, Clone)]
pub(crate) struct LineMode {
    pub headers: Vec<(u32, std::sync::Arc<Lines>)>,
}

impl LineMode {
    /// How the line at `offset` is read.
    pub(crate) fn at(&self, offset: u32) -> Option<&std::sync::Arc<Lines>> {
        let after = self.headers.partition_point(|(from, _)| *from <= offset);
        self.headers.get(after.saturating_sub(1)).map(|(_, lines)| lines)
    }

    /// Reads the context of a unit.
    pub(crate) fn new(plan: &Plan, context: &[u8], paths: &mut PathTable) -> Self {
        let context = String::from_utf8_lossy(context);
        let headers = blocks(&context)
            .into_iter()
            .map(|(from, header)| (from, std::sync::Arc::new(Lines::new(plan, &header, paths))))
            .collect();
        Self { headers }
    }
}

/// The parts of a context, with the offset that each holds from.
fn blocks(context: &str) -> Vec<(u32, Cow<'_, str>)> {
    let mut blocks: Vec<(u32, Cow<'_, str>)> = vec![(0, Cow::Borrowed(""))];
    if !context.contains(FROM) {
        return vec![(0, Cow::Borrowed(context))];
    }
    for line in context.lines() {
        if let Some(from) = line.strip_prefix(FROM).and_then(|n| n.parse().ok()) {
            blocks.push((from, Cow::Borrowed("")));
        } else if let Some((_, text)) = blocks.last_mut() {
            let text = text.to_mut();
            text.push_str(line);
            text.push('\n');
        }
    }
    blocks
}

/// The part of a context that holds at its end.
pub(crate) fn last_block(context: &[u8]) -> Vec<u8> {
    let context = String::from_utf8_lossy(context);
    blocks(&context).pop().map(|(_, text)| text.into_owned().into_bytes()).unwrap_or_default()
}

/// The header lines of a unit whose lines of `#` say something of the others: `before` held up to
/// its beginning.
pub(crate) fn directives(bytes: &[u8], before: &[u8], prefix: &str) -> Vec<u8> {
    let mut context = before.to_vec();
    let (mut at, mut inside, mut headers) = (0, false, 0);
    while at < bytes.len() && headers < HEADERS_MAX {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
        let line = bytes[at..end].trim_ascii_end();
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if line.starts_with(b"#") {
            if !inside && !context.is_empty() {
                context.extend(format!("{FROM}{at}\n").bytes());
            }
            if !inside {
                headers += 1;
            }
            inside = true;
            context.extend(line);
            context.push(b'\n');
            at = end + 1;
            continue;
        }
        inside = false;
        // Header lines stand at line starts: the next one is all that matters.
        match memchr::memmem::find(&bytes[end.min(bytes.len())..], b"\n#") {
            Some(next) => at = end + next + 1,
            None => break,
        }
    }
    // A header that repeats the one before says nothing new.
    if same_names(&context, prefix) { before_first(&context) } else { context }
}

fn names<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim)
}

/// Whether every part of a context says the same but for comments.
fn same_names(context: &[u8], prefix: &str) -> bool {
    let text = String::from_utf8_lossy(context);
    let parts = blocks(&text);
    let first = parts.first().and_then(|(_, text)| names(text, prefix));
    let stated = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|l| l.starts_with("#path") || l.starts_with("#types"))
            .map(str::to_owned)
            .collect()
    };
    let of_first = parts.first().map(|(_, text)| stated(text)).unwrap_or_default();
    parts.iter().skip(1).all(|(_, text)| {
        let named = names(text, prefix);
        named.is_none() || named == first && stated(text) == of_first
    })
}

fn before_first(context: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(context);
    blocks(&text).first().map(|(_, text)| text.as_bytes().to_vec()).unwrap_or_default()
}

impl Lines {
    /// How lines below `header` (its lines, or nothing) are read.
    pub(crate) fn new(plan: &Plan, header: &str, paths: &mut PathTable) -> Self {
        let plain = LineFraming::default();
        let framing = match &plan.framing {
            Framing::Lines(lines) => lines,
            Framing::Json { .. } => &plain,
        };
        let extra = paths.field("extra");
        let mut lines = Self {
            columns: framing.columns.clone(),
            layouts: framing.columns.layouts.iter().map(|names| paths_of(names, paths)).collect(),
            named: false,
            lists: Vec::new(),
            between: ',',
            stated: Vec::new(),
            message: paths.field("message"),
            extra: paths.child(extra, None),
        };
        match &framing.header {
            Header::First if !header.is_empty() => {
                let mut cells = Vec::new();
                framing.columns.split.cells(header.trim_end(), &mut cells);
                let word = |c: &Cell| &header[c.start..c.end];
                let name = |word| known_name(word, &framing.known).unwrap_or(word);
                lines.name(cells.iter().map(|c| name(word(c))), paths);
            }
            Header::Directive(prefix) => {
                if let Some(named) = names(header, prefix) {
                    lines.name(named.split_ascii_whitespace(), paths);
                }
                lines.state(plan, header, prefix, paths);
            }
            Header::First | Header::None => {}
        }
        lines
    }

    fn name<'n>(&mut self, names: impl Iterator<Item = &'n str>, paths: &mut PathTable) {
        self.layouts = vec![names.map(|name| paths.field(name)).collect()];
        self.named = true;
        self.columns.by = None;
    }

    /// Takes what the other lines of a header say: types of lists, their separator, and what the
    /// mapping asks for as `header.…`.
    fn state(&mut self, plan: &Plan, header: &str, prefix: &str, paths: &mut PathTable) {
        let own = paths.field("header");
        for line in header.lines().filter(|line| !line.starts_with(prefix)) {
            let Some(line) = line.strip_prefix('#') else { continue };
            let Some((key, value)) = line.split_once([' ', '\t', ':']) else { continue };
            let value = value.trim();
            match key {
                "types" => {
                    let names = self.layouts.first().cloned().unwrap_or_default();
                    let list = |ty: &str| ty.starts_with("set[") || ty.starts_with("vector[");
                    self.lists = value
                        .split_ascii_whitespace()
                        .zip(names)
                        .map(|(ty, path)| list(ty).then(|| paths.child(path, None)))
                        .collect();
                }
                "set_separator" => self.between = value.chars().next().unwrap_or(','),
                _ => {}
            }
            let path = paths.child(own, Some(key));
            if plan.slots.by_path.contains_key(paths.text(path).as_str()) {
                self.stated.push((path, value.to_owned()));
            }
        }
    }

    /// Reads a line into leaves; `extra` takes what had to be decoded.
    pub(crate) fn read(
        &self,
        line: &str,
        scanner: &mut Scanner,
        cells: &mut Vec<Cell>,
        out: &mut Scanned,
        extra: &mut String,
    ) {
        if self.layouts.is_empty() {
            out.clear();
            out.len = line.len() as u32;
            let end = line.trim_ascii_end().len() as u32;
            out.leaves.push(Leaf { path: self.message, start: 0, end, kind: Kind::Text, element: 0 });
        } else if let (Split::Words, [] | [_]) = (self.columns.split, &self.columns.null[..]) {
            let null = self.columns.null.first().map_or(&b""[..], |null| null.as_bytes());
            scanner.words(line.as_bytes(), self.by_words(line), null, out);
        } else {
            out.clear();
            out.len = line.len() as u32;
            self.cells(line, cells, out, extra);
        }
        for (path, value) in &self.stated {
            let start = (line.len() + extra.len()) as u32;
            extra.push_str(value);
            let end = start + value.len() as u32;
            out.leaves.push(Leaf { path: *path, start, end, kind: Kind::Text, element: 0 });
        }
    }

    /// The fields of a line of words: those of the first layout with as many names.
    fn by_words(&self, line: &str) -> &[PathId] {
        if self.layouts.len() == 1 {
            return &self.layouts[0];
        }
        let words = line.split_ascii_whitespace().count();
        self.layouts.iter().find(|layout| layout.len() == words).unwrap_or(&self.layouts[0])
    }

    fn cells(&self, line: &str, cells: &mut Vec<Cell>, out: &mut Scanned, extra: &mut String) {
        self.columns.split.cells(line, cells);
        let layout = if self.named { Some(0) } else { self.columns.layout(line, cells) };
        let fields = layout.map_or(&[][..], |n| &self.layouts[n]);
        for (n, cell) in cells.iter().enumerate() {
            if self.columns.is_null(line, *cell) {
                continue;
            }
            let (mut start, mut end) = (cell.start, cell.end);
            if cell.escaped {
                start = line.len() + extra.len();
                extra.push_str(&unquote(&line[cell.start..cell.end], '"', false));
                end = line.len() + extra.len();
            }
            let leaf = |path, start: usize, end: usize, element| Leaf {
                path,
                start: start as u32,
                end: end as u32,
                kind: Kind::Text,
                element,
            };
            match (fields.get(n), self.lists.get(n).copied().flatten()) {
                (Some(_), Some(list)) if !cell.escaped => {
                    let mut at = start;
                    for item in line[start..end].split(self.between) {
                        out.elements.push(0);
                        let element = out.elements.len() as u32 - 1;
                        out.leaves.push(leaf(list, at, at + item.len(), element));
                        at += item.len() + self.between.len_utf8();
                    }
                }
                (Some(path), _) => out.leaves.push(leaf(*path, start, end, 0)),
                (None, _) => {
                    out.elements.push(0);
                    out.leaves.push(leaf(self.extra, start, end, out.elements.len() as u32 - 1));
                }
            }
        }
    }
}

/// Finds the header lines of a text, which its events need.
pub(crate) fn header(unit: &Part<'_>, lines: &LineFraming, pass: &mut Pass) {
    pass.context = unit.carry.context.clone();
    match &lines.header {
        Header::Directive(prefix) => {
            pass.context = directives(unit.bytes, &unit.carry.context, prefix).into();
        }
        Header::First if unit.carry.context.is_empty() => {
            if let Some(line) = framing::next_line(unit.bytes, 0)
                && names_fields(lines, &unit.bytes[line.start..line.end])
            {
                pass.context = Bytes::copy_from_slice(&unit.bytes[line.start..line.end]);
                pass.at = line.end;
            }
        }
        Header::First | Header::None => {}
    }
}

/// Whether a line is the header of a text source.
fn names_fields(lines: &LineFraming, line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut cells = Vec::new();
    lines.columns.split.cells(&line, &mut cells);
    is_header(&cells.iter().map(|c| &line[c.start..c.end]).collect::<Vec<_>>(), &lines.known)
}

/// Whether records of a text may have several lines.
fn spans_lines(lines: &LineFraming) -> bool {
    !lines.begins.is_empty() || !lines.continues.is_empty() || lines.element.is_some()
}

fn begins_record(lines: &LineFraming, line: &[u8]) -> bool {
    (lines.begins.is_empty() || fits(&lines.begins, line)) && !fits(&lines.continues, line)
}

fn fits(globs: &[Glob], line: &[u8]) -> bool {
    let line = std::str::from_utf8(line.trim_ascii_end());
    line.is_ok_and(|line| globs.iter().any(|glob| glob.fits(line)))
}

/// The next element, with lines that continue it; or what stands before it. `None` if there is none.
fn next_element(bytes: &[u8], at: usize, name: &str, lines: &LineFraming) -> Option<Frame> {
    let start = framing::next_line(bytes, at)?.start;
    let start = start + bytes[start..].len() - bytes[start..].trim_ascii_start().len();
    let window = &bytes[start..bytes.len().min(start + EVENT_BYTES_MAX)];
    let open = format!("<{name}");
    let named = |n: &usize| matches!(window.get(n + open.len()), Some(b'>' | b' ' | b'\t' | b'\r' | b'\n'));
    let open = memchr::memmem::find_iter(window, &open).find(named)?;
    if open > 0 {
        let before = window[..open].trim_ascii_end().len();
        return Some(Frame { start, end: start + before, broken: None });
    }
    let close = format!("</{name}>");
    let mut end = start + memchr::memmem::find(window, close.as_bytes())? + close.len();
    while let Some(next) = framing::next_line(bytes, end)
        && next.end - start <= EVENT_BYTES_MAX
        && fits(&lines.continues, &bytes[next.start..next.end])
    {
        end = next.end;
    }
    Some(Frame { start, end, broken: None })
}

/// The next record of a text: an element, or a line and those after it that do not begin one.
pub(crate) fn next_record(bytes: &[u8], mut at: usize, lines: &LineFraming) -> Option<Frame> {
    let element = lines.element.as_ref().and_then(|name| next_element(bytes, at, name, lines));
    if element.is_some() {
        return element;
    }
    let directives = matches!(lines.header, Header::Directive(_));
    let mut frame = framing::next_line(bytes, at)?;
    while directives && bytes[frame.start..].starts_with(b"#") {
        at = frame.end;
        frame = framing::next_line(bytes, at)?;
    }
    if !spans_lines(lines) {
        return Some(frame);
    }
    while let Some(next) = framing::next_line(bytes, frame.end)
        && next.end - frame.start <= EVENT_BYTES_MAX
        && !begins_record(lines, &bytes[next.start..next.end])
    {
        frame.end = next.end;
    }
    Some(frame)
}

/// The end of the last whole record of a part: one that may go on is left to the next part.
pub(crate) fn records_end(framing: Option<&Framing>, bytes: &[u8]) -> usize {
    let mut end = memchr::memrchr(b'\n', bytes).map_or(0, |n| n + 1);
    let Some(Framing::Lines(lines)) =
        framing.filter(|f| matches!(f, Framing::Lines(lines) if spans_lines(lines)))
    else {
        return end;
    };
    if let Some(name) = &lines.element {
        let close = format!("</{name}>");
        return memchr::memmem::rfind(bytes, close.as_bytes()).map_or(0, |at| at + close.len());
    }
    while end > 0 {
        let start = memchr::memrchr(b'\n', &bytes[..end - 1]).map_or(0, |n| n + 1);
        if begins_record(lines, &bytes[start..end]) {
            return start;
        }
        end = start;
    }
    0
}
