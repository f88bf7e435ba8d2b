//! Scratch memory and limits of inflating, and the fast path for whole gzip objects.
//!
//! An object that is in memory whole and is one plausible gzip member is inflated in one call.
//! Whatever gives reason for doubt (a second member, an odd trailer, a checksum, something
//! compressed inside) is left to the stream, which is the one place that judges flaws. One flaw
//! passes unflagged: bytes after the member that hold no further member and end in a forged copy
//! of its trailer.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use libdeflater::Decompressor;
use linchpin_normalize::unit::{EVENT_BYTES_MAX, UNIT_BYTES_MAX};
use memchr::memmem;

use crate::stream::{Format, GZIP_MAGIC};

/// Inflated bytes for each delivered byte, beyond [`RATIO_FLOOR_BYTES`].
const RATIO_MAX: u64 = 200;
/// Output that no ratio forbids: small objects of few, long repetitions are not bombs.
const RATIO_FLOOR_BYTES: u64 = 8 << 20;
/// Inflated bytes of one object.
const OBJECT_BYTES_MAX: u64 = 64 << 30;
/// Gzip members or zstd frames of one object.
const MEMBERS_MAX: u64 = 4 << 20;
/// Delivered objects up to this size are read whole before they are inflated, bytes.
pub(crate) const WHOLE_BYTES_MAX: u64 = 16 << 20;
/// Read size for larger objects, bytes.
pub(crate) const READ_BYTES: usize = 1 << 20;
/// Smallest output buffer, bytes.
const OUTPUT_BYTES_MIN: usize = 64 << 10;

/// Header and trailer of a gzip member, bytes.
const GZIP_HEADER_BYTES: usize = 10;
const GZIP_TRAILER_BYTES: usize = 8;
/// Bits of a gzip header's flag byte that must be zero.
const GZIP_FLAGS_RESERVED: u8 = 0xe0;

/// Limits of inflating and cutting; `default()` is what production uses.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest unit, inflated bytes; a larger object is cut.
    pub unit_bytes: usize,
    /// Where a record that is longer than a unit is cut, bytes (at most `unit_bytes`).
    pub event_bytes: usize,
    /// Inflated bytes for each delivered byte, beyond `ratio_floor_bytes`.
    pub ratio: u64,
    /// Inflated bytes that no ratio forbids.
    pub ratio_floor_bytes: u64,
    /// Inflated bytes of one object.
    pub object_bytes: u64,
    /// Gzip members or zstd frames of one object.
    pub members: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unit_bytes: UNIT_BYTES_MAX,
            event_bytes: EVENT_BYTES_MAX,
            ratio: RATIO_MAX,
            ratio_floor_bytes: RATIO_FLOOR_BYTES,
            object_bytes: OBJECT_BYTES_MAX,
            members: MEMBERS_MAX,
        }
    }
}

impl Limits {
    /// The limit that one level of an object is beyond, if any.
    pub(crate) fn exceeded(&self, produced: u64, delivered: u64, members: u64) -> Option<&'static str> {
        let by_ratio = delivered.saturating_mul(self.ratio).max(self.ratio_floor_bytes);
        [
            (produced > by_ratio, "compression ratio"),
            (produced > self.object_bytes, "inflated size"),
            (members > self.members, "member count"),
        ]
        .into_iter()
        .find_map(|(beyond, limit)| beyond.then_some(limit))
    }
}

/// A worker thread's scratch for [`crate::UnitReader`]: decoder and buffers, used again for each object.
pub struct Inflater {
    pub(crate) limits: Limits,
    gzip: Decompressor,
    /// Buffer for delivered bytes.
    pub(crate) input: Vec<u8>,
    /// The buffer of the last unit: taken back when nobody holds the unit any more, so that
    /// buffers are neither copied nor cleared.
    output: Bytes,
}

impl Inflater {
    /// Empty scratch. `limits` is `Limits::default()` outside tests.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { unit_bytes: limits.unit_bytes.max(1), ..limits };
        Self { limits, gzip: Decompressor::new(), input: Vec::new(), output: Bytes::new() }
    }

    /// A buffer whose content has no meaning, at least `len` bytes.
    fn take_output(&mut self, len: usize) -> BytesMut {
        let mut buf = std::mem::take(&mut self.output).try_into_mut().unwrap_or_default();
        if buf.len() < len {
            buf.resize(len, 0);
        }
        buf
    }

    /// A buffer that begins with the bytes `tail` of the last unit's buffer, and has room for
    /// about `expected` bytes after them.
    pub(crate) fn output_with_tail(&mut self, tail: Range<usize>, expected: u64) -> BytesMut {
        let len = (expected as usize).max(OUTPUT_BYTES_MIN).min(self.limits.unit_bytes).max(tail.len());
        match std::mem::take(&mut self.output).try_into_mut() {
            Ok(mut buf) => {
                buf.copy_within(tail, 0);
                if buf.len() < len {
                    buf.resize(len, 0);
                }
                buf
            }
            Err(held) => {
                let mut buf = BytesMut::zeroed(len);
                buf[..tail.len()].copy_from_slice(&held[tail]);
                buf
            }
        }
    }

    /// Hands out the first `len` bytes of `buf` and remembers the buffer.
    pub(crate) fn hand_out(&mut self, buf: BytesMut, len: usize) -> Bytes {
        self.output = buf.freeze();
        self.output.slice(..len)
    }

    /// Inflates a whole object in one call, or says `None` for any doubt.
    pub(crate) fn whole_gzip(&mut self, delivered: &[u8]) -> Option<Bytes> {
        let size = plausible_size(delivered, &self.limits)?;
        let mut buf = self.take_output(size);
        let done = self.gzip.gzip_decompress(delivered, &mut buf[..size]);
        let trailer = &delivered[delivered.len() - GZIP_TRAILER_BYTES..];
        // The decoder stops after the first member. Its own trailer ends the object if the
        // object's last bytes are this output's checksum and size, and no other member begins.
        let ends_here = done == Ok(size) && trailer[..4] == libdeflater::crc32(&buf[..size]).to_le_bytes();
        let sure = ends_here && Format::of(&buf[..size]).is_none() && !has_second_member(delivered);
        let unit = self.hand_out(buf, size);
        sure.then_some(unit)
    }
}

/// The size that a gzip object's trailer claims, if it can be true of one member that fits a unit.
fn plausible_size(delivered: &[u8], limits: &Limits) -> Option<usize> {
    if !delivered.starts_with(GZIP_MAGIC) || delivered.len() < GZIP_HEADER_BYTES + GZIP_TRAILER_BYTES {
        return None;
    }
    let size = u32::from_le_bytes(*delivered.last_chunk()?);
    let fits = size as usize <= limits.unit_bytes;
    let allowed = limits.exceeded(u64::from(size), delivered.len() as u64, 1).is_none();
    (fits && allowed).then_some(size as usize)
}

/// Whether something that can be a gzip header occurs after the first.
fn has_second_member(delivered: &[u8]) -> bool {
    memmem::find_iter(&delivered[GZIP_HEADER_BYTES..], GZIP_MAGIC)
        .filter_map(|at| delivered.get(GZIP_HEADER_BYTES + at + GZIP_MAGIC.len()))
        .any(|flags| flags & GZIP_FLAGS_RESERVED == 0)
}
