//! Lets go of what is due: hot days, and archived segments, by the applied policy.
//!
//! A hot day's expiry is committed to the ledger before its files leave the table, so a question
//! about it is never answered from half of it. A segment is deleted in two steps: tombstoned, and a
//! week later deleted, if nothing speaks against it then. Unknown states keep.

use std::time::Duration;

use jiff::civil::Date;
use linchpin_store::StoreError;

use crate::{
    Lake, LakeError,
    hot::{HotError, due},
    ledger::{AppliedFact, CommitError, Fact, SegmentFilter},
    policy::RetentionClass,
};

/// How long a tombstoned segment waits for its deletion.
pub const TOMBSTONE_WAIT: Duration = Duration::from_hours(7 * 24);

/// What one pass did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// Hot days dropped: (class, day).
    pub hot: Vec<(String, Date)>,
    /// Segments that wait for deletion now.
    pub tombstoned: Vec<String>,
    /// Segments deleted.
    pub deleted: Vec<String>,
}

/// Why a pass stopped.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The policy of the file is not the one that was applied.
    #[error(
        "the retention policy of the configuration was never applied: nothing is deleted under it\nhint: look at it, then run `linchpin apply -c FILE`"
    )]
    NotApplied,
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The hot table failed.
    #[error(transparent)]
    Hot(#[from] HotError),
    /// The ledger could not be told.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records that `who` applied a policy, if it is not the one in force already; whether it was new.
pub async fn apply(lake: &Lake, policy: &str, hash: [u8; 32], who: &str) -> Result<bool, EnforceError> {
    if lake.ledger.applied().is_some_and(|a| a.fact.hash == hash) {
        return Ok(false);
    }
    let fact = AppliedFact { hash, policy: policy.to_owned(), who: who.to_owned() };
    lake.ledger.commit(vec![Fact::Applied(fact)]).await?;
    Ok(true)
}

/// One pass. `hash` is that of the configuration's policy, `passed` says whether every output has
/// passed a segment of (worker, epoch).
pub async fn once(
    lake: &Lake,
    classes: &[RetentionClass],
    hash: [u8; 32],
    now_ms: i64,
    passed: impl AsyncFn(&str, u64) -> Result<bool, LakeError>,
) -> Result<Enforced, EnforceError> {
    lake.ledger.refresh().await.map_err(LakeError::from)?;
    if lake.ledger.applied().is_none_or(|a| a.fact.hash != hash) {
        return Err(EnforceError::NotApplied);
    }
    let mut done = Enforced::default();
    hot(lake, classes, now_ms, &mut done).await?;
    tombstone(lake, classes, now_ms, &passed, &mut done).await?;
    delete(lake, now_ms, &mut done).await?;
    Ok(done)
}

async fn hot(
    lake: &Lake,
    classes: &[RetentionClass],
    now_ms: i64,
    done: &mut Enforced,
) -> Result<(), EnforceError> {
    let known = lake.ledger.hot_expired();
    let due: Vec<(String, Date)> = due(lake.hot.stats().await?.keys(), classes, now_ms);
    let facts: Vec<Fact> = due
        .iter()
        .filter(|partition| !known.contains(*partition))
        .map(|(class, day)| Fact::HotExpired { class: class.clone(), day: *day })
        .collect();
    if !facts.is_empty() {
        lake.ledger.commit(facts).await?;
    }
    if !due.is_empty() {
        done.hot = lake.hot.expire(classes, now_ms).await?;
    }
    Ok(())
}

async fn tombstone(
    lake: &Lake,
    classes: &[RetentionClass],
    now_ms: i64,
    passed: &impl AsyncFn(&str, u64) -> Result<bool, LakeError>,
    done: &mut Enforced,
) -> Result<(), EnforceError> {
    let live = SegmentFilter { tombstoned: Some(false), ..SegmentFilter::default() };
    for segment in lake.ledger.segments(&live) {
        let class = classes.iter().find(|c| c.name == segment.fact.retention);
        // A class that the policy no longer has says nothing about expiry: keep.
        let Some(class) = class else { continue };
        if is_past(segment.committed_ms, class.expire, now_ms)
            && passed(&segment.fact.worker, segment.fact.seq).await?
        {
            done.tombstoned.push(segment.fact.id.clone());
        }
    }
    if !done.tombstoned.is_empty() {
        let facts = done.tombstoned.iter().map(|id| Fact::Tombstoned { segment: id.clone() }).collect();
        lake.ledger.commit(facts).await?;
    }
    Ok(())
}

async fn delete(lake: &Lake, now_ms: i64, done: &mut Enforced) -> Result<(), EnforceError> {
    let waiting = SegmentFilter { tombstoned: Some(true), ..SegmentFilter::default() };
    for segment in lake.ledger.segments(&waiting) {
        let since = segment.tombstoned_ms.unwrap_or(i64::MAX);
        if !is_past(since, TOMBSTONE_WAIT, now_ms) {
            continue;
        }
        let store = lake.archive(&segment.fact.store)?;
        match store.head(&segment.fact.object).await {
            Ok(head) if head.size == segment.fact.stored_bytes => {
                store.delete_if(&segment.fact.object, &head.etag).await?;
            }
            // It is not what was archived: somebody must look, nobody deletes.
            Ok(_) => {
                tracing::warn!(segment = segment.fact.id, "segment differs from the ledger and is kept");
                continue;
            }
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        done.deleted.push(segment.fact.id.clone());
    }
    if !done.deleted.is_empty() {
        let facts = done.deleted.iter().map(|id| Fact::Deleted { segment: id.clone() }).collect();
        lake.ledger.commit(facts).await?;
    }
    Ok(())
}

fn is_past(since_ms: i64, wait: Duration, now_ms: i64) -> bool {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    since_ms.saturating_add(wait) <= now_ms
}
