#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests ask another validator"
)]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::*;

fn class(name: &str) -> &'static Class {
    schema().class(name).unwrap()
}

#[test]
fn counts_and_versions_are_those_of_the_release() {
    assert_eq!(schema().version(), "1.8.0");
    assert_eq!(schema().classes().count(), 83);
    assert_eq!(schema().objects.len(), 178);
    assert!(schema().class("iam").is_none(), "abstract");
    assert!(class("file_query").deprecated && !class("file_activity").deprecated);
    let login = schema().class_by_uid(3002).unwrap();
    assert_eq!((login.name, login.category_name), ("authentication", "Identity & Access Management"));
    assert_eq!(login.at_least_one, ["service", "dst_endpoint"]);
    assert_eq!(schema().class_by_uid(0).unwrap().category_name, "Uncategorized");
    assert!(schema().class_by_uid(9_999_999).is_none());
}

#[test]
fn attributes_carry_their_facts() {
    let login = class("authentication");
    let time = login.get("time").unwrap();
    assert_eq!((time.ty, time.requirement), (Type::Timestamp, Requirement::Required));
    let companion = login.get("time_dt").unwrap();
    assert_eq!((companion.ty, companion.profile), (Type::Datetime, Some("datetime")));
    assert_eq!(login.get("cloud").unwrap().profile, Some("cloud"));
    assert!(login.get("observables").unwrap().is_array);
    let endpoint = schema().object("network_endpoint").unwrap();
    assert_eq!(endpoint.observable, Some(20));
    assert_eq!(endpoint.get("ip").unwrap().observable, Some(2), "from its type");
    assert_eq!(endpoint.get("port").unwrap().observable, Some(11));
    assert_eq!(schema().observable_type(2), Some("IP Address"));
    assert_eq!(schema().observable_type(17), Some(""), "the schema gives no caption");
    assert_eq!(schema().observable_type(46), None, "the schema allows no such id");
    let method = schema().object("http_request").unwrap().get("http_method").unwrap();
    let known = method.enumeration.as_ref().unwrap();
    assert!(known.values.is_empty() && known.names.iter().any(|&(name, _)| name == "GET"));
    assert!(schema().object("object").unwrap().is_free_form());
}

/// Every name that one fact uses for another leads somewhere.
#[test]
fn references_hold() {
    let records = schema()
        .classes()
        .map(|class| &class.attributes)
        .chain(schema().objects.values().map(|object| &object.attributes));
    for attribute in records.flat_map(Attributes::iter) {
        assert_eq!(attribute.ty == Type::Object, attribute.object.is_some(), "{}", attribute.name);
        assert_eq!(attribute.object.is_some(), schema().object_of(attribute).is_some());
        if let Some(known) = &attribute.enumeration {
            assert!(known.values.is_sorted() && known.values.is_empty() != known.names.is_empty());
        }
    }
    for class in schema().classes() {
        for path in class.at_least_one.iter().chain(&class.just_one) {
            // The one slip of the release: the attribute is called `file`.
            let slip = (class.uid, *path) == (1008, "log_file");
            let unknown = resolve(schema(), class, path)
                .is_err_and(|error| matches!(error.reason, ResolveReason::Unknown { .. }));
            assert_eq!(unknown, slip, "{} {path}", class.name);
        }
        let activity = class.enum_target("activity").unwrap();
        let types = class.get("type_uid").unwrap().enumeration.as_ref().unwrap();
        for &(id, _) in &activity.id.enumeration.as_ref().unwrap().values {
            assert!(types.get_by_value(class.type_uid(id)).is_some(), "{} {id}", class.name);
        }
    }
}

#[test]
fn enum_pairs_are_found_by_short_name() {
    let login = class("authentication");
    let names = |name| login.enum_target(name).map(|pair| (pair.id.name, pair.caption.name));
    assert_eq!(names("activity"), Some(("activity_id", "activity_name")));
    assert_eq!(names("activity_name"), Some(("activity_id", "activity_name")));
    assert_eq!(names("status"), Some(("status_id", "status")));
    assert_eq!(names("user"), None);
    assert_eq!(names("type"), None, "`type_uid` follows from class and activity");
    let known = login.enum_target("activity").unwrap().id.enumeration.as_ref().unwrap();
    assert_eq!(known.get_by_caption("Logoff"), Some(2));
    assert_eq!(known.get_by_caption("logoff"), None);
    assert_eq!(known.get_by_value(1), Some("Logon"));
    assert_eq!(known.values.first(), Some(&(0, "Unknown")));
    let connection = schema().object("network_connection_info").unwrap();
    assert_eq!(connection.attributes.enum_target("direction").unwrap().id.name, "direction_id");
}

#[test]
fn paths_resolve_or_say_where_they_fail() {
    let names = |name, path| {
        let found = resolve(schema(), class(name), path);
        found.map(|found| found.iter().map(|attribute| attribute.name).collect::<Vec<_>>())
    };
    assert_eq!(names("authentication", "actor.user.uid").unwrap(), ["actor", "user", "uid"]);
    assert_eq!(names("api_activity", "resources[].uid").unwrap(), ["resources", "uid"]);
    assert_eq!(names("authentication", "metadata.labels[]").unwrap(), ["metadata", "labels"]);
    let cases = [
        ("actor.usr.uid", 6, "`actor` has no attribute `usr`; hint: write `user`"),
        ("src_endpiont.ip", 0, "`api_activity` has no attribute `src_endpiont`; hint: write `src_endpoint`"),
        ("resources.uid", 0, "`resources` is an array; hint: write `resources[]`"),
        ("actor.user[].uid", 6, "`user` is not an array; hint: write `user`"),
        ("time.seconds", 5, "`time` is a timestamp_t and has no attributes"),
        ("unmapped.key", 9, "`unmapped` is free-form, a path cannot name a part of it"),
        ("actor..uid", 6, "`actor` has no attribute ``"),
        ("", 0, "`api_activity` has no attribute ``"),
    ];
    for (path, offset, message) in cases {
        let error = resolve(schema(), class("api_activity"), path).unwrap_err();
        assert_eq!((error.offset, error.to_string().as_str()), (offset, message), "{path}");
    }
}

fn login() -> Value {
    json!({
        "class_uid": 3002, "class_name": "Authentication", "category_uid": 3,
        "activity_id": 1, "activity_name": "Logon", "type_uid": 300_201,
        "severity_id": 1, "severity": "Informational", "status_id": 2, "status": "Failure",
        "time": 1_767_225_600_000_i64, "is_mfa": true,
        "metadata": {"version": "1.8.0", "profiles": ["cloud"], "product": {"name": "Sign-in"}},
        "cloud": {"provider": "AWS", "account": {"uid": "111122223333"}},
        "user": {"name": "ada", "uid": "u-1", "groups": [{"name": "staff"}]},
        "dst_endpoint": {"ip": "2001:db8::1", "port": 443},
        "src_endpoint": {"ip": "192.0.2.7", "location": {"lat": 1, "city": "Zurich"}},
        "http_request": {"http_method": "POST"},
        "observables": [{"name": "src_endpoint.ip", "type_id": 2, "value": "192.0.2.7"}],
        "unmapped": {"any": [1, null]}
    })
}

/// One change of the valid event, and what it breaks: rules with their places.
struct Case(&'static str, Option<Value>, &'static [(&'static str, &'static str)]);

const ENUM: &str = "value outside the enum";
const MISSING: &str = "missing required";
const TIME: &str = "timestamp is not plausible epoch milliseconds";
const TYPE_UID: &str = "type_uid is not class_uid*100+activity_id";

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let set = |at, value, broken| Case(at, Some(value), broken);
    let cut = |at, broken| Case(at, None, broken);
    vec![
        set("/class_uid", json!(77), &[("unknown class_uid", "77")]),
        cut("/class_uid", &[("unknown class_uid", "null")]),
        set("/type_uid", json!(300_202), &[(TYPE_UID, "authentication")]),
        set("/activity_id", json!(1.5), &[("not an integer", "authentication.activity_id")]),
        set(
            "/activity_id",
            json!(42),
            &[(TYPE_UID, "authentication"), (ENUM, "authentication.activity_id=42")],
        ),
        set(
            "/category_uid",
            json!(4),
            &[("wrong category_uid", "authentication"), (ENUM, "authentication.category_uid=4")],
        ),
        set(
            "/status",
            json!("Success"),
            &[("caption differs from the enum's", "authentication.status=\"Success\" for 2")],
        ),
        set("/status", json!(7), &[("not a string", "authentication.status")]),
        set("/status_id", json!(99), &[]),
        set("/status_id", json!(7), &[(ENUM, "authentication.status_id=7")]),
        set(
            "/severity",
            json!("low"),
            &[("caption differs from the enum's", "authentication.severity=\"low\" for 1")],
        ),
        cut("/severity_id", &[(MISSING, "authentication.severity_id")]),
        set("/colour", json!("red"), &[("unknown attribute", "authentication.colour")]),
        set("/user/colour", json!(1), &[("unknown attribute", "authentication.user.colour")]),
        cut("/time", &[(MISSING, "authentication.time")]),
        set("/time", json!(1_767_225_600), &[]),
        set("/time", json!(0), &[(TIME, "authentication.time=0")]),
        set("/time", json!(-5), &[(TIME, "authentication.time=-5")]),
        set("/time", json!(4_102_444_800_000_i64), &[(TIME, "authentication.time=4102444800000")]),
        set("/time", json!(u64::MAX), &[(TIME, "authentication.time=18446744073709551615")]),
        set("/time", json!("2026-01-01T00:00:00Z"), &[("not an integer", "authentication.time")]),
        set("/time", json!(true), &[("not an integer", "authentication.time")]),
        set(
            "/time_dt",
            json!("2026-01-01T00:00:00Z"),
            &[("attribute of profile datetime without metadata.profiles", "authentication.time_dt")],
        ),
        set(
            "/metadata/logged_time_dt",
            json!("2026-01-01T00:00:00Z"),
            &[(
                "attribute of profile datetime without metadata.profiles",
                "authentication.metadata.logged_time_dt",
            )],
        ),
        set("/metadata/profiles", json!(["cloud", "datetime"]), &[]),
        set(
            "/metadata/profiles",
            json!([]),
            &[("attribute of profile cloud without metadata.profiles", "authentication.cloud")],
        ),
        set("/metadata/profiles", json!(["cloud", "host"]), &[]),
        set(
            "/metadata/profiles",
            json!("cloud"),
            &[
                ("not an array", "authentication.metadata.profiles"),
                ("attribute of profile cloud without metadata.profiles", "authentication.cloud"),
            ],
        ),
        cut("/metadata/product", &[(MISSING, "authentication.metadata.product")]),
        cut(
            "/metadata/profiles",
            &[("attribute of profile cloud without metadata.profiles", "authentication.cloud")],
        ),
        cut("/cloud", &[(MISSING, "authentication.cloud")]),
        cut("/cloud/provider", &[(MISSING, "authentication.cloud.provider")]),
        set(
            "/action_id",
            json!(1),
            &[(
                "attribute of profile security_control without metadata.profiles",
                "authentication.action_id",
            )],
        ),
        set("/is_mfa", json!("Yes"), &[("not a boolean", "authentication.is_mfa")]),
        set("/is_mfa", Value::Null, &[("null value", "authentication.is_mfa")]),
        set("/user", json!("ada"), &[("not an object", "authentication.user")]),
        set("/user", json!({"type": "x"}), &[("at_least_one not met", "authentication.user: ")]),
        set("/user/groups", json!({"name": "staff"}), &[("not an array", "authentication.user.groups")]),
        set(
            "/user/groups",
            json!([{"name": 5}, null]),
            &[
                ("not a string", "authentication.user.groups[].name"),
                ("null value", "authentication.user.groups[]"),
            ],
        ),
        cut("/dst_endpoint", &[("at_least_one not met", "authentication: service, dst_endpoint")]),
        set("/dst_endpoint/port", json!(65_535), &[]),
        set(
            "/dst_endpoint/port",
            json!(65_536),
            &[("port out of range", "authentication.dst_endpoint.port=65536")],
        ),
        set("/dst_endpoint/port", json!("443"), &[("not an integer", "authentication.dst_endpoint.port")]),
        set(
            "/src_endpoint/ip",
            json!("192.0.2.256"),
            &[("not an IP address", "authentication.src_endpoint.ip=192.0.2.256")],
        ),
        set(
            "/src_endpoint/ip",
            json!("192.0.2.07"),
            &[("not an IP address", "authentication.src_endpoint.ip=192.0.2.07")],
        ),
        set(
            "/src_endpoint/ip",
            json!("192.0.2.7%eth0"),
            &[("not an IP address", "authentication.src_endpoint.ip=192.0.2.7%eth0")],
        ),
        set("/src_endpoint/ip", json!("fe80::1%eth0"), &[]),
        set("/src_endpoint/ip", json!("::ffff:192.0.2.7"), &[]),
        set(
            "/src_endpoint/ip",
            json!("console.example.com"),
            &[("not an IP address", "authentication.src_endpoint.ip=console.example.com")],
        ),
        set(
            "/src_endpoint/location/lat",
            json!("47.4"),
            &[("not a number", "authentication.src_endpoint.location.lat")],
        ),
        set("/http_request/http_method", json!("BREW"), &[]),
        set("/observables/0/type_id", json!(4321), &[(ENUM, "authentication.observables[].type_id=4321")]),
        set("/observables", json!([7]), &[("not an object", "authentication.observables[]")]),
        set("/unmapped", json!({}), &[]),
        set("/unmapped", json!("text"), &[("not an object", "authentication.unmapped")]),
    ]
}

fn change(mut event: Value, at: &str, value: Option<&Value>) -> Value {
    let (parent, key) = at.rsplit_once('/').unwrap();
    match (event.pointer_mut(parent).unwrap(), value) {
        (Value::Object(record), Some(value)) => drop(record.insert(key.to_owned(), value.clone())),
        (Value::Object(record), None) => drop(record.remove(key).unwrap()),
        (parent, _) => unreachable!("{parent} is no record"),
    }
    event
}

fn sorted(event: &Value) -> Vec<(String, String)> {
    let mut found: Vec<_> = validate(event).into_iter().map(|v| (v.kind.into_owned(), v.path)).collect();
    found.sort();
    found
}

#[test]
fn each_change_breaks_the_expected_rules_and_no_other() {
    assert_eq!(sorted(&login()), []);
    for Case(at, value, broken) in cases() {
        let found = sorted(&change(login(), at, value.as_ref()));
        let mut broken = broken.to_vec();
        broken.sort_unstable();
        let same = found.len() == broken.len()
            && found.iter().zip(&broken).all(|(found, broken)| {
                // A path that ends in `: ` is followed by a list of attributes.
                found.0 == broken.0
                    && (found.1 == broken.1 || broken.1.ends_with(": ") && found.1.starts_with(broken.1))
            });
        assert!(same, "{at} = {value:?}: {found:?}, expected {broken:?}");
    }
}

#[test]
fn rules_of_other_classes_hold() {
    for (event, broken) in
        [(json!("text"), vec!["unknown class_uid"]), (json!({"class_uid": -1}), vec!["unknown class_uid"])]
    {
        assert_eq!(sorted(&event).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), broken);
    }
    let query = json!({"class_uid": 5007, "category_uid": 5});
    assert!(sorted(&query).contains(&("deprecated class".to_owned(), "file_query".to_owned())));
    let session = json!({"class_uid": 3003, "category_uid": 3, "privileges": ["x"], "group": {"name": "g"}});
    let broken = ("just_one not met".to_owned(), "authorize_session: privileges, group".to_owned());
    assert!(sorted(&session).contains(&broken));
    assert!(!sorted(&change(session, "/group", None)).contains(&broken));
    let dotted = |device: Value| {
        let event = json!({"class_uid": 5004, "category_uid": 5, "device": device});
        sorted(&event)
            .iter()
            .any(|(kind, path)| kind == "at_least_one not met" && path.contains("os.sp_name"))
    };
    assert!(dotted(json!({"os": {"name": "x"}})) && !dotted(json!({"os": {"sp_name": "x"}})));
    let companion = change(
        change(login(), "/metadata/profiles", Some(&json!(["cloud", "datetime"]))),
        "/time_dt",
        Some(&json!(5)),
    );
    assert_eq!(sorted(&companion), [("not a string".to_owned(), "authentication.time_dt".to_owned())]);
}

/// Prints, for every event (a line of JSON), its violations as a list of pairs.
const ORACLE: &str = "
import json, sys
sys.path.insert(0, sys.argv[1] + '/tools')
from ocsf_validate import Validator
validator = Validator(json.load(open(sys.argv[1] + '/ocsf/compiled.json')))
for line in sys.stdin:
    print(json.dumps([list(found) for found in validator.event(json.loads(line))]))
";

/// A second implementation of the rules, where one is at hand, agrees on every changed event.
#[test]
fn agrees_with_the_reference_validator() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if !shared.join("tools/ocsf_validate.py").exists() {
        return;
    }
    let mut events = vec![login()];
    events.extend(cases().iter().map(|Case(at, value, _)| change(login(), at, value.as_ref())));
    // One bare event of every class but the one with a dotted constraint, which the other
    // validator takes for a name.
    events.extend(schema().classes().filter(|class| !class.at_least_one.iter().any(|n| n.contains('.'))).map(
        |class| json!({"class_uid": class.uid, "category_uid": class.category_uid, "activity_id": 1, "time": 1}),
    ));

    let mut child = Command::new("python3")
        .args(["-c", ORACLE])
        .arg(&shared)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.join("\n").as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());

    let place = |path: &str| path.split(['=', ':']).next().unwrap().replace("None", "null");
    let theirs: Vec<Vec<(String, String)>> = output
        .stdout
        .split(|&b| b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(theirs.len(), events.len());
    for (event, theirs) in events.iter().zip(theirs) {
        let places = |found: Vec<(String, String)>| {
            let mut found: Vec<_> = found.into_iter().map(|(kind, path)| (kind, place(&path))).collect();
            found.sort();
            found
        };
        assert_eq!(places(sorted(event)), places(theirs), "{event}");
    }
}
