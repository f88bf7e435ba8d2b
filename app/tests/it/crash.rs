//! Workers that are killed, or that meet on one folder, lose nothing and store nothing twice.
//!
//! `LINCHPIN_CAMPAIGN_KILLS` sets how many workers are killed alone; a tenth of that beside another.
//! `LINCHPIN_CAMPAIGN_KILLS_S3` is the same for workers whose feed, lake and archive are in a bucket.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    campaign,
    cloud::{Bucket, Cloud, stores},
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
const PLACES: &[&str] = &["archive", "lake/ledger/_delta_log", "lake/hot/_delta_log", OUT, "lake/cursors"];
/// The output's folder, always on this machine.
const OUT: &str = "out";
const OUTPUTS: &str = "[ { name: out, to: { ndjson: ./out } } ]";
/// No worker of these tests needs so long.
const PATIENCE: Duration = Duration::from_mins(2);

/// Logs, a lake that is disturbed, and how many records there are.
struct Scene {
    root: TempDir,
    lake: Lake,
    /// Where all of it is, if not in folders.
    bucket: Option<Bucket>,
    /// The feed over the logs, as the configuration has it.
    feed: String,
    records: u64,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let logs = root.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let feed = format!("{{ name: logs, from: {{ files: \"{}\" }} }}", logs.display());
        let settings = Settings { flush: FLUSH, outputs: OUTPUTS, ..Settings::default() };
        let lake = Lake::with_feeds(root.path().join("disturbed"), &feed, settings);
        Self { root, lake, bucket: None, feed, records: 0 }
    }

    /// Feed, lake and archive in a bucket.
    fn in_a_bucket(cloud: Cloud) -> Self {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::new(cloud);
        let feed = bucket.feed("logs", "default", "logs/");
        let settings = Settings {
            flush: FLUSH,
            outputs: OUTPUTS,
            lake: &bucket.url("lake"),
            archives: &format!("{{ default: \"{}\" }}", bucket.url("archive")),
            stores: &stores(&[cloud]),
            ..Settings::default()
        };
        let lake = Lake::with_feeds(root.path().join("disturbed"), &feed, settings);
        Self { root, lake, bucket: Some(bucket), feed, records: 0 }
    }

    /// Writes new logs.
    fn feed(&mut self) {
        let name = format!("{:08}", self.records);
        let folder = self.root.path().join("logs").join(&name);
        self.records = logs::write_trails(&folder, self.records, FILES, RECORDS);
        if let Some(bucket) = &self.bucket {
            bucket.upload(&folder, &format!("logs/{name}/"));
        }
    }

    /// How many objects are in a place.
    fn objects(&self, place: &str) -> usize {
        match &self.bucket {
            Some(bucket) if place != OUT => bucket.keys(&format!("{place}/")).len(),
            _ => self.lake.files(place).len(),
        }
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
        // The same feed, for the same ids; all else in folders.
        let stores = self.bucket.as_ref().map_or("{}".to_owned(), |bucket| stores(&[bucket.cloud()]));
        let settings = Settings { flush: "16MiB", outputs: OUTPUTS, stores: &stores, ..Settings::default() };
        let reference = Lake::with_feeds(self.root.path().join("undisturbed"), &self.feed, settings);
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
    fn kill(self, scene: &Scene, before: usize, mut worker: Child) -> bool {
        let began = Instant::now();
        let due = || match self {
            Self::After(time) => began.elapsed() >= time,
            Self::At(place, files) => scene.objects(place) >= before + files,
        };
        while !due() && worker.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "a worker hangs, waiting for {self:?}");
            thread::sleep(Duration::from_micros(500));
        }
        let at_work = worker.try_wait().unwrap().is_none();
        worker.kill().unwrap();
        worker.wait().unwrap();
        at_work
    }

    /// How many files are in its place now.
    fn files(self, scene: &Scene) -> usize {
        match self {
            Self::After(_) => 0,
            Self::At(place, _) => scene.objects(place),
        }
    }
}

/// Kills workers on ever new logs until enough of them died at work. Beside a companion, the one
/// that lives must succeed.
fn kill(mut scene: Scene, kills: u32, companion: bool) {
    scene.feed();
    let began = Instant::now();
    scene.lake.drain();
    let typical = began.elapsed();
    let (mut killed, mut moments) = (0, Vec::new());
    for round in 0..kills * ROUNDS_PER_KILL_MAX {
        scene.feed();
        let moment = Moment::of(round, typical);
        moments.push(moment);
        let before = moment.files(&scene);
        let other = companion.then(|| scene.lake.start());
        killed += u32::from(moment.kill(&scene, before, scene.lake.start()));
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
    kill(Scene::new(), campaign("LINCHPIN_CAMPAIGN_KILLS", 6), false);
}

#[test]
fn a_worker_killed_beside_another_loses_nothing() {
    kill(Scene::new(), campaign("LINCHPIN_CAMPAIGN_KILLS", 20).div_ceil(10), true);
}

#[test]
fn a_worker_killed_on_s3_loses_nothing() {
    kill(Scene::in_a_bucket(Cloud::S3), campaign("LINCHPIN_CAMPAIGN_KILLS_S3", 5), false);
}

#[test]
fn a_worker_killed_on_s3_beside_another_loses_nothing() {
    kill(Scene::in_a_bucket(Cloud::S3), campaign("LINCHPIN_CAMPAIGN_KILLS_S3", 10).div_ceil(10), true);
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
