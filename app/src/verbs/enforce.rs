//! `linchpin enforce`: carrying out the policy that is in force.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use clap::Args;
use linchpin_tiering::{
    Cursor, Lake, LakeError,
    enforce::{self, EnforceError, Enforced, Habits, Order, Passed},
    ledger::SegmentState,
    signing::Signer,
};
use serde_json::json;

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, moment::Moment};

/// Time between two passes.
const PASS_EVERY: Duration = Duration::from_hours(1);
/// Passes of which one looks for orphans.
const SWEEP_EVERY: u64 = 24;

/// Carry out the policy: pack and move segments, drop hot days, delete what is over.
///
/// Runs only under a policy that was applied. What a legal hold is on stays, and so does what an output
/// has not passed. A segment is deleted a week after it was marked for it. Without `--once` it makes a
/// pass every hour until it is stopped.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin enforce -c linchpin.yaml --once")]
pub(crate) struct EnforceArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Make one pass, then exit
    #[arg(long)]
    pub once: bool,
    /// Let more than twice the usual volume be marked for deletion
    #[arg(long)]
    pub any_volume: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
    /// Take this for the present
    #[arg(long, value_name = "T", hide = true, allow_hyphen_values = true)]
    pub now: Option<Moment>,
}

pub(crate) fn run(args: &EnforceArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    super::runtime()?.block_on(async {
        let lake = deployment.lake_to_write().await?;
        let config = &deployment.config;
        let signer = Signer::open(config.signing.as_ref(), &config.lake).map_err(Failure::environment)?;
        for n in 0_u64.. {
            let done = pass(args, &deployment, &lake, &signer, n % SWEEP_EVERY == 0).await;
            if args.once {
                return say(args, &done?);
            }
            // The next pass may find the store or the clock in order.
            if let Err(error) = done.and_then(|done| say(args, &done)) {
                tracing::error!(error = Failure::shown(&error), "a pass did not do everything");
            }
            tokio::select! {
                () = tokio::time::sleep(PASS_EVERY) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
        Ok(())
    })
}

async fn pass(
    args: &EnforceArgs,
    deployment: &Deployment,
    lake: &Lake,
    signer: &Signer,
    sweep: bool,
) -> Result<Enforced> {
    let (_, policy) = deployment.policy_text();
    let dated_ms = jiff::Timestamp::now().as_millisecond();
    let now_ms = args.now.map_or(dated_ms, |now| now.0);
    // A present that is given is not the store's.
    let habits =
        Habits { check_clock: args.now.is_none(), any_volume: args.any_volume, sweep, ..Habits::default() };
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

fn say(args: &EnforceArgs, done: &Enforced) -> Result<()> {
    if args.json {
        println!("{}", as_json(done));
    } else {
        done.hot.iter().for_each(|(class, day)| println!("hot day dropped: {class} {day}"));
        for (output, id) in &done.gaps {
            println!("moved before `{output}` has passed it, a replay needs a restore: {id}");
        }
        done.tombstoned.iter().for_each(|id| println!("segment marked for deletion: {id}"));
        done.deleted.iter().for_each(|id| println!("segment deleted: {id}"));
        done.problems.iter().for_each(|problem| println!("not done: {problem}"));
        println!(
            "{} segments packed, {} moved, {} hot days dropped, {} segments marked for deletion, {} deleted",
            done.repacked.len(),
            done.moved.len(),
            done.hot.len(),
            done.tombstoned.len(),
            done.deleted.len()
        );
    }
    match done.problems.len() {
        0 => Ok(()),
        n => Err(Failure::problem(anyhow::anyhow!(
            "{n} things could not be done\nhint: the next pass tries them again"
        ))),
    }
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

fn as_json(done: &Enforced) -> serde_json::Value {
    let day = |(class, day): &(String, jiff::civil::Date)| json!({ "class": class, "day": day.to_string() });
    let gap = |(output, segment): &(String, String)| json!({ "output": output, "segment": segment });
    json!({
        "hot_expired": done.hot.iter().map(day).collect::<Vec<_>>(),
        "repacked": done.repacked,
        "moved": done.moved,
        "freed": done.freed,
        "gaps": done.gaps.iter().map(gap).collect::<Vec<_>>(),
        "tombstoned": done.tombstoned,
        "deleted": done.deleted,
        "problems": done.problems,
    })
}
