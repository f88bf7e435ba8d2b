//! How sources drift: what their events look like since a baseline was learned.
//!
//! The first [`LEARN_EVENTS`] of a source are its baseline. What later events have beside it is
//! counted, until somebody accepts it. The record is plain data, to be kept as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::inventory::{Change, Inventory};

/// Events of a source that make its baseline.
pub const LEARN_EVENTS: u64 = 10_000;

/// The record of one deployment, by source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DriftRecord(pub BTreeMap<String, SourceDrift>);

/// One source: its baseline, and what was seen beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceDrift {
    /// What its events looked like at first.
    pub baseline: Inventory,
    /// What later events have that the baseline has not; `events` counts all later events.
    pub since: Inventory,
}

impl DriftRecord {
    /// Adds what was seen of each source.
    pub fn add(&mut self, seen: BTreeMap<Arc<str>, Inventory>) {
        for (source, inventory) in seen {
            self.0.entry(source.to_string()).or_default().add(inventory);
        }
    }
}

impl SourceDrift {
    /// Adds what was seen: to the baseline while it is learned, else what it lacks.
    pub fn add(&mut self, seen: Inventory) {
        if self.baseline.events < LEARN_EVENTS {
            return self.baseline.merge(seen);
        }
        let mut beside = Inventory { events: seen.events, ..Inventory::default() };
        for change in seen.changes(&self.baseline) {
            beside.take(change);
        }
        self.since.merge(beside);
    }

    /// What has changed since the baseline.
    pub fn changes(&self) -> Vec<Change> {
        self.since.changes(&self.baseline)
    }

    /// Makes what was seen a part of the baseline.
    pub fn accept(&mut self) {
        self.baseline.merge(std::mem::take(&mut self.since));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn seen(events: u64, json: &str) -> Inventory {
        Inventory { events, ..serde_json::from_str(json).unwrap() }
    }

    #[test]
    fn a_baseline_is_learned_then_compared_with_then_widened() {
        let usual = r#"{"fields":{"a":{"text":{"events":1,"example":"x"}}}}"#;
        let odd = r#"{"fields":{"a":{"number":{"events":2,"example":"7"}},"b":{"text":{"events":2,"example":"y"}}},
                      "values":{"status_id":{"Odd":{"events":3,"example":"Odd"}}}}"#;
        let mut drift = SourceDrift::default();
        drift.add(seen(LEARN_EVENTS - 1, usual));
        drift.add(seen(5, usual));
        assert_eq!((drift.baseline.events, drift.changes()), (LEARN_EVENTS + 4, Vec::new()));
        drift.add(seen(10, odd));
        drift.add(seen(10, odd));
        let told: Vec<_> =
            drift.changes().into_iter().map(|c| (c.path, c.is, c.seen.events, c.seen.example)).collect();
        let expected = [("a", "number", 4, "7"), ("b", "text", 4, "y"), ("status_id", "Odd", 6, "Odd")];
        let expected = expected.map(|(path, is, n, e)| (path.to_owned(), is.to_owned(), n, e.to_owned()));
        assert_eq!((told, drift.since.events), (expected.to_vec(), 20));
        // It survives being kept.
        let record = DriftRecord([("acme.door".to_owned(), drift)].into());
        let mut kept: DriftRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(kept, record);
        let drift = kept.0.get_mut("acme.door").unwrap();
        drift.accept();
        drift.add(seen(10, odd));
        assert_eq!((drift.changes(), drift.since.events), (Vec::new(), 10));
    }
}
