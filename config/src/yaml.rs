//! Strict YAML into typed values.
//!
//! Strict means: `true` and `false` are the only booleans, no duplicate keys, no anchors, aliases, merge
//! keys or foreign tags, one document, unknown keys refused (the types derive
//! `#[serde(deny_unknown_fields)]`), and bounded size, depth and node count.
//!
//! A fault of *structure* (syntax, an unknown or missing key) ends the reading. A fault of a single *value*
//! (a duration with a wrong unit) does not: its type reports a [`Fault`] through [`scalar`], reading goes
//! on, and all of them come out together.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MergeKeyPolicy, MessageFormatter, UserMessageFormatter};

use crate::diagnostic::{Diagnostic, Diagnostics, SourceText, Span, suggestion};
use crate::located::Located;

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// How deep sequences and mappings may nest.
const DEPTH_MAX: usize = 32;
/// How many scalars, sequences and mappings a file may have.
const NODES_MAX: usize = 200_000;

/// Reads strict YAML. `file` is the name that diagnostics show, and relative paths in the values are
/// resolved against its folder.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Diagnostics> {
    parse_source(&mut SourceText::new(file, text))
}

/// [`parse`] for a caller that keeps the text; lines with literal secrets are hidden in it.
pub(crate) fn parse_source<T: DeserializeOwned>(source: &mut SourceText) -> Result<T, Diagnostics> {
    if source.text().len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than {FILE_BYTES_MAX}", source.text().len());
        return Err(Diagnostics(vec![source.diagnostic(Span { line: 1, column: 1 }, "", message, None)]));
    }
    let folder = Path::new(source.file()).parent().map(Path::to_owned).unwrap_or_default();
    let reading = Reading { folder, problems: Vec::new() };
    let outer = READING.replace(reading);
    let parsed = serde_saphyr::from_str_with_options::<T>(source.text(), options());
    let problems = READING.replace(outer).problems;

    for (value, _) in problems.iter().filter(|(_, fault)| fault.secret) {
        source.hide(value.span.line);
    }
    let say = |(value, fault): (Located<String>, Fault)| {
        let text = if fault.secret { String::new() } else { value.value };
        source.diagnostic(value.span, text, fault.message, fault.hint)
    };
    let mut found: Vec<Diagnostic> = problems.into_iter().map(say).collect();
    match parsed {
        Ok(value) if found.is_empty() => Ok(value),
        Ok(_) => Err(Diagnostics(found)),
        Err(error) => {
            found.push(structural(source, &error));
            Err(Diagnostics(found))
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_anchors: 0,
            max_aliases: 0,
        },
        emit_comments: false,
        strict_booleans: true,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// A fault that ended the reading.
fn structural(source: &SourceText, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let location = error.location();
    let raw = location.and_then(|at| {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let len = usize::try_from(at.span().byte_len()?).ok()?;
        source.text().get(start..start + len)
    });
    let (text, message, hint) = in_our_words(error, raw.unwrap_or_default().trim_end());
    let text = text.lines().next().unwrap_or_default();
    let span = location.map_or(Span { line: 1, column: 1 }, Span::from);
    let mut diagnostic = source.diagnostic(span, text, message, hint);
    // What follows on the line has not been read: it could be a secret given literally.
    if let Some(line) = &mut diagnostic.source_line {
        let shown = diagnostic.column as usize - 1 + text.chars().count().max(1);
        *line = line.chars().take(shown).collect();
    }
    diagnostic
}

/// The offending text, the message and the hint. `raw` is the source at the error's place.
fn in_our_words<'a>(error: &'a Error, raw: &'a str) -> (&'a str, String, Option<String>) {
    let hint = |text: &str| Some(text.to_owned());
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (field, format!("unknown key `{field}`"), suggestion(field, expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (variant, format!("unknown choice `{variant}`"), suggestion(variant, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => {
            let beside = (!raw.is_empty()).then(|| format!("add it beside `{raw}`"));
            (raw, format!("the key `{field}` is missing"), beside)
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or(raw);
            (key, format!("duplicate key `{key}`"), hint("keep one of them"))
        }
        Error::InvalidBooleanStrict { .. } => {
            (raw, format!("`{raw}` is not a boolean"), hint("write `true` or `false`"))
        }
        Error::InvalidScalar { ty, .. } if ty.starts_with(['u', 'i']) => {
            (raw, format!("`{raw}` is not a whole number in range"), None)
        }
        Error::Budget { breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }, .. }
        | Error::UnknownAnchor { .. } => {
            let message = "anchors and aliases are not supported".to_owned();
            (raw, message, hint("write the value out where it is used"))
        }
        Error::MergeKeyNotAllowed { .. } => {
            ("<<", "merge keys are not supported".to_owned(), hint("write the keys out where they are used"))
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (raw, format!("expected {expected}, found {}", term(unexpected)), None)
        }
        Error::Unexpected { expected, .. } => (raw, format!("expected {}", term(expected)), None),
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            (raw, format!("`{raw}` is one key too many"), hint("exactly one of the choices can be given"))
        }
        Error::NullIntoString { .. } => (raw, "a value is missing".to_owned(), None),
        Error::Eof { .. } => (raw, "the file ends too early".to_owned(), None),
        Error::MultipleDocuments { .. } => (raw, "more than one YAML document".to_owned(), None),
        other => (raw, UserMessageFormatter.format_message(other).into_owned(), None),
    }
}

/// The parser's terms, and ours.
const TERMS: &[(&str, &str)] = &[
    ("string scalar", "a text"),
    ("mapping start", "a mapping, `key: value`"),
    ("sequence start", "a list, `- item`"),
    ("map", "a mapping"),
    ("sequence", "a list"),
    ("unit value", "nothing"),
];

/// A term of the parser in our words, where we have one.
fn term(theirs: &str) -> &str {
    TERMS.iter().find(|(term, _)| *term == theirs).map_or(theirs, |(_, ours)| ours)
}

/// What is wrong with a value, and how to mend it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    secret: bool,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, secret: false }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The value is a secret: neither it nor its line is ever quoted.
    pub(crate) fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// The state of one reading. serde hands its deserializers no context, so it lies beside the stack.
#[derive(Default)]
struct Reading {
    folder: PathBuf,
    problems: Vec<(Located<String>, Fault)>,
}

thread_local! {
    static READING: RefCell<Reading> = RefCell::default();
}

/// Notes a wrong value; the reading goes on and fails at its end.
pub(crate) fn report(value: Located<String>, fault: Fault) {
    READING.with_borrow_mut(|reading| reading.problems.push((value, fault)));
}

/// A path of the file being read, resolved against that file's folder.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    READING.with_borrow(|reading| reading.folder.join(path).components().collect())
}

/// Reads a scalar whose text `parse` understands; a fault is reported and `placeholder` takes its place.
pub(crate) fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, Fault>,
    placeholder: impl FnOnce() -> T,
) -> Result<T, D::Error> {
    let text = Located::<String>::deserialize(deserializer)?;
    Ok(parse(&text.value).unwrap_or_else(|fault| {
        report(text, fault);
        placeholder()
    }))
}
