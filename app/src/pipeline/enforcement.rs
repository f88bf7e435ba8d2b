//! Carries out the policy: once for `linchpin enforce`, every hour in a service.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use linchpin_tiering::{
    Cursor, Lake, LakeError,
    enforce::{self, EnforceError, Enforced, Habits, Order, Passed},
    ledger::SegmentState,
    signing::Signer,
};

use super::{Shared, now_ms};
use crate::{deployment::Deployment, exit::Failure};

/// Time between two passes.
pub(crate) const PASS_EVERY: Duration = Duration::from_hours(1);
/// Passes of which one looks for orphans.
pub(crate) const SWEEP_EVERY: u64 = 24;

/// What may be said of a pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Given {
    /// What to take for the present, epoch milliseconds.
    pub now_ms: Option<i64>,
    /// More than twice the usual volume may be marked for deletion.
    pub any_volume: bool,
    /// Orphans are looked for as well.
    pub sweep: bool,
}

/// Makes a pass every hour until the service stops. Several processes may: what one has done is
/// nothing to do for the next.
pub(super) async fn watch(shared: &Arc<Shared>) {
    let signer = match shared.deployment.signer() {
        Ok(signer) => signer,
        Err(error) => {
            return tracing::error!(error = Failure::shown(&error), "the policy is not carried out");
        }
    };
    tokio::select! {
        () = work(shared, &signer) => {}
        () = shared.stopped() => {}
    }
}

async fn work(shared: &Shared, signer: &Signer) {
    for n in 0_u64.. {
        let given = Given { sweep: n.is_multiple_of(SWEEP_EVERY), ..Given::default() };
        match pass(&shared.deployment, &shared.lake, signer, given).await {
            Ok(done) => tell(&done),
            // The next pass may find the store, the clock or the policy in order.
            Err(error) => tracing::error!(error = Failure::shown(&error), "the policy is not carried out"),
        }
        tokio::time::sleep(PASS_EVERY).await;
    }
}

fn tell(done: &Enforced) {
    if *done != Enforced::default() {
        tracing::info!(
            packed = done.repacked.len(),
            moved = done.moved.len(),
            locked = done.locked.len(),
            hot_days = done.hot.len(),
            marked = done.tombstoned.len(),
            deleted = done.deleted.len(),
            "the policy is carried out"
        );
    }
    for (output, segment) in &done.gaps {
        tracing::warn!(output, segment, "moved before the output has passed it: a replay needs a restore");
    }
    for problem in &done.problems {
        tracing::warn!(problem, "not done");
    }
}

/// Makes one pass.
pub(crate) async fn pass(
    deployment: &Deployment,
    lake: &Lake,
    signer: &Signer,
    given: Given,
) -> Result<Enforced> {
    let (_, policy) = deployment.policy_text();
    let dated_ms = now_ms();
    let now_ms = given.now_ms.unwrap_or(dated_ms);
    let habits = Habits {
        // A present that is given is not the store's.
        check_clock: given.now_ms.is_none(),
        any_volume: given.any_volume,
        sweep: given.sweep,
        ..Habits::default()
    };
    let classes = deployment.policy.classes();
    let order = Order { classes, policy, now_ms, dated_ms, signer: Some(signer), habits };
    lake.ledger.refresh().await.map_err(Failure::environment)?;
    let cursors = cursors(deployment, lake).await.map_err(Failure::environment)?;
    let passed = async |segment: &SegmentState| Ok(passed(deployment, &cursors, segment, now_ms));
    enforce::once(lake, &order, passed).await.map_err(|error| match error {
        EnforceError::NotApplied => Failure::usage(error),
        other => Failure::environment(other),
    })
}

/// Where each output stands in each worker's epochs.
async fn cursors(
    deployment: &Deployment,
    lake: &Lake,
) -> Result<BTreeMap<(String, String), Cursor>, LakeError> {
    let mut cursors = BTreeMap::new();
    for worker in lake.ledger.workers().into_keys() {
        for output in &deployment.config.outputs {
            let name = output.name.value.as_str();
            if let Some((cursor, _)) = lake.cursor(name, &worker).await? {
                cursors.insert((name.to_owned(), worker.clone()), cursor);
            }
        }
    }
    Ok(cursors)
}

/// Whether every output has delivered the epoch of a segment, or may no longer be waited for.
fn passed(
    deployment: &Deployment,
    cursors: &BTreeMap<(String, String), Cursor>,
    segment: &SegmentState,
    now_ms: i64,
) -> Passed {
    let mut late = Vec::new();
    for output in &deployment.config.outputs {
        let name = output.name.value.as_str();
        let cursor = cursors.get(&(name.to_owned(), segment.fact.worker.clone()));
        if cursor.is_some_and(|cursor| cursor.seq >= segment.fact.seq) {
            continue;
        }
        let lag_ms = i64::try_from(output.max_lag.0.as_millis()).unwrap_or(i64::MAX);
        if segment.committed_ms.saturating_add(lag_ms) > now_ms {
            return Passed::NotYet;
        }
        late.push(name.to_owned());
    }
    if late.is_empty() { Passed::All } else { Passed::Late(late) }
}
