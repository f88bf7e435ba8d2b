//! Workers that are killed, or that meet on one folder, lose nothing and store nothing twice.
//!
//! `LINCHPIN_CAMPAIGN_KILLS` sets how many workers are killed alone; a tenth of that beside another.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    campaign,
    lake::{Lake, Settings, Summary, multiset},
    logs,
};

/// Fresh files for each worker that is to be killed: about an epoch each.
const FILES: u64 = 5;
const RECORDS: u64 = 40;
const FLUSH: &str = "64KiB";
/// A worker that was done before its end was due does not count.
const ROUNDS_PER_KILL_MAX: u32 = 5;
/// Where new files tell how far a worker is: archive, ledger, hot table, output and its cursor.
const PLACES: &[&str] = &["archive", "lake/ledger/_delta_log", "lake/hot/_delta_log", "out", "lake/cursors"];
/// No worker of these tests needs so long.
const PATIENCE: Duration = Duration::from_mins(2);

/// Logs, a lake that is disturbed, and how many records there are.
struct Scene {
    root: TempDir,
    lake: Lake,
    records: u64,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("logs")).unwrap();
        let lake = lake(root.path(), "disturbed", FLUSH);
        Self { root, lake, records: 0 }
    }

    /// Writes new logs.
    fn feed(&mut self) {
        let folder = self.root.path().join("logs").join(format!("{:08}", self.records));
        self.records = logs::write_trails(&folder, self.records, FILES, RECORDS);
    }

    /// Drains what is left and compares with a lake that nothing disturbed.
    fn is_whole(&self) {
        self.lake.drain();
        let again = self.lake.drain();
        assert_eq!(
            again,
            Summary { units: 0, raw_events: 0, events: 0, segments: 0 },
            "a second run found work"
        );
        let reference = lake(self.root.path(), "undisturbed", "16MiB");
        let undisturbed = reference.drain();
        assert_eq!(undisturbed.raw_events, self.records);
        let (ids, expected) = (self.lake.event_ids(), reference.event_ids());
        assert_eq!(ids.len() as u64, undisturbed.events, "rows");
        assert!(ids == expected, "other ids than undisturbed");
        assert!(
            self.lake.rehydrated("true") == reference.rehydrated("true"),
            "other events than undisturbed"
        );
        self.lake.verified();
        delivered_once(&self.lake, self.records);
        for row in self.lake.query("SELECT retention, count(*) AS n FROM events GROUP BY retention") {
            assert!(row["n"].as_u64().unwrap() >= self.records / 4, "{row}");
        }
    }
}

fn lake(root: &Path, name: &str, flush: &str) -> Lake {
    let settings =
        Settings { flush, outputs: "[ { name: out, to: { ndjson: ./out } } ]", ..Settings::default() };
    Lake::new(root.join(name), &[("logs", &root.join("logs"))], settings)
}

/// The folder of the output has every event, and as a repeat replaces its file, once.
fn delivered_once(lake: &Lake, records: u64) {
    let mut found = Vec::new();
    for file in lake.files("out") {
        for line in fs::read_to_string(&file).unwrap().lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            found.push(document["metadata"]["uid"].as_str().unwrap().to_owned());
        }
    }
    let found = multiset(found);
    let missing: Vec<String> =
        (0..records).map(logs::event_id).filter(|id| !found.contains_key(id)).collect();
    assert!(missing.is_empty(), "{} events were not delivered, such as {}", missing.len(), missing[0]);
    assert_eq!(found.len() as u64, records, "events were delivered that nobody sent");
    assert!(found.values().all(|n| *n == 1), "an event was delivered twice");
}

/// When a worker dies.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// As soon as so many new files are in this place: in the middle of a commit.
    At(&'static str, usize),
}

impl Moment {
    /// Every other moment is anywhere in a run; the others step through the places of a commit.
    fn of(round: u32, typical: Duration) -> Self {
        if round.is_multiple_of(2) {
            return Self::After(typical.mul_f64(fastrand::f64()));
        }
        let place = PLACES[(round as usize / 2) % PLACES.len()];
        Self::At(place, fastrand::usize(1..=FILES as usize / 2))
    }

    /// Kills the worker when the moment has come; says whether it was still at work.
    fn kill(self, lake: &Lake, before: usize, mut worker: Child) -> bool {
        let began = Instant::now();
        let due = |lake: &Lake| match self {
            Self::After(time) => began.elapsed() >= time,
            Self::At(place, files) => lake.files(place).len() >= before + files,
        };
        while !due(lake) && worker.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "a worker hangs, waiting for {self:?}");
            thread::sleep(Duration::from_micros(500));
        }
        let at_work = worker.try_wait().unwrap().is_none();
        worker.kill().unwrap();
        worker.wait().unwrap();
        at_work
    }

    /// How many files are in its place now.
    fn files(self, lake: &Lake) -> usize {
        match self {
            Self::After(_) => 0,
            Self::At(place, _) => lake.files(place).len(),
        }
    }
}

/// Kills workers on ever new logs until enough of them died at work. Beside a companion, the one
/// that lives must succeed.
fn kill(kills: u32, companion: bool) {
    let mut scene = Scene::new();
    scene.feed();
    let began = Instant::now();
    scene.lake.drain();
    let typical = began.elapsed();
    let (mut killed, mut moments) = (0, Vec::new());
    for round in 0..kills * ROUNDS_PER_KILL_MAX {
        scene.feed();
        let moment = Moment::of(round, typical);
        moments.push(moment);
        let before = moment.files(&scene.lake);
        let other = companion.then(|| scene.lake.start());
        killed += u32::from(moment.kill(&scene.lake, before, scene.lake.start()));
        other.map(Lake::finished);
        if killed == kills {
            break;
        }
    }
    assert_eq!(killed, kills, "too few died at work: {moments:?}");
    println!("killed at {moments:?}");
    scene.is_whole();
}

#[test]
fn a_killed_worker_loses_nothing() {
    kill(campaign("LINCHPIN_CAMPAIGN_KILLS", 6), false);
}

#[test]
fn a_worker_killed_beside_another_loses_nothing() {
    kill(campaign("LINCHPIN_CAMPAIGN_KILLS", 20).div_ceil(10), true);
}

#[test]
fn two_workers_on_one_folder_take_every_unit_once() {
    let mut scene = Scene::new();
    scene.feed();
    scene.feed();
    let workers = [scene.lake.start(), scene.lake.start()];
    let summaries = workers.map(Lake::finished);
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
    assert_eq!(sum(|s| s.units), 2 * FILES, "{summaries:?}");
    assert_eq!(sum(|s| s.raw_events), scene.records, "{summaries:?}");
    assert_eq!(sum(|s| s.events), scene.records, "{summaries:?}");
    let segments: BTreeSet<PathBuf> = scene.lake.files("archive").into_iter().collect();
    assert_eq!(sum(|s| s.segments), segments.len() as u64, "{summaries:?}");
    scene.is_whole();
}
