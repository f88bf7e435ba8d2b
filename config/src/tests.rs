#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::*;

const FULL: &str = include_str!("../tests-data/full.yaml");
const LEAST: &str = include_str!("../tests-data/least.yaml");

/// Sections that a case leaves out come after its text, so that its line numbers hold.
const SECTIONS: &[(&str, &str)] = &[
    ("archives:", "archives: { default: ./data/archive }\n"),
    ("feeds:", "feeds: [{ name: logs, from: { files: ./input } }]\n"),
    (
        "retention:",
        "retention:\n  classes: { all: { hot: 1d, archive: { class: standard }, expire: 2d } }\n  rules: [{ name: all, class: all }]\n",
    ),
];

/// Every case of a table is refused with exactly the expected text; `UPDATE_GOLDENS=1` rewrites the table.
fn check_refused(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data").join(table);
    let before = std::fs::read_to_string(&path).unwrap();
    let mut after = String::new();
    for case in before.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (input, _) = rest.split_once("--- expected\n").unwrap();
        let mut text = input.to_owned();
        for (start, section) in SECTIONS.iter().filter(|_| !title.ends_with("(bare)")) {
            if !text.lines().any(|line| line.starts_with(start)) {
                text.push_str(section);
            }
        }
        let refused = Config::parse("soc/linchpin.yaml", &text).expect_err(title).to_string();
        assert!(!refused.contains("hunter2") && !refused.contains("12345"), "{title}: a secret is shown");
        writeln!(after, "=== {title}\n{input}--- expected\n{refused}\n").unwrap();
    }
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, after).unwrap();
    } else {
        assert_eq!(after, before, "{table}: UPDATE_GOLDENS=1 rewrites it");
    }
}

#[test]
fn faults_of_structure() {
    check_refused("structure.txt");
}

#[test]
fn faults_of_values() {
    check_refused("values.txt");
}

#[test]
fn faults_of_references() {
    check_refused("references.txt");
}

#[test]
fn faults_of_retention() {
    check_refused("retention.txt");
}

#[test]
fn full_file() {
    let config = Config::parse("soc/linchpin.yaml", FULL).unwrap();
    assert_eq!(config.name.as_str(), "soc");
    assert_eq!(config.lake, Place::Folder(PathBuf::from("soc/data/lake")));
    assert_eq!(config.archive("azure").unwrap().to_string(), "az://acme/archive/linchpin");
    let s3 = Place::S3 { bucket: "acme-archive-aws".to_owned(), prefix: "linchpin".to_owned() };
    assert_eq!(config.archive("aws"), Some(&s3));
    let [trail, live, .., firewalls] = &config.feeds.value[..] else { panic!("six feeds") };
    assert_eq!((trail.source(), trail.archive()), ("aws.cloudtrail", "aws"));
    assert_eq!(trail.expect.lag, Some(DurationText(Duration::from_mins(15))));
    assert_eq!((live.source(), live.archive()), (AUTO_SOURCE, DEFAULT_ARCHIVE));
    let FeedFrom::Syslog(syslog) = &firewalls.from else { panic!("syslog") };
    assert_eq!(syslog.listen.0.port(), 6514);
    assert_eq!(syslog.tls.as_ref().unwrap().key.0, Path::new("soc/key.pem"));

    let (name, critical) = config.retention.classes.value.iter().next().unwrap();
    assert_eq!((name.value.as_str(), name.span), ("critical", Span { line: 30, column: 5 }));
    assert_eq!(critical.lock, Some(Lock::Compliance));
    assert_eq!(critical.expire.value, DurationText::from_days(7 * 365));
    assert_eq!(critical.archive.moves.iter().next().unwrap().0.value, StorageClass::DeepArchive);
    assert_eq!(config.retention.strictest([2, 1]), Some(1));
    assert_eq!(config.retention.strictest([0, 1, 2]), Some(0));
    assert_eq!(config.retention.strictest([]), None);
    assert_eq!(config.retention.class_index("bulk"), Some(2));

    let [all, some] = &config.retention.regulations[..] else { panic!("two regulations") };
    assert_eq!((all.value.preset, &all.value.classes), (Preset::Nis2, &None));
    assert_eq!(some.value.preset, Preset::Sox);
    assert_eq!(some.value.classes.as_ref().unwrap()[0].value.as_str(), "critical");
    let files: Vec<_> = config.context.paths().collect();
    assert_eq!(files, ["soc/accounts.csv", "soc/identities.yaml", "soc/data.csv"].map(Path::new));
    assert!(config.signing.is_some());

    let OutputTo::Http(http) = &config.outputs[3].to else { panic!("http") };
    assert!(matches!(http.headers.get("X-Tenant").unwrap().value, TextOrSecret::Text(_)));
    assert!(matches!(http.headers.get("X-Api-Key").unwrap().value, TextOrSecret::Secret(_)));
    assert_eq!((http.batch.events.get(), http.batch.bytes), (500, ByteSize(512 << 10)));
    assert_eq!((config.limits.threads.value, config.limits.flush.bytes.value), (2, ByteSize(64 << 20)));
    assert_eq!(config.prices.unwrap().0, Path::new("soc/prices.yaml"));
}

#[test]
fn least_file_has_the_defaults() {
    let config = Config::parse("linchpin.yaml", LEAST).unwrap();
    assert_eq!(config.name.as_str(), "linchpin");
    assert_eq!(config.lake, Place::Folder(PathBuf::from("data/lake")));
    assert_eq!(config.archive("default"), Some(&Place::Folder(PathBuf::from("/var/lib/linchpin/archive"))));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(
        (config.limits.threads.value, config.limits.flush.age.value.to_string()),
        (1, "15s".to_owned())
    );
    assert!(config.outputs.is_empty() && config.prices.is_none() && config.api.is_none());
}

#[test]
fn a_fault_inside_a_predicate_is_underlined_where_it_stands() {
    let styles = [
        ("severity_id >= 3 AND clas_uid = 1", (1, 33)),
        ("\"x = '\\u0041\\\"' AND clas_uid = 1\"", (1, 32)),
        ("'x = ''a'' AND clas_uid = 1'", (1, 27)),
        (">-\n    x = 1 AND\n\n    clas_uid = 1", (4, 5)),
        ("|\n    \"x\" = 1\n      AND clas_uid = 1\n", (3, 11)),
        ("x = 1\n    AND clas_uid = 1", (2, 9)),
    ];
    for (style, (line, column)) in styles {
        let text = format!("predicate: {style}");
        let read: Entries<String, Located<String>> = parse("f.yaml", &text).unwrap();
        let predicate = read.get("predicate").unwrap();
        let offset = predicate.value.find("clas_uid").unwrap();
        let at = SourceText::new("f.yaml", &text).inside(predicate.span, &predicate.value, offset);
        assert_eq!(at, Span { line, column }, "{style}");
    }
    let config = Config::parse("linchpin.yaml", FULL).unwrap();
    let when = config.outputs[0].when.as_ref().unwrap();
    let fault = config.fault(when, Some(0..11), "no column `severity_id`", Some("hint".to_owned()));
    let expected = "linchpin.yaml:40:12: error: no column `severity_id`
  |     when: \"severity_id >= 3 OR class_uid IN (2004, 3002)\"
  |            ^^^^^^^^^^^
hint: hint";
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn loading_resolves_against_the_folder_of_the_file() {
    let folder = std::env::temp_dir().join(format!("linchpin-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("linchpin.yaml");
    let missing = Config::load(&file).unwrap_err().to_string();
    assert!(missing.contains("hint: name the file with `-c FILE`"), "{missing}");
    std::fs::write(&file, LEAST).unwrap();
    assert_eq!(Config::load(&file).unwrap().lake.as_folder(), Some(&*folder.join("data/lake")));
    std::fs::write(&file, b"name: \xff").unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("save it as UTF-8"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn secrets_are_never_formatted() {
    let file = std::env::temp_dir().join(format!("linchpin-secret-{}", std::process::id()));
    std::fs::write(&file, "hunter2\n").unwrap();
    let text = format!(
        "{LEAST}outputs: [{{ name: a, to: {{ splunk_hec: {{ url: \"https://example.com\", token: {{ file: {} }} }} }} }}]\n",
        file.display()
    );
    let config = Config::parse("linchpin.yaml", &text).unwrap();
    let OutputTo::SplunkHec(hec) = &config.outputs[0].to else { panic!("splunk") };
    let secret = hec.token.resolve().unwrap();
    assert_eq!(secret.expose(), "hunter2");
    let shown = format!("{config:?} {config:#?} {secret:?} {:?}", Some(&secret));
    assert!(shown.contains("Secret(***)") && !shown.contains("hunter2"), "{shown}");

    std::fs::write(&file, "\n").unwrap();
    assert!(matches!(hec.token.resolve(), Err(SecretError::Empty(_))));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(hec.token.resolve(), Err(SecretError::Unreadable { .. })));
    let unset = text.replace(&format!("{{ file: {} }}", file.display()), "{ env: LINCHPIN_NEVER_SET }");
    let config = Config::parse("linchpin.yaml", &unset).unwrap();
    let OutputTo::SplunkHec(hec) = &config.outputs[0].to else { panic!("splunk") };
    assert!(matches!(hec.token.resolve(), Err(SecretError::Unset(name)) if name == "LINCHPIN_NEVER_SET"));
}

#[test]
fn quantities_print_in_their_largest_unit() {
    let cases = [
        (0, "0ms"),
        (1, "1ms"),
        (15_000, "15s"),
        (5_400_000, "90m"),
        (604_800_000, "1w"),
        (31_536_000_000, "1y"),
    ];
    for (ms, text) in cases {
        assert_eq!(DurationText(Duration::from_millis(ms)).to_string(), text);
    }
    assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
    assert_eq!(ByteSize(1000).to_string(), "1000B");
}

#[test]
fn nearest_name() {
    let known = ["feeds", "lake", "retention", "from"];
    for (typed, expected) in [
        ("fedes", Some("feeds")),
        ("Retention", Some("retention")),
        ("form", Some("from")),
        ("zz", None),
        ("archive", None),
    ] {
        assert_eq!(nearest(typed, known), expected, "{typed}");
    }
}

#[test]
fn long_lines_are_cropped_and_control_characters_blanked() {
    let text = format!("{}\u{1b}[31mfault{}", "x".repeat(300), "y".repeat(300));
    let shown = SourceText::new("f", &text)
        .diagnostic(Span { line: 1, column: 306 }, "fault", "bad", None)
        .to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].chars().count() <= 164 && !shown.contains('\u{1b}'), "{shown}");
    let underlined = lines[2].find("^^^^^").unwrap();
    assert_eq!(&lines[1][underlined..underlined + 5], "fault");
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_unknown_keys() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for example in [FULL, LEAST] {
        let mut value: Value = parse("example.yaml", example).unwrap();
        assert_eq!(mismatch(&schema, &schema, &value), None);
        value["feeds"][0]["colour"] = Value::from("blue");
        assert_eq!(mismatch(&schema, &schema, &value).as_deref(), Some("colour"));
    }
    let limits = Value::from("a lot");
    assert!(mismatch(&schema, &schema["properties"]["limits"], &limits).is_some());
    let described =
        schema["$defs"].as_object().unwrap().iter().filter(|(_, s)| s.get("description").is_none());
    assert_eq!(described.map(|(name, _)| name).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The first thing in `value` that `schema` refuses: the few keywords that the schema uses, no more.
fn mismatch(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return mismatch(root, root.pointer(reference.trim_start_matches('#')).expect(reference), value);
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[keyword].as_array() {
            let faults: Vec<_> = choices.iter().filter_map(|choice| mismatch(root, choice, value)).collect();
            // The last choice fits `null` where a key is optional: the first one says more.
            return if faults.len() < choices.len() { None } else { faults.into_iter().next() };
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let typed = match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(many) => many.iter().any(|one| one == kind),
        _ => true,
    };
    let listed = schema["enum"].as_array().is_none_or(|all| all.contains(value))
        && schema.get("const").is_none_or(|only| only == value);
    if !typed || !listed {
        return Some(value.to_string());
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| mismatch(root, &schema["items"], item));
    }
    let object = value.as_object()?;
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|key| !object.contains_key(*key)) {
        return Some(missing.to_owned());
    }
    object.iter().find_map(|(key, inner)| {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(known), _) => mismatch(root, known, inner),
            (None, Value::Bool(false)) => Some(key.clone()),
            (None, Value::Null) => None,
            (None, others) => mismatch(root, others, inner),
        }
    })
}
