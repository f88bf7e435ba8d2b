//! Rules of the house that no compiler checks.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::workspace::metadata;

/// What each crate may import of the workspace. `xtask` imports none of it.
const IMPORTS: &[(&str, &[&str])] = &[
    ("linchpin-config", &[]),
    ("linchpin-normalize", &["linchpin-config"]),
    ("linchpin-store", &["linchpin-config"]),
    ("linchpin-ingest", &["linchpin-config", "linchpin-normalize", "linchpin-store"]),
    ("linchpin-tiering", &["linchpin-config", "linchpin-normalize", "linchpin-store"]),
    ("linchpin-integration", &["linchpin-config", "linchpin-normalize"]),
    (
        "linchpin",
        &[
            "linchpin-config",
            "linchpin-ingest",
            "linchpin-integration",
            "linchpin-normalize",
            "linchpin-store",
            "linchpin-tiering",
        ],
    ),
    ("xtask", &[]),
];

/// Most lines of a Rust file, its tests not counted.
const FILE_LINES_MAX: usize = 500;
/// Files beyond this are data.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Folders that are no part of the product: build outputs and lakes.
const FOREIGN: &[&str] = &["target", "data", "linchpin-demo", ".git"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of the checkout, by its path below the root, in order.
fn files() -> Vec<(String, PathBuf)> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let foreign = FOREIGN.contains(&entry.file_name().to_string_lossy().as_ref());
            if kind.is_dir() && !foreign {
                folders.push(path);
            } else if kind.is_file() {
                found.push((path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), path));
            }
        }
    }
    found.sort();
    assert!(found.iter().any(|(name, _)| name == "xtask/src/house.rs"));
    found
}

/// The text of a file; nothing for data.
fn text(path: &Path) -> Option<String> {
    let small = fs::metadata(path).unwrap().len() <= TEXT_BYTES_MAX;
    small.then(|| fs::read_to_string(path).ok()).flatten()
}

#[test]
fn crates_import_only_what_they_may() {
    let metadata = metadata(&root()).unwrap();
    let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        // A dependency with a path is a crate of the workspace.
        let dependencies = package["dependencies"].as_array().unwrap();
        let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
        members.insert(
            package["name"].as_str().unwrap(),
            ours.map(|dependency| dependency["name"].as_str().unwrap()).collect(),
        );
    }
    let known: Vec<_> = IMPORTS.iter().map(|(name, _)| *name).collect();
    for (name, imports) in &members {
        let (_, may) = IMPORTS.iter().find(|(known, _)| known == name).unwrap_or_else(|| {
            panic!("crate `{name}` is not in the table of imports");
        });
        let foreign: Vec<_> = imports.iter().filter(|import| !may.contains(import)).collect();
        assert!(foreign.is_empty(), "`{name}` must not import {foreign:?}");
    }
    assert_eq!(members.len(), known.len(), "{known:?}");
}

#[test]
fn versions_and_features_stand_in_the_workspace_table_only() {
    let mut seen = 0;
    for (name, path) in files() {
        // The benches are workspaces of their own, with nothing to inherit from.
        if !name.ends_with("/Cargo.toml") || name.starts_with("bench/") {
            continue;
        }
        let mut dependencies = false;
        for line in fs::read_to_string(&path).unwrap().lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                dependencies = header.trim_end_matches(']').ends_with("dependencies");
                assert!(!header.contains("dependencies."), "{name}: write `{line}` as one line");
            } else if dependencies && !line.is_empty() && !line.starts_with('#') {
                seen += 1;
                let (_, value) = line.split_once('=').unwrap();
                let inherited = line.ends_with(".workspace = true")
                    || (value.contains("workspace = true") && !value.contains("features"));
                assert!(inherited, "{name}: `{line}` does not come from the workspace table");
            }
        }
    }
    assert!(seen > 20, "{seen} dependencies");
}

#[test]
fn files_stay_below_the_ceiling() {
    let mut long = Vec::new();
    for (name, path) in files() {
        let a_test = name.ends_with("/tests.rs") || name.contains("/tests/");
        if path.extension().is_none_or(|extension| extension != "rs") || a_test {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        if lines > FILE_LINES_MAX {
            long.push(format!("{name}: {lines}"));
        }
    }
    assert!(long.is_empty(), "more than {FILE_LINES_MAX} lines: {long:?}");
}

/// No path of a developer's machine, and nothing beside the checkout except where tests and the
/// measurements of this crate look for it.
#[test]
fn nothing_points_outside_the_checkout() {
    // Put together here, so that this file passes.
    let (machine, beside) = (concat!("/wo", "rk/"), concat!("../sha", "red"));
    let mut found = Vec::new();
    for (name, path) in files() {
        let may_look = name.starts_with("xtask/") || name.ends_with("tests.rs") || name.contains("/tests/");
        for (number, line) in text(&path).unwrap_or_default().lines().enumerate() {
            if line.contains(machine) || (line.contains(beside) && !may_look) {
                found.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
