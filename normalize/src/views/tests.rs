//! Texts and what opening them gives, as tables; and a small mapping for every word.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use serde_json::{Value, json};

use crate::*;

/// A mapping around the lines that a test is about.
fn mapping(name: &str, body: &str) -> String {
    let classes = "
classes:
  - class: base_event
    set: { activity: Other, severity: Informational }
    map: { time: no_time | rfc3339 }
";
    let classes = if body.contains("classes:") { "" } else { classes };
    format!("source: {name}\nocsf: 1.8.0\nproduct: {{ vendor_name: Test, name: Test }}\n{body}\n{classes}")
}

fn unit(key: &str, bytes: &[u8]) -> RawUnit {
    RawUnit {
        id: UnitId { object: "mem://unit".into(), start: 0, end: bytes.len() as u64 },
        feed: "tests".into(),
        key: key.into(),
        source: None,
        bytes: bytes.to_vec().into(),
        carry: Carry::default(),
        received_ms: 1_770_000_000_000,
        delivered: Delivered::default(),
        gaps: Vec::new(),
    }
}

/// The documents of a unit under mappings of these names and bodies.
pub(super) fn documents(mappings: &[(&str, &str)], bytes: &[u8]) -> Vec<Value> {
    let files: Vec<(&str, String)> =
        mappings.iter().map(|(name, body)| (*name, mapping(name, body))).collect();
    let catalog = Catalog::new(files.iter().map(|(name, text)| (*name, text.as_str())));
    let mut normalizer = Normalizer::new(Arc::new(catalog.unwrap_or_else(|e| panic!("{e}"))));
    let unit = unit("unit", bytes);
    let mut pass = normalizer.begin(&unit);
    let facts = normalizer.facts(&pass);
    let replay = ReplayUnit {
        key: unit.id.key(),
        source: &facts.source,
        context: &facts.context,
        received_ms: unit.received_ms,
    };
    let mut documents = Vec::new();
    while let Some(normalized) = normalizer.batch(&unit, &mut pass) {
        let rows = normalized.batch.rows.num_rows();
        let before = documents.len();
        for event in &normalized.batch.events {
            let bytes = &unit.bytes[event.start as usize..event.end as usize];
            documents.extend(normalizer.render(&replay, event.start, bytes));
        }
        assert_eq!(documents.len() - before, rows);
        let events = normalized.batch.events.iter();
        let bytes = |e: &Event| &unit.bytes[e.start as usize..e.end as usize];
        let again = normalizer.replay(&replay, events.map(|e| (e.start, bytes(e)))).unwrap();
        assert_eq!(again.batch.rows, normalized.batch.rows);
    }
    documents
}

/// What the events of a unit hold that no rule took: all of it, for a mapping without rules.
fn unmapped(body: &str, text: &str) -> Vec<Value> {
    documents(&[("test.source", body)], text.as_bytes())
        .into_iter()
        .map(|mut d| d["unmapped"].take())
        .collect()
}

const ANY_LINE: &str = "recognise: { text: ['*'] }\nframing: { lines: }\n";
const ANY_JSON: &str = "recognise: { has: [m] }\n";

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn formats_of_a_line() {
    for (format, text, expected) in [
        (
            "kv",
            r#"a=1 b="two \"2\"" c= word d='x "y" z' e=é"#,
            json!({"a": "1", "b": "two \"2\"", "words": ["word"], "d": "x \"y\" z", "e": "é"}),
        ),
        (
            "{ kv: { between: ';', equals: ':' } }",
            r#"action:"Drop"; flags:"4"; note::"a; b"; x:1]"#,
            json!({"action": "Drop", "flags": "4", "note": "a; b", "x": "1]"}),
        ),
        (
            "{ kv: { between: ', ', equals: ': ' } }",
            "Src IP: 192.0.2.1, User: No One, URL: http://x/?a: b",
            json!({"Src IP": "192.0.2.1", "User": "No One", "URL": "http://x/?a: b"}),
        ),
        (
            "{ kv: { loose: true } }",
            "msg=two words here user=ann http://x/?a=b n=1",
            json!({"msg": "two words here", "user": "ann http://x/?a=b", "n": "1"}),
        ),
        (
            "cef",
            r"<1>x CEF:0|A\|B|P|1.0|7|Name = x|5|src=192.0.2.1 msg=a \= b\nc path=C:\new request=https://x/?q=1 cs1Label=L",
            json!({"cef": "0", "vendor": "A|B", "product": "P", "version": "1.0", "id": "7", "name": "Name = x",
                "severity": "5", "src": "192.0.2.1", "msg": "a = b\nc", "path": r"C:\new",
                "request": "https://x/?q=1", "cs1Label": "L"}),
        ),
        (
            "leef",
            "LEEF:1.0|V|P|2|login|src=192.0.2.1\tmsg=a b\tusrName=ann",
            json!({"leef": "1.0", "vendor": "V", "product": "P", "version": "2", "id": "login",
                "src": "192.0.2.1", "msg": "a b", "usrName": "ann"}),
        ),
        (
            "leef",
            "LEEF:2.0|V|P|2|login|^|src=192.0.2.1^msg=a b",
            json!({"leef": "2.0", "vendor": "V", "product": "P", "version": "2", "id": "login",
                "src": "192.0.2.1", "msg": "a b"}),
        ),
        (
            "leef",
            "LEEF:2.0|V|P|2|login|x7C|src=192.0.2.1|msg=a b",
            json!({"leef": "2.0", "vendor": "V", "product": "P", "version": "2", "id": "login",
                "src": "192.0.2.1", "msg": "a b"}),
        ),
        ("query", "/a?x=1&y=a%20b+c&z&=1#f", json!({"x": "1", "y": "a b c"})),
        ("[base64, json]", "eyJhIjp7ImIiOlsxLG51bGwseyJjIjoieCJ9XX19", json!({"a": {"b": [1, {"c": "x"}]}})),
        ("base64", "aGk=", json!({"text": "hi"})),
        ("json", r#"{"a":{"b":[true,"\u00e9"]},"e":{}}"#, json!({"a": {"b": [true, "é"]}, "e": {}})),
        ("json", r#"{"a":1} x"#, json!(r#"{"a":1} x"#)),
        ("[json, kv]", "a=1", json!({"a": "1"})),
        (
            "{ split: comma, fields: { by: 2, T: [n, kind, a], U: T, else: [x, y] } }",
            "1,U,\"q, \"\"r\"\"\",more",
            json!({"n": "1", "kind": "U", "a": "q, \"r\"", "extra": ["more"]}),
        ),
        (
            "{ split: comma, fields: { by: 2, T: [n, kind, a], U: T, else: [x, y] } }",
            "1,Z",
            json!({"x": "1", "y": "Z"}),
        ),
    ] {
        let body = format!("{ANY_JSON}parse: {{ m: {format} }}");
        let event = json!({ "m": text }).to_string();
        assert_eq!(unmapped(&body, &event), [json!({ "m": expected })], "{format}: {text}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn syslog_headers() {
    for (text, expected) in [
        (
            "<34>1 2026-01-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{FEFF}'su root' failed",
            json!({"priority": "34", "facility": "4", "severity": "2", "time": "2026-01-11T22:14:15.003Z",
                "host": "mymachine.example.com", "app": "su", "msgid": "ID47", "message": "'su root' failed"}),
        ),
        (
            "83 <14>1 2026-01-11T22:14:15Z fw RT_UTM - WEB [junos@1.2 src=\"192.0.2.1\" q=\"a \\\"b\\]\"][x y=\"1\"] hi",
            json!({"priority": "14", "facility": "1", "severity": "6", "time": "2026-01-11T22:14:15Z", "host": "fw",
                "app": "RT_UTM", "msgid": "WEB", "sd": {"id": "x", "src": "192.0.2.1", "q": "a \"b]", "y": "1"}, "message": "hi"}),
        ),
        (
            "<134>1 2026-01-11T22:14:15Z gw CheckPoint 19 - [action:\"Drop\"; a:\"b=\\\"c\\\"\"]",
            json!({"priority": "134", "facility": "16", "severity": "6", "time": "2026-01-11T22:14:15Z", "host": "gw",
                "app": "CheckPoint", "pid": "19", "message": "[action:\"Drop\"; a:\"b=\\\"c\\\"\"]"}),
        ),
        (
            "Feb  9 21:19:41 precise32 sshd[8317]: subsystem request: sftp",
            json!({"time": "2025-02-09T21:19:41", "host": "precise32", "app": "sshd", "pid": "8317",
                "message": "subsystem request: sftp"}),
        ),
        (
            "Jan 31 21:19:41.5 h sudo: x",
            json!({"time": "2026-01-31T21:19:41.5", "host": "h", "app": "sudo", "message": "x"}),
        ),
        (
            "<165>Oct 04 2019 15:27:55: %ASA-5-106100: access-list x",
            json!({"priority": "165", "facility": "20", "severity": "5", "time": "2019-10-04T15:27:55",
                "message": "%ASA-5-106100: access-list x"}),
        ),
        (
            "Apr 15 2014 09:34:34 EDT: %ASA-5-1: x",
            json!({"time": "2014-04-15T09:34:34-04:00", "message": "%ASA-5-1: x"}),
        ),
        (
            "Apr 17 2020 14:08:08 SNL-ASA : %ASA-6-2: x",
            json!({"time": "2020-04-17T14:08:08", "host": "SNL-ASA", "message": "%ASA-6-2: x"}),
        ),
        (
            "May  5 2025 17:51:17 dev01: %FTD-6-3: x",
            json!({"time": "2025-05-05T17:51:17", "host": "dev01", "message": "%FTD-6-3: x"}),
        ),
        (
            "2019-08-26T23:11:03+02:00 siem-ftd  %FTD-1-4: a: b",
            json!({"time": "2019-08-26T23:11:03+02:00", "host": "siem-ftd", "message": "%FTD-1-4: a: b"}),
        ),
        (
            "Nov 30 2018 16:09:08 PA-220 1,2018/11/30 16:09:07,01,TRAFFIC",
            json!({"time": "2018-11-30T16:09:08", "host": "PA-220", "message": "1,2018/11/30 16:09:07,01,TRAFFIC"}),
        ),
        (
            "Nov 30 2018 16:09:08 1,2018/11/30 16:09:07,01,TRAFFIC",
            json!({"time": "2018-11-30T16:09:08", "message": "1,2018/11/30 16:09:07,01,TRAFFIC"}),
        ),
        (
            "<189>date=2026-01-01 time=11:37:47 devname=\"a\"",
            json!({"priority": "189", "facility": "23", "severity": "5", "message": "date=2026-01-01 time=11:37:47 devname=\"a\""}),
        ),
        (
            "Jan  1 2026 10:00:00 host CEF:0|V|P|1|1|n|1|",
            json!({"time": "2026-01-01T10:00:00", "host": "host", "message": "CEF:0|V|P|1|1|n|1|"}),
        ),
        (
            "*Mar  1 18:46:11: %SYS-5-CONFIG_I: x",
            json!({"time": "2025-03-01T18:46:11", "message": "%SYS-5-CONFIG_I: x"}),
        ),
        (
            "Oct 10 2025 07:25:12 h kernel: [1.5] IN=eth0",
            json!({"time": "2025-10-10T07:25:12", "host": "h", "app": "kernel", "message": "[1.5] IN=eth0"}),
        ),
        (
            "<13>message without a header",
            json!({"priority": "13", "facility": "1", "severity": "5",
            "message": "message without a header"}),
        ),
        (
            "<166>fw-1 %FTD-6-1: x",
            json!({"priority": "166", "facility": "20", "severity": "6", "host": "fw-1", "message": "%FTD-6-1: x"}),
        ),
        ("no header at all", json!("no header at all")),
        ("<999>x", json!("<999>x")),
    ] {
        let body = format!("{ANY_LINE}parse: {{ message: syslog }}");
        assert_eq!(unmapped(&body, text), [json!({ "message": expected })], "{text}");
    }
}

#[test]
fn windows_events_in_xml() {
    let text = "<Event xmlns='http://schemas.example.com/event'><System><Provider Name=\"A &amp; B\"/>\
        <EventID Qualifiers='0'>4624</EventID><TimeCreated SystemTime='2026-01-01T00:00:00Z'/></System>\
        <EventData><Data Name='User'>a&lt;b&#233;</Data><Data Name='Empty'></Data><Data>one</Data>\
        <Data>two</Data><Data Name=\"X\"><![CDATA[<&>]]></Data></EventData></Event>";
    let expected = json!({ "m": {
        "System": { "Provider": { "Name": "A & B" }, "EventID": { "Qualifiers": "0", "value": "4624" },
            "TimeCreated": { "SystemTime": "2026-01-01T00:00:00Z" } },
        "EventData": { "User": "a<bé", "Data": ["one", "two"], "X": "<&>" } } });
    let event = json!({ "m": text }).to_string();
    assert_eq!(unmapped(&format!("{ANY_JSON}parse: {{ m: xml }}"), &event), [expected]);
    let dangling = json!({ "m": "<E><D><Data Name='I'>&lt unknown&gt x</Data></D></E>" }).to_string();
    let found = unmapped(&format!("{ANY_JSON}parse: {{ m: xml }}"), &dangling);
    assert_eq!(found, [json!({ "m": { "D": { "I": "&lt unknown&gt x" } } })]);
    for broken in ["<a><b></a>", "<a>", "no", "<a></a></b>", ""] {
        let event = json!({ "m": broken, "n": 1 }).to_string();
        let found = &unmapped(&format!("{ANY_JSON}parse: {{ m: xml }}"), &event)[0];
        assert_eq!(found["m"], json!(broken));
    }
}

#[test]
fn formats_within_formats() {
    let inner = json!({ "msg": "k=1 q=\"a b\"", "list": [{ "t": "{\"x\":[1,2]}" }, { "t": "{\"x\":[3]}" }] });
    let event =
        json!({ "m": [{ "text": inner.to_string() }, { "text": "{}" }, { "text": "plain" }], "z": 1 });
    let body = format!("{ANY_JSON}parse:\n  m[].text: json\n  m[].text.msg: kv\n  m[].text.list[].t: json\n");
    assert_eq!(
        unmapped(&body, &event.to_string()),
        [json!({
            "m": [
                { "text": { "msg": { "k": "1", "q": "a b" }, "list": [{ "t": { "x": [1, 2] } }, { "t": { "x": [3] } }] } },
                { "text": {} },
                { "text": "plain" },
            ],
            "z": 1,
        })]
    );
}

#[test]
fn patterns_name_what_they_find() {
    let body = "recognise: { text: ['*'] }
framing: { lines: }
parse: { message: syslog }
patterns:
  message.message:
    failed: ['Failed {method} for invalid user {*user} from {ip:ip} port {port:int}', 'Failed {method} for {user:word} from {ip:ip} port {port:int}{? ssh2}']
    opened: 'session opened for user {user}'
classes:
  - class: authentication
    when: { pattern: [failed] }
    set: { activity: Logon, status: Failure, severity: Low, service.name: sshd }
    map: { time: message.time | rfc3339, user.name: message.message.user, src_endpoint.ip: message.message.ip, src_endpoint.port: message.message.port }
  - class: base_event
    set: { activity: Other, severity: Informational }
    map: { time: message.time | rfc3339, metadata.event_code: pattern }
";
    let text = "<38>Jan 10 10:00:00 h sshd[1]: Failed password for ann from 192.0.2.1 port 22 ssh2\n\
        <38>Jan 10 10:00:00 h sshd[1]: session opened for user ann\n<38>Jan 10 10:00:00 h sshd[1]: other\n";
    let found = documents(&[("test.sshd", body)], text.as_bytes());
    let short: Vec<Value> = found
        .iter()
        .map(|d| {
            json!([d["class_uid"], d["user"]["name"], d["src_endpoint"]["ip"], d["metadata"]["event_code"]])
        })
        .collect();
    assert_eq!(
        short,
        [
            json!([3002, "ann", "192.0.2.1", null]),
            json!([0, null, null, "opened"]),
            json!([0, null, null, null]),
        ]
    );
    assert_eq!(found[1]["unmapped"]["message"]["message"], json!({ "user": "ann" }));
    assert_eq!(found[2]["unmapped"]["message"]["message"], json!("other"));
}

#[test]
fn lines_of_every_kind() {
    for (framing, text, expected) in [
        (
            "{ split: quoted, fields: [type, time, request, agent], null: '-' }",
            "https [1/Jan] \"GET / HTTP\" \"-\" more \"and more\"\n",
            vec![
                json!({"type": "https", "time": "1/Jan", "request": "GET / HTTP", "extra": ["more", "and more"]}),
            ],
        ),
        (
            "{ split: comma, fields: header, known: [id, user, note] }",
            "id,user,note\n1,ann,\"a, \"\"b\"\"\"\n2,,x\n",
            vec![json!({"id": "1", "user": "ann", "note": "a, \"b\""}), json!({"id": "2", "note": "x"})],
        ),
        (
            "{ split: tab, fields: '#Fields:', known: [date, time, c-ip], null: '-' }",
            "#Version: 1.0\n#Fields: date time c-ip x-new\n2026-01-01\t10:00:00\t192.0.2.1\t-\n#Fields: date c-ip\n2026-01-02\t192.0.2.2\n",
            vec![
                json!({"date": "2026-01-01", "time": "10:00:00", "c-ip": "192.0.2.1"}),
                json!({"date": "2026-01-02", "c-ip": "192.0.2.2"}),
            ],
        ),
        (
            "{ split: tab, fields: '#fields', known: [ts, uid, id.orig_h], null: ['-', '(empty)'] }",
            "#separator \\x09\n#set_separator\t,\n#path\tconn\n#fields\tts\tuid\tid.orig_h\ttags\thosts\n#types\ttime\tstring\taddr\tset[string]\tvector[addr]\n1.5\tC1\t192.0.2.1\ta,b\t(empty)\n#close\t2026\n",
            vec![json!({"ts": "1.5", "uid": "C1", "id.orig_h": "192.0.2.1", "tags": ["a", "b"]})],
        ),
        (
            "{ begins: ['20*'] }",
            "2026 a\n  b\n\n  c\r\n2026 d\n",
            vec![json!({"message": "2026 a\n  b\n\n  c"}), json!({"message": "2026 d"})],
        ),
    ] {
        let recognise = if framing.contains("known") { "" } else { "recognise: { text: ['*'] }\n" };
        let body = format!("{recognise}framing: {{ lines: {framing} }}");
        assert_eq!(unmapped(&body, text), expected, "{framing}");
    }
}

#[test]
fn headers_can_be_asked_for_and_words_can_be_void() {
    let body = "null: ['-', 'N/A']
framing: { lines: { split: tab, fields: '#fields', known: [ts, uid] }, json: }
recognise: [{ has: [ts, uid] }, { text: ['never'] }]
classes:
  - class: base_event
    when: { header.path: ['con*'] }
    set: { activity: Other, severity: Informational, metadata.log_name: conn }
    map: { time: ts | unix_seconds, message: uid }
  - class: base_event
    set: { activity: Other, severity: Informational }
    map: { time: ts | unix_seconds, message: uid }
";
    let found =
        documents(&[("test.zeek", body)], b"#fields\tts\tuid\ta\n#path\tconn\n1.5\tN/A\t-\n2\tx\ty\n");
    assert_eq!(found[0]["metadata"]["log_name"], "conn");
    let header = json!({ "path": "conn" });
    assert_eq!((&found[0]["message"], &found[0]["unmapped"]), (&Value::Null, &json!({ "header": header })));
    assert_eq!(
        (&found[1]["message"], &found[1]["unmapped"]),
        (&json!("x"), &json!({ "a": "y", "header": header }))
    );
    let found = documents(&[("test.zeek", body)], br#"{"ts":1.5,"uid":"C1","b":"-","c":2}"#);
    assert_eq!((&found[0]["message"], &found[0]["unmapped"]), (&json!("C1"), &json!({ "c": 2 })));
    assert_eq!(found[0]["metadata"]["log_name"], "test.zeek");
}

#[test]
fn a_stream_of_lines_mixes_sources() {
    let one = "recognise: { text: ['one *'] }\nframing: { lines: }";
    let two =
        "recognise: [{ text: ['two *'] }, { text: ['zwei *'] }]\nframing: { lines: }\nparse: { message: kv }";
    let three = "recognise: { values: { v: ['3'], w: ['x*'] } }\nframing: { lines: { fields: [v, w, z] } }";
    let sources = [("test.one", one), ("test.two", two), ("test.three", three)];
    let found = documents(&sources, b"one a\nzwei a=1\n3 xy z\nnone\n");
    let names: Vec<&str> = found.iter().map(|d| d["metadata"]["log_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["test.one", "test.two", "test.three", "test.one"]);
    assert_eq!(found[1]["unmapped"], json!({ "message": { "a": "1", "words": ["zwei"] } }));
    assert_eq!(found[2]["unmapped"], json!({ "v": "3", "w": "xy", "z": "z" }));
}

#[test]
fn paths_have_aliases_and_any_case() {
    let body = "recognise: { any: [user, EventData] }
keys: any_case
aliases: { '': [EventData, win.data], props: [''] }
parse: { EventData: json }
classes:
  - class: authentication
    set: { activity: Logon, severity: Low, service.name: x }
    map:
      time: Time | rfc3339
      user.name: user
      user.uid: props.uid
      src_endpoint.ip: ip[]
      status_detail: win.data.only
";
    for (event, expected) in [
        (json!({"user": "a", "UID": "1", "time": "2026-01-01T00:00:00Z"}), json!(["a", "1", null, null])),
        (
            json!({"EventData": "{\"USER\":\"b\",\"ip\":[\"192.0.2.1\"]}"}),
            json!(["b", null, "192.0.2.1", null]),
        ),
        (
            json!({"user": "a", "win": {"data": {"User": "no", "only": "yes"}}}),
            json!(["a", null, null, "yes"]),
        ),
        (json!({"EventData": {"user": "no"}, "USER": "a"}), json!(["a", null, null, null])),
    ] {
        let found = &documents(&[("test.windows", body)], event.to_string().as_bytes())[0];
        let short = json!([
            found["user"]["name"],
            found["user"]["uid"],
            found["src_endpoint"]["ip"],
            found["status_detail"]
        ]);
        assert_eq!(short, expected, "{event}");
    }
}

const FLOW: &str = "recognise: { values: { version: ['2'], kind: [flow] } }
framing: { lines: { fields: [version, kind, ip] } }
classes:
  - class: network_activity
    set: { activity: Traffic, severity: Informational }
    map: { time: envelope.logEvents.timestamp | unix_millis, src_endpoint.ip: ip, dst_endpoint.ip: ip, message: envelope.logGroup }
";
const AUDIT: &str = "recognise: { has: [auditID], values: { envelope.owner: ['1*'] } }
classes:
  - class: base_event
    set: { activity: Other, severity: Low }
    map: { time: at | rfc3339, message: auditID }
";
const CLOUDWATCH: &str = "recognise: { has: [logGroup, logEvents] }
carries: ['logEvents[].message']
classes:
  - class: base_event
    set: { activity: Other, severity: Informational }
    map: { time: 'logEvents[].timestamp | unix_millis', message: 'logEvents[].message' }
";

fn short(documents: &[Value]) -> Vec<Value> {
    documents
        .iter()
        .map(|d| json!([d["metadata"]["log_name"], d["class_uid"], d["message"], d["time"], d["unmapped"]]))
        .collect()
}

#[test]
fn an_envelope_carries_events_of_other_sources() {
    let sources = [("a.cw", CLOUDWATCH), ("a.flow", FLOW), ("a.audit", AUDIT)];
    let event = |n: u64, message: &str| json!({ "id": n, "timestamp": n * 1000, "message": message });
    let audit = json!({ "auditID": "x\n", "at": "1970-01-01T00:00:09Z", "list": [1, 2] }).to_string();
    let envelope = json!({ "owner": "111122223333", "logGroup": "g", "logEvents": [
        event(1, "2 flow 192.0.2.1"), event(2, &audit), event(3, "who knows"), event(4, "2 flow 192.0.2.2\n"),
    ], "tail": null });
    let found = documents(&sources, envelope.to_string().as_bytes());
    let around = |n: u64| json!({ "owner": "111122223333", "logGroup": "g", "logEvents": { "id": n, "timestamp": n * 1000 } });
    let flow = |n: u64| json!({ "envelope": { "owner": "111122223333", "logEvents": { "id": n } } });
    let mut fallback = around(3);
    fallback["logEvents"] = json!([{ "id": 3 }]);
    assert_eq!(
        short(&found),
        [
            json!(["a.flow", 4001, "g", 1000, { "version": "2", "kind": "flow", "envelope": flow(1)["envelope"] }]),
            json!(["a.audit", 0, "x\n", 9000, { "list": [1, 2], "envelope": around(2) }]),
            json!(["a.cw", 0, "who knows", 3000, fallback]),
            json!(["a.flow", 4001, "g", 4000, { "version": "2", "kind": "flow", "envelope": flow(4)["envelope"] }]),
        ]
    );
    // Nothing carried: the envelope speaks for itself.
    let empty = json!({ "owner": "1", "logGroup": "g", "logEvents": [] }).to_string();
    assert_eq!(short(&documents(&sources, empty.as_bytes()))[0][0], "a.cw");
    // Envelopes one after the other, without a separator.
    let twice = format!("{envelope}{envelope}");
    assert_eq!(documents(&sources, twice.as_bytes()).len(), 8);
}

#[test]
fn objects_and_envelopes_are_carried() {
    let bus = "recognise: { has: [detail, detail-type] }\ncarries: ['detail.findings[]', detail]\n";
    let topic = "recognise: { has: [TopicArn, Message] }\ncarries: Message\n";
    let audit = AUDIT.replace(", values: { envelope.owner: ['1*'] }", "");
    let sources = [("a.bus", bus), ("a.topic", topic), ("a.audit", audit.as_str())];
    let names = |event: &Value| -> Vec<Value> {
        let found = documents(&sources, event.to_string().as_bytes());
        found.iter().map(|d| json!([d["metadata"]["log_name"], d["message"]])).collect()
    };
    let finding = |id: &str| json!({ "a": { "b": [{ "]": "}" }] }, "auditID": id });
    let one = json!({ "detail-type": "t", "detail": finding("1") });
    assert_eq!(names(&one), [json!(["a.audit", "1"])]);
    let many = json!({ "detail-type": "t", "detail": { "x": [], "findings": [finding("1"), { "other": 1 }, finding("2")] } });
    assert_eq!(names(&many), [json!(["a.audit", "1"]), json!(["a.bus", null]), json!(["a.audit", "2"])]);
    let other = json!({ "detail-type": "t", "detail": { "auditID": "3", "findings": [{ "other": 1 }] } });
    assert_eq!(names(&other), [json!(["a.audit", "3"])]);
    let nested = json!({ "TopicArn": "arn", "Message": many.to_string() });
    assert_eq!(names(&nested).len(), 3);
    let found = documents(&sources, nested.to_string().as_bytes());
    assert_eq!(
        found[0]["unmapped"]["envelope"],
        json!({ "detail-type": "t", "envelope": { "TopicArn": "arn" } })
    );
    // An envelope in itself ends.
    let mut deep = json!({ "TopicArn": "a", "Message": "x" });
    for _ in 0..9 {
        deep = json!({ "TopicArn": "a", "Message": deep.to_string() });
    }
    assert_eq!(names(&deep).len(), 1);
}

#[test]
fn syslog_is_an_envelope_of_lines() {
    let syslog = "recognise: { text: ['<*>*', 'Jan * *:*:* *'] }
framing: { lines: }
parse: { message: syslog }
aliases: { '': [message] }
carries: message.message
classes:
  - class: base_event
    set: { activity: Other, severity: Informational }
    map: { time: time | rfc3339, message: message.message }
";
    let sshd = "recognise: { text: ['*'], values: { envelope.app: [sshd] } }
framing: { lines: }
patterns: { message: { failed: 'Failed {_} for {user}' } }
classes:
  - class: base_event
    set: { activity: Other, severity: Informational }
    map: { time: envelope.time | rfc3339, message: \"message.user ~ '@' ~ envelope.host\" }
";
    let cef = "recognise: { text: ['CEF:0|V|*'] }\nframing: { lines: }\nparse: { message: cef }\n";
    let sources = [("a.syslog", syslog), ("a.sshd", sshd), ("a.cef", cef), ("a.audit", AUDIT)];
    let text = "<38>Jan 10 10:00:00 h sshd[1]: Failed x for ann\n<38>Jan 10 10:00:00 h CEF:0|V|P|1|1|n|1|a=b\n\
        CEF:0|V|P|1|1|n|1|a=c\nJan 10 10:00:00 h cron: else\n<1>1 2026-01-01T00:00:00Z h a - - - {\"auditID\":\"7\"}\n";
    let found = short(&documents(&sources, text.as_bytes()));
    let names: Vec<&Value> = found.iter().map(|d| &d[0]).collect();
    assert_eq!(names, ["a.sshd", "a.cef", "a.cef", "a.syslog", "a.syslog"]);
    assert_eq!((&found[0][2], &found[3][2]), (&json!("ann@h"), &json!("else")));
    assert_eq!(found[1][4]["message"]["a"], "b");
    assert_eq!(found[1][4]["envelope"]["priority"], "38");
}

#[test]
fn records_of_several_lines() {
    let journal = "recognise: { text: ['__CURSOR=*'] }
framing: { lines: { begins: ['__CURSOR=*'] } }
parse: { message: { kv: { between: \"\\n\" } } }
";
    let text = "__CURSOR=s=1;i=2\nMESSAGE=a b = c\n_PID=7\n\n__CURSOR=s=2\nMESSAGE=d\n";
    assert_eq!(
        unmapped(journal, text),
        [
            json!({ "message": { "__CURSOR": "s=1;i=2", "MESSAGE": "a b = c", "_PID": "7" } }),
            json!({ "message": { "__CURSOR": "s=2", "MESSAGE": "d" } }),
        ]
    );
    let events = "recognise: { text: ['<Event *', '<Event>*'] }
framing: { lines: { begins: ['<Event *', '<Event>*', '</Events>'] } }
parse: { message: xml }
";
    let text = "<Event x='1'>\n <A>1</A>\n</Event>\n<Event><A>2</A></Event>\n";
    assert_eq!(
        unmapped(events, text),
        [json!({ "message": { "A": "1" } }), json!({ "message": { "A": "2" } })]
    );
}
