//! `linchpin enforce`: carrying out the policy that is in force.

use anyhow::Result;
use clap::Args;
use linchpin_tiering::enforce::Enforced;
use serde_json::json;

use crate::{
    cli::ConfigArg,
    deployment::Deployment,
    exit::Failure,
    moment::Moment,
    pipeline::enforcement::{Given, PASS_EVERY, SWEEP_EVERY, pass},
};

/// Carry out the policy: pack and move segments, drop hot days, delete what is over.
///
/// Runs only under a policy that was applied. What a legal hold is on stays, and so does what an output
/// has not passed. A segment is deleted a week after it was marked for it. Without `--once` it makes a
/// pass every hour until it is stopped, as a service (`linchpin run`) does by itself.
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
        let signer = deployment.signer()?;
        for n in 0_u64.. {
            let sweep = n.is_multiple_of(SWEEP_EVERY);
            let given = Given { now_ms: args.now.map(|now| now.0), any_volume: args.any_volume, sweep };
            let done = pass(&deployment, &lake, &signer, given).await;
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

fn say(args: &EnforceArgs, done: &Enforced) -> Result<()> {
    if args.json {
        println!("{}", as_json(done));
    } else {
        done.hot.iter().for_each(|(class, day)| println!("hot day dropped: {class} {day}"));
        for (output, id) in &done.gaps {
            println!("moved before `{output}` has passed it, a replay needs a restore: {id}");
        }
        done.locked.iter().for_each(|id| println!("segment was without its lock, and is locked: {id}"));
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

fn as_json(done: &Enforced) -> serde_json::Value {
    let day = |(class, day): &(String, jiff::civil::Date)| json!({ "class": class, "day": day.to_string() });
    let gap = |(output, segment): &(String, String)| json!({ "output": output, "segment": segment });
    json!({
        "hot_expired": done.hot.iter().map(day).collect::<Vec<_>>(),
        "repacked": done.repacked,
        "moved": done.moved,
        "locked": done.locked,
        "freed": done.freed,
        "gaps": done.gaps.iter().map(gap).collect::<Vec<_>>(),
        "tombstoned": done.tombstoned,
        "deleted": done.deleted,
        "problems": done.problems,
    })
}
