//! Whether a folder of mappings is sound: they compile, and their samples become what they must.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow};
use linchpin_normalize::{
    Catalog, Normalizer, Plan,
    samples::{self, Sample},
};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    table::{self, Table},
};

/// File of a mapping in its folder.
pub(super) const SOURCE_FILE: &str = "source.yml";
/// Faults of one sample that are shown.
const FAULTS_SHOWN_MAX: usize = 10;
/// Paths and attributes of one mapping that are shown.
const PATHS_SHOWN_MAX: usize = 40;

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

/// The sources of this build, and those of a folder.
pub(crate) fn catalog(folder: Option<&Path>) -> Result<Catalog> {
    let mut catalog = Catalog::builtin().context("a built-in mapping is broken")?;
    for mapping in folder.map(mappings).transpose()?.unwrap_or_default() {
        let plan = linchpin_normalize::compile(&mapping.file, &mapping.text).map_err(Failure::usage)?;
        catalog = catalog.with(plan);
    }
    Ok(catalog)
}

/// A mapping that compiles, and what became of its samples.
struct Checked<'m> {
    mapping: &'m Mapping,
    source: Arc<str>,
    samples: Vec<(String, Sample)>,
}

/// Checks every mapping of a folder, and prints what was found; `update` writes the expectations of
/// the samples anew.
pub(super) fn check(
    mut catalog: Catalog,
    dir: &Path,
    update: bool,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<()> {
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
    let mut checked = Vec::new();
    for (mapping, source) in sound {
        let samples = samples_of(&mut normalizer, &mapping.folder, &source, update)?;
        checked.push(Checked { mapping, source, samples });
    }
    let samples = || checked.iter().flat_map(|one| &one.samples);
    for (name, sample) in samples() {
        wrong += sample.faults.len();
        sample.faults.iter().take(FAULTS_SHOWN_MAX).for_each(|fault| eprintln!("{name}: {fault}"));
    }
    if as_json {
        let names: Vec<&str> = checked.iter().map(|one| &*one.source).collect();
        let samples: Vec<Value> = samples().map(|(name, sample)| to_json(name, sample)).collect();
        writeln!(
            out,
            "{}",
            json!({ "mappings": mappings.len(), "sound": names, "samples": samples, "faults": wrong })
        )?;
    } else {
        print(&checked, out)?;
        if let [one] = &checked[..] {
            details(one, out)?;
        }
        let samples = samples().count();
        writeln!(out, "{} of {} mappings are sound, {samples} samples", checked.len(), mappings.len())?;
    }
    match wrong {
        0 => Ok(()),
        n => Err(Failure::problem(anyhow!("{n} faults in `{}`", dir.display()))),
    }
}

/// What is wrong with a mapping's samples, if anything is.
pub(crate) fn faults(catalog: &Arc<Catalog>, folder: &Path, plan: &Plan) -> Result<Vec<String>> {
    let samples = samples_of(&mut Normalizer::new(Arc::clone(catalog)), folder, &plan.name, false)?;
    let named = |(name, sample): (String, Sample)| {
        sample.faults.into_iter().map(move |fault| format!("{name}: {fault}")).collect::<Vec<_>>()
    };
    Ok(samples.into_iter().flat_map(named).collect())
}

/// Runs the samples of a mapping: their names, and what became of them.
fn samples_of(
    normalizer: &mut Normalizer,
    folder: &Path,
    source: &Arc<str>,
    update: bool,
) -> Result<Vec<(String, Sample)>> {
    let parent = folder.canonicalize().map_err(Failure::environment)?;
    let parent = parent.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut done = Vec::new();
    for log in logs(folder)? {
        let shown = log.display().to_string();
        let bytes = fs::read(&log).with_context(|| format!("cannot read `{shown}`"));
        let name = format!("{parent}/{}", log.file_name().unwrap_or_default().to_string_lossy());
        let bytes = bytes.map_err(Failure::environment)?;
        let mut sample = samples::run(normalizer, &name, bytes, Some(source));
        let file = log.with_extension("expected.json");
        let becomes = format!("{:#}\n", sample.expectation());
        if update {
            fs::write(&file, &becomes)
                .with_context(|| format!("cannot write `{}`", file.display()))
                .map_err(Failure::environment)?;
        } else if fs::read_to_string(&file).is_ok_and(|expected| expected != becomes) {
            sample.faults.push(format!(
                "becomes something else than `{}` says\nhint: `--update` writes it anew; then look at the difference",
                file.display()
            ));
        }
        done.push((shown, sample));
    }
    Ok(done)
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

fn to_json(name: &str, sample: &Sample) -> Value {
    let covered = &sample.covered;
    json!({
        "sample": name,
        "source": &*sample.source,
        "events": sample.events,
        "documents": sample.documents.len(),
        "rejects": sample.rejects.len(),
        "invalid": sample.invalid,
        "fields": covered.fields,
        "consumed": covered.consumed(),
        "unmapped": covered.unmapped,
        "recommended": covered.recommended,
        "filled": covered.filled,
        "lacking": covered.lacking,
        "faults": sample.faults,
    })
}

fn print(checked: &[Checked<'_>], out: &mut dyn Write) -> io::Result<()> {
    let header = ["SAMPLE", "SOURCE", "EVENTS", "DOCUMENTS", "REJECTS", "INVALID", "CONSUMED", "RECOMMENDED"];
    let mut table = Table::new(header);
    for (name, sample) in checked.iter().flat_map(|one| &one.samples) {
        let counts =
            [sample.events, sample.documents.len() as u64, sample.rejects.len() as u64, sample.invalid];
        let [events, documents, rejects, invalid] = counts.map(table::count);
        let covered = &sample.covered;
        let consumed = share(covered.consumed(), covered.fields);
        let recommended = share(covered.filled, covered.recommended);
        let source = sample.source.to_string();
        table.row([name.clone(), source, events, documents, rejects, invalid, consumed, recommended]);
    }
    table.print(out)
}

/// A share in percent, rounded down: 100 % is all.
fn share(part: u64, whole: u64) -> String {
    (part * 100).checked_div(whole).map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"))
}

/// What the samples of one mapping have that no rule takes, and what its classes recommend that no
/// rule fills.
fn details(one: &Checked<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut unmapped: Vec<(&str, u64)> = Vec::new();
    let mut lacking: Vec<&str> = Vec::new();
    for (_, sample) in &one.samples {
        for (path, n) in &sample.covered.unmapped {
            match unmapped.iter_mut().find(|(known, _)| known == path) {
                Some((_, sum)) => *sum += n,
                None => unmapped.push((path, *n)),
            }
        }
        lacking.extend(sample.covered.lacking.iter().map(String::as_str));
    }
    unmapped.sort_by_key(|(path, n)| (std::cmp::Reverse(*n), *path));
    lacking.sort_unstable();
    lacking.dedup();
    let paths: Vec<String> = unmapped.iter().map(|(path, n)| format!("{path} ({n})")).collect();
    let source = &one.mapping.file;
    for (what, found) in [
        ("no rule takes", paths),
        ("recommended and not filled", lacking.into_iter().map(str::to_owned).collect()),
    ] {
        if found.is_empty() {
            continue;
        }
        let more = found.len().saturating_sub(PATHS_SHOWN_MAX);
        let shown = found[..found.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(out, "{source}: {what}: {shown}{more}")?;
    }
    Ok(())
}
