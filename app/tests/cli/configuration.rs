//! `linchpin check`.

use serde_json::Value;

use crate::support::Folder;

/// A configuration without a fault.
pub(crate) const GOOD: &str = r#"lake: ./data/lake
archives: { default: ./data/archive }
feeds:
  - { name: aws, source: aws.cloudtrail, from: { files: ./logs/aws } }
  - { name: rest, from: { files: ./logs/rest } }
retention:
  classes:
    critical: { hot: 90d, archive: { class: standard }, expire: 7y }
    standard: { hot: 30d, archive: { class: standard }, expire: 1y }
  rules:
    - { name: identity, when: "class_uid IN (3001, 3002)", class: critical }
    - { name: everything else, class: standard }
outputs:
  - { name: files, when: "severity_id >= 3", to: { ndjson: ./data/out } }
"#;

/// A change of [`GOOD`]: what, by what, and the diagnostics.
const BROKEN: &[(&str, &str, &str)] = &[
    (
        "hot: 90d",
        "hot: 90",
        "bad.yaml:8:22: error: the duration `90` has no unit\n  |     critical: { hot: 90, archive: { class: standard }, expire: 7y }\n  |                      ^^\nhint: write a whole number and a unit, as in `15m`, `7d` or `3y`; units: `ms`, `s`, `m`, `h`, `d`, `w`, `y`\n",
    ),
    (
        "feeds:",
        "fedes:",
        "bad.yaml:3:1: error: unknown key `fedes`\n  | fedes\n  | ^^^^^\nhint: did you mean `feeds`?\n",
    ),
    (
        "class_uid IN",
        "clas_uid IN",
        "bad.yaml:11:32: error: unknown column `clas_uid`\n  |     - { name: identity, when: \"clas_uid IN (3001, 3002)\", class: critical }\n  |                                ^^^^^^^^\nhint: did you mean `class_uid`?\n",
    ),
    (
        "source: aws.cloudtrail",
        "source: aws.cloudtrial",
        "bad.yaml:4:26: error: no source `aws.cloudtrial`\n  |   - { name: aws, source: aws.cloudtrial, from: { files: ./logs/aws } }\n  |                          ^^^^^^^^^^^^^^\nhint: did you mean `aws.cloudtrail`?\n",
    ),
    (
        "severity_id >= 3",
        "severity_id >= 'high'",
        "bad.yaml:14:27: error: `severity_id` is a number, but is compared with text (`'high'`)\n  |   - { name: files, when: \"severity_id >= 'high'\", to: { ndjson: ./data/out } }\n  |                           ^^^^^^^^^^^\n",
    ),
];

#[test]
fn a_good_configuration_is_summed_up() {
    let folder = Folder::new();
    folder.write("good.yaml", GOOD);
    let expected = "good.yaml: ok\n  feeds:   aws, rest\n  classes: critical, standard\n  rules:   2\n  outputs: files\n";
    folder.run(&["check", "-c", "good.yaml"]).is(0, expected, "");
    assert_eq!(crate::support::files(folder.path()).len(), 1, "checking writes nothing");
}

#[test]
fn a_broken_one_is_named_by_line_and_column() {
    for (from, to, expected) in BROKEN {
        let folder = Folder::new();
        assert!(GOOD.contains(from));
        folder.write("bad.yaml", GOOD.replacen(from, to, 1));
        let ran = folder.run(&["check", "-c", "bad.yaml"]);
        assert_eq!((ran.code, ran.text()), (2, ""), "{}", ran.err);
        assert_eq!(ran.err, *expected);
    }
}

#[test]
fn all_faults_come_at_once() {
    let folder = Folder::new();
    let bad = GOOD
        .replace("class_uid IN", "clas_uid IN")
        .replace("severity_id", "severity")
        .replace("aws.cloudtrail", "aws.x");
    folder.write("bad.yaml", bad);
    let ran = folder.run(&["check", "-c", "bad.yaml"]);
    let lines: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("bad.yaml:")).collect();
    assert_eq!((ran.code, lines.len()), (2, 3), "{}", ran.err);
}

#[test]
fn the_schema_is_json() {
    let ran = Folder::new().run(&["check", "--schema"]);
    let schema: Value = ran.json();
    assert_eq!(schema["title"], "linchpin.yaml");
    for key in ["lake", "archives", "feeds", "retention", "outputs", "limits"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}
