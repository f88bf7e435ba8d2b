//! Ten years on a virtual clock: three clouds, policies that change, clocks that jump, holds that come
//! and go, and bad weather. Says whether anything was deleted that should not be, whether everything
//! is in the class that the policy says, and whether the bill is what was planned.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use linchpin_config::{Place, StorageClass};
use linchpin_store::{
    Store,
    model::{Cloud, Faults, ModelStore, VirtualClock},
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{EnforceError, Enforced, Habits, Order, Passed, after, once};
use crate::{
    Lake, hold,
    ledger::{AppliedFact, Fact, SegmentFact, SegmentFilter},
    plan::{self, Objects, Way},
    policy::RetentionClass,
    prices::{Book, Provider},
    signing::{Signer, is_genuine},
    tiers::{self, Step},
};

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const DAY_MS: i64 = 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;
const DAY: Duration = Duration::from_hours(24);
const YEARS: i64 = 10;
/// Bytes on the bill for one byte of a segment here.
const SCALE: u64 = 1 << 16;
/// Bytes of a segment: 40 MB on the bill.
const SEGMENT_BYTES: usize = 640;
/// Segments of a class that an archive gets in one step: a pack.
const SEGMENTS: u64 = 3;
/// Step of a short simulation; `LINCHPIN_SIMULATION_STEP_DAYS` sets another one.
const STEP_DAYS: i64 = 20;
/// Passes that bad weather lasts: with many requests, hardly a pass is without a fault.
const STORM_PASSES: usize = 30;
/// Most passes until everything is done.
const PASSES_MAX: usize = 40;

const ARCHIVES: [(&str, Cloud, Provider); 3] = [
    ("aws", Cloud::S3, Provider::S3),
    ("azure", Cloud::Azure, Provider::Azure),
    ("google", Cloud::Gcs, Provider::Gcs),
];

fn days(n: u32) -> Duration {
    DAY * n
}

fn class(name: &str, tiers: &[(u32, StorageClass)], expire: u32) -> RetentionClass {
    let tiers = tiers.iter().map(|(after, class)| Step { after: days(*after), class: *class }).collect();
    RetentionClass { tiers, ..RetentionClass::new(name, days(7), days(expire)) }
}

/// The policies, each with the day from which on it is in force.
fn policies() -> Vec<(i64, Vec<RetentionClass>)> {
    use StorageClass::{Archive, Coldline, DeepArchive, Glacier, GlacierIr, StandardIa};
    let critical = class("critical", &[(20, GlacierIr), (180, DeepArchive)], 2560);
    let standard = class("standard", &[(20, DeepArchive)], 1100);
    let bulk = class("bulk", &[(40, StandardIa)], 400);
    vec![
        (0, vec![critical.clone(), standard.clone(), bulk.clone()]),
        // kept longer
        (540, vec![critical.clone(), class("standard", &[(20, DeepArchive)], 1820), bulk.clone()]),
        // kept shorter, and elsewhere
        (1100, vec![critical.clone(), standard.clone(), class("bulk", &[(20, Glacier)], 300)]),
        // back to a warmer class
        (
            1820,
            vec![
                class("critical", &[(40, StandardIa), (360, Archive)], 2560),
                standard,
                class("bulk", &[(20, GlacierIr)], 300),
            ],
        ),
        // much falls due at once
        (
            2560,
            vec![
                critical.clone(),
                class("standard", &[(20, Coldline)], 360),
                class("bulk", &[(20, GlacierIr)], 300),
            ],
        ),
        // a class is gone: what is in it stays
        (3200, vec![class("critical", &[(20, GlacierIr)], 3600), class("standard", &[(20, Coldline)], 360)]),
    ]
}

/// Holds: case, period of event days, placed and released on these days.
const HOLDS: [(&str, Range<i64>, Range<i64>); 3] =
    [("early", 100..300, 320..2200), ("open", 1000..5000, 1200..1300), ("late", 2400..2500, 2600..5000)];

/// Segments of one commit, class and archive.
struct Cohort {
    archive: usize,
    class: String,
    committed_ms: i64,
    segments: Vec<(String, [u8; 32])>,
    /// (From when on, the way that the policy gives it).
    ways: Vec<(i64, Way)>,
    /// The class that its objects should be in.
    tier: &'static str,
}

struct World {
    _folder: TempDir,
    lake: Lake,
    clock: VirtualClock,
    stores: Vec<ModelStore>,
    signer: Signer,
    step_days: i64,
    cohorts: Vec<Cohort>,
    deleted: BTreeSet<String>,
    done: Enforced,
}

impl World {
    async fn new(step_days: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = VirtualClock::at(START_MS);
        let stores: Vec<ModelStore> = ARCHIVES
            .iter()
            .map(|(_, cloud, _)| ModelStore::new(*cloud, clock.clone()).scaled(SCALE))
            .collect();
        let archives = ARCHIVES.iter().zip(&stores).map(|((name, cloud, _), store)| {
            let (bucket, prefix) = ("model".to_owned(), String::new());
            let place = match cloud {
                Cloud::S3 => Place::S3 { bucket, prefix },
                Cloud::Azure => Place::Azure { account: "model".to_owned(), container: bucket, prefix },
                Cloud::Gcs => Place::Gcs { bucket, prefix },
            };
            (*name, place, Arc::new(store.clone()) as Arc<dyn Store>)
        });
        let place = Place::Folder(folder.path().join("lake"));
        let lake = Lake::open_with(&place, archives).await.unwrap();
        let signer = Signer::at(&folder.path().join("signing.key")).unwrap();
        Self {
            _folder: folder,
            lake,
            clock,
            stores,
            signer,
            step_days,
            cohorts: Vec::new(),
            deleted: BTreeSet::new(),
            done: Enforced::default(),
        }
    }

    fn day(&self) -> i64 {
        (self.clock.now_ms() - START_MS) / DAY_MS
    }

    /// New segments of every class in every archive, put and committed.
    async fn ingest(&mut self, classes: &[RetentionClass]) {
        let now_ms = self.clock.now_ms();
        let (mut facts, before) = (Vec::new(), self.cohorts.len());
        for (archive, (name, _, provider)) in ARCHIVES.iter().enumerate() {
            for class in classes {
                let mut segments = Vec::new();
                for n in 0..SEGMENTS {
                    let id = format!("{name}-{}-{}-{n}", class.name, self.day());
                    let bytes: Vec<u8> =
                        Sha256::digest(&id).into_iter().cycle().take(SEGMENT_BYTES).collect();
                    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
                    let object = format!("{}/{}/{id}", class.name, self.day());
                    self.stores[archive].put(&object, bytes.into()).await.unwrap();
                    let day = self.day().unsigned_abs();
                    let of_class = classes.iter().position(|c| c.name == class.name).unwrap() as u64;
                    let seq = day * 100 + archive as u64 * 10 + of_class * 3 + n + 1;
                    facts.push(Fact::SegmentCreated(fact(&id, object, name, class, seq, now_ms, sha256)));
                    segments.push((id, sha256));
                }
                self.cohorts.push(Cohort {
                    archive,
                    class: class.name.clone(),
                    committed_ms: now_ms,
                    segments,
                    ways: vec![(now_ms, Way::of(class, *provider))],
                    tier: tiers::first(*provider),
                });
            }
        }
        let committed = self.lake.ledger.commit_at(facts, now_ms).await.unwrap();
        for cohort in &mut self.cohorts[before..] {
            cohort.committed_ms = committed.at_ms;
        }
    }

    async fn pass(
        &self,
        classes: &[RetentionClass],
        policy: [u8; 32],
        now_ms: i64,
        any_volume: bool,
        sweep: bool,
    ) -> Result<Enforced, EnforceError> {
        let pack = SEGMENT_BYTES as u64 * SEGMENTS;
        let habits = Habits {
            pack_bytes_min: pack,
            pack_bytes_max: pack,
            pack_wait: Duration::ZERO,
            any_volume,
            sweep,
            ..Habits::default()
        };
        let order = Order { classes, policy, now_ms, dated_ms: now_ms, signer: Some(&self.signer), habits };
        once(&self.lake, &order, async |_| Ok(Passed::All)).await
    }

    /// Passes until nothing is left to do now, and an hour later what is left then.
    async fn passes(&mut self, classes: &[RetentionClass], policy: [u8; 32], any_volume: bool) {
        for later in [Duration::ZERO, Duration::from_hours(1)] {
            self.clock.pass(later);
            let mut trouble = Vec::new();
            for n in 0.. {
                assert!(n < PASSES_MAX, "the weather lets nothing through: {trouble:?}");
                if n == STORM_PASSES {
                    self.stores.iter().for_each(|store| store.set_faults(Faults::default()));
                }
                let now_ms = self.clock.now_ms();
                let done = match self.pass(classes, policy, now_ms, any_volume, later.is_zero()).await {
                    Ok(done) => done,
                    Err(error) => {
                        trouble = vec![error.to_string()];
                        continue;
                    }
                };
                self.deleted.extend(done.deleted.iter().cloned());
                self.done.repacked.extend(done.repacked);
                self.done.moved.extend(done.moved);
                self.done.freed.extend(done.freed);
                trouble = done.problems;
                if trouble.is_empty() {
                    break;
                }
            }
        }
        self.clock.pass(Duration::from_hours(self.step_days.unsigned_abs() * 24 - 1));
    }

    /// A clock that jumps does nothing, however far and whither.
    async fn jumps(&self, classes: &[RetentionClass], policy: [u8; 32]) {
        for years in [-10, 10] {
            let now_ms = self.clock.now_ms() + years * 365 * DAY_MS;
            let answer = self.pass(classes, policy, now_ms, true, true).await;
            assert!(matches!(answer, Err(EnforceError::Clock { .. } | EnforceError::Store(_))), "{answer:?}");
        }
    }

    /// Whether a cohort is under a hold that was placed at that time.
    fn is_held(cohort: &Cohort, at_ms: i64) -> bool {
        let event_day = (cohort.committed_ms - START_MS) / DAY_MS;
        let day = (at_ms - START_MS) / DAY_MS;
        HOLDS.iter().any(|(_, events, placed)| events.contains(&event_day) && placed.contains(&day))
    }

    /// Follows the policy by itself, and compares.
    fn check(&mut self, classes: &[RetentionClass], at_ms: i64, deep: bool) {
        for cohort in &mut self.cohorts {
            let provider = ARCHIVES[cohort.archive].2;
            let class = classes.iter().find(|class| class.name == cohort.class);
            let over_ms = class.map_or(i64::MAX, |class| after(cohort.committed_ms, class.expire));
            if let Some(class) = class
                && !tiers::needs_restore(provider, cohort.tier)
                && over_ms > at_ms
            {
                let age = Duration::from_millis((at_ms - cohort.committed_ms).unsigned_abs());
                let wanted = tiers::wanted(&class.tiers, provider, age);
                if wanted != tiers::first(provider) {
                    cohort.tier = wanted;
                }
            }
            for (id, sha256) in &cohort.segments {
                if self.deleted.contains(id) {
                    continue;
                }
                let segment = self.lake.ledger.segment(id).unwrap_or_else(|| panic!("{id} is lost"));
                let place = segment.place();
                let (bytes, tier) =
                    self.stores[cohort.archive].peek(&place.object).unwrap_or_else(|| panic!("{id} is gone"));
                assert_eq!(place.tier, tier, "{id}");
                if over_ms > at_ms {
                    let days = |ms: i64| (ms - START_MS) as f64 / DAY_MS as f64;
                    let when = format!("{id} of day {} on day {}", days(cohort.committed_ms), days(at_ms));
                    assert_eq!(tier, cohort.tier, "{when}: {segment:?}");
                }
                if deep {
                    let own = bytes.slice(place.offset as usize..place.end() as usize);
                    assert_eq!(<[u8; 32]>::from(Sha256::digest(&own)), *sha256, "{id} has other bytes");
                }
            }
        }
    }

    /// What was deleted now: nothing that was held or not over.
    fn check_deleted(&self, before: &BTreeSet<String>, classes: &[RetentionClass], at_ms: i64) {
        for cohort in &self.cohorts {
            for (id, _) in
                cohort.segments.iter().filter(|(id, _)| self.deleted.contains(id) && !before.contains(id))
            {
                let class = classes.iter().find(|class| class.name == cohort.class);
                let over_ms = class.map_or(i64::MAX, |class| after(cohort.committed_ms, class.expire));
                assert!(over_ms <= at_ms, "{id} was not over");
                assert!(!Self::is_held(cohort, at_ms), "{id} was held");
            }
        }
    }

    /// The plan's cost of everything by archive and class, by the ways that the policies and holds gave.
    fn planned(&self, book: &Book, until_ms: i64) -> Costs {
        let grace_days = (7 + self.step_days - 1) / self.step_days * self.step_days;
        let habits = plan::Habits {
            wait: Duration::ZERO,
            grace: DAY * grace_days as u32,
            linger: Duration::from_hours(1),
            pack_bytes: SEGMENT_BYTES as u64 * SEGMENTS * SCALE,
            pack_span: Duration::ZERO,
        };
        let mut costs = Costs::new();
        for cohort in &self.cohorts {
            let (name, _, provider) = ARCHIVES[cohort.archive];
            let bytes = SEGMENT_BYTES as u64 * SCALE;
            let mut now = Objects::new(SEGMENTS as f64, bytes, cohort.committed_ms, provider);
            for (n, (from_ms, way)) in cohort.ways.iter().enumerate() {
                let next = cohort.ways.get(n + 1);
                let end_ms = next.map_or(until_ms, |(from_ms, _)| *from_ms);
                let course = plan::course(&now, way, &habits, *from_ms);
                // What goes at the very moment of a change goes all the same, unless it is kept longer.
                let gone = course.end_ms() <= end_ms
                    && next.is_none_or(|(_, next)| after(cohort.committed_ms, next.expire) <= end_ms);
                let period = *from_ms..if gone { end_ms + 1 } else { end_ms };
                for (class, cost) in plan::price(&course, provider, book, &period) {
                    *costs.entry((name, class)).or_default() += cost;
                }
                // Otherwise, what is due at that moment is done by the next policy.
                match course.state_at(end_ms - 1) {
                    Some(objects) if !gone => now = objects,
                    _ => break,
                }
            }
        }
        costs
    }

    fn billed(&self, book: &Book, until_ms: i64) -> Costs {
        let archives = ARCHIVES.iter().zip(&self.stores);
        let bills = archives.flat_map(|((name, _, provider), store)| {
            let bill = plan::bill(&store.usage(), *provider, book, until_ms);
            bill.into_iter().map(|(class, cost)| ((*name, class), cost)).collect::<Vec<_>>()
        });
        bills.collect()
    }
}

/// Costs by archive and class.
type Costs = BTreeMap<(&'static str, &'static str), plan::Cost>;

fn total(costs: &Costs, archive: &str) -> f64 {
    costs.iter().filter(|((of, _), _)| *of == archive).map(|(_, cost)| cost.total()).sum()
}

fn fact(
    id: &str,
    object: String,
    store: &str,
    class: &RetentionClass,
    seq: u64,
    at_ms: i64,
    sha256: [u8; 32],
) -> SegmentFact {
    SegmentFact {
        id: id.to_owned(),
        object,
        store: store.to_owned(),
        tier: tiers::first(ARCHIVES.iter().find(|(name, ..)| *name == store).unwrap().2).to_owned(),
        retention: class.name.clone(),
        feeds: vec!["model".to_owned()],
        sources: vec!["model".to_owned()],
        worker: "model".to_owned(),
        seq,
        time_min_ms: at_ms,
        time_max_ms: at_ms + 1000,
        events: 1,
        rows: 1,
        raw_bytes: SEGMENT_BYTES as u64,
        stored_bytes: SEGMENT_BYTES as u64,
        sha256,
        merkle_root: sha256,
        prev_root: [0; 32],
    }
}

/// Changes the ways of all cohorts at a time: by their class in the policy, or for good while held.
fn change_ways(world: &mut World, classes: &[RetentionClass], at_ms: i64) {
    for cohort in &mut world.cohorts {
        let provider = ARCHIVES[cohort.archive].2;
        let mut way = match classes.iter().find(|class| class.name == cohort.class) {
            Some(class) => Way::of(class, provider),
            // Where it is, for ever.
            None => Way { provider, steps: vec![(Duration::ZERO, cohort.tier)], expire: Duration::MAX },
        };
        if World::is_held(cohort, at_ms) {
            way.expire = Duration::MAX;
        }
        match cohort.ways.last_mut() {
            Some((_, last)) if *last == way => {}
            // Of this moment: nothing was done by the other way.
            Some((from_ms, last)) if *from_ms == at_ms => *last = way,
            _ => cohort.ways.push((at_ms, way)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_years_of_three_clouds() {
    let step = std::env::var("LINCHPIN_SIMULATION_STEP_DAYS").ok();
    let step_days = step.map_or(STEP_DAYS, |days| days.parse().unwrap());
    let mut world = World::new(step_days).await;
    let mut policies = policies().into_iter().peekable();
    let (mut classes, mut policy, mut changes) = (Vec::new(), [0; 32], 0_u8);
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    for day in (0..YEARS * 365).step_by(step_days as usize) {
        let (now_ms, mut any_volume) = (world.clock.now_ms(), false);
        assert_eq!(world.day(), day);
        if let Some((_, next)) = policies.next_if(|(from, _)| *from <= day) {
            (classes, changes, any_volume) = (next, changes + 1, true);
            policy = [changes; 32];
            let (policy_text, who) = (format!("policy {changes}"), "simulation".to_owned());
            let fact = AppliedFact { hash: policy, policy: policy_text, who, signed: None };
            world.lake.ledger.commit_at(vec![Fact::Applied(fact)], now_ms).await.unwrap();
        }
        for (case, events, days) in &HOLDS {
            let ms = |day: i64| START_MS + day * DAY_MS;
            if days.contains(&day) && placed.insert(case) {
                let asked = hold::Asked {
                    case: (*case).to_owned(),
                    predicate: "true".to_owned(),
                    from_ms: Some(ms(events.start)),
                    to_ms: Some(ms(events.end)),
                    by: "simulation".to_owned(),
                };
                hold::add(&world.lake, &asked, now_ms).await.unwrap();
            } else if day >= days.end && placed.remove(case) {
                hold::release(&world.lake, case, "settled", "simulation", now_ms).await.unwrap();
                any_volume = true;
            }
        }
        let stormy = (day / 365) % 3 == 1;
        world.ingest(&classes).await;
        change_ways(&mut world, &classes, now_ms);
        for (n, store) in world.stores.iter().enumerate() {
            let rate = if stormy { 0.01 } else { 0.0 };
            let seed = (day as u64) * 3 + n as u64;
            let faults = Faults {
                seed,
                throttled: rate,
                unsent: rate,
                unanswered: rate / 10.0,
                torn: rate,
                no_expedited: 0.0,
            };
            store.set_faults(faults);
        }
        if day % 360 == 0 {
            world.jumps(&classes, policy).await;
        }
        let before = world.deleted.clone();
        world.passes(&classes, policy, any_volume).await;
        world.stores.iter().for_each(|store| store.set_faults(Faults::default()));
        let done_ms = now_ms + HOUR_MS;
        world.check_deleted(&before, &classes, done_ms);
        world.check(&classes, done_ms, day % 1000 == 0);
    }
    let until_ms = world.clock.now_ms();
    finish(&world, changes, until_ms).await;
}

async fn finish(world: &World, policies: u8, until_ms: i64) {
    assert_eq!(policies, 6, "a policy and five changes");
    let segments = world.lake.ledger.segments(&SegmentFilter::default());
    let all: usize = world.cohorts.iter().map(|cohort| cohort.segments.len()).sum();
    assert_eq!(segments.len() + world.deleted.len(), all);
    assert!(segments.len() > 100 && world.deleted.len() > 100, "{} {}", segments.len(), world.deleted.len());
    // Every deletion left a signed tombstone.
    let deletions = world.lake.ledger.facts_of("deleted").await.unwrap();
    assert_eq!(deletions.len(), world.deleted.len());
    for (_, deletion) in deletions {
        let Fact::Deleted { segment, signed: Some(signed) } = deletion else { panic!("{deletion:?}") };
        assert!(world.deleted.contains(&segment) && is_genuine(&signed));
    }
    let book = Book::builtin().unwrap();
    let (planned, billed) = (world.planned(&book, until_ms), world.billed(&book, until_ms));
    for (of, cost) in &billed {
        println!("{of:?}\n  planned {:?}\n  billed  {cost:?}", planned.get(of).copied().unwrap_or_default());
    }
    let off = |name: &str| {
        let (planned, billed) = (total(&planned, name), total(&billed, name));
        ((planned - billed).abs() / billed * 100.0, planned, billed)
    };
    for (name, ..) in ARCHIVES {
        let (percent, planned, billed) = off(name);
        println!("figure cost_off_percent_{name} {percent:.3} planned {planned:.4} billed {billed:.4}");
    }
    println!(
        "figure segments {all} deleted {} repacked {} moved {} freed {}",
        world.deleted.len(),
        world.done.repacked.len(),
        world.done.moved.len(),
        world.done.freed.len()
    );
    for (name, ..) in ARCHIVES {
        let (percent, planned, billed) = off(name);
        assert!(percent <= 1.0, "{name}: {planned} planned, {billed} billed");
    }
}
