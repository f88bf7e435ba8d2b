//! Documents of events that are OCSF already.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Coverage, DocumentSink};
use crate::conform::conform;
use crate::event::EventRow;
use crate::mapping::OLDER;
use crate::scan::Kind;
use crate::schema::schema;

/// Adds what the class asks for and an older version of it did not.
fn complete(class_uid: u32, document: &mut Value) {
    for (_, [object, name], from) in OLDER.iter().filter(|(uid, ..)| *uid == class_uid) {
        let found = from.iter().try_fold(&*document, |value, name| value.get(name)).cloned();
        let Value::Object(members) = document else { return };
        if let Some(found) = found.filter(Value::is_string) {
            let object = members.entry(*object).or_insert_with(|| json!({}));
            if let Value::Object(object) = object {
                object.entry(*name).or_insert(found);
            }
        }
    }
}

impl DocumentSink<'_> {
    /// The document of an event that is OCSF already: itself, as far as it is valid.
    pub(super) fn native(&mut self, row: &EventRow<'_>) -> Result<Value, &'static str> {
        let text = row.view.text.get(..row.view.scanned.len as usize).unwrap_or_default();
        let mut document: Value = serde_json::from_str(text).map_err(|_| "json")?;
        complete(row.class.class.uid, &mut document);
        let written = document["metadata"]["version"].clone();
        let lost = conform(schema(), &mut document);
        if let Some(coverage) = &mut self.coverage {
            let fields = row.view.scanned.leaves.iter().filter(|leaf| leaf.kind != Kind::Null).count() as u64;
            coverage.push(Coverage { source: Arc::clone(&self.source), fields, unmapped: lost });
        }
        let Value::Object(members) = &mut document else { return Err("class_uid") };
        if !written.is_null() && written != schema().version() {
            let unmapped = members.entry("unmapped").or_insert_with(|| json!({}));
            unmapped["metadata.version"] = written;
        }
        let (hash, size) = ("raw_data_hash", "raw_data_size");
        let own = [hash, size].map(|name| members.get(name).cloned());
        self.raw(members);
        for (name, value) in [hash, size].into_iter().zip(own) {
            if let Some(value) = value {
                members.insert(name.into(), value);
            }
        }
        if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
            metadata.entry("uid").or_insert_with(|| json!(self.event_id(row.sub)));
            metadata.entry("log_name").or_insert_with(|| json!(self.source.as_ref()));
        }
        Ok(document)
    }
}
