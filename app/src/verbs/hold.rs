//! `linchpin hold`: legal holds, which no policy overrides.

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};
use linchpin_tiering::{
    hold::{self, Asked, HoldError},
    ledger::HoldState,
};
use serde_json::json;

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, moment::Moment};

/// Keep what a case asks for until it is settled.
///
/// A hold beats every expiry of archived events. Where hot rows have expired it covers every segment
/// that could hold what is asked for. Stores that know holds of their own get them as well.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin hold add -c linchpin.yaml --case 2026-7 --where \"src_endpoint_ip = '192.0.2.1'\"\n  linchpin hold release -c linchpin.yaml --case 2026-7 --reason \"settled\""
)]
pub(crate) struct HoldArgs {
    #[command(subcommand)]
    pub verb: HoldVerb,
}

/// What is done with holds.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldVerb {
    /// Place a hold, or add to that of the same case
    Add(AddArgs),
    /// Show the holds in force
    List(ListArgs),
    /// Take the hold of a case away
    Release(ReleaseArgs),
}

/// A hold to place.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Name of the case
    #[arg(long, value_name = "ID")]
    pub case: String,
    /// What to keep: an SQL predicate over the linchpin columns
    #[arg(long = "where", value_name = "PREDICATE")]
    pub predicate: String,
    /// Events from this time on
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<Moment>,
    /// Events before this time; without it, also those that are still to come
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<Moment>,
    /// Print what is kept as JSON
    #[arg(long)]
    pub json: bool,
}

/// Which holds to show.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// A hold to take away.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Name of the case
    #[arg(long, value_name = "ID")]
    pub case: String,
    /// Why; the ledger keeps it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

pub(crate) fn run(args: &HoldArgs) -> Result<()> {
    match &args.verb {
        HoldVerb::Add(args) => add(args),
        HoldVerb::List(args) => list(args),
        HoldVerb::Release(args) => release(args),
    }
}

fn add(args: &AddArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let asked = Asked {
        case: args.case.clone(),
        predicate: args.predicate.clone(),
        from_ms: args.from.map(|from| from.0),
        to_ms: args.to.map(|to| to.0),
        by: who(),
    };
    let placed = super::runtime()?.block_on(async {
        let lake = deployment.lake_to_write().await?;
        hold::add(&lake, &asked, now_ms()).await.map_err(failure)
    })?;
    if args.json {
        println!(
            "{}",
            json!({
                "case": asked.case,
                "certain": placed.certain,
                "possible": placed.possible,
                "problems": placed.problems.iter().map(|(what, why)| format!("{what}: {why}")).collect::<Vec<_>>(),
            })
        );
    } else {
        println!("{} segments hold such events and are kept", placed.certain.len());
        if !placed.possible.is_empty() {
            println!(
                "{} more could hold them and are kept: their rows are not (all) in the hot table to say",
                placed.possible.len()
            );
        }
        placed
            .problems
            .iter()
            .for_each(|(what, why)| println!("the ledger keeps it, but {what} failed: {why}"));
    }
    Ok(())
}

fn list(args: &ListArgs) -> Result<()> {
    let holds = opened(&args.config.config)?;
    if args.json {
        println!("{}", json!(holds.iter().map(as_json).collect::<Vec<_>>()));
        return Ok(());
    }
    for hold in &holds {
        let time = |ms: Option<i64>, open: &str| ms.map_or_else(|| open.to_owned(), moment);
        println!(
            "{}: {} segments since {} by {}: events from {} to {} where {}",
            hold.case,
            hold.segments.len(),
            moment(hold.at_ms),
            hold.by,
            time(hold.from_ms, "the beginning"),
            time(hold.to_ms, "now on"),
            hold.predicate
        );
    }
    if holds.is_empty() {
        println!("no hold is in force");
    }
    Ok(())
}

fn opened(config: &Path) -> Result<Vec<HoldState>> {
    let deployment = Deployment::load(config)?;
    super::runtime()?.block_on(async { Ok(hold::list(&deployment.lake().await?)) })
}

fn release(args: &ReleaseArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let problems = super::runtime()?.block_on(async {
        let lake = deployment.lake_to_write().await?;
        hold::release(&lake, &args.case, &args.reason, &who(), now_ms()).await.map_err(failure)
    })?;
    println!("the hold of the case `{}` is released; the policy decides again", args.case);
    for (what, why) in problems {
        println!("but {what} is still there: {why}");
    }
    Ok(())
}

fn failure(error: HoldError) -> anyhow::Error {
    match error {
        HoldError::Predicate(_) | HoldError::NoCase(_) => Failure::usage(error),
        other => Failure::environment(other),
    }
}

fn as_json(hold: &HoldState) -> serde_json::Value {
    json!({
        "case": hold.case,
        "where": hold.predicate,
        "from": hold.from_ms.map(moment),
        "to": hold.to_ms.map(moment),
        "segments": hold.segments.len(),
        "since": moment(hold.at_ms),
        "by": hold.by,
    })
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn who() -> String {
    let names = ["USER", "LOGNAME", "USERNAME"];
    names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "unknown".to_owned())
}
