//! Lists one feed, asks the ledger what is new, and queues it.

use std::sync::Arc;

use crossbeam_channel::Sender;
use linchpin_ingest::Candidate;
use linchpin_normalize::{UnitId, UnitKey};
use linchpin_tiering::ledger::COMPLETE_START;

use super::{Job, LIST_EVERY, PART_BYTES, Shared};

/// Candidates asked for at once.
const PAGE: usize = 1024;
/// Most that compressed bytes inflate to before they are quarantined; decides which objects may
/// have several parts.
const RATIO_MAX: u64 = 200;

/// Whether an object of that size may be cut into parts.
pub(super) fn may_have_parts(size: u64) -> bool {
    size.saturating_mul(RATIO_MAX) > PART_BYTES as u64
}

/// The key by which the ledger knows that all of an object is consumed.
pub(super) fn object_key(candidate: &Candidate) -> UnitKey {
    let start = if may_have_parts(candidate.size) { COMPLETE_START } else { 0 };
    UnitId { object: Arc::clone(&candidate.object), start, end: start }.key()
}

/// Lists a feed until it is drained, or until the service stops.
pub(super) async fn list(shared: &Shared, feed: usize, jobs: &Sender<Job>) {
    let open = &shared.feeds[feed];
    while !shared.stopping() {
        match open.source.next(PAGE).await {
            Ok(page) if page.is_empty() => {
                if shared.once {
                    return;
                }
                wait(shared).await;
                if let Err(error) = shared.lake.ledger.refresh().await {
                    tracing::warn!(feed = %open.feed.name, %error, "cannot read the ledger");
                }
            }
            Ok(page) => {
                if !queue(shared, feed, page, jobs).await {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(feed = %open.feed.name, %error, "cannot list the feed");
                shared.totals.failed.fetch_add(u64::from(shared.once), std::sync::atomic::Ordering::Relaxed);
                if shared.once {
                    return;
                }
                wait(shared).await;
            }
        }
    }
}

async fn wait(shared: &Shared) {
    let until = tokio::time::Instant::now() + LIST_EVERY;
    while !shared.stopping() && tokio::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Queues the new ones of a page; false when nobody takes them any more.
async fn queue(shared: &Shared, feed: usize, page: Vec<Candidate>, jobs: &Sender<Job>) -> bool {
    let keys: Vec<UnitKey> = page.iter().map(object_key).collect();
    let unknown = loop {
        match shared.lake.ledger.unknown(&keys).await {
            Ok(unknown) => break unknown,
            Err(error) => {
                tracing::warn!(%error, "cannot ask the ledger what is new");
                wait(shared).await;
                if shared.stopping() {
                    return false;
                }
            }
        }
    };
    let mut fresh: Vec<Job> = Vec::new();
    for ((candidate, key), unknown) in page.into_iter().zip(keys).zip(unknown) {
        if unknown && shared.in_flight().insert(key) {
            fresh.push(Job { feed, candidate, key });
        } else if let (false, Some(lease)) = (unknown, candidate.lease)
            && let Err(error) =
                shared.feeds[feed].source.settle(lease, linchpin_ingest::Outcome::Committed).await
        {
            tracing::warn!(%error, "cannot acknowledge an object that is known");
        }
    }
    // Processes that list the same folder start at different places, and seldom meet.
    fastrand::shuffle(&mut fresh);
    for job in fresh {
        let mut job = job;
        loop {
            match jobs.try_send(job) {
                Ok(()) => break,
                Err(crossbeam_channel::TrySendError::Full(back)) => {
                    if shared.stopping() {
                        return false;
                    }
                    job = back;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Err(crossbeam_channel::TrySendError::Disconnected(_)) => return false,
            }
        }
    }
    true
}
