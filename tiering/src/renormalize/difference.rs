//! What differs between the rows of events then and now, field by field.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::{cast, interleave, kernels::cmp::distinct},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use linchpin_normalize::columns;
use serde::Serialize;

use super::{Addresses, ints, texts};
use crate::hot::{HotRows, ROW, SEGMENT, SUB};

/// Longest example of a value, in characters.
const EXAMPLE_CHARS_MAX: usize = 80;

/// One column whose values differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Name of the column.
    pub column: String,
    /// Rows that had another value.
    pub changed: u64,
    /// Rows that had none.
    pub added: u64,
    /// Rows that have none now.
    pub removed: u64,
    /// An event, its value then and its value now.
    pub example: (String, String, String),
}

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events that were read.
    pub events: u64,
    /// Rows they have in the table.
    pub rows_before: u64,
    /// Rows they have by today's mappings.
    pub rows_after: u64,
    /// Rows that are the same in every column.
    pub rows_same: u64,
    /// Columns that differ, in table order.
    pub columns: Vec<Difference>,
}

/// Gathers differences batch by batch.
#[derive(Debug, Default)]
pub(super) struct Differences {
    report: Report,
    columns: BTreeMap<usize, Difference>,
}

/// A row among batches: (batch, row).
type At = (usize, usize);

impl Differences {
    /// Compares the table's rows of some segments with the new ones; of the old ones only those of
    /// `addresses` count.
    pub(super) fn add(
        &mut self,
        old: &[RecordBatch],
        new: &[HotRows],
        addresses: &Addresses,
    ) -> Result<(), ArrowError> {
        let mut before: BTreeMap<(String, u32, u32), At> = BTreeMap::new();
        for (b, batch) in old.iter().enumerate() {
            let (segments, rows, subs) = (texts(batch, SEGMENT)?, ints(batch, ROW)?, ints(batch, SUB)?);
            for (n, segment) in segments.into_iter().enumerate() {
                let row = rows[n] as u32;
                if addresses.get(&segment).is_some_and(|wanted| wanted.contains(&row)) {
                    before.insert((segment, row, subs[n] as u32), (b, n));
                    self.report.rows_before += 1;
                }
            }
        }
        let mut pairs: Vec<(At, At)> = Vec::new();
        for (b, rows) in new.iter().enumerate() {
            self.report.rows_after += rows.row.len() as u64;
            for (n, (row, sub)) in rows.row.iter().zip(&rows.sub).enumerate() {
                self.report.events += u64::from(*sub == 0);
                let key = (rows.segments.first().map(ToString::to_string).unwrap_or_default(), *row, *sub);
                if let Some(at) = before.get(&key) {
                    pairs.push((*at, (b, n)));
                }
            }
        }
        self.compare(old, new, &pairs)
    }

    fn compare(
        &mut self,
        old: &[RecordBatch],
        new: &[HotRows],
        pairs: &[(At, At)],
    ) -> Result<(), ArrowError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let (then, now): (Vec<At>, Vec<At>) = pairs.iter().copied().unzip();
        let mut same = vec![true; pairs.len()];
        let ids = side(new, "event_id", &now)?;
        for (index, field) in columns::schema().fields().iter().enumerate() {
            let (before, after) = (old_side(old, field, &then)?, side(new, field.name(), &now)?);
            let differ = distinct(&before, &after)?;
            if differ.true_count() == 0 {
                continue;
            }
            let found = self.columns.entry(index).or_default();
            field.name().clone_into(&mut found.column);
            for n in (0..pairs.len()).filter(|n| differ.value(*n)) {
                same[n] = false;
                match (before.is_null(n), after.is_null(n)) {
                    (true, _) => found.added += 1,
                    (_, true) => found.removed += 1,
                    _ => found.changed += 1,
                }
                if found.example.0.is_empty() {
                    found.example = (shown(&ids, n)?, shown(&before, n)?, shown(&after, n)?);
                }
            }
        }
        self.report.rows_same += same.iter().filter(|same| **same).count() as u64;
        Ok(())
    }

    pub(super) fn report(self) -> Report {
        Report { columns: self.columns.into_values().collect(), ..self.report }
    }
}

/// A column of the table's rows, in the type that the linchpin columns have.
fn old_side(
    batches: &[RecordBatch],
    field: &arrow::datatypes::Field,
    at: &[At],
) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<ArrayRef> = batches
        .iter()
        .map(|batch| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()),
            None => Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<_, _>>()?;
    interleave(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>(), at)
}

/// A column of new rows.
fn side(batches: &[HotRows], name: &str, at: &[At]) -> Result<ArrayRef, ArrowError> {
    let index = columns::index(name).ok_or_else(|| super::missing(name))?;
    let arrays: Vec<&dyn Array> = batches.iter().map(|rows| rows.rows.column(index).as_ref()).collect();
    interleave(&arrays, at)
}

/// A value for people; nothing for null.
fn shown(array: &ArrayRef, n: usize) -> Result<String, ArrowError> {
    let options = FormatOptions::default().with_null("-");
    let text = ArrayFormatter::try_new(array, &options)?.value(n).to_string();
    let cut = text.char_indices().nth(EXAMPLE_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    Ok(if cut < text.len() { format!("{}…", &text[..cut]) } else { text })
}
