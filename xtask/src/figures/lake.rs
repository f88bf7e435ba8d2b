//! A lake on local folders that a measurement works on, through the program's command line only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Lab;
use crate::measure::{Finished, measure};

/// What differs between the lakes of measurements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    /// Folder of the logs.
    pub(crate) logs: &'a Path,
    /// Worker threads.
    pub(crate) threads: u32,
    /// An epoch closes at this many raw bytes: a size as the configuration has it.
    pub(crate) flush: &'a str,
}

/// A folder with a configuration, whose relative paths start there.
#[derive(Debug)]
pub(crate) struct Lake {
    program: PathBuf,
    folder: PathBuf,
}

impl Lake {
    /// A new lake in `folder`, which holds nothing else.
    pub(crate) fn create(lab: &Lab, folder: PathBuf, settings: Settings<'_>) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let Settings { logs, threads, flush } = settings;
        let text = format!(
            "lake: ./lake\n\
             archives: {{ default: ./archive }}\n\
             feeds: [ {{ name: logs, from: {{ files: \"{}\" }} }} ]\n\
             retention:\n  \
               classes: {{ standard: {{ hot: 90d, archive: {{ class: standard }}, expire: 3y }} }}\n  \
               rules: [ {{ name: everything, class: standard }} ]\n\
             limits: {{ threads: {threads}, flush: {{ bytes: {flush}, age: 15s }} }}\n",
            logs.display()
        );
        fs::write(folder.join("linchpin.yaml"), text)?;
        Ok(Self { program: lab.linchpin()?, folder })
    }

    /// `linchpin VERB -c FILE ARGUMENTS`.
    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).args([verb, "-c", "linchpin.yaml"]).args(arguments);
        command
    }

    /// Drains everything: what it cost, and the summary that was printed.
    pub(crate) fn drain(&self) -> Result<(Finished, Value)> {
        let done = measure(&mut self.command("run", &["--once", "--json"]))?;
        let summary = serde_json::from_str(&done.stdout).context("`run --once --json` printed no JSON")?;
        Ok((done, summary))
    }

    /// Rows of a query.
    pub(crate) fn query(&self, sql: &str) -> Result<Vec<Value>> {
        let done = measure(&mut self.command("search", &[sql, "--format", "json"]))?;
        serde_json::from_str(&done.stdout).context("`search --format json` printed no array")
    }

    /// Ids of all rows, sorted.
    pub(crate) fn event_ids(&self) -> Result<Vec<String>> {
        let sql = "SELECT event_id FROM events ORDER BY event_id";
        let done = measure(&mut self.command("search", &[sql, "--format", "csv"]))?;
        let mut lines = done.stdout.lines().map(str::to_owned);
        lines.next().filter(|header| header == "event_id").context("`search --format csv` has no header")?;
        Ok(lines.collect())
    }
}

/// Writes about `megabytes` of raw logs of one source; gives the number of raw events.
pub(crate) fn generate(lab: &Lab, folder: &Path, source: &str, megabytes: u64, seed: u64) -> Result<u64> {
    let written = generated(lab, folder, source, megabytes, seed)?;
    written["events"][source].as_u64().context("`generate --json` names no events")
}

/// Writes about `megabytes` of raw logs of one source; gives the summary that was printed.
pub(crate) fn generated(lab: &Lab, folder: &Path, source: &str, megabytes: u64, seed: u64) -> Result<Value> {
    let mut command = Command::new(lab.linchpin()?);
    command.arg("generate").arg("--out").arg(folder);
    command.args([
        "--source",
        source,
        "--bytes",
        &format!("{}B", megabytes * 1_000_000),
        "--seed",
        &seed.to_string(),
        "--json",
    ]);
    serde_json::from_str(&measure(&mut command)?.stdout).context("`generate --json` printed no JSON")
}

/// The whole number under `key`.
pub(crate) fn number(record: &Value, key: &str) -> Result<u64> {
    record[key].as_u64().with_context(|| format!("`{key}` is not a number in `{record}`"))
}
