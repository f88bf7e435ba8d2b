//! The commit point: optimistic, and blind to nothing.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use arrow::array::RecordBatch;
use deltalake::{
    kernel::{Action, Add, Remove, Transaction},
    protocol::{DeltaOperation, SaveMode},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use linchpin_normalize::UnitKey;
use rustc_hash::FxHashMap;
use ulid::Ulid;

use super::{
    Fact, Head, Inner, Ledger, LedgerError, READS_MAX, check_protocol,
    columns::{COMMIT_DAY, Rows, STATS, UNIT_KEY, encode},
    commit_day, corrupt,
    fact::hex,
    files::{Which, properties},
    load,
    state::FileEntry,
};
use crate::delta::{self, DeltaError};

/// Most facts in one commit.
pub const FACTS_MAX: usize = 100_000;
/// Commits of others that one commit gives way to before it gives up.
const TRIES_MAX: u32 = 64;
/// Longest pause between two tries, in milliseconds.
const PAUSE_MS_MAX: u64 = 1000;
/// Writes that fail, and reads of the log after one, before the caller is told that nobody knows.
const OUTCOME_TRIES_MAX: u32 = 5;
/// Log entries read before their files are.
const ENTRIES_MAX: usize = 64;
/// A head that was not seen to be the last for so long is loaded anew: entries after it may have
/// been removed from the log, which keeps them for 30 days.
const HEAD_AGE_MAX: Duration = Duration::from_hours(24);

/// A commit that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Log version that holds it.
    pub version: u64,
    /// Commit time, epoch milliseconds; never goes back.
    pub at_ms: i64,
    /// UTC day of the commit time.
    pub day: Date,
}

/// Why a commit did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// These units are consumed already; nothing was committed. Rebuild without them.
    #[error("{} units of the commit are consumed already", .0.len())]
    UnitsTaken(Vec<UnitKey>),
    /// The facts make no commit; nothing was committed.
    #[error("facts cannot be committed: {0}")]
    Invalid(String),
    /// Other processes committed every time; nothing was committed. Try again later.
    #[error("gave way to {TRIES_MAX} other commits")]
    Contended,
    /// The commit may have happened. Refresh and look for the units, or for the worker's epoch,
    /// before trying again.
    #[error("outcome of the commit is unknown: {0}")]
    Unknown(#[source] LedgerError),
    /// Nothing was committed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What log entries that were not known brought.
#[derive(Debug, Default)]
pub(super) struct Landed {
    /// Files they added, by the version that did.
    adds: FxHashMap<String, u64>,
    /// Units they consumed.
    units: BTreeSet<UnitKey>,
}

impl Ledger {
    /// Commits facts, all or none; see the module's contract. Calls of one process take turns.
    pub async fn commit(&self, facts: Vec<Fact>) -> Result<Committed, CommitError> {
        self.commit_at(facts, Timestamp::now().as_millisecond()).await
    }

    /// [`Ledger::commit`] at a time that the caller's clock gives, epoch milliseconds; the commit time
    /// is later where the ledger has a later one already.
    pub async fn commit_at(&self, facts: Vec<Fact>, now_ms: i64) -> Result<Committed, CommitError> {
        let units = check(&facts)?;
        let inner = &self.inner;
        let mut head = inner.head.lock().await;
        inner.stay_fresh(&mut head).await?;
        let taken = inner.taken(&units).await?;
        if !taken.is_empty() {
            return Err(CommitError::UnitsTaken(taken.into_iter().collect()));
        }
        let at_ms = now_ms.max(inner.state().last_at_ms);
        let day = day_of(at_ms);
        let batch = encode(&facts, at_ms).map_err(|e| CommitError::Invalid(e.to_string()))?;
        let partition = [(COMMIT_DAY, Some(day.to_string()))];
        let writer = properties(batch.num_rows(), false);
        let add = delta::write_file(&inner.log, &partition, vec![batch.clone()], writer, STATS)
            .await
            .map_err(LedgerError::from)?;
        let version = Attempt::new(inner, add, batch, &facts, day).run(&mut head).await?;
        inner.tidy(version);
        Ok(Committed { version, at_ms, day })
    }
}

/// One commit under way: its file is written, but no log entry names it yet.
pub(super) struct Attempt<'a> {
    inner: &'a Inner,
    add: Add,
    batch: RecordBatch,
    units: Vec<UnitKey>,
    transactions: Vec<Transaction>,
    day: Date,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(inner: &'a Inner, add: Add, batch: RecordBatch, facts: &[Fact], day: Date) -> Self {
        let units = facts.iter().filter_map(Fact::unit).collect();
        Self { inner, add, batch, units, transactions: transactions(facts), day }
    }

    pub(super) async fn run(self, head: &mut Head) -> Result<u64, CommitError> {
        // The error of a write that may yet land.
        let mut unsure = None;
        let mut failures = 0;
        let mut landed = Landed::default();
        for attempt in 0..TRIES_MAX {
            let operation = DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec![COMMIT_DAY.to_owned()]),
                predicate: None,
            };
            let actions = vec![Action::Add(self.add.clone())];
            let target = head.version + 1;
            let written =
                delta::append(&self.inner.log, target, actions, operation, self.transactions.clone()).await;
            match written {
                Ok(true) => return self.folded(head, target),
                Ok(false) => self.inner.catch_up(head, &mut landed).await.map_err(CommitError::Unknown)?,
                Err(e) => {
                    self.outcome(head, &mut landed, &e).await?;
                    unsure = Some(e);
                    failures += 1;
                }
            }
            // An answer may have been lost on the way: the entry that won can be our own.
            if let Some(version) = landed.adds.get(&self.add.path) {
                return Ok(*version);
            }
            if head.version >= target {
                unsure = None;
            }
            let taken: Vec<UnitKey> =
                self.units.iter().copied().filter(|u| landed.units.contains(u)).collect();
            if !taken.is_empty() {
                // Our target version belongs to another commit, so nobody will ever name this file.
                delta::discard(&self.inner.log, &self.add.path).await;
                return Err(CommitError::UnitsTaken(taken));
            }
            if failures == OUTCOME_TRIES_MAX {
                break;
            }
            pause(attempt).await;
        }
        Err(unsure.map_or(CommitError::Contended, |e| CommitError::Unknown(e.into())))
    }

    fn folded(&self, head: &mut Head, version: u64) -> Result<u64, CommitError> {
        let entry = FileEntry {
            day: self.day,
            size: self.add.size.cast_unsigned(),
            rows: self.batch.num_rows() as u64,
            cold: false,
        };
        let folded = self.inner.state_mut().fold(&self.add.path, entry, std::slice::from_ref(&self.batch));
        folded.map_err(|e| CommitError::Unknown(corrupt(&self.add.path, &e)))?;
        *head = Head { version, seen: SystemTime::now() };
        Ok(version)
    }

    /// Reads on after a failed write. If the log shows no entry, the same version is tried again: of
    /// two writes of one version the store takes one, and both name the same file.
    async fn outcome(
        &self,
        head: &mut Head,
        landed: &mut Landed,
        error: &DeltaError,
    ) -> Result<(), CommitError> {
        tracing::warn!(%error, "outcome of a ledger commit is unknown, reading the log");
        let mut attempt = 0;
        loop {
            attempt += 1;
            pause(attempt).await;
            match self.inner.catch_up(head, landed).await {
                Ok(()) => return Ok(()),
                Err(e) if attempt == OUTCOME_TRIES_MAX => return Err(CommitError::Unknown(e)),
                Err(error) => tracing::warn!(%error, "the ledger's log cannot be read"),
            }
        }
    }
}

impl Inner {
    /// Folds all log entries after the head, and notes in `landed` what they brought, also when it
    /// fails half-way.
    pub(super) async fn catch_up(&self, head: &mut Head, landed: &mut Landed) -> Result<(), LedgerError> {
        loop {
            let seen = SystemTime::now();
            let mut entries = Vec::new();
            while entries.len() < ENTRIES_MAX {
                let version = head.version + 1 + entries.len() as u64;
                let Some(actions) = delta::entry(&self.log, version).await? else { break };
                entries.push(Entry::new(version, actions)?);
            }
            let last = entries.len() < ENTRIES_MAX;
            let mut reads = stream::iter(entries).map(|e| e.read(self)).buffered(READS_MAX);
            while let Some(entry) = reads.try_next().await? {
                let version = entry.version;
                entry.fold(self, landed)?;
                head.version = version;
            }
            if last {
                head.seen = seen;
                return Ok(());
            }
        }
    }

    /// Loads the whole state anew where the head is too old to be read on from. Never between two
    /// tries of a commit, which has to know what landed between them.
    pub(super) async fn stay_fresh(&self, head: &mut Head) -> Result<(), LedgerError> {
        // A clock that went back says nothing: reload as well.
        if head.seen.elapsed().is_ok_and(|age| age < HEAD_AGE_MAX) {
            return Ok(());
        }
        let Some(table) = delta::load(&self.place).await? else {
            return Err(corrupt("_delta_log", &"the table is gone"));
        };
        let (state, new) = load(&table, &self.files, self.options.keys_max).await?;
        *self.state_mut() = state;
        *head = new;
        Ok(())
    }
}

/// A log entry on its way into the state.
struct Entry {
    version: u64,
    adds: Vec<(String, FileEntry, bool)>,
    removes: Vec<String>,
    batches: Vec<Vec<RecordBatch>>,
}

impl Entry {
    fn new(version: u64, actions: Vec<Action>) -> Result<Self, LedgerError> {
        let mut entry = Self { version, adds: Vec::new(), removes: Vec::new(), batches: Vec::new() };
        for action in actions {
            match action {
                Action::Add(add) => entry.adds.push(file_entry(add)?),
                Action::Remove(Remove { path, .. }) => entry.removes.push(path),
                Action::Protocol(protocol) => check_protocol(&protocol)?,
                _ => {}
            }
        }
        Ok(entry)
    }

    /// Reads the files with new rows; rearranged rows were folded before.
    async fn read(mut self, inner: &Inner) -> Result<Self, LedgerError> {
        for (path, entry, new) in &self.adds {
            let batches =
                if *new { inner.files.read(path, entry.size, Which::All).await? } else { Vec::new() };
            self.batches.push(batches);
        }
        Ok(self)
    }

    fn fold(self, inner: &Inner, landed: &mut Landed) -> Result<(), LedgerError> {
        let mut state = inner.state_mut();
        let mut rearranged = Vec::new();
        for ((path, entry, new), batches) in self.adds.into_iter().zip(self.batches) {
            landed.adds.insert(path.clone(), self.version);
            if !new {
                rearranged.push((path, entry));
                continue;
            }
            landed.units.extend(batches.iter().flat_map(units_of));
            state.fold(&path, entry, &batches).map_err(|e| corrupt(&path, &e))?;
        }
        state.rearrange(&self.removes, rearranged);
        Ok(())
    }
}

fn units_of(batch: &RecordBatch) -> impl Iterator<Item = UnitKey> {
    let rows = Rows::new(batch);
    (0..batch.num_rows()).filter_map(move |row| rows.text(UNIT_KEY, row).and_then(hex::parse).map(UnitKey))
}

/// Path, bookkeeping, and whether the rows are new.
fn file_entry(add: Add) -> Result<(String, FileEntry, bool), LedgerError> {
    let day = add.partition_values.get(COMMIT_DAY).and_then(Option::as_deref);
    let stats = add.stats.as_deref().and_then(|s| serde_json::from_str::<serde_json::Value>(s).ok());
    let entry = FileEntry {
        day: commit_day(&add.path, day)?,
        size: add.size.cast_unsigned(),
        rows: stats.and_then(|s| s.get("numRecords")?.as_u64()).unwrap_or(0),
        cold: false,
    };
    Ok((add.path, entry, add.data_change))
}

/// The units of a commit, each of them once.
fn check(facts: &[Fact]) -> Result<Vec<UnitKey>, CommitError> {
    if facts.is_empty() || facts.len() > FACTS_MAX {
        return Err(CommitError::Invalid(format!(
            "{} facts, but a commit has 1 to {FACTS_MAX}",
            facts.len()
        )));
    }
    let units: Vec<UnitKey> = facts.iter().filter_map(Fact::unit).collect();
    let mut seen = BTreeSet::new();
    match units.iter().find(|unit| !seen.insert(**unit)) {
        Some(twice) => Err(CommitError::Invalid(format!("unit `{twice}` is in it twice"))),
        None => Ok(units),
    }
}

/// Application transactions: each worker's epoch.
fn transactions(facts: &[Fact]) -> Vec<Transaction> {
    let mut latest = FxHashMap::default();
    for fact in facts {
        if let Fact::SegmentCreated(segment) = fact {
            let seq = latest.entry(segment.worker.as_str()).or_insert(segment.seq);
            *seq = segment.seq.max(*seq);
        }
    }
    latest.into_iter().map(|(worker, seq)| Transaction::new(worker, seq.cast_signed())).collect()
}

pub(super) fn day_of(at_ms: i64) -> Date {
    let time = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(time).date()
}

/// Waits a random time, longer with every try.
pub(super) async fn pause(attempt: u32) {
    let most = (5_u64 << attempt.min(10)).min(PAUSE_MS_MAX);
    let random = Ulid::new().random() as u64 % most;
    tokio::time::sleep(Duration::from_millis(random)).await;
}
