//! A deployment with mappings of its own: how its sources drift, and mappings that change under it.

use std::fs;

use serde_json::Value;

use crate::support::{Folder, Service};

const CONFIG: &str = "name: doors
lake: ./data/lake
archives: { default: ./data/archive }
mappings: ./mappings
feeds:
  - { name: doors, from: { files: ./logs } }
retention:
  classes: { bulk: { hot: 1d, archive: { class: standard }, expire: 30d } }
  rules: [{ name: everything, class: bulk }]
limits: { flush: { bytes: 1MiB, age: 2s } }
";
const MAPPING: &str = "source: acme.door
ocsf: 1.8.0
product: { vendor_name: Acme, name: Door }
recognise: { has: [door, who] }
classes:
  - class: authentication
    set: { activity: Logon, severity: Informational, service.name: door }
    map:
      time: when | rfc3339
      user.name: who
      status: { from: verdict, lookup: { in: Success, out: Failure }, else: Other }
";
const EVENT: &str = "{\"door\":1,\"when\":\"2026-01-31T10:00:00Z\",\"who\":\"ann\",\"verdict\":\"in\"}\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("doors.yaml", CONFIG);
    folder.write("mappings/door/source.yml", MAPPING);
    folder.write("mappings/door/tests/usual.log", EVENT);
    folder
}

#[test]
fn what_comes_after_the_baseline_is_drift() {
    let folder = folder();
    let drift = || folder.run(&["drift", "-c", "doors.yaml", "--json"]).json();
    let changes = |drift: &Value| -> Vec<String> {
        let told = |c: &Value| format!("{} {} {}", c["what"], c["path"], c["example"]).replace('"', "");
        drift[0]["changes"].as_array().unwrap().iter().map(told).collect()
    };
    folder.write("logs/1.log", EVENT.repeat(10_000));
    folder.run(&["run", "-c", "doors.yaml", "--once"]).ok();
    let learned = drift();
    assert_eq!((&learned[0]["source"], &learned[0]["baseline"]), (&"acme.door".into(), &10_000.into()));
    let odd =
        EVENT.replace("\"in\"", "\"jammed\"").replace("\"door\":1", "\"door\":\"north\",\"wing\":\"B\"");
    folder.write("logs/2.log", format!("{EVENT}{odd}"));
    folder.run(&["run", "-c", "doors.yaml", "--once"]).ok();
    let now = drift();
    assert_eq!(now[0]["events"], 2);
    assert_eq!(changes(&now), ["type door north", "field wing B", "value status_id jammed"]);
    let table = folder.run(&["drift", "-c", "doors.yaml"]);
    assert!(table.ok().text().contains("acme.door: 3 changes in 2 events"), "{}", table.text());
    let accepted = folder.run(&["drift", "-c", "doors.yaml", "--accept", "acme.door", "--json"]).json();
    assert_eq!(changes(&accepted), [""; 0]);
    assert_eq!(changes(&drift()), [""; 0]);
    assert_eq!(folder.run(&["drift", "-c", "doors.yaml", "--accept", "acme.dor"]).code, 2);
}

#[test]
fn a_service_takes_up_a_mapping_whose_tests_pass() {
    let folder = folder();
    folder.write("logs/1.log", EVENT);
    let service = Service::start(&folder, "doors.yaml");
    let rows = |filter: &str| {
        let sql = format!("SELECT count(*) AS n FROM events WHERE {filter}");
        let ran = folder.run(&["search", "-c", "doors.yaml", &sql, "--format", "json"]);
        if ran.code == 0 { ran.json()[0]["n"].as_u64().unwrap() } else { 0 }
    };
    service.wait("a login", || rows("class_uid = 3002 AND activity_id = 1") == 1);
    // A mapping that does not compile, then one whose sample becomes something else: the old one stays.
    let logoff = MAPPING.replace("activity: Logon", "activity: Logoff");
    folder.write("mappings/door/source.yml", MAPPING.replace("user.name", "user.nam"));
    service.says("mapping has faults", 1);
    let expected = folder.write("mappings/door/tests/usual.expected.json", "{}\n");
    folder.write("mappings/door/source.yml", &logoff);
    service.says("becomes something else", 1);
    folder.write(
        "mappings/gate/source.yml",
        MAPPING.replace("acme.door", "acme.gate").replace("door,", "gate,"),
    );
    service.says("mapping is in force", 1);
    folder.write("logs/2.log", EVENT.replace("ann", "bob"));
    service.wait("another login", || rows("user_name = 'bob'") == 1);
    assert_eq!(rows("user_name = 'bob' AND activity_id = 1 AND source = 'acme.door'"), 1);
    // The last word: logins are now logoffs.
    fs::remove_dir_all(folder.path().join("mappings/gate")).unwrap();
    fs::remove_file(expected).unwrap();
    service.says("mapping is in force", 2);
    service.says("mapping is gone", 1);
    folder.write("logs/3.log", EVENT.replace("ann", "eve"));
    service.wait("a logoff", || rows("user_name = 'eve' AND activity_id = 2") == 1);
}
