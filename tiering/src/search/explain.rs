//! What a query read, and what it could pass by.

use std::{fmt, sync::Arc};

use datafusion::physical_plan::{
    ExecutionPlan,
    metrics::{MetricValue, MetricsSet},
};

use super::Session;

/// The cost of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Explain {
    /// Files of the table's snapshot.
    pub files_total: usize,
    /// Files that the table's log could not rule out.
    pub files_matched: usize,
    /// Files from which anything was read.
    pub files_read: usize,
    /// Row groups of the files that were read.
    pub row_groups_total: usize,
    /// Row groups passed by on their smallest and largest values.
    pub row_groups_by_statistics: usize,
    /// Row groups passed by on a bloom filter.
    pub row_groups_by_bloom: usize,
    /// Pages of the remaining row groups, as far as their index was asked.
    pub pages_total: usize,
    /// Pages passed by on their index.
    pub pages_by_index: usize,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Requests to the store.
    pub requests: u64,
    /// Rows given.
    pub rows: u64,
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "files: {} of {} read ({} ruled out by the log)",
            self.files_read,
            self.files_total,
            self.files_total - self.files_matched
        )?;
        writeln!(
            f,
            "row groups: {} passed by on statistics, {} on bloom filters, of {}",
            self.row_groups_by_statistics, self.row_groups_by_bloom, self.row_groups_total
        )?;
        writeln!(f, "pages: {} passed by of {}", self.pages_by_index, self.pages_total)?;
        write!(f, "read: {} bytes in {} requests for {} rows", self.bytes_read, self.requests, self.rows)
    }
}

pub(super) fn explain(plan: &Arc<dyn ExecutionPlan>, session: &Session, rows: u64) -> Explain {
    let mut explain = Explain { rows, ..Explain::default() };
    session.count(&mut explain);
    add_metrics(plan, &mut explain);
    explain
}

fn add_metrics(plan: &Arc<dyn ExecutionPlan>, explain: &mut Explain) {
    for metric in plan.metrics().iter().flat_map(MetricsSet::iter) {
        let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value() else { continue };
        let (pruned, matched) = (pruning_metrics.pruned(), pruning_metrics.matched());
        match name.as_ref() {
            "row_groups_pruned_statistics" => {
                explain.row_groups_by_statistics += pruned;
                explain.row_groups_total += pruned + matched;
            }
            "row_groups_pruned_bloom_filter" => explain.row_groups_by_bloom += pruned,
            "page_index_pages_pruned" => {
                explain.pages_by_index += pruned;
                explain.pages_total += pruned + matched;
            }
            _ => {}
        }
    }
    for child in plan.children() {
        add_metrics(child, explain);
    }
}
