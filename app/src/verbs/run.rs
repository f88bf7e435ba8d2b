//! `linchpin run`: the pipeline.

use anyhow::Result;
use clap::Args;

use crate::{cli::ConfigArg, deployment::Deployment, pipeline, progress::Progress, requests};

/// Take logs in: normalise, archive, keep searchable, deliver.
///
/// A service that stops on SIGTERM, or with `--once` a run that drains all feeds and lanes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin run -c linchpin.yaml --once --json")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Drain all feeds and lanes, then exit
    #[arg(long)]
    pub once: bool,
    /// Print one summary as JSON
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let progress = Progress::new();
    let show = |s: &pipeline::Summary| {
        let seconds = s.seconds.max(0.001);
        progress.say(&format!(
            "{} units, {} events, {:.1} MB raw, {:.1} MB/s",
            s.units,
            s.raw_events,
            s.raw_bytes as f64 / 1e6,
            s.raw_bytes as f64 / 1e6 / seconds
        ));
    };
    let summary =
        if args.once { pipeline::run_once(deployment, show)? } else { pipeline::serve(deployment, show)? };
    progress.done();
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!(
            "{} units, {} raw events, {} rows, {} rejects\n{} bytes raw, {} archived in {} segments, {} hot, {:.1} s",
            summary.units,
            summary.raw_events,
            summary.events,
            summary.rejects,
            summary.raw_bytes,
            summary.archived_bytes,
            summary.segments,
            summary.hot_bytes,
            summary.seconds
        );
        print!("{}", requests::as_table(&summary.requests));
    }
    Ok(())
}
