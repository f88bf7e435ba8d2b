//! `linchpin jobs`: what is being brought back.

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use linchpin_tiering::jobs::{Approval, Job, JobError, Jobs, PartState};
use serde_json::json;

use super::rehydrate::{budget, finish};
use crate::{
    cli::ConfigArg,
    deployment::Deployment,
    exit::Failure,
    jobs::{self, amount},
    table::{self, Table},
};

/// Show the jobs that bring events back, go on with one, or stop one.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin jobs -c linchpin.yaml\n  linchpin jobs -c linchpin.yaml resume 01K0EXAMPLEJOB000000000000 --budget 25"
)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What is done with a job.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show one job, with what went wrong
    Show {
        /// Its id
        id: String,
    },
    /// Go on with a job, until it is over
    Resume {
        /// Its id
        id: String,
        /// Raise what is approved to this amount in all, in the price book's currency
        #[arg(long, value_name = "AMOUNT", value_parser = budget)]
        budget: Option<u64>,
        /// Return when only waiting is left
        #[arg(long)]
        detach: bool,
    },
    /// Stop a job; restores that have begun are not given back
    Cancel {
        /// Its id
        id: String,
    },
}

pub(crate) fn run(args: &JobsArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    super::runtime()?.block_on(async {
        let writes = matches!(args.action, Some(Action::Resume { .. } | Action::Cancel { .. }));
        let lake = if writes { deployment.lake_to_write().await? } else { deployment.lake().await? };
        let store = Jobs::of(&lake);
        let load = async |id: &str| store.load(id).await.map(|held| held.job).map_err(jobs::failure);
        match &args.action {
            None => list(&store.list().await.map_err(jobs::failure)?, args.json),
            Some(Action::Show { id }) => {
                show(&load(id).await?, args.json);
                Ok(())
            }
            Some(Action::Resume { id, budget, detach }) => {
                let (book, job) = (jobs::book(&deployment)?, load(id).await?);
                if let Some(budget) = *budget {
                    let old = job.approval.as_ref();
                    let old = old.ok_or_else(|| Failure::usage(anyhow!("job `{id}` was never approved")))?;
                    let at_ms = jobs::now_ms();
                    let approval = Approval { by: jobs::user(), at_ms, budget, ..old.clone() };
                    jobs::approve(&lake, &book, id, approval).await?;
                }
                let hurry = |job: &mut Job| -> Result<(), JobError> {
                    job.hurry();
                    Ok(())
                };
                store.change(id, jobs::now_ms(), hurry).await.map_err(jobs::failure)?;
                finish(&jobs::run(&deployment, &lake, &book, id, *detach).await?)
            }
            Some(Action::Cancel { id }) => {
                let stop = |job: &mut Job| -> Result<(), JobError> {
                    job.cancelled = true;
                    Ok(())
                };
                let job = store.change(id, jobs::now_ms(), stop).await.map_err(jobs::failure)?;
                println!("{}", jobs::state(&job));
                Ok(())
            }
        }
    })
}

fn list(all: &[Job], as_json: bool) -> Result<()> {
    if as_json {
        println!("{}", serde_json::Value::from(all.iter().map(summary).collect::<Vec<_>>()));
        return Ok(());
    }
    let mut rows =
        Table::new(["JOB", "MADE", "PHASE", "OBJECTS", "DELIVERED", "EVENTS", "COMMITTED", "BUDGET", "TO"]);
    for job in all {
        rows.row([
            job.id.clone(),
            table::moment(job.created_ms),
            job.phase().to_string(),
            table::count(job.count(|s| !matches!(s, PartState::Moved)) as u64),
            table::count(job.count(|s| matches!(s, PartState::Delivered | PartState::Served)) as u64),
            table::count(job.events),
            amount(job.committed, &job.currency),
            job.approval.as_ref().map_or_else(|| "-".to_owned(), |a| amount(a.budget, &job.currency)),
            job.order.destination.to_string(),
        ]);
    }
    rows.print(&mut std::io::stdout())?;
    Ok(())
}

fn summary(job: &Job) -> serde_json::Value {
    let count = |of: fn(&PartState) -> bool| job.count(of);
    json!({
        "id": job.id,
        "created": table::rfc3339(job.created_ms),
        "updated": table::rfc3339(job.updated_ms),
        "phase": job.phase(),
        "predicate": job.order.predicate,
        "destination": job.order.destination.to_string(),
        "objects": {
            "total": count(|s| !matches!(s, PartState::Moved)),
            "archived": count(|s| matches!(s, PartState::Archived)),
            "restoring": count(|s| matches!(s, PartState::Asked { .. } | PartState::Restoring { .. })),
            "delivered": count(|s| matches!(s, PartState::Delivered | PartState::Served)),
            "lost": count(|s| matches!(s, PartState::Lost { .. })),
        },
        "events": job.events,
        "bytes_read": job.bytes_read,
        "restores": job.restores,
        "currency": job.currency,
        "committed": job.committed as f64 / 1e6,
        "budget": job.approval.as_ref().map(|a| a.budget as f64 / 1e6),
        "approved_by": job.approval.as_ref().map(|a| &a.by),
        "trouble": job.trouble,
    })
}

fn show(job: &Job, as_json: bool) {
    let lost = job.parts.iter().filter_map(|part| match &part.state {
        PartState::Lost { why } => Some((part, why)),
        _ => None,
    });
    if as_json {
        let mut all = summary(job);
        all["lost"] = lost
            .map(|(part, why)| json!({ "object": part.object, "segments": part.segments, "why": why }))
            .collect();
        println!("{all}");
        return;
    }
    println!("{}", jobs::state(job));
    println!("  where: {}", job.order.predicate);
    println!("  to: {}", job.order.destination);
    println!("  committed: {}", amount(job.committed, &job.currency));
    if let Some(approval) = &job.approval {
        let budget = amount(approval.budget, &job.currency);
        println!("  approved: {budget} by {} at {}", approval.by, table::moment(approval.at_ms));
    }
    if let Some(trouble) = &job.trouble {
        println!("  last trouble: {trouble}");
    }
    for (part, why) in lost {
        println!("  lost: {} ({} segments): {why}", part.object, part.segments.len());
    }
}
