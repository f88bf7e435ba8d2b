//! The pipeline of one process: feeds list, workers take in and commit, lanes deliver.
//!
//! Every worker thread is a worker of its own in the ledger's eyes: own id, own epochs, own lanes.
//! Threads share the ledger's committer and nothing else, so a process with two threads behaves as
//! two processes with one.

mod ahead;
pub(crate) mod drift;
pub(crate) mod enforcement;
mod feeds;
mod lanes;
mod matched;
mod rehydration;
mod reload;
pub(crate) mod sources;
mod worker;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use linchpin_ingest::{Candidate, Feed, Source};
use linchpin_integration::Output;
use linchpin_normalize::{Catalog, UnitKey};
use linchpin_store::Counters;
use linchpin_tiering::{Lake, apply};
use serde::Serialize;
use tokio::runtime::{Builder, Handle};

use crate::{
    deployment::Deployment,
    exit::Failure,
    inventory,
    requests::{self, Requests},
};

/// Objects that wait for a worker; listing goes on when there is room.
const QUEUE_OBJECTS_MAX: usize = 256;
/// Objects that inflate to more are taken in parts of this size. A quarter of what a unit may be: a part
/// and the beginning of the next are in memory at once. Parts of an object are known by where they
/// start, so a change here makes objects that are half taken in start anew.
const PART_BYTES: usize = linchpin_normalize::unit::UNIT_BYTES_MAX / 4;
/// How often a service looks for lanes that nobody serves.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(15);
/// How often a service lists its feeds again.
const LIST_EVERY: Duration = Duration::from_secs(5);

/// What a run has done.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    /// Units committed.
    pub units: u64,
    /// Raw events in them.
    pub raw_events: u64,
    /// Rows of those events.
    pub events: u64,
    /// Events that became class 0 because they could not be read as their source says.
    pub rejects: u64,
    /// Inflated bytes taken in.
    pub raw_bytes: u64,
    /// Bytes of segments.
    pub archived_bytes: u64,
    /// Bytes of hot files.
    pub hot_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Wall time.
    pub seconds: f64,
    /// What was asked of the stores; the JSON form of a run is fixed, so it is not a part of that.
    #[serde(skip)]
    pub requests: Requests,
}

/// Running totals; counted when committed.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub units: AtomicU64,
    pub raw_events: AtomicU64,
    pub events: AtomicU64,
    pub rejects: AtomicU64,
    pub raw_bytes: AtomicU64,
    pub archived_bytes: AtomicU64,
    pub hot_bytes: AtomicU64,
    pub segments: AtomicU64,
    /// Objects that could not be read and wait for the next pass.
    pub failed: AtomicU64,
}

impl Totals {
    fn summary(&self, since: Instant) -> Summary {
        Summary {
            units: self.units.load(Relaxed),
            raw_events: self.raw_events.load(Relaxed),
            events: self.events.load(Relaxed),
            rejects: self.rejects.load(Relaxed),
            raw_bytes: self.raw_bytes.load(Relaxed),
            archived_bytes: self.archived_bytes.load(Relaxed),
            hot_bytes: self.hot_bytes.load(Relaxed),
            segments: self.segments.load(Relaxed),
            seconds: since.elapsed().as_secs_f64(),
            requests: Requests::new(),
        }
    }
}

/// A feed, opened.
struct OpenFeed {
    feed: Feed,
    archive: u16,
    source: Arc<dyn Source>,
    /// Requests of its bucket.
    counters: Counters,
}

/// An object for a worker.
struct Job {
    feed: usize,
    candidate: Candidate,
    key: UnitKey,
}

/// What all parts of the process share.
struct Shared {
    deployment: Deployment,
    lake: Lake,
    feeds: Vec<OpenFeed>,
    outputs: Vec<Arc<dyn Output>>,
    totals: Totals,
    /// The mappings in force.
    catalog: Mutex<Arc<Catalog>>,
    /// What the sources' events look like.
    drift: drift::Drift,
    /// Objects that are queued or in an epoch that is not committed.
    in_flight: Mutex<HashSet<UnitKey>>,
    stop: AtomicBool,
    once: bool,
}

impl Shared {
    fn in_flight(&self) -> MutexGuard<'_, HashSet<UnitKey>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mappings in force.
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Returns when the process is to stop.
    async fn stopped(&self) {
        while !self.stopping() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What was asked of the lake, the archives and the feeds' buckets so far.
    fn requests(&self) -> Requests {
        let feeds = self.feeds.iter().map(|f| (format!("feed {}", f.feed.name), f.counters.get()));
        self.lake.requests().into_iter().chain(feeds).collect()
    }
}

/// Drains all feeds and lanes, then returns.
pub(crate) fn run_once(deployment: Deployment, progress: impl Fn(&Summary) + Sync) -> Result<Summary> {
    run(deployment, true, progress)
}

/// Serves until the process is told to stop.
pub(crate) fn serve(deployment: Deployment, progress: impl Fn(&Summary) + Sync) -> Result<Summary> {
    run(deployment, false, progress)
}

fn run(deployment: Deployment, once: bool, progress: impl Fn(&Summary) + Sync) -> Result<Summary> {
    let since = Instant::now();
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::environment)?;
    let shared = Arc::new(runtime.block_on(open(deployment, once))?);
    if !once {
        runtime.spawn(stop_on_signal(Arc::clone(&shared)));
        let watched = Arc::clone(&shared);
        runtime.spawn(async move {
            let deployment = &watched.deployment;
            inventory::watch(&deployment.config.context, &deployment.risk, || watched.stopping()).await;
        });
    }
    let done = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let (shared, done, progress) = (&shared, &done, &progress);
        let ticker = scope.spawn(move || {
            while !done.load(Relaxed) {
                progress(&shared.totals.summary(since));
                thread::park_timeout(Duration::from_millis(500));
            }
        });
        let outcome = drive(shared, runtime.handle());
        done.store(true, Relaxed);
        ticker.thread().unpark();
        outcome
    });
    let requests = shared.requests();
    requests::log(&requests);
    outcome?;
    let failed = shared.totals.failed.load(Relaxed);
    if once && failed > 0 {
        return Err(Failure::environment(anyhow!(
            "{failed} objects could not be read\nhint: see the warnings above; the next run tries them again"
        )));
    }
    Ok(Summary { requests, ..shared.totals.summary(since) })
}

async fn open(deployment: Deployment, once: bool) -> Result<Shared> {
    let lake = deployment.lake_to_write().await?;
    // The policy under which the first event comes in is in force from then on.
    if lake.ledger.applied().is_none() {
        let (retention, signer) = (&deployment.config.retention, deployment.signer()?);
        let applied = apply::apply(&lake, retention, "first run", &signer, now_ms()).await;
        applied.map_err(Failure::environment)?;
    }
    let archives = deployment.archives();
    let mut feeds = Vec::new();
    for feed in &deployment.config.feeds.value {
        let (source, counters) = sources::open(feed, &deployment.config.stores).await?;
        let archive = archives.iter().position(|a| **a == *feed.archive()).unwrap_or(0) as u16;
        let name = Some(feed.source()).filter(|s| *s != linchpin_config::AUTO_SOURCE).map(Arc::from);
        feeds.push(OpenFeed {
            feed: Feed { name: feed.name.value.as_str().into(), source: name },
            archive,
            source,
            counters,
        });
    }
    let outputs = deployment.config.outputs.iter().map(linchpin_integration::build);
    let outputs = outputs.collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
    Ok(Shared {
        catalog: Mutex::new(Arc::clone(&deployment.catalog)),
        drift: drift::Drift::default(),
        deployment,
        lake,
        feeds,
        outputs,
        totals: Totals::default(),
        in_flight: Mutex::default(),
        stop: AtomicBool::new(false),
        once,
    })
}

/// Runs feeders, workers and lanes to their end.
fn drive(shared: &Arc<Shared>, handle: &Handle) -> Result<()> {
    let (sender, jobs) = crossbeam_channel::bounded::<Job>(QUEUE_OBJECTS_MAX);
    let threads = shared.deployment.config.limits.threads.value as usize;
    thread::scope(|scope| {
        let lanes = (!shared.once).then(|| scope.spawn(|| handle.block_on(lanes::watch(shared))));
        let mappings = shared.deployment.config.mappings.as_ref().filter(|_| !shared.once);
        if let Some(folder) = mappings {
            scope.spawn(move || reload::watch(shared, &folder.0));
        }
        if !shared.once {
            scope.spawn(|| handle.block_on(rehydration::watch(shared)));
            scope.spawn(|| handle.block_on(enforcement::watch(shared)));
        }
        for feed in 0..shared.feeds.len() {
            let sender = sender.clone();
            scope.spawn(move || handle.block_on(feeds::list(shared, feed, &sender)));
        }
        drop(sender);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let jobs = jobs.clone();
                scope.spawn(move || {
                    let outcome = worker::Worker::new(shared, handle).and_then(|w| w.run(&jobs));
                    if outcome.is_err() {
                        shared.stop.store(true, Relaxed);
                        // Feeders may be waiting for room.
                        while jobs.recv().is_ok() {}
                    }
                    outcome
                })
            })
            .collect();
        drop(jobs);
        let mut outcomes = Vec::new();
        for worker in workers {
            outcomes.push(worker.join().unwrap_or_else(|_| Err(anyhow!("a worker thread died"))));
        }
        shared.stop.store(true, Relaxed);
        if let Some(lanes) = lanes {
            outcomes.push(lanes.join().unwrap_or_else(|_| Err(anyhow!("the lanes' thread died"))));
        }
        outcomes.into_iter().collect::<Result<()>>()
    })?;
    handle.block_on(shared.drift.save(&shared.lake, true));
    if shared.once { handle.block_on(lanes::drain(shared)) } else { Ok(()) }
}

async fn stop_on_signal(shared: Arc<Shared>) {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
    tracing::info!("stopping: what is in memory is committed first");
    shared.stop.store(true, Relaxed);
}

/// Now, epoch milliseconds.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
