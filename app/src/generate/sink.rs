//! Writes one source's files: frames events, keeps to the byte target, weaves the attack in,
//! compresses and counts.

use std::{collections::VecDeque, fs, path::PathBuf};

use anyhow::{Context, Result};
use libdeflater::{CompressionLvl, Compressor};

use super::{Written, plan::Slot};

/// The clouds deliver gzip of about this level.
const GZIP_LEVEL: i32 = 6;

/// What stands around and between the events of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) open: &'a str,
    pub(super) between: &'a str,
    pub(super) close: &'a str,
}

impl Frame<'_> {
    /// JSON lines.
    pub(super) const LINES: Frame<'static> = Frame { open: "", between: "\n", close: "\n" };
}

/// A source of events of one lane.
pub(super) trait Stream {
    /// Appends one ordinary event of the time `now_ms` (epoch).
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()>;

    /// Appends step `step` of the attack.
    fn attack(&mut self, step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()>;
}

/// Times (epoch milliseconds) and numbers of the attack's steps that are still to be written.
pub(super) type Pending = VecDeque<(i64, usize)>;

/// Receives one source's events and writes its files.
pub(super) struct Sink<'a> {
    root: PathBuf,
    compress: Option<Compressor>,
    source: &'static str,
    pending: Pending,
    written: &'a mut Written,
    progress: &'a mut dyn FnMut(u64),
    /// Raw bytes this source should have after the slots so far.
    goal: f64,
    /// Raw bytes this source has.
    done: u64,
    buffer: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        root: PathBuf,
        compress: bool,
        source: &'static str,
        pending: Pending,
        written: &'a mut Written,
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        let compress = compress.then(|| Compressor::new(CompressionLvl::new(GZIP_LEVEL).unwrap_or_default()));
        Self { root, compress, source, pending, written, progress, goal: 0.0, done: 0, buffer: Vec::new() }
    }

    /// Fills one file with events of the slot's window. The attack's steps go into lane 0 at their
    /// time. A name that ends with `.gz` is compressed, or loses that end if nothing is.
    pub(super) fn file(
        &mut self,
        slot: &Slot,
        name: &str,
        frame: Frame<'_>,
        stream: &mut dyn Stream,
    ) -> Result<()> {
        self.goal += slot.bytes;
        self.buffer.clear();
        self.buffer.extend_from_slice(frame.open.as_bytes());
        let mut events = 0_u64;
        let room = (self.goal - self.done as f64).max(1.0);
        loop {
            let part = self.buffer.len() as f64 / room;
            let full = part >= 1.0;
            let span_ms = (slot.until_ms - slot.from_ms - 1).max(0) as f64;
            let now_ms = slot.from_ms + (span_ms * part.min(1.0)) as i64;
            let due = if !full {
                now_ms
            } else if slot.last {
                i64::MAX
            } else {
                slot.until_ms - 1
            };
            let step = self.pending.pop_front_if(|step| slot.lane == 0 && step.0 <= due);
            if step.is_none() && full && events > 0 {
                break;
            }
            if events > 0 {
                self.buffer.extend_from_slice(frame.between.as_bytes());
            }
            match step {
                Some((at_ms, step)) => stream.attack(step, at_ms, &mut self.buffer)?,
                None => stream.event(now_ms, &mut self.buffer)?,
            }
            events += 1;
        }
        self.buffer.extend_from_slice(frame.close.as_bytes());
        *self.written.events.entry(self.source.to_owned()).or_default() += events;
        self.store(name)
    }

    fn store(&mut self, name: &str) -> Result<()> {
        let raw_bytes = self.buffer.len() as u64;
        let (name, gzip) = match (name.strip_suffix(".gz"), &mut self.compress) {
            (Some(_), Some(compressor)) => {
                let mut gzip = vec![0; compressor.gzip_compress_bound(self.buffer.len())];
                let len = compressor.gzip_compress(&self.buffer, &mut gzip).context("gzip")?;
                gzip.truncate(len);
                (name, Some(gzip))
            }
            (Some(plain), None) => (plain, None),
            (None, _) => (name, None),
        };
        let path = self.root.join(name);
        let stored = gzip.as_ref().unwrap_or(&self.buffer);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create folder `{}`", parent.display()))?;
        }
        fs::write(&path, stored).with_context(|| format!("cannot write `{}`", path.display()))?;
        self.written.files += 1;
        self.written.stored_bytes += stored.len() as u64;
        self.written.raw_bytes += raw_bytes;
        self.done += raw_bytes;
        (self.progress)(self.written.raw_bytes);
        Ok(())
    }
}
