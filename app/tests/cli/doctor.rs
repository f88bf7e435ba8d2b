//! `linchpin doctor`, `completions` and `man`.

use std::fs;

use serde_json::Value;

use crate::{
    configuration::GOOD,
    support::{Folder, files},
};

/// The checks of a report as (of, check, ok).
fn checks(report: &Value) -> Vec<(&str, &str, bool)> {
    report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            (check["of"].as_str().unwrap(), check["check"].as_str().unwrap(), check["ok"].as_bool().unwrap())
        })
        .collect()
}

#[test]
fn a_configuration_that_works_is_well() {
    let folder = Folder::new();
    folder.write("good.yaml", GOOD);
    folder.write("logs/aws/trail.json", crate::normalising::TRAIL);
    fs::create_dir_all(folder.path().join("logs/rest")).unwrap();
    let report = folder.run(&["doctor", "-c", "good.yaml", "--json"]).json();
    assert_eq!(report["problems"], 0, "{report}");
    let written = ["connect", "list", "create", "read", "clock", "delete", "promises"];
    let expected: Vec<(&str, &str, bool)> = written
        .iter()
        .map(|check| ("lake", *check, true))
        .chain([("lake", "tables", true)])
        .chain(written.iter().map(|check| ("archive default", *check, true)))
        .chain([("feed aws", "list", true), ("feed aws", "read", true), ("feed rest", "list", true)])
        .collect();
    assert_eq!(checks(&report), expected);
    let left = files(&folder.path().join("data"));
    assert!(left.keys().all(|file| file.ends_with(".linchpin-lock")), "nothing stays: {left:?}");
    let table = folder.run(&["doctor", "-c", "good.yaml"]);
    assert!(table.ok().text().starts_with("OF "), "{}", table.text());
}

#[test]
fn what_is_wrong_comes_with_a_hint_and_exit_code_1() {
    let folder = Folder::new();
    folder.write("good.yaml", GOOD);
    folder.write("data/archive", "a file where a folder should be");
    fs::create_dir_all(folder.path().join("logs/rest")).unwrap();
    let ran = folder.run(&["doctor", "-c", "good.yaml", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let report: Value = serde_json::from_slice(&ran.out).unwrap();
    let wrong: Vec<_> = checks(&report).into_iter().filter(|(_, _, ok)| !ok).map(|(of, ..)| of).collect();
    assert_eq!(wrong, ["archive default", "feed aws"], "{report}");
    assert_eq!(report["problems"], 2);
    for check in report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false) {
        assert!(check["hint"].as_str().is_some_and(|hint| hint.len() > 10), "{check}");
    }
    let table = folder.run(&["doctor", "-c", "good.yaml"]);
    assert_eq!(table.code, 1);
    assert_eq!(table.text().matches("\nhint: ").count(), 2, "{}", table.text());
}

/// Nothing listens there: the answer comes at once, and names the place.
#[test]
fn a_bucket_that_cannot_be_reached_is_a_problem() {
    let folder = Folder::new();
    let config =
        GOOD.replace("{ default: ./data/archive }", "{ default: ./data/archive, far: s3://acme/far }");
    folder.write("far.yaml", format!("{config}stores: {{ s3: {{ endpoint: \"http://127.0.0.1:9\", region: eu-west-1, path_style: true, access_key_id: {{ file: ./key }}, secret_access_key: {{ file: ./key }} }} }}\n"));
    folder.write("key", "x");
    for feed in ["aws", "rest"] {
        fs::create_dir_all(folder.path().join("logs").join(feed)).unwrap();
    }
    let ran = folder.run(&["doctor", "-c", "far.yaml", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let report: Value = serde_json::from_slice(&ran.out).unwrap();
    let wrong: Vec<&Value> =
        report["checks"].as_array().unwrap().iter().filter(|c| c["ok"] == false).collect();
    assert_eq!(wrong.len(), 1, "{report}");
    assert_eq!(wrong[0]["place"], "s3://acme/far");
    assert!(wrong[0]["hint"].as_str().unwrap().contains("s3:ListBucket"), "{report}");
}

#[test]
fn feeds_that_wait_for_notifications_are_refused() {
    let feeds = [
        ("s3: { bucket: acme, queue: \"https://sqs.eu-west-1.amazonaws.com/1/q\" }", "`queue`"),
        ("azure_blob: { account: acme, container: logs, queue: q }", "`queue`"),
        ("gcs: { bucket: acme, subscription: projects/p/subscriptions/s }", "`subscription`"),
        ("syslog: { listen: \"0.0.0.0:6514\" }", "transport"),
    ];
    for (from, what) in feeds {
        let folder = Folder::new();
        folder.write("bad.yaml", GOOD.replace("files: ./logs/rest", from));
        let ran = folder.run(&["check", "-c", "bad.yaml"]);
        assert_eq!(ran.code, 2, "{from}: {}", ran.err);
        assert!(ran.err.contains(what) && ran.err.contains("\nhint: "), "{from}: {}", ran.err);
    }
}

#[test]
fn every_shell_and_the_manual_know_every_verb() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = folder.run(&["completions", shell]);
        assert!(script.ok().text().contains("rehydrate"), "{shell}");
    }
    let page = folder.run(&["man"]);
    assert!(page.ok().text().contains(".TH linchpin 1"), "{}", page.text());
    folder.run(&["man", "--out", "man1"]).ok();
    let page = fs::read_to_string(folder.path().join("man1/linchpin-search.1")).unwrap();
    assert!(page.contains("\\-\\-format") && page.contains("linchpin search"), "{page}");
    let help = folder.run(&["--help"]);
    let help = help.ok().text();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<&str> = commands
        .take_while(|line| line.starts_with("  "))
        // What a line has no room for stands further in.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() > 20, "{help}");
    for verb in &verbs {
        assert!(folder.path().join(format!("man1/linchpin-{verb}.1")).is_file(), "{verb}");
    }
    assert_eq!(files(&folder.path().join("man1")).len(), 1 + verbs.len());
}
