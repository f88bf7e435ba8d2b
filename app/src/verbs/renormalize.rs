//! `linchpin renormalize`: hot rows made again from the archive, by today's mappings.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use linchpin_normalize::Normalizer;
use linchpin_tiering::renormalize::{self, RenormalizeError, Report, Request};

use super::{rehydrate::compile, search::LimitArgs};
use crate::{
    cli::ConfigArg,
    deployment::Deployment,
    exit::Failure,
    jobs,
    moment::Moment,
    table::{self, Table},
};

/// Make hot rows again from the archive, by today's mappings.
///
/// Says first, column by column, what would differ. With `--yes` the rows are then exchanged in one
/// commit: whoever searches sees all old rows or all new ones. Retention classes stay as they are, and
/// outputs are not told.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin renormalize -c linchpin.yaml --where \"true\" --source aws.cloudtrail --from -30d\n  linchpin renormalize -c linchpin.yaml --where \"true\" --source aws.cloudtrail --from -30d --yes"
)]
pub(crate) struct RenormalizeArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// SQL predicate over the rows as they are
    #[arg(long = "where", value_name = "PREDICATE")]
    pub predicate: String,
    /// Only events that were read as this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Events of this time or later: RFC 3339, a date, `-7d` or `now`
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<Moment>,
    /// Events before this time
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<Moment>,
    /// Exchange the rows
    #[arg(long)]
    pub yes: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

pub(crate) fn run(args: &RenormalizeArgs) -> Result<()> {
    let own = compile(&args.predicate)?;
    let predicate = match &args.source {
        None => own,
        Some(source) => {
            compile(&format!("({}) AND source = '{}'", args.predicate, source.replace('\'', "''")))?
        }
    };
    let deployment = Deployment::load(&args.config.config)?;
    let period = args.from.map_or(i64::MIN, |t| t.0)..args.to.map_or(i64::MAX, |t| t.0);
    let request = Request { predicate, period, limits: args.limits.limits() };
    super::runtime()?.block_on(async {
        let lake = if args.yes { deployment.lake_to_write().await? } else { deployment.lake().await? };
        let mut normalizer = Normalizer::new(Arc::clone(&deployment.catalog));
        let prepared = renormalize::prepare(&lake, &request, &mut normalizer, args.yes, &jobs::user()).await;
        let prepared = prepared.map_err(failure)?;
        if args.json {
            println!("{}", serde_json::to_string(&prepared.report)?);
        } else {
            print(&prepared.report)?;
        }
        let same = prepared.report.columns.is_empty()
            && prepared.report.rows_same == prepared.report.rows_before
            && prepared.report.rows_before == prepared.report.rows_after;
        if same {
            eprintln!("nothing differs");
            prepared.discard(&lake).await;
            return Ok(());
        }
        if args.yes {
            let rows = prepared.replace(&lake, jobs::now_ms()).await.map_err(failure)?;
            eprintln!("{} rows exchanged", table::count(rows));
        } else {
            eprintln!("nothing was changed; `--yes` exchanges the rows");
        }
        Ok(())
    })
}

fn print(report: &Report) -> Result<()> {
    println!(
        "{} events: {} rows before, {} after, {} the same in every column",
        table::count(report.events),
        table::count(report.rows_before),
        table::count(report.rows_after),
        table::count(report.rows_same),
    );
    let mut columns = Table::new(["COLUMN", "CHANGED", "ADDED", "REMOVED", "EXAMPLE"]);
    for found in &report.columns {
        let (event, before, after) = &found.example;
        columns.row([
            found.column.clone(),
            table::count(found.changed),
            table::count(found.added),
            table::count(found.removed),
            format!("{before} -> {after} (event {event})"),
        ]);
    }
    columns.print(&mut std::io::stdout())?;
    Ok(())
}

fn failure(error: RenormalizeError) -> anyhow::Error {
    match error {
        RenormalizeError::TooMany => Failure::usage(error),
        RenormalizeError::Archived(_) | RenormalizeError::NoSegment(_) | RenormalizeError::Archive(_) => {
            Failure::problem(error)
        }
        other => Failure::environment(anyhow!(other)),
    }
}
