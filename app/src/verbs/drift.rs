//! `linchpin drift`: how sources look since their baseline.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use linchpin_config::{AUTO_SOURCE, suggestion};
use linchpin_normalize::{
    Normalizer,
    drift::{DriftRecord, LEARN_EVENTS},
    inventory::{Change, Inventory, What},
};
use serde_json::{Value, json};

use super::sources;
use crate::{
    deployment::Deployment,
    exit::Failure,
    files::Files,
    pipeline::drift,
    table::{self, Table},
};

/// Show how sources have drifted: fields, kinds and values that they did not have before.
///
/// `run` learns a baseline from the first events of each source and counts what is new since then;
/// `-c` shows it. Of files, everything is shown that the baseline, or without one the mapping itself,
/// does not know. Nothing is ever dropped because of it: what no rule takes goes to `unmapped`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin drift -c linchpin.yaml\n  linchpin drift --save usual.json last-month/\n  linchpin drift --baseline usual.json today/"
)]
pub(crate) struct DriftArgs {
    /// Configuration file: show what `run` has seen
    #[arg(short = 'c', long = "config", value_name = "FILE", required_unless_present = "files")]
    pub config: Option<PathBuf>,
    /// With `-c`: make what was seen of this source a part of its baseline
    #[arg(long, value_name = "SOURCE", requires = "config")]
    pub accept: Option<String>,
    /// Compare files with what this file holds
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub baseline: Option<PathBuf>,
    /// Write what the files look like, to be a baseline
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub save: Option<PathBuf>,
    /// Use the mappings of this folder beside those of this build
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub sources: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Files or folders of logs; `-` is the standard input
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub files: Vec<PathBuf>,
}

/// What is shown of one source.
struct Drifted {
    source: String,
    /// Events of the baseline, and since then.
    baseline: u64,
    events: u64,
    changes: Vec<Change>,
}

pub(crate) fn run(args: &DriftArgs) -> Result<()> {
    let drifted = match &args.config {
        Some(config) => of_lake(config, args.accept.as_deref())?,
        None => of_files(args)?,
    };
    let mut out = io::stdout().lock();
    if args.json {
        let sources: Vec<Value> = drifted.iter().map(Drifted::json).collect();
        writeln!(out, "{}", Value::Array(sources))?;
        return Ok(());
    }
    print(&drifted, &mut out)
}

/// What `run` has written down.
fn of_lake(config: &Path, accept: Option<&str>) -> Result<Vec<Drifted>> {
    let deployment = Deployment::load(config)?;
    let record = super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        let (record, _) = drift::read(&lake).await?;
        let Some(source) = accept else { return Ok(record) };
        if !record.0.contains_key(source) {
            let names = record.0.keys().map(String::as_str);
            let hint = suggestion(source, names).unwrap_or_else(|| "`linchpin drift` lists them".to_owned());
            return Err(Failure::usage(anyhow!("nothing was seen of a source `{source}`\nhint: {hint}")));
        }
        drift::change(&lake, |record| {
            if let Some(source) = record.0.get_mut(source) {
                source.accept();
            }
        })
        .await?;
        Ok::<DriftRecord, anyhow::Error>(drift::read(&lake).await?.0)
    })?;
    let drifted = |(source, drift): (String, linchpin_normalize::drift::SourceDrift)| Drifted {
        source,
        baseline: drift.baseline.events,
        events: drift.since.events,
        changes: drift.changes(),
    };
    Ok(record.0.into_iter().map(drifted).collect())
}

/// What files look like.
fn of_files(args: &DriftArgs) -> Result<Vec<Drifted>> {
    let known = args.baseline.as_deref().map(load).transpose()?;
    let catalog = Arc::new(sources::catalog(args.sources.as_deref())?);
    let mut files = Files::new(&catalog, AUTO_SOURCE)?;
    let mut normalizer = Normalizer::watching(Arc::clone(&catalog));
    for path in &args.files {
        files.each(path, &mut |_, unit| {
            let mut pass = normalizer.begin(unit);
            while normalizer.batch(unit, &mut pass).is_some() {}
            Ok(())
        })?;
    }
    let seen = normalizer.seen();
    if let Some(path) = &args.save {
        let text = serde_json::to_string_pretty(&seen)? + "\n";
        let written = fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()));
        written.map_err(Failure::environment)?;
    }
    let of_mapping = |source: &str, now: &Inventory| {
        let at = catalog.index(source);
        at.map(|at| now.known_to(&catalog.plans()[at])).unwrap_or_default()
    };
    let drifted = |(source, now): (Arc<str>, Inventory)| {
        let baseline = match &known {
            Some(known) => known.get(&*source).cloned().unwrap_or_default(),
            None => of_mapping(&source, &now),
        };
        let changes = now.changes(&baseline);
        Drifted { source: source.to_string(), baseline: baseline.events, events: now.events, changes }
    };
    files.end()?;
    Ok(seen.into_iter().map(drifted).collect())
}

/// A baseline that was written with `--save`.
fn load(path: &Path) -> Result<BTreeMap<String, Inventory>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"));
    let known = serde_json::from_str(&text.map_err(Failure::usage)?);
    known
        .with_context(|| format!("`{shown}` is no baseline\nhint: `--save` writes one"))
        .map_err(Failure::usage)
}

impl Drifted {
    fn json(&self) -> Value {
        json!({ "source": self.source, "baseline": self.baseline, "events": self.events, "changes": self.changes })
    }
}

fn print(drifted: &[Drifted], out: &mut dyn Write) -> Result<()> {
    let mut changes = Table::new(["SOURCE", "NEW", "WHERE", "IS", "WAS", "EVENTS", "EXAMPLE"]);
    for source in drifted {
        for change in &source.changes {
            let what = match change.what {
                What::Field => "field",
                What::Type => "type",
                What::Value => "value",
            };
            let was = if change.was.is_empty() { "-".to_owned() } else { change.was.join(", ") };
            let example = change.seen.example.escape_debug().to_string();
            let events = table::count(change.seen.events);
            let (path, is) = (change.path.clone(), change.is.clone());
            changes.row([source.source.clone(), what.to_owned(), path, is, was, events, example]);
        }
    }
    changes.print(out)?;
    for source in drifted {
        let learning = if source.baseline > 0 && source.baseline < LEARN_EVENTS && source.events == 0 {
            format!(" (learning: the first {} are the baseline)", table::count(LEARN_EVENTS))
        } else {
            String::new()
        };
        writeln!(
            out,
            "{}: {} changes in {} events, baseline of {} events{learning}",
            source.source,
            source.changes.len(),
            table::count(source.events),
            table::count(source.baseline)
        )?;
    }
    Ok(())
}
