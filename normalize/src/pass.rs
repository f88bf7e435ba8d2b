//! What is given to the normaliser, and how far it has come with it.

use bytes::Bytes;

use crate::catalog::Recognised;
use crate::framing::JsonFrames;
use crate::lines::LineMode;
use crate::unit::{Carry, RawUnit, UnitKey};

/// How the events of a unit are found.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    Json(JsonFrames),
    Lines(LineMode),
    /// Neither JSON nor text: the unit is one event.
    Blob,
}

/// A unit on its way through the normaliser.
#[derive(Debug, Clone)]
pub struct Pass {
    pub(crate) key: UnitKey,
    pub(crate) source: Option<usize>,
    pub(crate) recognised: Option<Recognised>,
    pub(crate) mode: Mode,
    pub(crate) context: Bytes,
    pub(crate) received_ms: i64,
    pub(crate) at: usize,
}

impl Pass {
    /// Why the source was taken, if it was recognised rather than set.
    pub fn recognised(&self) -> Option<&Recognised> {
        self.recognised.as_ref()
    }

    pub(crate) fn blob(key: UnitKey) -> Self {
        let (context, mode) = (Bytes::new(), Mode::Blob);
        Self { key, source: None, recognised: None, mode, context, received_ms: 0, at: 0 }
    }

    /// How much of the unit has been read: the batches so far end here.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Index of the source in the catalogue; `None` if nothing was recognised.
    pub fn source(&self) -> Option<usize> {
        self.source
    }
}

/// Leading bytes of an object, or of a part of it: enough to recognise and frame it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Key of the delivered object.
    pub key: &'a str,
    /// Source name of the configuration, or `None` to recognise it.
    pub source: Option<&'a str>,
    /// The bytes.
    pub bytes: &'a [u8],
    /// What the part before said.
    pub carry: &'a Carry,
}

impl<'a> From<&'a RawUnit> for Part<'a> {
    fn from(unit: &'a RawUnit) -> Self {
        Self { key: &unit.key, source: unit.source.as_deref(), bytes: &unit.bytes, carry: &unit.carry }
    }
}

/// What is needed to read one event again by itself, as an archive segment keeps it.
#[derive(Debug, Clone)]
pub struct ReplayUnit<'a> {
    /// Key of the unit that the event came in.
    pub key: UnitKey,
    /// Name of its source.
    pub source: &'a str,
    /// Its header lines.
    pub context: &'a [u8],
    /// Time of events that do not say their own, epoch milliseconds.
    pub received_ms: i64,
}
