//! The repository's tasks: `cargo xtask TASK`. `cargo xtask` alone lists them.

mod bench;
mod check;
mod figures;
#[cfg(test)]
mod house;
mod measure;
mod ocsf;
mod services;
mod test;
mod tools;
mod workspace;

use std::{env, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// One task of the command line.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<ExitCode>,
}

/// Every task: one row each.
const TASKS: &[Task] = &[
    Task {
        name: "test",
        arguments: "[CARGO TEST ARGUMENTS]",
        about: "prepare what the tests need, then run them (all, unless arguments choose)",
        run: test::run,
    },
    Task { name: "check", arguments: "", about: "formatting, lints, dependencies, docs", run: check::run },
    Task {
        name: "figures",
        arguments: "[TOPIC [MEASUREMENT]]",
        about: "measure and print every figure; exit code 1 if one is short",
        run: figures::figures,
    },
    Task {
        name: "bench",
        arguments: "[--mb N] [--runs N] [--json FILE] [--binary FILE] [--docs]",
        about: "linchpin beside ClickHouse, DuckDB, polars and VRL; --docs writes docs/performance.md",
        run: bench::run,
    },
    Task {
        name: "services",
        arguments: "[--run]",
        about: "list the services that the tests use, or run them and print their variables",
        run: services::run,
    },
    Task {
        name: "ocsf",
        arguments: "COMPILED.json",
        about: "make the embedded OCSF facts from a compiled schema",
        run: facts,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        None => {
            usage();
            Ok(ExitCode::SUCCESS)
        }
        Some((name, rest)) => dispatch(name, rest),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(name: &str, arguments: &[String]) -> Result<ExitCode> {
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        usage();
        bail!("there is no task `{name}`")
    };
    (task.run)(&Workspace::find()?, arguments)
}

fn usage() {
    eprintln!("usage: cargo xtask TASK\n");
    for task in TASKS {
        let call = format!("{} {}", task.name, task.arguments);
        eprintln!("  {call:<28} {}", task.about);
    }
    eprintln!("\ntopics of figures: {}", figures::topics().join(", "));
}

/// `ocsf COMPILED.json`.
fn facts(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let [compiled] = arguments else { bail!("give one file: cargo xtask ocsf COMPILED.json") };
    let version = ocsf::version(Path::new(compiled))?;
    let out = workspace.root.join(format!("normalize/schema/ocsf-{version}.json"));
    ocsf::generate(Path::new(compiled), &out).context("cannot make the facts file")?;
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}
