//! Real samples, where the corpus lies beside the checkout: what `linchpin normalize` makes of them
//! is valid OCSF. The project's own tests need no corpus.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{Figure, Lab, Target};
use crate::measure::{measure, observe};

/// Folders of the corpus whose sources the spine reads.
const SOURCES: &[&str] = &[
    "aws/cloudtrail",
    "aws/vpcflow",
    "azure/activity",
    "azure/nsgflow",
    "azure/signin",
    "azure/vnetflow",
    "gcp/audit",
    "gcp/vpcflow",
];

/// Normalises every sample of [`SOURCES`] and validates each document.
pub(super) fn validated(lab: &Lab) -> Result<Vec<Figure>> {
    let shared = lab.workspace.root.join("../shared");
    let files = samples(&shared.join("corpus"))?;
    let folder = lab.workspace.scratch("corpus")?;
    let documents = folder.join("events.ndjson");
    let done = measure(Command::new(lab.linchpin()?).arg("normalize").args(&files))?;
    fs::write(&documents, done.stdout)?;
    // It ends with 1 when events are invalid: its last line counts either way.
    let verdict =
        observe(Command::new("python3").arg(shared.join("tools/ocsf_validate.py")).arg(&documents))?;
    let (events, invalid) = totals(&verdict.stdout)
        .with_context(|| format!("the validator said: {} {}", verdict.stdout, verdict.stderr))?;
    fs::remove_dir_all(&folder)?;
    Ok(vec![
        Figure { name: "corpus_files", value: files.len() as f64, target: Target::AtLeast(1.0) },
        Figure { name: "corpus_documents", value: events, target: Target::AtLeast(1.0) },
        Figure { name: "corpus_documents_invalid", value: invalid, target: Target::Exactly(0.0) },
    ])
}

/// Files of the corpus that belong to [`SOURCES`], as its index says.
fn samples(corpus: &Path) -> Result<Vec<PathBuf>> {
    let index = corpus.join("INDEX.tsv");
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read `{}`", index.display()))?;
    let fields = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let files: Vec<_> = fields
        .filter(|fields| fields.get(1).is_some_and(|source| SOURCES.contains(source)))
        .map(|fields| corpus.join(fields[0]))
        .collect();
    ensure!(!files.is_empty(), "`{}` names no sample of these sources", index.display());
    Ok(files)
}

/// Events and invalid events of a line `N events, V valid, I invalid`.
fn totals(text: &str) -> Option<(f64, f64)> {
    let line = text.lines().rev().find(|line| line.ends_with(" invalid"))?;
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [events, _, invalid] => Some((events, invalid)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        assert_eq!(totals("3 x: y\n12 events, 10 valid, 2 invalid\n"), Some((12.0, 2.0)));
        assert_eq!(totals("0 events, none read\n"), None);
    }
}
