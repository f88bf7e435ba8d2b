//! `linchpin doctor`: whether everything a configuration names can be used as it has to be.

mod checks;

use std::io;

use anyhow::{Result, anyhow};
use clap::Args;
use serde_json::json;

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, table::Table};
use checks::Check;

/// Check the stores and feeds of a configuration, and say what to fix.
///
/// Lake and archives are listed, written to (an object named `linchpin-doctor/…`, which is removed
/// again) and asked whether they refuse what they must; feeds are listed and read. Exit code 1 when
/// something is wrong.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin doctor -c linchpin.yaml\n  linchpin doctor -c linchpin.yaml --json"
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print the checks as JSON
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let checks = super::runtime()?.block_on(checks::all(&deployment.config));
    let problems = checks.iter().filter(|check| check.found.is_err()).count();
    if args.json {
        let one = |check: &Check| {
            let (detail, hint) = match &check.found {
                Ok(detail) => (detail, None),
                Err(problem) => (&problem.what, Some(&problem.hint)),
            };
            json!({
                "of": check.of, "place": check.place, "check": check.name,
                "ok": check.found.is_ok(), "detail": detail, "hint": hint,
            })
        };
        let all: Vec<_> = checks.iter().map(one).collect();
        println!("{}", json!({ "problems": problems, "checks": all }));
    } else {
        print(&checks)?;
    }
    if problems == 0 {
        return Ok(());
    }
    Err(Failure::problem(anyhow!("{problems} of {} checks failed", checks.len())))
}

fn print(checks: &[Check]) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let mut table = Table::new(["OF", "CHECK", "RESULT", "DETAIL"]);
    for check in checks {
        let (result, detail) = match &check.found {
            Ok(detail) => ("ok", detail),
            Err(problem) => ("PROBLEM", &problem.what),
        };
        table.row([check.of.clone(), check.name.to_owned(), result.to_owned(), detail.clone()]);
    }
    table.print(out)?;
    for check in checks {
        if let Err(problem) = &check.found {
            io::Write::write_fmt(
                out,
                format_args!(
                    "\n{}, {} of {}: {}\nhint: {}\n",
                    check.of, check.name, check.place, problem.what, problem.hint
                ),
            )?;
        }
    }
    Ok(())
}
