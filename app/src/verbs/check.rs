//! `linchpin check`: the configuration, without touching the stores it names.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use linchpin_tiering::policy::{self, DEMANDS};

use crate::{deployment::Deployment, exit::Failure, rails, table::Table};

/// Check a configuration: keys, units, names, SQL predicates against the real columns, guard rails.
///
/// Every fault is reported as `file:line:col` with the offending text and a hint; exit code 2. What is
/// allowed but hardly meant (a stay that is shorter than what is paid for, a move that does not wait for
/// an output) is a warning; exit code 1.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin check -c linchpin.yaml\n  linchpin check --schema > linchpin.schema.json\n  linchpin check --regulations"
)]
pub(crate) struct CheckArgs {
    /// Configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", required_unless_present_any = ["schema", "regulations"])]
    pub config: Option<PathBuf>,
    /// Print the JSON Schema of the configuration, for editors
    #[arg(long, conflicts_with = "config")]
    pub schema: bool,
    /// Print what the regulations ask for that `retention.regulations` can name
    #[arg(long, conflicts_with_all = ["config", "schema"])]
    pub regulations: bool,
}

pub(crate) fn run(args: &CheckArgs) -> Result<()> {
    if args.regulations {
        regulations();
        return Ok(());
    }
    let Some(path) = &args.config else {
        println!("{:#}", linchpin_config::schema());
        return Ok(());
    };
    let deployment = Deployment::load(path)?;
    rails::refuse_shortfalls(&deployment)?;
    let warnings = rails::warnings(&deployment)?;
    let config = &deployment.config;
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    println!("{}: {}", path.display(), if warnings.is_empty() { "ok" } else { "ok, with warnings" });
    println!("  feeds:   {}", list(config.feeds.value.iter().map(|f| f.name.value.as_str()).collect()));
    println!("  classes: {}", list(config.retention.classes.value.names().collect()));
    println!("  rules:   {}", config.retention.rules.value.len());
    println!("  outputs: {}", list(config.outputs.iter().map(|o| o.name.value.as_str()).collect()));
    let presets = config.retention.regulations.iter().map(|r| policy::demand(r.value.preset).name);
    let presets: Vec<&str> = presets.collect();
    if !presets.is_empty() {
        println!("  keeps to: {}", presets.join(", "));
    }
    if warnings.is_empty() {
        return Ok(());
    }
    Err(Failure::problem(anyhow!("{} warnings\n\n{}", warnings.len(), warnings.join("\n\n"))))
}

fn regulations() {
    let mut table = Table::new(["PRESET", "REGULATION", "HOT DAYS", "KEPT DAYS", "WHERE IT SAYS SO"]);
    for demand in &DEMANDS {
        table.row([
            demand.name.to_owned(),
            demand.title.to_owned(),
            demand.hot_days.to_string(),
            demand.total_days.to_string(),
            demand.source.to_owned(),
        ]);
    }
    print!("{table}");
}
