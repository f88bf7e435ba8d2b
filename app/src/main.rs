//! `linchpin`: a multi-cloud security-log pipeline.

mod cli;
mod deployment;
mod exit;
mod files;
mod generate;
mod inventory;
mod jobs;
mod moment;
mod output;
mod pipeline;
mod progress;
mod rails;
mod requests;
mod table;
mod telemetry;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    telemetry::init(cli.verbose);
    match verbs::run(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if verbs::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", exit::Failure::shown(&error));
            ExitCode::from(exit::Failure::code(&error))
        }
    }
}
