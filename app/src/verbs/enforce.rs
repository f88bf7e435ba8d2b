//! `linchpin enforce` and `linchpin apply`: letting go of what is due, and the policy that says so.

use anyhow::{Result, anyhow};
use clap::Args;
use linchpin_tiering::{
    Lake, LakeError,
    enforce::{self, EnforceError, Enforced},
};
use serde_json::json;

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, moment::Moment};

/// Let go of what is due: hot days, then archived segments.
///
/// Runs only under a policy that was applied. A segment that an output has not passed stays. A
/// segment is deleted a week after it was marked for it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin enforce -c linchpin.yaml --once")]
pub(crate) struct EnforceArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Make one pass, then exit
    #[arg(long)]
    pub once: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
    /// Take this for the present
    #[arg(long, value_name = "T", hide = true, allow_hyphen_values = true)]
    pub now: Option<Moment>,
}

/// Put the retention policy of the configuration in force.
///
/// Deletion runs only under a policy that was applied; the ledger keeps who applied which one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin apply -c linchpin.yaml")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub config: ConfigArg,
}

pub(crate) fn run(args: &EnforceArgs) -> Result<()> {
    if !args.once {
        return Err(Failure::usage(anyhow!(
            "a pass needs `--once`\nhint: for passes on a schedule, run it from a timer"
        )));
    }
    let deployment = Deployment::load(&args.config.config)?;
    let (_, hash) = deployment.policy_text();
    let now = args.now.unwrap_or_else(|| Moment(jiff::Timestamp::now().as_millisecond()));
    let done = super::runtime()?.block_on(async {
        let lake = deployment.lake_to_write().await?;
        let passed = async |worker: &str, seq: u64| passed(&deployment, &lake, worker, seq).await;
        let done = enforce::once(&lake, deployment.policy.classes(), hash, now.0, passed).await;
        done.map_err(|error| match error {
            EnforceError::NotApplied => Failure::usage(error),
            other => Failure::environment(other),
        })
    })?;
    if args.json {
        println!("{}", as_json(&done));
        return Ok(());
    }
    done.hot.iter().for_each(|(class, day)| println!("hot day dropped: {class} {day}"));
    done.tombstoned.iter().for_each(|id| println!("segment marked for deletion: {id}"));
    done.deleted.iter().for_each(|id| println!("segment deleted: {id}"));
    println!(
        "{} hot days dropped, {} segments marked for deletion, {} deleted",
        done.hot.len(),
        done.tombstoned.len(),
        done.deleted.len()
    );
    Ok(())
}

/// Whether every output has delivered this epoch.
async fn passed(deployment: &Deployment, lake: &Lake, worker: &str, seq: u64) -> Result<bool, LakeError> {
    for output in &deployment.config.outputs {
        match lake.cursor(output.name.value.as_str(), worker).await? {
            Some((cursor, _)) if cursor.seq >= seq => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn as_json(done: &Enforced) -> serde_json::Value {
    let day = |(class, day): &(String, jiff::civil::Date)| json!({ "class": class, "day": day.to_string() });
    json!({
        "hot_expired": done.hot.iter().map(day).collect::<Vec<_>>(),
        "tombstoned": done.tombstoned,
        "deleted": done.deleted,
    })
}

pub(crate) fn apply(args: &ApplyArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let (text, hash) = deployment.policy_text();
    let who = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let who = who.unwrap_or_else(|| "unknown".to_owned());
    let new = super::runtime()?.block_on(async {
        let lake = deployment.lake_to_write().await?;
        enforce::apply(&lake, &text, hash, &who).await.map_err(Failure::environment)
    })?;
    println!(
        "the policy of {} is {}",
        args.config.config.display(),
        if new { "now in force" } else { "in force already" }
    );
    Ok(())
}
