//! A JSON tree that is filled path by path; elements of arrays are found again by a key.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::eval::{Place, View};
use crate::plan::Segment;
use crate::scan::{Kind, Leaf};
use crate::value::Val;

/// A tree under construction.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Value,
    /// For each (array, element key), its index.
    index: FxHashMap<(String, u32), usize>,
}

impl Tree {
    /// Puts `value` at a target path; `elements` are the keys of the array elements on the way,
    /// the outermost first; missing ones are key 0.
    pub(super) fn put(&mut self, segments: &[Segment], elements: &[u32], value: Value) {
        let arrays = segments.iter().filter(|s| s.array).count();
        // The innermost element belongs to the innermost array.
        let mut keys = elements[elements.len().saturating_sub(arrays)..].iter().copied();
        let mut missing = arrays.saturating_sub(elements.len());
        let mut place = String::new();
        let mut at = &mut self.root;
        for segment in segments {
            place.push('.');
            place.push_str(segment.name);
            at = member(at, segment.name);
            if segment.array {
                let key = if missing > 0 {
                    missing -= 1;
                    0
                } else {
                    keys.next().unwrap_or(0)
                };
                at = item(at, &mut self.index, &place, key);
                place.push_str(&key.to_string());
            }
        }
        *at = value;
    }

    /// Puts a leaf of the event at its own path, without the first `skip` steps.
    pub(super) fn leaf(&mut self, view: &View<'_>, leaf: &Leaf, skip: usize) {
        let steps = view.paths.steps(leaf.path);
        let mut chain = Vec::new();
        let mut element = leaf.element;
        while element != 0 {
            chain.push(element);
            element = view.scanned.elements[element as usize];
        }
        let mut place = String::new();
        let mut at = &mut self.root;
        for (n, step) in steps.iter().enumerate() {
            let key = if step.is_none() { chain.pop().unwrap_or(0) } else { 0 };
            if n < skip {
                continue;
            }
            at = if let Some(name) = step {
                place.push('.');
                place.push_str(name);
                member(at, name)
            } else {
                let at = item(at, &mut self.index, &place, key);
                place.push('#');
                place.push_str(&key.to_string());
                at
            };
        }
        match at {
            // An element of XML has text beside its attributes.
            Value::Object(members) if !members.is_empty() => {
                members.insert("value".to_owned(), leaf_json(view, leaf));
            }
            place => *place = leaf_json(view, leaf),
        }
    }

    pub(super) fn into_value(self) -> Value {
        self.root
    }

    pub(super) fn into_object(self) -> Map<String, Value> {
        match self.root {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        }
    }
}

/// The member of an object; what stands there instead of an object is replaced.
fn member<'t>(at: &'t mut Value, name: &str) -> &'t mut Value {
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    match at {
        Value::Object(map) => map.entry(name.to_owned()).or_insert(Value::Null),
        other => other,
    }
}

fn item<'t>(
    at: &'t mut Value,
    index: &mut FxHashMap<(String, u32), usize>,
    place: &str,
    key: u32,
) -> &'t mut Value {
    if !at.is_array() {
        *at = Value::Array(Vec::new());
    }
    match at {
        Value::Array(items) => {
            let n = *index.entry((place.to_owned(), key)).or_insert(items.len());
            while items.len() <= n {
                items.push(Value::Null);
            }
            &mut items[n]
        }
        other => other,
    }
}

fn leaf_json(view: &View<'_>, leaf: &Leaf) -> Value {
    match leaf.kind {
        Kind::EmptyObject => Value::Object(Map::new()),
        Kind::EmptyArray => Value::Array(Vec::new()),
        Kind::Null => Value::Null,
        _ => match Place::from(leaf).value(view.text) {
            Some(Val::Number(text)) => number(text),
            Some(Val::Bool(b)) => Value::Bool(b),
            Some(other) => Value::String(other.into_text().into_owned()),
            None => Value::String(String::new()),
        },
    }
}

/// A number as JSON; digits that neither `i64`, `u64` nor `f64` hold exactly stay as text.
pub(super) fn number(text: &str) -> Value {
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    if let Ok(n) = text.parse::<u64>() {
        return n.into();
    }
    let significant = text.trim_start_matches(['-', '0', '.']);
    let digits = significant.bytes().filter(u8::is_ascii_digit).count();
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && digits <= 17 => x.into(),
        _ => Value::String(text.to_owned()),
    }
}
