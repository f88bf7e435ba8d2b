//! `test`: gets what the tests need, then runs them. Nothing is printed after the test runner.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    services::Running,
    tools,
    workspace::{Workspace, exit_code, status},
};

/// Gives tests the interpreter that has the other engines' packages.
const PYTHON_VARIABLE: &str = "LINCHPIN_PYTHON";

/// `test [ARGUMENTS]`: the arguments go to `cargo test`; without any, the whole workspace is tested.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let services = Running::start(workspace);
    let mut command = command(workspace, &services);
    if arguments.is_empty() {
        command.args(["--workspace", "--no-fail-fast"]);
    }
    Ok(exit_code(status(command.args(arguments))?))
}

/// `cargo test` with what the tests need; what cannot be had is said in one line.
pub(crate) fn command(workspace: &Workspace, services: &Running) -> Command {
    let mut command = workspace.cargo(&["test"]);
    command.envs(services.variables.iter().map(|(name, value)| (name, value)));
    match tools::python(workspace) {
        Ok(python) => command.env(PYTHON_VARIABLE, python),
        Err(error) => {
            let reason = format!("{error:#}").replace('\n', " ");
            eprintln!(
                "cannot get Python with deltalake, polars and zstandard (tests that need it fail): {reason}"
            );
            // An older setting must not stand in for what is missing: the tests would not say so.
            command.env_remove(PYTHON_VARIABLE)
        }
    };
    command
}
