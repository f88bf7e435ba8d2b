//! The expressions of `map` and `when`: `path [~ path]… [| function]… [?? path [| function]…]…`.

use crate::scan::PathTable;

/// One alternative: where the value is, and the functions it goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    pub operand: Operand,
    /// Function names with their byte offset in the expression.
    pub functions: Vec<(usize, String)>,
}

/// Where an alternative's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    /// A path in the event, in canonical form.
    Path(String),
    /// The path `value` in that element of a list whose member at the path `key` is `equals`.
    Pick { key: String, equals: String, value: String },
    /// A constant in single quotes.
    Literal(String),
    /// Texts one after the other.
    Join(Vec<Operand>),
}

/// A fault of an expression: byte offset, offending text, message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExprFault {
    pub offset: usize,
    pub text: String,
    pub message: String,
}

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Vec<Alternative>, ExprFault> {
    split(text, "??").into_iter().map(|(offset, part)| alternative(offset, part)).collect()
}

fn alternative(offset: usize, text: &str) -> Result<Alternative, ExprFault> {
    let mut parts = split(text, "|").into_iter();
    let (at, first) = parts.next().unwrap_or((0, ""));
    let (lead, first) = trimmed(first);
    let at = offset + at + lead;
    let mut pieces = Vec::new();
    for (inner, piece) in split(first, "~") {
        let (lead, piece) = trimmed(piece);
        pieces.push(operand(at + inner + lead, piece)?);
    }
    let operand = if pieces.len() == 1 { pieces.swap_remove(0) } else { Operand::Join(pieces) };
    let functions = parts
        .map(|(inner, name)| {
            let (lead, name) = trimmed(name);
            (offset + inner + lead, name.to_owned())
        })
        .collect();
    Ok(Alternative { operand, functions })
}

/// A constant in single quotes, or a path.
fn operand(offset: usize, text: &str) -> Result<Operand, ExprFault> {
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(literal) => Ok(Operand::Literal(literal.to_owned())),
        None => path(text).ok_or_else(|| ExprFault {
            offset,
            text: text.to_owned(),
            message: format!("`{text}` is not a path"),
        }),
    }
}

/// A path, or one that picks an element of a list: `parameters[name=ip].value`.
fn path(text: &str) -> Option<Operand> {
    let Some((list, key, rest)) = filter(text) else {
        return canonical_path(text).map(Operand::Path);
    };
    let (key, equals) = key.split_once('=')?;
    let equals = equals.strip_prefix('"').and_then(|e| e.strip_suffix('"')).unwrap_or(equals);
    Some(Operand::Pick {
        key: canonical_path(&format!("{list}[].{key}"))?,
        equals: equals.to_owned(),
        value: canonical_path(&format!("{list}[]{rest}"))?,
    })
}

/// The parts of `list[key=word]rest`, if there are such brackets outside quotes.
fn filter(text: &str) -> Option<(&str, &str, &str)> {
    let (mut open, mut quoted) = (None, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' if !quoted => open = Some(at),
            ']' if !quoted => match open {
                Some(start) if at > start + 1 => {
                    return Some((&text[..start], &text[start + 1..at], &text[at + 1..]));
                }
                _ => {}
            },
            _ => {}
        }
    }
    None
}

fn trimmed(text: &str) -> (usize, &str) {
    let start = text.trim_start();
    (text.len() - start.len(), start.trim_end())
}

/// Splits at `separator` outside quotes; gives byte offsets.
fn split<'t>(text: &'t str, separator: &str) -> Vec<(usize, &'t str)> {
    let (mut parts, mut start, mut at, mut quote) = (Vec::new(), 0, 0, None);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, q @ (b'"' | b'\'')) => quote = Some(q),
            (Some(q), b) if q == b => quote = None,
            (None, _) if bytes[at..].starts_with(separator.as_bytes()) => {
                parts.push((start, &text[start..at]));
                at += separator.len();
                start = at;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push((start, &text[start..]));
    parts
}

/// The canonical form of a path, as [`PathTable::text`] writes it; `None` if it is not one.
pub(super) fn canonical_path(text: &str) -> Option<String> {
    path_steps(text).map(|(path, _)| path)
}

/// The canonical form of a path, and its steps: keys, and `None` for the elements of a list.
pub(super) fn path_steps(text: &str) -> Option<(String, Vec<Option<Box<str>>>)> {
    let mut paths = PathTable::default();
    let mut path = crate::scan::PathId::ROOT;
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[]") {
            path = paths.child(path, None);
            rest = after;
        } else {
            if path != crate::scan::PathId::ROOT {
                rest = rest.strip_prefix('.')?;
            }
            let (key, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
            };
            if !rest.starts_with('"') && (key.is_empty() || key.contains([' ', '|', '?', ']', '"', '\''])) {
                return None;
            }
            path = paths.child(path, Some(key));
            rest = after;
        }
    }
    let steps = || paths.steps(path).into_iter().map(|step| step.map(Into::into)).collect();
    (path != crate::scan::PathId::ROOT).then(|| (paths.text(path), steps()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_canonical_form() {
        for (text, expected) in [
            ("a.b[].c", Some("a.b[].c")),
            ("\"a\".b", Some("a.b")),
            ("labels.\"compute.googleapis.com/name\"", Some("labels.\"compute.googleapis.com/name\"")),
            ("a[]", Some("a[]")),
            ("@timestamp", Some("@timestamp")),
            ("a..b", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(canonical_path(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn alternatives_functions_and_literals() {
        let parsed = parse("a.b | ip ?? c | lower | ip ?? 'none'").ok();
        let path = |p: &str| Operand::Path(p.into());
        assert_eq!(
            parsed,
            Some(vec![
                Alternative { operand: path("a.b"), functions: vec![(6, "ip".into())] },
                Alternative { operand: path("c"), functions: vec![(16, "lower".into()), (24, "ip".into())] },
                Alternative { operand: Operand::Literal("none".into()), functions: vec![] },
            ])
        );
        let joined = parse("a ~ 'T' ~ b.c | ip").unwrap();
        let pieces = vec![path("a"), Operand::Literal("T".into()), path("b.c")];
        assert_eq!(joined[0].operand, Operand::Join(pieces));
        assert_eq!(parse("a ~ ").err().map(|f| f.offset), Some(3));
        assert_eq!(parse("a ?? b c").err().map(|f| f.offset), Some(5));
    }

    #[test]
    fn elements_are_picked_by_a_member() {
        let pick = |key: &str, equals: &str, value: &str| {
            Some(Operand::Pick { key: key.into(), equals: equals.into(), value: value.into() })
        };
        for (text, expected) in [
            ("a[].b[name=x].value", pick("a[].b[].name", "x", "a[].b[].value")),
            ("b[name=\"New | \\ [x]\"].v[]", pick("b[].name", "New | \\ [x]", "b[].v[]")),
            ("b[n=x]", pick("b[].n", "x", "b[]")),
            ("b[x].v", None),
            ("b[=x].v", None),
            ("a[].b", Some(Operand::Path("a[].b".into()))),
        ] {
            assert_eq!(path(text), expected, "{text}");
        }
    }
}
