//! `linchpin generate`.

use crate::support::{Folder, files};

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = Folder::new();
    let call = |out: &str, seed: &str| {
        let args = [
            "generate",
            "--out",
            out,
            "--bytes",
            "2MiB",
            "--start",
            "2026-01-31",
            "--span",
            "2h",
            "--seed",
            seed,
            "--json",
        ];
        folder.run(&args).json()
    };
    let (one, two, other) = (call("one", "7"), call("two", "7"), call("other", "8"));
    assert_eq!(
        (&one["files"], &one["events"], &one["attack"]),
        (&two["files"], &two["events"], &serde_json::Value::Null)
    );
    assert_eq!(other["start"], "2026-01-31T00:00:00Z");
    let [one, two, other] = ["one", "two", "other"].map(|out| files(&folder.path().join(out)));
    assert!(one.len() > 8 && one == two && one != other);
}

#[test]
fn sources_and_the_attack_are_chosen() {
    let folder = Folder::new();
    let args = [
        "generate",
        "--out",
        "logs",
        "--bytes",
        "1MiB",
        "--source",
        "aws.cloudtrail,gcp.audit",
        "--attack",
        "--json",
    ];
    let written = folder.run(&args).json();
    let events: Vec<&String> = written["events"].as_object().unwrap().keys().collect();
    assert_eq!(events, ["aws.cloudtrail", "gcp.audit"]);
    let attack = &written["attack"];
    for name in ["ip", "user", "email", "leaked_key", "new_user", "new_key", "bucket", "from", "until"] {
        assert!(attack[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    let now = jiff::Timestamp::now();
    assert!(attack["until"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() < now);
    let stored: u64 = files(&folder.path().join("logs")).values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(written["stored_bytes"], stored);
}
