//! The normaliser as a whole: nothing is lost, nothing is read twice, and everything can be read
//! again.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read the samples")]

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use crate::*;

fn unit(bytes: &[u8]) -> RawUnit {
    RawUnit {
        id: UnitId { object: "mem://unit".into(), start: 0, end: bytes.len() as u64 },
        feed: "tests".into(),
        key: "unit".into(),
        source: None,
        bytes: bytes.to_vec().into(),
        carry: Carry::default(),
        received_ms: 1_700_000_000_000,
        delivered: Delivered::default(),
        gaps: Vec::new(),
    }
}

fn normalizer() -> Normalizer {
    Normalizer::new(Arc::new(Catalog::builtin().unwrap()))
}

/// Everything that a unit became.
struct Whole {
    events: Vec<Event>,
    rows: RecordBatch,
}

/// Normalises a unit and checks what holds for every one: events ascend and do not overlap, each has
/// rows, names are unique, and the events alone give the same rows and as many documents.
fn normalised(normalizer: &mut Normalizer, unit: &RawUnit) -> Whole {
    let mut pass = normalizer.begin(unit);
    let facts = normalizer.facts(&pass);
    let (mut events, mut batches): (Vec<Event>, Vec<RecordBatch>) = (Vec::new(), Vec::new());
    let mut rejects = 0;
    while let Some(normalized) = normalizer.batch(unit, &mut pass) {
        let EventBatch { rows, events: found, row_event, row_sub } = normalized.batch;
        assert!(!found.is_empty());
        assert_eq!((row_event.len(), row_sub.len()), (rows.num_rows(), rows.num_rows()));
        assert!(row_event.windows(2).all(|w| w[0] <= w[1]));
        let owners: HashSet<u32> = row_event.iter().copied().collect();
        assert_eq!(owners.len(), found.len(), "an event without a row");
        for reject in &normalized.rejects {
            assert!(found.iter().any(|e| u64::from(e.start) == reject.offset), "{reject:?}");
            assert!(!reject.reason.is_empty());
        }
        rejects += normalized.rejects.len();
        events.extend(found);
        batches.push(rows);
    }
    assert!(events.iter().all(|e| e.start < e.end && e.end as usize <= unit.bytes.len()), "{events:?}");
    assert!(events.windows(2).all(|w| w[0].end <= w[1].start), "events overlap");
    let rows = concat_batches(&columns::schema(), &batches).unwrap();
    let names: HashSet<&str> = rows.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(names.len(), rows.num_rows(), "event ids repeat");

    let key = unit.id.key();
    let replay =
        ReplayUnit { key, source: &facts.source, context: &facts.context, received_ms: unit.received_ms };
    let bytes = |e: &Event| &unit.bytes[e.start as usize..e.end as usize];
    let again = normalizer.replay(&replay, events.iter().map(|e| (e.start, bytes(e))));
    match again {
        None => assert_eq!(rows.num_rows(), 0),
        Some(again) => {
            assert_eq!(again.batch.rows, rows, "replay gives other rows: {}", facts.source);
            assert_eq!(again.batch.events, events);
            assert_eq!(again.rejects.len(), rejects);
        }
    }
    let documents: usize = events.iter().map(|e| normalizer.render(&replay, e.start, bytes(e)).len()).sum();
    assert_eq!(documents, rows.num_rows());
    Whole { events, rows }
}

fn texts(unit: &RawUnit, events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|e| String::from_utf8_lossy(&unit.bytes[e.start as usize..e.end as usize]).into_owned())
        .collect()
}

/// A flat event whose first key is that of all events, as sources write them.
fn events() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        any::<i32>().prop_map(Value::from),
        "[a-z {}\\[\\],:é\"\\\\]{0,12}".prop_map(Value::from),
        prop::collection::vec(any::<bool>(), 0..3).prop_map(Value::from),
        prop::collection::vec(("[a-z]{1,3}", any::<u8>()), 0..3)
            .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k, v.into())).collect())),
    ];
    let event = prop::collection::vec(("[a-z]{1,4}", value), 0..5).prop_map(|members| {
        Value::Object([("kind".to_owned(), json!("x"))].into_iter().chain(members).collect())
    });
    prop::collection::vec(event, 1..8)
}

/// The ways that events come in: how each is written, what stands before, between and after them.
const LAYOUTS: &[(bool, &str, &str, &str)] = &[
    (false, "", "\n", "\n"),
    (false, "", "\n", ""),
    (false, "", "", ""),
    (false, "\u{FEFF}", "\r\n", "\r\n"),
    (false, "", "\n\n \t\n", "\n\n"),
    (false, "\u{1E}", "\n\u{1E}", "\n"),
    (false, "", ",\n", ",\n"),
    (false, "[", ",", "]"),
    (false, "[\n", "\n,", ",\n]\n"),
    (false, "{\"Records\":[", ",", "]}"),
    (false, "{\"records\":[\r\n", ",\r\n", "\r\n]\r\n}\r\n"),
    (false, "{\"owner\":\"1[]{}\",\"more\":{\"a\":[1]},\"Records\":[", ",", "],\"next\":\"{[\",\"n\":[{}]}"),
    (false, "[", "][", "]"),
    (false, "{\"Records\":[", "]}{\"Records\":[", "]}"),
    (false, "{\"records\":[", "]}\n{\"records\":[", "]}\n"),
    (false, "[{\"kind\":\"x\"}]\n", "\n", ""),
    (true, "", "\n", "\n"),
    (true, "", "", ""),
    (true, "[\n  ", ",\n  ", "\n]"),
    (true, "\u{FEFF}{\n \"Records\": [ ", ",", " ] }"),
];

fn laid_out(events: &[Value], layout: usize) -> (String, Vec<String>) {
    let (pretty, before, between, after) = LAYOUTS[layout];
    let write = |e: &Value| if pretty { serde_json::to_string_pretty(e).unwrap() } else { e.to_string() };
    let mut expected: Vec<String> = events.iter().map(write).collect();
    let text = format!("{before}{}{after}", expected.join(between));
    if before.contains("{\"kind\"") {
        expected.insert(0, "{\"kind\":\"x\"}".into());
    }
    (text, expected)
}

proptest! {
    #[test]
    fn every_layout_gives_the_events(events in events(), layout in 0..LAYOUTS.len()) {
        let (text, expected) = laid_out(&events, layout);
        let unit = unit(text.as_bytes());
        let whole = normalised(&mut normalizer_once(), &unit);
        prop_assert_eq!(texts(&unit, &whole.events), expected);
    }

    #[test]
    fn damage_stays_in_its_line(
        events in events(),
        damaged in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        how in 0..3,
    ) {
        let mut lines: Vec<Vec<u8>> = events.iter().map(|e| e.to_string().into_bytes()).collect();
        let line = damaged.index(lines.len());
        let at = at.index(lines[line].len());
        match how {
            // A unit that opens like an array is one; a new line would be another line.
            0 => lines[line][at] = if byte == b'\n' || byte == b'[' && (line, at) == (0, 0) { b'x' } else { byte },
            1 => lines[line].truncate(at),
            _ => lines.insert(line, vec![byte.clamp(b' ', b'z'); at % 7]),
        }
        let unit = unit(&lines.join(&b'\n'));
        let whole = normalised(&mut normalizer_once(), &unit);
        let found = texts(&unit, &whole.events);
        for (n, event) in events.iter().enumerate().filter(|(n, _)| *n != line || how == 2) {
            prop_assert!(found.contains(&event.to_string()), "event {} is lost: {:?}", n, found);
        }
    }

    #[test]
    fn a_broken_element_costs_only_itself(
        events in events(),
        damaged in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"x{}[]\",:\\0 \xFF".to_vec()),
        records in any::<bool>(),
    ) {
        // The first shows how events open; the brace that closes an element is left to it.
        let events: Vec<Value> = [events[0].clone()].into_iter().chain(events).collect();
        let mut elements: Vec<Vec<u8>> = events.iter().map(|e| e.to_string().into_bytes()).collect();
        let line = 1 + damaged.index(elements.len() - 1);
        let at = at.index(elements[line].len() - 1);
        elements[line][at] = byte;
        let mut bytes = if records { b"{\"Records\":[".to_vec() } else { b"[".to_vec() };
        bytes.extend(elements.join(&b','));
        bytes.extend(if records { &b"]}"[..] } else { b"]" });
        let unit = unit(&bytes);
        let whole = normalised(&mut normalizer_once(), &unit);
        let found = texts(&unit, &whole.events);
        for (n, event) in events.iter().enumerate().filter(|(n, _)| *n != line) {
            prop_assert!(found.contains(&event.to_string()), "event {} is lost: {:?}", n, found);
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"{}[]\",:\\ \n\r\x0C\x1E01etn".to_vec()),
    ], 0..200)) {
        normalised(&mut normalizer_once(), &unit(&bytes));
    }

    #[test]
    fn parts_give_the_events_of_the_whole(
        events in events(),
        layout in 0..LAYOUTS.len(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let (text, expected) = laid_out(&events, layout);
        prop_assert_eq!(in_parts(&mut normalizer_once(), text.as_bytes(), &cuts), expected);
    }
}

/// A normaliser that has seen nothing: a case must not depend on earlier ones.
fn normalizer_once() -> Normalizer {
    thread_local! {
        static CATALOG: Arc<Catalog> = Arc::new(Catalog::builtin().unwrap());
    }
    Normalizer::new(CATALOG.with(Arc::clone))
}

/// Feeds `bytes` as a reader of large objects does: a part that is not the last is cut at a record.
fn in_parts(normalizer: &mut Normalizer, bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<String> {
    let (mut found, mut start, mut carry) = (Vec::new(), 0, Carry::default());
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len())).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    for seen in cuts {
        let mut part = unit(&bytes[start..seen.max(start)]);
        part.id.start = start as u64;
        part.carry = carry.clone();
        let (end, next) = normalizer.cut(&Part::from(&part), seen == bytes.len());
        assert!(end <= part.bytes.len());
        part.bytes.truncate(end);
        if end > 0 {
            let whole = normalised(normalizer, &part);
            found.extend(texts(&part, &whole.events));
        }
        (start, carry) = (start + end, next);
    }
    assert_eq!(start, bytes.len());
    found
}

/// The samples of the built-in sources.
fn samples() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sources");
    let mut samples = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let Ok(files) = fs::read_dir(folder.unwrap().path().join("tests")) else { continue };
        for path in files.map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "log")) {
            samples.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    samples.sort();
    assert!(!samples.is_empty());
    samples
}

#[test]
fn samples_hold_whole_damaged_and_in_parts() {
    let mut normalizer = normalizer();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below.max(1)
    };
    for (name, bytes) in samples() {
        let whole = unit(&bytes);
        let expected = normalised(&mut normalizer, &whole);
        // The same again, now that every structure is known.
        assert_eq!(normalised(&mut normalizer_once(), &whole).rows, expected.rows, "{name}");
        for _ in 0..24 {
            let mut damaged = bytes.clone();
            for _ in 0..=next(6) {
                let at = next(damaged.len());
                match next(4) {
                    0 => damaged[at] = next(256) as u8,
                    1 => damaged[at] = b"{}[]\",:\\ \n0"[next(11)],
                    2 => damaged.insert(at, b"{}[]\",:\\ \n0"[next(11)]),
                    _ if damaged.len() > 2 && next(3) == 0 => damaged.truncate(at.max(1)),
                    _ => drop(damaged.drain(at..(at + next(40)).min(damaged.len()))),
                }
            }
            normalised(&mut normalizer, &unit(&damaged));
        }
    }
}

#[test]
fn undamaged_samples_give_the_same_events_in_parts() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for (name, bytes) in samples() {
        let whole = unit(&bytes);
        let found = normalised(&mut normalizer_once(), &whole);
        let broken = found.rows.column_by_name("marks").unwrap();
        if broken.as_string::<i32>().iter().flatten().any(|m| m.contains("reject")) {
            continue;
        }
        let expected = texts(&whole, &found.events);
        for _ in 0..8 {
            let cuts = prop::collection::vec(any::<prop::sample::Index>(), 1..4)
                .new_tree(&mut runner)
                .unwrap()
                .current();
            let mut parts = in_parts(&mut normalizer_once(), &bytes, &cuts);
            // A header that was seen without what follows it is a line of its own.
            parts.retain(|line| !line.starts_with('#'));
            if parts.len() == expected.len() + 1 {
                parts.remove(0);
            }
            assert_eq!(parts, expected, "{name}");
        }
    }
}

#[test]
fn empty_units_have_nothing() {
    for bytes in
        [&b""[..], b"\n\n", b"  ", b"[]", b"{\"Records\":[]}", b"\xEF\xBB\xBF", b"{\"records\": [ ] }\n"]
    {
        assert_eq!(normalised(&mut normalizer_once(), &unit(bytes)).events, [], "{}", bytes.escape_ascii());
    }
}

#[test]
fn binary_is_one_event() {
    let bytes = b"PAR1\0\x01{\"a\":1}\n\0";
    let whole = normalised(&mut normalizer_once(), &unit(bytes));
    assert_eq!(whole.events.iter().map(|e| (e.start, e.end)).collect::<Vec<_>>(), [(0, bytes.len() as u32)]);
}

#[test]
fn many_broken_events_end_in_one() {
    let text = "{\"a\":\n".repeat(5000);
    let whole = normalised(&mut normalizer_once(), &unit(text.as_bytes()));
    assert_eq!(whole.events.len(), 1001);
}
