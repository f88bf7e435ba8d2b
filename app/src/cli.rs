//! The command line: one row a verb; help, usage and completions derive from it.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::verbs;

/// Multi-cloud security-log pipeline: raw logs in, OCSF hot and searchable, the exact bytes archived
/// at the price their risk allows, all of it back on demand.
#[derive(Debug, Parser)]
#[command(
    name = "linchpin",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Say more on standard error (twice: debug)
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    #[command(subcommand)]
    pub verb: Verb,
}

/// The configuration file of a verb.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArg {
    /// Configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: PathBuf,
}

/// What linchpin can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(verbs::run::RunArgs),
    Normalize(verbs::normalize::NormalizeArgs),
    Sources(verbs::sources::SourcesArgs),
    Drift(verbs::drift::DriftArgs),
    Search(verbs::search::SearchArgs),
    Rehydrate(verbs::rehydrate::RehydrateArgs),
    Jobs(verbs::jobs::JobsArgs),
    Renormalize(verbs::renormalize::RenormalizeArgs),
    Verify(verbs::verify::VerifyArgs),
    Status(verbs::status::StatusArgs),
    Check(verbs::check::CheckArgs),
    Doctor(verbs::doctor::DoctorArgs),
    Enforce(verbs::enforce::EnforceArgs),
    Hold(verbs::hold::HoldArgs),
    Explain(verbs::explain::ExplainArgs),
    Plan(verbs::plan::PlanArgs),
    Apply(verbs::apply::ApplyArgs),
    Lifecycle(verbs::lifecycle::LifecycleArgs),
    Generate(verbs::generate::GenerateArgs),
    Demo(verbs::demo::DemoArgs),
    Completions(verbs::completions::CompletionsArgs),
    Man(verbs::man::ManArgs),
}
