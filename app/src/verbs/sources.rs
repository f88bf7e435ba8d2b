//! `linchpin sources`: what can be normalised, and whether a folder of mappings is sound.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow};
use arrow::array::{AsArray as _, RecordBatch};
use clap::Args;
use linchpin_normalize::{
    Carry, Catalog, Delivered, Normalizer, Plan, RawUnit, ReplayUnit, UnitId, functions::FUNCTIONS, schema,
    unit::UNIT_BYTES_MAX,
};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    table::{self, Table},
};

/// File of a mapping in its folder.
const SOURCE_FILE: &str = "source.yml";
/// When samples count as delivered, epoch milliseconds.
const SAMPLE_RECEIVED_MS: i64 = 1_700_000_000_000;
/// Faults of one sample that are shown.
const FAULTS_SHOWN_MAX: usize = 10;

/// List what can be normalised, or check a folder of mappings.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin sources\n  linchpin sources --check ./my-mappings")]
pub(crate) struct SourcesArgs {
    /// Check this mapping, or every mapping in this folder, and run their samples (`tests/*.log`)
    #[arg(long, value_name = "DIR")]
    pub check: Option<PathBuf>,
    /// List the functions of mappings, each with an example
    #[arg(long, conflicts_with = "check")]
    pub functions: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The text of one mapping.
pub(crate) struct Mapping {
    /// Its folder.
    pub folder: PathBuf,
    /// Its file, as diagnostics name it.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// The mappings in a folder: its own `source.yml`, or those of the folders in it, by name.
pub(crate) fn mappings(dir: &Path) -> Result<Vec<Mapping>> {
    let read = |folder: PathBuf| -> Result<Mapping> {
        let file = folder.join(SOURCE_FILE);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()));
        Ok(Mapping { folder, file: file.display().to_string(), text: text.map_err(Failure::usage)? })
    };
    if dir.join(SOURCE_FILE).is_file() {
        return Ok(vec![read(dir.to_owned())?]);
    }
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read `{}`", dir.display()));
    let mut folders = Vec::new();
    for entry in entries.map_err(Failure::usage)? {
        folders.push(entry.map_err(Failure::environment)?.path());
    }
    folders.retain(|folder| folder.join(SOURCE_FILE).is_file());
    folders.sort();
    if folders.is_empty() {
        let message =
            format!("no mapping in `{}`\nhint: a mapping is a folder with a `{SOURCE_FILE}`", dir.display());
        return Err(Failure::usage(anyhow!(message)));
    }
    folders.into_iter().map(read).collect()
}

pub(crate) fn run(args: &SourcesArgs) -> Result<()> {
    let catalog = Catalog::builtin().context("a built-in mapping is broken")?;
    let mut out = io::stdout().lock();
    match (&args.check, args.functions) {
        (Some(dir), _) => check(catalog, dir, args.json, &mut out),
        (None, true) => functions(args.json, &mut out),
        (None, false) => list(&catalog, args.json, &mut out),
    }
}

/// OCSF classes of a source, each once, in order of their ids.
fn classes(plan: &Plan) -> Vec<&'static schema::Class> {
    let mut classes: Vec<_> = plan.classes.iter().map(|c| c.class).collect();
    classes.sort_by_key(|class| class.uid);
    classes.dedup_by_key(|class| class.uid);
    classes
}

fn list(catalog: &Catalog, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut plans: Vec<&Plan> = catalog.plans().iter().map(Arc::as_ref).collect();
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    if as_json {
        let class = |c: &&schema::Class| json!({ "uid": c.uid, "name": c.name, "caption": c.caption });
        let source = |plan: &&Plan| {
            let classes: Vec<Value> = classes(plan).iter().map(class).collect();
            json!({ "name": &*plan.name, "title": plan.title, "classes": classes })
        };
        writeln!(out, "{}", Value::Array(plans.iter().map(source).collect()))?;
        return Ok(());
    }
    let mut table = Table::new(["SOURCE", "WHAT IT IS", "OCSF CLASSES"]);
    for plan in plans {
        let classes: Vec<String> =
            classes(plan).iter().map(|c| format!("{} ({})", c.caption, c.uid)).collect();
        table.row([plan.name.to_string(), plan.title.clone(), classes.join(", ")]);
    }
    Ok(table.print(out)?)
}

fn functions(as_json: bool, out: &mut dyn Write) -> Result<()> {
    if as_json {
        let function = |f: &linchpin_normalize::functions::Function| json!({ "name": f.name, "doc": f.doc, "example": { "input": f.example.0, "output": f.example.1 } });
        writeln!(out, "{}", Value::Array(FUNCTIONS.iter().map(function).collect()))?;
        return Ok(());
    }
    let mut table = Table::new(["FUNCTION", "WHAT IT GIVES", "EXAMPLE"]);
    for f in FUNCTIONS {
        table.row([f.name.to_owned(), f.doc.to_owned(), format!("`{}` => `{}`", f.example.0, f.example.1)]);
    }
    Ok(table.print(out)?)
}

/// What became of one sample.
#[derive(Debug, Default)]
struct Sample {
    name: String,
    source: String,
    events: u64,
    documents: u64,
    rejects: u64,
    invalid: u64,
    /// What is wrong, for a person.
    faults: Vec<String>,
}

fn check(mut catalog: Catalog, dir: &Path, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mappings = mappings(dir)?;
    let (mut sound, mut wrong) = (Vec::new(), 0);
    for mapping in &mappings {
        match linchpin_normalize::compile(&mapping.file, &mapping.text) {
            Ok(plan) => {
                sound.push((mapping, Arc::clone(&plan.name)));
                catalog = catalog.with(plan);
            }
            Err(diagnostics) => {
                wrong += diagnostics.0.len();
                eprintln!("{diagnostics}\n");
            }
        }
    }
    let mut normalizer = Normalizer::new(Arc::new(catalog));
    let mut samples = Vec::new();
    for (mapping, name) in &sound {
        for log in logs(&mapping.folder)? {
            samples.push(sample(&mut normalizer, name, &log)?);
        }
    }
    for sample in &samples {
        wrong += sample.faults.len();
        sample.faults.iter().take(FAULTS_SHOWN_MAX).for_each(|fault| eprintln!("{}: {fault}", sample.name));
    }
    if as_json {
        let names: Vec<&str> = sound.iter().map(|(_, name)| &**name).collect();
        let samples: Vec<Value> = samples.iter().map(Sample::json).collect();
        writeln!(
            out,
            "{}",
            json!({ "mappings": mappings.len(), "sound": names, "samples": samples, "faults": wrong })
        )?;
    } else {
        print(&samples, out)?;
        writeln!(out, "{} of {} mappings are sound, {} samples", sound.len(), mappings.len(), samples.len())?;
    }
    match wrong {
        0 => Ok(()),
        n => Err(Failure::problem(anyhow!("{n} faults in `{}`", dir.display()))),
    }
}

impl Sample {
    fn json(&self) -> Value {
        json!({
            "sample": self.name,
            "source": self.source,
            "events": self.events,
            "documents": self.documents,
            "rejects": self.rejects,
            "invalid": self.invalid,
            "faults": self.faults,
        })
    }
}

fn print(samples: &[Sample], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["SAMPLE", "SOURCE", "EVENTS", "DOCUMENTS", "REJECTS", "INVALID"]);
    for s in samples {
        let [events, documents, rejects, invalid] =
            [s.events, s.documents, s.rejects, s.invalid].map(table::count);
        table.row([s.name.clone(), s.source.clone(), events, documents, rejects, invalid]);
    }
    table.print(out)
}

/// The samples of a mapping, by name.
fn logs(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder.join("tests")) else { return Ok(Vec::new()) };
    let mut logs = Vec::new();
    for entry in entries {
        logs.push(entry.map_err(Failure::environment)?.path());
    }
    logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
    logs.sort();
    Ok(logs)
}

/// Whether a row is of that source.
fn has_row_of(rows: &RecordBatch, source: &str) -> bool {
    let column = rows.column_by_name("source").and_then(|column| column.as_string_opt::<i32>());
    column.is_some_and(|column| column.iter().flatten().any(|name| name == source))
}

/// Normalises a sample and checks every document against the OCSF schema.
fn sample(normalizer: &mut Normalizer, expected: &Arc<str>, log: &Path) -> Result<Sample> {
    let name = log.display().to_string();
    let bytes =
        fs::read(log).with_context(|| format!("cannot read `{name}`")).map_err(Failure::environment)?;
    let mut done = Sample { name: name.clone(), ..Sample::default() };
    if bytes.len() > UNIT_BYTES_MAX {
        done.faults.push(format!("sample has {} bytes, the limit is {UNIT_BYTES_MAX}", bytes.len()));
        return Ok(done);
    }
    let mut unit = RawUnit {
        id: UnitId { object: name.as_str().into(), start: 0, end: bytes.len() as u64 },
        feed: "samples".into(),
        key: name.as_str().into(),
        source: None,
        bytes: bytes.into(),
        carry: Carry::default(),
        received_ms: SAMPLE_RECEIVED_MS,
        delivered: Delivered::default(),
        gaps: Vec::new(),
    };
    // A mapping that nothing recognises is set by its feed.
    if normalizer.begin(&unit).source().is_none() {
        unit.source = Some(Arc::clone(expected));
    }
    let mut pass = normalizer.begin(&unit);
    let facts = normalizer.facts(&pass);
    done.source = facts.source.to_string();
    let mut met = facts.source == *expected;
    let replay = ReplayUnit {
        key: unit.id.key(),
        source: &facts.source,
        context: &facts.context,
        received_ms: unit.received_ms,
    };
    while let Some(normalized) = normalizer.batch(&unit, &mut pass) {
        done.rejects += normalized.rejects.len() as u64;
        // An envelope has a source of its own; what it carries is of this one.
        met |= has_row_of(&normalized.batch.rows, expected);
        for event in &normalized.batch.events {
            done.events += 1;
            let bytes = &unit.bytes[event.start as usize..event.end as usize];
            for document in normalizer.render(&replay, event.start, bytes) {
                done.documents += 1;
                let violations = schema::validate(&document);
                done.invalid += u64::from(!violations.is_empty());
                let fault =
                    |v: &schema::Violation| format!("event {}: {} at {}", done.events, v.kind, v.path);
                let faults: Vec<String> = violations.iter().map(fault).collect();
                done.faults.extend(faults);
            }
        }
    }
    if !met {
        done.faults.push(format!("recognised as `{}`, not as `{expected}`", facts.source));
    }
    Ok(done)
}
