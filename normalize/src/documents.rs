//! Documents that are made from the mappings and their goldens: the list of sources, and the same
//! deeds in three clouds side by side. `UPDATE_GOLDENS=1` writes them anew.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read and write documents")]

use std::fmt::Write as _;
use std::{fs, path::Path};

use serde_json::Value;

use crate::Catalog;

/// Compares a document with what it should be, or writes it.
fn check(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&file, text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "docs/{name} is not current: run with UPDATE_GOLDENS=1");
}

#[test]
fn the_list_of_sources_is_current() {
    let catalog = Catalog::builtin().unwrap_or_else(|e| panic!("{e}"));
    let mut text = String::from(
        "# Sources\n\nWhat linchpin normalises without a line of configuration: each object and event is \
         recognised by its path and content. This list is made from the mappings in `normalize/sources`; \
         [mappings.md](mappings.md) says how to write one.\n\n\
         | Source | What it is | OCSF classes |\n|---|---|---|\n",
    );
    let mut plans: Vec<_> = catalog.plans().iter().collect();
    plans.sort_by_key(|plan| plan.name.clone());
    for plan in plans {
        let mut classes: Vec<_> = plan.classes.iter().map(|c| (c.class.uid, c.class.caption)).collect();
        classes.sort_unstable();
        classes.dedup();
        let classes: Vec<_> = classes.iter().map(|(uid, caption)| format!("{caption} {uid}")).collect();
        writeln!(text, "| `{}` | {} | {} |", plan.name, plan.title, classes.join(", ")).unwrap();
    }
    check("sources.md", &text);
}

/// The same deed in several clouds.
struct Deed {
    title: &'static str,
    /// Attributes that must be equal in all clouds.
    alike: &'static [&'static str],
    /// Attributes that say who, where and what; each cloud has its own values.
    shown: &'static [&'static str],
    /// Cloud, golden, and what picks the event in it.
    events: &'static [(&'static str, &'static str, Picks)],
}

/// Paths and the values that an event must have there.
type Picks = &'static [(&'static str, &'static str)];

const LOGIN: Picks = &[("class_name", "Authentication"), ("activity_name", "Logon"), ("status", "Success")];
const DENIED: Picks = &[("class_name", "API Activity"), ("activity_name", "Delete"), ("status", "Failure")];
const FLOW: Picks = &[("class_name", "Network Activity"), ("activity_name", "Traffic")];

const DEEDS: &[Deed] = &[
    Deed {
        title: "A person signs in",
        alike: &["class_name", "activity_name", "status", "severity"],
        shown: &["user.name", "src_endpoint.ip", "cloud.provider", "cloud.account.uid", "is_mfa"],
        events: &[
            ("AWS", "aws_cloudtrail/tests/sign_ins", LOGIN),
            ("Azure", "azure_signin/tests/interactive", LOGIN),
            ("GCP", "gcp_audit/tests/workspace", LOGIN),
        ],
    },
    Deed {
        title: "A workload takes on an identity",
        alike: &["class_name", "activity_name", "status", "severity"],
        shown: &["user.name", "user.type", "src_endpoint.ip", "cloud.provider", "cloud.account.uid"],
        events: &[
            (
                "AWS",
                "aws_cloudtrail/tests/sign_ins",
                &[("api.operation", "AssumeRole"), ("status", "Success")],
            ),
            ("Azure", "azure_signin/tests/workloads", LOGIN),
            ("GCP", "gcp_audit/tests/iam", LOGIN),
        ],
    },
    Deed {
        title: "A call is denied",
        alike: &["class_name", "activity_name", "status"],
        shown: &[
            "severity",
            "actor.user.name",
            "api.operation",
            "api.service.name",
            "status_code",
            "src_endpoint.ip",
            "cloud.provider",
            "cloud.account.uid",
        ],
        events: &[
            ("AWS", "aws_cloudtrail/tests/api_calls", DENIED),
            ("Azure", "azure_activity/tests/blob", DENIED),
            ("GCP", "gcp_audit/tests/odd", DENIED),
        ],
    },
    Deed {
        title: "A flow is let through",
        alike: &["class_name", "activity_name", "action", "severity"],
        shown: &[
            "src_endpoint.ip",
            "src_endpoint.port",
            "dst_endpoint.ip",
            "dst_endpoint.port",
            "connection_info.protocol_name",
            "connection_info.direction",
            "traffic.bytes",
            "cloud.provider",
            "cloud.account.uid",
        ],
        events: &[
            ("AWS", "aws_vpc_flow/tests/default_header", FLOW),
            ("Azure", "azure_vnet_flow/tests/records", FLOW),
            ("GCP", "gcp_vpc_flow/tests/flows", FLOW),
        ],
    },
];

/// The value at a path, as text; a dash where there is none.
fn at(event: &Value, path: &str) -> String {
    match path.split('.').try_fold(event, |value, step| value.get(step)) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "–".to_owned(),
    }
}

fn picked(golden: &str, by: &[(&str, &str)]) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sources").join(format!("{golden}.expected.json"));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let golden: Value = serde_json::from_str(&text).unwrap();
    let mut events = golden["events"].as_array().unwrap().iter();
    let found = events.find(|event| by.iter().all(|(path, value)| at(event, path) == *value));
    found.unwrap_or_else(|| panic!("{}: no event with {by:?}", file.display())).clone()
}

#[test]
fn the_clouds_look_alike() {
    let mut text = String::from(
        "# One language for three clouds\n\nThe same deed, as each cloud logs it, in OCSF. The values come from \
         the mappings' own samples.\n",
    );
    for deed in DEEDS {
        let events: Vec<_> = deed.events.iter().map(|(_, golden, by)| picked(golden, by)).collect();
        let clouds: Vec<_> = deed.events.iter().map(|(cloud, ..)| *cloud).collect();
        let line = "---|".repeat(clouds.len());
        write!(text, "\n## {}\n\n| Attribute | {} |\n|---|{line}\n", deed.title, clouds.join(" | ")).unwrap();
        for path in deed.alike.iter().chain(deed.shown) {
            let values: Vec<_> = events.iter().map(|event| at(event, path)).collect();
            if deed.alike.contains(path) {
                assert!(values.iter().all(|v| *v == values[0]), "{}: `{path}` is {values:?}", deed.title);
            }
            writeln!(text, "| `{path}` | {} |", values.join(" | ")).unwrap();
        }
    }
    check("cross-cloud.md", &text);
}
