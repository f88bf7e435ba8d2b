//! A large object comes in as several units; a crash between them loses nothing and doubles nothing.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    lake::{Lake, Settings},
    logs,
};

/// Several parts.
const OBJECT_BYTES: usize = 96 << 20;
const RECORD_BYTES: usize = 16 << 10;
/// The ledger's entry for the first part: before it come the table and the policy of the first run.
const FIRST_PART: &str = "lake/ledger/_delta_log/00000000000000000002.json";
const PATIENCE: Duration = Duration::from_mins(2);

/// CloudTrail records, one a line, and how many.
fn large_object() -> (Vec<u8>, u64) {
    let mut random = fastrand::Rng::with_seed(1);
    let text: String =
        std::iter::repeat_with(|| if random.bool() { 'a' } else { 'b' }).take(1 << 20).collect();
    let (mut bytes, mut records) = (Vec::with_capacity(OBJECT_BYTES + RECORD_BYTES), 0);
    while bytes.len() < OBJECT_BYTES {
        let mut record: Value = logs::trail(records);
        let start = random.usize(..text.len() - RECORD_BYTES);
        record["requestParameters"] = json!({ "note": text[start..start + RECORD_BYTES] });
        serde_json::to_writer(&mut bytes, &record).unwrap();
        bytes.push(b'\n');
        records += 1;
    }
    (bytes, records)
}

#[test]
fn a_crash_between_the_parts_of_an_object_is_no_loss() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("logs");
    fs::create_dir(&folder).unwrap();
    let (object, records) = large_object();
    fs::write(folder.join("large.json.gz"), logs::gzip(&object)).unwrap();
    let lake =
        |name: &str| Lake::new(root.path().join(name), &[("logs", Path::new(&folder))], Settings::default());

    let undisturbed = lake("undisturbed");
    let summary = undisturbed.drain();
    assert_eq!((summary.raw_events, summary.events), (records, records));
    assert!(summary.units > 1, "the object came in whole");

    let disturbed = lake("disturbed");
    let mut worker = disturbed.start();
    let began = Instant::now();
    while !disturbed.folder.join(FIRST_PART).exists() {
        assert!(began.elapsed() < PATIENCE && worker.try_wait().unwrap().is_none(), "no part was committed");
        thread::sleep(Duration::from_millis(1));
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    let left = disturbed.drain().units;
    assert!((1..summary.units).contains(&left), "{left} of {} parts came after the first", summary.units);
    assert_eq!(disturbed.drain().units, 0);
    assert!(disturbed.event_ids() == undisturbed.event_ids(), "other rows than undisturbed");
    for lake in [&disturbed, &undisturbed] {
        assert!(
            lake.ok("rehydrate", &["--object", "large.json.gz"]) == object,
            "the object came back changed"
        );
        lake.verified();
    }
}
