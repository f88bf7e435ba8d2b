//! Which rows go to which output, and their documents.

use std::ops::Range;

use crate::deployment::Deployment;
use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::{and, kernels::cmp::neq, prep_null_mask_filter},
    datatypes::{Int32Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use linchpin_integration::OutEvent;
use linchpin_normalize::{Normalized, Normalizer, ReplayUnit, columns};

/// For each of some outputs (their indices in the configuration), the events of a batch that it gets,
/// rendered. `event` gives offset and bytes of the batch's n-th event.
pub(super) fn out_events<'b>(
    deployment: &Deployment,
    outputs: Range<usize>,
    normalizer: &mut Normalizer,
    unit: &ReplayUnit<'_>,
    feed: &str,
    normalized: &Normalized,
    event: impl Fn(usize) -> (u32, &'b [u8]),
) -> Vec<Vec<OutEvent>> {
    let rows = &normalized.batch.rows;
    let masks = masks(deployment, outputs.clone(), rows, feed);
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

/// For each output, the rows that it gets: those it asked for, if the rule that decides about a row lets
/// it. Without a predicate an output asks for all that are events (class 0 says that something could not
/// be read, or that a feed lives).
fn masks(
    deployment: &Deployment,
    outputs: Range<usize>,
    rows: &RecordBatch,
    feed: &str,
) -> Vec<BooleanArray> {
    let when = &deployment.output_when[outputs.clone()];
    let needs_context = deployment.rule_outputs.is_some() || when.iter().any(Option::is_some);
    let seen = needs_context.then(|| deployment.risk.now().rows(rows, feed).ok()).flatten();
    let deciding = deployment.rule_outputs.as_ref().zip(seen.as_ref());
    let deciding = deciding.map(|(allowed, seen)| (allowed, deployment.policy.deciding(seen)));
    let masks = outputs.zip(when).map(|(output, when)| {
        let asked = match when {
            Some(when) => seen.as_ref().and_then(|seen| when.evaluate(seen).ok()),
            None => columns::index("class_uid").and_then(|at| {
                let zero = arrow::array::Int32Array::new_scalar(0);
                neq(&rows.column(at).as_primitive_opt::<Int32Type>()?, &zero).ok()
            }),
        };
        // An unknown answer is not a yes.
        let Some(asked) = asked else { return BooleanArray::from(vec![false; rows.num_rows()]) };
        let asked = if asked.null_count() == 0 { asked } else { prep_null_mask_filter(&asked) };
        let Some((allowed, rules)) = &deciding else { return asked };
        let lets = |rule: &u16| {
            let named = allowed.get(usize::from(*rule)).and_then(Option::as_ref);
            named.is_none_or(|outputs| outputs.contains(&output))
        };
        let lets: BooleanArray = rules.iter().map(|rule| Some(lets(rule))).collect();
        and(&asked, &lets).unwrap_or(asked)
    });
    masks.collect()
}
