//! Locks that are missing: of segments whose worker died between committing and locking them, and of
//! classes that got their lock later.

use std::time::Duration;

use linchpin_store::StoreError;

use super::{
    EnforceError, Pass, is_past,
    moves::{by_object, lock, newest_ms},
};
use crate::{
    LakeError,
    ledger::{SegmentFilter, SegmentState},
};

/// A pass that does not look at everything looks at what was committed since: a worker's death is
/// found by one of the next passes.
const RECENT: Duration = Duration::from_hours(3);

impl Pass<'_> {
    /// Locks objects that have no lock and whose class asks for one.
    pub(super) async fn locks(&mut self) -> Result<(), EnforceError> {
        let live = SegmentFilter { tombstoned: Some(false), ..SegmentFilter::default() };
        for ((_, object), segments) in by_object(self.lake.ledger.segments(&live)) {
            let old = is_past(newest_ms(&segments), RECENT, self.order.now_ms);
            if old && !self.order.habits.sweep {
                continue;
            }
            match self.lock_missing(&segments).await {
                Ok(true) => self.done.locked.extend(segments.iter().map(|s| s.fact.id.clone())),
                Ok(false) => {}
                Err(error) => self.problem(&format!("locking `{object}`"), &error),
            }
        }
        Ok(())
    }

    /// Locks the object of some segments if their class asks for it and it has no lock; true if it did.
    async fn lock_missing(&self, segments: &[SegmentState]) -> Result<bool, LakeError> {
        let (place, retention) = (segments[0].place(), &segments[0].fact.retention);
        let Some(class) = self.class(retention) else { return Ok(false) };
        let lock = lock(class, self.lake.provider(&place.store)?, &place.tier, newest_ms(segments));
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
