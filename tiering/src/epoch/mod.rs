//! An epoch: everything a worker has taken in since its last commit, closed together.
//!
//! Events go to one segment builder per (archive, retention class), their rows wait beside them. At
//! [`Epoch::close`] every builder becomes a segment, and every row learns its segment and number.
//! A closed epoch is committed once; if another worker has taken some of its units first,
//! [`ClosedEpoch::without`] builds it again without them, from its own segments.

mod closed;

pub use closed::ClosedEpoch;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::TimestampMicrosecondType,
    error::ArrowError,
};
use bytes::Bytes;
use linchpin_normalize::{Normalized, RawUnit, UnitId, UnitKey, columns};

use crate::{
    archive::{ArchiveError, BuilderOptions, PolicyRef, ResidueBuilder, SegmentBuilder, UnitMeta},
    ledger::{COMPLETE_START, UnitFact},
    policy::{RetentionPolicy, Risk},
};

/// What went wrong while an epoch was built.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The archive could not take an event.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Rows could not be handled.
    #[error("rows of an epoch failed: {0}")]
    Arrow(#[from] ArrowError),
}

/// Who builds epochs, and by which rules.
#[derive(Debug, Clone)]
pub struct EpochContext {
    /// Worker id (ULID).
    pub worker: Arc<str>,
    /// Retention policy in force.
    pub policy: Arc<RetentionPolicy>,
    /// What its rules see beside an event.
    pub risk: Risk,
    /// Its name and hash.
    pub policy_ref: PolicyRef,
    /// Names of the archives; an archive's index counts in them.
    pub archives: Arc<[Arc<str>]>,
}

/// Index of an archive, and of a retention class.
type Shelf = (u16, u8);

struct Building {
    segment: SegmentBuilder,
    rows: u64,
}

/// Rows of one batch, before their segments exist.
struct Waiting {
    rows: RecordBatch,
    archive: u16,
    /// For each row: class, number of its event in the builder of that class, number in its event.
    class: Vec<u8>,
    local: Vec<u32>,
    sub: Vec<u32>,
    feed: Arc<str>,
    unit: UnitKey,
}

/// A unit that is being taken in.
struct Open {
    meta: UnitMeta,
    level: i32,
    archive: u16,
    residue: ResidueBuilder,
    /// For each class, the unit's index in that class's builder.
    places: Vec<Option<u32>>,
    events: u64,
    rejects: u64,
    time_max_ms: i64,
}

/// A unit that was taken in: its fact, and the shelves that hold it, the residue's first.
struct Taken {
    fact: UnitFact,
    shelves: Vec<Shelf>,
}

/// What a worker has taken in since its last commit.
pub struct Epoch {
    context: EpochContext,
    shelves: BTreeMap<Shelf, Building>,
    waiting: Vec<Waiting>,
    row_bytes: usize,
    units: Vec<Taken>,
    open: Option<Open>,
}

impl Epoch {
    /// An empty epoch.
    pub fn new(context: EpochContext) -> Self {
        Self {
            context,
            shelves: BTreeMap::new(),
            waiting: Vec::new(),
            row_bytes: 0,
            units: Vec::new(),
            open: None,
        }
    }

    /// Begins a unit of `source`, whose blocks are compressed with `level`, for an archive.
    pub fn begin(&mut self, unit: &RawUnit, source: &str, level: i32, archive: u16) {
        let classes: Vec<String> = self.context.policy.classes().iter().map(|c| c.name.clone()).collect();
        self.open = Some(Open {
            meta: UnitMeta { source: source.to_owned(), ..UnitMeta::from(unit) },
            level,
            archive,
            places: vec![None; classes.len()],
            residue: ResidueBuilder::new(classes),
            events: 0,
            rejects: 0,
            time_max_ms: i64::MIN,
        });
    }

    /// Takes the next batch of the unit that was begun. Gives the class of each of its events.
    pub fn batch(&mut self, unit: &RawUnit, normalized: &Normalized) -> Result<Vec<u8>, EpochError> {
        let Some(open) = self.open.as_mut() else { return Ok(Vec::new()) };
        let batch = &normalized.batch;
        let seen = self.context.risk.now().rows(&batch.rows, &unit.feed)?;
        let of_rows = self.context.policy.classify(&seen);
        let classes = self.context.policy.by_event(&of_rows, &batch.row_event, batch.events.len());
        let times = event_times(&batch.rows, &batch.row_event, batch.events.len());
        let mut locals = Vec::with_capacity(batch.events.len());
        for ((event, class), times) in batch.events.iter().zip(&classes).zip(&times) {
            let shelf = shelf(&mut self.shelves, (open.archive, *class))?;
            let place = *open.places[usize::from(*class)]
                .get_or_insert_with(|| shelf.segment.unit(open.meta.clone(), open.level));
            let bytes = &unit.bytes[event.start as usize..event.end as usize];
            locals.push(shelf.segment.push(place, event.start, bytes, &event.sha256, *times)?);
            open.residue.event(&unit.bytes, event, u32::from(*class))?;
            open.time_max_ms = open.time_max_ms.max(times.1);
        }
        for event in &batch.row_event {
            shelf(&mut self.shelves, (open.archive, classes[*event as usize]))?.rows += 1;
        }
        open.events += batch.events.len() as u64;
        open.rejects += normalized.rejects.iter().filter(|r| r.field.is_none()).count() as u64;
        self.row_bytes += batch.rows.get_array_memory_size();
        self.waiting.push(Waiting {
            rows: batch.rows.clone(),
            archive: open.archive,
            class: batch.row_event.iter().map(|e| classes[*e as usize]).collect(),
            local: batch.row_event.iter().map(|e| locals[*e as usize]).collect(),
            sub: batch.row_sub.clone(),
            feed: Arc::clone(&unit.feed),
            unit: unit.id.key(),
        });
        Ok(classes)
    }

    /// Ends the unit; `context` is what its events need to be read alone.
    pub fn end(&mut self, unit: &RawUnit, context: &Bytes) -> Result<(), EpochError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let longest = self.longest(&open.places);
        // Bytes without an event still belong to the object: they are kept where most is.
        if open.events == 0 && !unit.bytes.is_empty() {
            let shelf = shelf(&mut self.shelves, (open.archive, longest))?;
            open.places[usize::from(longest)] = Some(shelf.segment.unit(open.meta.clone(), open.level));
        }
        let residue = open.residue.finish(&unit.bytes);
        let mut shelves = Vec::new();
        for (class, place) in open.places.iter().enumerate().filter_map(|(c, p)| Some((c as u8, (*p)?))) {
            let shelf = shelf(&mut self.shelves, (open.archive, class))?;
            if let Some(meta) = shelf.segment.unit_mut(place) {
                meta.context = Bytes::copy_from_slice(context);
                meta.events_total = open.events as u32;
            }
            if class == longest {
                shelf.segment.residue(place, &residue)?;
                shelves.insert(0, (open.archive, class));
            } else {
                shelves.push((open.archive, class));
            }
        }
        let time_max_ms = if open.events == 0 { open.meta.received_ms } else { open.time_max_ms };
        let meta = open.meta;
        self.units.push(Taken {
            fact: UnitFact {
                key: unit.id.key(),
                object: meta.object,
                start: meta.start,
                end: meta.end,
                feed: meta.feed,
                source: meta.source,
                delivered_key: meta.key,
                delivered_sha256: meta.delivered_sha256,
                delivered_bytes: meta.delivered_bytes,
                received_ms: meta.received_ms,
                time_max_ms,
                segment: String::new(),
                segments: Vec::new(),
                events: open.events,
                rejects: open.rejects,
                gaps: meta.gaps,
            },
            shelves,
        });
        Ok(())
    }

    /// Notes that the last part of `unit`'s object was taken in, so that the object is known whole.
    pub fn complete(&mut self, unit: &RawUnit) {
        let (start, end) = (COMPLETE_START, COMPLETE_START);
        let id = UnitId { object: Arc::clone(&unit.id.object), start, end };
        let fact = UnitFact {
            key: id.key(),
            object: unit.id.object.to_string(),
            start,
            end,
            feed: unit.feed.to_string(),
            source: String::new(),
            delivered_key: unit.key.to_string(),
            delivered_sha256: unit.delivered.sha256,
            delivered_bytes: unit.delivered.bytes,
            received_ms: unit.received_ms,
            time_max_ms: unit.received_ms,
            segment: String::new(),
            segments: Vec::new(),
            events: 0,
            rejects: 0,
            gaps: Vec::new(),
        };
        self.units.push(Taken { fact, shelves: Vec::new() });
    }

    /// Of the classes that hold the unit, the one kept longest; of all, if none does.
    fn longest(&self, places: &[Option<u32>]) -> u8 {
        let all = 0..places.len() as u8;
        let used = all.clone().filter(|c| places[usize::from(*c)].is_some());
        let policy = &self.context.policy;
        used.reduce(|a, b| policy.stricter(a, b))
            .or_else(|| all.reduce(|a, b| policy.stricter(a, b)))
            .unwrap_or(0)
    }

    /// Memory the epoch holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.row_bytes + self.shelves.values().map(|s| s.segment.held_bytes()).sum::<usize>()
    }

    /// Number of units taken in.
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// Closes all builders together. `previous_root` is the Merkle root of the worker's last segment.
    pub fn close(
        self,
        seq: u64,
        previous_root: Option<[u8; 32]>,
        now_ms: i64,
    ) -> Result<ClosedEpoch, EpochError> {
        let mut closing = closed::Closing {
            context: &self.context,
            seq,
            now_ms,
            root: previous_root,
            parts: BTreeMap::new(),
        };
        for (shelf, building) in self.shelves {
            closing.part(shelf, building.segment, building.rows)?;
        }
        let parts = closing.parts;
        let names: Vec<Arc<str>> =
            closed::segment_names(&parts, self.context.policy.classes().len(), self.context.archives.len());
        let classes = self.context.policy.classes().len();
        let mut hot = Vec::with_capacity(self.waiting.len());
        for waiting in self.waiting {
            let archive = usize::from(waiting.archive);
            let row = waiting.class.iter().zip(&waiting.local).map(|(class, local)| {
                parts.get(&(waiting.archive, *class)).map_or(0, |part| part.segment.rows[*local as usize])
            });
            let rows = crate::hot::HotRows {
                row: row.collect(),
                rows: waiting.rows,
                class: waiting.class,
                segments: names[archive * classes..(archive + 1) * classes].into(),
                sub: waiting.sub,
                feed: waiting.feed,
            };
            hot.push((waiting.unit, waiting.archive, rows));
        }
        let units = self.units.into_iter().map(|taken| taken.named(&parts)).collect();
        Ok(ClosedEpoch { context: self.context, seq, previous_root, now_ms, parts, units, hot })
    }
}

fn shelf(shelves: &mut BTreeMap<Shelf, Building>, at: Shelf) -> Result<&mut Building, ArchiveError> {
    use std::collections::btree_map::Entry;
    Ok(match shelves.entry(at) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => {
            new.insert(Building { segment: SegmentBuilder::new(BuilderOptions::default())?, rows: 0 })
        }
    })
}

/// Earliest and latest time of each event's rows, epoch milliseconds.
fn event_times(rows: &RecordBatch, row_event: &[u32], events: usize) -> Vec<(i64, i64)> {
    let mut times = vec![(i64::MAX, i64::MIN); events];
    let column =
        columns::index("time").and_then(|at| rows.column(at).as_primitive_opt::<TimestampMicrosecondType>());
    for (micros, event) in column.map_or(&[][..], |c| c.values()).iter().zip(row_event) {
        let ms = micros.div_euclid(1000);
        let (min, max) = &mut times[*event as usize];
        (*min, *max) = ((*min).min(ms), (*max).max(ms));
    }
    times
}
