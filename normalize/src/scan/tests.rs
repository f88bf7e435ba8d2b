//! The scanner against `serde_json`: the same values at the same places, and no other structure.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::*;

type Steps = Vec<Option<String>>;

/// Keys that are easy to get wrong, and plain ones that repeat.
fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]",
        1 => prop::sample::select(vec!["", "a.b", "x y", "[0]", "\"q\"", "é", "\n", "Records", "\\"]).prop_map(String::from),
    ]
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        "[ -~]{0,80}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["\\", "\"", "a\\\"b", "\u{1}\u{8}\u{c}", "𝄞\u{10FFFF}", "{\"a\":1}"])
            .prop_map(Value::from),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((keys(), inner), 0..5)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// A way to write JSON: white space after every token, and whether to escape all but ASCII.
#[derive(Debug, Clone)]
struct Style {
    space: &'static str,
    escape: bool,
}

fn styles() -> impl Strategy<Value = Style> {
    (prop::sample::select(vec!["", " ", "\n", "\t", "\r\n  "]), any::<bool>())
        .prop_map(|(space, escape)| Style { space, escape })
}

fn write_text(text: &str, style: &Style, out: &mut String) {
    if !style.escape {
        return out.push_str(&Value::from(text).to_string());
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '/' => out.push_str("\\/"),
            ' '..='~' if !"\"\\".contains(c) => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(out, "\\u{unit:04X}").unwrap()),
        }
    }
    out.push('"');
}

fn write_json(value: &Value, style: &Style, out: &mut String) {
    match value {
        Value::String(text) => write_text(text, style, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                out.push_str(style.space);
                write_json(item, style, out);
            }
            out.push_str(style.space);
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (n, (key, item)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                out.push_str(style.space);
                write_text(key, style, out);
                out.push(':');
                out.push_str(style.space);
                write_json(item, style, out);
            }
            out.push_str(style.space);
            out.push('}');
        }
        scalar => write!(out, "{scalar}").unwrap(),
    }
}

fn written(value: &Value, style: &Style) -> String {
    let mut out = String::new();
    write_json(value, style, &mut out);
    out
}

/// What a tree says that its leaves are: path, kind, text, array element; and each element's parent.
#[derive(Debug, Default, PartialEq)]
struct Leaves {
    leaves: Vec<(Steps, Kind, String, u32)>,
    elements: Vec<u32>,
}

impl Leaves {
    fn of(value: &Value) -> Self {
        let mut out = Self { leaves: Vec::new(), elements: vec![0] };
        out.add(value, &mut Vec::new(), 0);
        out
    }

    fn add(&mut self, value: &Value, path: &mut Steps, element: u32) {
        let (kind, text) = match value {
            Value::Null => (Kind::Null, "null".into()),
            Value::Bool(true) => (Kind::True, "true".into()),
            Value::Bool(false) => (Kind::False, "false".into()),
            Value::Number(n) => (Kind::Number, n.to_string()),
            Value::String(text) => (Kind::Text, text.clone()),
            Value::Array(items) if items.is_empty() => (Kind::EmptyArray, String::new()),
            Value::Object(members) if members.is_empty() => (Kind::EmptyObject, String::new()),
            Value::Array(items) => {
                path.push(None);
                for item in items {
                    self.elements.push(element);
                    self.add(item, path, self.elements.len() as u32 - 1);
                }
                path.pop();
                return;
            }
            Value::Object(members) => {
                for (key, item) in members {
                    path.push(Some(key.clone()));
                    self.add(item, path, element);
                    path.pop();
                }
                return;
            }
        };
        self.leaves.push((path.clone(), kind, text, element));
    }

    fn scanned(text: &str, scanner: &Scanner, out: &Scanned) -> Self {
        let leaf = |leaf: &Leaf| {
            let span = &text[leaf.start as usize..leaf.end as usize];
            let (kind, shown) = match leaf.kind {
                Kind::Text | Kind::Escaped => (Kind::Text, unescape(span)),
                kind @ (Kind::EmptyArray | Kind::EmptyObject) => (kind, String::new()),
                kind => (kind, span.to_owned()),
            };
            let steps = scanner.paths.steps(leaf.path).iter().map(|s| s.map(str::to_owned)).collect();
            (steps, kind, shown, leaf.element)
        };
        Self { leaves: out.leaves.iter().map(leaf).collect(), elements: out.elements.clone() }
    }
}

/// The same structure with other values.
fn revalued(value: &Value) -> Value {
    match value {
        Value::String(text) => format!("{text}\\\"'{text}").into(),
        Value::Array(items) => items.iter().map(revalued).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(k, v)| (k.clone(), revalued(v))).collect())
        }
        Value::Null => true.into(),
        Value::Bool(_) => (-1.5e-7).into(),
        Value::Number(_) => Value::Null,
    }
}

/// What is left of a value when all of its texts, and all of its other scalars, are the same.
fn skeleton(value: &Value) -> Value {
    match value {
        Value::String(_) => "".into(),
        Value::Array(items) => items.iter().map(skeleton).collect(),
        Value::Object(members) => {
            members.iter().map(|(k, v)| json!([k, skeleton(v)])).chain([json!({})]).collect()
        }
        _ => 0.into(),
    }
}

proptest! {
    #[test]
    fn leaves_are_those_of_the_tree(events in prop::collection::vec((values(), styles()), 1..6)) {
        let (mut scanner, mut out) = (Scanner::default(), Scanned::default());
        // Twice: what the general reader has read, the templates read the second time.
        for (value, style) in events.iter().chain(&events) {
            let text = written(value, style);
            let tail = format!("{text} , \"tail");
            scanner.json(tail.as_bytes(), &mut out).unwrap();
            prop_assert_eq!(out.len as usize, text.len());
            prop_assert!(!out.duplicate_keys);
            prop_assert_eq!(Leaves::scanned(&text, &scanner, &out), Leaves::of(value));
        }
    }

    #[test]
    fn a_template_is_a_structure(value in values(), other in values(), style in styles()) {
        let (mut scanner, mut out) = (Scanner::default(), Scanned::default());
        let mut template = |value: &Value| {
            let text = written(value, &style);
            scanner.json(text.as_bytes(), &mut out).unwrap();
            assert_eq!(Leaves::scanned(&text, &scanner, &out), Leaves::of(value));
            out.template.unwrap()
        };
        let first = template(&value);
        let second = template(&other);
        prop_assert_eq!(template(&value), first);
        prop_assert_eq!(template(&revalued(&value)), first);
        prop_assert_eq!(template(&other), second);
        // A member more, and another level, are other structures.
        prop_assert_ne!(template(&json!({ "v": value.clone() })), first);
        prop_assert_ne!(template(&json!([value.clone(), 1])), first);
        prop_assert_eq!(first == second, skeleton(&value) == skeleton(&other));
    }

    #[test]
    fn damage_is_never_read_as_structure(
        value in values(),
        style in styles(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
        known in any::<bool>(),
    ) {
        let mut bytes = written(&value, &style).into_bytes();
        let (mut scanner, mut out) = (Scanner::default(), Scanned::default());
        if known {
            scanner.json(&bytes, &mut out).unwrap();
        }
        for (at, byte, kind) in damage {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] = b"{}[]\",:\\0-e.tn"[usize::from(byte) % 14],
                2 => bytes.insert(at, b"{}[]\",:\\0-e.tn"[usize::from(byte) % 14]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        agrees(&mut scanner, &mut out, &bytes);
        // The same bytes by whatever templates they left behind.
        agrees(&mut scanner, &mut out, &bytes);
    }
}

/// The scanner and `serde_json` accept and refuse the same bytes, apart from what is in strings.
fn agrees(scanner: &mut Scanner, out: &mut Scanned, bytes: &[u8]) {
    match scanner.json(bytes, out) {
        Ok(()) => {
            let read = plain_strings(&String::from_utf8_lossy(&bytes[..out.len as usize]));
            serde_json::from_str::<IgnoredAny>(&read).unwrap_or_else(|e| panic!("accepted `{read}`: {e}"));
            for leaf in &out.leaves {
                assert!(leaf.start <= leaf.end && leaf.end <= out.len);
                assert!(
                    scanner.paths.len() > leaf.path.0 as usize && out.elements.len() > leaf.element as usize
                );
            }
        }
        Err(error) => {
            assert!(error.at as usize <= bytes.len());
            assert!(
                serde_json::from_slice::<IgnoredAny>(bytes).is_err(),
                "refused `{}`: {error:?}",
                bytes.escape_ascii()
            );
        }
    }
}

/// The text with strings that hold nothing but `x`, as long as before.
fn plain_strings(text: &str) -> String {
    let (mut out, mut inside, mut skip) = (String::new(), false, false);
    for c in text.chars() {
        let quote = c == '"' && !skip;
        out.push(if inside && !quote { 'x' } else { c });
        skip = inside && c == '\\' && !skip;
        inside ^= quote;
    }
    out
}

fn scan(text: &str) -> Result<Scanned, ScanError> {
    let mut out = Scanned::default();
    Scanner::default().json(text.as_bytes(), &mut out).map(|()| out)
}

#[test]
fn what_is_refused_is_refused_for_the_right_reason() {
    for (text, at, what, truncated) in [
        ("", 0, "expected a value", true),
        ("{", 1, "expected a key", true),
        ("{\"a", 3, "key without an end", true),
        ("{\"a\"}", 4, "expected `:`", false),
        ("{\"a\":", 5, "expected a value", true),
        ("{\"a\":nul", 5, "expected a value", true),
        ("{\"a\":-", 5, "expected a value", true),
        ("{\"a\":nix", 5, "expected a value", false),
        ("{\"a\":\"b", 7, "string without an end", true),
        ("{\"a\":\"b\\\"", 9, "string without an end", true),
        ("{\"a\":1", 6, "expected `,` or a closing bracket", true),
        ("{\"a\":1]", 6, "expected `,` or a closing bracket", false),
        ("{\"a\":1,}", 7, "expected a key", false),
        ("[1,]", 3, "expected a value", false),
        ("[01]", 2, "expected `,` or a closing bracket", false),
        ("[-]", 1, "expected a value", false),
        ("[1.]", 1, "expected a value", false),
        ("[1e]", 1, "expected a value", false),
        ("[+1]", 1, "expected a value", false),
        ("[NaN]", 1, "expected a value", false),
        ("[truth]", 1, "expected a value", false),
    ] {
        assert_eq!(scan(text).map(|_| ()), Err(ScanError { at, what, truncated }), "{text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(scan(&nested(DEPTH_MAX)).map(|s| s.leaves.len()), Ok(1));
    let refused = scan(&nested(DEPTH_MAX + 1)).map(|_| ());
    assert_eq!(refused, Err(ScanError { at: 128, what: "nested deeper than 128", truncated: false }));
    assert!(scan(&"[{\"a\":".repeat(100_000)).is_err());
}

#[test]
fn a_key_that_occurs_twice_is_told() {
    let (mut scanner, mut out) = (Scanner::default(), Scanned::default());
    for (text, twice) in [
        (r#"{"a":1,"a":2}"#, true),
        (r#"{"a":{"x":1},"a":{"y":2}}"#, true),
        (r#"{"a":[1],"a":[2]}"#, true),
        (r#"{"a":{},"a":1}"#, true),
        (r#"{"a":1,"\u0061":2}"#, true),
        (r#"[{"b":{"a":1}},{"b":{"a":1}}]"#, false),
        (r#"{"a":{"a":1}}"#, false),
    ] {
        for _ in 0..2 {
            scanner.json(text.as_bytes(), &mut out).unwrap();
            assert_eq!(out.duplicate_keys, twice, "{text}");
        }
    }
}

#[test]
fn escapes_that_are_broken_stay_as_written() {
    for (text, expected) in [
        (r"a\q", r"a\q"),
        (r"\u12", r"\u12"),
        (r"\uD834\uDD1E", "𝄞"),
        (r"\uD834x", "\u{FFFD}x"),
        (r"\uDD1E", "\u{FFFD}"),
        (r"\uD834\u0041", "\u{FFFD}A"),
        ("tail\\", "tail\\"),
    ] {
        assert_eq!(unescape(text), expected, "{text}");
    }
}

#[test]
fn words_are_fields_in_order() {
    let (mut scanner, mut out) = (Scanner::default(), Scanned::default());
    let fields = [scanner.paths.field("a"), scanner.paths.field("b")];
    let line = b"  one - \ttwo three";
    scanner.words(line, &fields, b"-", &mut out);
    let shown: Vec<_> = out
        .leaves
        .iter()
        .map(|l| (scanner.paths.text(l.path), &line[l.start as usize..l.end as usize], l.kind, l.element))
        .collect();
    assert_eq!(
        shown,
        [
            ("a".into(), &b"one"[..], Kind::Text, 0),
            ("b".into(), &b"-"[..], Kind::Null, 0),
            ("extra[]".into(), &b"two"[..], Kind::Text, 1),
            ("extra[]".into(), &b"three"[..], Kind::Text, 2),
        ]
    );
}

#[test]
fn structures_beyond_the_limits_are_still_read() {
    let wide: Value = (0..2000).map(Value::from).collect();
    let (mut scanner, mut out) = (Scanner::default(), Scanned::default());
    for _ in 0..2 {
        scanner.json(wide.to_string().as_bytes(), &mut out).unwrap();
        assert_eq!((out.leaves.len(), out.elements.len()), (2000, 2001));
    }
    // Data used as keys: the path table stops growing, the values are found all the same.
    let mut text = String::from("{");
    for n in 0..paths::PATHS_MAX + 10 {
        write!(text, "{}\"{n}\":{n}", if n > 0 { "," } else { "" }).unwrap();
    }
    text.push('}');
    scanner.json(text.as_bytes(), &mut out).unwrap();
    assert_eq!(out.leaves.len(), paths::PATHS_MAX + 10);
    assert_eq!((scanner.paths.len(), out.leaves.last().unwrap().path), (paths::PATHS_MAX, PathId::OVERFLOW));
    assert!(!out.duplicate_keys);
}
