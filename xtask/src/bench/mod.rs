//! `bench`: linchpin beside what a user would pick instead, on the same files, in the same run.
//!
//! Everything runs in one thread and is measured from outside. Rounds alternate between all of them,
//! so that a slower minute of the machine hits each, and what is compared is CPU time within a
//! round. Every peer's rows are compared with linchpin's before a number of it counts.

mod compare;
mod peers;
mod report;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

pub(crate) use self::{
    compare::{Beside, compare},
    peers::{PEERS, Peer},
};
use crate::{figures::Lab, workspace::Workspace};

/// Raw logs of a full measurement, in megabytes.
pub(crate) const MEGABYTES: u64 = 420;
/// Odd, so that there is a middle one.
pub(crate) const RUNS: usize = 3;

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    megabytes: u64,
    runs: usize,
    json: Option<PathBuf>,
    binary: Option<PathBuf>,
    docs: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { megabytes: MEGABYTES, runs: RUNS, json: None, binary: None, docs: false };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
            match word.as_str() {
                "--mb" => options.megabytes = whole(value()?)?,
                "--runs" => options.runs = usize::try_from(whole(value()?)?)?,
                "--json" => options.json = Some(value()?.into()),
                "--binary" => options.binary = Some(value()?.into()),
                "--docs" => options.docs = true,
                _ => bail!("unexpected `{word}`"),
            }
        }
        Ok(options)
    }
}

fn whole(text: &str) -> Result<u64> {
    match text.parse() {
        Ok(0) | Err(_) => bail!("`{text}` is not a whole number above 0"),
        Ok(number) => Ok(number),
    }
}

/// `bench [--mb N] [--runs N] [--json FILE] [--binary FILE] [--docs]`: prints the table; exit code 1
/// if linchpin is short of a target.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments)?;
    let lab = Lab::new(workspace, options.binary)?;
    let all: Vec<&Peer> = PEERS.iter().collect();
    let comparison = compare(&lab, options.megabytes, options.runs, &all)?;
    print!("{}", report::markdown(&comparison));
    if let Some(path) = options.json {
        let text = format!("{:#}\n", report::json(&comparison));
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if options.docs {
        report::write_docs(&workspace.root.join("docs/performance.md"), &comparison)?;
    }
    Ok(if comparison.good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let full = Options { megabytes: MEGABYTES, runs: RUNS, json: None, binary: None, docs: false };
        assert_eq!(parse("").unwrap(), full);
        let chosen = Options {
            megabytes: 20,
            runs: 1,
            json: Some("a.json".into()),
            binary: Some("b".into()),
            docs: true,
        };
        assert_eq!(parse("--mb 20 --runs 1 --json a.json --binary b --docs").unwrap(), chosen);
        for (line, reason) in [
            ("--mb", "needs a value"),
            ("--runs 0", "not a whole number above 0"),
            ("--mb x", "not a whole number above 0"),
            ("spine", "unexpected `spine`"),
        ] {
            assert!(parse(line).unwrap_err().to_string().contains(reason), "{line}");
        }
    }
}
