//! `linchpin completions`: what a shell needs to complete a command line.

use std::io;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;

/// Print the completions of a shell, to be put where it looks for them.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin completions bash > ~/.local/share/bash-completion/completions/linchpin"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    // To memory first: the generator does not return the errors of its output.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "linchpin", &mut script);
    Ok(io::Write::write_all(&mut io::stdout().lock(), &script)?)
}
