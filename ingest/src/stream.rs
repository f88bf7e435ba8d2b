//! Inflating as a stream, in bounded memory.
//!
//! A [`Window`] is a buffer over a body or over a [`Layer`]; a layer decodes one level of
//! compression from the window below it. What the codec is decides the magic number of each member,
//! never a name. A layer never fails because of what it reads: it ends, and says how
//! ([`End`]); errors are those of the transport alone.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use linchpin_normalize::Gap;
use sha2::{Digest, Sha256};
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation};

use crate::{inflate::Limits, source::Body};

/// Levels of compression taken off one object (Firehose gzips what is gzip already).
const LEVELS_MAX: usize = 2;
/// Buffer between two levels, bytes.
const BETWEEN_BYTES: usize = 64 << 10;
/// Longest magic number, bytes.
const MAGIC_BYTES: usize = 4;
/// Largest window a zstd frame may ask for, as a power of two (64 MiB).
const ZSTD_WINDOW_LOG_MAX: u32 = 26;
/// Output given to zstd at a time: below a frame's size, so that it decodes block by block and a
/// damaged frame still yields the blocks before the damage.
const ZSTD_STEP_BYTES: usize = 128 << 10;
/// Window bits of gzip.
const GZIP_WINDOW_BITS: u8 = 15;

/// Magic number of a gzip member (RFC 1952, method deflate).
pub(crate) const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 8];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of a zstd skippable frame's magic; the first is 0x50 to 0x5f.
const ZSTD_SKIPPABLE_MAGIC: &[u8] = &[0x2a, 0x4d, 0x18];

/// What the bytes of a stream are, by their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Gzip,
    Zstd,
}

impl Format {
    /// The format that starts with `head`, or `None` for bytes to be taken as they are.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(GZIP_MAGIC) {
            return Some(Self::Gzip);
        }
        let skippable =
            head.first().is_some_and(|b| b & 0xf0 == 0x50) && head[1..].starts_with(ZSTD_SKIPPABLE_MAGIC);
        (head.starts_with(ZSTD_MAGIC) || skippable).then_some(Self::Zstd)
    }
}

/// The delivered bytes, hashed and counted as they pass.
pub(crate) struct Delivery {
    body: Box<dyn Body>,
    sha256: Sha256,
    bytes: u64,
}

impl Delivery {
    pub(crate) fn new(body: Box<dyn Body>) -> Self {
        Self { body, sha256: Sha256::new(), bytes: 0 }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.body.read(out) {
                Ok(n) => {
                    self.sha256.update(&out[..n]);
                    self.bytes += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

enum Origin {
    Delivery(Delivery),
    Layer(Box<Layer>),
}

/// A buffer over bytes that are still to be read.
pub(crate) struct Window {
    buf: Vec<u8>,
    pos: usize,
    end: usize,
    /// The origin has nothing more.
    drained: bool,
    origin: Origin,
}

impl Window {
    /// A window over a body. `buf` is scratch of any content; its length is the read size.
    pub(crate) fn over(delivery: Delivery, buf: Vec<u8>) -> Self {
        Self { buf, pos: 0, end: 0, drained: false, origin: Origin::Delivery(delivery) }
    }

    /// Takes off the levels of compression that the content has.
    pub(crate) fn inflated(mut self, limits: &Limits) -> io::Result<Self> {
        for _ in 0..LEVELS_MAX {
            let Some(format) = Format::of(self.peek(MAGIC_BYTES)?) else { break };
            let layer = Layer::new(self, format, limits)?;
            let buf = vec![0; BETWEEN_BYTES];
            self = Self { buf, pos: 0, end: 0, drained: false, origin: Origin::Layer(Box::new(layer)) };
        }
        Ok(self)
    }

    /// Reads on until the buffer is full or the origin has nothing more.
    /// Returns whether all of the origin's bytes are in the buffer.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        while !self.drained && self.end < self.buf.len() {
            self.refill()?;
        }
        Ok(self.drained)
    }

    /// What is in the buffer and not consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buf[self.pos..self.end]
    }

    /// At least `n` bytes (at most [`MAGIC_BYTES`]), fewer only at the end of the stream.
    pub(crate) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        while !self.drained && self.end - self.pos < n {
            if self.pos > 0 {
                self.buf.copy_within(self.pos..self.end, 0);
                self.end -= self.pos;
                self.pos = 0;
            }
            self.refill()?;
        }
        Ok(self.buffered())
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.pos = self.pos.saturating_add(n).min(self.end);
    }

    fn refill(&mut self) -> io::Result<()> {
        let room = &mut self.buf[self.end..];
        let n = match &mut self.origin {
            Origin::Delivery(delivery) => delivery.read(room)?,
            Origin::Layer(layer) => layer.read(room)?,
        };
        self.end += n;
        self.drained = n == 0;
        Ok(())
    }

    /// Reads into `out`; 0 only at the end (or when `out` is empty). What is buffered comes first,
    /// the rest is decoded straight into `out`.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.pos == self.end && !self.drained && !out.is_empty() {
            let n = match &mut self.origin {
                Origin::Delivery(delivery) => delivery.read(out)?,
                Origin::Layer(layer) => layer.read(out)?,
            };
            self.drained = n == 0;
            return Ok(n);
        }
        let n = out.len().min(self.end - self.pos);
        out[..n].copy_from_slice(&self.buf[self.pos..self.pos + n]);
        self.pos += n;
        Ok(n)
    }

    /// Reads what is left and counts it.
    fn skip_rest(&mut self) -> io::Result<u64> {
        let mut n = 0;
        loop {
            let buffered = self.peek(1)?.len();
            if buffered == 0 {
                return Ok(n);
            }
            n += buffered as u64;
            self.consume(buffered);
        }
    }

    fn delivery(&mut self) -> &mut Delivery {
        match &mut self.origin {
            Origin::Delivery(delivery) => delivery,
            Origin::Layer(layer) => layer.window.delivery(),
        }
    }

    /// Bytes read from the body so far.
    fn delivered(&self) -> u64 {
        match &self.origin {
            Origin::Delivery(delivery) => delivery.bytes,
            Origin::Layer(layer) => layer.window.delivered(),
        }
    }

    pub(crate) fn is_unchanged(&mut self) -> bool {
        self.delivery().body.is_unchanged()
    }

    /// Reads the body to its end, so that its hash is whole, and says what was wrong with it.
    pub(crate) fn finish(&mut self, gaps: &mut Vec<Gap>) -> io::Result<Finished> {
        if let Origin::Layer(layer) = &mut self.origin {
            layer.report(gaps)?;
            return layer.window.finish(gaps);
        }
        self.skip_rest()?;
        // Cut compressed data inside cut compressed data is one flaw, not two.
        gaps.dedup();
        let delivery = self.delivery();
        Ok(Finished { sha256: delivery.sha256.finalize_reset().into(), bytes: delivery.bytes })
    }

    /// The scratch buffer of the lowest window, to be used again.
    pub(crate) fn into_buf(self) -> Vec<u8> {
        match self.origin {
            Origin::Delivery(_) => self.buf,
            Origin::Layer(layer) => layer.window.into_buf(),
        }
    }
}

/// A body read to its end.
pub(crate) struct Finished {
    pub(crate) sha256: [u8; 32],
    pub(crate) bytes: u64,
}

/// How a layer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    /// The stream below ended within a member.
    Truncated,
    /// After a member comes something that is not a member.
    Garbage,
    /// A member does not decode.
    Corrupt,
    Limit(&'static str),
}

/// One level of compression: any number of members (gzip) or frames (zstd), one after the other.
struct Layer {
    window: Window,
    codec: Codec,
    limits: Limits,
    /// Within a member.
    inside: bool,
    members: u64,
    produced: u64,
    end: Option<End>,
}

impl Layer {
    fn new(window: Window, format: Format, limits: &Limits) -> io::Result<Self> {
        let codec = Codec::new(format)?;
        Ok(Self { window, codec, limits: *limits, inside: false, members: 0, produced: 0, end: None })
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.end.is_none() {
            if !self.inside {
                self.begin_member()?;
                continue;
            }
            let input = self.window.peek(1)?;
            let dry = input.is_empty();
            let step = self.codec.step(input, out);
            self.window.consume(step.consumed);
            self.produced += step.produced as u64;
            self.inside = !step.member_ended;
            self.end = if step.refused {
                Some(End::Limit("zstd window"))
            } else if step.corrupt {
                Some(End::Corrupt)
            } else if self.inside && step.consumed == 0 && step.produced == 0 {
                // Nothing more goes in and nothing comes out; without input it is just cut short.
                Some(if dry { End::Truncated } else { End::Corrupt })
            } else {
                self.limits.exceeded(self.produced, self.window.delivered(), self.members).map(End::Limit)
            };
            if step.produced > 0 {
                return Ok(step.produced);
            }
        }
        Ok(0)
    }

    fn begin_member(&mut self) -> io::Result<()> {
        let head = self.window.peek(MAGIC_BYTES)?;
        if head.is_empty() {
            self.end = Some(End::Clean);
        } else if Format::of(head) == Some(self.codec.format()) {
            if self.members > 0 {
                self.codec.restart()?;
            }
            self.members += 1;
            self.inside = true;
        } else {
            self.end = Some(End::Garbage);
        }
        Ok(())
    }

    fn report(&mut self, gaps: &mut Vec<Gap>) -> io::Result<()> {
        match self.end {
            None | Some(End::Clean) => {}
            Some(End::Truncated) => gaps.push(Gap::Truncated),
            Some(End::Garbage) => gaps.push(Gap::TrailingGarbage(self.window.skip_rest()?)),
            Some(End::Corrupt) => gaps.push(Gap::Corrupt(self.window.skip_rest()?)),
            Some(End::Limit(limit)) => gaps.push(Gap::Quarantined(limit)),
        }
        Ok(())
    }
}

/// A decoder that can be fed piece by piece.
enum Codec {
    Gzip(Decompress),
    Zstd(Zstd<'static>),
}

/// What one call of a decoder did.
#[derive(Default)]
struct Step {
    consumed: usize,
    produced: usize,
    member_ended: bool,
    corrupt: bool,
    /// The member asks for more memory than it may have.
    refused: bool,
}

impl Codec {
    fn new(format: Format) -> io::Result<Self> {
        Ok(match format {
            Format::Gzip => Self::Gzip(Decompress::new_gzip(GZIP_WINDOW_BITS)),
            Format::Zstd => {
                let mut decoder = Zstd::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Self::Zstd(decoder)
            }
        })
    }

    fn format(&self) -> Format {
        match self {
            Self::Gzip(_) => Format::Gzip,
            Self::Zstd(_) => Format::Zstd,
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => {
                gzip.reset(true);
                Ok(())
            }
            Self::Zstd(zstd) => zstd.reinit(),
        }
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        match self {
            Self::Gzip(gzip) => {
                let (before_in, before_out) = (gzip.total_in(), gzip.total_out());
                let result = gzip.decompress(input, out, FlushDecompress::None);
                Step {
                    consumed: (gzip.total_in() - before_in) as usize,
                    produced: (gzip.total_out() - before_out) as usize,
                    member_ended: matches!(result, Ok(Status::StreamEnd)),
                    corrupt: result.is_err(),
                    refused: false,
                }
            }
            Self::Zstd(zstd) => {
                let room = out.len().min(ZSTD_STEP_BYTES);
                match zstd.run_on_buffers(input, &mut out[..room]) {
                    Ok(status) => Step {
                        consumed: status.bytes_read,
                        produced: status.bytes_written,
                        member_ended: status.remaining == 0,
                        ..Step::default()
                    },
                    Err(e) if e.to_string().contains("too much memory") => {
                        Step { refused: true, ..Step::default() }
                    }
                    Err(_) => Step { corrupt: true, ..Step::default() },
                }
            }
        }
    }
}
