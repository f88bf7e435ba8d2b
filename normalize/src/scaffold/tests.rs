//! Samples of formats that no mapping of this build knows.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// Format, sample, the class that is guessed, and what the mapping must say.
const SAMPLES: &[(&str, &str, &str, &[&str])] = &[
    (
        "JSON lines",
        "{\"doorTime\":\"2026-01-31T10:00:00Z\",\"who\":{\"login\":\"ann\"},\"doorAction\":\"login ok\",\"clientIp\":\"192.0.2.7\"}\n",
        "authentication",
        &[
            "has: [",
            "time: 'doorTime | rfc3339'",
            "user.name: 'who.login'",
            "src_endpoint.ip: 'clientIp | ip'",
        ],
    ),
    (
        "JSON in an envelope",
        "{\"page\":1,\"hits\":[{\"ts\":1769853600,\"srcIp\":\"192.0.2.7\",\"dstIp\":\"198.51.100.2\",\"dstPort\":443}]}",
        "network_activity",
        &["framing: { json_array: hits }", "time: 'ts | unix_seconds'", "dst_endpoint.port: 'dstPort'"],
    ),
    (
        "CSV with a header",
        "when,who,what\n2026-01-31 10:00:00,ann,\"a, b\"\n2026-01-31 10:00:01,bob,c\n",
        "base_event",
        &[
            "fields: header, known: [when, who, what]",
            "time: 'when | rfc3339'",
            "# what: text, such as `a, b`",
        ],
    ),
    (
        "pairs",
        "ts=1769853600 action=drop src=192.0.2.7 dst=198.51.100.2 dport=22\nts=1769853601 action=pass src=192.0.2.8 dst=198.51.100.2 dport=23\n",
        "network_activity",
        &["message: kv", "text: ['*ts=*action=*src=*dst=*dport=*']", "time: 'message.ts | unix_seconds'"],
    ),
    (
        "CEF",
        "CEF:0|Acme|Gate|1|7|Badge refused|5|rt=1769853600000 suser=ann src=192.0.2.7\n",
        "base_event",
        &["message: cef", "text: ['CEF:*|Acme|Gate|*']", "time: 'message.rt | unix_millis'"],
    ),
    (
        "separated values",
        "31/Jan/2026:10:00:00 +0000|GET|/a|200\n31/Jan/2026:10:00:01 +0000|PUT|/b|404\n",
        "base_event",
        &["split: pipe, fields: [value_1, value_2, value_3, value_4]", "time: 'value_1 | clf_time'"],
    ),
    (
        "sentences",
        "The gate was opened.\nThe gate was closed again.\n",
        "base_event",
        &["framing: { lines: }"],
    ),
];

#[test]
fn a_scaffold_reads_its_own_sample() {
    let catalog = Catalog::builtin().unwrap_or_else(|e| panic!("{e}"));
    for (what, sample, class, says) in SAMPLES {
        let made = of(&catalog, "acme.gate", sample.as_bytes()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let text = &made.mapping;
        assert!(text.contains(&format!("- class: {class}\n")), "{what}:\n{text}");
        for part in *says {
            assert!(text.contains(part), "{what}: no `{part}` in\n{text}");
        }
        assert_eq!(made.sample.faults, [""; 0], "{what}");
        assert!(made.sample.events > 0 && made.sample.invalid == 0, "{what}");
    }
}

#[test]
fn what_is_known_or_empty_needs_no_mapping() {
    let catalog = Catalog::builtin().unwrap_or_else(|e| panic!("{e}"));
    let flows = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n\
                 2 111122223333 eni-1 192.0.2.7 198.51.100.2 1 443 6 1 40 1769853600 1769853660 ACCEPT OK\n";
    assert_eq!(
        of(&catalog, "acme.flows", flows.as_bytes()).err(),
        Some(ScaffoldError::Known("aws.vpc_flow".into()))
    );
    assert_eq!(of(&catalog, "acme.gate", b"\n\n").err(), Some(ScaffoldError::Empty));
}
