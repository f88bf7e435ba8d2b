#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use zstd::zstd_safe::CParameter;

use super::*;
use crate::Limits;

/// A body in memory that gives `chunk` bytes a read.
struct Memory {
    bytes: Vec<u8>,
    pos: usize,
    chunk: usize,
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(self.chunk).min(self.bytes.len() - self.pos);
        buf[..n].copy_from_slice(&self.bytes[self.pos..self.pos + n]);
        self.pos += n;
        Ok(n)
    }
}

impl Body for Memory {
    fn is_unchanged(&mut self) -> bool {
        true
    }
}

fn feed() -> Feed {
    Feed { name: "f".into(), source: None }
}

fn candidate(size: usize) -> Candidate {
    Candidate { object: "o".into(), key: "k".into(), size: size as u64, modified_ms: 7, lease: None }
}

/// Cuts after the last newline, and counts the parts in the carry.
fn lines(bytes: &[u8], carry: &Carry) -> (usize, Carry) {
    let mut context = carry.context.to_vec();
    context.push(b'+');
    (
        memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1),
        Carry { context: context.into(), ..Carry::default() },
    )
}

fn units(scratch: &mut Inflater, delivered: &[u8], chunk: usize) -> Vec<RawUnit> {
    let (feed, candidate) = (feed(), candidate(delivered.len()));
    let body = Memory { bytes: delivered.to_vec(), pos: 0, chunk };
    let mut reader = UnitReader::new(scratch, Box::new(body), &feed, &candidate, &lines);
    std::iter::from_fn(|| reader.next_unit()).map(Result::unwrap).collect()
}

fn joined(units: &[RawUnit]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.bytes.to_vec()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Lines that do not compress to nothing.
fn text(bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut state = 1u32;
    while out.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(out, "{{\"ip\":\"192.0.2.{}\",\"id\":\"{state:08x}\"}}", state >> 24).unwrap();
    }
    out
}

enum Expect {
    /// These bytes.
    Exact(Vec<u8>),
    /// A proper, non-empty beginning of these bytes.
    Beginning(Vec<u8>),
    /// These bytes up to the damage, and perhaps what the damage decodes to.
    Damaged(Vec<u8>),
}
use Expect::{Beginning, Damaged, Exact};

type Case = (&'static str, Vec<u8>, Expect, &'static [&'static str]);

fn cases() -> Vec<Case> {
    let t = text(300_000);
    let half = t.len() / 2;
    let cat = |parts: &[&[u8]]| parts.concat();
    let flipped = |mut bytes: Vec<u8>, from_end: usize| {
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x55;
        bytes
    };
    let named = GzBuilder::new().filename("a.json").comment("c").extra(vec![1, 2, 3]);
    let mut named = named.write(Vec::new(), Compression::fast());
    named.write_all(&t).unwrap();
    let named = named.finish().unwrap();
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    let mut far = zstd::Encoder::new(Vec::new(), 1).unwrap();
    far.set_parameter(CParameter::WindowLog(27)).unwrap();
    far.write_all(&t).unwrap();
    let far = far.finish().unwrap();
    let (g, z) = (gzip(&t), zstd(&t));
    let three = gzip(&gzip(&gzip(b"x\n")));
    vec![
        ("empty object", vec![], Exact(vec![]), &[]),
        ("zero-byte gzip", gzip(b""), Exact(vec![]), &[]),
        ("zero-byte zstd", zstd(b""), Exact(vec![]), &[]),
        ("plain", t.clone(), Exact(t.clone()), &[]),
        ("byte-order mark", b"\xef\xbb\xbf{}\r\n".to_vec(), Exact(b"\xef\xbb\xbf{}\r\n".to_vec()), &[]),
        ("one byte of a magic number", vec![0x1f], Exact(vec![0x1f]), &[]),
        ("gzip", g.clone(), Exact(t.clone()), &[]),
        ("gzip with name, comment and extra field", named, Exact(t.clone()), &[]),
        ("gzip, members", cat(&[&gzip(&t[..half]), &gzip(b""), &gzip(&t[half..])]), Exact(t.clone()), &[]),
        ("gzip, equal members", cat(&[&g, &g]), Exact(cat(&[&t, &t])), &[]),
        ("gzip twice", gzip(&g), Exact(t.clone()), &[]),
        ("gzip members in gzip", gzip(&cat(&[&g, &g])), Exact(cat(&[&t, &t])), &[]),
        ("gzip in zstd", zstd(&g), Exact(t.clone()), &[]),
        ("a third level stays", three, Exact(gzip(b"x\n")), &[]),
        ("gzip cut in its header", g[..5].to_vec(), Exact(vec![]), &["truncated"]),
        ("gzip cut in its data", g[..g.len() / 2].to_vec(), Beginning(t.clone()), &["truncated"]),
        ("gzip cut in its trailer", g[..g.len() - 3].to_vec(), Exact(t.clone()), &["truncated"]),
        ("gzip cut in a later member", cat(&[&g, &g[..3]]), Exact(t.clone()), &["truncated"]),
        ("gzip twice, cut", gzip(&g)[..g.len() / 2].to_vec(), Beginning(t.clone()), &["truncated"]),
        ("trailing garbage", cat(&[&g, b"garbage"]), Exact(t.clone()), &["trailing garbage: 7 bytes"]),
        ("trailing zeros", cat(&[&g, &[0; 512]]), Exact(t.clone()), &["trailing garbage: 512 bytes"]),
        ("gzip then zstd", cat(&[&g, &zstd(b"")]), Exact(t.clone()), &["trailing garbage: "]),
        ("gzip, wrong checksum", flipped(g.clone(), 8), Exact(t.clone()), &["corrupt: "]),
        ("gzip, damaged within", flipped(g.clone(), g.len() / 3), Damaged(t.clone()), &["corrupt: "]),
        ("zstd", z.clone(), Exact(t.clone()), &[]),
        ("zstd frames", cat(&[&zstd(&t[..half]), &skippable, &zstd(&t[half..])]), Exact(t.clone()), &[]),
        ("zstd, skippable frame first", cat(&[&skippable, &z]), Exact(t.clone()), &[]),
        ("zstd cut", z[..z.len() * 3 / 4].to_vec(), Beginning(t.clone()), &["truncated"]),
        ("zstd, trailing garbage", cat(&[&z, b"garbage"]), Exact(t.clone()), &["trailing garbage: 7 bytes"]),
        ("zstd, damaged within", flipped(z.clone(), 40), Damaged(t.clone()), &["corrupt: "]),
        ("zstd, window too large", far, Exact(vec![]), &["quarantined: zstd window"]),
    ]
}

#[test]
fn every_payload_shape_whole_and_in_parts() {
    let small = Limits { unit_bytes: 10_000, event_bytes: 1_000, ..Limits::default() };
    for (name, delivered, expect, gaps) in cases() {
        for (limits, chunk) in [(Limits::default(), usize::MAX), (Limits::default(), 7), (small, 4096)] {
            let units = units(&mut Inflater::new(limits), &delivered, chunk);
            let bytes = joined(&units);
            match &expect {
                Exact(exact) => assert!(bytes == *exact, "{name}: {} of {} bytes", bytes.len(), exact.len()),
                Damaged(whole) => {
                    let sound = whole.len() / 4;
                    assert!(
                        bytes.len() > sound && bytes[..sound] == whole[..sound],
                        "{name}: {}",
                        bytes.len()
                    );
                }
                Beginning(whole) => {
                    let proper = !bytes.is_empty() && bytes.len() < whole.len();
                    assert!(proper && whole.starts_with(&bytes), "{name}: {} bytes", bytes.len());
                }
            }
            let (last, earlier) = units.split_last().unwrap();
            let found: Vec<_> = last.gaps.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), gaps.len(), "{name}: {found:?}");
            assert!(found.iter().zip(gaps).all(|(f, g)| f.starts_with(g)), "{name}: {found:?}");
            assert_eq!(last.delivered.sha256, Some(Sha256::digest(&delivered).into()), "{name}");
            assert_eq!(last.delivered.bytes, delivered.len() as u64, "{name}");
            assert!(earlier.iter().all(|u| u.gaps.is_empty() && u.delivered.sha256.is_none()), "{name}");
            assert_eq!(last.id.end, bytes.len() as u64, "{name}");
        }
    }
}

#[test]
fn bombs_are_stopped_by_a_named_limit() {
    let zeros = vec![b'0'; 64 << 20];
    let default = Limits::default();
    let members = gzip(b"line\n").repeat(5);
    let cases = [
        (gzip(&zeros), default, "compression ratio"),
        (zstd(&zeros), default, "compression ratio"),
        (gzip(&gzip(&zeros)), default, "compression ratio"),
        (members, Limits { members: 3, ..default }, "member count"),
        (
            gzip(&text(300_000)),
            Limits { object_bytes: 99_999, unit_bytes: 50_000, ..default },
            "inflated size",
        ),
    ];
    for (delivered, limits, limit) in cases {
        let units = units(&mut Inflater::new(limits), &delivered, usize::MAX);
        assert_eq!(units.last().unwrap().gaps, [Gap::Quarantined(limit)]);
        assert_eq!(units.last().unwrap().delivered.sha256, Some(Sha256::digest(&delivered).into()));
        assert!(joined(&units).len() <= 20 << 20, "stopped soon after the limit");
    }
}

#[test]
fn only_a_single_sound_member_takes_the_fast_path() {
    let mut scratch = Inflater::new(Limits::default());
    let g = gzip(&text(100_000));
    assert!(scratch.whole_gzip(&g).is_some());
    assert!(scratch.whole_gzip(&gzip(b"")).is_some());
    for doubtful in [
        g.repeat(2),
        [&g[..], b"garbage"].concat(),
        [&g[..], &g[g.len() - 8..]].concat()[1..].to_vec(),
        g[..g.len() - 1].to_vec(),
        gzip(&g),
        zstd(b"x"),
        Vec::new(),
    ] {
        assert!(scratch.whole_gzip(&doubtful).is_none());
    }
}

#[test]
fn a_forged_trailer_hides_no_event() {
    let (first, second) = (text(50_000), text(60_000));
    let g = gzip(&first);
    let trailer = &g[g.len() - 8..];
    let hidden = [&g[..], &gzip(&second), trailer].concat();
    let found = units(&mut Inflater::new(Limits::default()), &hidden, usize::MAX);
    assert!(joined(&found) == [&first[..], &second].concat());
    assert_eq!(found[0].gaps, [Gap::TrailingGarbage(8)]);
    // Without a member in it the garbage may go unflagged, but it costs nothing else.
    let padded = [&g[..], b"x", trailer].concat();
    assert!(joined(&units(&mut Inflater::new(Limits::default()), &padded, usize::MAX)) == first);
}

#[test]
fn the_buffer_is_used_again_when_the_unit_is_gone() {
    for delivered in [gzip(&text(200_000)), text(200_000)] {
        let mut scratch = Inflater::new(Limits::default());
        let first = units(&mut scratch, &delivered, usize::MAX);
        let (address, bytes) = (first[0].bytes.as_ptr(), joined(&first));
        let second = units(&mut scratch, &delivered, usize::MAX);
        assert_ne!(second[0].bytes.as_ptr(), address, "a held unit keeps its bytes");
        assert_eq!(joined(&first), bytes);
        let address = second[0].bytes.as_ptr();
        drop(second);
        assert_eq!(units(&mut scratch, &delivered, usize::MAX)[0].bytes.as_ptr(), address);
    }
}

#[test]
fn parts_hand_their_state_on() {
    let limits = Limits { unit_bytes: 64, event_bytes: 16, ..Limits::default() };
    let parts = units(&mut Inflater::new(limits), &gzip(&text(1_000)), usize::MAX);
    assert!(parts.len() > 10);
    for (n, part) in parts.iter().enumerate() {
        assert_eq!(part.carry.context, vec![b'+'; n]);
    }
    let starts: Vec<_> = parts.iter().map(|p| p.id.start).skip(1).collect();
    let ends: Vec<_> = parts.iter().map(|p| p.id.end).take(parts.len() - 1).collect();
    assert_eq!(starts, ends);
}

/// A transport that breaks off after its bytes.
struct Broken(Memory);

impl Read for Broken {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            n => Ok(n),
        }
    }
}

impl Body for Broken {
    fn is_unchanged(&mut self) -> bool {
        true
    }
}

#[test]
fn a_broken_transport_is_an_error_and_never_a_short_object() {
    for delivered in [text(1_000), gzip(&text(1_000))] {
        let (feed, candidate) = (feed(), candidate(delivered.len()));
        let body = Broken(Memory { bytes: delivered, pos: 0, chunk: 100 });
        let mut scratch = Inflater::new(Limits::default());
        let mut reader = UnitReader::new(&mut scratch, Box::new(body), &feed, &candidate, &lines);
        assert!(matches!(reader.next_unit(), Some(Err(IngestError::Read { .. }))));
        assert!(reader.next_unit().is_none());
    }
}

#[test]
fn a_missing_object_is_a_unit_without_bytes() {
    let unit = missing_unit(&feed(), &candidate(5), "gone");
    assert_eq!(unit.gaps, [Gap::Missing("gone".into())]);
    assert_eq!((unit.id.start, unit.id.end, unit.bytes.len()), (0, 0, 0));
}

/// What wraps the lines on their way in.
#[derive(Debug, Clone, Copy)]
enum Wrap {
    Plain,
    Gzip,
    Zstd,
    GzipTwice,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn parts_are_the_object_cut_at_newlines(
        lines in prop::collection::vec("[a-z]{0,60}", 0..60),
        splits in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        wrap in prop_oneof![Just(Wrap::Plain), Just(Wrap::Gzip), Just(Wrap::Zstd), Just(Wrap::GzipTwice)],
        unit_bytes in 24_usize..400,
        event_bytes in 1_usize..24,
        chunk in 1_usize..200,
        last_newline: bool,
    ) {
        let mut input = lines.join("\n").into_bytes();
        if last_newline {
            input.push(b'\n');
        }
        let mut at: Vec<_> = splits.iter().map(|i| i.index(input.len() + 1)).collect();
        at.extend([0, input.len()]);
        at.sort_unstable();
        let wrapped = |pack: fn(&[u8]) -> Vec<u8>| -> Vec<u8> {
            at.windows(2).flat_map(|w| pack(&input[w[0]..w[1]])).collect()
        };
        let delivered = match wrap {
            Wrap::Plain => input.clone(),
            Wrap::Gzip => wrapped(gzip),
            Wrap::Zstd => wrapped(zstd),
            Wrap::GzipTwice => gzip(&wrapped(gzip)),
        };
        let limits = Limits { unit_bytes, event_bytes, ..Limits::default() };
        let parts = units(&mut Inflater::new(limits), &delivered, chunk);

        prop_assert_eq!(joined(&parts), input);
        let (last, earlier) = parts.split_last().unwrap();
        prop_assert!(last.gaps.is_empty());
        for part in earlier {
            let bytes = &part.bytes;
            prop_assert!(!bytes.is_empty() && bytes.len() <= unit_bytes);
            let record_above_cap = bytes.len() == event_bytes && !bytes.contains(&b'\n');
            prop_assert!(bytes.ends_with(b"\n") || record_above_cap);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut head in prop::sample::select(vec![
        vec![], vec![0x1f, 0x8b, 8], vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], vec![0x28, 0xb5, 0x2f, 0xfd],
    ]), tail in prop::collection::vec(any::<u8>(), 0..300)) {
        head.extend(tail);
        let parts = units(&mut Inflater::new(Limits::default()), &head, 64);
        let digest: [u8; 32] = Sha256::digest(&head).into();
        prop_assert_eq!(parts.last().unwrap().delivered.sha256, Some(digest));
    }
}
