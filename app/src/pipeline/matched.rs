//! Which rows go to which output, and their documents.

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::kernels::cmp::neq,
    datatypes::{Int32Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use linchpin_integration::OutEvent;
use linchpin_normalize::{Normalized, Normalizer, ReplayUnit, columns};
use linchpin_tiering::policy::{Predicate, with_feed};

/// For each output, the events of a batch that it asked for, rendered. `event` gives offset and
/// bytes of the batch's n-th event.
pub(super) fn out_events<'b>(
    outputs: &[Option<Predicate>],
    normalizer: &mut Normalizer,
    unit: &ReplayUnit<'_>,
    feed: &str,
    normalized: &Normalized,
    event: impl Fn(usize) -> (u32, &'b [u8]),
) -> Vec<Vec<OutEvent>> {
    let rows = &normalized.batch.rows;
    let masks: Vec<BooleanArray> = outputs.iter().map(|when| mask(when.as_ref(), rows, feed)).collect();
    let mut out: Vec<Vec<OutEvent>> = vec![Vec::new(); outputs.len()];
    let (Some(ids), Some(times)) = (
        columns::index("event_id").and_then(|at| rows.column(at).as_string_opt::<i32>()),
        columns::index("time").and_then(|at| rows.column(at).as_primitive_opt::<TimestampMicrosecondType>()),
    ) else {
        return out;
    };
    let mut rendered: (usize, Vec<Bytes>) = (usize::MAX, Vec::new());
    for row in 0..rows.num_rows() {
        if !masks.iter().any(|mask| mask.value(row)) {
            continue;
        }
        let n = normalized.batch.row_event[row] as usize;
        if rendered.0 != n {
            let (offset, bytes) = event(n);
            let documents = normalizer.render(unit, offset, bytes);
            rendered = (n, documents.iter().map(|d| Bytes::from(d.to_string())).collect());
        }
        let Some(body) = rendered.1.get(normalized.batch.row_sub[row] as usize) else { continue };
        for (out, mask) in out.iter_mut().zip(&masks) {
            if mask.value(row) {
                out.push(OutEvent {
                    id: ids.value(row).to_owned(),
                    time_ms: times.value(row).div_euclid(1000),
                    body: body.clone(),
                });
            }
        }
    }
    out
}

/// Rows an output asked for; without a predicate, all that are events (class 0 says that something
/// could not be read, or that a feed lives).
fn mask(when: Option<&Predicate>, rows: &RecordBatch, feed: &str) -> BooleanArray {
    let none = || BooleanArray::from(vec![false; rows.num_rows()]);
    let found = match when {
        Some(when) => with_feed(rows, feed).ok().and_then(|rows| when.evaluate(&rows).ok()),
        None => columns::index("class_uid").and_then(|at| {
            let zero = arrow::array::Int32Array::new_scalar(0);
            neq(&rows.column(at).as_primitive_opt::<Int32Type>()?, &zero).ok()
        }),
    };
    match found {
        Some(mask) if mask.null_count() == 0 => mask,
        // An unknown answer is not a yes.
        Some(mask) => mask.iter().map(|v| Some(v.unwrap_or(false))).collect(),
        None => none(),
    }
}
