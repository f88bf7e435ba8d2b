//! A YAML document as a tree in which every scalar, key and table knows where it stands.

use std::fmt;

use linchpin_config::{Diagnostic, Located, SourceText, Span, nearest};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

/// A node and its place.
pub(super) type Node = Located<Value>;

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<(Located<String>, Node)>),
}

/// A key of a table: any scalar, as it is written (`null`, `true` and `6` are words there).
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::List(_) | Value::Table(_) => Err(de::Error::custom("a key must be a single word")),
            scalar => Ok(Self(scalar.shown())),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, a list or a table")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
                Ok(Value::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
                Ok(Value::Int(v))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
                i64::try_from(v).map(Value::Int).map_err(|_| E::custom("number out of range"))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
                Ok(Value::Float(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Value, E> {
                Ok(Value::Text(v.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut table = Vec::new();
                while let Some(Located { value: Key(value), span }) = entries.next_key()? {
                    table.push((Located { value, span }, entries.next_value()?));
                }
                Ok(Value::Table(table))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

impl Value {
    /// The value as a person would write it, for messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Float(x) => x.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(_) => "[…]".into(),
            Self::Table(_) => "{…}".into(),
        }
    }
}

/// Collects faults of a file while it is walked.
pub(super) struct Faults<'s> {
    source: &'s SourceText,
    found: Vec<Diagnostic>,
}

impl<'s> Faults<'s> {
    pub(super) fn new(source: &'s SourceText) -> Self {
        Self { source, found: Vec::new() }
    }

    pub(super) fn add(&mut self, span: Span, text: &str, message: impl Into<String>, hint: Option<String>) {
        let fault = self.source.diagnostic(span, text, message, hint);
        // A block that several classes share is walked for each of them.
        if !self.found.contains(&fault) {
            self.found.push(fault);
        }
    }

    /// A fault at byte `offset` of a scalar.
    pub(super) fn inside(
        &mut self,
        at: &Located<String>,
        offset: usize,
        text: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let span = self.source.inside(at.span, &at.value, offset);
        self.add(span, text, message, hint);
    }

    pub(super) fn unknown_key(&mut self, key: &Located<String>, known: &[&str]) {
        let hint = match nearest(&key.value, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        self.add(key.span, &key.value, format!("unknown key `{}`", key.value), Some(hint));
    }

    pub(super) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    /// Forgets the faults after the first so many.
    pub(super) fn truncate(&mut self, faults: usize) {
        self.found.truncate(faults);
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// The members of a table; anything else is a fault.
pub(super) fn table<'n>(
    node: &'n Node,
    what: &str,
    faults: &mut Faults<'_>,
) -> &'n [(Located<String>, Node)] {
    match &node.value {
        Value::Table(members) => members,
        Value::Null => &[],
        other => {
            faults.add(node.span, &other.shown(), format!("{what} must be a table of `key: value`"), None);
            &[]
        }
    }
}

/// The elements of a list; a single scalar counts as a list of one.
pub(super) fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// A text; anything else is a fault.
pub(super) fn text(node: &Node, what: &str, faults: &mut Faults<'_>) -> Located<String> {
    let value = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Int(n) => n.to_string(),
        other => {
            faults.add(node.span, &other.shown(), format!("{what} must be text"), None);
            String::new()
        }
    };
    Located { value, span: node.span }
}

/// A list of texts, or one text.
pub(super) fn texts(node: &Node, what: &str, faults: &mut Faults<'_>) -> Vec<Located<String>> {
    list(node).iter().map(|item| text(item, what, faults)).collect()
}
