//! The verbs, one file each.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod drift;
pub(crate) mod enforce;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod hold;
pub(crate) mod jobs;
pub(crate) mod lifecycle;
pub(crate) mod man;
pub(crate) mod normalize;
pub(crate) mod plan;
pub(crate) mod rehydrate;
pub(crate) mod renormalize;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod sources;
pub(crate) mod status;
pub(crate) mod verify;

use std::io;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

use crate::{cli::Verb, exit::Failure};

/// Runs a verb to its end.
pub(crate) fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Normalize(args) => normalize::run(&args),
        Verb::Sources(args) => sources::run(&args),
        Verb::Drift(args) => drift::run(&args),
        Verb::Search(args) => search::run(&args),
        Verb::Rehydrate(args) => rehydrate::run(&args),
        Verb::Jobs(args) => jobs::run(&args),
        Verb::Renormalize(args) => renormalize::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Enforce(args) => enforce::run(&args),
        Verb::Hold(args) => hold::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Apply(args) => apply::run(&args),
        Verb::Lifecycle(args) => lifecycle::run(&args),
        Verb::Generate(args) => generate::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    }
}

/// A runtime for a verb that only waits for IO.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::environment)
}

/// Whether an error only says that nobody reads the output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}
