//! Documents in older versions.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read the goldens")]

use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::schema::{schema, validate_as, version};

fn older(name: &str) -> &'static Schema {
    version(name).unwrap()
}

fn conformed(version: &str, document: &Value) -> (Value, Vec<String>) {
    let mut document = document.clone();
    let lost = conform(older(version), &mut document);
    (document, lost)
}

#[test]
fn what_a_version_lacks_moves_and_is_named() {
    let login = json!({
        "activity_id": 1, "activity_name": "Logon", "category_uid": 3, "category_name": "Identity & Access Management",
        "class_uid": 3002, "class_name": "Authentication", "type_uid": 300_201, "severity_id": 1, "severity": "Informational",
        "time": 1_769_853_600_000_i64, "service": { "name": "signin" },
        "user": { "name": "ann", "uid": "1", "has_mfa": true, "type_id": 4, "type": "Service" },
        "metadata": { "version": "1.8.0", "product": { "name": "P", "vendor_name": "V" }, "uid": "7", "profiles": ["cloud", "osint"] },
        "cloud": { "provider": "AWS" }, "osint": [{ "type_id": 1, "value": "192.0.2.7" }],
        "unmapped": { "a": 1 },
    });
    assert_eq!(validate_as(schema(), &login), []);
    let (same, lost) = conformed("1.8", &login);
    assert_eq!((same["metadata"]["version"].as_str(), lost), (Some("1.8.0"), vec![]));
    let (document, lost) = conformed("1.1", &login);
    assert_eq!(validate_as(older("1.1"), &document), []);
    let named = [
        "profile osint",
        "authentication.osint",
        "authentication.user.has_mfa",
        "authentication.user.type_id=4",
    ];
    assert_eq!(lost.iter().collect::<BTreeSet<_>>(), named.map(str::to_owned).iter().collect());
    assert_eq!(document["metadata"]["version"], "1.1.0");
    assert_eq!((&document["user"]["type_id"], &document["user"]["type"]), (&json!(99), &json!("Service")));
    assert_eq!(document["unmapped"]["a"], 1);
    assert_eq!(document["unmapped"]["user.has_mfa"], true);
    assert_eq!(document["unmapped"]["osint"], login["osint"]);
}

#[test]
fn a_class_that_a_version_lacks_is_a_base_event() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("sources/aws_cloudtrail/tests/api_calls.expected.json"),
    );
    let golden: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let mut call = golden["events"][0].clone();
    call["class_uid"] = json!(6999);
    call["class_name"] = json!("Far Future");
    let (document, lost) = conformed("1.3", &call);
    assert_eq!(validate_as(older("1.3"), &document), []);
    assert_eq!((&document["class_uid"], &document["type_uid"]), (&json!(0), &json!(99)));
    assert!(lost.contains(&"class 6999 (Far Future)".to_owned()), "{lost:?}");
    assert_eq!(document["unmapped"]["actor"], call["actor"]);
}

#[test]
fn every_golden_is_valid_in_every_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sources");
    let (mut documents, mut kept) = (0_u32, 0_u32);
    for folder in fs::read_dir(root).unwrap() {
        let Ok(files) = fs::read_dir(folder.unwrap().path().join("tests")) else { continue };
        for file in
            files.map(|f| f.unwrap().path()).filter(|f| f.to_string_lossy().ends_with(".expected.json"))
        {
            let golden: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            for document in golden["events"].as_array().unwrap() {
                let original = document;
                for version in ["1.1", "1.3", "1.8"] {
                    let (document, lost) = conformed(version, original);
                    kept += u32::from(document["class_uid"] == original["class_uid"]);
                    if version == "1.8" {
                        assert_eq!((&document, &lost), (original, &Vec::new()), "{}", file.display());
                    }
                    let wrong = validate_as(older(version), &document);
                    assert_eq!(wrong, [], "{}: {version}: {lost:?}\n{document:#}", file.display());
                }
                documents += 1;
            }
        }
    }
    // Most classes are as old as the versions.
    assert!(documents > 100 && kept > documents * 3 * 9 / 10, "{kept} of 3 * {documents}");
}
