//! `linchpin normalize`: raw logs in, OCSF out; nothing is stored.

use std::{collections::BTreeMap, io::Write, path::PathBuf, sync::Arc};

use anyhow::Result;
use arrow::json::LineDelimitedWriter;
use clap::{Args, builder::PossibleValuesParser};
use linchpin_config::AUTO_SOURCE;
use linchpin_normalize::{
    Normalized, Normalizer, Pass, RawUnit, Reject, ReplayUnit,
    conform::conform,
    schema::{self, Schema, VERSIONS},
};

use super::sources;
use crate::{files::Files, output::Output};

/// Normalise raw logs to OCSF: one document a line. Nothing is stored.
///
/// Compressed input is recognised by its content. What could not be read as its mapping says becomes
/// class 0, and standard error says where and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin normalize flows.log.gz trail/ | jq .class_name\n  zcat trail.json.gz | linchpin normalize --source aws.cloudtrail --columns"
)]
pub(crate) struct NormalizeArgs {
    /// What the logs are, such as `aws.cloudtrail`; `auto` recognises each file by content and path
    #[arg(long, value_name = "NAME", default_value = AUTO_SOURCE)]
    pub source: String,
    /// Print the linchpin columns that have a value, instead of documents
    #[arg(long)]
    pub columns: bool,
    /// Write documents of this version of OCSF. What it lacks goes to `unmapped`, and standard error
    /// counts it
    #[arg(long, value_name = "VERSION", default_value = "1.8", value_parser = PossibleValuesParser::new(VERSIONS), conflicts_with = "columns")]
    pub ocsf: String,
    /// Say on standard error how the source of each file was recognised
    #[arg(long)]
    pub explain: bool,
    /// Use the mappings of this folder beside those of this build
    #[arg(long, value_name = "DIR")]
    pub sources: Option<PathBuf>,
    /// Files or folders; `-` or none is the standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

pub(crate) fn run(args: &NormalizeArgs) -> Result<()> {
    let catalog = Arc::new(sources::catalog(args.sources.as_deref())?);
    let mut files = Files::new(&catalog, &args.source)?;
    let mut verb = Normalizing {
        normalizer: Normalizer::new(catalog),
        columns: args.columns,
        older: schema::version(&args.ocsf).filter(|older| older.version() != schema::schema().version()),
        lost: BTreeMap::new(),
        explain: args.explain,
        out: Output::open(None)?,
        events: 0,
    };
    let stdin = [PathBuf::from("-")];
    for path in if args.files.is_empty() { &stdin[..] } else { &args.files } {
        files.each(path, &mut |name, unit| verb.unit(name, unit))?;
    }
    verb.out.finish()?;
    for (path, events) in &verb.lost {
        eprintln!("OCSF {} lacks {path}: {events} times", args.ocsf);
    }
    files.end()
}

struct Normalizing {
    normalizer: Normalizer,
    columns: bool,
    /// The version that documents are fitted into, and what it lacks.
    older: Option<&'static Schema>,
    lost: BTreeMap<String, u64>,
    explain: bool,
    out: Output,
    /// Events of the object so far.
    events: u64,
}

impl Normalizing {
    /// Writes one unit.
    fn unit(&mut self, name: &str, unit: &RawUnit) -> Result<()> {
        if unit.id.start == 0 {
            self.events = 0;
        }
        let mut pass = self.normalizer.begin(unit);
        if self.explain && unit.id.start == 0 {
            eprintln!("{name}: {}", self.explanation(&pass));
        }
        let facts = self.normalizer.facts(&pass);
        let replay = ReplayUnit {
            key: unit.id.key(),
            source: &facts.source,
            context: &facts.context,
            received_ms: unit.received_ms,
        };
        while let Some(normalized) = self.normalizer.batch(unit, &mut pass) {
            for reject in &normalized.rejects {
                eprintln!("{name}: {}", fault(reject, &normalized, unit.id.start, self.events));
            }
            if self.columns {
                LineDelimitedWriter::new(&mut self.out).write(&normalized.batch.rows)?;
            } else {
                for event in &normalized.batch.events {
                    let bytes = &unit.bytes[event.start as usize..event.end as usize];
                    for mut document in self.normalizer.render(&replay, event.start, bytes) {
                        if let Some(older) = self.older {
                            for path in conform(older, &mut document) {
                                *self.lost.entry(path).or_default() += 1;
                            }
                        }
                        writeln!(self.out, "{document}")?;
                    }
                }
            }
            self.events += normalized.batch.events.len() as u64;
        }
        unit.gaps.iter().for_each(|gap| eprintln!("{name}: delivery: {gap}"));
        Ok(())
    }

    fn explanation(&self, pass: &Pass) -> String {
        let plan = |index: usize| &self.normalizer.catalog().plans()[index].name;
        match (pass.recognised(), pass.source()) {
            (Some(by), _) => {
                let path = if by.path.is_empty() {
                    "no part of its path".to_owned()
                } else {
                    format!("`{}` in its path", by.path.join("`, `"))
                };
                format!("{}, recognised by {} conditions of content and {path}", plan(by.source), by.content)
            }
            (None, Some(index)) => format!("{}, as set", plan(index)),
            (None, None) => "unknown: no mapping recognises it, events are class 0".to_owned(),
        }
    }
}

/// Where and why, for a person. `start` is that of the unit in its object, `before` the number of
/// events before this batch.
fn fault(reject: &Reject, normalized: &Normalized, start: u64, before: u64) -> String {
    let events = &normalized.batch.events;
    let index = events.partition_point(|event| u64::from(event.start) < reject.offset) as u64;
    let byte = start + reject.offset + u64::from(reject.at.unwrap_or(0));
    let field = reject.field.as_ref().map_or_else(String::new, |field| format!("field {field}: "));
    format!("byte {byte} (event {}): {field}{}", before + index + 1, reject.reason)
}
