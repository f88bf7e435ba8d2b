//! Whole jobs on the model of the clouds: scattered events come back cheaply, through deaths and bad
//! weather, and never for more than was approved.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use arrow::array::{ArrayRef, Int32Array, StringArray};
use async_trait::async_trait;
use bytes::Bytes;
use linchpin_config::Place;
use linchpin_normalize::{Catalog, Normalizer};
use linchpin_store::{
    ObjectHead, ObjectStream, PutAs, Restore, RestoreSpeed, Store, StoreError,
    model::{Cloud, Faults, ModelStore, Request as Asked, VirtualClock},
};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::super::{
    Approval, Destination, FolderSink, Job, JobError, Jobs, Order, PartState, Phase, Pricing, Runner,
    estimate,
};
use crate::{
    Lake,
    archive::{
        BuilderOptions, ClosedSegment, PolicyRef, SegmentBuilder, SegmentHeader, SegmentReader, UnitMeta,
    },
    hot::{HotRows, encode},
    ledger::{Fact, RepackedFact, SegmentFact},
    policy::{self, Predicate, RetentionClass},
    prices::{Book, Provider, Speed},
    rehydrate::{Request, Shape},
    sample::{rows, times},
    search::SearchLimits,
};

const NOW_MS: i64 = 1_790_000_000_000;
const WORKER: &str = "01K0EXAMPLEWORKER000000000";
const NEEDLE: &str = "198.51.100.7";
const DAYS: u32 = 2;

/// A deployment whose segments lie in an archive class of a model.
struct World {
    _folder: tempfile::TempDir,
    root: std::path::PathBuf,
    lake: Lake,
    model: ModelStore,
    deadly: Arc<Deadly>,
    clock: VirtualClock,
    book: Book,
    /// The wanted events.
    wanted: BTreeMap<Vec<u8>, u64>,
    /// Compressed bytes of the blocks that hold them.
    block_bytes: u64,
    /// Processes that died.
    deaths: AtomicU64,
}

/// What a world is made of.
#[derive(Clone, Copy)]
struct Size {
    segments: u64,
    /// Raw bytes of a segment, roughly.
    bytes: usize,
    wanted: u64,
    /// Every other group of so many segments is one pack.
    pack: u64,
    class: &'static str,
}

/// A store whose caller dies at chosen requests, before or after they are done.
#[derive(Debug)]
struct Deadly {
    inner: ModelStore,
    /// Requests until the next death while restores are asked for and looked after.
    asks: AtomicU64,
    /// Reads until the next death.
    reads: AtomicU64,
    died: Notify,
}

impl Deadly {
    async fn pass(&self, left: &AtomicU64) {
        if left.fetch_sub(1, SeqCst) == 1 {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Store for Deadly {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put(key, bytes).await
    }
    async fn put_if(&self, key: &str, bytes: Bytes, etag: Option<&str>) -> Result<(), StoreError> {
        self.inner.put_if(key, bytes, etag).await
    }
    async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.pass(&self.reads).await;
        self.inner.range(key, range).await
    }
    async fn open(&self, key: &str, etag: &str, start: u64) -> Result<ObjectStream, StoreError> {
        self.inner.open(key, etag, start).await
    }
    async fn head(&self, key: &str) -> Result<ObjectHead, StoreError> {
        self.pass(&self.asks).await;
        self.inner.head(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectHead>, StoreError> {
        self.inner.list(prefix, after).await
    }
    async fn set_class(&self, key: &str, etag: &str, class: &str) -> Result<(), StoreError> {
        self.inner.set_class(key, etag, class).await
    }
    async fn delete_if(&self, key: &str, etag: &str) -> Result<(), StoreError> {
        self.inner.delete_if(key, etag).await
    }
    async fn restore(
        &self,
        key: &str,
        etag: &str,
        speed: RestoreSpeed,
        days: u32,
    ) -> Result<Restore, StoreError> {
        self.pass(&self.asks).await;
        let answer = self.inner.restore(key, etag, speed, days).await;
        self.pass(&self.asks).await;
        answer
    }
    async fn release(&self, key: &str) -> Result<(), StoreError> {
        self.inner.release(key).await
    }
}

fn scattered(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 32)
}

/// One event: JSON that compresses about as real logs do.
fn event(segment: u64, n: u64) -> Vec<u8> {
    let noise = scattered(segment << 32 | n);
    let user = noise % 900;
    format!(
        r#"{{"eventVersion":"1.09","eventTime":"2026-09-21T12:{:02}:{:02}Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.{}","userAgent":"aws-sdk/{}","userIdentity":{{"type":"IAMUser","userName":"user-{user}","arn":"arn:aws:iam::111122223333:user/user-{user}"}},"requestID":"{noise:016x}{:016x}","segment":{segment},"n":{n}}}"#,
        noise % 60,
        noise % 59,
        noise % 250,
        noise % 7,
        scattered(noise),
    )
    .into_bytes()
}

/// A segment of generated events; gives its rows that are wanted, with their bytes.
fn segment(id: u64, size: Size) -> (ClosedSegment, Vec<(u32, Vec<u8>)>) {
    let mut builder = SegmentBuilder::new(BuilderOptions::default()).unwrap();
    let unit = builder.unit(
        UnitMeta {
            object: format!("s3://example-logs/{id}.json.gz#etag"),
            feed: "trail".to_owned(),
            key: format!("{id}.json.gz"),
            source: "aws.cloudtrail".to_owned(),
            received_ms: NOW_MS,
            ..UnitMeta::default()
        },
        3,
    );
    let mut events: Vec<Vec<u8>> = Vec::new();
    let mut offset = 0;
    while offset < size.bytes {
        let bytes = event(id, events.len() as u64);
        let hash = Sha256::digest(&bytes).into();
        builder.event(unit, offset as u32, &bytes, &hash, NOW_MS + events.len() as i64).unwrap();
        offset += bytes.len() + 1;
        events.push(bytes);
    }
    let meta = builder.unit_mut(unit).unwrap();
    (meta.end, meta.events_total) = (offset as u64, events.len() as u32);
    let header = SegmentHeader {
        worker: WORKER.to_owned(),
        seq: id + 1,
        class: "standard".to_owned(),
        archive: "default".to_owned(),
        previous_root: None,
        commit_ms: NOW_MS,
        policy: PolicyRef::default(),
    };
    let closed = builder.close(header).unwrap();
    let count = events.len() as u64;
    let mut chosen = std::collections::BTreeSet::new();
    let mut draws = 0;
    while (chosen.len() as u64) < size.wanted {
        chosen.insert(scattered(id * 1000 + draws) % count);
        draws += 1;
    }
    let wanted = chosen.into_iter().map(|n| (closed.rows[n as usize], events[n as usize].clone())).collect();
    (closed, wanted)
}

fn created(closed: &ClosedSegment, class: &str) -> Fact {
    Fact::SegmentCreated(SegmentFact {
        id: closed.id.clone(),
        object: closed.object_key.clone(),
        store: "default".to_owned(),
        tier: class.to_owned(),
        retention: "standard".to_owned(),
        feeds: closed.feeds.clone(),
        sources: vec!["aws.cloudtrail".to_owned()],
        worker: WORKER.to_owned(),
        seq: closed.header.seq,
        time_min_ms: closed.time_min_ms,
        time_max_ms: closed.time_max_ms,
        events: u64::from(closed.events),
        rows: u64::from(closed.events),
        raw_bytes: closed.raw_bytes,
        stored_bytes: closed.bytes.len() as u64,
        sha256: closed.sha256,
        merkle_root: closed.merkle_root,
        prev_root: [0; 32],
    })
}

/// Hot rows of the wanted events, and of as many others.
fn hot_rows(id: &str, wanted: &[(u32, Vec<u8>)]) -> HotRows {
    let n = wanted.len() * 2;
    let ip = |i: usize| if i < wanted.len() { NEEDLE } else { "203.0.113.1" };
    let given: [(&str, ArrayRef); 4] = [
        ("event_id", Arc::new(StringArray::from_iter_values((0..n).map(|i| format!("{id}-{i}"))))),
        ("time", times((0..n as i64).map(|i| (NOW_MS + i) * 1000))),
        ("class_uid", Arc::new(Int32Array::from(vec![6003; n]))),
        ("src_endpoint_ip", Arc::new(StringArray::from_iter_values((0..n).map(ip)))),
    ];
    HotRows {
        rows: rows(n, &given),
        class: vec![0; n],
        segments: [Arc::from(id)].into(),
        row: wanted.iter().chain(wanted).map(|(row, _)| *row).collect(),
        sub: (0..n as u32).map(|i| i / wanted.len().max(1) as u32).collect(),
        feed: "trail".into(),
    }
}

impl World {
    async fn new(size: Size) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let clock = VirtualClock::at(NOW_MS);
        let model = ModelStore::new(Cloud::S3, clock.clone());
        let deadly = Arc::new(Deadly {
            inner: model.clone(),
            asks: AtomicU64::new(u64::MAX),
            reads: AtomicU64::new(u64::MAX),
            died: Notify::new(),
        });
        let place = Place::S3 { bucket: "example-archive".to_owned(), prefix: String::new() };
        let store: Arc<dyn Store> = Arc::clone(&deadly) as _;
        let at = Place::Folder(root.join("lake"));
        let lake = Lake::open_with(&at, [("default", place, store)]).await.unwrap();
        let mut world = Self {
            _folder: folder,
            root,
            lake,
            model,
            deadly,
            clock,
            book: Book::builtin().unwrap(),
            wanted: BTreeMap::new(),
            block_bytes: 0,
            deaths: AtomicU64::new(0),
        };
        world.fill(size).await;
        world
    }

    /// Puts the segments, alone or in packs, and tells ledger and hot table.
    async fn fill(&mut self, size: Size) {
        let (mut facts, mut hot, mut pack) = (Vec::new(), Vec::new(), Vec::new());
        let class = PutAs { class: Some(size.class), ..PutAs::default() };
        for id in 0..size.segments {
            let (closed, wanted) = segment(id, size);
            self.count(&closed, &wanted).await;
            facts.push(created(&closed, size.class));
            hot.push(hot_rows(&closed.id, &wanted));
            if size.pack > 1 && id / size.pack % 2 == 1 {
                pack.push(closed);
                if (id + 1) % size.pack == 0 {
                    facts.extend(self.pack(&std::mem::take(&mut pack), class).await);
                }
            } else {
                self.model.put_as(&closed.object_key, closed.bytes.clone(), class).await.unwrap();
            }
        }
        facts.extend(self.pack(&pack, class).await);
        self.lake.ledger.commit_at(facts, NOW_MS).await.unwrap();
        let classes = [RetentionClass::new("standard", Duration::from_hours(2400), Duration::MAX)];
        let files = encode(&hot, &classes, NOW_MS).unwrap();
        self.lake.hot.commit(files, WORKER, 1).await.unwrap();
    }

    async fn pack(&self, segments: &[ClosedSegment], class: PutAs<'_>) -> Vec<Fact> {
        let Some(first) = segments.first() else { return Vec::new() };
        let object = format!("pack/{}", first.id);
        let (mut bytes, mut facts) = (Vec::new(), Vec::new());
        for segment in segments {
            facts.push(Fact::Repacked(RepackedFact {
                segment: segment.id.clone(),
                store: "default".to_owned(),
                object: object.clone(),
                offset: bytes.len() as u64,
                stored_bytes: segment.bytes.len() as u64,
                sha256: segment.sha256,
                tier: class.class.unwrap().to_owned(),
            }));
            bytes.extend_from_slice(&segment.bytes);
        }
        self.model.put_as(&object, bytes.into(), class).await.unwrap();
        facts
    }

    /// Notes the wanted events and the size of the blocks that hold them.
    async fn count(&mut self, closed: &ClosedSegment, wanted: &[(u32, Vec<u8>)]) {
        let alone = linchpin_store::MemoryStore::default();
        alone.put("s", closed.bytes.clone()).await.unwrap();
        let size = closed.bytes.len() as u64;
        let reader = SegmentReader::open_sized(Arc::new(alone), "s", size).await.unwrap();
        let mut blocks: Vec<usize> =
            wanted.iter().map(|(row, _)| reader.block_of_row(*row).unwrap()).collect();
        blocks.dedup();
        for block in blocks {
            let range = reader.footer().blocks[block].range();
            self.block_bytes += range.end - range.start;
        }
        for (_, bytes) in wanted {
            *self.wanted.entry(bytes.clone()).or_default() += 1;
        }
    }

    fn order(out: &Path) -> (Order, Request) {
        let sql = format!("src_endpoint_ip = '{NEEDLE}'");
        let period = NOW_MS - 1000..NOW_MS + 3_600_000;
        let order = Order {
            predicate: sql.clone(),
            from_ms: period.start,
            to_ms: period.end,
            shape: Shape::Raw,
            destination: Destination::Folder(out.display().to_string()),
        };
        let predicate = Predicate::compile(&sql, policy::schema()).unwrap();
        (order, Request { predicate, period, limits: SearchLimits::default() })
    }

    fn pricing(&self) -> Pricing<'_> {
        Pricing { book: &self.book, days: DAYS }
    }

    /// Makes a job and approves what it costs at a speed, times `share`.
    async fn job(&self, out: &Path, speed: Speed, share: f64) -> Job {
        let (order, request) = Self::order(out);
        let now = self.clock.now_ms();
        let estimated = estimate(&self.lake, order, &request, self.pricing(), now).await.unwrap();
        let offer = estimated.job.offers.iter().find(|o| o.speed == speed).unwrap().clone();
        let id = estimated.keep(&self.lake).await.unwrap().job.id;
        let budget = (offer.price as f64 * share) as u64;
        self.approve(&id, speed, budget).await
    }

    async fn approve(&self, id: &str, speed: Speed, budget: u64) -> Job {
        let jobs = Jobs::of(&self.lake);
        let approval =
            Approval { by: "ann".to_owned(), at_ms: self.clock.now_ms(), budget, speed, days: DAYS };
        super::super::approve(&self.lake, &jobs, id, approval, &self.book).await.unwrap()
    }

    /// Runs the job until nothing happens any more. It dies after so many requests for restores, and
    /// after so many reads.
    async fn run(&self, id: &str, out: &Path, asks: &[u64], reads: &[u64]) -> Phase {
        let (mut asks, mut reads) = (asks.iter(), reads.iter());
        let arm = |left: &AtomicU64, deaths: &mut std::slice::Iter<'_, u64>| {
            // One that has come (and went below zero) or was never set.
            if left.load(SeqCst) == 0 || left.load(SeqCst) > u64::MAX / 2 {
                left.store(deaths.next().copied().unwrap_or(u64::MAX), SeqCst);
            }
        };
        let clock = || self.clock.now_ms();
        let catalog = Arc::new(Catalog::builtin().unwrap());
        for _ in 0..10_000 {
            arm(&self.deadly.asks, &mut asks);
            arm(&self.deadly.reads, &mut reads);
            let mut sink = FolderSink::open(out, Shape::Raw).unwrap();
            let mut normalizer = Normalizer::new(Arc::clone(&catalog));
            let runner = Runner::new(&self.lake, &self.book, &clock).unwrap();
            let progress = tokio::select! {
                progress = runner.advance(id, &mut sink, &mut normalizer, |_| ()) => progress.unwrap(),
                () = self.deadly.died.notified() => {
                    self.deaths.fetch_add(1, SeqCst);
                    continue;
                }
            };
            match progress.wakes_ms {
                Some(at) => self.clock.pass(Duration::from_millis((at - clock()).max(1) as u64)),
                None => return progress.phase,
            }
        }
        panic!("the job does not end");
    }

    /// What the restores cost that began, by what the model wrote down: bytes by speed, a request of the
    /// dearest speed for each copy, and the copies' stays.
    fn spent(&self) -> f64 {
        let usage = self.model.usage();
        let copies: Vec<_> = usage.stays.iter().filter(|stay| stay.restored_copy).collect();
        let (mut spent, mut request) = (0.0, 0.0_f64);
        for ((asked, class), requests) in &usage.requests {
            let Asked::Restore(speed) = asked else { continue };
            let speed = match speed {
                RestoreSpeed::Expedited => Speed::Expedited,
                RestoreSpeed::Standard => Speed::Standard,
                RestoreSpeed::Bulk => Speed::Bulk,
            };
            let price =
                |objects, bytes| self.book.restore(Provider::S3, class, speed, objects, bytes).unwrap();
            spent += price(0.0, requests.bytes as f64);
            request = request.max(price(1.0, 0.0));
        }
        for stay in &copies {
            let ms = stay.to_ms.unwrap() - stay.from_ms;
            spent += self.book.storage(Provider::S3, stay.class, stay.bytes, ms);
        }
        spent + request * copies.len() as f64
    }

    async fn saved(&self, id: &str) -> Job {
        Jobs::of(&self.lake).load(id).await.unwrap().job
    }
}

/// The events of all files of a folder.
fn delivered(out: &Path) -> BTreeMap<Vec<u8>, u64> {
    let mut events = BTreeMap::new();
    for entry in std::fs::read_dir(out).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "log", "{}", path.display());
        for line in std::fs::read(path).unwrap().split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            *events.entry(line.to_vec()).or_default() += 1;
        }
    }
    events
}

/// The promise of the product, small by default; `LINCHPIN_REHYDRATE_LONG=1` makes it 10,000 events in 1,000
/// segments, with 20 deaths.
#[tokio::test]
async fn scattered_events_come_back_cheaply_through_deaths_and_within_the_budget() {
    let long = std::env::var_os("LINCHPIN_REHYDRATE_LONG").is_some();
    let segments = if long { 1000 } else { 60 };
    let size = Size { segments, bytes: 256 << 10, wanted: 10, pack: 10, class: "GLACIER" };
    let world = World::new(size).await;
    let out = world.root.join("out");
    let job = world.job(&out, Speed::Standard, 1.0).await;
    let deaths =
        |salt: u64, most: u64| -> Vec<u64> { (0..10).map(|n| 1 + scattered(salt + n) % most).collect() };
    let (asks, reads) = (deaths(0, segments / 4), deaths(50, segments * 3 / 10));
    assert_eq!(world.run(&job.id, &out, &asks, &reads).await, Phase::Done);

    assert!(delivered(&out) == world.wanted, "other events came back");
    let job = world.saved(&job.id).await;
    let read = world.lake.archive_requests().bytes_read as f64;
    let times = read / world.block_bytes as f64;
    let events: u64 = world.wanted.values().sum();
    let spent = (world.spent() * 1e6) as u64;
    let budget = job.approval.as_ref().unwrap().budget;
    println!("figure rehydrate_events {events}");
    println!("figure rehydrate_bytes_read_to_block_bytes {times:.3}");
    let died = world.deaths.load(SeqCst);
    println!("figure rehydrate_deaths {died}");
    println!("figure rehydrate_spent_to_budget {:.3}", spent as f64 / budget as f64);
    assert!(times <= 5.0, "read {times} times the compressed blocks");
    assert_eq!((job.events, events, died), (events, segments * 10, 20));
    assert!(spent <= job.committed && job.committed <= budget, "{spent} of {} of {budget}", job.committed);
}

#[tokio::test]
async fn half_a_budget_brings_back_half_and_more_brings_the_rest() {
    let world =
        World::new(Size { segments: 12, bytes: 64 << 10, wanted: 3, pack: 1, class: "DEEP_ARCHIVE" }).await;
    let out = world.root.join("out");
    let job = world.job(&out, Speed::Bulk, 0.5).await;
    let budget = job.approval.as_ref().unwrap().budget;
    assert_eq!(world.run(&job.id, &out, &[3], &[5]).await, Phase::OverBudget);
    let half = world.saved(&job.id).await;
    let delivered_parts = half.count(|state| matches!(state, PartState::Delivered));
    assert!((5..=6).contains(&delivered_parts), "{delivered_parts}");
    assert!(world.spent() * 1e6 <= budget as f64 && half.committed <= budget);
    assert!(delivered(&out).len() < world.wanted.len());
    // The approval is asked for again, for the rest.
    world.approve(&job.id, Speed::Bulk, budget * 2 + 10).await;
    assert_eq!(world.run(&job.id, &out, &[], &[]).await, Phase::Done);
    assert!(delivered(&out) == world.wanted);
}

#[tokio::test]
async fn bad_weather_delays_a_job_and_costs_no_more() {
    let world =
        World::new(Size { segments: 10, bytes: 32 << 10, wanted: 2, pack: 5, class: "GLACIER" }).await;
    let out = world.root.join("out");
    let job = world.job(&out, Speed::Expedited, 1.0).await;
    world.model.set_faults(Faults {
        seed: 7,
        throttled: 0.05,
        unsent: 0.05,
        unanswered: 0.1,
        torn: 0.05,
        no_expedited: 0.5,
    });
    assert_eq!(world.run(&job.id, &out, &[4, 9], &[3, 16]).await, Phase::Done);
    assert!(delivered(&out) == world.wanted);
    let job = world.saved(&job.id).await;
    assert!((world.spent() * 1e6) as u64 <= job.committed, "{} of {}", world.spent(), job.committed);
    assert!(job.committed <= job.approval.unwrap().budget);
}

#[tokio::test]
async fn copies_that_expire_and_objects_that_move_are_found_again() {
    let size = Size { segments: 6, bytes: 32 << 10, wanted: 2, pack: 1, class: "GLACIER" };
    let world = World::new(size).await;
    let out = world.root.join("out");
    let job = world.job(&out, Speed::Standard, 3.0).await;
    let clock = || world.clock.now_ms();
    let mut normalizer = Normalizer::new(Arc::new(Catalog::builtin().unwrap()));
    let mut sink = FolderSink::open(&out, Shape::Raw).unwrap();
    // The restores begin, then nobody looks for a month.
    let runner = Runner::new(&world.lake, &world.book, &clock).unwrap();
    let progress = runner.advance(&job.id, &mut sink, &mut normalizer, |_| ()).await.unwrap();
    assert_eq!(progress.phase, Phase::Running);
    world.clock.pass(Duration::from_hours(24 * 30));
    // Meanwhile one segment was packed anew and its object went away.
    let segment = world.lake.ledger.segments(&crate::ledger::SegmentFilter::default()).remove(0);
    let key = segment.place().object.clone();
    let head = world.model.head(&key).await.unwrap();
    world.model.restore(&key, &head.etag, RestoreSpeed::Standard, 1).await.unwrap();
    world.clock.pass(Duration::from_hours(6));
    let bytes = world.model.range(&key, 0..u64::MAX).await.unwrap();
    let class = PutAs { class: Some("STANDARD"), ..PutAs::default() };
    world.model.put_as("pack/new", bytes.clone(), class).await.unwrap();
    world.model.delete_if(&key, &head.etag).await.unwrap();
    let moved = RepackedFact {
        segment: segment.fact.id.clone(),
        store: "default".to_owned(),
        object: "pack/new".to_owned(),
        offset: 0,
        stored_bytes: bytes.len() as u64,
        sha256: segment.place().sha256,
        tier: "STANDARD".to_owned(),
    };
    world.lake.ledger.commit_at(vec![Fact::Repacked(moved)], clock()).await.unwrap();
    assert_eq!(world.run(&job.id, &out, &[], &[]).await, Phase::Done);
    assert!(delivered(&out) == world.wanted);
    let job = world.saved(&job.id).await;
    assert_eq!(job.count(|state| matches!(state, PartState::Moved)), 6, "all were found anew");
    assert!(job.committed <= job.approval.unwrap().budget);
}

#[tokio::test]
async fn one_runner_at_a_time_and_a_stop_is_a_stop() {
    let world =
        World::new(Size { segments: 4, bytes: 16 << 10, wanted: 1, pack: 1, class: "STANDARD" }).await;
    let out = world.root.join("out");
    let job = world.job(&out, Speed::Standard, 1.0).await;
    assert_eq!(job.count(|state| matches!(state, PartState::Readable { .. })), 4);
    let clock = || world.clock.now_ms();
    let one = Runner::new(&world.lake, &world.book, &clock).unwrap();
    let two = Runner::new(&world.lake, &world.book, &clock).unwrap();
    let jobs = Jobs::of(&world.lake);
    let lease = super::super::Lease { runner: one.id().to_owned(), until_ms: clock() + 60_000 };
    jobs.change(&job.id, clock(), |job| {
        job.lease = Some(lease.clone());
        Ok(())
    })
    .await
    .unwrap();
    let mut sink = FolderSink::open(&out, Shape::Raw).unwrap();
    let mut normalizer = Normalizer::new(Arc::new(Catalog::builtin().unwrap()));
    let refused = two.advance(&job.id, &mut sink, &mut normalizer, |_| ()).await;
    assert!(matches!(refused, Err(JobError::Taken(_))), "{refused:?}");
    // The one dies: its lease is worth nothing at once.
    drop(one);
    jobs.change(&job.id, clock(), |job| {
        job.cancelled = true;
        Ok(())
    })
    .await
    .unwrap();
    let progress = two.advance(&job.id, &mut sink, &mut normalizer, |_| ()).await.unwrap();
    assert_eq!((progress.phase, progress.wakes_ms), (Phase::Cancelled, None));
    assert!(delivered(&out).is_empty());
    assert_eq!(super::super::tidy(&world.lake, clock()).await.unwrap(), 1);
    assert!(jobs.work(&job.id).await.is_err(), "what belonged to it is gone");
    assert_eq!(jobs.list().await.unwrap().len(), 1, "its record stays");
}
