//! Samples of every source beside what they must become: `sources/*/tests/NAME.log` gives
//! `NAME.expected.json`. `UPDATE_GOLDENS=1` writes them anew. Every document is validated against
//! the OCSF schema, and the columns must agree with the document.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read and write expectations")]

use std::{fs, path::Path, sync::Arc};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use serde_json::{Value, json};

use crate::columns::COLUMNS;
use crate::{Carry, Catalog, Delivered, Normalizer, RawUnit, ReplayUnit, UnitId, schema};

fn unit(name: &str, bytes: Vec<u8>) -> RawUnit {
    RawUnit {
        id: UnitId { object: name.into(), start: 0, end: bytes.len() as u64 },
        feed: "goldens".into(),
        key: name.into(),
        source: None,
        bytes: bytes.into(),
        carry: Carry::default(),
        received_ms: 1_700_000_000_000,
        delivered: Delivered::default(),
        gaps: Vec::new(),
    }
}

/// What a sample becomes: source, rejects, documents; and what is wrong with them.
fn outcome(normalizer: &mut Normalizer, name: &str, bytes: Vec<u8>) -> (Value, Vec<String>) {
    let unit = unit(name, bytes);
    let mut pass = normalizer.begin(&unit);
    let facts = normalizer.facts(&pass);
    let key = unit.id.key();
    let replay =
        ReplayUnit { key, source: &facts.source, context: &facts.context, received_ms: unit.received_ms };
    let (mut rejects, mut events, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(normalized) = normalizer.batch(&unit, &mut pass) {
        for reject in &normalized.rejects {
            rejects.push(json!({ "offset": reject.offset, "at": reject.at, "field": reject.field.as_deref(), "reason": reject.reason }));
        }
        let mut row = 0;
        for event in &normalized.batch.events {
            let bytes = &unit.bytes[event.start as usize..event.end as usize];
            for document in normalizer.render(&replay, event.start, bytes) {
                for violation in schema::validate(&document) {
                    faults.push(format!(
                        "{name}: event {}: {} at {}",
                        events.len(),
                        violation.kind,
                        violation.path
                    ));
                }
                faults.extend(
                    disagreements(&normalized.batch.rows, row, &document)
                        .into_iter()
                        .map(|f| format!("{name}: {f}")),
                );
                events.push(document);
                row += 1;
            }
        }
        assert_eq!(row, normalized.batch.rows.num_rows(), "{name}: documents and rows");
    }
    (json!({ "source": facts.source.as_ref(), "rejects": rejects, "events": events }), faults)
}

/// Columns whose value differs from the document's.
fn disagreements(rows: &arrow::array::RecordBatch, row: usize, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (column, spec) in rows.columns().iter().zip(COLUMNS).filter(|(_, spec)| !spec.path.is_empty()) {
        let mut at = Some(document);
        for step in spec.path.split('.') {
            let name = step.trim_end_matches("[]");
            at = at.and_then(|v| v.get(name));
            if step.ends_with("[]") {
                at = at.and_then(|v| v.get(0));
            }
        }
        let Some(expected) = at else { continue };
        let cell = if column.is_null(row) {
            Value::Null
        } else {
            match spec.ty {
                crate::columns::ColumnType::Text => json!(column.as_string::<i32>().value(row)),
                crate::columns::ColumnType::Int => json!(column.as_primitive::<Int32Type>().value(row)),
                crate::columns::ColumnType::Long => json!(column.as_primitive::<Int64Type>().value(row)),
                crate::columns::ColumnType::Bool => json!(column.as_boolean().value(row)),
                crate::columns::ColumnType::Time => {
                    json!(column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1000))
                }
            }
        };
        // A direction that nobody knows is absent in the table, and so is a name that repeats the
        // event's own.
        let named =
            spec.name == "metadata_uid" && *expected == json!(rows.column(0).as_string::<i32>().value(row));
        if &cell != expected && !(cell.is_null() && (expected == "Unknown" || named)) {
            found.push(format!("row {row}: column {} is {cell}, the document has {expected}", spec.name));
        }
    }
    found
}

#[test]
fn goldens_hold_and_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sources");
    // `1` for all of them, or the folder whose expectations are to be written.
    let update = std::env::var("UPDATE_GOLDENS").unwrap_or_default();
    let catalog = Catalog::builtin().unwrap_or_else(|e| panic!("{e}"));
    let mut normalizer = Normalizer::new(Arc::new(catalog));
    let (mut faults, mut samples) = (Vec::new(), 0);
    let mut folders: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let Ok(tests) = fs::read_dir(folder.join("tests")) else { continue };
        let mut logs: Vec<_> =
            tests.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "log")).collect();
        logs.sort();
        for log in logs {
            samples += 1;
            let name = format!(
                "{}/{}",
                folder.file_name().unwrap().to_string_lossy(),
                log.file_name().unwrap().to_string_lossy()
            );
            let (actual, wrong) = outcome(&mut normalizer, &name, fs::read(&log).unwrap());
            faults.extend(wrong);
            let golden = log.with_extension("expected.json");
            let text = format!("{}\n", serde_json::to_string_pretty(&actual).unwrap());
            if update == "1" || folder.file_name().is_some_and(|name| *name == *update) {
                fs::write(&golden, &text).unwrap();
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if expected != text {
                faults.push(format!(
                    "{name}: differs from {}; run with UPDATE_GOLDENS=1 and look at the difference",
                    golden.display()
                ));
            }
        }
    }
    assert!(samples > 0);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
