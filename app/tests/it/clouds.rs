//! The pipeline on buckets: each cloud by itself, and three at once.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::{
    cloud::{Bucket, CLOUDS, Cloud, stores},
    lake::{Lake, Settings, Summary, multiset},
    logs,
};

/// Below this prefix of a bucket are its logs.
const LOGS: &str = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/01/02/";
const FILES: u64 = 8;
const RECORDS: u64 = 25;
const NOTHING: Summary = Summary { units: 0, raw_events: 0, events: 0, segments: 0 };

/// What was rehydrated, whatever the ids are.
fn raw(lake: &Lake) -> BTreeMap<Vec<u8>, usize> {
    multiset(lake.rehydrated("true").into_values())
}

/// Feeds, archive and lake in one bucket give what folders give.
fn runs_on(cloud: Cloud) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("logs");
    let records = logs::write_trails(&folder, 0, FILES, RECORDS);
    let bucket = Bucket::new(cloud);
    assert_eq!(bucket.upload(&folder, LOGS), FILES as usize);

    let (place, archive) =
        (bucket.url("soc/lake"), format!("{{ default: \"{}\" }}", bucket.url("soc/archive")));
    let stores = stores(&[cloud]);
    let settings = Settings {
        lake: &place,
        archives: &archive,
        stores: &stores,
        outputs: "[ { name: out, to: { ndjson: ./out } } ]",
        ..Settings::default()
    };
    let feed = bucket.feed("trail", "default", "AWSLogs/");
    let lake = Lake::with_feeds(root.path().join("cloud"), &feed, settings);
    lake.ok("doctor", &[]);
    let summary = lake.drain();
    assert_eq!((summary.units, summary.raw_events), (FILES, records));
    assert_eq!(lake.drain(), NOTHING, "a second run found work");

    let reference = Lake::new(root.path().join("folder"), &[("trail", &folder)], Settings::default());
    assert_eq!(reference.drain().events, summary.events);
    assert!(raw(&lake) == raw(&reference), "other bytes came back than from folders");
    lake.verified();
    let denied = lake.query("SELECT count(*) AS n FROM events WHERE class_uid = 3002");
    assert_eq!(denied[0]["n"].as_u64().unwrap(), records.div_ceil(3));
    assert_eq!(lake.event_ids().len() as u64, summary.events);
    // Nothing of the lake is on this machine, but what the output wrote.
    assert_eq!(lake.files("").len(), 1 + lake.files("out").len());
    assert!(bucket.keys("soc/archive/").len() as u64 >= summary.segments);
    assert!(
        bucket.keys("linchpin-doctor/").is_empty() && bucket.keys("soc/lake/linchpin-doctor/").is_empty()
    );

    // A late object sorts before what is known already.
    let late = root.path().join("late");
    logs::write_trails(&late, records, 1, RECORDS);
    bucket.upload(&late, &LOGS.replace("/02/", "/01/"));
    assert_eq!((lake.drain().units, lake.drain()), (1, NOTHING));
}

#[test]
fn the_pipeline_runs_on_s3() {
    runs_on(Cloud::S3);
}

#[test]
fn the_pipeline_runs_on_azure() {
    runs_on(Cloud::Azure);
}

#[test]
fn the_pipeline_runs_on_gcs() {
    runs_on(Cloud::Gcs);
}

/// Each cloud's raw logs stay in its own archive; the columns of all are in one lake.
#[test]
fn three_clouds_share_one_lake_and_keep_their_raw_logs() {
    let root = tempfile::tempdir().unwrap();
    let generated = root.path().join("generated");
    let maker = Lake::with_feeds(root.path().join("maker"), "", Settings::default());
    let out = generated.to_str().unwrap();
    maker.plain(&["generate", "--out", out, "--bytes", "4MiB", "--start", "2026-01-31", "--span", "2h"]);

    let buckets = CLOUDS.map(Bucket::new);
    let named = [("aws", &buckets[0]), ("azure", &buckets[1]), ("gcp", &buckets[2])];
    let mut files = 0;
    for (name, bucket) in named {
        files += bucket.upload(&generated.join(name), "logs/");
    }
    let feeds: Vec<String> = named.iter().map(|(name, b)| b.feed(name, name, "logs/")).collect();
    let archives: Vec<String> =
        named.iter().map(|(name, b)| format!("{name}: \"{}\"", b.url("archive"))).collect();
    let archives = format!("{{ default: ./archive, {} }}", archives.join(", "));
    let (stores, place) = (stores(&CLOUDS), buckets[0].url("lake"));
    let settings =
        Settings { lake: &place, archives: &archives, stores: &stores, flush: "1MiB", ..Settings::default() };
    let lake = Lake::with_feeds(root.path().join("soc"), &feeds.join(", "), settings);
    let summary = lake.drain();
    assert_eq!(summary.units, files as u64);
    assert_eq!(lake.drain(), NOTHING, "a second run found work");
    lake.verified();

    let status: Value = serde_json::from_slice(&lake.ok("status", &["--json"])).unwrap();
    let by = status["segments"]["by"].as_array().unwrap();
    for ((name, bucket), provider) in named.iter().zip(["AWS", "Azure", "GCP"]) {
        let in_archive: u64 = by
            .iter()
            .filter(|shelf| shelf["store"] == *name)
            .map(|shelf| shelf["segments"].as_u64().unwrap())
            .sum();
        assert!(in_archive > 0, "{name}: {status}");
        assert_eq!(bucket.keys("archive/").len() as u64, in_archive, "{name}");
        let feed = status["feeds"].as_array().unwrap().iter().find(|feed| feed["name"] == *name).unwrap();
        let stored: u64 =
            by.iter().filter(|s| s["store"] == *name).map(|s| s["events"].as_u64().unwrap()).sum();
        assert_eq!(feed["events"].as_u64().unwrap(), stored, "{name}");
        let sql = format!("SELECT count(*) AS n FROM events WHERE cloud_provider = '{provider}'");
        assert!(lake.query(&sql)[0]["n"].as_u64().unwrap() > 0, "{provider}");
    }
    assert!(lake.files("archive").is_empty(), "no feed uses the default archive");
    assert!(status["requests"].as_array().unwrap().len() == 2 + 4, "{status}");
}

/// The emulator gives the keys of any role, and knows who asks.
#[test]
fn a_feed_takes_on_a_role() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("logs");
    let records = logs::write_trails(&folder, 0, 1, RECORDS);
    let bucket = Bucket::new(Cloud::Emulator);
    bucket.upload(&folder, LOGS);
    fs::write(root.path().join("id"), "example").unwrap();
    let role =
        "assume_role: { arn: \"arn:aws:iam::111122223333:role/reader\", external_id: { file: ../id } }";
    let feed = bucket.feed("trail", "default", &format!("AWSLogs/, {role}"));
    let stores = stores(&[Cloud::Emulator]);
    let lake = Lake::with_feeds(
        root.path().join("lake"),
        &feed,
        Settings { stores: &stores, ..Settings::default() },
    );
    lake.ok("doctor", &[]);
    assert_eq!(lake.drain().raw_events, records);
}
