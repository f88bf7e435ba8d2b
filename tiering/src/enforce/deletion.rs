//! Deleting in two steps: a tombstone, and a week later the deletion, if nothing speaks against it.

use std::time::Duration;

use linchpin_store::{Store, StoreError};
use serde_json::json;

use super::{EnforceError, Pass, Passed, TOMBSTONE_WAIT, after, is_past, moves::by_object};
use crate::{
    LakeError,
    ledger::{Fact, SegmentFilter, SegmentState, Signed},
    signing::hex,
};

/// How often the usual volume may fall due at once.
const VOLUME_FACTOR: f64 = 2.0;
/// So few segments may always fall due.
const VOLUME_SEGMENTS_MIN: usize = 100;
/// Passes that were left out are made up for, but no more than so many days of them.
const CATCH_UP_DAYS_MAX: f64 = 7.0;
const DAY_MS: f64 = 24.0 * 3_600_000.0;

impl Pass<'_> {
    /// Whether a segment is over by the policy that is in force. A class that the policy no longer has
    /// says nothing about it: keep.
    pub(super) fn is_over(&self, segment: &SegmentState, grace: Duration) -> bool {
        let class = self.class(&segment.fact.retention);
        class.is_some_and(|class| is_past(segment.committed_ms, class.expire + grace, self.order.now_ms))
    }

    /// Marks what is over. A hold keeps a segment; so does an output that has not passed it.
    pub(super) async fn tombstone(
        &mut self,
        passed: &impl AsyncFn(&SegmentState) -> Result<Passed, LakeError>,
    ) -> Result<(), EnforceError> {
        let live = SegmentFilter { tombstoned: Some(false), ..SegmentFilter::default() };
        let mut due = Vec::new();
        for segment in self.lake.ledger.segments(&live) {
            if self.is_over(&segment, Duration::ZERO)
                && segment.holds.is_empty()
                && passed(&segment).await? == Passed::All
            {
                due.push(segment);
            }
        }
        if let Some(why) = self.too_much(&due) {
            self.problem("marking for deletion", &why);
            return Ok(());
        }
        let facts = due.iter().map(|segment| Fact::Tombstoned {
            segment: segment.fact.id.clone(),
            signed: self.signed("tombstoned", segment),
        });
        let facts: Vec<Fact> = facts.collect();
        self.note(facts).await?;
        self.commit().await?;
        self.done.tombstoned.extend(due.iter().map(|segment| segment.fact.id.clone()));
        Ok(())
    }

    /// Why so much cannot be right, if it cannot: a clock or a policy may be wrong.
    fn too_much(&self, due: &[SegmentState]) -> Option<String> {
        if self.order.habits.any_volume || due.len() <= VOLUME_SEGMENTS_MIN {
            return None;
        }
        let all = self.lake.ledger.segments(&SegmentFilter::default());
        let bytes = |segments: &[SegmentState]| segments.iter().map(|s| s.place().length).sum::<u64>() as f64;
        let first = all.iter().map(|s| s.committed_ms).min()?;
        let last = all.iter().map(|s| s.committed_ms).max()?;
        let days = ((last - first) as f64 / DAY_MS).max(1.0);
        let before = all.iter().filter_map(|s| s.tombstoned_ms).max();
        let missed = before.map_or(CATCH_UP_DAYS_MAX, |before| (self.order.now_ms - before) as f64 / DAY_MS);
        let usual = bytes(&all) / days * missed.clamp(1.0, CATCH_UP_DAYS_MAX);
        let due_bytes = bytes(due);
        (due_bytes > VOLUME_FACTOR * usual).then(|| {
            format!(
                "{} segments of {due_bytes:.0} bytes are due, {usual:.0} are usual\n\
                 hint: if the policy is meant so, run `linchpin enforce --once --any-volume`",
                due.len()
            )
        })
    }

    /// Deletes objects all of whose segments were marked long enough ago and are still over.
    pub(super) async fn delete(&mut self) -> Result<(), EnforceError> {
        let waiting = SegmentFilter { tombstoned: Some(true), ..SegmentFilter::default() };
        if self.lake.ledger.segments(&waiting).is_empty() {
            return Ok(());
        }
        // A hold of another process counts until the last moment.
        self.lake.ledger.refresh().await.map_err(LakeError::from)?;
        let all = self.lake.ledger.segments(&SegmentFilter::default());
        for ((store, object), segments) in by_object(all) {
            if !segments.iter().all(|segment| self.may_go(segment)) {
                continue;
            }
            let size = segments.iter().map(|s| s.place().end()).max().unwrap_or_default();
            match remove(&*self.lake.archive(&store)?, &object, size).await {
                Ok(true) => {}
                Ok(false) => {
                    self.problem(
                        &format!("deleting `{object}`"),
                        &"it is not what was archived, and is kept",
                    );
                    continue;
                }
                Err(error) => {
                    self.problem(&format!("deleting `{object}`"), &error);
                    continue;
                }
            }
            let facts: Vec<Fact> = segments
                .iter()
                .map(|segment| Fact::Deleted {
                    segment: segment.fact.id.clone(),
                    signed: self.signed("deleted", segment),
                })
                .collect();
            self.note(facts).await?;
            self.done.deleted.extend(segments.iter().map(|segment| segment.fact.id.clone()));
        }
        self.commit().await
    }

    fn may_go(&self, segment: &SegmentState) -> bool {
        let marked = segment.tombstoned_ms.is_some_and(|at| is_past(at, TOMBSTONE_WAIT, self.order.now_ms));
        marked
            && segment.holds.is_empty()
            && segment.left.is_empty()
            && self.is_over(segment, TOMBSTONE_WAIT)
            && is_past(segment.place().since_ms, self.order.habits.reader_wait, self.order.now_ms)
    }

    /// What is said of a segment when it goes.
    fn signed(&self, kind: &str, segment: &SegmentState) -> Option<Signed> {
        let (fact, place) = (&segment.fact, segment.place());
        let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).map(|at| at.to_string()).ok();
        let over_ms = self.class(&fact.retention).map(|class| after(segment.committed_ms, class.expire));
        let statement = json!({
            "kind": kind,
            "segment": fact.id,
            "store": place.store,
            "object": place.object,
            "sha256": hex(&place.sha256),
            "merkle_root": hex(&fact.merkle_root),
            "events": fact.events,
            "class": fact.retention,
            "committed": time(segment.committed_ms),
            "over": over_ms.and_then(time),
            "policy_sha256": hex(&self.order.policy),
            "at": time(self.order.dated_ms),
        });
        self.order.signer.map(|signer| signer.sign(&statement))
    }
}

/// Deletes an object of a known size; false if it has another one.
async fn remove(store: &dyn Store, object: &str, size: u64) -> Result<bool, StoreError> {
    let head = match store.head(object).await {
        Ok(head) => head,
        Err(StoreError::NotFound(_)) => return Ok(true),
        Err(error) => return Err(error),
    };
    if head.size != size {
        return Ok(false);
    }
    match store.delete_if(object, &head.etag).await {
        Ok(()) | Err(StoreError::NotFound(_)) => Ok(true),
        Err(error) => Err(error),
    }
}
