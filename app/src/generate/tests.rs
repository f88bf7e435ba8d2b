#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::Value;

use super::*;

const START: &str = "2026-03-17T00:00:00Z";

/// Generates into a fresh folder and returns what is in it: path to inflated bytes.
fn generated(change: impl FnOnce(&mut Options)) -> (Options, Written, BTreeMap<String, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path().to_owned(), 6_000_000, 7, START.parse().unwrap());
    options.file_bytes = 200_000;
    change(&mut options);
    let mut last = 0;
    let written = generate(&options, &mut |done| last = done).unwrap();
    assert_eq!(last, written.raw_bytes);
    let mut files = BTreeMap::new();
    walk(dir.path(), dir.path(), &mut files);
    (options, written, files)
}

fn walk(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let bytes = if path.extension().is_some_and(|end| end == "gz") { inflate(&bytes) } else { bytes };
        files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), bytes);
    }
}

fn inflate(gzip: &[u8]) -> Vec<u8> {
    let len = u32::from_le_bytes(gzip[gzip.len() - 4..].try_into().unwrap()) as usize;
    let mut out = vec![0; len];
    libdeflater::Decompressor::new().gzip_decompress(gzip, &mut out).unwrap();
    out
}

/// Source by what its path looks like.
fn source(path: &str) -> &'static str {
    let parts = [
        ("/CloudTrail/", "aws.cloudtrail"),
        ("/vpcflowlogs/", "aws.vpc_flow"),
        ("/insights-activity-logs/", "azure.activity"),
        ("signinlogs/", "azure.signin"),
        ("/insights-logs-flowlogflowevent/", "azure.vnet_flow"),
        ("/insights-logs-networksecuritygroupflowevent/", "azure.nsg_flow"),
        ("/cloudaudit.googleapis.com/", "gcp.audit"),
        ("/compute.googleapis.com/vpc_flows/", "gcp.vpc_flow"),
    ];
    parts.iter().find(|part| path.contains(part.0)).unwrap().1
}

/// The raw events of a file; every JSON one must parse.
fn events(path: &str, bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let records = |key: &str| {
        let all: BTreeMap<String, Vec<Value>> = serde_json::from_str(text).unwrap();
        all[key].iter().map(Value::to_string).collect()
    };
    match source(path) {
        "aws.cloudtrail" => records("Records"),
        "azure.vnet_flow" | "azure.nsg_flow" => records("records"),
        "aws.vpc_flow" => {
            let columns = text.lines().next().unwrap().split(' ').count();
            assert!(text.lines().all(|line| line.split(' ').count() == columns), "{path}");
            text.lines().skip(1).map(str::to_owned).collect()
        }
        _ => {
            let check =
                |line: &str| assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
            text.lines().inspect(|line| check(line)).map(str::to_owned).collect()
        }
    }
}

#[test]
fn counts_and_sizes_are_those_of_the_files() {
    let (options, written, files) = generated(|_| {});
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (path, bytes) in &files {
        *counts.entry(source(path).to_owned()).or_default() += events(path, bytes).len() as u64;
    }
    assert_eq!(counts, written.events);
    assert_eq!(counts.len(), Kind::all().len());
    assert_eq!(files.len() as u64, written.files);
    let raw: usize = files.values().map(Vec::len).sum();
    assert_eq!(raw as u64, written.raw_bytes);
    let ratio = raw as f64 / options.bytes as f64;
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert!(written.stored_bytes < written.raw_bytes);
}

#[test]
fn sizes_hold_for_small_and_uneven_targets() {
    for (bytes, span_s, kinds) in [
        (1_500_000, 3600, Kind::all()),
        (3_000_000, 86_400, vec![Kind::SignIn, Kind::NsgFlow]),
        (2_000_000, 7 * 86_400, vec![Kind::CloudTrail, Kind::GcpAudit]),
    ] {
        let (_, written, files) = generated(|options| {
            options.bytes = bytes;
            options.span = Duration::from_secs(span_s);
            options.sources.clone_from(&kinds);
        });
        let ratio = written.raw_bytes as f64 / bytes as f64;
        assert!((0.9..1.1).contains(&ratio), "{bytes} bytes over {span_s} s: {ratio}");
        let counted: usize = files.iter().map(|(path, bytes)| events(path, bytes).len()).sum();
        assert_eq!(counted as u64, written.events.values().sum::<u64>());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let small = |options: &mut Options| options.bytes = 1_000_000;
    let (_, first, first_files) = generated(small);
    let (_, second, second_files) = generated(small);
    assert_eq!(first, second);
    assert!(first_files == second_files);
    let (_, _, other) = generated(|options| {
        small(options);
        options.seed = 8;
    });
    assert!(first_files.keys().ne(other.keys()));
}

#[test]
fn a_source_does_not_change_with_what_else_is_written() {
    let (_, _, both) = generated(|options| {
        options.bytes = 1_160_000;
        options.sources = vec![Kind::CloudTrail, Kind::GcpAudit];
    });
    let (_, _, one) = generated(|options| {
        options.bytes = 160_000;
        options.sources = vec![Kind::GcpAudit];
    });
    let audit: BTreeMap<_, _> = both.into_iter().filter(|file| source(&file.0) == "gcp.audit").collect();
    assert!(audit == one);
}

#[test]
fn the_attack_leaves_its_traces_everywhere() {
    let (_, written, files) = generated(|_| {});
    let story = written.attack.unwrap();
    let all: Vec<(&str, String)> = files
        .iter()
        .flat_map(|(path, bytes)| events(path, bytes).into_iter().map(|event| (source(path), event)))
        .collect();
    let mut by_ip: BTreeMap<String, u64> = BTreeMap::new();
    for (source, _) in all.iter().filter(|event| event.1.contains(&story.ip)) {
        *by_ip.entry((*source).to_owned()).or_default() += 1;
    }
    assert_eq!(by_ip, story.events, "the address is in the attack's events and in no others");
    let has = |source: &str, parts: &[&str]| {
        all.iter().any(|event| event.0 == source && parts.iter().all(|part| event.1.contains(part)))
    };
    let (ip, key, email) = (&*story.ip, &*story.leaked_key, &*story.email);
    for name in ["GetCallerIdentity", "ListUsers", "CreateUser", "CreateAccessKey", "StopLogging"] {
        assert!(has("aws.cloudtrail", &[ip, key, &format!(r#""eventName":"{name}""#)]), "{name}");
    }
    assert!(has("aws.cloudtrail", &["StopLogging", "AccessDenied", ip]));
    assert!(has("aws.cloudtrail", &["AttachUserPolicy", "AdministratorAccess", &story.new_user, ip]));
    assert!(has("aws.cloudtrail", &["GetObject", &story.new_key, &story.bucket, ip]));
    assert!(has("azure.signin", &[email, ip, "singleFactorAuthentication", r#""errorCode":0"#]));
    assert!(has("azure.activity", &[email, ip, "ROLEASSIGNMENTS/WRITE", &story.subscription]));
    assert!(has("gcp.audit", &[email, ip, "SetIamPolicy", "roles/owner", &story.project]));
    for source in ["aws.vpc_flow", "azure.vnet_flow", "azure.nsg_flow", "gcp.vpc_flow"] {
        assert!(has(source, &[ip, "1431655760"]), "{source}");
    }
    let (_, written, files) = generated(|options| options.attack = false);
    assert_eq!(written.attack, None);
    assert!(files.values().all(|bytes| !String::from_utf8_lossy(bytes).contains("198.51.100.")));
}

#[test]
fn cloudtrail_is_as_varied_as_the_real_one() {
    let (_, written, files) = generated(|options| {
        options.bytes = 8_000_000;
        options.sources = vec![Kind::CloudTrail];
        options.compress = true;
    });
    let mut seen: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    let mut outside = 0;
    for (path, bytes) in &files {
        for event in events(path, bytes) {
            let event: Value = serde_json::from_str(&event).unwrap();
            for (what, pointer) in [
                ("name", "/eventName"),
                ("service", "/eventSource"),
                ("identity", "/userIdentity/type"),
                ("error", "/errorCode"),
                ("type", "/eventType"),
            ] {
                if let Some(value) = event.pointer(pointer).and_then(Value::as_str) {
                    *seen.entry(what).or_default().entry(value.to_owned()).or_default() += 1;
                }
            }
            let time = event["eventTime"].as_str().unwrap();
            outside += u64::from(!("2026-03-16T23:59".."2026-03-18").contains(&time));
        }
    }
    assert_eq!(outside, 0);
    assert!(seen["name"].len() >= 100, "{}", seen["name"].len());
    assert!(seen["service"].len() >= 20, "{:?}", seen["service"]);
    assert!(seen["error"].len() >= 8, "{:?}", seen["error"]);
    assert!(seen["type"].len() >= 3, "{:?}", seen["type"]);
    for identity in [
        "IAMUser",
        "AssumedRole",
        "Root",
        "AWSService",
        "AWSAccount",
        "FederatedUser",
        "WebIdentityUser",
        "SAMLUser",
        "IdentityCenterUser",
    ] {
        assert!(seen["identity"].contains_key(identity), "{identity}: {:?}", seen["identity"]);
    }
    let mean = written.raw_bytes / written.events["aws.cloudtrail"];
    assert!((1100..1600).contains(&mean), "{mean} bytes an event");
    let percent = written.stored_bytes as f64 / written.raw_bytes as f64 * 100.0;
    assert!((9.0..14.0).contains(&percent), "gzip leaves {percent} %");
}

#[test]
fn single_records_are_the_asked_number_of_events() {
    let records = cloudtrail_records(3, 500, START.parse().unwrap()).unwrap();
    let ids: std::collections::BTreeSet<String> = records
        .map(|record| serde_json::from_slice::<Value>(&record.unwrap()).unwrap()["eventID"].to_string())
        .collect();
    assert_eq!(ids.len(), 500);
}

#[test]
fn unknown_sources_are_refused() {
    assert_eq!("gcp.audit".parse::<Kind>().unwrap(), Kind::GcpAudit);
    let error = "gcp.adit".parse::<Kind>().unwrap_err().to_string();
    assert!(error.starts_with("unknown source `gcp.adit`\nhint: known are aws.cloudtrail, "), "{error}");
}

#[test]
fn faulty_templates_are_named() {
    use super::template::{Names, Template};
    let names = Names { pools: &[], vars: &["known"], fragments: &[] };
    for (text, message) in [
        ("a <unknown>", "no pool or tag `unknown`"),
        ("<@other>", "no variable `other`"),
        ("<?50>never closed", "group is never closed"),
        ("closed<)>", "group closed but never opened"),
        ("<*1 3>a<:>b<)>", "repeat is never closed"),
        ("<hex x>", "not a number"),
        ("<uuid #8>", "no such mark"),
        ("<pick a|<uuid>>", "tag inside the tag"),
        ("<uuid", "tag without `>`"),
    ] {
        let error = format!("{:#}", Template::parse(text, &names).unwrap_err());
        assert!(error.contains(message), "{text}: {error}");
    }
    assert!(Template::parse("<?@known>{<*1 2><(>a<|>b<)><)>}<:><lt><)>", &names).is_ok());
}
