//! Rows on their way into the column builders, with what a batch says beside them.

use std::sync::Arc;

use crate::batch::{Event, Reject};
use crate::event::{BaseRow, EventRow, Sink};
use crate::rows::{RowFacts, Rows};
use crate::unit::{EventId, UnitKey};

/// A batch under construction, beside its rows.
#[derive(Default)]
pub(crate) struct Gathering {
    pub events: Vec<Event>,
    pub row_event: Vec<u32>,
    pub row_sub: Vec<u32>,
    pub rejects: Vec<Reject>,
}

/// Writes the rows of one event into the column builders.
pub(crate) struct ColumnSink<'a> {
    pub rows: &'a mut Rows,
    pub out: &'a mut Gathering,
    pub index: u32,
    pub key: UnitKey,
    pub offset: u32,
    pub source: &'a str,
    /// Source of a carried event.
    pub inner: Option<Arc<str>>,
    pub received_ms: i64,
    pub hash: [u8; 32],
}

impl<'a> ColumnSink<'a> {
    fn facts<'f>(&self, sub: u32, marks: &'f str, inner: Option<&'f str>) -> RowFacts<'f>
    where
        'a: 'f,
    {
        RowFacts {
            event_id: EventId::new(self.key, self.offset, sub).hex(),
            raw_hash: self.hash,
            source: inner.unwrap_or(self.source),
            marks,
            received_ms: self.received_ms,
        }
    }

    fn addressed(&mut self, sub: u32) {
        self.out.row_event.push(self.index);
        self.out.row_sub.push(sub);
    }
}

impl Sink for ColumnSink<'_> {
    fn row(&mut self, row: &EventRow<'_>) {
        let inner = self.inner.clone();
        let facts = self.facts(row.sub, row.marks, inner.as_deref());
        let (rejects, offset) = (&mut self.out.rejects, u64::from(self.offset));
        self.rows.row(
            (row.class, row.targets),
            &facts,
            |target| row.view.target(target, row.alsos),
            |target, fault| {
                let field = Some(Arc::clone(&target.text));
                rejects.push(Reject { offset, at: None, field, reason: fault.to_owned() });
            },
        );
        self.addressed(row.sub);
    }

    fn base(&mut self, base: &BaseRow<'_>) {
        let inner = self.inner.clone();
        let facts = self.facts(base.sub, base.marks, inner.as_deref());
        self.rows.base(&facts, base.time_micros);
        if let Some((at, reason)) = &base.reject {
            let offset = u64::from(self.offset);
            self.out.rejects.push(Reject { offset, at: *at, field: None, reason: reason.clone() });
        }
        self.addressed(base.sub);
    }

    fn source(&mut self, name: &Arc<str>) {
        self.inner = Some(Arc::clone(name));
    }

    fn is_intake(&self) -> bool {
        true
    }
}
