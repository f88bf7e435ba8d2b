//! Retention by risk: what rules see, why an event is kept, what a policy costs, who put it in force.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::support::{Folder, Service, files};

const CLOUD: &str = r#"lake: ./data/lake
archives: { default: "s3://logs/linchpin", azure: "az://acme/logs/linchpin" }
feeds:
  - { name: trail, source: aws.cloudtrail, from: { files: ./logs/aws } }
  - { name: flows, source: aws.vpc_flow, archive: azure, from: { files: ./logs/flows } }
retention:
  classes:
    audit: { hot: 90d, archive: { class: glacier_ir, after: 7d, move: { deep_archive: 180d } }, expire: 7y }
    bulk: { hot: 7d, archive: { class: deep_archive, after: 7d }, expire: 400d }
  rules:
    - { name: identity, when: "category_uid = 3", class: audit }
    - { name: everything else, class: bulk }
"#;

const LOCAL: &str = r#"lake: ./data/lake
archives: { default: ./data/archive }
context: { accounts: ./accounts.csv }
feeds: [{ name: aws, source: aws.cloudtrail, from: { files: ./logs } }]
retention:
  classes:
    critical: { hot: 2d, archive: { class: standard }, expire: 7y }
    bulk: { hot: 1d, archive: { class: standard }, expire: 90d }
  rules:
    - { name: crown jewels, when: "account_criticality = 'high' AND account_tags LIKE '%;env=prod;%'", class: critical }
    - { name: everything else, class: bulk }
"#;

/// A folder with a call of each of two accounts, taken in; the first is a critical one.
fn lake() -> Folder {
    let folder = Folder::new();
    folder.write("soc.yaml", LOCAL);
    folder.write("accounts.csv", "account,criticality,env\n111122223333,high,prod\n444455556666,low,dev\n");
    let call = |account: &str, name: &str| {
        crate::normalising::TRAIL.replace("111122223333", account).replace("ListBuckets", name)
    };
    let records = [call("111122223333", "CreateUser"), call("444455556666", "DeleteUser")];
    folder.write("logs/a.json", format!("{{\"Records\":[{}]}}", records.join(",")));
    folder.run(&["run", "-c", "soc.yaml", "--once"]).ok();
    folder
}

fn ids(folder: &Folder) -> Vec<Value> {
    let sql = "SELECT event_id, retention, cloud_account_uid FROM events ORDER BY cloud_account_uid";
    let rows = folder.run(&["search", "-c", "soc.yaml", sql, "--format", "json"]).json();
    rows.as_array().unwrap().clone()
}

#[test]
fn rules_see_accounts_and_explain_says_why() {
    let folder = lake();
    let rows = ids(&folder);
    let classes: Vec<&str> = rows.iter().map(|row| row["retention"].as_str().unwrap()).collect();
    assert_eq!(classes, ["critical", "bulk"]);
    let explain = |row: &Value, args: &[&str]| {
        let id = row["event_id"].as_str().unwrap().to_owned();
        folder.run(&[&["explain", "-c", "soc.yaml", &id], args].concat())
    };
    let first = explain(&rows[0], &["--json"]).json();
    assert_eq!(
        (&first["class"], &first["rule"], &first["hot"]),
        (&"critical".into(), &"crown jewels".into(), &true.into())
    );
    assert_eq!(first["rows"][0]["rules"][0]["columns"]["account_criticality"], "high");
    let second = explain(&rows[1], &[]);
    let text = second.ok().text();
    assert!(text.contains("rule 2 `everything else` gives `bulk`"), "{text}");
    assert!(
        text.contains("not rule 1 `crown jewels`: account_criticality = low, account_tags = ;env=dev;"),
        "{text}"
    );
    // another context makes another class today; the event keeps the one that it came in with
    folder.write("accounts.csv", "account,criticality\n");
    let first = explain(&rows[0], &["--json"]).json();
    assert_eq!((&first["class"], &first["today"]), (&"critical".into(), &"bulk".into()));
    for (id, code, message) in
        [("0".repeat(40), 1, "no event `0000"), ("xyz".to_owned(), 2, "`xyz` is not an event id\nhint: ")]
    {
        let ran = folder.run(&["explain", "-c", "soc.yaml", &id]);
        assert_eq!(ran.code, code);
        assert!(ran.err.contains(message), "{}", ran.err);
    }
}

#[test]
fn a_rule_says_which_outputs_get_its_events() {
    let folder = Folder::new();
    let outputs = "outputs: [{ name: a, to: { ndjson: ./a } }, { name: b, to: { ndjson: ./b } }]\n";
    let rules = LOCAL.replace(
        "class: critical }\n    - { name: everything",
        "class: critical, outputs: [b] }\n    - { name: everything",
    );
    folder.write("soc.yaml", format!("{rules}{outputs}"));
    folder.write("accounts.csv", "account,criticality,env\n111122223333,high,prod\n");
    let other = crate::normalising::TRAIL.replace("111122223333", "444455556666");
    folder.write("logs/a.json", format!("{{\"Records\":[{},{other}]}}", crate::normalising::TRAIL));
    folder.run(&["run", "-c", "soc.yaml", "--once"]).ok();
    let events = |output: &str| -> usize {
        let written = files(&folder.path().join(output));
        written.values().map(|bytes| String::from_utf8_lossy(bytes).lines().count()).sum()
    };
    assert_eq!((events("a"), events("b")), (1, 2));
}

#[test]
fn an_event_is_explained_when_its_rows_are_no_longer_hot() {
    let folder = lake();
    let rows = ids(&folder);
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 5);
    folder.run(&["enforce", "-c", "soc.yaml", "--once", "--now", &later.to_string()]).ok();
    assert!(ids(&folder).is_empty());
    let id = rows[0]["event_id"].as_str().unwrap();
    let found = folder.run(&["explain", "-c", "soc.yaml", id, "--json"]).json();
    assert_eq!(
        (&found["class"], &found["rule"], &found["hot"]),
        (&"critical".into(), &"crown jewels".into(), &false.into())
    );
}

#[test]
fn a_service_carries_out_the_policy_and_sees_a_changed_context() {
    let folder = lake();
    let days_ago = |days: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    let call = |name: &str, days| {
        let call =
            crate::normalising::TRAIL.replace("111122223333", "444455556666").replace("ListBuckets", name);
        call.replace("2026-01-31T10:00:01Z", &format!("{:.0}", days_ago(days)))
    };
    // Four days are over for a class that is hot for one.
    folder.write("logs/b.json", format!("{{\"Records\":[{}]}}", call("DeleteRole", 4)));
    folder.run(&["run", "-c", "soc.yaml", "--once"]).ok();
    assert_eq!(ids(&folder).len(), 3);
    let service = Service::start(&folder, "soc.yaml");
    service.wait("the end of a hot day", || ids(&folder).len() == 2);
    folder.write("accounts.csv", "account,criticality,env\n444455556666,high,prod\n");
    service.says("was read again", 1);
    folder.write("logs/c.json", format!("{{\"Records\":[{}]}}", call("CreateRole", 0)));
    service.wait("an event", || ids(&folder).len() == 3);
    let classes = ids(&folder)
        .iter()
        .filter(|row| row["cloud_account_uid"] == "444455556666")
        .map(|row| row["retention"].as_str().unwrap().to_owned())
        .collect::<std::collections::BTreeSet<_>>();
    assert!(classes.contains("critical"), "{classes:?}");
}

#[test]
fn a_faulty_context_is_named() {
    let folder = Folder::new();
    folder.write("soc.yaml", LOCAL);
    let ran = folder.run(&["check", "-c", "soc.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("accounts.csv"), "{}", ran.err);
    folder.write("accounts.csv", "name,criticality\n111122223333,high\n");
    let ran = folder.run(&["check", "-c", "soc.yaml"]);
    assert!(ran.err.contains("accounts.csv:2:1: error: the column `account` is missing"), "{}", ran.err);
}

#[test]
fn a_plan_of_given_sizes_needs_no_lake() {
    let folder = Folder::new();
    folder.write("new.yaml", CLOUD);
    folder
        .write("old.yaml", CLOUD.replace("glacier_ir, after: 7d, move: { deep_archive: 180d }", "standard"));
    let sizes = ["--inflow", "trail:audit=20GiB", "--inflow", "flows=200GiB"];
    let args =
        [&["plan", "-c", "new.yaml", "--against", "old.yaml", "--json", "--html", "plan.html"][..], &sizes]
            .concat();
    let plan = folder.run(&args).json();
    let sum: f64 = plan["by"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| {
            ["storage", "requests", "penalties", "egress"].map(|part| row[part].as_f64().unwrap())
        })
        .sum();
    let lifetime = plan["lifetime"].as_f64().unwrap();
    assert!((sum / lifetime - 1.0).abs() < 1e-9 && lifetime > 0.0);
    assert!(plan["difference"]["lifetime"].as_f64().unwrap() < 0.0, "{plan:#}");
    assert_eq!(plan["months"].as_array().unwrap().len(), 12);
    // 220 GiB a day, none of which a SIEM takes
    assert!((plan["siem_gb_avoided"].as_f64().unwrap() - 220.0 * 730.0 / 24.0).abs() < 1e-6);
    let tiers: Vec<(&str, &str)> = plan["by"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["feed"].as_str().unwrap(), row["tier"].as_str().unwrap()))
        .collect();
    for expected in
        [("trail", "GLACIER_IR"), ("trail", "DEEP_ARCHIVE"), ("flows", "Archive"), ("flows", "hot table")]
    {
        assert!(tiers.contains(&expected), "{tiers:?}");
    }
    let page = fs::read_to_string(folder.path().join("plan.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("<polyline"));
    let text = folder.run(&[&["plan", "-c", "new.yaml"][..], &sizes].concat());
    assert!(text.ok().text().contains("over its whole life"), "{}", text.text());
    assert!(!folder.path().join("data").exists(), "a plan makes no lake");
    let ran = folder.run(&["plan", "-c", "new.yaml", "--inflow", "trail:audti=1GiB"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("there is no retention class `audti`\nhint: did you mean `audit`?"),
        "{}",
        ran.err
    );
}

#[test]
fn a_plan_of_a_lake_says_what_a_shorter_policy_deletes() {
    let folder = lake();
    let plan = folder.run(&["plan", "-c", "soc.yaml", "--json"]).json();
    assert_eq!(plan["basis"], "ledger");
    let kept: u64 =
        plan["effects"].as_array().unwrap().iter().map(|e| e["keeps"]["events"].as_u64().unwrap()).sum();
    assert_eq!(kept, 2);
    // rules that differ are tried on the hot rows: both events would be bulk
    folder.write("new.yaml", LOCAL.replace("= 'high'", "= 'extreme'").replace("90d", "20d"));
    let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 25)).to_string();
    let plan = folder.run(&["plan", "-c", "new.yaml", "--json", "--now", &later]).json();
    let inflow: Vec<(&str, &str)> = plan["by"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["events"].as_u64().unwrap() > 1)
        .map(|row| (row["feed"].as_str().unwrap(), row["class"].as_str().unwrap()))
        .collect();
    assert!(!inflow.is_empty() && inflow.iter().all(|(_, class)| *class == "bulk"), "{plan:#}");
    let bulk = plan["effects"].as_array().unwrap().iter().find(|e| e["class"] == "bulk").unwrap();
    assert_eq!(bulk["deletes"]["events"], 1);
}

#[test]
fn the_price_book_can_be_printed_changed_and_given() {
    let folder = Folder::new();
    let book = folder.run(&["plan", "--prices"]);
    let dear = book.ok().text().replace("storage: 0.00099", "storage: 9.9");
    assert_ne!(dear, book.text());
    folder.write("prices.yaml", dear);
    folder.write("a.yaml", CLOUD);
    folder.write("b.yaml", format!("prices: ./prices.yaml\n{CLOUD}"));
    let lifetime = |file: &str| {
        let plan = folder.run(&["plan", "-c", file, "--json", "--inflow", "trail=1GiB"]).json();
        plan["lifetime"].as_f64().unwrap()
    };
    assert!(lifetime("b.yaml") > 100.0 * lifetime("a.yaml"));
    folder.write("prices.yaml", "date: x\n");
    let ran = folder.run(&["plan", "-c", "b.yaml", "--inflow", "trail=1GiB"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("prices.yaml:"), "{}", ran.err);
}

#[test]
fn guard_rails() {
    let folder = Folder::new();
    folder.write("a.yaml", format!("{CLOUD}  regulations: [nis2, {{ preset: sox, classes: [audit] }}]\n"));
    let ran = folder.run(&["check", "-c", "a.yaml"]);
    assert_eq!((ran.code, ran.text()), (2, ""));
    assert!(
        ran.err.starts_with(
            "a.yaml:9:5: error: class `bulk` keeps events hot for `1w`, but `nis2` asks for 90 days\n"
        ),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.matches("error:").count(), 1, "{}", ran.err);
    // a policy that falls short is not put in force
    assert_eq!(folder.run(&["apply", "-c", "a.yaml"]).code, 2);
    folder.write("b.yaml", format!("{CLOUD}  regulations: [{{ preset: m_21_31, classes: [] }}, nis3]\n"));
    assert!(folder.run(&["check", "-c", "b.yaml"]).err.contains("unknown choice `nis3`"));
    folder.write("c.yaml", CLOUD.replace("180d", "30d"));
    let ran = folder.run(&["check", "-c", "c.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("c.yaml:8:5: warning: class `audit` leaves `GLACIER_IR` after `23d`, but 90 days there are paid for"), "{}", ran.err);
    assert!(ran.text().starts_with("c.yaml: ok, with warnings\n"));
    // flow logs do not say who it was
    folder.write("d.yaml", format!("{CLOUD}  regulations: [{{ preset: sox, classes: [audit] }}]\n"));
    let ran = folder.run(&["check", "-c", "d.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("source `aws.vpc_flow` of feed `flows` fills none of `actor_user_name`"),
        "{}",
        ran.err
    );
    assert!(folder.run(&["check", "--regulations"]).ok().text().contains("pci_dss_4"));
}

#[test]
fn lifecycle_rules_are_written_and_checked() {
    let folder = Folder::new();
    folder.write("a.yaml", CLOUD);
    let rules = |format: &str| folder.run(&["lifecycle", "-c", "a.yaml", "--format", format]).json();
    assert_eq!(rules("aws")["Rules"][0]["Filter"]["Prefix"], "linchpin/audit/");
    let azure = rules("azure");
    assert_eq!(azure["rules"][0]["definition"]["filters"]["prefixMatch"][0], "logs/linchpin/audit/");
    assert!(rules("gcp")["lifecycle"]["rule"].is_array());
    let check = |rules: &str| {
        let args = ["lifecycle", "-c", "a.yaml", "--format", "aws", "--existing", "-"];
        folder.run_with(&args, rules.as_bytes())
    };
    check(&rules("aws").to_string()).is(0, "the rules do not contradict the policy\n", "");
    let wrong = r#"{"Rules":[{"ID":"tidy","Status":"Enabled","Filter":{},"Expiration":{"Days":365}}]}"#;
    let ran = check(wrong);
    assert_eq!(ran.code, 1);
    assert!(ran.text().contains("rule `tidy` deletes class `bulk` after 365 days"), "{}", ran.text());
    assert_eq!(check("not json").code, 2);
}

#[test]
fn what_is_applied_is_signed() {
    let folder = lake();
    let key = folder.path().join("data/lake/signing.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    folder.run(&["apply", "-c", "soc.yaml"]).is(0, "the policy of soc.yaml is in force already\n", "");
    folder.write("soc.yaml", LOCAL.replace("90d", "80d"));
    let ran = folder.run(&["apply", "-c", "soc.yaml", "--by", "ann"]);
    assert!(
        ran.ok().text().starts_with("the policy of soc.yaml is now in force\nsigned with "),
        "{}",
        ran.text()
    );
    let verified = folder.run(&["verify", "-c", "soc.yaml", "--json"]).json();
    assert_eq!(
        (&verified["signatures"]["signed"], &verified["signatures"]["unsigned"]),
        (&2.into(), &0.into())
    );
    assert_eq!(verified["signatures"]["keys"].as_object().unwrap().len(), 1);
    assert!(files(&folder.path().join("data/lake")).contains_key("signing.key"));
}
