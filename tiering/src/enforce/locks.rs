//! Locks that are missing: of segments whose worker died between committing and locking them, and of
//! classes that got their lock later.

use std::time::Duration;

use linchpin_store::StoreError;

use super::{EnforceError, Pass, first_lock, is_past};
use crate::{
    LakeError,
    ledger::{SegmentFilter, SegmentState},
};

/// A pass that does not look at everything looks at what was committed since: a worker's death is
/// found by one of the next passes.
const RECENT: Duration = Duration::from_hours(3);

impl Pass<'_> {
    /// Locks segments that are still where their worker put them and have no lock.
    pub(super) async fn locks(&mut self) -> Result<(), EnforceError> {
        let live = SegmentFilter { tombstoned: Some(false), ..SegmentFilter::default() };
        for segment in self.lake.ledger.segments(&live) {
            let old = is_past(segment.committed_ms, RECENT, self.order.now_ms);
            if old && !self.order.habits.sweep || segment.place().object != segment.fact.object {
                continue;
            }
            match self.lock_missing(&segment).await {
                Ok(true) => self.done.locked.push(segment.fact.id.clone()),
                Ok(false) => {}
                Err(error) => self.problem(&format!("locking segment {}", segment.fact.id), &error),
            }
        }
        Ok(())
    }

    /// Locks a segment if its class asks for it and it has no lock; true if it did.
    async fn lock_missing(&self, segment: &SegmentState) -> Result<bool, LakeError> {
        let place = segment.place();
        let Some(class) = self.class(&segment.fact.retention) else { return Ok(false) };
        let lock = first_lock(class, self.lake.provider(&place.store)?, segment.committed_ms);
        let Some((mode, until_ms)) = lock.filter(|(_, until_ms)| *until_ms > self.order.now_ms) else {
            return Ok(false);
        };
        let store = self.lake.archive(&place.store)?;
        let head = match store.head(&place.object).await {
            Ok(head) => head,
            // `verify` says what is missing.
            Err(StoreError::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if head.locked_until_ms.is_some() {
            return Ok(false);
        }
        store.lock(&place.object, &head.etag, mode, until_ms).await?;
        Ok(true)
    }
}
