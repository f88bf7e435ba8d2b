//! `linchpin normalize`: raw logs in, OCSF out; nothing is stored.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow};
use arrow::json::LineDelimitedWriter;
use clap::Args;
use linchpin_config::{AUTO_SOURCE, suggestion};
use linchpin_ingest::{Body, Candidate, Feed, FileSource, Inflater, Limits, Source as _, UnitReader};
use linchpin_normalize::{Carry, Catalog, Normalized, Normalizer, Part, Pass, RawUnit, Reject, ReplayUnit};
use tokio::runtime::Runtime;

use super::sources;
use crate::{exit::Failure, output::Output};

/// Files asked for at once when a folder is given.
const PAGE: usize = 256;
/// Name of the standard input in messages.
const STDIN: &str = "stdin";

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
    let catalog = Arc::new(catalog(args.sources.as_deref())?);
    let source = Some(args.source.as_str()).filter(|name| *name != AUTO_SOURCE);
    if let Some(name) = source.filter(|name| catalog.index(name).is_none()) {
        let names = catalog.plans().iter().map(|plan| &*plan.name).chain([AUTO_SOURCE]);
        let hint = suggestion(name, names).unwrap_or_else(|| "`linchpin sources` lists them".to_owned());
        return Err(Failure::usage(anyhow!("no source `{name}`\nhint: {hint}")));
    }
    let mut scratch = Scratch {
        inflater: Inflater::new(Limits::default()),
        cutter: RefCell::new(Normalizer::new(Arc::clone(&catalog))),
    };
    let mut verb = Normalizing {
        feed: Feed { name: "normalize".into(), source: source.map(Arc::from) },
        normalizer: Normalizer::new(catalog),
        runtime: super::runtime()?,
        columns: args.columns,
        explain: args.explain,
        out: Output::open(None)?,
        failed: 0,
    };
    let stdin = [PathBuf::from("-")];
    for path in if args.files.is_empty() { &stdin[..] } else { &args.files } {
        verb.path(path, &mut scratch)?;
    }
    verb.out.finish()?;
    match verb.failed {
        0 => Ok(()),
        n => Err(Failure::environment(anyhow!("{n} files could not be read"))),
    }
}

/// The sources of this build, and those of a folder.
fn catalog(folder: Option<&Path>) -> Result<Catalog> {
    let mut catalog = Catalog::builtin().context("a built-in mapping is broken")?;
    for mapping in folder.map(sources::mappings).transpose()?.unwrap_or_default() {
        let plan = linchpin_normalize::compile(&mapping.file, &mapping.text).map_err(Failure::usage)?;
        catalog = catalog.with(plan);
    }
    Ok(catalog)
}

/// What reading an object needs beside normalising its units.
struct Scratch {
    inflater: Inflater,
    /// For cutting large objects, which happens in the middle of reading them.
    cutter: RefCell<Normalizer>,
}

struct Normalizing {
    feed: Feed,
    normalizer: Normalizer,
    runtime: Runtime,
    columns: bool,
    explain: bool,
    out: Output,
    failed: u64,
}

/// Something that is read to its end and is what it is: a pipe, a terminal.
struct Stream<R>(R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read + Send> Body for Stream<R> {
    fn is_unchanged(&mut self) -> bool {
        true
    }
}

impl Normalizing {
    fn path(&mut self, path: &Path, scratch: &mut Scratch) -> Result<()> {
        if path.as_os_str() == "-" {
            return self.stream(STDIN, io::stdin(), scratch);
        }
        let name = path.display().to_string();
        let unreadable = |error: io::Error| {
            Failure::usage(anyhow::Error::new(error).context(format!("cannot read `{name}`")))
        };
        let meta = std::fs::metadata(path).map_err(unreadable)?;
        if !meta.is_file() && !meta.is_dir() {
            return self.stream(&name, File::open(path).map_err(unreadable)?, scratch);
        }
        let source = FileSource::new(path).map_err(Failure::usage)?;
        loop {
            let page = self.runtime.block_on(source.next(PAGE)).map_err(Failure::environment)?;
            for candidate in &page {
                let shown = if meta.is_file() { &name } else { &*candidate.key };
                match self.runtime.block_on(source.open(candidate)) {
                    Ok(body) => self.object(shown, candidate, body, scratch)?,
                    Err(error) => self.fail(shown, &error),
                }
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    fn stream(&mut self, name: &str, from: impl Read + Send + 'static, scratch: &mut Scratch) -> Result<()> {
        let candidate = Candidate {
            object: name.into(),
            key: name.into(),
            size: 0,
            modified_ms: jiff::Timestamp::now().as_millisecond(),
            lease: None,
        };
        self.object(name, &candidate, Box::new(Stream(from)), scratch)
    }

    fn fail(&mut self, name: &str, error: &dyn std::error::Error) {
        self.failed += 1;
        eprintln!("{name}: {error}");
    }

    fn object(
        &mut self,
        name: &str,
        candidate: &Candidate,
        body: Box<dyn Body>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let (feed, cutter) = (self.feed.clone(), &scratch.cutter);
        let (key, source) = (&*candidate.key, feed.source.as_deref());
        let cut =
            |bytes: &[u8], carry: &Carry| cutter.borrow_mut().cut(&Part { key, source, bytes, carry }, false);
        let mut reader = UnitReader::new(&mut scratch.inflater, body, &feed, candidate, &cut);
        let mut events = 0;
        while let Some(unit) = reader.next_unit() {
            match unit {
                Ok(unit) => events += self.unit(name, &unit, events)?,
                Err(error) => self.fail(name, &error),
            }
        }
        Ok(())
    }

    /// Writes one unit; gives the number of its events. `before` is that of the object's earlier units.
    fn unit(&mut self, name: &str, unit: &RawUnit, before: u64) -> Result<u64> {
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
        let mut events = 0;
        while let Some(normalized) = self.normalizer.batch(unit, &mut pass) {
            for reject in &normalized.rejects {
                eprintln!("{name}: {}", fault(reject, &normalized, unit.id.start, before + events));
            }
            if self.columns {
                LineDelimitedWriter::new(&mut self.out).write(&normalized.batch.rows)?;
            } else {
                for event in &normalized.batch.events {
                    let bytes = &unit.bytes[event.start as usize..event.end as usize];
                    for document in self.normalizer.render(&replay, event.start, bytes) {
                        writeln!(self.out, "{document}")?;
                    }
                }
            }
            events += normalized.batch.events.len() as u64;
        }
        unit.gaps.iter().for_each(|gap| eprintln!("{name}: delivery: {gap}"));
        Ok(events)
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
