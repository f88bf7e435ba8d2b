//! Residue: every byte of a unit that is not inside an event, and the order of its events.
//!
//! A unit = for each event, the gap before it and the event; then the tail. The events live in the
//! segments of their classes; the residue says which class comes next.

use bytes::Bytes;
use linchpin_normalize::batch::Event;

use super::{
    EVENT_STORED_MAX, RESIDUE_BYTES_MAX,
    error::{ArchiveError, Fault},
    frame::{Columns, put_varint},
};

/// Most bytes of a class name.
const CLASS_NAME_MAX: usize = 1024;

/// What a unit holds beside its events; see the module docs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residue {
    /// Retention classes of the unit's events.
    classes: Vec<String>,
    /// For every event in unit order, the bytes between it and the event before.
    gaps: Vec<u32>,
    /// (index into `classes`, events): runs of events of one class, in unit order.
    runs: Vec<(u32, u32)>,
    /// The bytes of all gaps, then the tail.
    bytes: Bytes,
}

impl Residue {
    /// Names of the classes that hold the unit's events, in the order [`rebuild_unit`] takes them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of the unit's events in all classes.
    pub fn events(&self) -> usize {
        self.gaps.len()
    }

    /// Number of the unit's events in one class.
    pub fn events_of(&self, class: usize) -> u64 {
        self.runs.iter().filter(|run| run.0 as usize == class).map(|run| u64::from(run.1)).sum()
    }

    /// The content of a residue frame, before compression.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.gaps.len() + 64);
        put_varint(self.classes.len() as u64, &mut out);
        for class in &self.classes {
            put_varint(class.len() as u64, &mut out);
            out.extend_from_slice(class.as_bytes());
        }
        put_varint(self.gaps.len() as u64, &mut out);
        for &gap in &self.gaps {
            put_varint(u64::from(gap), &mut out);
        }
        put_varint(self.runs.len() as u64, &mut out);
        for &(class, events) in &self.runs {
            put_varint(u64::from(class), &mut out);
            put_varint(u64::from(events), &mut out);
        }
        out.extend_from_slice(&self.bytes);
        out
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self, Fault> {
        let mut columns = Columns(content);
        let mut classes = Vec::new();
        for _ in 0..columns.count(content.len())? {
            let length = columns.count(CLASS_NAME_MAX)?;
            let name = std::str::from_utf8(columns.bytes(length)?).map_err(|_| "class name is not UTF-8")?;
            classes.push(name.to_owned());
        }
        let events = columns.count(content.len())?;
        let gaps: Vec<u32> = (0..events).map(|_| columns.small()).collect::<Result<_, Fault>>()?;
        let mut runs = Vec::new();
        let mut ordered = 0u64;
        for _ in 0..columns.count(events)? {
            let (class, count) = (columns.small()?, columns.small()?);
            if class as usize >= classes.len() || count == 0 {
                return Err("a run of events has no class".into());
            }
            ordered += u64::from(count);
            runs.push((class, count));
        }
        let gap_bytes: u64 = gaps.iter().map(|&gap| u64::from(gap)).sum();
        if ordered != events as u64 || gap_bytes > columns.0.len() as u64 {
            return Err("events, classes and gaps do not match".into());
        }
        Ok(Self { classes, gaps, runs, bytes: Bytes::copy_from_slice(columns.0) })
    }
}

/// Collects a unit's residue while its events are handed out to classes.
#[derive(Debug)]
pub struct ResidueBuilder {
    residue: Residue,
    bytes: Vec<u8>,
    /// End of the last event.
    end: u32,
}

impl ResidueBuilder {
    /// Starts a unit whose events go to `classes`.
    pub fn new(classes: Vec<String>) -> Self {
        Self { residue: Residue { classes, ..Residue::default() }, bytes: Vec::new(), end: 0 }
    }

    /// Takes the next event of `unit` (all of the unit's bytes), which goes to the class with index
    /// `class`. Fails if the event starts before the last one ended or ends outside the unit.
    pub fn event(&mut self, unit: &[u8], event: &Event, class: u32) -> Result<(), ArchiveError> {
        let gap =
            unit.get(self.end as usize..event.start as usize).ok_or("event starts before the last one ended");
        let gap = gap.map_err(|what| ArchiveError::Rebuild(what.into()))?;
        if event.end < event.start || event.end as usize > unit.len() {
            return Err(ArchiveError::Rebuild("event ends outside its unit".into()));
        }
        if class as usize >= self.residue.classes.len() {
            return Err(ArchiveError::Rebuild("event has no class".into()));
        }
        self.bytes.extend_from_slice(gap);
        self.residue.gaps.push(gap.len() as u32);
        match self.residue.runs.last_mut() {
            Some((last, events)) if *last == class => *events += 1,
            _ => self.residue.runs.push((class, 1)),
        }
        self.end = event.end;
        Ok(())
    }

    /// Ends the unit: what follows the last event becomes the tail.
    pub fn finish(mut self, unit: &[u8]) -> Residue {
        self.bytes.extend_from_slice(unit.get(self.end as usize..).unwrap_or_default());
        self.residue.bytes = self.bytes.into();
        self.residue
    }
}

/// Puts a unit together again, bit for bit: `by_class` gives, for each of [`Residue::classes`], the
/// unit's events in that class in row order. Fails if a class has too few or too many events.
pub fn rebuild_unit<'a, I>(residue: &Residue, by_class: &mut [I]) -> Result<Vec<u8>, ArchiveError>
where
    I: Iterator<Item = &'a [u8]>,
{
    let broken = |what: String| ArchiveError::Rebuild(what.into());
    if by_class.len() != residue.classes.len() {
        return Err(broken(format!("{} classes given, it has {}", by_class.len(), residue.classes.len())));
    }
    let mut unit = Vec::with_capacity(residue.bytes.len());
    let (mut rest, mut gaps) = (&residue.bytes[..], residue.gaps.iter());
    for &(class, events) in &residue.runs {
        for _ in 0..events {
            let gap = gaps.next().and_then(|&gap| rest.split_at_checked(gap as usize));
            let (gap, after) = gap.ok_or_else(|| broken("residue is cut short".to_owned()))?;
            let event = by_class[class as usize].next();
            let event = event
                .ok_or_else(|| broken(format!("class `{}` lacks events", residue.classes[class as usize])))?;
            unit.extend_from_slice(gap);
            unit.extend_from_slice(event);
            rest = after;
            super::error::limit("unit of bytes", unit.len(), EVENT_STORED_MAX + RESIDUE_BYTES_MAX)?;
        }
    }
    unit.extend_from_slice(rest);
    match by_class.iter_mut().position(|events| events.next().is_some()) {
        Some(class) => Err(broken(format!("class `{}` has too many events", residue.classes[class]))),
        None => Ok(unit),
    }
}
