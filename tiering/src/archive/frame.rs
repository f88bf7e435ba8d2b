//! Frames and integers: skippable frames with a tag, zstd with bounds, LEB128 varints.

use std::io::Cursor;

use xxhash_rust::xxh3::xxh3_64;
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, compress_bound, find_frame_compressed_size, get_frame_content_size},
};

use super::error::{ArchiveError, Fault};

/// Magic of our skippable frames; a reader takes all sixteen (`0x184D2A50..=5F`).
const SKIPPABLE_MAGIC: u32 = 0x184D_2A5A;
const SKIPPABLE_MASK: u32 = 0xFFFF_FFF0;
/// Bytes of a skippable frame before its payload: magic and payload length.
pub(super) const FRAME_HEAD: usize = 8;
/// Bytes of a frame's tag.
pub(super) const TAG_BYTES: usize = 4;

/// Kind of a skippable frame: the first four bytes of its payload.
pub(super) type Tag = [u8; TAG_BYTES];
pub(super) const HEADER: Tag = *b"LPH1";
pub(super) const INDEX: Tag = *b"LPI1";
pub(super) const UNITS: Tag = *b"LPU1";
pub(super) const RESIDUE: Tag = *b"LPR1";
pub(super) const FOOTER: Tag = *b"LPF1";

/// One compression context for all frames of a segment; blocks differ only in level.
pub(super) struct Encoder {
    compressor: Compressor<'static>,
    level: i32,
}

impl Encoder {
    pub(super) fn new(level: i32) -> Result<Self, ArchiveError> {
        let mut compressor = Compressor::new(level).map_err(ArchiveError::Compress)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(ArchiveError::Compress)?;
        compressor.set_parameter(CParameter::ContentSizeFlag(true)).map_err(ArchiveError::Compress)?;
        Ok(Self { compressor, level })
    }

    /// Appends one zstd frame with content size and checksum to `out`.
    pub(super) fn frame(
        &mut self,
        content: &[u8],
        level: i32,
        out: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        if level != self.level {
            self.compressor.set_compression_level(level).map_err(ArchiveError::Compress)?;
            self.level = level;
        }
        out.reserve(compress_bound(content.len()));
        let end = out.len() as u64;
        let mut tail = Cursor::new(out);
        tail.set_position(end);
        self.compressor.compress_to_buffer(content, &mut tail).map_err(ArchiveError::Compress)?;
        Ok(())
    }

    /// Appends a skippable frame: tag, `prefix`, then `content` as a zstd frame.
    pub(super) fn tagged(
        &mut self,
        tag: Tag,
        prefix: &[u8],
        content: &[u8],
        level: i32,
        out: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        let start = open_frame(tag, out);
        out.extend_from_slice(prefix);
        self.frame(content, level, out)?;
        close_frame(start, out);
        Ok(())
    }
}

/// Starts a skippable frame at the end of `out`; its length is filled in by [`close_frame`].
pub(super) fn open_frame(tag: Tag, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&tag);
    start
}

/// Writes the payload length of the frame that [`open_frame`] started.
pub(super) fn close_frame(start: usize, out: &mut [u8]) {
    let length = (out.len() - start - FRAME_HEAD) as u32;
    out[start + 4..start + FRAME_HEAD].copy_from_slice(&length.to_le_bytes());
}

/// The payload after the tag of a skippable frame that fills `bytes` exactly.
pub(super) fn payload(bytes: &[u8], tag: Tag) -> Result<&[u8], Fault> {
    let (magic, rest) = bytes.split_first_chunk::<4>().ok_or("frame is cut short")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("frame is cut short")?;
    if u32::from_le_bytes(*magic) & SKIPPABLE_MASK != SKIPPABLE_MAGIC & SKIPPABLE_MASK {
        return Err("not a skippable frame".into());
    }
    if u32::from_le_bytes(*length) as usize != rest.len() {
        return Err("frame length does not match its place".into());
    }
    rest.strip_prefix(&tag).ok_or_else(|| format!("expected tag `{}`", tag.escape_ascii()).into())
}

/// Inflates exactly one zstd frame whose stated content size is at most `max`.
pub(super) fn inflate(frame: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
    let size = get_frame_content_size(frame)
        .map_err(|_| Fault::from("not a zstd frame"))?
        .ok_or("zstd frame without content size")?;
    if size > max as u64 {
        return Err(format!("content of {size} bytes is above the limit of {max}").into());
    }
    if find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err("zstd frame does not fill its place".into());
    }
    // A frame expands at most ~32,768-fold (run-length blocks): a huge claim by few bytes is a lie.
    if size > (frame.len() as u64).saturating_mul(1 << 16) {
        return Err("zstd frame claims more than it can hold".into());
    }
    let content = Decompressor::new()
        .and_then(|mut zstd| zstd.decompress(frame, size as usize))
        .map_err(|error| Fault::from(format!("zstd: {error}")))?;
    if content.len() as u64 != size {
        return Err("zstd frame is shorter than it says".into());
    }
    Ok(content)
}

/// XXH3-64 as 16 hex digits, the form used in metadata.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

/// Appends `value` as LEB128.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads varints and byte runs from the front of a slice.
pub(super) struct Columns<'a>(pub(super) &'a [u8]);

impl<'a> Columns<'a> {
    pub(super) fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("varint is cut short")?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("varint is too large".into())
    }

    /// A varint that must fit 32 bits.
    pub(super) fn small(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.varint()?).map_err(|_| "number is too large".into())
    }

    /// A varint that counts things which take at least one byte each of what follows.
    pub(super) fn count(&mut self, max: usize) -> Result<usize, Fault> {
        let count = self.varint()?;
        if count > max as u64 || count > self.0.len() as u64 {
            return Err(format!("count of {count} is too large").into());
        }
        Ok(count as usize)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("column is cut short")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Everything must have been read.
    pub(super) fn end(self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err("unexpected bytes at the end".into()) }
    }
}
