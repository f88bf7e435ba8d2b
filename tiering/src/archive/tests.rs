#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use futures::executor::block_on;
use linchpin_normalize::batch::Event;
use linchpin_store::{Counters, CountingStore, MemoryStore, Store};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    frame::{self, Columns, Encoder},
    writer::TRAILER_BYTES,
    *,
};

/// One object in memory.
fn stored(key: &str, bytes: Bytes) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    block_on(store.put(key, bytes)).unwrap();
    Arc::new(store)
}

/// One object in memory, and what is asked for it.
fn counted(key: &str, bytes: Bytes) -> (Arc<dyn Store>, Counters) {
    let counters = Counters::default();
    (Arc::new(CountingStore::new(stored(key, bytes), counters.clone())), counters)
}

const CLASSES: [&str; 3] = ["critical", "standard", "bulk"];

/// A made-up unit: its bytes, its events, and the class of each.
#[derive(Debug, Clone)]
struct Unit {
    feed: u8,
    source: u8,
    bytes: Vec<u8>,
    events: Vec<Event>,
    classes: Vec<u32>,
}

impl Unit {
    fn new(feed: u8, source: u8, parts: &[(Vec<u8>, Vec<u8>, u32)], tail: &[u8]) -> Self {
        let mut unit = Self { feed, source, bytes: Vec::new(), events: Vec::new(), classes: Vec::new() };
        for (gap, event, class) in parts {
            unit.bytes.extend_from_slice(gap);
            let start = unit.bytes.len() as u32;
            unit.bytes.extend_from_slice(event);
            let sha256 = Sha256::digest(event).into();
            unit.events.push(Event { start, end: unit.bytes.len() as u32, sha256 });
            unit.classes.push(*class);
        }
        unit.bytes.extend_from_slice(tail);
        unit
    }

    fn meta(&self, number: usize) -> UnitMeta {
        UnitMeta {
            object: format!("s3://example-logs/part-{number}.json.gz#etag{number},{}", self.bytes.len()),
            start: 0,
            end: self.bytes.len() as u64,
            feed: format!("feed-{}", self.feed),
            key: format!("part-{number}.json.gz"),
            source: format!("source-{}", self.source),
            received_ms: 1_790_000_000_000,
            ..UnitMeta::default()
        }
    }

    fn raw(&self, event: &Event) -> &[u8] {
        &self.bytes[event.start as usize..event.end as usize]
    }

    fn residue(&self) -> Residue {
        let mut builder = ResidueBuilder::new(CLASSES.map(str::to_owned).to_vec());
        for (event, class) in self.events.iter().zip(&self.classes) {
            builder.event(&self.bytes, event, *class).unwrap();
        }
        builder.finish(&self.bytes)
    }
}

fn header(class: &str, seq: u64) -> SegmentHeader {
    SegmentHeader {
        worker: "01K0EXAMPLEWORKER000000000".into(),
        seq,
        class: class.into(),
        archive: "main".into(),
        previous_root: Some([7; 32]),
        commit_ms: 1_790_000_000_000,
        policy: PolicyRef { name: "default".into(), hash: "00ff".into() },
    }
}

/// What was pushed: (unit, offset, bytes), in push order.
type Pushed = Vec<(u32, u32, Vec<u8>)>;

/// One segment a class; units are interleaved `stride` events at a time; residues go to class 0.
fn build(units: &[Unit], stride: usize, options: BuilderOptions) -> Vec<(ClosedSegment, Pushed)> {
    let mut builders: Vec<_> =
        CLASSES.iter().map(|_| (SegmentBuilder::new(options).unwrap(), Pushed::new())).collect();
    for (number, unit) in units.iter().enumerate() {
        for (builder, _) in &mut builders {
            assert_eq!(builder.unit(unit.meta(number), 1 + i32::from(unit.source) * 4), number as u32);
        }
    }
    let longest = units.iter().map(|unit| unit.events.len()).max().unwrap_or_default();
    for from in (0..longest).step_by(stride) {
        for (number, unit) in units.iter().enumerate() {
            for i in from..(from + stride).min(unit.events.len()) {
                let (event, (builder, pushed)) = (&unit.events[i], &mut builders[unit.classes[i] as usize]);
                let raw = unit.raw(event);
                let time_ms = 1_790_000_000_000 + i as i64;
                let local = builder.event(number as u32, event.start, raw, &event.sha256, time_ms).unwrap();
                assert_eq!(local as usize, pushed.len());
                pushed.push((number as u32, event.start, raw.to_vec()));
            }
        }
    }
    for (number, unit) in units.iter().enumerate() {
        builders[0].0.residue(number as u32, &unit.residue()).unwrap();
        for (builder, _) in &mut builders {
            let meta = builder.unit_mut(number as u32).unwrap();
            meta.events_total = unit.events.len() as u32;
            meta.context = Bytes::from_static(b"version account-id\n");
            meta.delivered_sha256 = Some([number as u8; 32]);
        }
    }
    let close = |(seq, (builder, pushed)): (usize, (SegmentBuilder, Pushed))| {
        (builder.close(header(CLASSES[seq], seq as u64)).unwrap(), pushed)
    };
    builders.into_iter().enumerate().map(close).collect()
}

/// Everything a reader gets out of a segment.
#[derive(Debug, PartialEq)]
struct Content {
    events: Vec<(u32, u32, Vec<u8>)>,
    units: Vec<UnitMeta>,
    residues: Vec<Option<Residue>>,
}

fn read_all(bytes: &Bytes) -> Result<Content, ArchiveError> {
    let store = stored("s", bytes.clone());
    block_on(async {
        let reader = SegmentReader::open(store, "s").await?;
        let mut content = Content { events: Vec::new(), units: reader.units().await?, residues: Vec::new() };
        for block in 0..reader.footer().blocks.len() {
            let block = reader.read_block(block).await?;
            for event in block.events() {
                assert_eq!(event.row as usize, content.events.len(), "rows are numbered in stored order");
                assert_eq!(block.event(event.row), Some(event));
                content.events.push((event.unit, event.offset, event.bytes.to_vec()));
            }
        }
        for (index, unit) in (0u32..).zip(&content.units) {
            content.residues.push(reader.residue(index, unit).await?);
        }
        Ok(content)
    })
}

fn findings(segment: &ClosedSegment, bytes: &Bytes) -> Vec<Finding> {
    let store: Arc<dyn Store> = stored("s", bytes.clone());
    block_on(verify(&store, "s", 0, &segment.facts())).unwrap()
}

fn printed(content: &Content) -> Vec<u8> {
    content.events.iter().flat_map(|(_, _, raw)| raw.iter().copied().chain([b'\n'])).collect()
}

/// A unit of three JSON records in an array, one of them pretty-printed, spread over the classes.
fn example_unit() -> Unit {
    let parts = [
        (br#"{"Records":["#.to_vec(), br#"{"eventName":"ConsoleLogin","n":1}"#.to_vec(), 0),
        (b",".to_vec(), b"{\n  \"eventName\": \"GetObject\",\n  \"n\": 2\n}".to_vec(), 1),
        (b" ,\n".to_vec(), br#"{"eventName":"ListBuckets","n":3}"#.to_vec(), 0),
        (b",".to_vec(), Vec::new(), 0),
    ];
    Unit::new(0, 0, &parts, b"]}\n")
}

fn unit_strategy() -> impl Strategy<Value = Unit> {
    let text = prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..40);
    let part = (prop::collection::vec(any::<u8>(), 0..4), text, 0u32..3);
    (0u8..3, 0u8..2, prop::collection::vec(part, 0..30), prop::collection::vec(any::<u8>(), 0..8))
        .prop_map(|(feed, source, parts, tail)| Unit::new(feed, source, &parts, &tail))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        units in prop::collection::vec(unit_strategy(), 0..5),
        stride in 1usize..20,
        block_bytes in 1usize..300,
    ) {
        let segments = build(&units, stride, BuilderOptions { level: 3, block_bytes });
        let mut by_unit: Vec<Vec<Vec<Vec<u8>>>> = vec![vec![Vec::new(); CLASSES.len()]; units.len()];
        for (class, (segment, pushed)) in segments.iter().enumerate() {
            let content = read_all(&segment.bytes).unwrap();
            prop_assert_eq!(content.events.len(), pushed.len());
            for (event, &row) in pushed.iter().zip(&segment.rows) {
                prop_assert_eq!(event, &content.events[row as usize]);
            }
            prop_assert_eq!(zstd::decode_all(&segment.bytes[..]).unwrap(), printed(&content));
            prop_assert_eq!(findings(segment, &segment.bytes), vec![]);
            for (unit, _, raw) in content.events {
                by_unit[unit as usize][class].push(raw);
            }
        }
        let residues = read_all(&segments[0].0.bytes).unwrap().residues;
        for ((unit, residue), classes) in units.iter().zip(residues).zip(&by_unit) {
            let mut events: Vec<_> = classes.iter().map(|events| events.iter().map(Vec::as_slice)).collect();
            prop_assert_eq!(&rebuild_unit(&residue.unwrap(), &mut events).unwrap(), &unit.bytes);
        }
    }

    /// A footer that is well-formed but lies never makes a reader panic.
    #[test]
    fn lying_footers_do_not_panic(pick in any::<prop::sample::Index>(), lie in prop_oneof![any::<u64>(), 0u64..300]) {
        let (segment, _) = &build(&[example_unit()], 4, BuilderOptions { level: 3, block_bytes: 40 })[0];
        let start = footer_start(&segment.bytes);
        let mut footer = footer_json(&segment.bytes);
        let mut numbers = Vec::new();
        collect_numbers(&mut footer, &mut numbers);
        *numbers.swap_remove(pick.index(numbers.len())) = lie.into();
        let bytes = with_footer(&segment.bytes[..start], &footer);
        prop_assume!(bytes != segment.bytes);
        let _ = read_all(&bytes);
        prop_assert_ne!(findings(segment, &bytes), vec![]);
    }

    #[test]
    fn arbitrary_columns_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), events in 1u32..20) {
        let _ = Residue::decode(&bytes);
        let _ = frame::inflate(&bytes, 1 << 20);
        let mut encoder = Encoder::new(1).unwrap();
        let (mut stored, content) = (Vec::new(), b"a\nbc\n\n\n".repeat(3));
        encoder.frame(&content, 1, &mut stored).unwrap();
        let block = stored.len();
        encoder.tagged(frame::INDEX, &[], &bytes, 1, &mut stored).unwrap();
        let entry = BlockEntry {
            offset: 0, stored: block as u32, index: (stored.len() - block) as u32, content: content.len() as u32,
            first_row: 0, events, feed: 0, source: 0, time_min_ms: 0, time_max_ms: 0, xxh3: frame::checksum(&stored),
        };
        let _ = Block::decode(&stored, &entry, 2);
    }

    #[test]
    fn varints_round_trip(value in any::<u64>()) {
        let mut out = Vec::new();
        frame::put_varint(value, &mut out);
        prop_assert_eq!(Columns(&out).varint(), Ok(value));
        out.pop();
        prop_assert!(Columns(&out).varint().is_err());
    }
}

/// Damaged bytes give an error or the same content, and verification always finds them.
#[test]
fn damage_is_an_error_or_harmless() {
    let (segment, _) = &build(&[example_unit()], 4, BuilderOptions { level: 3, block_bytes: 40 })[0];
    let intact = read_all(&segment.bytes).unwrap();
    let check = |bytes: Bytes, what: &str| {
        if let Ok(content) = read_all(&bytes) {
            assert_eq!(content, intact, "{what}");
        }
        assert_ne!(findings(segment, &bytes), [], "{what}");
    };
    for at in 0..segment.bytes.len() {
        check(segment.bytes.slice(..at), &format!("cut at {at}"));
        for flip in [1u8, 0x10, 0xFF, at as u8 | 1] {
            let mut bytes = segment.bytes.to_vec();
            bytes[at] ^= flip;
            check(bytes.into(), &format!("byte {at} flipped by {flip}"));
        }
    }
}

fn footer_start(bytes: &[u8]) -> usize {
    bytes.len() - reader::footer_length(bytes, bytes.len() as u64, "s").unwrap()
}

fn footer_json(bytes: &[u8]) -> serde_json::Value {
    let packed = frame::payload(&bytes[footer_start(bytes)..], frame::FOOTER).unwrap();
    let json = frame::inflate(&packed[..packed.len() - TRAILER_BYTES], FOOTER_BYTES_MAX).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn with_footer(frames: &[u8], footer: &serde_json::Value) -> Bytes {
    let mut bytes = frames.to_vec();
    let json = serde_json::to_vec(footer).unwrap();
    let start = frame::open_frame(frame::FOOTER, &mut bytes);
    Encoder::new(3).unwrap().frame(&json, 3, &mut bytes).unwrap();
    let length = (bytes.len() - start + TRAILER_BYTES) as u32;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&writer::END_MAGIC);
    frame::close_frame(start, &mut bytes);
    bytes.into()
}

fn collect_numbers<'a>(value: &'a mut serde_json::Value, out: &mut Vec<&'a mut serde_json::Value>) {
    match value {
        serde_json::Value::Number(_) => out.push(value),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| collect_numbers(item, out)),
        serde_json::Value::Object(fields) => {
            fields.values_mut().for_each(|field| collect_numbers(field, out));
        }
        _ => {}
    }
}

#[test]
fn name_and_totals() {
    let (segment, pushed) = &build(&[example_unit()], 1, BuilderOptions::default())[0];
    let sha256 = hex(&Sha256::digest(&segment.bytes));
    assert_eq!(segment.id, format!("01K0EXAMPLEWORKER000000000-00000000-{}", &sha256[..16]));
    assert_eq!(segment.object_key, format!("critical/2026-09-21/{}", segment.id));
    assert_eq!(segment.events, 3);
    assert_eq!(segment.raw_bytes, pushed.iter().map(|event| event.2.len() as u64).sum::<u64>());
    assert_eq!((segment.time_min_ms, segment.time_max_ms), (1_790_000_000_000, 1_790_000_000_003));
    assert_eq!(segment.feeds, ["feed-0"]);
}

#[test]
fn a_segment_without_events_keeps_its_units() {
    let unit = Unit::new(0, 0, &[], b"#Version: 1.0\n");
    let (segment, _) = &build(&[unit], 1, BuilderOptions::default())[0];
    let content = read_all(&segment.bytes).unwrap();
    assert_eq!(content.units.len(), 1);
    let rebuilt =
        rebuild_unit(content.residues[0].as_ref().unwrap(), &mut vec![std::iter::empty(); 3]).unwrap();
    assert_eq!(rebuilt, b"#Version: 1.0\n");
    assert_eq!(findings(segment, &segment.bytes), []);
}

#[test]
fn one_event_costs_one_range_read() {
    let event = |i: u32| (b",".to_vec(), format!("{{\"n\":{i}}}").into_bytes(), 0);
    let unit = Unit::new(0, 0, &(0..5000).map(event).collect::<Vec<_>>(), b"]");
    let (segment, _) = &build(&[unit], 64, BuilderOptions { level: 3, block_bytes: 4096 })[0];
    let (store, counters) = counted("s", segment.bytes.clone());
    let reader = block_on(SegmentReader::open_sized(store.clone(), "s", segment.bytes.len() as u64)).unwrap();
    assert_eq!(counters.get().gets, 1, "opening");
    let at = reader.block_of_row(4321).unwrap();
    assert!(reader.footer().blocks.len() > 5 && at > 5);
    let block = block_on(reader.read_block(at)).unwrap();
    assert_eq!(counters.get().gets, 2, "opening and one block");
    assert_eq!(block.event(4321).unwrap().bytes, b"{\"n\":4321}");
    assert_eq!(reader.block_of_row(5000), None);
    assert!(block.event(0).is_none());
}

#[test]
fn long_footers_and_many_units() {
    let units: Vec<Unit> =
        (0..2500).map(|i| Unit::new(0, 0, &vec![(vec![], format!("{i}").into_bytes(), 0); 4], b"")).collect();
    let (segment, pushed) = &build(&units, 4, BuilderOptions { level: 3, block_bytes: 1 })[0];
    let (store, counters) = counted("s", segment.bytes.clone());
    let reader = block_on(SegmentReader::open(store.clone(), "s")).unwrap();
    assert_eq!(counters.get().gets, 2, "the footer is longer than the first guess");
    assert_eq!(reader.footer().units.len(), 3);
    assert_eq!(block_on(reader.unit(2100)).unwrap().key, "part-2100.json.gz");
    assert!(matches!(block_on(reader.unit(2500)), Err(ArchiveError::OutOfRange { what: "unit", .. })));
    assert_eq!(&read_all(&segment.bytes).unwrap().events, pushed);
}

#[test]
fn large_events_have_blocks_of_their_own() {
    let large = vec![b'x'; BLOCK_BYTES_MAX + 5];
    let unit =
        Unit::new(0, 0, &[(vec![], b"a".to_vec(), 0), (vec![], large, 0), (vec![], b"b".to_vec(), 0)], b"");
    let (segment, pushed) = &build(&[unit], 9, BuilderOptions::default())[0];
    assert_eq!(&read_all(&segment.bytes).unwrap().events, pushed);
    let reader = block_on(SegmentReader::open(stored("s", segment.bytes.clone()), "s")).unwrap();
    assert_eq!(reader.footer().blocks.iter().map(|block| block.events).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn memory_is_what_is_stored_and_one_open_block() {
    let mut builder = SegmentBuilder::new(BuilderOptions::default()).unwrap();
    let unit = builder.unit(example_unit().meta(0), 3);
    let event = vec![b'x'; 1000];
    let sha256 = Sha256::digest(&event).into();
    for i in 0..64_000 {
        builder.event(unit, i * 1001, &event, &sha256, 0).unwrap();
    }
    assert_eq!(builder.raw_bytes(), 64_000_000);
    assert!(builder.held_bytes() < 4 << 20, "{} bytes held", builder.held_bytes());
    assert!(matches!(builder.event(1, 0, b"", &sha256, 0), Err(ArchiveError::Limit { .. })), "unknown unit");
}

#[test]
fn verification_names_what_is_wrong() {
    let units = [example_unit(), Unit::new(1, 1, &[(vec![], b"second feed".to_vec(), 0)], b"")];
    let segments = build(&units, 1, BuilderOptions { level: 3, block_bytes: 30 });
    let (segment, other) = (&segments[0].0, &segments[1].0);
    let reader = block_on(SegmentReader::open(stored("s", segment.bytes.clone()), "s")).unwrap();
    let entry = &reader.footer().blocks[1];
    let mut bytes = segment.bytes.to_vec();
    bytes[entry.offset as usize + 9] ^= 1;
    let found = findings(segment, &bytes.into());
    assert!(found.iter().any(|f| f.block == Some(1) && f.what.contains("checksum")), "{found:?}");
    assert!(found.iter().any(|f| f.what.contains("object hash")), "{found:?}");
    let rows = format!("block 1, rows {} to {}", entry.first_row, entry.first_row + entry.events - 1);
    assert!(found[0].to_string().contains(&rows), "{}", found[0]);

    let swapped = findings(segment, &other.bytes);
    assert!(swapped.iter().any(|f| f.what.starts_with("worker and sequence")), "{swapped:?}");
    assert!(swapped.iter().any(|f| f.what.starts_with("Merkle root")), "{swapped:?}");

    let store: Arc<dyn Store> = stored("elsewhere", Bytes::new());
    let missing = block_on(verify(&store, "s", 0, &segment.facts())).unwrap();
    assert_eq!(missing.len(), 1);
    assert!(missing[0].what.contains("missing"), "{missing:?}");
}

#[test]
fn events_swapped_behind_valid_checksums_break_the_root() {
    let unit = |a: &[u8], b: &[u8]| Unit::new(0, 0, &[(vec![], a.to_vec(), 0), (vec![], b.to_vec(), 0)], b"");
    let (segment, _) = &build(&[unit(b"first", b"other")], 9, BuilderOptions::default())[0];
    let (forged, _) = &build(&[unit(b"other", b"first")], 9, BuilderOptions::default())[0];
    let mut footer = footer_json(&forged.bytes);
    footer["merkle_root"] = footer_json(&segment.bytes)["merkle_root"].clone();
    let bytes = with_footer(&forged.bytes[..footer_start(&forged.bytes)], &footer);
    let found = findings(segment, &bytes);
    assert!(found.iter().any(|f| f.what.contains("events give the Merkle root")), "{found:?}");
}

#[test]
fn residues_and_events_must_belong_together() {
    let (unit, other) = (example_unit(), Unit::new(0, 0, &[(vec![], b"x".to_vec(), 0)], b""));
    let residue = unit.residue();
    assert_eq!((residue.events(), residue.events_of(0), residue.events_of(1)), (4, 3, 1));
    let none: [std::iter::Empty<&[u8]>; 3] = [std::iter::empty(), std::iter::empty(), std::iter::empty()];
    let error = rebuild_unit(&residue, &mut none.clone()).unwrap_err().to_string();
    assert!(error.contains("class `critical` lacks events"), "{error}");
    let mut many = [vec![&b"x"[..]; 2].into_iter(), vec![].into_iter(), vec![].into_iter()];
    let error = rebuild_unit(&other.residue(), &mut many).unwrap_err().to_string();
    assert!(error.contains("too many events"), "{error}");
    let mut builder = ResidueBuilder::new(vec!["critical".into()]);
    builder.event(&unit.bytes, &unit.events[1], 0).unwrap();
    assert!(builder.event(&unit.bytes, &unit.events[0], 0).is_err(), "not ascending");
}

#[test]
fn copies_without_the_units_of_others() {
    let units =
        [example_unit(), Unit::new(1, 1, &[(b"[".to_vec(), b"taken".to_vec(), 0)], b"]"), example_unit()];
    let (segment, pushed) = &build(&units, 1, BuilderOptions { level: 3, block_bytes: 50 })[0];
    let taken = |unit: &UnitMeta| unit.key == "part-1.json.gz";
    let (builder, locals) = without_units(&segment.bytes, BuilderOptions::default(), &taken, &|_| 3).unwrap();
    let copy = builder.close(header("critical", 9)).unwrap();
    let content = read_all(&copy.bytes).unwrap();
    assert_eq!(
        content.units.iter().map(|unit| &*unit.key).collect::<Vec<_>>(),
        ["part-0.json.gz", "part-2.json.gz"]
    );
    assert_eq!(content.residues, [Some(units[0].residue()), Some(units[2].residue())]);
    for ((unit, offset, raw), &row) in pushed.iter().zip(&segment.rows) {
        match locals[row as usize].map(|local| copy.rows[local as usize]) {
            None => assert_eq!(*unit, 1),
            Some(row) => {
                let now = [Some(0), None, Some(1)][*unit as usize];
                assert_eq!(content.events[row as usize], (now.unwrap(), *offset, raw.clone()));
            }
        }
    }
    assert!(copy.time_min_ms <= segment.time_min_ms && copy.time_max_ms >= segment.time_max_ms - 1);
    assert_eq!(findings(&copy, &copy.bytes), []);
}

#[test]
fn small_blocks_are_merged_and_nothing_else_changes() {
    let units =
        [example_unit(), Unit::new(1, 1, &[(b"[".to_vec(), b"other".to_vec(), 0)], b"]"), example_unit()];
    let (segment, _) = &build(&units, 1, BuilderOptions { level: 3, block_bytes: 8 })[0];
    let merged = merged(&segment.bytes).unwrap().unwrap();
    assert_eq!(merged.merkle_root, segment.merkle_root);
    let blocks = |bytes: &Bytes| {
        let reader = block_on(SegmentReader::open(stored("s", bytes.clone()), "s")).unwrap();
        reader.footer().blocks.len()
    };
    assert!(blocks(&merged.bytes) < blocks(&segment.bytes), "{}", blocks(&segment.bytes));
    let (before, after) = (read_all(&segment.bytes).unwrap(), read_all(&merged.bytes).unwrap());
    assert_eq!((before.events, before.residues), (after.events, after.residues));
    assert_eq!(super::merged(&merged.bytes).unwrap().map(|again| again.id), None);

    // In a pack it is read at its offset, and verified under the name that it had before.
    let facts = SegmentFacts { encoded_again: true, packed: true, id: segment.id.clone(), ..merged.facts() };
    let packed: Bytes = [&b"before"[..], &merged.bytes, b"after"].concat().into();
    let store: Arc<dyn Store> = stored("p", packed);
    assert_eq!(block_on(verify(&store, "p", 6, &facts)).unwrap(), []);
    let wrong = SegmentFacts { encoded_again: false, ..facts };
    assert_eq!(block_on(verify(&store, "p", 6, &wrong)).unwrap().len(), 1);
}

/// Readers run on a multi-threaded runtime.
#[test]
fn futures_can_be_spawned() {
    fn spawnable<F: Future + Send>(_: &F) {}
    let (segment, _) = &build(&[example_unit()], 1, BuilderOptions::default())[0];
    let store: Arc<dyn Store> = stored("s", segment.bytes.clone());
    let facts = segment.facts();
    spawnable(&verify(&store, "s", 0, &facts));
    let reader = block_on(SegmentReader::open(Arc::clone(&store), "s")).unwrap();
    spawnable(&SegmentReader::open(store, "s"));
    spawnable(&reader.read_block(0));
    spawnable(&reader.units());
}

#[test]
fn other_objects_and_newer_versions_are_told_apart() {
    let (segment, _) = &build(&[example_unit()], 1, BuilderOptions::default())[0];
    for junk in [&b""[..], b"LPSEGEND", &segment.bytes[..50], &[0; 5000]] {
        let result = read_all(&Bytes::copy_from_slice(junk));
        assert!(matches!(result, Err(ArchiveError::NotASegment(_))), "{result:?}");
    }
    let mut newer = segment.bytes.to_vec();
    let version = newer.len() - 12;
    newer[version] = 9;
    let error = read_all(&newer.into()).unwrap_err().to_string();
    assert_eq!(error, "`s` has format version 9\nhint: read it with a newer linchpin");
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a program over `arguments`; `None` if it is not installed, which is said aloud, and refused
/// where the environment promises all tools (`CI`).
fn output(program: &str, arguments: &[&str]) -> Option<std::process::Output> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: cannot run `{program}`: {error}");
            None
        }
        Err(error) => panic!("cannot run `{program}`: {error}"),
    }
}

#[test]
fn standard_tools_read_a_segment() {
    let units = [example_unit(), Unit::new(1, 1, &vec![(vec![], b"\xff\n\x00".to_vec(), 0); 3], b"")];
    let (segment, _) = &build(&units, 1, BuilderOptions { level: 3, block_bytes: 60 })[0];
    let content = read_all(&segment.bytes).unwrap();
    // what `zstd -dc` does, in process: all frames, skippable ones passed over
    assert_eq!(zstd::decode_all(&segment.bytes[..]).unwrap(), printed(&content));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(&segment.id);
    std::fs::write(&path, &segment.bytes).unwrap();
    let (path, script) = (path.to_str().unwrap(), repository().join("docs/read_segment.py"));
    let script = script.to_str().unwrap();
    if let Some(zstd) = output("zstd", &["-dc", path]) {
        assert_eq!(zstd.stdout, printed(&content));
        assert!(zstd.status.success());
    }
    let Some(events) = output("python3", &[script, path]) else { return };
    let stderr = String::from_utf8_lossy(&events.stderr);
    if stderr.starts_with("no zstd decoder") && std::env::var_os("CI").is_none() {
        eprintln!("skipped: {stderr}");
        return;
    }
    assert!(events.status.success(), "{stderr}");
    assert_eq!(events.stdout, printed(&content));
    let intact = output("python3", &[script, path, "--verify"]).unwrap();
    let root = format!("intact: {} events, Merkle root {}\n", segment.events, hex(&segment.merkle_root));
    assert_eq!(String::from_utf8_lossy(&intact.stdout), root);
    let json = output("python3", &[script, path, "--json"]).unwrap();
    for (line, (row, (unit, offset, _))) in
        json.stdout.split(|&b| b == b'\n').zip(content.events.iter().enumerate())
    {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(
            (&line["row"], &line["unit"], &line["offset"]),
            (&row.into(), &(*unit).into(), &(*offset).into())
        );
    }
    let mut damaged = segment.bytes.to_vec();
    damaged[40] ^= 1; // in the header, which no other part repeats the checksum of
    std::fs::write(path, damaged).unwrap();
    let found = output("python3", &[script, path, "--verify"]).unwrap();
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stderr));
}

/// What the fixture of version 1 holds; never changes.
fn fixture_units() -> Vec<Unit> {
    let flow = |i: u32| {
        let line = format!(
            "2 111122223333 eni-0example 192.0.2.{i} 198.51.100.7 443 {} 6 10 840 ACCEPT OK",
            40000 + i
        );
        (b"\n".to_vec(), line.into_bytes(), i % 3)
    };
    vec![example_unit(), Unit::new(1, 1, &(1..40).map(flow).collect::<Vec<_>>(), b"\n")]
}

const FIXTURE_ROOT: &str = "70f8bf8562755633e93585b594878adb8489430a2e62970c2f40edb357389d20";

fn fixture() -> PathBuf {
    repository().join("tiering/fixtures/segment-v1.lpseg")
}

#[test]
fn version_1_stays_readable() {
    let (now, _) = &build(&fixture_units(), 5, BuilderOptions { level: 3, block_bytes: 512 })[0];
    // A new version of the format brings one more; none is ever replaced.
    if std::env::var_os("UPDATE_GOLDENS").is_some() && !fixture().exists() {
        std::fs::write(fixture(), &now.bytes).unwrap();
    }
    let bytes = Bytes::from(std::fs::read(fixture()).unwrap());
    let content = read_all(&bytes).unwrap();
    assert_eq!(content.events, read_all(&now.bytes).unwrap().events);
    assert_eq!(content.residues, read_all(&now.bytes).unwrap().residues);
    let reader = block_on(SegmentReader::open(stored("s", bytes), "s")).unwrap();
    assert_eq!(hex(&reader.footer().merkle_root), FIXTURE_ROOT);
    assert_eq!(reader.footer().header(), &header("critical", 0));
}
