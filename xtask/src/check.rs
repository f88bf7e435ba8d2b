//! `check`: what a change must pass besides the tests.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::{
    tools,
    workspace::{Workspace, output, run as succeed},
};

/// Name and work.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

const CHECKS: &[Check] = &[("fmt", fmt), ("clippy", clippy), ("deny", deny), ("docs", docs)];

/// Runs every check, also after one failed; names those that did.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    if let Some(argument) = arguments.first() {
        bail!("unexpected `{argument}`");
    }
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check(workspace) {
            eprintln!("{name}: {error:#}");
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("failed: {}", failed.join(", "))
}

fn fmt(workspace: &Workspace) -> Result<()> {
    succeed(&mut workspace.cargo(&["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    succeed(&mut workspace.cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Licences, bans and sources need no network. Advisories need the database: where it cannot be
/// fetched, that is said, not taken for a pass.
fn deny(workspace: &Workspace) -> Result<()> {
    let program = tools::cargo_deny(workspace)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(&workspace.root).args(["--workspace", "--log-level", "error"]).args(arguments);
        command
    };
    succeed(&mut deny(&["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;
    if output(&mut deny(&["fetch", "db"])).is_err() {
        eprintln!("deny: advisories are not checked, their database cannot be fetched from here");
        return Ok(());
    }
    succeed(&mut deny(&["check", "--hide-inclusion-graph", "--disable-fetch", "advisories"]))
}

fn docs(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    succeed(command.env("RUSTDOCFLAGS", "-D warnings"))
}
