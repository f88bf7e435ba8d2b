//! What came in lately, and what a policy's rules make of it.

use std::collections::BTreeMap;

use super::{Inflow, LATELY_DAYS, Sample};
use crate::{
    Lake, LakeError,
    ledger::SegmentState,
    policy::RetentionClass,
    prices::{DAY_MS, MONTH_MS},
};

/// Feed, retention class and archive.
type Shelf = (String, String, String);

/// What came in of one feed and class into one archive.
#[derive(Debug, Default, Clone, Copy)]
struct Came {
    events: f64,
    rows: f64,
    raw: f64,
    stored: f64,
    /// Raw bytes that a SIEM takes.
    taken: f64,
}

/// What came in, in so many months.
#[derive(Debug, Default)]
pub(super) struct Lately {
    months: f64,
    came: BTreeMap<Shelf, Came>,
    /// Segments by archive and class.
    made: BTreeMap<(String, String), f64>,
}

impl Lately {
    /// What the segments say that were committed lately; `feeds` divides one over its feeds.
    pub(super) fn of(
        segments: &[SegmentState],
        now_ms: i64,
        feeds: impl Fn(&SegmentState) -> Vec<(String, f64)>,
    ) -> Self {
        let (from_ms, mut first_ms) = (now_ms - LATELY_DAYS * DAY_MS, now_ms);
        let mut lately = Self::default();
        for segment in segments.iter().filter(|s| (from_ms..=now_ms).contains(&s.committed_ms)) {
            let fact = &segment.fact;
            first_ms = first_ms.min(segment.committed_ms);
            *lately.made.entry((fact.store.clone(), fact.retention.clone())).or_default() += 1.0;
            for (feed, part) in feeds(segment) {
                let came = lately.came.entry((feed, fact.retention.clone(), fact.store.clone())).or_default();
                came.events += fact.events as f64 * part;
                came.rows += fact.rows as f64 * part;
                came.raw += fact.raw_bytes as f64 * part;
                came.stored += fact.stored_bytes as f64 * part;
            }
        }
        lately.months = (now_ms - first_ms).max(DAY_MS) as f64 / MONTH_MS as f64;
        lately
    }

    /// The same, had it come in under the rules of a policy. `rest` is the class of what was in a class
    /// that the policy does not have and of which no row tells.
    pub(super) fn under(&self, classes: &[RetentionClass], rest: &str, sample: &Sample) -> Self {
        let mut under = Self { months: self.months, ..Self::default() };
        for ((feed, old, store), came) in &self.came {
            let same = if classes.iter().any(|class| class.name == *old) { old } else { rest };
            let parts = sample.classes(feed, old).unwrap_or_else(|| vec![(same.to_owned(), 1.0)]);
            let taken = sample.taken(feed, old).unwrap_or(0.0);
            // An epoch makes one segment of each class, whatever the rules.
            let made = self.made.get(&(store.clone(), old.clone())).copied().unwrap_or(1.0);
            for (class, part) in parts {
                let most = under.made.entry((store.clone(), class.clone())).or_default();
                *most = most.max(made);
                let to = under.came.entry((feed.clone(), class, store.clone())).or_default();
                to.events += came.events * part;
                to.rows += came.rows * part;
                to.raw += came.raw * part;
                to.stored += came.stored * part;
                to.taken += came.raw * part * taken;
            }
        }
        under
    }

    /// By the month. `hot_row` is the size of a row in the hot table, in bytes.
    pub(super) fn inflows(&self, lake: &Lake, hot_row: f64) -> Result<Vec<Inflow>, LakeError> {
        let mut together: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for ((_, class, store), came) in &self.came {
            *together.entry((store, class)).or_default() += came.stored;
        }
        let inflow = |((feed, class, store), came): (&Shelf, &Came)| {
            let stored = together.get(&(store.as_str(), class.as_str())).copied().unwrap_or(0.0);
            let made = self.made.get(&(store.clone(), class.clone())).copied().unwrap_or(1.0);
            Ok(Inflow {
                feed: feed.clone(),
                class: class.clone(),
                provider: lake.provider(store)?,
                events: came.events / self.months,
                raw_bytes: came.raw / self.months,
                stored_bytes: came.stored / self.months,
                segment_bytes: (stored / made.max(1.0)) as u64,
                together_day: stored / self.months * DAY_MS as f64 / MONTH_MS as f64,
                hot_bytes: came.rows * hot_row / self.months,
                taken: if came.raw > 0.0 { came.taken / came.raw } else { 0.0 },
            })
        };
        self.came.iter().map(inflow).collect()
    }
}
