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
    AppliedFact, COMPLETE_START, Fact, HeldFact, RepackedFact, SegmentFact,
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
    /// Cases whose legal hold is on it.
    pub holds: Vec<String>,
    /// Objects (store, key) that it has moved away from and that are not freed yet.
    pub left: Vec<(String, String)>,
    place: Arc<SegmentPlace>,
    /// Freed before it was known that the segment had been there.
    freed: Vec<(String, String)>,
}

/// Where the bytes of a segment are: all that a reader needs, and the only thing it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Name of the store.
    pub store: String,
    /// Key of the object that holds them.
    pub object: String,
    /// First byte in it; the object is the segment itself where this is 0 and nothing else is in it.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// Storage class of the object, in the provider's word.
    pub tier: String,
    /// Until when an archived object can be read, epoch milliseconds.
    pub restored_until_ms: Option<i64>,
    /// Since when they are in this object, epoch milliseconds.
    pub since_ms: i64,
    /// Since when the object is in this class, epoch milliseconds.
    pub tier_since_ms: i64,
    /// When it was restored.
    restored_ms: i64,
}

impl SegmentPlace {
    /// One past the last byte.
    pub const fn end(&self) -> u64 {
        self.offset + self.length
    }
}

impl SegmentState {
    /// Where its bytes are now.
    pub fn place(&self) -> &SegmentPlace {
        &self.place
    }

    fn new(fact: SegmentFact, committed_ms: i64) -> Self {
        let place = SegmentPlace {
            store: fact.store.clone(),
            object: fact.object.clone(),
            offset: 0,
            length: fact.stored_bytes,
            sha256: fact.sha256,
            tier: fact.tier.clone(),
            restored_until_ms: None,
            since_ms: committed_ms,
            tier_since_ms: committed_ms,
            restored_ms: committed_ms,
        };
        Self {
            fact: Arc::new(fact),
            committed_ms,
            tombstoned_ms: None,
            holds: Vec::new(),
            left: Vec::new(),
            place: Arc::new(place),
            freed: Vec::new(),
        }
    }

    fn repacked(&mut self, at_ms: i64, fact: RepackedFact) {
        // The object that it is not in any more, whichever fact comes first.
        let mut other = (fact.store, fact.object);
        if at_ms >= self.place.since_ms {
            let place = Arc::make_mut(&mut self.place);
            std::mem::swap(&mut place.store, &mut other.0);
            std::mem::swap(&mut place.object, &mut other.1);
            (place.offset, place.length, place.sha256) = (fact.offset, fact.stored_bytes, fact.sha256);
            place.since_ms = at_ms;
            // A move of the same moment was made after it.
            if at_ms > place.tier_since_ms || place.tier_since_ms == self.committed_ms {
                (place.tier, place.tier_since_ms) = (fact.tier, at_ms);
            }
            if place.restored_ms < at_ms {
                place.restored_until_ms = None;
            }
        }
        match self.freed.iter().position(|freed| *freed == other) {
            Some(at) => drop(self.freed.swap_remove(at)),
            None => self.left.push(other),
        }
    }

    fn moved(&mut self, at_ms: i64, tier: String) {
        if at_ms >= self.place.tier_since_ms {
            let place = Arc::make_mut(&mut self.place);
            (place.tier, place.tier_since_ms) = (tier, at_ms);
            if place.restored_ms < at_ms {
                place.restored_until_ms = None;
            }
        }
    }

    fn restored(&mut self, at_ms: i64, until_ms: i64) {
        let place = Arc::make_mut(&mut self.place);
        if at_ms >= place.tier_since_ms {
            place.restored_until_ms = place.restored_until_ms.max(Some(until_ms));
        }
        place.restored_ms = place.restored_ms.max(at_ms);
    }

    fn free(&mut self, store: String, object: String) {
        let gone = (store, object);
        match self.left.iter().position(|left| *left == gone) {
            Some(at) => drop(self.left.swap_remove(at)),
            None => self.freed.push(gone),
        }
    }
}

/// A case whose legal hold is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldState {
    /// Case.
    pub case: String,
    /// What is asked for.
    pub predicate: String,
    /// Event times from here on, epoch milliseconds.
    pub from_ms: Option<i64>,
    /// Event times before this, epoch milliseconds.
    pub to_ms: Option<i64>,
    /// Segments that it keeps.
    pub segments: FxHashSet<String>,
    /// Segments committed later were not looked at yet, epoch milliseconds.
    pub looked_ms: i64,
    /// Who placed it first.
    pub by: String,
    /// When, epoch milliseconds.
    pub at_ms: i64,
}

impl HoldState {
    /// Whether a segment must be kept for it: named, or not looked at yet and of fitting times.
    pub fn keeps(&self, segment: &SegmentState) -> bool {
        let fact = &segment.fact;
        self.segments.contains(&fact.id)
            || (segment.committed_ms > self.looked_ms
                && self.from_ms.is_none_or(|from| fact.time_max_ms >= from)
                && self.to_ms.is_none_or(|to| fact.time_min_ms < to))
    }
}

/// What is known of a case, whatever the order in which its facts came.
#[derive(Debug, Default)]
struct Case {
    held: Vec<(i64, HeldFact)>,
    released_ms: Option<i64>,
}

impl Case {
    /// A hold of the moment of a release was placed after it: when in doubt, keep.
    fn state(&self) -> Option<HoldState> {
        let mut held: Vec<_> = self
            .held
            .iter()
            .filter(|(at, _)| self.released_ms.is_none_or(|released| *at >= released))
            .collect();
        held.sort_by_key(|(at, _)| *at);
        let (at_ms, first) = held.first()?;
        Some(HoldState {
            case: first.case.clone(),
            predicate: first.predicate.clone(),
            from_ms: held.iter().map(|(_, h)| h.from_ms).min()?,
            to_ms: if held.iter().any(|(_, h)| h.to_ms.is_none()) {
                None
            } else {
                held.iter().filter_map(|(_, h)| h.to_ms).max()
            },
            segments: held.iter().flat_map(|(_, h)| h.segments.iter().cloned()).collect(),
            looked_ms: held.iter().map(|(_, h)| h.looked_ms).max()?,
            by: first.by.clone(),
            at_ms: *at_ms,
        })
    }
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
    /// Cases with a hold in force.
    pub(super) holds: BTreeMap<String, HoldState>,
    cases: BTreeMap<String, Case>,
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
            holds: BTreeMap::new(),
            cases: BTreeMap::new(),
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
            Fact::Held(held) => self.case(held.case.clone(), |case| case.held.push((at_ms, held))),
            Fact::Released { case, .. } => {
                self.case(case, |case| {
                    case.released_ms = case.released_ms.max(Some(at_ms));
                    let released_ms = case.released_ms;
                    case.held.retain(|(at, _)| Some(*at) >= released_ms);
                });
            }
            Fact::HotExpired { class, day } => {
                self.hot_expired.insert((class, day));
            }
            Fact::Applied(fact) => {
                if self.applied.as_ref().is_none_or(|a| a.at_ms <= at_ms) {
                    self.applied = Some(AppliedState { fact, at_ms });
                }
            }
            Fact::WorkerClosed { worker } => self.workers.entry(worker).or_default().closed = true,
            Fact::Repacked(RepackedFact { ref segment, .. })
            | Fact::Moved { ref segment, .. }
            | Fact::Freed { ref segment, .. }
            | Fact::Restored { ref segment, .. }
            | Fact::Tombstoned { ref segment, .. }
            | Fact::Deleted { ref segment, .. } => {
                let segment = segment.clone();
                self.of_segment(&segment, at_ms, fact);
            }
            // Units have columns of their own; the others do not change this state.
            Fact::UnitConsumed(_) | Fact::OutputGap { .. } | Fact::HotRebuilt(_) | Fact::Unknown(_) => {}
        }
    }

    /// Folds a fact about one segment, or keeps it until the segment is known.
    fn of_segment(&mut self, id: &str, at_ms: i64, fact: Fact) {
        let Some(state) = self.segments.get_mut(id) else {
            self.early.entry(id.to_owned()).or_default().push((at_ms, fact));
            return;
        };
        match fact {
            Fact::Repacked(fact) => state.repacked(at_ms, fact),
            Fact::Moved { tier, .. } => state.moved(at_ms, tier),
            Fact::Freed { store, object, .. } => state.free(store, object),
            Fact::Restored { until_ms, .. } => state.restored(at_ms, until_ms),
            Fact::Tombstoned { .. } => state.tombstoned_ms = state.tombstoned_ms.max(Some(at_ms)),
            Fact::Deleted { .. } => {
                if let Some(state) = self.segments.remove(id) {
                    self.deleted_roots.insert(state.fact.merkle_root);
                    self.leave_lane(&state.fact);
                }
            }
            _ => {}
        }
    }

    fn case(&mut self, name: String, change: impl FnOnce(&mut Case)) {
        let case = self.cases.entry(name.clone()).or_default();
        change(case);
        match case.state() {
            Some(hold) => drop(self.holds.insert(name, hold)),
            None => drop(self.holds.remove(&name)),
        }
    }

    /// A segment as it is seen from outside: with its holds.
    pub(super) fn view(&self, segment: &SegmentState) -> SegmentState {
        let holds = self.holds.values().filter(|hold| hold.keeps(segment));
        SegmentState { holds: holds.map(|hold| hold.case.clone()).collect(), ..segment.clone() }
    }

    fn created(&mut self, at_ms: i64, segment: SegmentFact) {
        let worker = self.workers.entry(segment.worker.clone()).or_default();
        worker.max_seq = worker.max_seq.max(segment.seq);
        worker.last_commit_ms = worker.last_commit_ms.max(at_ms);
        let lane = self.lanes.entry(segment.worker.clone()).or_default();
        lane.entry(segment.seq).or_default().push(segment.id.clone());
        let id = segment.id.clone();
        self.segments.insert(id.clone(), SegmentState::new(segment, at_ms));
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
