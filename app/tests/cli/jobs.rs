//! Jobs that bring events back, and rows made again, by the command line.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::support::{Folder, Ran, files};

const CONFIG: &str = r#"name: back
lake: ./data/lake
archives: { default: ./data/archive }
feeds: [ { name: aws, from: { files: ./logs } } ]
retention:
  classes: { standard: { hot: 1d, archive: { class: standard }, expire: 7y } }
  rules: [ { name: everything, class: standard } ]
outputs:
  - { name: out, when: "class_uid = 3002", to: { ndjson: ./data/out } }
limits: { flush: { bytes: 256KiB, age: 15s } }
"#;

const WHERE: &str = "class_uid = 6003 AND api_operation = 'GetObject'";

fn lines(text: &[u8]) -> BTreeMap<Vec<u8>, u64> {
    let mut lines = BTreeMap::new();
    for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        *lines.entry(line.to_vec()).or_default() += 1;
    }
    lines
}

#[test]
fn events_are_delivered_by_jobs_and_rows_are_made_again() {
    let folder = Folder::new();
    folder.write("back.yaml", CONFIG);
    let args =
        ["generate", "--out", "logs", "--source", "aws.cloudtrail", "--bytes", "1MiB", "--start", "-3d"];
    folder.run(&[&args[..], &["--span", "6h", "--seed", "5", "--json"]].concat()).json();
    folder.run(&["run", "-c", "back.yaml", "--once"]).ok();
    let run = |verb: &str, args: &[&str]| folder.run(&[&[verb, "-c", "back.yaml"], args].concat());
    let direct = run("rehydrate", &["--where", WHERE]);
    let events = lines(&direct.ok().out);
    let count: u64 = events.values().sum();
    assert!(count > 10, "{count}");

    // Only a price.
    let priced = run("rehydrate", &["--where", WHERE, "--estimate"]);
    assert!(priced.ok().err.contains("0 objects to restore") && priced.out.is_empty(), "{}", priced.err);
    assert_eq!(run("jobs", &["--json"]).json(), serde_json::json!([]));

    // A folder, hot and then expired: the same events.
    let deliver = |dir: &str| {
        run("rehydrate", &["--where", WHERE, "--deliver", &format!("folder:{dir}")]).ok();
        let all: Vec<u8> = files(&folder.path().join(dir)).into_values().flatten().collect();
        lines(&all)
    };
    assert!(deliver("hot") == events, "a job gives other events");
    let rows =
        run("search", &["SELECT count(*) AS n FROM events", "--format", "json"]).json()[0]["n"].clone();

    // Nothing differs: the mappings are those of a minute ago.
    let report = run("renormalize", &["--where", "true", "--source", "aws.cloudtrail", "--json"]).json();
    assert_eq!(report["rows_before"], rows);
    assert_eq!((&report["rows_after"], &report["rows_same"]), (&rows, &rows));
    assert_eq!(report["columns"], serde_json::json!([]));
    let same = run("renormalize", &["--where", "true", "--yes"]);
    assert!(same.ok().err.contains("nothing differs"), "{}", same.err);

    run("enforce", &["--once"]).ok();
    assert_eq!(run("search", &["SELECT count(*) AS n FROM events", "--format", "json"]).json()[0]["n"], 0);
    assert!(deliver("cold") == events, "expired events differ");

    // The table beside, and an output.
    run("rehydrate", &["--where", WHERE, "--deliver", "table", "--keep", "7d"]).ok();
    let sql = "SELECT count(*) AS n, min(retention) AS job FROM rehydrated WHERE api_operation = 'GetObject'";
    let found = run("search", &[sql, "--format", "json"]).json();
    assert_eq!(found[0]["n"].as_u64(), Some(count));
    run("rehydrate", &["--where", WHERE, "--deliver", "output:out", "--format", "ocsf"]).ok();
    // The lanes deliver sign-ins only: calls came by the job.
    let delivered = files(&folder.path().join("data/out")).into_values();
    let new = delivered
        .flat_map(|bytes| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>());
    let new = new.filter(|line| serde_json::from_str::<Value>(line).unwrap()["class_uid"] == 6003);
    assert_eq!(new.count() as u64, count);

    jobs_are_shown(&run, count, &found[0]["job"]);
    assert!(
        fs::read_dir(folder.path().join("hot"))
            .unwrap()
            .all(|e| { e.unwrap().path().extension().is_some_and(|ending| ending == "log") })
    );
}

/// Four jobs, of which the third delivered to the table.
fn jobs_are_shown(run: &dyn Fn(&str, &[&str]) -> Ran, count: u64, third: &Value) {
    let jobs = run("jobs", &["--json"]).json();
    let jobs = jobs.as_array().unwrap();
    assert_eq!(jobs.len(), 4);
    for job in jobs {
        assert_eq!((&job["phase"], &job["events"]), (&"done".into(), &count.into()), "{job}");
        assert_eq!(job["committed"], 0.0);
    }
    let id = jobs[2]["id"].as_str().unwrap();
    assert_eq!(third, id);
    assert!(run("jobs", &["show", id]).ok().text().contains("to: table"));
    assert_eq!(run("jobs", &[]).ok().text().lines().count(), 5);
    // What is over stays over.
    run("jobs", &["resume", id]).ok();
    let missing = run("jobs", &["show", "01K0EXAMPLEJOB000000000000"]);
    assert_eq!(missing.code, 2, "{}", missing.err);
    for wrong in [
        &["--where", WHERE, "--deliver", "somewhere"][..],
        &["--where", WHERE, "--deliver", "output:nobody"],
        &["--where", WHERE, "--yes"],
        &["--where", WHERE, "--deliver", "table", "--budget", "much"],
    ] {
        assert_eq!(run("rehydrate", wrong).code, 2, "{wrong:?}");
    }
}
