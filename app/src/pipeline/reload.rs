//! Takes up what changes in the folder of mappings, without a restart.
//!
//! A mapping is one folder. One that has changed comes into force if it compiles and its samples
//! become what they must; otherwise the log says why, and the one before stays in force. Folders are
//! looked at as a whole: nothing is taken up while files are still being written.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Result, anyhow};
use linchpin_normalize::{Catalog, Plan};

use super::Shared;
use crate::verbs::sources::{self, Mapping};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a stop is noticed.
const STEP: Duration = Duration::from_millis(200);

/// Names, sizes and times of a folder's files: equal if nothing was written.
type Print = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// One mapping's folder.
#[derive(Debug, Default)]
struct Folder {
    /// How it looked when it was last tried.
    tried: Print,
    /// What is in force of it.
    plan: Option<Arc<Plan>>,
}

/// Looks at the folder until the service stops.
pub(super) fn watch(shared: &Shared, folder: &Path) {
    let mut folders = in_force(shared, folder);
    let mut last = prints(folder);
    while !shared.stopping() {
        let until = Instant::now() + LOOK_EVERY;
        while !shared.stopping() && Instant::now() < until {
            thread::sleep(STEP);
        }
        let now = prints(folder);
        // What is still being written is left alone until it rests.
        let resting = now == last;
        last = now;
        if resting {
            take_up(shared, &mut folders, &last);
        }
    }
}

/// The folders as they were when the service began.
fn in_force(shared: &Shared, folder: &Path) -> BTreeMap<PathBuf, Folder> {
    let catalog = shared.catalog();
    let mut prints = prints(folder);
    let mut folders = BTreeMap::new();
    for mapping in sources::mappings(folder).unwrap_or_default() {
        let name = compile(&mapping).map(|plan| Arc::clone(&plan.name)).ok();
        let plan = name.and_then(|name| catalog.index(&name)).map(|at| Arc::clone(&catalog.plans()[at]));
        let tried = prints.remove(&mapping.folder).unwrap_or_default();
        folders.insert(mapping.folder, Folder { tried, plan });
    }
    folders
}

/// Tries the folders that look otherwise than when they were last tried.
fn take_up(shared: &Shared, folders: &mut BTreeMap<PathBuf, Folder>, prints: &BTreeMap<PathBuf, Print>) {
    let mut changed = false;
    folders.retain(|path, folder| {
        let stays = prints.contains_key(path);
        if !stays && let Some(plan) = &folder.plan {
            tracing::info!(folder = %path.display(), source = %plan.name, "mapping is gone and no longer in force");
            changed = true;
        }
        stays
    });
    for (path, print) in prints {
        if folders.get(path).is_some_and(|folder| folder.tried == *print) {
            continue;
        }
        let tried = attempt(folders, path);
        let folder = folders.entry(path.clone()).or_default();
        folder.tried.clone_from(print);
        match tried {
            Ok(plan) => {
                tracing::info!(folder = %path.display(), source = %plan.name, "mapping is in force");
                folder.plan = Some(plan);
                changed = true;
            }
            Err(why) => {
                let why = format!("{why:#}");
                tracing::warn!(folder = %path.display(), why, "mapping has faults; what was in force stays so");
            }
        }
    }
    if changed && let Ok(catalog) = catalog_of(folders) {
        *shared.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }
}

/// Compiles a folder's mapping and runs its samples beside the other mappings.
fn attempt(folders: &BTreeMap<PathBuf, Folder>, path: &Path) -> Result<Arc<Plan>> {
    let mapping = sources::mappings(path)?.pop().ok_or_else(|| anyhow!("no mapping"))?;
    let plan = compile(&mapping)?;
    let catalog = Arc::new(catalog_of(folders)?.with(Arc::clone(&plan)));
    let faults = sources::faults(&catalog, path, &plan)?;
    match faults.first() {
        None => Ok(plan),
        Some(first) => Err(anyhow!("{first} ({} faults of its samples)", faults.len())),
    }
}

fn compile(mapping: &Mapping) -> Result<Arc<Plan>> {
    Ok(Arc::new(linchpin_normalize::compile(&mapping.file, &mapping.text)?))
}

/// The sources of this build and those of the folders in force.
fn catalog_of(folders: &BTreeMap<PathBuf, Folder>) -> Result<Catalog> {
    let plans = folders.values().filter_map(|folder| folder.plan.clone());
    Ok(plans.fold(Catalog::builtin()?, Catalog::with))
}

/// How each mapping's folder looks now.
fn prints(folder: &Path) -> BTreeMap<PathBuf, Print> {
    let mappings = sources::mappings(folder).unwrap_or_default();
    mappings.into_iter().map(|mapping| (mapping.folder.clone(), print(&mapping.folder))).collect()
}

fn print(folder: &Path) -> Print {
    let mut files = Vec::new();
    for dir in [folder.to_owned(), folder.join("tests")] {
        let Ok(entries) = fs::read_dir(dir) else { continue };
        for entry in entries.flatten() {
            if let Ok(meta) = entry.metadata()
                && meta.is_file()
            {
                files.push((entry.path(), meta.len(), meta.modified().ok()));
            }
        }
    }
    files.sort();
    files
}
