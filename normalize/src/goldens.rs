//! Samples of every source beside what they must become: `sources/*/tests/NAME.log` gives
//! `NAME.expected.json`. `UPDATE_GOLDENS=1` writes them anew. What else must hold of a sample is in
//! [`crate::samples`].
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read and write expectations")]

use std::{fs, path::Path, sync::Arc};

use crate::{Catalog, Normalizer, samples};

#[test]
fn goldens_hold_and_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sources");
    // `1` for all of them, or the folder whose expectations are to be written.
    let update = std::env::var("UPDATE_GOLDENS").unwrap_or_default();
    let catalog = Catalog::builtin().unwrap_or_else(|e| panic!("{e}"));
    let mut normalizer = Normalizer::new(Arc::new(catalog));
    let (mut faults, mut samples) = (Vec::new(), 0);
    let mut folders: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let Ok(tests) = fs::read_dir(folder.join("tests")) else { continue };
        let mut logs: Vec<_> =
            tests.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "log")).collect();
        logs.sort();
        let of = folder.file_name().unwrap().to_string_lossy().into_owned();
        for log in logs {
            samples += 1;
            let name = format!("{of}/{}", log.file_name().unwrap().to_string_lossy());
            let sample = samples::run(&mut normalizer, &name, fs::read(&log).unwrap(), None);
            faults.extend(sample.faults.iter().map(|fault| format!("{name}: {fault}")));
            let golden = log.with_extension("expected.json");
            let text = format!("{}\n", serde_json::to_string_pretty(&sample.expectation()).unwrap());
            if update == "1" || of == update {
                fs::write(&golden, &text).unwrap();
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if expected != text {
                faults.push(format!(
                    "{name}: differs from {}; run with UPDATE_GOLDENS=1 and look at the difference",
                    golden.display()
                ));
            }
        }
    }
    assert!(samples > 0);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
