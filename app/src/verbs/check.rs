//! `linchpin check`: the configuration, without touching anything it names.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::deployment::Deployment;

/// Check a configuration: keys, units, names, SQL predicates against the real columns.
///
/// Every fault is reported as `file:line:col` with the offending text and a hint; exit code 2.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin check -c linchpin.yaml\n  linchpin check --schema > linchpin.schema.json"
)]
pub(crate) struct CheckArgs {
    /// Configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", required_unless_present = "schema")]
    pub config: Option<PathBuf>,
    /// Print the JSON Schema of the configuration, for editors
    #[arg(long, conflicts_with = "config")]
    pub schema: bool,
}

pub(crate) fn run(args: &CheckArgs) -> Result<()> {
    let Some(path) = &args.config else {
        println!("{:#}", linchpin_config::schema());
        return Ok(());
    };
    let config = Deployment::load(path)?.config;
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    println!("{}: ok", path.display());
    println!("  feeds:   {}", list(config.feeds.value.iter().map(|f| f.name.value.as_str()).collect()));
    println!("  classes: {}", list(config.retention.classes.value.names().collect()));
    println!("  rules:   {}", config.retention.rules.value.len());
    println!("  outputs: {}", list(config.outputs.iter().map(|o| o.name.value.as_str()).collect()));
    Ok(())
}
