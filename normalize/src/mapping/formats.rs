//! How text is read: `framing: { lines: … }`, `parse` and `patterns`.

use linchpin_config::Located;

use super::expr::canonical_path;
use super::node::{Faults, Node, Value, list, table, text, texts};
use crate::glob::Glob;
use crate::plan::{Framing, Header, LineFraming};
use crate::views::columns::{By, Columns, Split};
use crate::views::{Format, Kv, Open, Patterns};

/// Most opened paths of one mapping.
const OPENS_MAX: usize = 200;
/// Most templates of one path.
const TEMPLATES_MAX: usize = 4096;

const SEPARATORS: &[(&str, Split)] = &[
    ("words", Split::Words),
    ("quoted", Split::Quoted),
    ("space", Split::By(b' ')),
    ("tab", Split::By(b'\t')),
    ("comma", Split::By(b',')),
    ("semicolon", Split::By(b';')),
    ("pipe", Split::By(b'|')),
];
const FORMATS: &[&str] = &["json", "kv", "cef", "leef", "syslog", "xml", "query", "base64"];

/// Reads `framing`.
pub(super) fn framing(node: &Node, faults: &mut Faults<'_>) -> Framing {
    let (mut arrays, mut text) = (None, None);
    for (key, node) in table(node, "`framing`", faults) {
        match key.value.as_str() {
            "json_array" => arrays = Some(names(node, "`json_array`", faults)),
            "json" => _ = arrays.get_or_insert_default(),
            "lines" => text = Some(lines(node, faults)),
            _ => faults.unknown_key(key, &["json_array", "json", "lines"]),
        }
    }
    match text {
        Some(lines) => Framing::Lines(Box::new(LineFraming { json: arrays, ..lines })),
        None => Framing::Json { arrays: arrays.unwrap_or_default() },
    }
}

fn names(node: &Node, what: &str, faults: &mut Faults<'_>) -> Vec<String> {
    texts(node, what, faults).into_iter().map(|t| t.value).collect()
}

fn lines(node: &Node, faults: &mut Faults<'_>) -> LineFraming {
    let mut out = LineFraming::default();
    for (key, node) in table(node, "`lines`", faults) {
        match (key.value.as_str(), &node.value) {
            ("split", _) => out.columns.split = split(node, faults),
            ("fields", Value::Text(word)) if word == "header" => out.header = Header::First,
            ("fields", Value::Text(word)) if word.starts_with('#') => {
                out.header = Header::Directive(word.clone());
            }
            ("fields" | "default", _) => fields(&mut out.columns, node, faults),
            ("known", _) => out.known = names(node, "`known`", faults),
            ("null", _) => out.columns.null = names(node, "`null`", faults),
            ("element", _) => out.element = Some(text(node, "`element`", faults).value),
            ("begins", _) => {
                out.begins = texts(node, "`begins`", faults).iter().map(|t| Glob::new(&t.value)).collect();
            }
            ("continues", _) => {
                out.continues =
                    texts(node, "`continues`", faults).iter().map(|t| Glob::new(&t.value)).collect();
            }
            _ => {
                let known = ["split", "fields", "known", "default", "null", "begins", "element", "continues"];
                faults.unknown_key(key, &known);
            }
        }
    }
    if out.header == Header::First && out.known.is_empty() {
        faults.add(
            node.span,
            "",
            "a header needs `known`",
            Some("name the fields that tell it from others".into()),
        );
    }
    out
}

fn split(node: &Node, faults: &mut Faults<'_>) -> Split {
    let word = text(node, "`split`", faults);
    if let Some((_, split)) = SEPARATORS.iter().find(|(name, _)| *name == word.value) {
        return *split;
    }
    let known: Vec<_> = SEPARATORS.iter().map(|(name, _)| *name).collect();
    let hint = Some(format!("known: {}", known.join(", ")));
    faults.add(word.span, &word.value, format!("no separator `{}`", word.value), hint);
    Split::Words
}

/// One list of names, several, or a table of them by the value of a column.
fn fields(columns: &mut Columns, node: &Node, faults: &mut Faults<'_>) {
    match &node.value {
        Value::Table(_) => by(columns, node, faults),
        Value::List(several) if several.iter().any(|n| matches!(n.value, Value::List(_))) => {
            columns.layouts = several.iter().map(|n| names(n, "`fields`", faults)).collect();
        }
        _ => columns.layouts = vec![names(node, "`fields`", faults)],
    }
}

/// `{ by: 4, TRAFFIC: [names], AUTH: AUTHENTICATION, else: [names] }`.
fn by(columns: &mut Columns, node: &Node, faults: &mut Faults<'_>) {
    let mut by = By::default();
    let mut same: Vec<(String, Located<String>)> = Vec::new();
    let mut placed = false;
    for (key, node) in table(node, "`fields`", faults) {
        match (key.value.as_str(), &node.value) {
            ("by", Value::Int(n)) if *n > 0 => {
                by.place = *n as usize - 1;
                placed = true;
            }
            ("by", other) => {
                let hint = Some("the first value of a line is number 1".into());
                faults.add(node.span, &other.shown(), "`by` must be the number of a value", hint);
            }
            (_, Value::Text(_)) => same.push((key.value.clone(), text(node, "`fields`", faults))),
            (name, _) => {
                if name == "else" {
                    by.otherwise = Some(columns.layouts.len());
                } else {
                    by.lists.push((name.to_owned(), columns.layouts.len()));
                }
                columns.layouts.push(names(node, "`fields`", faults));
            }
        }
    }
    for (name, other) in same {
        match by.lists.iter().find(|(known, _)| *known == other.value) {
            Some((_, list)) => by.lists.push((name, *list)),
            None => faults.add(other.span, &other.value, format!("no fields for `{}`", other.value), None),
        }
    }
    if !placed {
        let hint = Some("for example `by: 4`".into());
        faults.add(node.span, "", "`fields` by value need `by`", hint);
    }
    columns.by = Some(by);
}

/// Reads `parse`: paths and the formats of their text.
pub(super) fn parse(opens: &mut Vec<Open>, node: &Node, faults: &mut Faults<'_>) {
    for (path, node) in table(node, "`parse`", faults) {
        let formats: Vec<Format> = list(node).iter().filter_map(|n| format(n, faults)).collect();
        open(opens, path, formats, faults);
    }
}

/// Reads `patterns`: paths, and the templates of their text by name.
pub(super) fn patterns(opens: &mut Vec<Open>, node: &Node, faults: &mut Faults<'_>) {
    for (path, node) in table(node, "`patterns`", faults) {
        let mut patterns = Patterns::default();
        let mut count = 0;
        for (name, templates) in table(node, "the patterns of a path", faults) {
            for template in texts(templates, "a template", faults) {
                count += 1;
                if let Err(fault) = patterns.add(&name.value, &template.value) {
                    faults.inside(&template, fault.offset, &fault.text, fault.message, None);
                }
            }
        }
        if count > TEMPLATES_MAX {
            faults.add(path.span, &path.value, "too many templates", None);
        }
        open(opens, path, vec![Format::Patterns(patterns)], faults);
    }
}

fn open(opens: &mut Vec<Open>, path: &Located<String>, formats: Vec<Format>, faults: &mut Faults<'_>) {
    let Some(canonical) = canonical_path(&path.value) else {
        return faults.add(path.span, &path.value, format!("`{}` is not a path", path.value), None);
    };
    match opens.iter().position(|open| *open.path == *canonical) {
        Some(known) => opens[known].formats.extend(formats),
        None if opens.len() >= OPENS_MAX => faults.add(path.span, &path.value, "too many opened paths", None),
        None => opens.push(Open { path: canonical.into(), formats }),
    }
}

fn format(node: &Node, faults: &mut Faults<'_>) -> Option<Format> {
    if let Value::Table(members) = &node.value {
        return match members.first() {
            Some((key, inner)) if key.value == "kv" && members.len() == 1 => {
                Some(Format::Kv(kv(inner, faults)))
            }
            _ => Some(Format::Columns(columns(node, faults))),
        };
    }
    let word = text(node, "a format", faults);
    Some(match word.value.as_str() {
        "json" => Format::Json,
        "kv" => Format::Kv(Kv::default()),
        "cef" => Format::Cef,
        "leef" => Format::Leef,
        "syslog" => Format::Syslog,
        "xml" => Format::Xml,
        "query" => Format::Query,
        "base64" => Format::Base64,
        other => {
            let hint = match linchpin_config::nearest(other, FORMATS.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known: {}", FORMATS.join(", ")),
            };
            faults.add(word.span, &word.value, format!("no format `{other}`"), Some(hint));
            return None;
        }
    })
}

fn kv(node: &Node, faults: &mut Faults<'_>) -> Kv {
    let mut out = Kv::default();
    for (key, node) in table(node, "`kv`", faults) {
        match (key.value.as_str(), &node.value) {
            ("between", _) => out.between = text(node, "`between`", faults).value.into(),
            ("equals", _) => out.equals = text(node, "`equals`", faults).value.into(),
            ("loose", Value::Bool(loose)) => out.loose = *loose,
            ("loose", other) => {
                faults.add(node.span, &other.shown(), "`loose` must be true or false", None);
            }
            _ => faults.unknown_key(key, &["between", "equals", "loose"]),
        }
    }
    if out.equals.trim().is_empty() {
        faults.add(node.span, &out.equals, "`equals` must not be empty", None);
    }
    out
}

fn columns(node: &Node, faults: &mut Faults<'_>) -> Columns {
    let mut out = Columns::default();
    for (key, node) in table(node, "a format", faults) {
        match key.value.as_str() {
            "split" => out.split = split(node, faults),
            "fields" => fields(&mut out, node, faults),
            "null" => out.null = names(node, "`null`", faults),
            _ => faults.unknown_key(key, &["kv", "split", "fields", "null"]),
        }
    }
    if out.layouts.is_empty() {
        faults.add(node.span, "", "separated values need `fields`", None);
    }
    out
}
