//! A worker: takes objects in, builds epochs, commits them, serves its own lanes.

use std::{
    collections::BTreeSet,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use crossbeam_channel::Receiver;
use linchpin_ingest::{Body, Inflater, IngestError, Lease, Limits, Outcome, UnitReader, missing_unit};
use linchpin_integration::OutEvent;
use linchpin_normalize::{Carry, Normalized, Normalizer, Part, RawUnit, ReplayUnit, UnitFacts, UnitKey};
use linchpin_store::StoreError;
use linchpin_tiering::{
    LakeError,
    enforce::first_lock,
    epoch::{ClosedEpoch, Epoch, EpochContext},
    hot,
    ledger::CommitError,
};
use tokio::runtime::Handle;
use ulid::Ulid;

use super::{
    Job, PART_BYTES, Shared,
    ahead::{Ahead, Next},
    feeds::may_have_parts,
    lanes, matched, now_ms,
};
use crate::exit::Failure;

/// Most units in one epoch: bounds the facts of a commit.
const EPOCH_UNITS_MAX: usize = 20_000;
/// Pause between tries of something that must succeed before the worker goes on.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Tries of `run --once` before it gives up; a service tries for as long as it takes.
const RETRIES_ONCE: u32 = 60;
/// zstd level of what no source claims.
const ARCHIVE_LEVEL: i32 = 3;

pub(super) struct Worker<'s> {
    shared: &'s Shared,
    handle: &'s Handle,
    context: EpochContext,
    /// Held for as long as the worker lives.
    _presence: Option<File>,
    seq: u64,
    last_root: Option<[u8; 32]>,
    epoch: Epoch,
    /// When the oldest event of the epoch came in.
    since: Option<Instant>,
    normalizer: Normalizer,
    /// For cutting large objects, which happens in the middle of reading them.
    cutter: std::cell::RefCell<Normalizer>,
    inflater: Inflater,
    /// For each output, the epoch's events with their unit.
    outgoing: Vec<Vec<(UnitKey, OutEvent)>>,
    outgoing_bytes: usize,
    raw_bytes: u64,
    leases: Vec<(usize, Lease)>,
    claims: Vec<UnitKey>,
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared, handle: &'s Handle) -> Result<Self> {
        let deployment = &shared.deployment;
        let worker: Arc<str> = Ulid::new().to_string().into();
        let presence = shared.lake.presence(&worker).map_err(Failure::environment)?;
        let context = EpochContext {
            worker,
            policy: Arc::clone(&deployment.policy),
            risk: deployment.risk.clone(),
            policy_ref: deployment.policy_ref(),
            archives: deployment.archives(),
        };
        Ok(Self {
            shared,
            handle,
            epoch: Epoch::new(context.clone()),
            context,
            _presence: presence,
            seq: 1,
            last_root: None,
            since: None,
            normalizer: Normalizer::watching(shared.catalog()),
            cutter: Normalizer::new(shared.catalog()).into(),
            inflater: Inflater::new(limits()),
            outgoing: vec![Vec::new(); shared.outputs.len()],
            outgoing_bytes: 0,
            raw_bytes: 0,
            leases: Vec::new(),
            claims: Vec::new(),
        })
    }

    /// Takes objects until there are no more, then commits what is left.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) -> Result<()> {
        let mut ahead = Ahead::new(self.shared, self.handle, jobs);
        loop {
            let age = self
                .since
                .map_or(Duration::from_secs(1), |since| self.flush_age().saturating_sub(since.elapsed()));
            match ahead.next(age.min(Duration::from_secs(1))) {
                Next::Object(job, body) => self.object(&job, body)?,
                Next::Nothing => {}
                Next::Ended => break,
            }
            if self.since.is_some_and(|since| since.elapsed() >= self.flush_age()) {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Epochs are at least 2 s apart for each live worker: that bounds the ledger's commits.
    fn flush_age(&self) -> Duration {
        let minute_ago = now_ms() - 60_000;
        let live = self
            .shared
            .lake
            .ledger
            .workers()
            .values()
            .filter(|w| !w.closed && w.last_commit_ms > minute_ago)
            .count();
        let spread = Duration::from_secs(2 * live as u64);
        self.shared.deployment.config.limits.flush.age.value.0.max(spread)
    }

    fn flush_bytes(&self) -> usize {
        let limits = &self.shared.deployment.config.limits;
        let share = limits.memory.value.0 / (4 * u64::from(limits.threads.value));
        limits.flush.bytes.value.0.min(share) as usize
    }

    fn object(&mut self, job: &Job, body: Result<Box<dyn Body>, IngestError>) -> Result<()> {
        self.claims.push(job.key);
        // Mappings change between objects, never within one.
        let catalog = self.shared.catalog();
        if !Arc::ptr_eq(self.normalizer.catalog(), &catalog) {
            self.shared.drift.add(self.normalizer.seen());
            self.normalizer = Normalizer::watching(Arc::clone(&catalog));
            self.cutter = Normalizer::new(catalog).into();
        }
        self.leases.extend(job.candidate.lease.map(|lease| (job.feed, lease)));
        match body {
            Ok(body) => {
                let mut inflater = std::mem::replace(&mut self.inflater, Inflater::new(limits()));
                let outcome = self.units(job, &mut inflater, body);
                self.inflater = inflater;
                outcome
            }
            Err(error) => self.unreadable(job, error),
        }
    }

    fn units(&mut self, job: &Job, inflater: &mut Inflater, body: Box<dyn Body>) -> Result<()> {
        let open = &self.shared.feeds[job.feed];
        let catalog = Arc::clone(self.normalizer.catalog());
        let cutter = std::mem::replace(&mut self.cutter, Normalizer::new(catalog).into());
        let (key, source) = (&*job.candidate.key, open.feed.source.as_deref());
        let cut =
            |bytes: &[u8], carry: &Carry| cutter.borrow_mut().cut(&Part { key, source, bytes, carry }, false);
        let mut reader = UnitReader::new(inflater, body, &open.feed, &job.candidate, &cut);
        let parts = may_have_parts(job.candidate.size);
        while let Some(unit) = reader.next_unit() {
            let unit = match unit {
                Ok(unit) => unit,
                Err(error) => return self.unreadable(job, error),
            };
            let last = unit.delivered.sha256.is_some();
            if !(parts && self.is_known(unit.id.key())?) {
                self.unit(&unit, open.archive)?;
            }
            if parts && last {
                self.epoch.complete(&unit);
            }
            if self.epoch.held_bytes() + self.outgoing_bytes >= self.flush_bytes()
                || self.epoch.units() >= EPOCH_UNITS_MAX
            {
                self.flush()?;
            }
        }
        drop(reader);
        self.cutter = cutter;
        Ok(())
    }

    fn is_known(&self, key: UnitKey) -> Result<bool> {
        let unknown = self.handle.block_on(self.shared.lake.ledger.unknown(&[key]));
        Ok(!unknown.map_err(Failure::environment)?[0])
    }

    fn unreadable(&mut self, job: &Job, error: IngestError) -> Result<()> {
        let open = &self.shared.feeds[job.feed];
        match error {
            IngestError::Missing { why, .. } => {
                tracing::warn!(feed = %open.feed.name, object = %job.candidate.object, why, "object is missing");
                self.unit(&missing_unit(&open.feed, &job.candidate, why), open.archive)
            }
            IngestError::Changed { .. } => {
                tracing::info!(feed = %open.feed.name, object = %job.candidate.object, "object changed while it was read");
                Ok(())
            }
            error => {
                tracing::warn!(feed = %open.feed.name, object = %job.candidate.object, %error, "object cannot be read");
                self.shared.totals.failed.fetch_add(1, Relaxed);
                Ok(())
            }
        }
    }

    /// Takes one unit in, batch by batch. What follows a batch that breaks the normaliser is kept
    /// whole, as one event of class 0.
    fn unit(&mut self, unit: &RawUnit, archive: u16) -> Result<()> {
        self.since.get_or_insert_with(Instant::now);
        self.raw_bytes += unit.bytes.len() as u64;
        let begun = catch_unwind(AssertUnwindSafe(|| {
            let pass = self.normalizer.begin(unit);
            (self.normalizer.facts(&pass), self.normalizer.archive_level(&pass), pass)
        }));
        let Ok((facts, level, mut pass)) = begun else {
            let facts = UnitFacts { source: "unknown".into(), ..UnitFacts::default() };
            self.epoch.begin(unit, &facts.source, ARCHIVE_LEVEL, archive);
            self.quarantine(unit, 0, &facts)?;
            return self.epoch.end(unit, &facts.context).context("cannot build the archive");
        };
        self.epoch.begin(unit, &facts.source, level, archive);
        loop {
            let from = pass.position();
            match catch_unwind(AssertUnwindSafe(|| self.normalizer.batch(unit, &mut pass))) {
                Ok(Some(normalized)) => self.take(unit, &facts, &normalized)?,
                Ok(None) => break,
                Err(_) => {
                    self.quarantine(unit, from, &facts)?;
                    break;
                }
            }
        }
        self.epoch.end(unit, &facts.context).context("cannot build the archive")
    }

    fn take(&mut self, unit: &RawUnit, facts: &UnitFacts, normalized: &Normalized) -> Result<()> {
        self.epoch.batch(unit, normalized).context("cannot build the archive")?;
        self.match_outputs(unit, facts, normalized);
        Ok(())
    }

    fn quarantine(&mut self, unit: &RawUnit, from: usize, facts: &UnitFacts) -> Result<()> {
        tracing::error!(object = %unit.id.object, from, "the normaliser failed on a unit, which is archived whole");
        self.normalizer = Normalizer::watching(Arc::clone(self.normalizer.catalog()));
        match self.normalizer.quarantined(unit, from, "the normaliser failed on this unit") {
            Some(rest) => self.take(unit, facts, &rest),
            None => Ok(()),
        }
    }

    fn match_outputs(&mut self, unit: &RawUnit, facts: &UnitFacts, normalized: &Normalized) {
        if self.shared.outputs.is_empty() {
            return;
        }
        let key = unit.id.key();
        let replay =
            ReplayUnit { key, source: &facts.source, context: &facts.context, received_ms: unit.received_ms };
        let event = |n: usize| {
            let event = normalized.batch.events[n];
            (event.start, &unit.bytes[event.start as usize..event.end as usize])
        };
        let (deployment, all) = (&self.shared.deployment, 0..self.shared.outputs.len());
        let found = matched::out_events(
            deployment,
            all,
            &mut self.normalizer,
            &replay,
            &unit.feed,
            normalized,
            event,
        );
        for (outgoing, events) in self.outgoing.iter_mut().zip(found) {
            self.outgoing_bytes += events.iter().map(|e| e.body.len() + 128).sum::<usize>();
            outgoing.extend(events.into_iter().map(|event| (key, event)));
        }
    }

    /// Closes the epoch and commits it: archive, ledger, acknowledgement, hot table, outputs.
    fn flush(&mut self) -> Result<()> {
        self.since = None;
        let epoch = std::mem::replace(&mut self.epoch, Epoch::new(self.context.clone()));
        let outgoing = std::mem::replace(&mut self.outgoing, vec![Vec::new(); self.shared.outputs.len()]);
        self.outgoing_bytes = 0;
        let raw_bytes = std::mem::take(&mut self.raw_bytes);
        if epoch.units() > 0 {
            let closed = epoch.close(self.seq, self.last_root, now_ms()).context("cannot close the epoch")?;
            if let Some((closed, committed_ms, taken)) = self.commit(closed)? {
                self.committed(closed, committed_ms, raw_bytes, outgoing, &taken)?;
            }
        }
        for (feed, lease) in self.leases.drain(..) {
            if let Err(error) =
                self.handle.block_on(self.shared.feeds[feed].source.settle(lease, Outcome::Committed))
            {
                tracing::warn!(%error, "cannot acknowledge an object; it will come again and be known");
            }
        }
        self.shared.drift.add(self.normalizer.seen());
        self.handle.block_on(self.shared.drift.save(&self.shared.lake, false));
        let mut in_flight = self.shared.in_flight();
        self.claims.drain(..).for_each(|key| {
            in_flight.remove(&key);
        });
        Ok(())
    }

    /// Puts the segments and commits; units that another worker took first are left out. `None`
    /// when nothing of the epoch was left.
    fn commit(&self, mut closed: ClosedEpoch) -> Result<Option<(ClosedEpoch, i64, BTreeSet<UnitKey>)>> {
        let lake = &self.shared.lake;
        let mut all_taken = BTreeSet::new();
        let mut tries = 0;
        loop {
            self.put(&closed)?;
            let facts = closed.facts(|archive| lake.archive_tier(archive));
            let error = match self.handle.block_on(lake.ledger.commit(facts)) {
                Ok(committed) => {
                    self.lock(&closed, committed.at_ms);
                    return Ok(Some((closed, committed.at_ms, all_taken)));
                }
                Err(CommitError::UnitsTaken(keys)) => {
                    tracing::info!(
                        units = keys.len(),
                        "another worker was first; the epoch is rebuilt without them"
                    );
                    self.discard(&closed);
                    let taken: BTreeSet<UnitKey> = keys.into_iter().collect();
                    let plans = self.normalizer.catalog().plans().to_vec();
                    let level = |source: &str| {
                        plans.iter().find(|p| &*p.name == source).map_or(3, |p| p.archive_level)
                    };
                    closed = closed.without(&taken, &level).context("cannot rebuild the epoch")?;
                    all_taken.extend(taken);
                    if closed.is_empty() {
                        return Ok(None);
                    }
                    continue;
                }
                Err(CommitError::Unknown(error)) => {
                    self.handle.block_on(lake.ledger.refresh()).map_err(Failure::environment)?;
                    let own = lake.ledger.segments_of_worker_after(&self.context.worker, self.seq - 1, 1);
                    if let Some(segment) = own.first() {
                        self.lock(&closed, segment.committed_ms);
                        return Ok(Some((closed, segment.committed_ms, all_taken)));
                    }
                    CommitError::Unknown(error)
                }
                Err(error) => error,
            };
            self.again(&mut tries, error)?;
        }
    }

    /// Waits before another try, or gives up.
    fn again(&self, tries: &mut u32, error: impl Into<anyhow::Error> + std::fmt::Display) -> Result<()> {
        *tries += 1;
        if (self.shared.once || self.shared.stopping()) && *tries >= RETRIES_ONCE {
            return Err(Failure::environment(error));
        }
        tracing::warn!(%error, tries = *tries, "commit failed; trying again");
        std::thread::sleep(RETRY_PAUSE * (*tries).min(20));
        Ok(())
    }

    fn put(&self, closed: &ClosedEpoch) -> Result<()> {
        for (archive, segment) in closed.segments() {
            let store = self
                .shared
                .lake
                .archive(&self.context.archives[usize::from(archive)])
                .map_err(Failure::environment)?;
            let mut tries = 0;
            loop {
                match self.handle.block_on(store.put(&segment.object_key, segment.bytes.clone())) {
                    // The name holds worker, epoch and content: what is there is an earlier try of ours.
                    Ok(()) | Err(StoreError::Precondition(_)) => break,
                    Err(error) => self.again(&mut tries, error)?,
                }
            }
        }
        Ok(())
    }

    /// Locks segments whose class says so, now that the ledger names them.
    fn lock(&self, closed: &ClosedEpoch, committed_ms: i64) {
        let lake = &self.shared.lake;
        for (archive, segment) in closed.segments() {
            let name = &self.context.archives[usize::from(archive)];
            let classes = self.shared.deployment.policy.classes();
            let class = classes.iter().find(|class| class.name == segment.header.class);
            let (Some(class), Ok(provider)) = (class, lake.provider(name)) else { continue };
            let Some((mode, until_ms)) = first_lock(class, provider, committed_ms) else { continue };
            let locked = self.handle.block_on(async {
                let store = lake.archive(name)?;
                let head = store.head(&segment.object_key).await?;
                store.lock(&segment.object_key, &head.etag, mode, until_ms).await?;
                Ok::<_, LakeError>(())
            });
            if let Err(error) = locked {
                tracing::error!(segment = segment.id, %error, "a segment could not be locked");
            }
        }
    }

    /// Removes segments that no ledger entry will ever name.
    fn discard(&self, closed: &ClosedEpoch) {
        for (archive, segment) in closed.segments() {
            let Ok(store) = self.shared.lake.archive(&self.context.archives[usize::from(archive)]) else {
                continue;
            };
            let gone = self.handle.block_on(async {
                let head = store.head(&segment.object_key).await?;
                store.delete_if(&segment.object_key, &head.etag).await
            });
            if let Err(error) = gone {
                tracing::debug!(%error, "an orphaned segment is left to the sweeper");
            }
        }
    }

    /// What follows a commit: totals, the hot table, the outputs.
    fn committed(
        &mut self,
        closed: ClosedEpoch,
        committed_ms: i64,
        raw_bytes: u64,
        outgoing: Vec<Vec<(UnitKey, OutEvent)>>,
        taken: &BTreeSet<UnitKey>,
    ) -> Result<()> {
        self.last_root = closed.last_root();
        let seq = self.seq;
        let segments = closed.segments().count() as u64;
        self.count(&closed, raw_bytes, taken);
        if segments == 0 {
            return Ok(());
        }
        self.seq += 1;
        let rows = closed.into_hot_rows().context("cannot join rows")?;
        let files =
            hot::encode(&rows, self.context.policy.classes(), committed_ms).context("cannot encode rows")?;
        drop(rows);
        let bytes: u64 = files.iter().map(|f| f.bytes.len() as u64).sum();
        let mut tries = 0;
        loop {
            match self.handle.block_on(self.shared.lake.hot.commit(files.clone(), &self.context.worker, seq))
            {
                Ok(_) => break,
                Err(error) => self.again(&mut tries, error)?,
            }
        }
        self.shared.totals.hot_bytes.fetch_add(bytes, Relaxed);
        for (output, events) in outgoing.into_iter().enumerate() {
            let kept = events.into_iter().filter(|(unit, _)| !taken.contains(unit));
            let events: Vec<OutEvent> = kept.map(|(_, event)| event).collect();
            let step = lanes::Step { output, worker: &self.context.worker, seq, committed_ms };
            self.handle.block_on(lanes::own(self.shared, &step, events, &mut self.normalizer));
        }
        Ok(())
    }

    fn count(&self, closed: &ClosedEpoch, raw_bytes: u64, taken: &BTreeSet<UnitKey>) {
        let totals = &self.shared.totals;
        let mut kept_bytes = 0;
        for unit in closed.units().filter(|u| u.start != linchpin_tiering::ledger::COMPLETE_START) {
            totals.units.fetch_add(1, Relaxed);
            totals.raw_events.fetch_add(unit.events, Relaxed);
            totals.rejects.fetch_add(unit.rejects, Relaxed);
            kept_bytes += unit.end - unit.start;
        }
        totals.raw_bytes.fetch_add(if taken.is_empty() { raw_bytes } else { kept_bytes }, Relaxed);
        for (_, segment) in closed.segments() {
            totals.segments.fetch_add(1, Relaxed);
            totals.archived_bytes.fetch_add(segment.bytes.len() as u64, Relaxed);
        }
        totals.events.fetch_add(closed.rows(), Relaxed);
    }
}

/// Limits of what a worker inflates at once.
fn limits() -> Limits {
    Limits { unit_bytes: PART_BYTES, ..Limits::default() }
}
