//! Real samples, where a corpus lies beside the checkout, become valid OCSF. Without one there is
//! nothing to say here: the mappings have goldens of their own.

use std::{fs, path::Path, process::Command};

/// Folders of the corpus whose sources are mapped.
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

#[test]
fn real_samples_become_valid_ocsf() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let Ok(index) = fs::read_to_string(shared.join("corpus/INDEX.tsv")) else { return };
    let samples = index.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let (path, source) = (fields.next()?, fields.next()?);
        SOURCES.contains(&source).then(|| shared.join("corpus").join(path))
    });
    let root = tempfile::tempdir().unwrap();
    let documents = root.path().join("events.ndjson");
    let normalize = Command::new(env!("CARGO_BIN_EXE_linchpin"))
        .arg("normalize")
        .args(samples)
        .stdout(fs::File::create(&documents).unwrap())
        .output()
        .unwrap();
    assert!(normalize.status.success(), "{}", String::from_utf8_lossy(&normalize.stderr));
    let verdict =
        Command::new("python3").arg(shared.join("tools/ocsf_validate.py")).arg(&documents).output().unwrap();
    let said = String::from_utf8_lossy(&verdict.stdout);
    // `N events, V valid, I invalid`
    let total = said.lines().last().unwrap_or_default();
    let mut numbers = total.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let (documents, invalid) = (numbers.next(), numbers.next_back());
    assert!(documents.is_some_and(|n| n > 0) && invalid == Some(0), "{said}");
    println!("figure corpus_documents {}", documents.unwrap_or_default());
    println!("figure corpus_documents_invalid {}", invalid.unwrap_or_default());
}
