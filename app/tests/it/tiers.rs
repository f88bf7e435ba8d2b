//! Retention on the clouds' servers: segments sink into their class, and come back from it by jobs whose
//! processes are killed.
//!
//! `LINCHPIN_CAMPAIGN_JOB_KILLS` sets how often that happens.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    campaign,
    cloud::{Bucket, Cloud, stores},
    lake::{Lake, Settings, multiset},
    logs,
};

/// Each has an archive of its own, so that there are several packs.
const FEEDS: u64 = 4;
const FILES: u64 = 3;
const RECORDS: u64 = 40;

/// A lake on this machine whose archives lie in a bucket, and what is in them.
struct Scene {
    _root: TempDir,
    bucket: Bucket,
    lake: Lake,
    events: BTreeMap<Vec<u8>, usize>,
}

impl Scene {
    /// Everything is taken in, and sinks into a class a week later.
    fn new(cloud: Cloud, class: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::new(cloud);
        let (mut feeds, mut archives) = (Vec::new(), vec!["default: ./archive".to_owned()]);
        let mut records = 0;
        for n in 0..FEEDS {
            let folder = root.path().join(format!("logs-{n}"));
            records = logs::write_trails(&folder, records, FILES, RECORDS);
            feeds.push(format!(
                "{{ name: f{n}, archive: a{n}, from: {{ files: \"{}\" }} }}",
                folder.display()
            ));
            archives.push(format!("a{n}: \"{}\"", bucket.url(&format!("archive/{n}"))));
        }
        let settings = Settings {
            archives: &format!("{{ {} }}", archives.join(", ")),
            stores: &stores(&[cloud]),
            tier: &format!("{{ class: {class}, after: 7d }}"),
            ..Settings::default()
        };
        let lake = Lake::with_feeds(root.path().join("lake"), &feeds.join(", "), settings);
        assert_eq!(lake.drain().raw_events, records);
        let events = multiset(lake.rehydrated("true").into_values());
        Self { _root: root, bucket, lake, events }
    }

    /// Carries out the policy as it will be in some days.
    #[track_caller]
    fn enforce(&self, days: i64) -> Value {
        let then = Timestamp::now() + SignedDuration::from_hours(24 * days);
        serde_json::from_slice(&self.lake.ok("enforce", &["--once", "--json", "--now", &then.to_string()]))
            .unwrap()
    }

    /// All segments come to lie in a class of the store, and what they lay in before is gone.
    fn sinks(&self, class: &str) {
        let before = self.bucket.heads("archive/").len();
        let done = self.enforce(30);
        let count = |what: &str| done[what].as_array().unwrap().len();
        assert_eq!(count("repacked") + count("moved"), before, "{done}");
        self.enforce(60);
        let heads = self.bucket.heads("archive/");
        assert!(!heads.is_empty() && heads.len() < before, "{} objects of {before}", heads.len());
        assert!(heads.iter().all(|head| head.class == class), "{heads:?}");
        let again = self.enforce(61);
        assert_eq!((&again["repacked"], &again["moved"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    }

    /// Jobs, oldest first.
    fn jobs(&self) -> Vec<Value> {
        serde_json::from_slice(&self.lake.ok("jobs", &["--json"])).unwrap()
    }

    fn start(&self, verb: &str, args: &[&str]) -> Child {
        let args = [args, &["--budget", "1"]].concat();
        self.lake.command(verb, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Orders everything again and again, and kills who works on it, until enough have died at work.
    fn comes_back(&self, kills: u32) {
        let (mut killed, mut typical) = (0, Duration::from_secs(1));
        for n in 0.. {
            let to = format!("folder:back-{n}");
            let order = ["--where", "true", "--speed", "expedited", "--deliver", &to];
            let mut worker = self.start("rehydrate", &order);
            loop {
                let began = Instant::now();
                let life = if killed < kills { typical.mul_f64(fastrand::f64()) } else { Duration::MAX };
                let ended = loop {
                    match worker.try_wait().unwrap() {
                        Some(ended) => break Some(ended),
                        None if began.elapsed() > life => break None,
                        None => thread::sleep(Duration::from_millis(1)),
                    }
                };
                if let Some(ended) = ended {
                    assert!(ended.success(), "{:?}", self.jobs().last());
                    typical = began.elapsed();
                    break;
                }
                worker.kill().unwrap();
                worker.wait().unwrap();
                killed += 1;
                // One that died before it wrote its order down has left nothing.
                let job = self.jobs().get(n).map(|job| job["id"].as_str().unwrap().to_owned());
                worker = job.map_or_else(
                    || self.start("rehydrate", &order),
                    |id| self.start("jobs", &["resume", &id]),
                );
            }
            let files = self.lake.files(&format!("back-{n}"));
            let bytes: Vec<u8> = files.iter().flat_map(|file| fs::read(file).unwrap()).collect();
            let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
            assert!(multiset(lines.map(<[u8]>::to_vec)) == self.events, "other events came back");
            let job = &self.jobs()[n];
            assert_eq!(job["phase"], "done", "{job}");
            assert!(job["committed"].as_f64().unwrap() <= 1.0, "{job}");
            if killed >= kills {
                println!("figure job_processes_killed {killed}");
                return;
            }
        }
    }
}

fn kills() -> u32 {
    campaign("LINCHPIN_CAMPAIGN_JOB_KILLS", 3)
}

#[test]
fn what_sank_into_glacier_is_restored_by_a_job_that_is_killed() {
    let scene = Scene::new(Cloud::Emulator, "glacier");
    scene.sinks("GLACIER");
    let refused = scene.lake.call("rehydrate", &["--where", "true"]);
    assert_eq!((refused.code, refused.out.len()), (Some(1), 0));
    assert!(refused.err.contains("must be restored first") && refused.err.contains("--deliver"));
    scene.comes_back(kills());
    scene.lake.verified();
}

#[test]
fn what_sank_with_google_is_read_where_it_lies() {
    let scene = Scene::new(Cloud::Gcs, "glacier");
    scene.sinks("ARCHIVE");
    assert!(multiset(scene.lake.rehydrated("true").into_values()) == scene.events);
    scene.comes_back(kills());
    scene.lake.verified();
}

#[test]
fn what_sank_with_azure_is_read_from_cold_and_not_from_archive() {
    let scene = Scene::new(Cloud::Azure, "cold");
    scene.sinks("Cold");
    scene.comes_back(kills());
    scene.lake.verified();

    let scene = Scene::new(Cloud::Azure, "glacier");
    scene.sinks("Archive");
    let refused = scene.lake.call("rehydrate", &["--where", "true"]);
    assert_eq!((refused.code, refused.out.len()), (Some(1), 0));
    assert!(refused.err.contains("must be restored first"), "{}", refused.err);
    // The emulator copies nothing out of this tier: the job says so, goes on trying, and can be stopped.
    scene.lake.ok("rehydrate", &["--where", "true", "--deliver", "folder:back", "--yes", "--detach"]);
    let job = &scene.jobs()[0];
    assert_eq!((&job["phase"], &job["objects"]["delivered"]), (&"running".into(), &0.into()), "{job}");
    assert!(job["trouble"].as_str().unwrap().contains("archived blob"), "{job}");
    scene.lake.ok("jobs", &["cancel", job["id"].as_str().unwrap()]);
    assert_eq!(scene.jobs()[0]["phase"], "cancelled");
}
