//! What events of a source look like: their fields with kinds, and the values that no enumeration of
//! the mapping has. Two inventories compared show how a source has drifted.
//!
//! A [`Normalizer`](crate::Normalizer) that watches fills inventories beside the rows; nothing is
//! dropped or changed by it. A field that was never seen before is always found. Counts are of events,
//! and rough: what an event looks like is taken from others of its structure, and of lines some stand
//! for the others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Most fields of one inventory; further ones are not listed.
const FIELDS_MAX: usize = 10_000;
/// Most keys of one object: with more, its keys are data, and one field stands for all of them.
const KEYS_MAX: usize = 64;
/// Most values of one enumeration: with more, it is none.
const VALUES_MAX: usize = 200;
/// The key or value that stands for any.
const ANY: &str = "*";

/// What events of one source look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Events looked at.
    pub events: u64,
    /// Fields by path, each with its kinds (`text`, `number`, `boolean`).
    pub fields: BTreeMap<String, BTreeMap<String, Seen>>,
    /// By OCSF attribute: values for which the mapping has no word, so that they became Other or
    /// Unknown.
    pub values: BTreeMap<String, BTreeMap<String, Seen>>,
}

/// How often something was seen, and how it looked first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Events.
    pub events: u64,
    /// The first value, cut.
    pub example: String,
}

/// What has changed since a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A field that the baseline does not have.
    Field,
    /// A field of another kind than before.
    Type,
    /// A value that no enumeration has.
    Value,
}

/// One change since a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of change it is.
    pub what: What,
    /// Path of the field, or the OCSF attribute of the value.
    pub path: String,
    /// The field's kind, or the value.
    pub is: String,
    /// The kinds that the baseline has, of a field of another kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<String>,
    /// How often, and the first example.
    #[serde(flatten)]
    pub seen: Seen,
}

impl Inventory {
    /// What of this a mapping itself knows: the fields that its rules name, of any kind.
    #[must_use]
    pub fn known_to(&self, plan: &Plan) -> Self {
        let known = self.fields.keys().filter(|path| plan.knows(path));
        let fields = known.map(|path| (path.clone(), BTreeMap::new())).collect();
        Self { fields, ..Self::default() }
    }

    /// Adds what another inventory of the same source has.
    pub fn merge(&mut self, other: Self) {
        self.events += other.events;
        let mut grown = BTreeSet::new();
        for (path, kinds) in other.fields {
            let path = self.open(&path).unwrap_or(path);
            if self.fields.len() >= FIELDS_MAX && !self.fields.contains_key(&path) {
                continue;
            }
            if !self.fields.contains_key(&path) {
                grown.extend(parent(&path).map(str::to_owned));
            }
            let known = self.fields.entry(path).or_default();
            for (kind, seen) in kinds {
                known.entry(kind).or_default().add(seen);
            }
        }
        for parent in &grown {
            self.fold(parent);
        }
        for (attribute, values) in other.values {
            let known = self.values.entry(attribute).or_default();
            for (value, seen) in values {
                let value = if known.contains_key(ANY) { ANY.to_owned() } else { value };
                known.entry(value).or_default().add(seen);
            }
            if known.len() > VALUES_MAX {
                let mut any = Seen::default();
                for seen in std::mem::take(known).into_values() {
                    any.add(seen);
                }
                known.insert(ANY.to_owned(), any);
            }
        }
    }

    /// Adds what a change says was seen.
    pub(crate) fn take(&mut self, change: Change) {
        let known = match change.what {
            What::Field | What::Type => &mut self.fields,
            What::Value => &mut self.values,
        };
        known.entry(change.path).or_default().entry(change.is).or_default().add(change.seen);
    }

    /// What this has and a baseline of the same source has not.
    pub fn changes(&self, baseline: &Self) -> Vec<Change> {
        let mut found = Vec::new();
        for (path, kinds) in &self.fields {
            let known =
                baseline.open(path).map_or(baseline.fields.get(path), |open| baseline.fields.get(&open));
            for (is, seen) in kinds {
                let what = match known {
                    None => What::Field,
                    Some(known) if !known.is_empty() && !known.contains_key(is) => What::Type,
                    Some(_) => continue,
                };
                let was = known.into_iter().flat_map(|known| known.keys().cloned()).collect();
                found.push(Change { what, path: path.clone(), is: is.clone(), was, seen: seen.clone() });
            }
        }
        for (path, values) in &self.values {
            let known = baseline.values.get(path);
            let new = |value: &&String| known.is_none_or(|k| !k.contains_key(*value) && !k.contains_key(ANY));
            for is in values.keys().filter(new) {
                let seen = values[is].clone();
                found.push(Change {
                    what: What::Value,
                    path: path.clone(),
                    is: is.clone(),
                    was: Vec::new(),
                    seen,
                });
            }
        }
        found
    }

    /// The field that stands for any key of an object around a path, if its keys are data.
    fn open(&self, path: &str) -> Option<String> {
        let mut above = parent(path);
        while let Some(object) = above {
            let any = format!("{object}.{ANY}");
            if self.fields.contains_key(&any) {
                return Some(any);
            }
            above = parent(object);
        }
        None
    }

    /// Makes one field of the keys of an object, if they are too many to be names.
    fn fold(&mut self, object: &str) {
        let prefix = format!("{object}.");
        let below = || self.fields.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let keys: BTreeSet<&str> = below().map(|(path, _)| first_step(&path[prefix.len()..])).collect();
        if keys.len() <= KEYS_MAX {
            return;
        }
        let paths: Vec<String> = below().map(|(path, _)| path.clone()).collect();
        let mut any: BTreeMap<String, Seen> = BTreeMap::new();
        for kinds in paths.iter().filter_map(|path| self.fields.remove(path)) {
            for (kind, seen) in kinds {
                any.entry(kind).or_default().add(seen);
            }
        }
        self.fields.insert(format!("{prefix}{ANY}"), any);
    }
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        if self.example.is_empty() {
            self.example = other.example;
        }
    }
}

/// The object or list that a path is in; nothing for the fields of the event itself.
fn parent(path: &str) -> Option<&str> {
    if let Some(list) = path.strip_suffix("[]") {
        return Some(list);
    }
    let mut quoted = false;
    let dot = path.char_indices().filter(|(_, c)| {
        quoted ^= *c == '"';
        *c == '.' && !quoted
    });
    dot.last().map(|(at, _)| &path[..at])
}

/// A path up to its first separator outside quotes.
fn first_step(path: &str) -> &str {
    let mut quoted = false;
    let end = path.find(|c| {
        quoted ^= c == '"';
        !quoted && matches!(c, '.' | '[')
    });
    &path[..end.unwrap_or(path.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(fields: &[(&str, &str)], values: &[(&str, &str)]) -> Inventory {
        let mut out = Inventory { events: 1, ..Inventory::default() };
        let seen = |example: &str| Seen { events: 1, example: example.to_owned() };
        for (path, kind) in fields {
            out.fields.entry((*path).to_owned()).or_default().insert((*kind).to_owned(), seen("x"));
        }
        for (path, value) in values {
            out.values.entry((*path).to_owned()).or_default().insert((*value).to_owned(), seen(value));
        }
        out
    }

    fn told(now: &Inventory, baseline: &Inventory) -> Vec<String> {
        now.changes(baseline)
            .iter()
            .map(|c| format!("{:?} {} {} {:?}", c.what, c.path, c.is, c.was))
            .collect()
    }

    #[test]
    fn changes_are_what_the_baseline_lacks() {
        let baseline = inventory(&[("a", "text"), ("b.c", "number")], &[("status", "Odd")]);
        let now = inventory(
            &[("a", "text"), ("a", "number"), ("b.d[]", "text")],
            &[("status", "Odd"), ("status", "New"), ("severity", "Purple")],
        );
        let changes = [
            "Type a number [\"text\"]",
            "Field b.d[] text []",
            "Value severity Purple []",
            "Value status New []",
        ];
        assert_eq!(told(&now, &baseline), changes);
        assert_eq!(told(&baseline, &baseline), [""; 0]);
        let mut learned = baseline;
        learned.merge(now.clone());
        assert_eq!((told(&now, &learned).len(), learned.events), (0, 2));
        assert_eq!(learned.fields["a"]["text"].events, 2);
    }

    #[test]
    fn keys_that_are_data_are_one_field() {
        let mut baseline = inventory(&[("labels.\"a.b\"", "text"), ("id", "text")], &[]);
        for n in 0..100 {
            baseline.merge(inventory(&[(&format!("labels.k{n}"), "text")], &[]));
        }
        assert_eq!(baseline.fields.keys().collect::<Vec<_>>(), ["id", "labels.*"]);
        assert_eq!(baseline.fields["labels.*"]["text"].events, 101);
        let now = inventory(&[("labels.\"x.y\".z", "text"), ("labels.w", "number"), ("label", "text")], &[]);
        assert_eq!(told(&now, &baseline), ["Field label text []", "Type labels.w number [\"text\"]"]);
    }

    #[test]
    fn a_value_of_many_is_no_enumeration() {
        let mut baseline = Inventory::default();
        for n in 0..=VALUES_MAX {
            baseline.merge(inventory(&[], &[("activity", &format!("v{n}"))]));
        }
        assert_eq!(baseline.values["activity"].keys().collect::<Vec<_>>(), [ANY]);
        assert_eq!(told(&inventory(&[], &[("activity", "new")]), &baseline), [""; 0]);
    }

    #[test]
    fn paths_have_parents() {
        for (path, expected) in [
            ("a", None),
            ("a.b[]", Some("a.b")),
            ("a.\"b.c\"", Some("a")),
            ("a[].b", Some("a[]")),
            ("\"a.b\"", None),
        ] {
            assert_eq!(parent(path), expected, "{path}");
        }
    }
}
