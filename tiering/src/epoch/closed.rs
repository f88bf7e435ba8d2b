//! A closed epoch: finished segments, and what the ledger and the hot table are told of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::compute::concat_batches;
use linchpin_normalize::{UnitKey, columns};

use super::{EpochContext, EpochError, Shelf, Taken};
use crate::{
    archive::{BuilderOptions, ClosedSegment, SegmentBuilder, SegmentHeader, UnitMeta, without_units},
    hot::HotRows,
    ledger::{Fact, SegmentFact, UnitFact},
};

/// Rows that small batches are joined to before they are sorted: sorting costs per batch.
const JOIN_ROWS: usize = 1024;

impl Taken {
    pub(super) fn named(self, parts: &BTreeMap<Shelf, Part>) -> (UnitFact, Vec<Shelf>) {
        let ids: Vec<String> =
            self.shelves.iter().filter_map(|s| parts.get(s)).map(|part| part.segment.id.clone()).collect();
        let segment = ids.first().cloned().unwrap_or_default();
        (UnitFact { segment, segments: ids, ..self.fact }, self.shelves)
    }
}

pub(super) struct Part {
    pub(super) segment: ClosedSegment,
    rows: u64,
    sources: Vec<String>,
}

pub(super) struct Closing<'a> {
    pub(super) context: &'a EpochContext,
    pub(super) seq: u64,
    pub(super) now_ms: i64,
    pub(super) root: Option<[u8; 32]>,
    pub(super) parts: BTreeMap<Shelf, Part>,
}

impl Closing<'_> {
    pub(super) fn part(
        &mut self,
        shelf: Shelf,
        builder: SegmentBuilder,
        rows: u64,
    ) -> Result<(), EpochError> {
        let header = SegmentHeader {
            worker: self.context.worker.to_string(),
            seq: self.seq,
            class: self.context.policy.classes()[usize::from(shelf.1)].name.clone(),
            archive: self.context.archives[usize::from(shelf.0)].to_string(),
            previous_root: self.root,
            commit_ms: self.now_ms,
            policy: self.context.policy_ref.clone(),
        };
        let sources = builder.sources().to_vec();
        let segment = builder.close(header)?;
        self.root = Some(segment.merkle_root);
        self.parts.insert(shelf, Part { segment, rows, sources });
        Ok(())
    }
}

/// For each archive and class, the id of its segment, or nothing.
pub(super) fn segment_names(parts: &BTreeMap<Shelf, Part>, classes: usize, archives: usize) -> Vec<Arc<str>> {
    let shelves = (0..archives as u16).flat_map(|a| (0..classes as u8).map(move |c| (a, c)));
    shelves.map(|shelf| parts.get(&shelf).map_or("", |part| &part.segment.id).into()).collect()
}

/// An epoch whose segments are finished.
pub struct ClosedEpoch {
    pub(super) context: EpochContext,
    /// Sequence number of the epoch among its worker's.
    pub seq: u64,
    pub(super) previous_root: Option<[u8; 32]>,
    pub(super) now_ms: i64,
    pub(super) parts: BTreeMap<Shelf, Part>,
    pub(super) units: Vec<(UnitFact, Vec<Shelf>)>,
    /// Rows with their unit and archive.
    pub(super) hot: Vec<(UnitKey, u16, HotRows)>,
}

impl ClosedEpoch {
    /// The segments, each with the index of its archive.
    pub fn segments(&self) -> impl Iterator<Item = (u16, &ClosedSegment)> {
        self.parts.iter().map(|((archive, _), part)| (*archive, &part.segment))
    }

    /// Facts of the units.
    pub fn units(&self) -> impl Iterator<Item = &UnitFact> {
        self.units.iter().map(|(fact, _)| fact)
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.hot.iter().map(|(_, _, rows)| rows.rows.num_rows() as u64).sum()
    }

    /// Merkle root of the last segment: the next epoch's `previous_root`.
    pub fn last_root(&self) -> Option<[u8; 32]> {
        self.parts.values().last().map(|part| part.segment.merkle_root).or(self.previous_root)
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// What the ledger is told; `tier` gives the storage class that an archive puts segments with.
    pub fn facts(&self, tier: impl Fn(&str) -> &'static str) -> Vec<Fact> {
        let mut facts = Vec::with_capacity(self.parts.len() + self.units.len());
        for ((archive, _), part) in &self.parts {
            let segment = &part.segment;
            let store = &self.context.archives[usize::from(*archive)];
            facts.push(Fact::SegmentCreated(SegmentFact {
                id: segment.id.clone(),
                object: segment.object_key.clone(),
                store: store.to_string(),
                tier: tier(store).to_owned(),
                retention: segment.header.class.clone(),
                feeds: segment.feeds.clone(),
                sources: part.sources.clone(),
                worker: segment.header.worker.clone(),
                seq: self.seq,
                time_min_ms: segment.time_min_ms,
                time_max_ms: segment.time_max_ms,
                events: u64::from(segment.events),
                rows: part.rows,
                raw_bytes: segment.raw_bytes,
                stored_bytes: segment.bytes.len() as u64,
                sha256: segment.sha256,
                merkle_root: segment.merkle_root,
                prev_root: segment.header.previous_root.unwrap_or_default(),
            }));
        }
        facts.extend(self.units.iter().map(|(fact, _)| Fact::UnitConsumed(fact.clone())));
        facts
    }

    /// The rows, small batches joined, ready to be sorted into files.
    pub fn into_hot_rows(self) -> Result<Vec<HotRows>, EpochError> {
        join(self.hot.into_iter().map(|(_, _, rows)| rows))
    }

    /// The same epoch without the units of `taken`: segments are built again from their own bytes,
    /// under new names. `level` gives the zstd level of a source.
    pub fn without(self, taken: &BTreeSet<UnitKey>, level: &dyn Fn(&str) -> i32) -> Result<Self, EpochError> {
        let mut closing = Closing {
            context: &self.context,
            seq: self.seq,
            now_ms: self.now_ms,
            root: self.previous_root,
            parts: BTreeMap::new(),
        };
        let mut moved: BTreeMap<Shelf, Vec<Option<u32>>> = BTreeMap::new();
        for (shelf, part) in &self.parts {
            let gone = |unit: &UnitMeta| taken.contains(&unit.id().key());
            let of_unit = |unit: &UnitMeta| level(&unit.source);
            let (builder, rows) =
                without_units(&part.segment.bytes, BuilderOptions::default(), &gone, &of_unit)?;
            if builder.is_empty() {
                continue;
            }
            let kept =
                self.hot.iter().filter(|(unit, archive, _)| *archive == shelf.0 && !taken.contains(unit));
            let of_class = |class: &&u8| **class == shelf.1;
            let rows_left = kept.map(|(_, _, rows)| rows.class.iter().filter(of_class).count() as u64).sum();
            closing.part(*shelf, builder, rows_left)?;
            moved.insert(*shelf, rows);
        }
        let parts = closing.parts;
        let classes = self.context.policy.classes().len();
        let names = segment_names(&parts, classes, self.context.archives.len());
        let mut hot = Vec::new();
        for (unit, archive, mut rows) in self.hot.into_iter().filter(|(unit, ..)| !taken.contains(unit)) {
            rows.segments =
                names[usize::from(archive) * classes..(usize::from(archive) + 1) * classes].into();
            for (row, class) in rows.row.iter_mut().zip(&rows.class) {
                let shelf = (archive, *class);
                let local = moved.get(&shelf).and_then(|rows| rows.get(*row as usize).copied().flatten());
                let segment = parts.get(&shelf).map(|part| &part.segment);
                *row = local.zip(segment).map_or(0, |(local, segment)| segment.rows[local as usize]);
            }
            hot.push((unit, archive, rows));
        }
        let units = self.units.into_iter().filter(|(fact, _)| !taken.contains(&fact.key));
        let units = units.map(|(fact, shelves)| Taken { fact, shelves }.named(&parts)).collect();
        let Self { context, seq, previous_root, now_ms, .. } = self;
        Ok(Self { context, seq, previous_root, now_ms, parts, units, hot })
    }
}

/// Joins consecutive small batches of one feed.
fn join(all: impl Iterator<Item = HotRows>) -> Result<Vec<HotRows>, EpochError> {
    let mut out: Vec<HotRows> = Vec::new();
    let mut run: Vec<HotRows> = Vec::new();
    let mut rows = 0;
    for next in all {
        let alike =
            run.first().is_none_or(|first| first.feed == next.feed && first.segments == next.segments);
        if !alike || rows + next.rows.num_rows() > JOIN_ROWS {
            out.extend(joined(std::mem::take(&mut run))?);
            rows = 0;
        }
        rows += next.rows.num_rows();
        run.push(next);
    }
    out.extend(joined(run)?);
    Ok(out)
}

fn joined(mut run: Vec<HotRows>) -> Result<Option<HotRows>, EpochError> {
    if run.len() < 2 {
        return Ok(run.pop());
    }
    let rows = concat_batches(&columns::schema(), run.iter().map(|r| &r.rows))?;
    let all = |of: fn(&HotRows) -> &[u32]| run.iter().flat_map(|r| of(r).iter().copied()).collect();
    Ok(Some(HotRows {
        rows,
        class: run.iter().flat_map(|r| r.class.iter().copied()).collect(),
        row: all(|r| &r.row),
        sub: all(|r| &r.sub),
        segments: Arc::clone(&run[0].segments),
        feed: Arc::clone(&run[0].feed),
    }))
}
