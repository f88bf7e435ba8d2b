//! Broken mappings, and what is said of them: `tests-data/mappings/NAME.yml` gives `NAME.txt`.
//! `UPDATE_GOLDENS=1` writes the expectations anew.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read and write expectations")]

use std::{fs, path::Path};

use super::*;

#[test]
fn broken_mappings_are_refused_with_a_hint() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data/mappings");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "yml"));
    files.sort();
    assert!(files.len() > 20);
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let told = match compile(&name, &fs::read_to_string(&file).unwrap()) {
            Ok(_) => "no fault\n".to_owned(),
            Err(faults) => format!("{faults}\n"),
        };
        let golden = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(&golden, &told).unwrap();
        }
        // Only what is not a fault begins with `valid`.
        let accepted = told == "no fault\n";
        if accepted != name.starts_with("valid") || fs::read_to_string(&golden).unwrap_or_default() != told {
            wrong.push(format!("{name}:\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDENS=1 rewrites the expectations:\n{}", wrong.join("\n"));
}

#[test]
fn a_mapping_of_the_words_in_the_manual_is_valid() {
    let manual = include_str!("../../../docs/mappings.md");
    let (_, rest) = manual.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    // The manual shows one class; the last must be the default.
    let text = format!(
        "{example}  - class: api_activity\n    profiles: [cloud]\n    set: {{ activity: Other }}\n    map:\n      api.operation: eventName\n      actor.user.name: userIdentity.userName\n      src_endpoint.ip: sourceIPAddress | ip\n"
    );
    let text = text
        .replace("    set: { activity: Logon }\n", "    set: { activity: Logon, service.name: signin }\n");
    compile("mappings.md", &text).unwrap_or_else(|e| panic!("{e}"));
}
