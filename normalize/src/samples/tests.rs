//! Small mappings and what samples of them become.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::Catalog;

/// A mapping of the name with these lines, which may have its classes.
fn mapping(name: &str, body: &str) -> (String, String) {
    let classes = "classes:\n  - class: base_event\n    set: { activity: Other, severity: Informational }\n    map: { time: t | unix_millis }\n";
    let classes = if body.contains("classes:") { "" } else { classes };
    let product = "product: { vendor_name: Test, name: Test }";
    (name.to_owned(), format!("source: {name}\nocsf: 1.8.0\n{product}\n{body}\n{classes}"))
}

fn normalizer(mappings: &[(&str, &str)]) -> Normalizer {
    let files: Vec<_> = mappings.iter().map(|(name, body)| mapping(name, body)).collect();
    let catalog = Catalog::new(files.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    Normalizer::new(Arc::new(catalog.unwrap_or_else(|e| panic!("{e}"))))
}

/// A sample that must have no fault.
#[track_caller]
fn sound(mappings: &[(&str, &str)], bytes: &str) -> Sample {
    let of = mappings.last().map(|(name, _)| Arc::from(*name));
    let sample = run(&mut normalizer(mappings), "folder/file.log", bytes.into(), of.as_ref());
    assert_eq!(sample.faults, [""; 0]);
    sample
}

fn unmapped(sample: &Sample) -> Vec<&Value> {
    sample.documents.iter().map(|document| &document["unmapped"]).collect()
}

#[test]
fn json_in_an_envelope_beside_lines() {
    let both = "recognise: { text: ['door *'], has: [door] }\nframing: { json_array: doors, lines: { fields: [what, door] } }";
    for (bytes, expected) in [
        (
            "{\"page\":1,\"doors\":[{\"door\":1},{\"door\":2}]}",
            vec![json!({ "door": 1 }), json!({ "door": 2 })],
        ),
        ("door 7\n", vec![json!({ "what": "door", "door": "7" })]),
    ] {
        let sample = sound(&[("acme.doors", both)], bytes);
        assert_eq!(unmapped(&sample), expected.iter().collect::<Vec<_>>(), "{bytes}");
    }
}

#[test]
fn an_envelope_that_only_its_source_knows_is_recognised() {
    let other = "recognise: { has: [key] }\nframing: { json_array: list }";
    let pages = "recognise: { has: [door] }\nframing: { json_array: value }";
    let page = "{\"@odata.context\":\"x\",\"value\":[{\"door\":1},{\"door\":2}],\"@odata.nextLink\":\"y\"}";
    let sample = sound(&[("acme.keys", other), ("acme.doors", pages)], page);
    assert_eq!((&*sample.source, sample.events), ("acme.doors", 2));
    // In the envelope of another source, it is not this source's page.
    let mut normalizer = normalizer(&[("acme.keys", other), ("acme.doors", pages)]);
    let sample = run(&mut normalizer, "f/f.log", b"{\"list\":[{\"door\":1}]}".to_vec(), None);
    assert_eq!((&*sample.source, sample.events), ("unknown", 1));
}

#[test]
fn entities_without_a_meaning_are_kept() {
    let xml = "recognise: { has: [m] }\nparse: { m: xml }";
    let event = json!({ "m": "<E><D a='&odd; &amp;'>1 &odd; 2 &lt 3 &gt; 4</D></E>" }).to_string();
    let sample = sound(&[("acme.xml", xml)], &event);
    let expected = json!({ "m": { "D": { "a": "&odd; &amp;", "value": "1 &odd; 2 &lt 3 > 4" } } });
    assert_eq!(unmapped(&sample), [&expected]);
}

#[test]
fn a_document_that_is_cut_gives_what_is_complete() {
    let xml = "recognise: { has: [m] }\nparse: { m: xml }";
    for (text, expected) in [
        ("<E><a>1</a><b x='2'>3</b><c>4", json!({ "a": "1", "b": { "x": "2", "value": "3" } })),
        ("<E><a>1</a></E>\n</Es>", json!({ "a": "1" })),
        ("<E><a>1</b></E>", json!("<E><a>1</b></E>")),
        ("<13>Jan 1 host: no document", json!("<13>Jan 1 host: no document")),
    ] {
        let sample = sound(&[("acme.xml", xml)], &json!({ "m": text }).to_string());
        assert_eq!(unmapped(&sample), [&json!({ "m": expected })], "{text}");
    }
}

#[test]
fn the_next_path_of_an_envelope_is_tried_when_the_first_is_not_known() {
    let agent = "recognise: { has: ['events[].agent'] }\ncarries: ['events[].message', 'events[]', message]";
    let inner = "recognise: { has: [winlog] }";
    let event = json!({ "events": [{ "agent": 1, "message": "A door was opened.", "winlog": { "id": 7 } }] });
    let sample = sound(&[("acme.agent", agent), ("acme.windows", inner)], &event.to_string());
    assert_eq!(sample.documents[0]["metadata"]["log_name"], "acme.windows");
    assert_eq!(sample.documents[0]["unmapped"]["winlog"], json!({ "id": 7 }));
}

#[test]
fn rows_know_what_their_documents_lack() {
    // The api has no operation, the endpoint nothing but a port.
    let calls = "recognise: { has: [t] }\nclasses:
  - class: api_activity
    set: { activity: Read, severity: High }
    map:
      time: t | unix_millis
      api.operation: op
      api.service.name: service
      actor.user.name: user
      src_endpoint.ip: ip | ip
      src_endpoint.port: port";
    for (event, class) in [
        (r#"{"t":1,"op":"o","user":"u","ip":"192.0.2.1"}"#, 6003),
        (r#"{"t":1,"service":"s","user":"u","ip":"192.0.2.1"}"#, 0),
        (r#"{"t":1,"op":"o","user":"u","port":1}"#, 0),
        (r#"{"t":1,"op":"o","ip":"192.0.2.1"}"#, 0),
    ] {
        let sample = sound(&[("acme.calls", calls)], event);
        assert_eq!(sample.documents[0]["class_uid"], class, "{event}");
        assert_eq!(sample.rejects.len(), usize::from(class == 0), "{event}");
    }
    let flows = "recognise: { has: [t] }\nclasses:
  - class: network_activity
    set: { activity: Traffic, severity: Informational, connection_info.direction: Unknown }
    map: { time: t | unix_millis, src_endpoint.port: port, dst_endpoint.ip: ip | ip, dst_endpoint.hostname: host }";
    for (event, class) in [
        (r#"{"t":1,"port":1,"host":"h"}"#, 4001),
        (r#"{"t":1,"port":1}"#, 0),
        (r#"{"t":1,"port":1,"ip":"?"}"#, 0),
    ] {
        assert_eq!(sound(&[("acme.flows", flows)], event).documents[0]["class_uid"], class, "{event}");
    }
}

#[test]
fn coverage_counts_what_the_rules_took() {
    let doors = "recognise: { has: [door] }\nparse: { note: kv }\nclasses:
  - class: authentication
    set: { activity: Logon, severity: Informational, service.name: door }
    map: { time: t | unix_millis, user.name: note.who, message: door }";
    let events = "{\"t\":1,\"door\":\"a\",\"note\":\"who=ann key=7\",\"left\":null,\"n\":[1,2]}\n{\"t\":2,\"door\":\"b\",\"x\":{}}\n";
    let covered = sound(&[("acme.doors", doors)], events).covered;
    assert_eq!((covered.fields, covered.consumed()), (6, 3));
    let unmapped: Vec<_> = covered.unmapped.iter().map(|(path, n)| (path.as_str(), *n)).collect();
    assert_eq!(unmapped, [("n[]", 2), ("note.key", 1)]);
    // The second event has no user, and is class 0.
    assert!(covered.recommended > covered.filled && covered.filled > 0, "{covered:?}");
    assert!(covered.lacking.contains("authentication.src_endpoint"), "{covered:?}");
    assert!(!covered.lacking.contains("authentication.message"), "{covered:?}");
}

#[test]
fn a_watched_source_has_an_inventory() {
    let doors = "recognise: { has: [door] }\nclasses:
  - class: authentication
    set: { severity: Informational, service.name: door }
    map:
      time: t | unix_millis
      user.name: who
      activity: { from: do, lookup: { in: Logon, out: Logoff }, else: Other }
      status: how";
    let catalog = Arc::clone(normalizer(&[("acme.doors", doors)]).catalog());
    let mut normalizer = Normalizer::watching(catalog);
    let mut take = |events: &str| {
        let sample = run(&mut normalizer, "f/f.log", events.into(), None);
        assert_eq!(sample.faults, [""; 0]);
        normalizer.seen().remove("acme.doors").unwrap()
    };
    let usual = "{\"t\":1,\"door\":\"a\",\"who\":\"ann\",\"do\":\"in\",\"how\":\"Success\"}\n".repeat(1000);
    let baseline = take(&usual);
    assert_eq!((baseline.events, baseline.fields["door"]["text"].events), (1000, 1000));
    assert!(baseline.values.is_empty());
    let same = take(&usual);
    assert_eq!(same.changes(&baseline), []);
    let odd = "{\"t\":1,\"door\":7,\"who\":\"bob\",\"do\":\"kick\",\"how\":\"Odd\",\"new\":{\"list\":[true,false]}}\n";
    let now = take(&format!("{usual}{}", odd.repeat(3)));
    let told: Vec<_> = now
        .changes(&baseline)
        .into_iter()
        .map(|c| format!("{:?} {} {} {} {}", c.what, c.path, c.is, c.seen.events, c.seen.example))
        .collect();
    // Values are sampled: of three events of a structure the first two are looked at.
    assert_eq!(
        told,
        [
            "Type door number 3 7",
            "Field new.list[] boolean 3 true",
            "Value activity_id kick 2 kick",
            "Value status_id Odd 2 Odd",
        ]
    );
    let plan = &Catalog::new([("m", mapping("acme.doors", doors).1.as_str())]).unwrap();
    let unknown: Vec<_> = now.changes(&now.known_to(&plan.plans()[0])).into_iter().map(|c| c.path).collect();
    assert_eq!(unknown, ["new.list[]", "activity_id", "status_id"]);
}
