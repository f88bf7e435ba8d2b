#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use arrow::array::{Array, RecordBatch};

use super::*;
use crate::sample::json_rows;

/// Row 0: a sign-in; row 1: an internal flow; row 2: an API call in the year 2020; row 3: almost nothing.
fn rows() -> RecordBatch {
    let lines = r#"
        {"class_uid":3002,"activity_id":1,"time":"2026-01-31T10:00:00Z","actor_user_type":"Root","src_endpoint_ip":"192.0.2.7","is_mfa":false,"severity_id":3}
        {"class_uid":4001,"activity_id":6,"time":"2026-01-31T11:00:00Z","src_endpoint_ip":"10.0.0.1","dst_endpoint_ip":"10.0.0.2","dst_is_internal":true,"traffic_bytes":5000,"traffic_packets":0,"dst_endpoint_port":443}
        {"class_uid":6003,"activity_id":1,"time":"2020-01-01T00:00:00Z","api_operation":"DeleteTrail","actor_user_uid":"arn:aws:iam::111122223333:user/mallory","traffic_bytes":10,"traffic_packets":2}
        {"class_uid":0,"activity_id":0,"time":"2026-01-31T12:00:00Z","http_user_agent":"12x"}
    "#;
    with_feed(&json_rows(lines), "trail").unwrap()
}

/// The same as rules see them, without any context.
fn rule_rows() -> RecordBatch {
    let rows = rows();
    let linchpin: Vec<usize> = (0..rows.num_columns() - 1).collect();
    RiskTables::default().rows(&rows.project(&linchpin).unwrap(), "trail").unwrap()
}

#[test]
fn predicates_choose_rows() {
    let rows = rows();
    for (sql, expected) in [
        ("class_uid IN (3001, 3002, 3003)", vec![0]),
        ("class_uid = 4001 AND activity_id = 6 AND dst_is_internal", vec![1]),
        ("NOT dst_is_internal", vec![]),
        ("dst_is_internal IS NOT TRUE", vec![0, 2, 3]),
        ("actor_user_type = 'Root'", vec![0]),
        ("\"actor_user_type\" = 'Root'", vec![0]),
        ("ACTOR_USER_TYPE <> 'Root'", vec![]),
        ("src_endpoint_ip LIKE '10.%'", vec![1]),
        ("api_operation ILIKE 'delete%'", vec![2]),
        ("regexp_like(actor_user_uid, ':user/m')", vec![2]),
        ("lower(api_operation) = 'deletetrail'", vec![2]),
        ("time < '2021-01-01T00:00:00Z'", vec![2]),
        ("time BETWEEN '2026-01-31T10:30:00Z' AND '2026-01-31T12:00:00Z'", vec![1, 3]),
        ("time < now() - interval '4 years'", vec![2]),
        ("time < now()", vec![0, 1, 2, 3]),
        ("traffic_bytes / traffic_packets > 4", vec![2]),
        ("10 % traffic_packets = 0", vec![2]),
        ("CAST(http_user_agent AS INT) = 12", vec![]),
        ("CAST(dst_endpoint_port AS VARCHAR) LIKE '44%'", vec![1]),
        ("severity_id + 1 > 3", vec![0]),
        ("severity_id >= 2.5", vec![0]),
        ("coalesce(severity_id, 9) = 9", vec![1, 2, 3]),
        ("feed = 'trail'", vec![0, 1, 2, 3]),
        ("CASE WHEN is_mfa THEN false ELSE class_uid = 3002 END", vec![0]),
        ("true", vec![0, 1, 2, 3]),
        ("NULL", vec![]),
    ] {
        let predicate = Predicate::compile(sql, schema()).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mask = predicate.evaluate(&rows).unwrap();
        assert_eq!(mask.null_count(), 0, "{sql}");
        let chosen: Vec<usize> = mask.values().set_indices().collect();
        assert_eq!(chosen, expected, "{sql}");
    }
}

#[test]
fn predicates_are_refused_with_place_and_hint() {
    for (sql, offset, message, hint) in [
        ("clas_uid = 1", Some(0), "unknown column `clas_uid`", Some("did you mean `class_uid`?")),
        (
            "class_uid = 1\n  OR sevrity_id > 2",
            Some(19),
            "unknown column `sevrity_id`",
            Some("`severity_id`"),
        ),
        ("feed = 'é' AND nosuchthing", Some(16), "unknown column `nosuchthing`", None),
        (
            "src_endpoint.ip = '192.0.2.1'",
            Some(0),
            "unknown column `src_endpoint.ip`",
            Some("`src_endpoint_ip`"),
        ),
        ("source = \"aws\"", Some(9), "unknown column `aws`", Some("write text as 'aws'")),
        ("class_uid = 'abc'", Some(0), "`class_uid` is a number, but is compared with text (`'abc'`)", None),
        ("class_uid = '6003'", Some(0), "is a number", Some("write 6003")),
        ("1 = 1 AND class_uid IN (1, 'x')", Some(10), "is a number, but is compared with text", None),
        ("src_endpoint_ip = 5", Some(0), "is text, but is compared with a number (`5`)", Some("write '5'")),
        ("class_uid = source", Some(0), "is a number, but is compared with text", None),
        ("lower(source) > 5", Some(6), "is text, but is compared with a number", None),
        ("is_mfa = 1", Some(0), "is true or false, but", Some("write `is_mfa` or `NOT is_mfa`")),
        ("time > 5", Some(0), "is a time, but is compared with a number", Some("2026-01-31T00:00:00Z")),
        ("time > 'yesterday'", None, "yesterday", None),
        ("class_uid LIKE '4%'", Some(0), "`class_uid` is a number, and a pattern needs text", None),
        ("class_uid IN (SELECT 1)", Some(14), "a subquery is not allowed", Some("IN (1, 2)")),
        ("EXISTS (SELECT 1)", Some(8), "a subquery is not allowed", None),
        ("random() < 0.5", Some(0), "`random` gives another value every time", Some("the same way")),
        ("severity_id > 1 AND count(*) > 1", Some(20), "`count` needs many rows", None),
        ("lowr(source) = 'a'", Some(0), "unknown function `lowr`", Some("did you mean `lower`?")),
        ("regexp_like(source, '[')", None, "regex parse error: error: unclosed character class", None),
        ("class_uid + 1", Some(0), "not true or false", Some("compare it with something")),
        ("class_uid = 1 garbage", Some(14), "unexpected `garbage`", None),
        ("class_uid = ", Some(12), "expected", None),
        ("class_uid = 'open", Some(12), "unterminated string", None),
        ("  ", Some(0), "the predicate is empty", None),
        ("source = $1", None, "$1", None),
    ] {
        let error = Predicate::compile(sql, schema()).map(|p| format!("{:?}", p.expr())).unwrap_err();
        assert!(error.message.to_lowercase().contains(&message.to_lowercase()), "{sql}: {error}");
        assert_eq!(error.offset, offset, "{sql}: {error}");
        if let Some(hint) = hint {
            assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{sql}: {error}");
        }
    }
    let long = format!("source = '{}'", "x".repeat(PREDICATE_BYTES_MAX));
    assert!(Predicate::compile(&long, schema()).unwrap_err().message.contains("the most is 65536"));
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    assert!(Predicate::compile(&deep, schema()).unwrap_err().message.contains("nested too deeply"));
}

#[test]
fn now_is_the_moment_of_compiling() {
    let predicate = Predicate::compile("time > now()", schema()).unwrap();
    let rows = rows();
    let first = predicate.evaluate(&rows).unwrap();
    assert_eq!(first.true_count(), 0);
    // the simplified expression holds a literal, and no function is left to move
    assert!(!predicate.expr().to_string().contains("now"), "{}", predicate.expr());
}

#[test]
fn predicates_name_their_columns() {
    let predicate = Predicate::compile("source = 'a' OR class_uid = 1 AND feed = 'b'", schema()).unwrap();
    assert_eq!(predicate.columns(), ["class_uid", "feed", "source"]);
}

const DAY: u64 = 86_400;

fn class(name: &str, hot_days: u64, expire_days: u64) -> RetentionClass {
    RetentionClass::new(name, Duration::from_secs(hot_days * DAY), Duration::from_secs(expire_days * DAY))
}

fn rule(name: &str, when: &str, class: &str) -> RetentionRule {
    let when = (!when.is_empty()).then(|| when.to_owned());
    RetentionRule { name: name.into(), when, class: class.into() }
}

fn classes() -> Vec<RetentionClass> {
    vec![class("critical", 400, 2555), class("standard", 90, 1095), class("bulk", 7, 400)]
}

fn policy() -> RetentionPolicy {
    let rules = [
        rule("identity", "class_uid IN (3001, 3002) OR actor_user_type = 'Root'", "critical"),
        rule("internal flows", "class_uid = 4001 AND dst_is_internal", "bulk"),
        rule("everything else", "", "standard"),
    ];
    RetentionPolicy::compile(&classes(), &rules).unwrap()
}

#[test]
fn the_first_rule_that_matches_gives_the_class() {
    let policy = policy();
    assert_eq!(policy.classify(&rule_rows()), [0, 2, 1, 1]);
    assert_eq!(policy.deciding(&rule_rows()), [0, 1, 2, 2]);
    assert_eq!(policy.class("bulk"), Some(2));
    assert_eq!(policy.class("nosuch"), None);
    let rules = [rule("all", "true", "standard")];
    let policy = RetentionPolicy::compile(&classes(), &rules).unwrap();
    assert_eq!(policy.classify(&rule_rows()), [1; 4]);
}

#[test]
fn an_event_is_kept_as_its_strictest_row() {
    let policy = policy();
    assert_eq!(policy.by_event(&[2, 1, 2, 2, 0, 1], &[0, 0, 1, 1, 2, 2], 3), [1, 2, 0]);
    assert_eq!(policy.stricter(2, 1), 1);
    assert_eq!(policy.stricter(0, 1), 0);
    // an event without rows, which there should not be, is kept longest
    assert_eq!(policy.by_event(&[2], &[1], 2), [0, 2]);
}

#[test]
fn policies_are_refused_at_every_fault() {
    use PolicyPlace::{Class, Policy, Rule, When};
    let good = || rule("rest", "", "standard");
    let check = |classes: &[RetentionClass], rules: &[RetentionRule], expected: &[(PolicyPlace, &str)]| {
        let faults = RetentionPolicy::compile(classes, rules).unwrap_err();
        let shown: Vec<String> = faults.iter().map(|f| format!("{:?}: {f}", f.place)).collect();
        assert_eq!(
            faults.iter().map(|f| f.place).collect::<Vec<_>>(),
            expected.iter().map(|e| e.0).collect::<Vec<_>>(),
            "{shown:?}"
        );
        for (fault, (_, text)) in faults.iter().zip(expected) {
            assert!(fault.to_string().contains(text), "{fault}");
        }
    };
    check(
        &classes(),
        &[rule("a", "clas_uid = 1", "standrd"), rule("b", "class_uid = 1 AND 1 = 2", "bulk"), good()],
        &[
            (Rule(0), "unknown class `standrd`\nhint: did you mean `standard`?"),
            (When(0), "unknown column `clas_uid` (at byte 0)\nhint: did you mean `class_uid`?"),
            (When(1), "rule `b` is unreachable"),
        ],
    );
    check(
        &classes(),
        &[good(), rule("late", "class_uid = 1", "bulk")],
        &[(Rule(1), "`rest` matches everything")],
    );
    check(&classes(), &[rule("a", "class_uid = 1", "bulk")], &[(Policy, "end with a rule without `when`")]);
    check(&classes(), &[], &[(Policy, "no rule matches")]);
    let mut wrong = classes();
    wrong.extend([class("bulk", 1, 2), class("Bad/Name", 1, 2), class("hot", 9, 2)]);
    check(
        &wrong,
        &[good()],
        &[(Class(3), "defined twice"), (Class(4), "`Bad/Name`"), (Class(5), "longer than it is kept")],
    );
    check(&[], &[], &[(Policy, "1 to 64 classes")]);
}
