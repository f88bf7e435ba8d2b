//! `linchpin normalize` and `linchpin sources`: no state, bytes in, lines out.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Folder, gzip};

/// A record of CloudTrail.
pub(crate) const TRAIL: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLEANN","arn":"arn:aws:iam::111122223333:user/ann","accountId":"111122223333","accessKeyId":"AKIAEXAMPLEANN","userName":"ann"},
"eventTime":"2026-01-31T10:00:01Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.24","userAgent":"aws-cli/2.15",
"requestParameters":null,"responseElements":null,"eventID":"7f3a9e55-0000-4000-8000-000000000001","requestID":"R1","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}"#;

const FLOWS: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
2 111122223333 eni-1 192.0.2.7 198.51.100.9 40000 443 6 10 840 1769853600 1769853660 ACCEPT OK
2 111122223333 eni-1 - - - - - - - 1769853600 1769853660 - NODATA
";

fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../normalize/sources").canonicalize().unwrap()
}

#[test]
fn input_may_come_in_any_way() {
    let folder = Folder::new();
    let envelope = format!("{{\"Records\":[{TRAIL},{TRAIL}]}}");
    let plain = folder.write("plain.json", &envelope);
    folder.write("packed.json.gz", gzip(envelope.as_bytes()));
    folder.write("in/a/packed.gz", gzip(envelope.as_bytes()));
    let packed = gzip(envelope.as_bytes());
    let calls: [(&[&str], &[u8]); 6] = [
        (&["normalize"], envelope.as_bytes()),
        (&["normalize", "-"], &packed),
        (&["normalize", "--source", "aws.cloudtrail"], &packed),
        (&["normalize", plain.to_str().unwrap()], b""),
        (&["normalize", "packed.json.gz"], b""),
        (&["normalize", "in"], b""),
    ];
    for (args, input) in calls {
        let ran = folder.run_with(args, input);
        let events = ran.ok().lines();
        assert_eq!((events.len(), ran.err.as_str()), (2, ""), "{args:?}");
        for event in events {
            assert_eq!(
                (&event["class_uid"], &event["api"]["operation"]),
                (&6003.into(), &"ListBuckets".into())
            );
            assert_eq!(event["src_endpoint"]["ip"], "203.0.113.24");
        }
    }
}

#[test]
fn columns_are_what_the_hot_table_gets() {
    let ran = Folder::new().run_with(&["normalize", "--columns"], FLOWS.as_bytes());
    let rows = ran.ok().lines();
    assert_eq!(rows.len(), 2);
    let fields = ["source", "class_uid", "time", "src_endpoint_ip", "dst_endpoint_port", "traffic_bytes"];
    let values = fields.map(|name| rows[0][name].clone());
    let expected: [Value; 6] = [
        "aws.vpc_flow".into(),
        4001.into(),
        "2026-01-31T10:00:00Z".into(),
        "192.0.2.7".into(),
        443.into(),
        840.into(),
    ];
    assert_eq!(values, expected);
    assert_eq!((&rows[1]["class_uid"], &rows[1]["marks"]), (&0.into(), &"heartbeat".into()));
    assert!(rows.iter().all(|row| row.as_object().unwrap().values().all(|value| !value.is_null())));
}

#[test]
fn explain_says_how_a_source_was_found() {
    let folder = Folder::new();
    folder.write("AWSLogs/1/CloudTrail/a.json", TRAIL);
    folder.write("flows.log", FLOWS);
    folder.write("note.txt", "nobody knows me\n");
    let ran = folder.run(&["normalize", "--explain", "AWSLogs/1/CloudTrail/a.json", "flows.log", "note.txt"]);
    let err: Vec<&str> = ran.ok().err.lines().collect();
    assert!(err[0].starts_with("AWSLogs/1/CloudTrail/a.json: aws.cloudtrail, recognised by "), "{err:?}");
    assert!(err[0].ends_with("CloudTrail/` in its path"), "{err:?}");
    assert!(
        err[1].starts_with("flows.log: aws.vpc_flow, recognised by ")
            && err[1].ends_with("no part of its path"),
        "{err:?}"
    );
    assert_eq!(err[2], "note.txt: unknown: no mapping recognises it, events are class 0");
    let ran = folder.run(&["normalize", "--explain", "--source", "aws.vpc_flow", "flows.log"]);
    assert_eq!(ran.ok().err, "flows.log: aws.vpc_flow, as set\n");
}

#[test]
fn rejects_have_a_place_and_a_reason() {
    let folder = Folder::new();
    let good = TRAIL.replace('\n', "");
    folder
        .write("broken.json", format!("{good}\n{{\"eventVersion\":\"1.11\",\"eventTime\":oops}}\n{good}\n"));
    folder.write("noise.bin", [0_u8, 159, 146, 150, 7]);
    let ran = folder.run(&["normalize", "broken.json", "noise.bin"]);
    let classes: Vec<Value> = ran.ok().lines().iter().map(|event| event["class_uid"].clone()).collect();
    assert_eq!(classes, [6003, 0, 6003, 0]);
    let at = good.len() + 1 + r#"{"eventVersion":"1.11","eventTime":"#.len();
    let start = format!("broken.json: byte {at} (event 2): ");
    assert!(ran.err.starts_with(&start), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn a_cut_off_delivery_is_said() {
    let folder = Folder::new();
    let good = TRAIL.replace('\n', "");
    let packed = gzip(format!("{good}\n").repeat(50).as_bytes());
    folder.write("cut.gz", &packed[..packed.len() - 9]);
    let ran = folder.run(&["normalize", "cut.gz"]);
    assert!(ran.ok().err.lines().any(|line| line == "cut.gz: delivery: truncated"), "{}", ran.err);
    assert!(ran.lines().iter().any(|event| event["class_uid"] == 6003));
}

#[test]
fn sources_are_listed_with_their_classes() {
    let folder = Folder::new();
    let listed = folder.run(&["sources", "--json"]).json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    let known = [
        "aws.cloudtrail",
        "aws.vpc_flow",
        "azure.activity",
        "azure.nsg_flow",
        "azure.signin",
        "azure.vnet_flow",
        "gcp.audit",
        "gcp.vpc_flow",
    ];
    assert!(known.iter().all(|name| names.contains(name)) && names.is_sorted(), "{names:?}");
    let trail = names.iter().position(|name| *name == "aws.cloudtrail").unwrap();
    assert!(listed[trail]["classes"].as_array().unwrap().iter().any(|class| class["uid"] == 3002));
    let table = folder.run(&["sources"]);
    for (name, line) in names.iter().zip(table.ok().text().lines().skip(1)) {
        assert!(line.starts_with(name), "{line}");
    }
    assert!(table.text().contains("Authentication (3002)"));
    let functions = folder.run(&["sources", "--functions"]);
    assert!(
        functions
            .ok()
            .text()
            .lines()
            .any(|line| line.starts_with("port_of ") && line.ends_with("`192.0.2.1:443` => `443`"))
    );
}

/// Samples with faults.
fn faulty(report: &serde_json::Value) -> Vec<&serde_json::Value> {
    report["samples"].as_array().unwrap().iter().filter(|s| s["faults"] != serde_json::json!([])).collect()
}

#[test]
fn a_sound_folder_of_mappings_passes() {
    let folder = Folder::new();
    let ran = folder.run(&["sources", "--check", sources().to_str().unwrap(), "--json"]);
    let report = ran.json();
    assert_eq!((&report["faults"], ran.err.as_str()), (&0.into(), ""), "{:?}", faulty(&report));
    let folders = std::fs::read_dir(sources()).unwrap().count();
    assert_eq!(report["mappings"], folders);
    let samples = report["samples"].as_array().unwrap();
    assert!(
        samples.len() >= 8 && samples.iter().all(|s| s["invalid"] == 0 && s["events"].as_u64() > Some(0))
    );
    let one = sources().join("azure_activity");
    let ran = folder.run(&["sources", "--check", one.to_str().unwrap()]);
    assert!(ran.ok().text().ends_with("1 of 1 mappings are sound, 4 samples\n"), "{}", ran.text());
}

#[test]
fn a_broken_mapping_is_named_by_line_and_column() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(sources().join("azure_activity/source.yml")).unwrap();
    folder.write("mine/good/source.yml", text.replace("source: azure.activity", "source: acme.good"));
    folder.write("mine/bad/source.yml", text.replacen("| azure_subscription", "| azure_subscripton", 1));
    let ran = folder.run(&["sources", "--check", "mine"]);
    let line = 1 + text.lines().position(|line| line.contains("| azure_subscription")).unwrap();
    assert!(ran.err.starts_with(&format!("mine/bad/source.yml:{line}:")), "{}", ran.err);
    assert!(ran.err.contains("hint: did you mean `azure_subscription`?"), "{}", ran.err);
    assert!(ran.err.ends_with("error: 1 faults in `mine`\n"), "{}", ran.err);
    assert_eq!((ran.code, ran.text()), (1, "1 of 2 mappings are sound, 0 samples\n"));
}

#[test]
fn samples_are_checked_against_the_schema() {
    let folder = Folder::new();
    folder.write("mine/source.yml", MINE);
    folder.write(
        "mine/tests/good.log",
        "{\"acme\":1,\"when\":\"2026-01-31T10:00:00Z\",\"who\":\"ann\",\"from\":\"192.0.2.1\"}\n",
    );
    let ran = folder.run(&["sources", "--check", "mine"]);
    assert!(ran.ok().text().contains("mine/tests/good.log  acme.door"), "{}\n{}", ran.text(), ran.err);
    // Something else lies among the samples.
    folder.write("mine/tests/other.log", FLOWS);
    let ran = folder.run(&["sources", "--check", "mine"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("mine/tests/other.log: recognised as `aws.vpc_flow`, not as `acme.door`"),
        "{}",
        ran.err
    );
    // A user's own mapping is used without a rebuild.
    let event = &folder.run(&["normalize", "--sources", "mine", "mine/tests/good.log"]).lines()[0];
    assert_eq!((&event["class_uid"], &event["user"]["name"]), (&3002.into(), &"ann".into()));
}

#[test]
fn a_new_source_passes_its_check_at_once() {
    let folder = Folder::new();
    let door =
        "{\"doorTime\":\"2026-01-31T10:00:00Z\",\"login\":\"ann\",\"clientIp\":\"192.0.2.7\",\"mood\":1}\n";
    folder.write("door.log", door);
    let made = folder.run(&["sources", "--new", "acme.door", "--from", "door.log", "--json"]).json();
    assert_eq!((&made["folder"], &made["events"]), (&"./acme_door".into(), &1.into()));
    let checked = folder.run(&["sources", "--check", "acme_door"]);
    assert!(checked.ok().text().contains("no rule takes: mood (1)\n"), "{}", checked.text());
    assert!(checked.text().contains("1 of 1 mappings are sound, 1 samples\n"), "{}", checked.text());
    let event = &folder.run(&["normalize", "--sources", "acme_door", "door.log"]).lines()[0];
    assert_eq!((&event["class_uid"], &event["user"]["name"]), (&3002.into(), &"ann".into()));
    // It is not made twice, and not of what is known.
    let again = folder.run(&["sources", "--new", "acme.door", "--from", "door.log"]);
    assert_eq!((again.code, again.err.lines().next()), (2, Some("error: `./acme_door` exists")));
    folder.write("flows.log", FLOWS);
    let known = folder.run(&["sources", "--new", "acme.flows", "--from", "flows.log"]);
    assert_eq!(known.code, 1);
    assert!(known.err.contains("the sample is recognised as `aws.vpc_flow`"), "{}", known.err);
    assert_eq!(folder.run(&["sources", "--new", "Acme", "--from", "flows.log"]).code, 2);
}

#[test]
fn a_sample_that_becomes_something_else_is_a_fault() {
    let folder = Folder::new();
    folder.write("mine/source.yml", MINE);
    let event = "{\"acme\":1,\"when\":\"2026-01-31T10:00:00Z\",\"who\":\"ann\",\"from\":\"192.0.2.1\"}\n";
    folder.write("mine/tests/good.log", event);
    assert_eq!(folder.run(&["sources", "--check", "mine", "--update"]).code, 0);
    let sample = &folder.run(&["sources", "--check", "mine", "--json"]).json()["samples"][0];
    let [fields, consumed, filled] =
        ["fields", "consumed", "filled"].map(|name| sample[name].as_u64().unwrap());
    assert!((fields, consumed) == (4, 3) && filled > 0, "{sample}");
    assert_eq!(sample["unmapped"], serde_json::json!({ "acme": 1 }));
    folder.write("mine/source.yml", MINE.replace("activity: Logon", "activity: Logoff"));
    let ran = folder.run(&["sources", "--check", "mine"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("mine/tests/good.log: becomes something else than"), "{}", ran.err);
}

#[test]
fn drift_is_what_a_baseline_lacks() {
    let folder = Folder::new();
    folder.write("mine/source.yml", MINE);
    let usual = "{\"acme\":1,\"when\":\"2026-01-31T10:00:00Z\",\"who\":\"ann\",\"from\":\"192.0.2.1\"}\n";
    folder.write("old/a.log", usual.repeat(3));
    folder.write(
        "new/b.log",
        format!("{usual}{}", usual.replace("\"acme\":1", "\"acme\":\"x\",\"wing\":\"B\"")),
    );
    let args = ["drift", "--sources", "mine", "--json"];
    let drift = |more: &[&str]| folder.run(&[&args[..], more].concat()).json();
    let saved = drift(&["--save", "usual.json", "old"]);
    // Without a baseline, what the mapping does not know.
    assert_eq!(saved[0]["changes"], serde_json::json!([]), "{saved}");
    let now = drift(&["--baseline", "usual.json", "new"]);
    let told: Vec<_> = now[0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (&c["what"], &c["path"], &c["example"]))
        .collect();
    let text = Value::from;
    assert_eq!(
        told,
        [(&text("type"), &text("acme"), &text("x")), (&text("field"), &text("wing"), &text("B"))]
    );
    let table = folder.run(&["drift", "--sources", "mine", "new"]);
    assert!(table.ok().text().contains("acme.door: 1 changes in 2 events"), "{}", table.text());
}

#[test]
fn documents_of_an_older_version_name_what_they_lose() {
    let folder = Folder::new();
    folder.write("trail.json", TRAIL);
    let ran = folder.run(&["normalize", "--ocsf", "1.1", "trail.json"]);
    let event = &ran.ok().lines()[0];
    assert_eq!((&event["metadata"]["version"], &event["class_uid"]), (&"1.1.0".into(), &6003.into()));
    assert!(
        ran.err.lines().all(|line| line.starts_with("OCSF 1.1 lacks ") && line.ends_with(" times")),
        "{}",
        ran.err
    );
    let ran = folder.run(&["normalize", "--ocsf", "1.2", "trail.json"]);
    assert!(ran.code == 2 && ran.err.contains("1.1, 1.3, 1.8"), "{}", ran.err);
}

/// A mapping that is not part of the build.
const MINE: &str = r"source: acme.door
title: Doors of Acme
ocsf: 1.8.0
product: { vendor_name: Acme, name: Door }
recognise: { has: [acme, who] }
classes:
  - class: authentication
    set: { activity: Logon, severity: Informational, service.name: door }
    map:
      time: when | rfc3339
      user.name: who
      src_endpoint.ip: from | ip
";
