//! `linchpin man`: the manual pages.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::{cli::Cli, exit::Failure};

/// Print the manual page; with a folder, write it and one page for each verb.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin man | man -l -\n  linchpin man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Folder to write `linchpin.1` and `linchpin-<verb>.1` to
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let mut program = Cli::command();
    program.build();
    let Some(folder) = &args.out else {
        return Ok(Man::new(program).render(&mut io::stdout().lock())?);
    };
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create `{}`", folder.display()))
        .map_err(Failure::environment)?;
    let verbs: Vec<Command> = program.get_subcommands().filter(|v| v.get_name() != "help").cloned().collect();
    page(folder, "linchpin", program)?;
    for verb in verbs {
        let name = format!("linchpin-{}", verb.get_name());
        page(folder, &name, verb)?;
    }
    Ok(())
}

fn page(folder: &Path, name: &str, command: Command) -> Result<()> {
    let mut text = Vec::new();
    Man::new(command).title(name).render(&mut text)?;
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, text)
        .with_context(|| format!("cannot write `{}`", path.display()))
        .map_err(Failure::environment)
}
