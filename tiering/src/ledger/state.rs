//! The fold of the facts. It gives the same state in whatever order the facts of a segment arrive,
//! as compaction sorts rows by other columns than time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::array::RecordBatch;
use jiff::civil::Date;
use linchpin_normalize::UnitKey;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    AppliedFact, COMPLETE_START, Fact, SegmentFact,
    columns::{KIND, Rows, UNIT_CONSUMED, UNIT_KEY},
    fact::hex,
    recent::Recent,
};

/// A segment now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentState {
    /// As it was created.
    pub fact: Arc<SegmentFact>,
    /// When its creation was committed, epoch milliseconds: archive expiry counts from here.
    pub committed_ms: i64,
    /// When it was tombstoned, epoch milliseconds.
    pub tombstoned_ms: Option<i64>,
}

/// A worker that has written segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerState {
    /// Highest epoch committed.
    pub max_seq: u64,
    /// Time of its last commit, epoch milliseconds.
    pub last_commit_ms: i64,
    /// Closed: its lanes are drained.
    pub closed: bool,
}

/// What came in through a feed lately: since the oldest unit that is still in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedState {
    /// Units consumed.
    pub units: u64,
    /// Raw events in them.
    pub events: u64,
    /// Rejects found in them.
    pub rejects: u64,
    /// Units whose delivery lacked something.
    pub units_with_gaps: u64,
    /// Key of the newest delivered object.
    pub last_object: String,
    /// When that object was written, epoch milliseconds.
    pub last_received_ms: i64,
    /// Latest event time seen, epoch milliseconds.
    pub last_event_ms: i64,
    /// Time of the last commit, epoch milliseconds.
    pub last_commit_ms: i64,
}

/// The policy that was applied last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedState {
    /// As it was applied.
    pub fact: AppliedFact,
    /// When, epoch milliseconds.
    pub at_ms: i64,
}

/// A file of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEntry {
    pub(super) day: Date,
    pub(super) size: u64,
    pub(super) rows: u64,
    /// Its unit keys are not in memory.
    pub(super) cold: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) files: BTreeMap<String, FileEntry>,
    pub(super) recent: Recent,
    pub(super) segments: FxHashMap<String, SegmentState>,
    /// Segments of a worker's epochs, for lanes.
    pub(super) lanes: BTreeMap<String, BTreeMap<u64, Vec<String>>>,
    pub(super) workers: BTreeMap<String, WorkerState>,
    pub(super) hot_expired: BTreeSet<(String, Date)>,
    pub(super) applied: Option<AppliedState>,
    pub(super) feeds: BTreeMap<String, FeedState>,
    /// Merkle roots of deleted segments: the chains of their workers still pass them.
    pub(super) deleted_roots: FxHashSet<[u8; 32]>,
    /// Facts about segments whose creation was not folded yet.
    early: FxHashMap<String, Vec<(i64, Fact)>>,
    /// Latest commit time, so that it never goes back.
    pub(super) last_at_ms: i64,
}

impl State {
    pub(super) fn new(keys_max: usize) -> Self {
        Self {
            files: BTreeMap::new(),
            recent: Recent::new(keys_max),
            segments: FxHashMap::default(),
            lanes: BTreeMap::new(),
            workers: BTreeMap::new(),
            hot_expired: BTreeSet::new(),
            applied: None,
            feeds: BTreeMap::new(),
            deleted_roots: FxHashSet::default(),
            early: FxHashMap::default(),
            last_at_ms: 0,
        }
    }

    /// Folds a new file, all of it or (a cold one) without its unit rows.
    pub(super) fn fold(
        &mut self,
        path: &str,
        entry: FileEntry,
        batches: &[RecordBatch],
    ) -> Result<(), serde_json::Error> {
        let mut keys = Vec::new();
        for batch in batches {
            let rows = Rows::new(batch);
            for row in 0..batch.num_rows() {
                let at_ms = rows.at_ms(row);
                self.last_at_ms = self.last_at_ms.max(at_ms);
                if rows.text(KIND, row) == Some(UNIT_CONSUMED) {
                    keys.extend(rows.text(UNIT_KEY, row).and_then(hex::parse).map(UnitKey));
                    self.unit(&rows, row, at_ms);
                } else {
                    self.fact(at_ms, rows.fact(row)?);
                }
            }
        }
        let cold = entry.cold;
        self.files.insert(path.to_owned(), entry);
        if !cold {
            for file in self.recent.insert(path, keys.into_iter()) {
                if let Some(entry) = self.files.get_mut(&file) {
                    entry.cold = true;
                }
            }
        }
        Ok(())
    }

    /// `old` files are gone; `new` ones hold the same rows.
    pub(super) fn rearrange(&mut self, old: &[String], new: Vec<(String, FileEntry)>) {
        if old.is_empty() && new.is_empty() {
            return;
        }
        // Rows from a file that is not known here were not folded with their keys.
        let gone: Vec<Option<FileEntry>> = old.iter().map(|p| self.files.remove(p)).collect();
        let cold = gone.is_empty() || gone.iter().any(|f| f.as_ref().is_none_or(|f| f.cold));
        let paths: Vec<String> = new.iter().map(|(path, _)| path.clone()).collect();
        if !cold {
            self.recent.replace(&old.iter().map(String::as_str).collect::<FxHashSet<_>>(), &paths);
        }
        self.files.extend(new.into_iter().map(|(path, entry)| (path, FileEntry { cold, ..entry })));
    }

    fn unit(&mut self, rows: &Rows<'_>, row: usize, at_ms: i64) {
        let long = |name| rows.long(name, row).unwrap_or(0);
        // A mark that an object is complete is no unit of its own.
        if long("unit_start").cast_unsigned() == COMPLETE_START {
            return;
        }
        let feed = self.feeds.entry(rows.text("feed", row).unwrap_or_default().to_owned()).or_default();
        feed.units += 1;
        feed.events += long("events").cast_unsigned();
        feed.rejects += long("rejects").cast_unsigned();
        feed.units_with_gaps += u64::from(rows.text("gaps", row).is_some());
        feed.last_event_ms = feed.last_event_ms.max(long("time_max_ms"));
        feed.last_commit_ms = feed.last_commit_ms.max(at_ms);
        if long("received_ms") >= feed.last_received_ms {
            feed.last_received_ms = long("received_ms");
            rows.text("delivered_key", row).unwrap_or_default().clone_into(&mut feed.last_object);
        }
    }

    fn fact(&mut self, at_ms: i64, fact: Fact) {
        match fact {
            Fact::SegmentCreated(segment) => self.created(at_ms, segment),
            Fact::Tombstoned { ref segment } => match self.segments.get_mut(segment) {
                Some(state) => state.tombstoned_ms = state.tombstoned_ms.max(Some(at_ms)),
                None => self.early.entry(segment.clone()).or_default().push((at_ms, fact)),
            },
            Fact::Deleted { ref segment } => match self.segments.remove(segment) {
                Some(state) => {
                    self.deleted_roots.insert(state.fact.merkle_root);
                    self.leave_lane(&state.fact);
                }
                None => self.early.entry(segment.clone()).or_default().push((at_ms, fact)),
            },
            Fact::HotExpired { class, day } => {
                self.hot_expired.insert((class, day));
            }
            Fact::Applied(fact) => {
                if self.applied.as_ref().is_none_or(|a| a.at_ms <= at_ms) {
                    self.applied = Some(AppliedState { fact, at_ms });
                }
            }
            Fact::WorkerClosed { worker } => self.workers.entry(worker).or_default().closed = true,
            // Units have columns of their own; what a newer version says does not change this state.
            Fact::UnitConsumed(_) | Fact::Unknown(_) => {}
        }
    }

    fn created(&mut self, at_ms: i64, segment: SegmentFact) {
        let worker = self.workers.entry(segment.worker.clone()).or_default();
        worker.max_seq = worker.max_seq.max(segment.seq);
        worker.last_commit_ms = worker.last_commit_ms.max(at_ms);
        let lane = self.lanes.entry(segment.worker.clone()).or_default();
        lane.entry(segment.seq).or_default().push(segment.id.clone());
        let id = segment.id.clone();
        let state = SegmentState { fact: Arc::new(segment), committed_ms: at_ms, tombstoned_ms: None };
        self.segments.insert(id.clone(), state);
        for (at_ms, fact) in self.early.remove(&id).unwrap_or_default() {
            self.fact(at_ms, fact);
        }
    }

    fn leave_lane(&mut self, segment: &SegmentFact) {
        let Some(lane) = self.lanes.get_mut(&segment.worker) else { return };
        if let Some(ids) = lane.get_mut(&segment.seq) {
            ids.retain(|id| *id != segment.id);
            if ids.is_empty() {
                lane.remove(&segment.seq);
            }
        }
    }
}
