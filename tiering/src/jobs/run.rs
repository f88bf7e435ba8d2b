//! The edges of a job: what the state machine says is done here, and what came of it told back.

use std::{fs::File, ops::Range, time::Duration};

use futures::{StreamExt, stream};
use linchpin_normalize::Normalizer;
use linchpin_store::{Restore, RestoreSpeed, StoreError};
use ulid::Ulid;

use super::{
    Destination, Job, JobError, Jobs, Lease, Part, Phase, Pricing, Seen, Step, Work,
    estimate::parts,
    read::Reading,
    shelf::Held,
    sink::{Sink, SinkError},
};
use crate::{
    Lake,
    ledger::Fact,
    policy::{self, Predicate},
    prices::{DAY_MS, Speed},
    rehydrate::Request,
    search::SearchLimits,
};

/// A runner that has not said anything for so long is taken to be gone.
pub const LEASE: Duration = Duration::from_mins(10);
/// Requests about restores that are under way at once.
const ASKS_MAX: usize = 8;

/// How far a job is after a runner has done what can be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub phase: Phase,
    /// When there is something to do again, epoch milliseconds.
    pub wakes_ms: Option<i64>,
}

/// A process that works on jobs.
pub struct Runner<'a> {
    lake: &'a Lake,
    jobs: Jobs,
    book: &'a crate::prices::Book,
    clock: &'a (dyn Fn() -> i64 + Sync),
    id: String,
    /// Tells the others of this machine that the process lives.
    _presence: Option<File>,
}

impl<'a> Runner<'a> {
    /// A runner on a lake; `clock` gives the time in epoch milliseconds.
    pub fn new(
        lake: &'a Lake,
        book: &'a crate::prices::Book,
        clock: &'a (dyn Fn() -> i64 + Sync),
    ) -> Result<Self, JobError> {
        let id = Ulid::new().to_string();
        let presence = lake.presence(&id)?;
        Ok(Self { lake, jobs: Jobs::of(lake), book, clock, id, _presence: presence })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Does what can be done for a job now, and says when there is more. `watch` sees the job after
    /// every wave of steps. Another runner's job is refused with [`JobError::Taken`].
    pub async fn advance(
        &self,
        id: &str,
        sink: &mut dyn Sink,
        normalizer: &mut Normalizer,
        mut watch: impl FnMut(&Job),
    ) -> Result<Progress, JobError> {
        let mut held = self.jobs.load(id).await?;
        self.take(&mut held)?;
        let request = request(&held.job)?;
        let mut work = None;
        loop {
            let now_ms = (self.clock)();
            let steps = held.job.next(now_ms);
            if steps.is_empty() {
                break;
            }
            let until_ms = now_ms + LEASE.as_millis() as i64;
            held.job.lease = Some(Lease { runner: self.id.clone(), until_ms });
            // Before anything is asked for: whoever comes after must know that it may have been.
            self.jobs.save(&mut held, now_ms).await?;
            let work = match &work {
                Some(work) => work,
                None => &*work.insert(self.jobs.work(id).await?),
            };
            self.ask_all(&mut held.job, &steps, work).await;
            let mut reading = Reading { lake: self.lake, work, request: &request, normalizer, sink };
            if let Err(stop) = self.read_all(&mut held, &steps, &mut reading).await? {
                held.job.trouble = Some(stop.to_string());
                self.leave(&mut held).await?;
                return Err(JobError::Sink(stop.to_string()));
            }
            self.jobs.save(&mut held, (self.clock)()).await?;
            watch(&held.job);
        }
        self.leave(&mut held).await?;
        let phase = held.job.phase();
        Ok(Progress { phase, wakes_ms: held.job.wakes_ms((self.clock)()) })
    }

    /// Refuses a job that a living runner has.
    fn take(&self, held: &mut Held) -> Result<(), JobError> {
        let now_ms = (self.clock)();
        let lives = |lease: &Lease| {
            lease.runner != self.id && lease.until_ms > now_ms && !self.lake.is_gone(&lease.runner)
        };
        if held.job.lease.as_ref().is_some_and(lives) {
            return Err(JobError::Taken(held.job.id.clone()));
        }
        if let Some(gone) = held.job.lease.as_ref().filter(|lease| self.lake.is_gone(&lease.runner)) {
            self.lake.forget_presence(&gone.runner);
        }
        Ok(())
    }

    /// Lets others have the job.
    async fn leave(&self, held: &mut Held) -> Result<(), JobError> {
        if held.job.lease.take().is_some() {
            self.jobs.save(held, (self.clock)()).await?;
        }
        Ok(())
    }

    /// Puts the questions of a wave to stores and ledger, side by side.
    async fn ask_all(&self, job: &mut Job, steps: &[Step], work: &Work) {
        let asked: Vec<(Step, Seen)> = {
            let job = &*job;
            let ask = |step: Step| async move { (step, self.ask(job, step, work).await) };
            let quick = steps.iter().copied().filter(|step| !reads(*step));
            stream::iter(quick.map(ask)).buffer_unordered(ASKS_MAX).collect().await
        };
        let mut facts = Vec::new();
        for (step, seen) in asked {
            if let Seen::Stands(Restore::Until(until_ms)) = seen {
                let segments = job.parts[step.part()].segments.iter();
                let restored = |segment: &String| Fact::Restored {
                    segment: segment.clone(),
                    until_ms,
                    job: job.id.clone(),
                };
                facts.extend(segments.map(restored));
            }
            job.record(step, seen, (self.clock)());
        }
        if !facts.is_empty()
            && let Err(error) = self.lake.ledger.commit_at(facts, (self.clock)()).await
        {
            tracing::warn!(%error, job = job.id, "the ledger was not told of a restore");
        }
    }

    /// Reads and delivers the parts of a wave, one after the other; the state is written whenever a
    /// good deal was read. Gives back what stops the destination.
    async fn read_all(
        &self,
        held: &mut Held,
        steps: &[Step],
        reading: &mut Reading<'_>,
    ) -> Result<Result<(), SinkError>, JobError> {
        let mut segments = 0;
        for step in steps.iter().copied().filter(|step| reads(*step)) {
            let part = &held.job.parts[step.part()];
            segments += part.segments.len();
            let seen = match step {
                Step::Deliver(n) => match reading.sink.deliver(n as u32).await {
                    Ok(events) => Ok(Seen::Delivered { events, bytes: 0 }),
                    Err(SinkError::Retry(why)) => Ok(Seen::Failed { why, bytes: 0 }),
                    Err(stop) => Err(stop),
                },
                _ => reading.part(step.part(), part).await,
            };
            match seen {
                Ok(seen) => held.job.record(step, seen, (self.clock)()),
                Err(stop) => return Ok(Err(stop)),
            }
            if segments >= held.job.wave() {
                self.jobs.save(held, (self.clock)()).await?;
                segments = 0;
            }
        }
        Ok(Ok(()))
    }

    /// Asks a store, or the ledger, about a part.
    async fn ask(&self, job: &Job, step: Step, work: &Work) -> Seen {
        let part = &job.parts[step.part()];
        let outcome = match step {
            Step::Look(_) => self.look(part).await,
            Step::Release(_) => Ok(self.release(part).await),
            Step::Ask(_) => self.restore(part, job.approval.as_ref().map_or(1, |a| a.days)).await,
            _ => return self.resolve(job, part, work).await,
        };
        outcome.unwrap_or_else(|error| match error {
            JobError::Store(StoreError::NotFound(_) | StoreError::Precondition(_)) => Seen::Gone,
            error => Seen::Failed { why: error.to_string(), bytes: 0 },
        })
    }

    async fn look(&self, part: &Part) -> Result<Seen, JobError> {
        let head = self.lake.archive(&part.store)?.head(&part.object).await?;
        Ok(if head.etag == part.etag { Seen::Stands(head.restore) } else { Seen::Gone })
    }

    /// Asks for a restore, if the object still is what was priced.
    async fn restore(&self, part: &Part, days: u32) -> Result<Seen, JobError> {
        let store = self.lake.archive(&part.store)?;
        let head = match store.head(&part.object).await {
            Ok(head) => head,
            // Nothing was sent yet.
            Err(StoreError::NotFound(_)) => return Ok(Seen::Changed),
            Err(error) => return Err(error.into()),
        };
        if (&head.etag, &head.class, head.size) != (&part.etag, &part.class, part.bytes) {
            return Ok(Seen::Changed);
        }
        if head.restore != Restore::Archived {
            return Ok(Seen::Stands(head.restore));
        }
        let speed = match part.speed {
            Speed::Expedited => RestoreSpeed::Expedited,
            Speed::Standard => RestoreSpeed::Standard,
            Speed::Bulk => RestoreSpeed::Bulk,
        };
        match store.restore(&part.object, &part.etag, speed, days).await {
            Ok(restore) => Ok(Seen::Stands(restore)),
            Err(StoreError::RestoreInProgress(_)) => Ok(Seen::Stands(Restore::InProgress)),
            Err(StoreError::NoExpedited(_)) => Ok(Seen::NoExpedited),
            Err(error @ StoreError::Unsupported { .. }) => Ok(Seen::Hopeless(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets a restored copy go that nobody needs any more; it ends by itself as well.
    async fn release(&self, part: &Part) -> Seen {
        let released = match self.lake.archive(&part.store) {
            Ok(store) => store.release(&part.object).await.map_err(JobError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = released {
            tracing::warn!(%error, object = part.object, "a restored copy was not released");
        }
        Seen::Released
    }

    /// Finds where the segments of a part are now.
    async fn resolve(&self, job: &Job, part: &Part, work: &Work) -> Seen {
        let failed = |why: String| Seen::Failed { why, bytes: 0 };
        if let Err(error) = self.lake.ledger.refresh().await {
            return failed(error.to_string());
        }
        let Some(approval) = &job.approval else { return failed("it is not approved".to_owned()) };
        let pricing = Pricing { book: self.book, days: approval.days };
        let segments = part.segments.iter().map(String::as_str);
        match parts(self.lake, work, segments, approval.speed, pricing).await {
            Ok(parts) => Seen::Moved(parts),
            Err(error) => failed(error.to_string()),
        }
    }
}

/// Approves a job with a budget: prices what is not paid for at the approval's speed. Approving again
/// replaces the budget, of which what is committed already is a part.
pub async fn approve(
    lake: &Lake,
    jobs: &Jobs,
    id: &str,
    approval: super::Approval,
    book: &crate::prices::Book,
) -> Result<Job, JobError> {
    let work = jobs.work(id).await?;
    let pricing = Pricing { book, days: approval.days };
    let price = |part: &Part, speed: Speed| super::estimate::price(lake, part, &work, speed, pricing);
    jobs.change(id, approval.at_ms, |job| {
        job.approve(approval.clone(), price);
        Ok(())
    })
    .await
}

/// Whether a step reads or delivers events.
const fn reads(step: Step) -> bool {
    matches!(step, Step::Read(_) | Step::Deliver(_))
}

/// What a job asks for, compiled again.
fn request(job: &Job) -> Result<Request, JobError> {
    let compiled = Predicate::compile(&job.order.predicate, policy::schema());
    let predicate = compiled.map_err(|e| JobError::Predicate { id: job.id.clone(), why: e.message })?;
    let period: Range<i64> = job.order.from_ms..job.order.to_ms;
    Ok(Request { predicate, period, limits: SearchLimits::default() })
}

/// Removes what jobs that are over have kept in the lake: what was staged at once, rows of the table
/// `rehydrated` when their days are over. Gives the number of jobs that were tidied up.
pub async fn tidy(lake: &Lake, now_ms: i64) -> Result<usize, JobError> {
    let jobs = Jobs::of(lake);
    let mut tidied = 0;
    for job in jobs.list().await? {
        if !job.phase().is_final() || job.released_ms.is_some() {
            continue;
        }
        if let Destination::Table { keep_days } = job.order.destination {
            if now_ms < job.updated_ms + i64::from(keep_days) * DAY_MS {
                continue;
            }
            if let Some(table) = lake.rehydrated(false).await? {
                table.drop_partitions(|(class, _)| *class == job.id).await.map_err(crate::LakeError::from)?;
            }
        }
        jobs.clear(&job.id).await?;
        // Its end, and so its expiry, is when it was last changed before.
        jobs.change(&job.id, now_ms, |job| {
            job.released_ms = Some(now_ms);
            Ok(())
        })
        .await?;
        tidied += 1;
    }
    Ok(tidied)
}
