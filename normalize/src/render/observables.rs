//! The observables of a document: every value whose type or attribute the schema calls one.

use serde_json::{Map, Value, json};

use crate::schema::{Attributes, Class, schema};

/// Most observables in one document.
const OBSERVABLES_MAX: usize = 64;

/// Lists the observables of a class's document, each (name, value) once.
pub(super) fn of(class: &'static Class, document: &Map<String, Value>) -> Vec<Value> {
    let mut found = Vec::new();
    members(&class.attributes, document, "", &mut found);
    found
}

fn members(
    attributes: &'static Attributes,
    document: &Map<String, Value>,
    path: &str,
    found: &mut Vec<Value>,
) {
    for (name, value) in document {
        // What describes the record itself is no observable of what it records.
        if path.is_empty()
            && matches!(name.as_str(), "metadata" | "unmapped" | "raw_data_hash" | "observables")
        {
            continue;
        }
        let Some(attribute) = attributes.get(name) else { continue };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let items = match value {
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        for item in items {
            match item {
                Value::Object(inner) => {
                    if let Some(object) = schema().object_of(attribute) {
                        members(&object.attributes, inner, &path, found);
                    }
                }
                Value::String(text) if !text.is_empty() => add(attribute.observable, &path, text, found),
                _ => {}
            }
        }
    }
}

fn add(type_id: Option<u32>, path: &str, text: &str, found: &mut Vec<Value>) {
    let Some(type_id) = type_id.filter(|_| found.len() < OBSERVABLES_MAX) else { return };
    let Some(caption) = schema().observable_type(type_id) else { return };
    let observable = if caption.is_empty() {
        json!({ "name": path, "type_id": type_id, "value": text })
    } else {
        json!({ "name": path, "type": caption, "type_id": type_id, "value": text })
    };
    if !found.contains(&observable) {
        found.push(observable);
    }
}
