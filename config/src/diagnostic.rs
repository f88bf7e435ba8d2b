//! What is wrong with a file, said so that a person can mend it.
//!
//! A [`Diagnostic`] names a place (`file:line:col`), quotes the source line with the offending text
//! underlined, and where possible ends with a hint. [`SourceText`] keeps the text of the file, so that
//! later checks (an SQL predicate, a name that does not exist) can still point into it.

use std::collections::BTreeSet;
use std::fmt;

/// The longest part of a source line that a diagnostic quotes, in characters.
const QUOTED_CHARS_MAX: usize = 160;

/// A place in a file; both numbers start at 1 and columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One problem of a file, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Name of the file as the user gave it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The offending text, which is underlined.
    pub text: String,
    /// What is wrong: lowercase, no full stop, the input named in backticks.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// The line of the file, unless it may hold a secret.
    pub source_line: Option<String>,
}

/// `file:line:col: error: message`, the source line underlined, and the hint.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: error: {}", self.file, self.line, self.column, self.message)?;
        if let Some(line) = &self.source_line {
            let column = (self.column as usize).saturating_sub(1);
            let skipped = column.saturating_sub(QUOTED_CHARS_MAX / 2);
            let quoted = printable(line, skipped);
            let width = self.text.lines().next().unwrap_or_default().chars().count();
            let room = quoted.chars().count().saturating_sub(column - skipped);
            let pad = " ".repeat(column - skipped);
            write!(f, "\n  | {}\n  | {pad}{}", quoted.trim_end(), "^".repeat(width.min(room).max(1)))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The quoted window of a line, one column a character: tabs and control characters become spaces.
fn printable(line: &str, skipped: usize) -> String {
    let shown = line.chars().skip(skipped).take(QUOTED_CHARS_MAX);
    shown.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Everything wrong with a file, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.0.iter().enumerate() {
            let gap = if n == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// The text of a file, kept to point into it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SourceText {
    file: String,
    text: String,
    /// Lines that hold a secret given literally: a diagnostic never quotes them.
    hidden: BTreeSet<u32>,
}

/// The name only: a configuration is often logged whole, its text need not be.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceText").field(&self.file).finish()
    }
}

impl SourceText {
    /// The text of `file`, named as the user gave it.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), hidden: BTreeSet::new() }
    }

    /// Name of the file as the user gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One line without its line break, from 1.
    pub fn line(&self, line: u32) -> Option<&str> {
        self.text.lines().nth((line as usize).checked_sub(1)?)
    }

    /// Never quote this line again.
    pub(crate) fn hide(&mut self, line: u32) {
        self.hidden.insert(line);
    }

    /// A diagnostic at `span`, where `text` is the offending text.
    pub fn diagnostic(
        &self,
        span: Span,
        text: impl Into<String>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        let (text, line, mut column) = (text.into(), span.line.max(1), span.column.max(1));
        let shown = if self.hidden.contains(&line) { None } else { self.line(line) };
        // A quoted scalar starts at its quote, its text behind it.
        let mut at = shown.unwrap_or_default().chars().skip(column as usize - 1);
        if at.next().is_some_and(|c| "\"'".contains(c)) && at.take(text.chars().count()).eq(text.chars()) {
            column += 1;
        }
        Diagnostic {
            file: self.file.clone(),
            line,
            column,
            text,
            message: message.into(),
            hint,
            source_line: shown.map(str::to_owned),
        }
    }

    /// Where in the file the byte `offset` of a scalar's value stands, given where the scalar starts.
    ///
    /// Quotes, escapes, folded lines and block indentation are stepped over, so that a fault in the
    /// middle of an SQL predicate is underlined where the user wrote it.
    pub fn inside(&self, scalar: Span, value: &str, offset: usize) -> Span {
        let head = value.get(..offset).unwrap_or(value);
        let mut cursor = Cursor::at(&self.text, scalar, value);
        let mut decoded = head.chars().peekable();
        while let Some(c) = decoded.next() {
            if c.is_whitespace() {
                while decoded.next_if(|c| c.is_whitespace()).is_some() {}
                cursor.skip_whitespace();
            } else {
                cursor.skip_char();
            }
        }
        // The fault is the next character, not the gap before it.
        if value[head.len()..].starts_with(|c: char| !c.is_whitespace()) {
            cursor.skip_whitespace();
        }
        cursor.span
    }
}

/// A walk over the source characters of one scalar.
struct Cursor<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    span: Span,
    quote: Option<char>,
}

impl<'a> Cursor<'a> {
    /// At the first character of `value`. A block scalar's span is that of its first text line, so a
    /// quote there counts as an opening one only if the value does not begin with it unescaped.
    fn at(text: &'a str, span: Span, value: &str) -> Self {
        let lines = text.split_inclusive('\n');
        let start: usize = lines.take((span.line as usize).saturating_sub(1)).map(str::len).sum();
        let column = (span.column as usize).saturating_sub(1);
        let skipped: usize = text[start..].chars().take(column).map(char::len_utf8).sum();
        let raw = &text[start + skipped..];
        let mut cursor = Self { rest: raw.chars().peekable(), span, quote: None };
        for (quote, escaped) in [('"', "\"\\\""), ('\'', "\'\'\'")] {
            if raw.starts_with(quote) && (!value.starts_with(quote) || raw.starts_with(escaped)) {
                cursor.quote = Some(quote);
                cursor.step();
            }
        }
        cursor
    }

    fn step(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.span = Span { line: self.span.line + 1, column: 1 };
        } else {
            self.span.column += 1;
        }
        Some(c)
    }

    fn skip_whitespace(&mut self) {
        while self.rest.peek().is_some_and(|c| c.is_whitespace()) {
            self.step();
        }
    }

    /// One character of the value: an escape sequence counts as one.
    fn skip_char(&mut self) {
        let c = self.step();
        if c == self.quote && c == Some('\'') {
            self.step();
        } else if c == Some('\\') && self.quote == Some('"') {
            let hex_digits = match self.step() {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                _ => 0,
            };
            for _ in 0..hex_digits {
                self.step();
            }
        }
    }
}

/// The known name closest to `name`, if it is close enough to be a slip of the keyboard.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips_max = match name.chars().count() {
        0..=2 => 0,
        n => (n / 3).max(1),
    };
    let lower = name.to_lowercase();
    let scored = known.into_iter().map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), k));
    scored.filter(|(slips, _)| *slips <= slips_max).min_by_key(|(slips, _)| *slips).map(|(_, k)| k)
}

/// The hint for a name that does not exist: the nearest known one, else all of them.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<String> = known.into_iter().map(|k| format!("`{k}`")).collect();
    (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
}
