//! Samples of a mapping: what each becomes, and what is wrong with that.
//!
//! `tests/NAME.log` in a mapping's folder is a sample as it is delivered, `tests/NAME.expected.json`
//! what it becomes. The tests of this build, `linchpin sources --check` and a service that is about
//! to take a changed mapping all ask [`run`]: every document is validated against the OCSF schema,
//! the linchpin columns are compared with it, and the mapping must have recognised something as its
//! own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use serde_json::{Value, json};

use crate::batch::Normalized;
use crate::columns::{COLUMNS, Column, ColumnType};
use crate::schema::{Requirement, schema, validate};
use crate::unit::UNIT_BYTES_MAX;
use crate::{Carry, Coverage, Delivered, Normalizer, RawUnit, ReplayUnit, UnitId};

/// When samples count as delivered, epoch milliseconds.
const RECEIVED_MS: i64 = 1_700_000_000_000;

/// What became of one sample.
#[derive(Debug, Default)]
pub struct Sample {
    /// Source that the object as a whole was recognised as, or `unknown`.
    pub source: Arc<str>,
    /// Events found.
    pub events: u64,
    /// Documents, one a row.
    pub documents: Vec<Value>,
    /// What was rejected, as expectations keep it.
    pub rejects: Vec<Value>,
    /// Documents that break the OCSF schema.
    pub invalid: u64,
    /// What is wrong, for a person.
    pub faults: Vec<String>,
    /// How much of the events the documents say.
    pub covered: Covered,
}

/// How much of its events the documents of a sample say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// Values of the events, once for each row that they concern.
    pub fields: u64,
    /// Paths that no rule took, with how often.
    pub unmapped: BTreeMap<String, u64>,
    /// Attributes that the documents' classes recommend, and how many of those are there.
    pub recommended: u64,
    /// See `recommended`.
    pub filled: u64,
    /// Recommended attributes that no document of the class has, as `class.attribute`.
    pub lacking: BTreeSet<String>,
    /// Those that some document has.
    given: BTreeSet<String>,
}

impl Covered {
    /// Values that some rule took.
    pub fn consumed(&self) -> u64 {
        self.fields - self.unmapped.values().sum::<u64>()
    }

    fn add(&mut self, document: &Value, coverage: Coverage) {
        self.fields += coverage.fields;
        for path in coverage.unmapped {
            *self.unmapped.entry(path).or_default() += 1;
        }
        let uid =
            document["class_uid"].as_u64().and_then(|uid| u32::try_from(uid).ok()).filter(|uid| *uid > 0);
        let Some(class) = uid.and_then(|uid| schema().class_by_uid(uid)) else { return };
        let profiles = document["metadata"]["profiles"].as_array();
        let listed = |name: &str| profiles.into_iter().flatten().any(|profile| profile == name);
        let wanted = class.attributes.iter().filter(|a| {
            a.requirement == Requirement::Recommended && !a.deprecated && a.profile.is_none_or(listed)
        });
        for attribute in wanted {
            let name = format!("{}.{}", class.name, attribute.name);
            self.recommended += 1;
            if document.get(attribute.name).is_some() {
                self.filled += 1;
                self.lacking.remove(&name);
                self.given.insert(name);
            } else if !self.given.contains(&name) {
                self.lacking.insert(name);
            }
        }
    }
}

impl Sample {
    /// What `NAME.expected.json` holds.
    pub fn expectation(&self) -> Value {
        json!({ "source": self.source.as_ref(), "rejects": self.rejects, "events": self.documents })
    }
}

/// Normalises a sample of the source `of`. `name` is `folder/file`, by which its events get their ids.
pub fn run(normalizer: &mut Normalizer, name: &str, bytes: Vec<u8>, of: Option<&Arc<str>>) -> Sample {
    let mut done = Sample::default();
    if bytes.len() > UNIT_BYTES_MAX {
        done.faults.push(format!("the sample has {} bytes, the limit is {UNIT_BYTES_MAX}", bytes.len()));
        return done;
    }
    let mut unit = RawUnit {
        id: UnitId { object: name.into(), start: 0, end: bytes.len() as u64 },
        feed: "samples".into(),
        key: name.into(),
        source: None,
        bytes: bytes.into(),
        carry: Carry::default(),
        received_ms: RECEIVED_MS,
        delivered: Delivered::default(),
        gaps: Vec::new(),
    };
    // A mapping that nothing recognises is set by its feed.
    if normalizer.begin(&unit).source().is_none() {
        unit.source = of.map(Arc::clone);
    }
    let mut pass = normalizer.begin(&unit);
    let facts = normalizer.facts(&pass);
    done.source = Arc::clone(&facts.source);
    let mut met = of.is_none_or(|of| facts.source == *of);
    let replay = ReplayUnit {
        key: unit.id.key(),
        source: &facts.source,
        context: &facts.context,
        received_ms: unit.received_ms,
    };
    while let Some(normalized) = normalizer.batch(&unit, &mut pass) {
        // An envelope has a source of its own; what it carries is of this one.
        met |= of.is_some_and(|of| has_row_of(&normalized.batch.rows, of));
        done.batch(normalizer, &unit, &replay, &normalized);
    }
    if let Some(of) = of.filter(|_| !met) {
        done.faults.push(format!("recognised as `{}`, not as `{of}`", facts.source));
    }
    done
}

impl Sample {
    fn batch(
        &mut self,
        normalizer: &mut Normalizer,
        unit: &RawUnit,
        replay: &ReplayUnit<'_>,
        normalized: &Normalized,
    ) {
        for reject in &normalized.rejects {
            let field = reject.field.as_deref();
            self.rejects.push(
                json!({ "offset": reject.offset, "at": reject.at, "field": field, "reason": reject.reason }),
            );
        }
        let rows = &normalized.batch.rows;
        let mut row = 0;
        for event in &normalized.batch.events {
            self.events += 1;
            let bytes = &unit.bytes[event.start as usize..event.end as usize];
            for (document, coverage) in normalizer.examine(replay, event.start, bytes) {
                let violations = validate(&document);
                self.invalid += u64::from(!violations.is_empty());
                let number = self.events;
                self.faults
                    .extend(violations.iter().map(|v| format!("event {number}: {} at {}", v.kind, v.path)));
                if row < rows.num_rows() {
                    let found = disagreements(rows, row, &document);
                    self.faults.extend(found.into_iter().map(|fault| format!("event {number}: {fault}")));
                }
                self.covered.add(&document, coverage);
                self.documents.push(document);
                row += 1;
            }
        }
        if row != rows.num_rows() {
            self.faults.push(format!("{} rows, but {row} documents", rows.num_rows()));
        }
    }
}

/// Whether a row is of that source.
fn has_row_of(rows: &RecordBatch, source: &str) -> bool {
    let column = rows.column_by_name("source").and_then(|column| column.as_string_opt::<i32>());
    column.is_some_and(|column| column.iter().flatten().any(|name| name == source))
}

/// Columns whose value differs from the document's.
fn disagreements(rows: &RecordBatch, row: usize, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let event_id = cell(rows, row, 0, &COLUMNS[0]);
    for (index, column) in COLUMNS.iter().enumerate() {
        let path = match column.name {
            "class_uid" | "type_uid" => column.name,
            _ => column.path,
        };
        if path.is_empty() {
            continue;
        }
        let Some(expected) = at(document, path) else { continue };
        let cell = cell(rows, row, index, column);
        // A direction that nobody knows is absent in the table, and so is a name that repeats the
        // event's own.
        let named = column.name == "metadata_uid" && *expected == event_id;
        if &cell != expected && !(cell.is_null() && (expected == "Unknown" || named)) {
            found.push(format!("column {} is {cell}, the document has {expected}", column.name));
        }
    }
    found
}

/// The value at a path of a document; of a list, the first element's.
fn at<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    path.split('.').try_fold(document, |value, step| match step.strip_suffix("[]") {
        Some(name) => value.get(name)?.get(0),
        None => value.get(step),
    })
}

fn cell(rows: &RecordBatch, row: usize, index: usize, column: &Column) -> Value {
    let values = rows.column(index);
    if values.is_null(row) {
        return Value::Null;
    }
    match column.ty {
        ColumnType::Text => json!(values.as_string::<i32>().value(row)),
        ColumnType::Int => json!(values.as_primitive::<Int32Type>().value(row)),
        ColumnType::Long => json!(values.as_primitive::<Int64Type>().value(row)),
        ColumnType::Bool => json!(values.as_boolean().value(row)),
        ColumnType::Time => {
            json!(values.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1000))
        }
    }
}

#[cfg(test)]
mod tests;
