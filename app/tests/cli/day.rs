//! The main job on a small generated day: in, archived, searchable, back again, proven, expired.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::{Deserializer, Value, value::RawValue};

use crate::support::{Folder, Ran, files, inflated};

const CONFIG: &str = r#"name: day
lake: ./data/lake
archives: { default: ./data/archive }
feeds:
  - { name: aws, from: { files: ./logs/aws } }
  - { name: azure, from: { files: ./logs/azure } }
  - { name: gcp, from: { files: ./logs/gcp } }
retention:
  classes:
    critical: { hot: 1d, archive: { class: standard }, expire: 7y }
    bulk: { hot: 1d, archive: { class: standard }, expire: 30d }
  rules:
    - { name: identity, when: "class_uid IN (3001, 3002, 3005)", class: critical }
    - { name: everything else, class: bulk }
outputs:
  - { name: out, when: "class_uid = 3002", to: { ndjson: ./data/out } }
limits: { flush: { bytes: 1MiB, age: 15s } }
"#;

/// A folder with a generated day, of three days ago, that was taken in.
struct Day {
    folder: Folder,
    generated: Value,
    summary: Value,
}

impl Day {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("day.yaml", CONFIG);
        let args = [
            "generate", "--out", "logs", "--bytes", "4MiB", "--start", "-3d", "--span", "6h", "--seed", "11",
            "--attack", "--json",
        ];
        let generated = folder.run(&args).json();
        let summary = folder.run(&["run", "-c", "day.yaml", "--once", "--json"]).json();
        Self { folder, generated, summary }
    }

    fn run(&self, verb: &str, args: &[&str]) -> Ran {
        self.folder.run(&[&[verb, "-c", "day.yaml"], args].concat())
    }

    fn count(&self, filter: &str) -> u64 {
        let sql = format!("SELECT count(*) AS n FROM events WHERE {filter}");
        self.run("search", &[&sql, "--format", "json"]).json()[0]["n"].as_u64().unwrap()
    }

    /// Raw events that a predicate finds, how often each; every one has a name of its own.
    #[track_caller]
    fn rehydrated(&self, predicate: &str) -> BTreeMap<Vec<u8>, u64> {
        let ran = self.run("rehydrate", &["--where", predicate, "--framed"]);
        let (mut events, mut ids) = (BTreeMap::new(), BTreeSet::new());
        for line in ran.ok().lines() {
            assert!(ids.insert(line["event_id"].as_str().unwrap().to_owned()), "twice: {line}");
            *events.entry(BASE64.decode(line["raw_b64"].as_str().unwrap()).unwrap()).or_default() += 1;
        }
        events
    }

    /// Segment files of the archive.
    fn segments(&self) -> Vec<PathBuf> {
        let root = self.folder.path().join("data/archive");
        // A store keeps its own hidden files.
        let hidden = |name: &String| name.split('/').any(|part| part.starts_with('.'));
        files(&root).into_keys().filter(|name| !hidden(name)).map(|name| root.join(name)).collect()
    }
}

/// The raw events of the logs, how often each, read without any of linchpin's code.
fn delivered(day: &Day) -> BTreeMap<Vec<u8>, u64> {
    let mut events = BTreeMap::new();
    for (_, bytes) in files(&day.folder.path().join("logs")) {
        let text = String::from_utf8(inflated(&bytes)).unwrap();
        for event in framed(&text) {
            *events.entry(event.as_bytes().to_vec()).or_default() += 1;
        }
    }
    events
}

fn framed(text: &str) -> Vec<&str> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, alias = "Records")]
        records: Vec<&'a RawValue>,
    }
    if text.starts_with("version ") {
        return text.lines().skip(1).collect();
    }
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) {
        return envelope.records.into_iter().map(RawValue::get).collect();
    }
    Deserializer::from_str(text).into_iter::<&RawValue>().map(|event| event.unwrap().get()).collect()
}

#[test]
fn a_day_goes_in_and_comes_back() {
    let day = Day::new();
    let generated: u64 =
        day.generated["events"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let of = |name: &str| day.summary[name].as_u64().unwrap_or_else(|| panic!("{name} in {}", day.summary));
    assert_eq!((of("raw_events"), of("rejects")), (generated, 0));
    assert_eq!(
        (of("units"), of("raw_bytes")),
        (day.generated["files"].as_u64().unwrap(), day.generated["raw_bytes"].as_u64().unwrap())
    );
    assert!(of("events") > generated, "flow records give several rows");
    assert_eq!(of("segments"), day.segments().len() as u64);
    let archived: u64 = day.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(
        of("archived_bytes") == archived
            && of("hot_bytes") > 0
            && day.summary["seconds"].as_f64() > Some(0.0)
    );

    let again = day.run("run", &["--once", "--json"]).json();
    for name in ["units", "raw_events", "events", "segments", "raw_bytes", "archived_bytes"] {
        assert_eq!(again[name], 0, "{name}");
    }
    assert_eq!(day.count("true"), of("events"));

    let delivered = delivered(&day);
    assert_eq!(delivered.values().sum::<u64>(), generated);
    assert!(day.rehydrated("true") == delivered, "what comes back is not what went in");
    the_attack_is_found(&day);
    rehydrate_has_other_forms(&day);
    search_has_other_forms(&day);
    status_adds_up(&day);
    an_output_got_its_events(&day);
}

/// The archive answers for days that are no longer hot.
#[test]
fn expired_days_come_from_the_archive() {
    let day = Day::new();
    let before = (day.rehydrated("true"), day.rehydrated("class_uid = 3002"));
    let ran = day.run("enforce", &["--once", "--now", "-3d", "--json"]).json();
    for done in ran.as_object().unwrap().values() {
        assert_eq!(done, &serde_json::json!([]), "{ran}");
    }

    let done = day.run("enforce", &["--once", "--json"]).json();
    let expired = done["hot_expired"].as_array().unwrap();
    assert!(!expired.is_empty() && expired.iter().any(|d| d["class"] == "critical"), "{done}");
    assert_eq!(day.count("true"), 0);
    assert!(
        (day.rehydrated("true"), day.rehydrated("class_uid = 3002")) == before,
        "the archive answers differently"
    );
    assert!(day.rehydrated("class_uid = 3002 AND user_name = 'nobody'").is_empty());
    let status = day.run("status", &["--json"]).json();
    assert_eq!(
        (&status["hot"]["rows"], &status["segments"]["events"]),
        (&0.into(), &day.summary["raw_events"])
    );

    // A changed policy deletes nothing until it is applied.
    day.folder.write("day.yaml", CONFIG.replace("expire: 30d", "expire: 2d"));
    let ran = day.run("enforce", &["--once"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("was never applied") && ran.err.contains("hint: "), "{}", ran.err);
    let applied = day.run("apply", &[]);
    assert!(applied.ok().text().starts_with("the policy of day.yaml is now in force\nsigned with "));
    let again = day.run("apply", &[]);
    assert!(again.ok().text().starts_with("the policy of day.yaml is in force already\n"));
    let at = |days: u64| (jiff::Timestamp::now() + std::time::Duration::from_secs(days * 86_400)).to_string();
    let segments = day.segments().len();
    let marked = day.run("enforce", &["--once", "--json", "--now", &at(3)]).json();
    let tombstoned = marked["tombstoned"].as_array().unwrap().len();
    assert!(tombstoned > 0 && tombstoned < segments, "{marked}");
    assert_eq!((marked["deleted"].as_array().unwrap().len(), day.segments().len()), (0, segments));
    // Facts are dated by the real clock: a week after they were marked and over, they go.
    let done = day.run("enforce", &["--once", "--json", "--now", &at(10)]).json();
    assert_eq!(done["deleted"].as_array().unwrap().len(), tombstoned, "{done}");
    assert_eq!(day.segments().len(), segments - tombstoned);
    let left = day.rehydrated("true");
    assert!(!left.is_empty() && left.keys().all(|event| before.0.contains_key(event)));
    day.run("verify", &[]).ok();
}

#[test]
fn tampering_is_named() {
    let day = Day::new();
    let clean = day.run("verify", &["--json"]).json();
    assert_eq!(
        (&clean["findings"], &clean["segments"], &clean["read"]),
        (&serde_json::json!([]), &day.summary["segments"], &day.summary["segments"])
    );
    assert_eq!(clean["events"], day.summary["raw_events"]);
    let none = day.run("verify", &["--sample", "0", "--json"]).json();
    assert_eq!((&none["read"], &none["segments"]), (&0.into(), &day.summary["segments"]));

    let segments = day.segments();
    let (one, two) = (&segments[0], &segments[segments.len() - 1]);
    let contents = [fs::read(one).unwrap(), fs::read(two).unwrap()];
    let named = |ran: &Ran, segment: &PathBuf| {
        let id = segment.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.text().lines().any(|line| line.contains(&id)), "{id} is not named in {}", ran.text());
    };

    let mut flipped = contents[0].clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(one, flipped).unwrap();
    let ran = day.run("verify", &[]);
    named(&ran, one);
    assert!(ran.err.contains("findings\nhint: "), "{}", ran.err);

    fs::remove_file(one).unwrap();
    named(&day.run("verify", &[]), one);

    fs::write(one, &contents[1]).unwrap();
    fs::write(two, &contents[0]).unwrap();
    let swapped = day.run("verify", &[]);
    named(&swapped, one);
    named(&swapped, two);

    fs::write(one, &contents[0]).unwrap();
    fs::write(two, &contents[1]).unwrap();
    day.run("verify", &[]).ok();
}

fn the_attack_is_found(day: &Day) {
    let attack = &day.generated["attack"];
    let text = |name: &str| attack[name].as_str().unwrap();
    let ip = text("ip");
    let sql = format!(
        "SELECT DISTINCT source FROM events WHERE src_endpoint_ip = '{ip}' OR dst_endpoint_ip = '{ip}' ORDER BY source"
    );
    let found = day.run("search", &[&sql, "--format", "json"]).json();
    let found: Vec<&str> =
        found.as_array().unwrap().iter().map(|row| row["source"].as_str().unwrap()).collect();
    let expected: Vec<&String> = attack["events"].as_object().unwrap().keys().collect();
    assert_eq!(found, expected);

    let key = text("new_key");
    let raw = day.run("rehydrate", &["--where", &format!("actor_user_credential_uid = '{key}'")]);
    assert!(raw.ok().text().lines().count() > 100 && raw.text().lines().all(|line| line.contains(key)));
    assert!(raw.err.contains(" events from "), "{}", raw.err);
    let until = text("from");
    let none =
        day.run("rehydrate", &["--where", &format!("actor_user_credential_uid = '{key}'"), "--to", until]);
    assert_eq!(none.ok().text(), "");
    let all =
        day.run("rehydrate", &["--where", &format!("actor_user_credential_uid = '{key}'"), "--from", until]);
    assert_eq!(all.ok().out, raw.out);
}

fn rehydrate_has_other_forms(day: &Day) {
    let sql =
        "SELECT event_id FROM events WHERE source = 'azure.nsg_flow' AND sub = 2 ORDER BY event_id LIMIT 1";
    let id = day.run("search", &[sql, "--format", "json"]).json()[0]["event_id"].as_str().unwrap().to_owned();
    let ocsf = day.run("rehydrate", &["--where", &format!("event_id = '{id}'"), "--format", "ocsf"]);
    let documents = ocsf.ok().lines();
    assert_eq!((documents.len(), &documents[0]["class_uid"]), (1, &4001.into()));
    assert!(documents[0].to_string().contains(&id), "{}", documents[0]);

    let logs = day.folder.path().join("logs");
    for (name, bytes) in files(&logs).iter().step_by(5) {
        let ran = day.run("rehydrate", &["--object", name, "--out", "object"]);
        assert_eq!(ran.ok().out, b"");
        assert!(fs::read(day.folder.path().join("object")).unwrap() == inflated(bytes), "{name} differs");
    }
    let missing = day.run("rehydrate", &["--object", "no/such/object", "--out", "missing"]);
    missing.is(1, "", "error: object `no/such/object`: no segment holds it\n");
    assert!(!day.folder.path().join("missing").exists());
}

fn search_has_other_forms(day: &Day) {
    let sql = "SELECT source, count(*) AS n FROM events GROUP BY source ORDER BY source";
    let csv = day.run("search", &[sql, "--format", "csv"]);
    assert!(csv.ok().text().starts_with("source,n\naws.cloudtrail,"), "{}", csv.text());
    assert_eq!(csv.text().lines().count(), 9);
    let table = day.run("search", &[sql]);
    assert!(table.ok().text().contains("| aws.cloudtrail "), "{}", table.text());
    assert_eq!(day.run("search", &[sql, "--format", "parquet", "--out", "rows.parquet"]).ok().out, b"");
    assert!(fs::read(day.folder.path().join("rows.parquet")).unwrap().starts_with(b"PAR1"));
    let explained = day.run("search", &[sql, "--explain"]);
    assert!(
        explained.ok().err.starts_with("files: ") && explained.err.contains(" bytes in "),
        "{}",
        explained.err
    );
    assert_eq!(
        day.run("search", &["SELECT 1 AS one WHERE false", "--format", "json"]).json(),
        serde_json::json!([])
    );
}

fn status_adds_up(day: &Day) {
    let status = day.run("status", &["--json"]).json();
    let sum = |list: &Value, name: &str| {
        list.as_array().unwrap().iter().map(|x| x[name].as_u64().unwrap()).sum::<u64>()
    };
    let feeds: Vec<&str> =
        status["feeds"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(feeds, ["aws", "azure", "gcp"]);
    assert_eq!(
        (sum(&status["feeds"], "units"), sum(&status["feeds"], "events")),
        (day.summary["units"].as_u64().unwrap(), day.summary["raw_events"].as_u64().unwrap())
    );
    for feed in status["feeds"].as_array().unwrap() {
        let lag = feed["lag_seconds"].as_i64().unwrap();
        assert!((2 * 86_400..3 * 86_400 + 3600).contains(&lag), "{feed}");
        assert!(feed["last_object"].as_str().unwrap().contains("/logs/"), "{feed}");
    }
    let segments = &status["segments"];
    assert_eq!(
        (&segments["count"], &segments["events"]),
        (&day.summary["segments"], &day.summary["raw_events"])
    );
    assert_eq!(segments["stored_bytes"], day.summary["archived_bytes"]);
    assert_eq!(sum(&segments["by"], "segments"), segments["count"].as_u64().unwrap());
    assert_eq!(
        (&status["hot"]["rows"], sum(&status["hot"]["by"], "rows")),
        (&day.summary["events"], day.summary["events"].as_u64().unwrap())
    );
    assert_eq!(sum(&status["lanes"], "behind"), 0);
    assert_eq!(sum(&status["class_0"], "rows"), day.count("class_uid = 0"));
    let table = day.run("status", &[]);
    for part in ["FEED ", "ARCHIVE CLASS ", "HOT CLASS ", "\ncritical ", "\nbulk "] {
        assert!(table.ok().text().contains(part), "{part}: {}", table.text());
    }
}

fn an_output_got_its_events(day: &Day) {
    let expected = day.count("class_uid = 3002");
    let written = files(&day.folder.path().join("data/out"));
    let documents: Vec<Value> = written
        .values()
        .flat_map(|bytes| std::str::from_utf8(bytes).unwrap().lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(documents.iter().all(|document| document["class_uid"] == 3002));
    assert_eq!((documents.len() as u64, expected > 0), (expected, true));
}
