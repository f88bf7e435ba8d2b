//! A service carries on the jobs that bring events back.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use linchpin_tiering::jobs::tidy;

use super::{Shared, now_ms};
use crate::jobs;

/// How often jobs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often what finished jobs have left is looked for.
const TIDY_EVERY: Duration = Duration::from_hours(6);

/// Carries on jobs until the service stops. A job that is left half-way is taken up where it was.
pub(super) async fn watch(shared: &Arc<Shared>) {
    tokio::select! {
        () = work(shared) => {}
        () = shared.stopped() => {}
    }
}

async fn work(shared: &Shared) {
    let mut over = BTreeSet::new();
    let mut tidied: Option<tokio::time::Instant> = None;
    loop {
        if let Err(error) = jobs::tick(&shared.deployment, &shared.lake, &mut over).await {
            tracing::warn!(%error, "cannot look at jobs");
        }
        if tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            if let Err(error) = tidy(&shared.lake, now_ms()).await {
                tracing::warn!(%error, "cannot tidy up after jobs");
            }
            tidied = Some(tokio::time::Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
