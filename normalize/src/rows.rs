//! Builders of the linchpin columns: one row at a time, absent values filled in by the way.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};

use crate::columns::{self, COLUMNS, ColumnType};
use crate::eval::{Given, enumerate};
use crate::plan::{ClassPlan, Constant, Target, TargetLeaf};
use crate::value::{Fault, Val, is_internal};

enum Builder {
    Text(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

macro_rules! each_builder {
    ($self:expr, $b:ident => $do:expr) => {
        match $self {
            Builder::Text($b) => $do,
            Builder::Int($b) => $do,
            Builder::Long($b) => $do,
            Builder::Bool($b) => $do,
            Builder::Time($b) => $do,
        }
    };
}

impl Builder {
    fn new(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Text => Self::Text(StringBuilder::new()),
            ColumnType::Int => Self::Int(Int32Builder::new()),
            ColumnType::Long => Self::Long(Int64Builder::new()),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    fn pad(&mut self, nulls: usize) {
        each_builder!(self, b => b.append_nulls(nulls));
    }

    /// Hands over the values, and makes room for as many again: batches of a source are alike.
    fn finish(&mut self) -> ArrayRef {
        if let Self::Text(b) = self {
            let next = StringBuilder::with_capacity(b.len(), b.values_slice().len());
            return Arc::new(std::mem::replace(b, next).finish());
        }
        each_builder!(self, b => Arc::new(b.finish()))
    }
}

struct Column {
    builder: Builder,
    /// Rows that have a value or a null already.
    len: usize,
}

/// Rows of linchpin columns under construction.
pub(crate) struct Rows {
    columns: Vec<Column>,
    /// Finished rows.
    pub len: usize,
    fixed: Fixed,
}

/// Indexes of the columns that the engine derives.
struct Fixed {
    event_id: usize,
    raw_hash: usize,
    time: usize,
    class: usize,
    category: usize,
    kind: usize,
    activity: usize,
    severity: usize,
    source: usize,
    marks: usize,
    log_name: usize,
    direction: usize,
    src_ip: usize,
    src_internal: usize,
    dst_ip: usize,
    dst_internal: usize,
}

impl Fixed {
    fn new() -> Self {
        let at = |name| columns::index(name).unwrap_or(usize::MAX);
        Self {
            event_id: at("event_id"),
            raw_hash: at("raw_hash"),
            time: at("time"),
            class: at("class_uid"),
            category: at("category_uid"),
            kind: at("type_uid"),
            activity: at("activity_id"),
            severity: at("severity_id"),
            source: at("source"),
            marks: at("marks"),
            log_name: at("metadata_log_name"),
            direction: at("direction"),
            src_ip: at("src_endpoint_ip"),
            src_internal: at("src_is_internal"),
            dst_ip: at("dst_endpoint_ip"),
            dst_internal: at("dst_is_internal"),
        }
    }
}

/// What the engine itself knows of a row.
pub(crate) struct RowFacts<'a> {
    pub event_id: [u8; 40],
    pub raw_hash: [u8; 32],
    pub source: &'a str,
    pub marks: &'a str,
    /// Time for a row whose event does not say its own, epoch milliseconds.
    pub received_ms: i64,
}

/// Facts gathered while a row is written.
#[derive(Default)]
struct Gathered {
    activity: i64,
    src: Option<bool>,
    dst: Option<bool>,
    direction: bool,
    time: bool,
}

impl Default for Rows {
    fn default() -> Self {
        let columns = COLUMNS.iter().map(|c| Column { builder: Builder::new(c.ty), len: 0 }).collect();
        Self { columns, len: 0, fixed: Fixed::new() }
    }
}

impl Rows {
    /// Hands over the finished rows.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let rows = std::mem::take(&mut self.len);
        let arrays = self
            .columns
            .iter_mut()
            .map(|column| {
                column.builder.pad(rows - std::mem::take(&mut column.len));
                column.builder.finish()
            })
            .collect();
        RecordBatch::try_new(columns::schema(), arrays)
    }

    /// The builder of a column, if the current row has no value there yet.
    fn cell(&mut self, column: usize) -> Option<&mut Builder> {
        let len = self.len;
        let column = &mut self.columns[column];
        if column.len > len {
            return None;
        }
        column.builder.pad(len - column.len);
        column.len = len + 1;
        Some(&mut column.builder)
    }

    fn text(&mut self, column: usize, text: &str) {
        match self.cell(column) {
            Some(Builder::Text(b)) => b.append_value(text),
            Some(other) => other.pad(1),
            None => {}
        }
    }

    fn int(&mut self, column: usize, n: i64) {
        match self.cell(column) {
            Some(Builder::Int(b)) => b.append_option(i32::try_from(n).ok()),
            Some(Builder::Long(b)) => b.append_value(n),
            Some(Builder::Time(b)) => b.append_value(n),
            Some(Builder::Text(b)) => b.append_value(n.to_string()),
            Some(Builder::Bool(b)) => b.append_null(),
            None => {}
        }
    }

    fn bool(&mut self, column: usize, value: bool) {
        match self.cell(column) {
            Some(Builder::Bool(b)) => b.append_value(value),
            Some(other) => other.pad(1),
            None => {}
        }
    }

    /// Writes one row: the columns of the class's `targets` from `give`, then what the engine derives. Faults go to
    /// `refuse` with the target they concern.
    pub(crate) fn row<'p>(
        &mut self,
        (class, targets): (&'p ClassPlan, &[u16]),
        facts: &RowFacts<'_>,
        give: impl Fn(&'p Target) -> Result<Option<Given<'p, 'p>>, Fault>,
        mut refuse: impl FnMut(&'p Target, Fault),
    ) {
        let mut gathered = Gathered::default();
        for index in targets {
            let target = &class.targets[usize::from(*index)];
            let outcome = give(target).and_then(|given| match given {
                Some(given) => self.fill(target, given, &mut gathered),
                None => Ok(()),
            });
            if let Err(fault) = outcome {
                refuse(target, fault);
            }
        }
        self.derive(Some(class), facts, &gathered);
        self.len += 1;
    }

    /// A row of class 0: only its time is taken from the event, where it has one.
    pub(crate) fn base(&mut self, facts: &RowFacts<'_>, time_micros: Option<i64>) {
        if let Some(micros) = time_micros {
            self.int(self.fixed.time, micros);
        }
        self.int(self.fixed.activity, 0);
        self.int(self.fixed.severity, 0);
        self.derive(None, facts, &Gathered { time: time_micros.is_some(), ..Gathered::default() });
        self.len += 1;
    }

    fn fill<'p>(
        &mut self,
        target: &'p Target,
        given: Given<'p, 'p>,
        gathered: &mut Gathered,
    ) -> Result<(), Fault> {
        let column = target.column.map(usize::from);
        let caption_column = target.caption_column.map(usize::from);
        match (&target.leaf, given) {
            (TargetLeaf::Enum { .. }, Given::Constant(Constant::Enum(n, caption))) => {
                self.enumerated(column, caption_column, *n, caption, gathered);
            }
            (TargetLeaf::Enum { id, .. }, Given::Value(value)) => {
                let (n, caption) = enumerate(id, value);
                self.enumerated(column, caption_column, n, &caption, gathered);
            }
            (_, Given::Constant(constant)) => match (column, constant) {
                (Some(column), Constant::Text(text)) => self.text(column, text),
                (Some(column), Constant::Int(n) | Constant::Enum(n, _)) => self.int(column, *n),
                (Some(column), Constant::Bool(b)) => self.bool(column, *b),
                (None, _) => {}
            },
            (TargetLeaf::Value(attribute), Given::Value(value)) => {
                let Some(column) = column else { return Ok(()) };
                match value.convert(attribute)? {
                    Val::Text(text) => {
                        self.text(column, &text);
                        self.note(column, &text, gathered);
                    }
                    Val::Number(text) => self.text(column, text),
                    Val::Int(n) => self.int(column, n),
                    Val::Bool(b) => self.bool(column, b),
                    Val::Time(micros) => {
                        gathered.time |= column == self.fixed.time;
                        self.int(column, micros);
                    }
                }
            }
            (TargetLeaf::Tree(_), Given::Value(_)) => {}
        }
        Ok(())
    }

    fn enumerated(
        &mut self,
        column: Option<usize>,
        caption_column: Option<usize>,
        n: i64,
        caption: &str,
        gathered: &mut Gathered,
    ) {
        if let Some(column) = column {
            if column == self.fixed.activity {
                gathered.activity = n;
            }
            self.int(column, n);
        }
        if let Some(column) = caption_column {
            gathered.direction |= column == self.fixed.direction;
            self.text(column, caption);
        }
    }

    fn note(&self, column: usize, text: &str, gathered: &mut Gathered) {
        let end = if column == self.fixed.src_ip {
            &mut gathered.src
        } else if column == self.fixed.dst_ip {
            &mut gathered.dst
        } else {
            return;
        };
        *end = text.parse::<IpAddr>().ok().map(is_internal);
    }

    fn derive(&mut self, class: Option<&ClassPlan>, facts: &RowFacts<'_>, gathered: &Gathered) {
        let (class_uid, category, activity) = class.map_or((0, 0, 0), |c| {
            (i64::from(c.class.uid), i64::from(c.class.category_uid), gathered.activity)
        });
        self.text(self.fixed.event_id, std::str::from_utf8(&facts.event_id).unwrap_or_default());
        self.text(self.fixed.raw_hash, std::str::from_utf8(&facts.raw_hash).unwrap_or_default());
        if !gathered.time {
            self.int(self.fixed.time, facts.received_ms.saturating_mul(1000));
        }
        self.int(self.fixed.class, class_uid);
        self.int(self.fixed.category, category);
        self.int(self.fixed.kind, class_uid * 100 + activity);
        self.text(self.fixed.source, facts.source);
        self.text(self.fixed.log_name, facts.source);
        if !facts.marks.is_empty() {
            self.text(self.fixed.marks, facts.marks);
        }
        if let Some(internal) = gathered.src {
            self.bool(self.fixed.src_internal, internal);
        }
        if let Some(internal) = gathered.dst {
            self.bool(self.fixed.dst_internal, internal);
        }
        if let (false, Some(src), Some(dst)) = (gathered.direction, gathered.src, gathered.dst) {
            self.text(self.fixed.direction, direction(src, dst));
        }
    }
}

/// OCSF caption of a flow's direction, from which ends are internal.
pub(crate) fn direction(src_internal: bool, dst_internal: bool) -> &'static str {
    match (src_internal, dst_internal) {
        (false, true) => "Inbound",
        (true, false) => "Outbound",
        (true, true) => "Lateral",
        (false, false) => "Unknown",
    }
}
