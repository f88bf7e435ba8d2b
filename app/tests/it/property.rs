//! Whatever goes in comes out: for generated and broken objects of every shape, the multiset of raw
//! events from the archive is the one that went in, and every object can be rebuilt bit for bit.
//!
//! `LINCHPIN_CAMPAIGN_CASES` sets the number of folders that are tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use flate2::{Decompress, FlushDecompress, Status};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    campaign,
    lake::{Lake, Settings, multiset},
    logs,
};

/// With fewer bytes nobody sees that it is zstd.
const ZSTD_MAGIC_BYTES: usize = 4;

/// One event of a JSON object.
#[derive(Debug, Clone)]
enum Event {
    /// CloudTrail, of any of three retention classes.
    Trail(u16),
    /// An object that no mapping knows.
    Unknown(Vec<(String, Odd)>),
}

/// A value that is hard on scanners.
#[derive(Debug, Clone)]
enum Odd {
    Text(String),
    Number(f64),
    Null,
    Deep(u8),
    List(Vec<String>),
}

/// How events are put into an object.
#[derive(Debug, Clone)]
enum Shape {
    /// `{"Records":[…]}`, perhaps with members around it.
    Records {
        around: bool,
        pretty: bool,
    },
    /// One a line; the flags say CRLF, and whether the last line ends.
    Lines {
        crlf: bool,
        ended: bool,
    },
    Concatenated,
    Pretty,
    Array {
        pretty: bool,
    },
    Single,
}

#[derive(Debug, Clone)]
enum Content {
    Json {
        events: Vec<Event>,
        shape: Shape,
        mark: bool,
    },
    /// Lines of text, some of them the same.
    Text {
        lines: Vec<String>,
        twice: Index,
        crlf: bool,
    },
    Flows {
        numbers: Vec<u16>,
        header: bool,
    },
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Packing {
    Plain,
    /// As many members as there are cuts, and one more.
    Gzip(Vec<Index>),
    GzipTwice,
    Zstd,
}

#[derive(Debug, Clone)]
enum Damage {
    None,
    Cut(Index),
    Flipped(Index, u8),
    Appended(Vec<u8>),
}

#[derive(Debug, Clone)]
struct Object {
    content: Content,
    packing: Packing,
    damage: Damage,
}

/// An object as it lies in the folder, and what must come of it.
struct Delivered {
    bytes: Vec<u8>,
    inflated: Inflated,
    /// Its events, where nothing is broken.
    events: Option<Vec<Vec<u8>>>,
}

/// What an object holds. How much of a broken zstd frame can be read is for its decoder to say.
enum Inflated {
    Exactly(Vec<u8>),
    StartOf(Vec<u8>),
    Unclear,
}

fn odd() -> impl Strategy<Value = Odd> {
    prop_oneof![
        ".{0,12}".prop_map(Odd::Text),
        any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(Odd::Number),
        Just(Odd::Null),
        (1..100_u8).prop_map(Odd::Deep),
        vec("[ -~]{0,8}", 0..4).prop_map(Odd::List),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => any::<u16>().prop_map(Event::Trail),
        1 => vec(("k[a-z\"\\\\é]{0,5}", odd()), 0..5).prop_map(Event::Unknown),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let two = || (any::<bool>(), any::<bool>());
    prop_oneof![
        two().prop_map(|(around, pretty)| Shape::Records { around, pretty }),
        two().prop_map(|(crlf, ended)| Shape::Lines { crlf, ended }),
        Just(Shape::Concatenated),
        Just(Shape::Pretty),
        any::<bool>().prop_map(|pretty| Shape::Array { pretty }),
        Just(Shape::Single),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        5 => (vec(event(), 0..9), shape(), any::<bool>())
            .prop_map(|(events, shape, mark)| Content::Json { events, shape, mark }),
        2 => (vec("[a-z][ -~]{0,40}", 1..9), any::<Index>(), any::<bool>())
            .prop_map(|(lines, twice, crlf)| Content::Text { lines, twice, crlf }),
        2 => (vec(any::<u16>(), 0..9), any::<bool>())
            .prop_map(|(numbers, header)| Content::Flows { numbers, header }),
        1 => vec(any::<u8>(), 0..200).prop_map(Content::Bytes),
    ]
}

fn object() -> impl Strategy<Value = Object> {
    let packing = prop_oneof![
        2 => Just(Packing::Plain),
        3 => vec(any::<Index>(), 0..3).prop_map(Packing::Gzip),
        1 => Just(Packing::GzipTwice),
        1 => Just(Packing::Zstd),
    ];
    let damage = prop_oneof![
        5 => Just(Damage::None),
        1 => any::<Index>().prop_map(Damage::Cut),
        2 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flipped(at, bit)),
        1 => vec(any::<u8>(), 1..40).prop_map(Damage::Appended),
    ];
    (content(), packing, damage).prop_map(|(content, packing, damage)| Object { content, packing, damage })
}

impl Event {
    fn value(&self) -> Value {
        match self {
            Self::Trail(number) => logs::trail(u64::from(*number)),
            Self::Unknown(members) => members
                .iter()
                .map(|(key, odd)| (key.clone(), odd.value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl Odd {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Null => Value::Null,
            Self::Deep(depth) => (0..*depth)
                .fold(json!([]), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "d": inner }) }),
            Self::List(list) => json!(list),
        }
    }
}

impl Content {
    /// The object, and its events one by one; `None` where it is not for the test to say what they are.
    fn write(&self) -> (Vec<u8>, Option<Vec<Vec<u8>>>) {
        match self {
            Self::Json { events, shape, mark } => {
                let events: Vec<Value> = events.iter().map(Event::value).collect();
                let (text, events) = shape.write(&events);
                (format!("{}{text}", if *mark { "\u{feff}" } else { "" }).into_bytes(), Some(events))
            }
            Self::Text { lines, twice, crlf } => {
                let mut lines = lines.clone();
                lines.push(lines[twice.index(lines.len())].clone());
                let end = if *crlf { "\r\n" } else { "\n" };
                let text = lines.iter().fold(String::new(), |text, line| text + line + end);
                (text.into_bytes(), Some(lines.into_iter().map(String::into_bytes).collect()))
            }
            Self::Flows { numbers, header } => {
                let lines: Vec<String> = numbers.iter().map(|n| logs::flow(u64::from(*n))).collect();
                let header = if *header { format!("{}\n", logs::FLOW_HEADER) } else { String::new() };
                let text = lines.iter().fold(header, |text, line| text + line + "\n");
                (text.into_bytes(), Some(lines.into_iter().map(String::into_bytes).collect()))
            }
            Self::Bytes(bytes) => (bytes.clone(), None),
        }
    }
}

impl Shape {
    fn write(&self, values: &[Value]) -> (String, Vec<Vec<u8>>) {
        let pretty = match self {
            Self::Records { pretty, .. } | Self::Array { pretty } => *pretty,
            Self::Pretty => true,
            _ => false,
        };
        let written =
            |v: &Value| if pretty { serde_json::to_string_pretty(v).unwrap() } else { v.to_string() };
        let mut events: Vec<String> = values.iter().map(written).collect();
        let text = match self {
            Self::Records { around: false, .. } => format!("{{\"Records\":[{}]}}", events.join(",")),
            Self::Records { around: true, .. } => {
                let inside = events.join(" ,\n ");
                format!(
                    "{{ \"from\": {{\"a\":[1]}}, \"Records\" : [ {inside} ] , \"next\": [\"x\"], \"n\": 1 }}\n"
                )
            }
            Self::Lines { crlf, ended } => {
                let end = if *crlf { "\r\n" } else { "\n" };
                events.join(end) + if *ended { end } else { "" }
            }
            Self::Concatenated => events.concat(),
            Self::Pretty => events.join("\n"),
            Self::Array { .. } => format!("[{}]\n", events.join(", ")),
            Self::Single => {
                events.truncate(1);
                events.concat()
            }
        };
        (text, events.into_iter().map(String::into_bytes).collect())
    }
}

impl Object {
    fn deliver(&self) -> Delivered {
        let (content, events) = self.content.write();
        let mut bytes = match &self.packing {
            Packing::Plain => content.clone(),
            Packing::Gzip(cuts) => {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(content.len() + 1)).collect();
                cuts.extend([0, content.len()]);
                cuts.sort_unstable();
                cuts.windows(2).flat_map(|two| logs::gzip(&content[two[0]..two[1]])).collect()
            }
            Packing::GzipTwice => logs::gzip(&logs::gzip(&content)),
            Packing::Zstd => zstd::bulk::compress(&content, 3).unwrap(),
        };
        let whole = bytes.len();
        match &self.damage {
            Damage::Cut(at) => bytes.truncate(at.index(whole + 1)),
            Damage::Flipped(at, bit) if whole > 0 => bytes[at.index(whole)] ^= 1 << bit,
            Damage::None | Damage::Flipped(..) => {}
            Damage::Appended(garbage) => bytes.extend(garbage),
        }
        let inflated = match (&self.packing, &self.damage) {
            (Packing::Zstd, Damage::Flipped(..)) => Inflated::Unclear,
            (Packing::Zstd, Damage::Cut(_)) if bytes.len() >= ZSTD_MAGIC_BYTES => Inflated::StartOf(content),
            (Packing::Zstd, Damage::None | Damage::Appended(_)) => Inflated::Exactly(content),
            _ => Inflated::Exactly(inflated(&bytes)),
        };
        Delivered { bytes, inflated, events: events.filter(|_| matches!(self.damage, Damage::None)) }
    }
}

/// Everything that comes out of gzip, one level after the other, until it ends or breaks.
fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _level in 0..2 {
        if !is_gzip(&bytes) {
            break;
        }
        let mut rest = &bytes[..];
        let mut out = Vec::new();
        while is_gzip(rest) {
            let Some(used) = member(rest, &mut out) else { break };
            rest = &rest[used..];
        }
        bytes = out;
    }
    bytes
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// Inflates one member, a byte of output at a time, so that nothing before a fault is missed; its
/// length, if it ends as it should.
fn member(bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut decoder = Decompress::new_gzip(15);
    loop {
        let (used, made) = (decoder.total_in(), decoder.total_out());
        let mut byte = [0];
        let status = decoder.decompress(&bytes[used as usize..], &mut byte, FlushDecompress::None);
        if decoder.total_out() > made {
            out.push(byte[0]);
        }
        match status {
            Ok(Status::StreamEnd) => return Some(decoder.total_in() as usize),
            Ok(_) if decoder.total_in() > used || decoder.total_out() > made => {}
            _ => return None,
        }
    }
}

#[test]
fn what_goes_in_comes_out() {
    let cases = campaign("LINCHPIN_CAMPAIGN_CASES", 5);
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&vec(object(), 1..24), |objects| {
            check(&objects);
            Ok(())
        })
        .unwrap();
}

/// Runs the whole program on a folder of whole objects and one of broken ones.
fn check(objects: &[Object]) {
    let root = tempfile::tempdir().unwrap();
    let delivered: Vec<Delivered> = objects.iter().map(Object::deliver).collect();
    let folders = ["whole", "broken"].map(|name| root.path().join(name));
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    for (n, object) in delivered.iter().enumerate() {
        let folder = &folders[usize::from(object.events.is_none())];
        fs::write(folder.join(name(n)), &object.bytes).unwrap();
    }
    let feeds = [("whole", &*folders[0]), ("broken", &*folders[1])];
    let lake = Lake::new(root.path().join("lake"), &feeds, Settings { threads: 2, ..Settings::default() });
    let summary = lake.drain();
    assert_eq!(summary.units, objects.len() as u64);
    let (all, whole) = (lake.rehydrated("true"), lake.rehydrated("feed = 'whole'"));
    assert_eq!(all.len() as u64, summary.raw_events);
    let expected = delivered.iter().flat_map(|object| object.events.iter().flatten()).cloned();
    same(&multiset(whole.into_values()), &multiset(expected));

    let ids = lake.event_ids();
    assert_eq!(ids.len() as u64, summary.events);
    let ids: BTreeSet<&String> = ids.iter().collect();
    assert!(all.keys().all(|id| ids.contains(id)), "an event has no row");
    for (n, object) in delivered.iter().enumerate() {
        is_rebuilt(&lake, &name(n), object);
    }
    lake.verified();
    assert_eq!(lake.drain().units, 0);
}

fn name(n: usize) -> String {
    format!("object-{n:03}")
}

fn same(back: &BTreeMap<Vec<u8>, usize>, expected: &BTreeMap<Vec<u8>, usize>) {
    let lost = expected.iter().find(|(event, n)| back.get(*event) != Some(n));
    let invented = back.keys().find(|event| !expected.contains_key(*event));
    let text = |event: &Vec<u8>| String::from_utf8_lossy(event).into_owned();
    assert!(lost.is_none(), "not as often as it went in: {}", text(lost.unwrap().0));
    assert!(invented.is_none(), "never went in: {}", text(invented.unwrap()));
}

fn is_rebuilt(lake: &Lake, name: &str, object: &Delivered) {
    let back = lake.ok("rehydrate", &["--object", name]);
    let (right, expected) = match &object.inflated {
        Inflated::Exactly(bytes) => (*bytes == back, &bytes[..]),
        Inflated::StartOf(bytes) => (bytes.starts_with(&back), &bytes[..]),
        Inflated::Unclear => return,
    };
    assert!(right, "{name}: {} became {}", expected.escape_ascii(), back.escape_ascii());
}
