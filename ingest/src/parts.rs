//! One object as a sequence of units.
//!
//! An object whose inflated bytes fit a unit is one unit. A larger one is read a unit's length at a
//! time; the [`Cut`] says how much of that is whole records, the rest begins the next part. The
//! parts' bytes, one after the other, are the object's inflated bytes, and cutting the same object
//! again gives the same parts. What was wrong with the delivery is known at its end, so the gaps
//! and the delivered object's hash are with the last part.

use std::{io, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use linchpin_normalize::{Carry, Delivered, Gap, RawUnit, UnitId};

use crate::{
    Body, Candidate, Inflater, IngestError,
    inflate::{READ_BYTES, WHOLE_BYTES_MAX},
    stream::{Delivery, Window},
};

/// Finds where a part ends: of these bytes and the state they begin in, how many leading bytes are
/// whole records, and the state the next part begins in. 0: no record ends here.
pub type Cut<'a> = dyn Fn(&[u8], &Carry) -> (usize, Carry) + 'a;

/// The feed that an object was found by.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Its name.
    pub name: Arc<str>,
    /// The source it is configured to hold; `None` to recognise it.
    pub source: Option<Arc<str>>,
}

/// Reads one object's units, one at a time; memory is one unit and the scratch.
pub struct UnitReader<'a> {
    scratch: &'a mut Inflater,
    feed: &'a Feed,
    candidate: &'a Candidate,
    cut: &'a Cut<'a>,
    /// `None` when the object is read to its end or failed.
    state: Option<State>,
}

struct State {
    /// Delivered bytes; inflated ones once `inflated` is set.
    window: Window,
    inflated: bool,
    /// Inflated offset of the next part.
    start: u64,
    /// What the last part left over, as a range of the scratch's output buffer.
    tail: Range<usize>,
    carry: Carry,
}

impl<'a> UnitReader<'a> {
    /// A reader over the `body` that [`crate::Source::open`] gave for `candidate`.
    pub fn new(
        scratch: &'a mut Inflater,
        body: Box<dyn Body>,
        feed: &'a Feed,
        candidate: &'a Candidate,
        cut: &'a Cut<'a>,
    ) -> Self {
        let mut buf = std::mem::take(&mut scratch.input);
        // One byte more than a small object has, so that its end is seen without another buffer.
        let wanted = if candidate.size <= WHOLE_BYTES_MAX { candidate.size as usize + 1 } else { READ_BYTES };
        if buf.len() < wanted {
            buf.resize(wanted.max(READ_BYTES), 0);
        }
        let window = Window::over(Delivery::new(body), buf);
        let state = State { window, inflated: false, start: 0, tail: 0..0, carry: Carry::default() };
        Self { scratch, feed, candidate, cut, state: Some(state) }
    }

    /// The next unit; `None` after the last. After an error there are no more.
    ///
    /// # Errors
    /// [`IngestError::Read`] when the transport broke off, [`IngestError::Changed`] when the object is
    /// no longer the version that was listed. Damaged content is no error: see [`RawUnit::gaps`].
    pub fn next_unit(&mut self) -> Option<Result<RawUnit, IngestError>> {
        let state = self.state.take()?;
        let object = || self.candidate.object.clone();
        let (unit, mut state) = match self.read_unit(state) {
            Ok(read) => read,
            Err(source) => return Some(Err(IngestError::Read { object: object(), source })),
        };
        let unchanged = state.window.is_unchanged();
        if unchanged && unit.delivered.sha256.is_none() {
            self.state = Some(state);
        } else {
            self.scratch.input = state.window.into_buf();
        }
        Some(if unchanged { Ok(unit) } else { Err(IngestError::Changed { object: object() }) })
    }

    fn read_unit(&mut self, mut state: State) -> io::Result<(RawUnit, State)> {
        if !state.inflated {
            if state.window.fill()?
                && let Some(bytes) = self.scratch.whole_gzip(state.window.buffered())
            {
                state.window.consume(usize::MAX);
                return self.last_unit(state, bytes);
            }
            state.window = state.window.inflated(&self.scratch.limits)?;
            state.inflated = true;
        }
        let (buf, len) = self.fill_output(&mut state)?;
        if state.window.peek(1)?.is_empty() {
            let bytes = self.scratch.hand_out(buf, len);
            return self.last_unit(state, bytes);
        }
        let (whole, next) = (self.cut)(&buf[..len], &state.carry);
        let end = match whole.min(len) {
            0 => self.scratch.limits.event_bytes.clamp(1, len),
            whole => whole,
        };
        let bytes = self.scratch.hand_out(buf, end);
        state.tail = end..len;
        let carry = std::mem::replace(&mut state.carry, next);
        let delivered = Delivered { sha256: None, bytes: self.candidate.size };
        let unit = self.unit(&mut state.start, bytes, carry, delivered, Vec::new());
        Ok((unit, state))
    }

    /// A buffer with the last part's tail and what follows it, and how much of it is filled: a
    /// unit's length, or less at the end of the object.
    fn fill_output(&mut self, state: &mut State) -> io::Result<(BytesMut, usize)> {
        let limit = self.scratch.limits.unit_bytes;
        let mut len = state.tail.len();
        let mut buf = self.scratch.output_with_tail(state.tail.clone(), self.candidate.size);
        loop {
            if len == buf.len() && len < limit {
                buf.resize((len * 2).min(limit), 0);
            }
            let room = buf.len().min(limit);
            if len == room {
                break;
            }
            match state.window.read(&mut buf[len..room])? {
                0 => break,
                n => len += n,
            }
        }
        Ok((buf, len))
    }

    fn last_unit(&self, mut state: State, bytes: Bytes) -> io::Result<(RawUnit, State)> {
        let mut gaps = Vec::new();
        let done = state.window.finish(&mut gaps)?;
        let delivered = Delivered { sha256: Some(done.sha256), bytes: done.bytes };
        let carry = std::mem::take(&mut state.carry);
        let unit = self.unit(&mut state.start, bytes, carry, delivered, gaps);
        Ok((unit, state))
    }

    fn unit(
        &self,
        start: &mut u64,
        bytes: Bytes,
        carry: Carry,
        delivered: Delivered,
        gaps: Vec<Gap>,
    ) -> RawUnit {
        let end = *start + bytes.len() as u64;
        let id = UnitId { object: self.candidate.object.clone(), start: *start, end };
        *start = end;
        RawUnit { id, bytes, carry, delivered, gaps, ..blank_unit(self.feed, self.candidate) }
    }
}

impl Drop for UnitReader<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.scratch.input = state.window.into_buf();
        }
    }
}

/// The unit that records an object which could not be read: no bytes, and the reason as its gap.
pub fn missing_unit(feed: &Feed, candidate: &Candidate, why: impl Into<String>) -> RawUnit {
    RawUnit { gaps: vec![Gap::Missing(why.into())], ..blank_unit(feed, candidate) }
}

fn blank_unit(feed: &Feed, candidate: &Candidate) -> RawUnit {
    RawUnit {
        id: UnitId { object: candidate.object.clone(), start: 0, end: 0 },
        feed: feed.name.clone(),
        key: candidate.key.clone(),
        source: feed.source.clone(),
        bytes: Bytes::new(),
        carry: Carry::default(),
        received_ms: candidate.modified_ms,
        delivered: Delivered::default(),
        gaps: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
