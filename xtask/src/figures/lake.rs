//! A lake that a measurement works on, through the program's command line only.

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

/// Where a lake's parts are, each as the configuration has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The feed's `from`.
    pub(crate) from: &'a str,
    pub(crate) lake: &'a str,
    pub(crate) archive: &'a str,
    pub(crate) stores: &'a str,
}

/// A folder with a configuration, whose relative paths start there.
#[derive(Debug)]
pub(crate) struct Lake {
    program: PathBuf,
    folder: PathBuf,
    /// Environment of the program.
    variables: Vec<(&'static str, String)>,
}

impl Lake {
    /// A new lake in `folder`, which holds nothing else.
    pub(crate) fn create(lab: &Lab, folder: PathBuf, settings: Settings<'_>) -> Result<Self> {
        let from = format!("{{ files: \"{}\" }}", settings.logs.display());
        let places = Places { from: &from, lake: "./lake", archive: "./archive", stores: "{}" };
        Self::at(lab, folder, places, settings, &[])
    }

    /// A new lake whose configuration is in `folder` and whose parts are at `places`, which the program
    /// reaches with these variables; `settings.logs` is not looked at.
    pub(crate) fn at(
        lab: &Lab,
        folder: PathBuf,
        places: Places<'_>,
        settings: Settings<'_>,
        variables: &[(&'static str, String)],
    ) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let (Places { from, lake, archive, stores }, Settings { threads, flush, .. }) = (places, settings);
        let text = format!(
            "lake: \"{lake}\"\n\
             archives: {{ default: \"{archive}\" }}\n\
             stores: {stores}\n\
             feeds: [ {{ name: logs, from: {from} }} ]\n\
             retention:\n  \
               classes: {{ standard: {{ hot: 90d, archive: {{ class: standard }}, expire: 3y }} }}\n  \
               rules: [ {{ name: everything, class: standard }} ]\n\
             limits: {{ threads: {threads}, flush: {{ bytes: {flush}, age: 15s }} }}\n"
        );
        fs::write(folder.join("linchpin.yaml"), text)?;
        Ok(Self { program: lab.linchpin()?, folder, variables: variables.to_vec() })
    }

    /// `linchpin VERB -c FILE ARGUMENTS`.
    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).args([verb, "-c", "linchpin.yaml"]).args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
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
