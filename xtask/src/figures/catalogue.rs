//! The catalogue against real samples: what `linchpin normalize --source auto` makes of every raw
//! log of the corpus, where one lies beside the checkout. A table says it for each source.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{Figure, Lab, Measurement, Target, families};
use crate::measure::observe;

/// What is measured.
pub(super) const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "catalogue", measure: recognised },
    Measurement { name: "agreement", measure: agreement },
    Measurement { name: "families", measure: families::families },
];

/// Sources of the index that hold no raw logs: pairs of inputs and another product's outputs, and
/// objects that are damaged on purpose.
const NOT_RAW: &[&str] = &["ocsf-pairs", "aws/s3-delivery"];
/// Labels of a class 0 event that is understood: a feed's sign of life.
const UNDERSTOOD: &str = "heartbeat";

/// Values of one field beside another product's.
#[derive(Debug, Deserialize)]
struct Agreement {
    compared: u64,
    agreed: u64,
    /// Differences for which `docs/differences.md` has the reason.
    explained: u64,
}

/// What became of the files of one source.
#[derive(Debug, Default)]
struct Outcome {
    files: usize,
    documents: u64,
    recognised: u64,
    invalid: u64,
    failed: u64,
    /// Sources that events were recognised as, with how many.
    as_source: BTreeMap<String, u64>,
}

/// Normalises every raw sample and validates each document.
fn recognised(lab: &Lab) -> Result<Vec<Figure>> {
    let shared = lab.workspace.root.join("../shared");
    let folder = lab.workspace.scratch("catalogue")?;
    let mut outcomes = BTreeMap::new();
    for (source, files) in samples(&shared.join("corpus"))? {
        let outcome = source_outcome(lab, &shared, &folder, &files).with_context(|| source.clone())?;
        outcomes.insert(source, outcome);
    }
    fs::remove_dir_all(&folder)?;
    table(&outcomes);
    let sum = |of: fn(&Outcome) -> u64| outcomes.values().map(of).sum::<u64>() as f64;
    let (documents, known) = (sum(|o| o.documents), sum(|o| o.recognised));
    Ok(vec![
        Figure { name: "catalogue_documents", value: documents, target: Target::AtLeast(1.0) },
        Figure {
            name: "catalogue_recognised_share",
            value: known / documents,
            target: Target::AtLeast(0.99),
        },
        Figure {
            name: "catalogue_documents_invalid",
            value: sum(|o| o.invalid),
            target: Target::Exactly(0.0),
        },
        Figure { name: "catalogue_failures", value: sum(|o| o.failed), target: Target::Exactly(0.0) },
    ])
}

/// Compares the corpus with what another product makes of it (`xtask/agreement.py`): the share of all
/// values that agree, and of the field that agrees least the share that agrees or is explained.
fn agreement(lab: &Lab) -> Result<Vec<Figure>> {
    let root = &lab.workspace.root;
    let mut script = Command::new("python3");
    script.arg(root.join("xtask/agreement.py")).arg("--json");
    let done = observe(script.arg(lab.linchpin()?).arg(root.join("../shared/corpus")))?;
    let fields: BTreeMap<String, Agreement> =
        serde_json::from_str(&done.stdout).context("`agreement.py` printed no JSON")?;
    for (field, of) in &fields {
        eprintln!("  {field}: {} compared, {} agree, {} explained", of.compared, of.agreed, of.explained);
    }
    let sum = |of: fn(&Agreement) -> u64| fields.values().map(of).sum::<u64>() as f64;
    let settled = |of: &Agreement| (of.agreed + of.explained) as f64 / of.compared as f64;
    let least = fields.values().filter(|of| of.compared > 0).map(settled).fold(f64::INFINITY, f64::min);
    Ok(vec![
        Figure {
            name: "agreement_of_all_values",
            value: sum(|of| of.agreed) / sum(|of| of.compared),
            target: Target::AtLeast(0.95),
        },
        Figure {
            name: "agreement_of_least_field_with_explained",
            value: least,
            target: Target::AtLeast(0.95),
        },
    ])
}

/// Files of the corpus by source, as its index says.
fn samples(corpus: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let index = corpus.join("INDEX.tsv");
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read `{}`", index.display()))?;
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split('\t');
        if let (Some(file), Some(source)) = (fields.next(), fields.next())
            && !NOT_RAW.contains(&source)
        {
            files.entry(source.to_owned()).or_default().push(corpus.join(file));
        }
    }
    ensure!(!files.is_empty(), "`{}` names no sample", index.display());
    Ok(files)
}

fn source_outcome(lab: &Lab, shared: &Path, folder: &Path, files: &[PathBuf]) -> Result<Outcome> {
    let documents = folder.join("events.ndjson");
    let mut outcome = Outcome { files: files.len(), ..Outcome::default() };
    let status = Command::new(lab.linchpin()?)
        .args(["normalize", "--source", "auto"])
        .args(files)
        .stdout(File::create(&documents)?)
        .stderr(Stdio::null())
        .status()?;
    // Damaged files end it with 1, and their events count as not recognised; a panic is a failure.
    outcome.failed += u64::from(!matches!(status.code(), Some(0 | 1)));
    for line in BufReader::new(File::open(&documents)?).lines() {
        let event: Value = serde_json::from_str(&line?).context("a document is not JSON")?;
        let metadata = &event["metadata"];
        let labelled = metadata["labels"].as_array().is_some_and(|l| l.iter().any(|l| l == UNDERSTOOD));
        outcome.documents += 1;
        outcome.recognised += u64::from(event["class_uid"] != 0 || labelled);
        let name = metadata["log_name"].as_str().unwrap_or("?").to_owned();
        *outcome.as_source.entry(name).or_default() += 1;
    }
    let validator = shared.join("tools/ocsf_validate.py");
    let verdict = observe(Command::new("python3").arg(validator).arg(&documents))?;
    // A source of heartbeats or of nothing has no event to validate.
    outcome.invalid = invalid(&verdict.stdout).unwrap_or_default();
    if outcome.invalid > 0 {
        eprintln!("{}", verdict.stdout.trim_end());
    }
    Ok(outcome)
}

/// The invalid events of a line `N events, V valid, I invalid`.
fn invalid(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_suffix(" invalid"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn table(outcomes: &BTreeMap<String, Outcome>) {
    eprintln!("{:<28} {:>5} {:>8} {:>10} {:>8}  as", "source", "files", "events", "recognised", "invalid");
    for (source, o) in outcomes {
        let mut names: Vec<_> = o.as_source.iter().collect();
        names.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let names: Vec<_> = names.iter().take(4).map(|(name, n)| format!("{name} {n}")).collect();
        let share = if o.documents == 0 { 0.0 } else { o.recognised as f64 * 100.0 / o.documents as f64 };
        eprintln!(
            "{source:<28} {:>5} {:>8} {share:>9.1}% {:>8}  {}",
            o.files,
            o.documents,
            o.invalid,
            names.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_events_are_read_from_the_last_line() {
        assert_eq!(invalid("3 x: y\n12 events, 10 valid, 2 invalid\n"), Some(2));
        assert_eq!(invalid("no event"), None);
    }
}
