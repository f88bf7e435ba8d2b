//! The peers: one row each, and how each is run and checked.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    figures::{Lab, lake::number},
    measure::{Usage, measure},
    tools,
};

/// Somebody else who does the job, or a part of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The engine.
    pub(crate) name: &'static str,
    /// What it reads.
    pub(crate) input: Input,
    /// What it gives.
    pub(crate) output: &'static str,
    engine: Engine,
    /// What linchpin must reach: the figure's name, and how many times as fast it must be.
    pub(crate) target: Option<(&'static str, f64)>,
}

/// Form of the files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Input {
    /// As the cloud delivers them: one JSON document each.
    Delivered,
    /// Split into lines beforehand, which linchpin and a user's bucket do not have.
    Lines,
}

#[derive(Debug, Clone, Copy)]
enum Engine {
    /// A script in `bench/peers`.
    Python(&'static str),
    /// `bench/vrl`.
    Vrl,
}

const PARQUET: &str = "37 columns, Parquet";

/// Every peer.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "ClickHouse",
        input: Input::Delivered,
        output: PARQUET,
        engine: Engine::Python("peer_clickhouse.py"),
        target: Some(("cpu_second_times_clickhouse", 1.2)),
    },
    Peer {
        name: "ClickHouse",
        input: Input::Lines,
        output: PARQUET,
        engine: Engine::Python("peer_clickhouse.py"),
        target: None,
    },
    Peer {
        name: "DuckDB",
        input: Input::Delivered,
        output: PARQUET,
        engine: Engine::Python("peer_duckdb.py"),
        target: None,
    },
    Peer {
        name: "DuckDB",
        input: Input::Lines,
        output: PARQUET,
        engine: Engine::Python("peer_duckdb.py"),
        target: Some(("cpu_second_times_duckdb_on_lines", 1.5)),
    },
    Peer {
        name: "polars",
        input: Input::Delivered,
        output: PARQUET,
        engine: Engine::Python("peer_polars.py"),
        target: None,
    },
    Peer {
        name: "VRL",
        input: Input::Delivered,
        output: "37 fields in memory",
        engine: Engine::Vrl,
        target: Some(("cpu_second_times_vrl", 4.0)),
    },
];

/// What one run of a peer took.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) usage: Usage,
    /// CPU seconds until the engine was loaded and ready: not held against it.
    pub(crate) start_seconds: f64,
    /// The engine's own version.
    pub(crate) version: String,
}

impl Peer {
    /// Does the job once: `logs` into the empty folder `out`. All `events` must come out.
    pub(crate) fn run(&self, lab: &Lab, logs: &Path, out: &Path, events: u64) -> Result<Run> {
        let done = measure(&mut self.command(lab, logs, out)?)?;
        let report: Value = serde_json::from_str(done.stdout.trim())
            .with_context(|| format!("{} printed no JSON: {}", self.name, done.stdout))?;
        let rows = number(&report, "rows")?;
        ensure!(rows == events, "{} has {rows} rows of {events} events", self.name);
        Ok(Run {
            usage: done.usage,
            start_seconds: report["start_seconds"].as_f64().context("no `start_seconds`")?,
            version: report["version"].as_str().context("no `version`")?.to_owned(),
        })
    }

    fn command(&self, lab: &Lab, logs: &Path, out: &Path) -> Result<Command> {
        let mut command = match self.engine {
            Engine::Python(script) => python(lab, script)?,
            Engine::Vrl => Command::new(lab.vrl_remap()?),
        };
        command.arg(logs).arg(out);
        if let Engine::Python(_) = self.engine {
            command.arg(match self.input {
                Input::Delivered => "whole",
                Input::Lines => "lines",
            });
        }
        Ok(command)
    }

    /// Compares what a run left in `out` with linchpin's table in `hot`; a difference is an error.
    pub(crate) fn check(&self, lab: &Lab, logs: &Path, out: &Path, hot: &Path) -> Result<()> {
        if let Engine::Vrl = self.engine {
            measure(self.command(lab, logs, out)?.arg("--rows"))?;
        }
        let done = measure(python(lab, "check.py")?.arg(hot).arg(out));
        done.map(drop).with_context(|| format!("{} does not say the same as linchpin", self.name))
    }
}

/// Writes the records of `logs` as lines into the new folder `lines`.
pub(crate) fn split(lab: &Lab, logs: &Path, lines: &Path) -> Result<()> {
    fs::create_dir_all(lines)?;
    measure(python(lab, "split.py")?.arg(logs).arg(lines)).map(drop)
}

/// A script of `bench/peers`. No byte code is left beside it.
fn python(lab: &Lab, script: &str) -> Result<Command> {
    let mut command = Command::new(tools::peers(&lab.workspace)?);
    command.arg("-B").arg(lab.workspace.root.join("bench").join("peers").join(script));
    Ok(command)
}
