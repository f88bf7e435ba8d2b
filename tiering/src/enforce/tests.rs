#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use linchpin_config::{Lock, Place, StorageClass};
use linchpin_store::{
    Store,
    model::{Cloud, ModelStore, VirtualClock},
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{
    hold,
    ledger::{AppliedFact, SegmentFact, SegmentFilter},
    tiers::Step,
};

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const DAY: Duration = Duration::from_hours(24);
const POLICY: [u8; 32] = [9; 32];

struct World {
    _folder: TempDir,
    lake: Lake,
    clock: VirtualClock,
    store: ModelStore,
    classes: Vec<RetentionClass>,
    habits: Habits,
}

impl World {
    async fn new(class: RetentionClass) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = VirtualClock::at(START_MS);
        let store = ModelStore::new(Cloud::S3, clock.clone());
        let archives = [(
            "default",
            Place::S3 { bucket: "model".to_owned(), prefix: String::new() },
            Arc::new(store.clone()) as Arc<dyn Store>,
        )];
        let lake = Lake::open_with(&Place::Folder(folder.path().join("lake")), archives).await.unwrap();
        let fact = AppliedFact { hash: POLICY, policy: String::new(), who: "ann".to_owned(), signed: None };
        lake.ledger.commit_at(vec![Fact::Applied(fact)], START_MS).await.unwrap();
        let habits = Habits { pack_bytes_min: 3000, pack_bytes_max: 5000, ..Habits::default() };
        Self { _folder: folder, lake, clock, store, classes: vec![class], habits }
    }

    async fn segment(&self, id: &str, bytes: usize) {
        let class = &self.classes[0];
        let now_ms = self.clock.now_ms();
        let body: Vec<u8> = Sha256::digest(id).into_iter().cycle().take(bytes).collect();
        let sha256 = Sha256::digest(&body).into();
        let object = format!("{}/{id}", class.name);
        let lock = first_lock(class, crate::prices::Provider::S3, now_ms);
        self.store.put_as(&object, body.into(), linchpin_store::PutAs { class: None, lock }).await.unwrap();
        let fact = SegmentFact {
            id: id.to_owned(),
            object,
            store: "default".to_owned(),
            tier: "STANDARD".to_owned(),
            retention: class.name.clone(),
            feeds: vec![],
            sources: vec![],
            worker: "w".to_owned(),
            seq: now_ms.unsigned_abs(),
            time_min_ms: now_ms,
            time_max_ms: now_ms,
            events: 1,
            rows: 1,
            raw_bytes: 1,
            stored_bytes: bytes as u64,
            sha256,
            merkle_root: sha256,
            prev_root: [0; 32],
        };
        self.lake.ledger.commit_at(vec![Fact::SegmentCreated(fact)], now_ms).await.unwrap();
    }

    async fn pass_with(&self, passed: Passed) -> Result<Enforced, EnforceError> {
        let now_ms = self.clock.now_ms();
        let order = Order {
            classes: &self.classes,
            policy: POLICY,
            now_ms,
            dated_ms: now_ms,
            signer: None,
            habits: self.habits,
        };
        once(&self.lake, &order, async |_| Ok(passed.clone())).await
    }

    async fn pass(&self) -> Enforced {
        let done = self.pass_with(Passed::All).await.unwrap();
        assert_eq!(done.problems, Vec::<String>::new());
        done
    }

    fn tier(&self, id: &str) -> String {
        let place = self.lake.ledger.segment(id).unwrap().place().clone();
        assert_eq!(self.store.peek(&place.object).unwrap().1, place.tier);
        place.tier
    }
}

fn class(tiers: &[(u32, StorageClass)], expire: u32) -> RetentionClass {
    let tiers = tiers.iter().map(|(after, class)| Step { after: DAY * *after, class: *class }).collect();
    RetentionClass { tiers, ..RetentionClass::new("all", DAY, DAY * expire) }
}

#[tokio::test]
async fn small_segments_wait_for_a_pack_but_not_for_long() {
    let world = World::new(class(&[(7, StorageClass::GlacierIr)], 400)).await;
    world.segment("a", 1000).await;
    world.clock.pass(7 * DAY);
    assert_eq!(world.pass().await, Enforced::default());
    world.clock.pass(Duration::from_mins(24 * 60 - 1));
    assert_eq!(world.pass().await, Enforced::default());
    world.clock.pass(Duration::from_mins(1));
    // nothing to pack it with: the object itself moves
    assert_eq!(world.pass().await.moved, ["a"]);
    assert_eq!(world.tier("a"), "GLACIER_IR");

    for id in ["b", "c", "d", "e"] {
        world.segment(id, 1500).await;
    }
    world.segment("large", 4000).await;
    world.clock.pass(7 * DAY);
    let done = world.pass().await;
    assert_eq!((done.repacked.len(), done.moved), (3, vec!["large".to_owned()]));
    let packed = world.lake.ledger.segment(&done.repacked[1]).unwrap();
    assert_eq!((packed.place().offset, packed.place().length), (1500, 1500));
    assert_eq!(packed.left, [("default".to_owned(), packed.fact.object.clone())]);
    // readers of the old place have an hour
    assert!(world.store.peek(&packed.fact.object).is_some());
    assert_eq!(world.pass().await.freed.len(), 0);
    world.clock.pass(Duration::from_hours(1));
    assert_eq!(world.pass().await.freed.len(), 3);
    assert!(world.store.peek(&packed.fact.object).is_none());
    // the fourth waits on
    assert_eq!(
        world
            .lake
            .ledger
            .segments(&SegmentFilter::default())
            .iter()
            .filter(|s| s.place().tier == "STANDARD")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_damaged_segment_is_not_built_on() {
    let world = World::new(class(&[(7, StorageClass::GlacierIr)], 400)).await;
    world.segment("a", 2000).await;
    world.segment("b", 2000).await;
    let etag = world.store.head("all/b").await.unwrap().etag;
    world.store.put_if("all/b", vec![0; 2000].into(), Some(&etag)).await.unwrap();
    world.clock.pass(8 * DAY);
    let done = world.pass_with(Passed::All).await.unwrap();
    assert_eq!((done.repacked.len(), done.problems.len()), (0, 1), "{done:?}");
    assert!(done.problems[0].contains("its hash is not what the ledger says"), "{done:?}");
}

#[tokio::test]
async fn an_output_that_is_behind_holds_only_archive_classes_up() {
    for (to, waits) in [(StorageClass::DeepArchive, true), (StorageClass::GlacierIr, false)] {
        let world = World::new(class(&[(7, to)], 400)).await;
        world.segment("a", 4000).await;
        world.clock.pass(7 * DAY);
        let done = world.pass_with(Passed::NotYet).await.unwrap();
        assert_eq!(done.moved.is_empty(), waits, "{done:?}");
        if waits {
            let late = Passed::Late(vec!["siem".to_owned()]);
            let done = world.pass_with(late).await.unwrap();
            assert_eq!(done.gaps, [("siem".to_owned(), "a".to_owned())]);
            assert_eq!((done.moved.len(), world.tier("a").as_str()), (1, "DEEP_ARCHIVE"));
            let gaps = world.lake.ledger.facts_of("output_gap").await.unwrap();
            assert_eq!(gaps.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_pack_goes_when_all_of_its_segments_may() {
    let world = World::new(class(&[(1, StorageClass::StandardIa)], 30)).await;
    world.segment("a", 2000).await;
    world.clock.pass(10 * DAY);
    world.segment("b", 2000).await;
    world.clock.pass(DAY);
    assert_eq!(world.pass().await.repacked.len(), 2);
    world.clock.pass(20 * DAY);
    assert_eq!(world.pass().await.tombstoned, ["a"]);
    world.clock.pass(8 * DAY);
    assert_eq!(world.pass().await.deleted.len(), 0, "b is not over");
    world.clock.pass(2 * DAY);
    assert_eq!(world.pass().await.tombstoned, ["b"]);
    world.clock.pass(7 * DAY);
    assert_eq!(world.pass().await.deleted.len(), 2);
    assert!(world.lake.ledger.segments(&SegmentFilter::default()).is_empty());
    assert!(world.store.list("", None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hold_keeps_what_it_names_and_what_it_cannot_rule_out() {
    let world = World::new(class(&[(1, StorageClass::StandardIa)], 30)).await;
    world.segment("a", 4000).await;
    let asked = hold::Asked {
        case: "2026-7".to_owned(),
        predicate: "src_endpoint_ip = '192.0.2.1'".to_owned(),
        from_ms: None,
        to_ms: Some(START_MS + 1000),
        by: "ann".to_owned(),
    };
    let wrong = hold::Asked { predicate: "no_such = 1".to_owned(), ..asked.clone() };
    assert!(matches!(hold::add(&world.lake, &wrong, START_MS).await, Err(HoldError::Predicate(_))));
    let placed = hold::add(&world.lake, &asked, START_MS).await.unwrap();
    // its hot rows are not there to say
    assert_eq!((placed.certain.len(), placed.possible), (0, vec!["a".to_owned()]));
    assert!(world.store.head("all/a").await.unwrap().held);
    // it is moved with its hold, and without touching what is held
    world.clock.pass(2 * DAY);
    world.segment("later", 4000).await;
    assert_eq!(world.pass().await.repacked, ["a"]);
    let place = world.lake.ledger.segment("a").unwrap().place().clone();
    assert!(world.store.head(&place.object).await.unwrap().held);
    world.clock.pass(Duration::from_hours(1));
    assert_eq!(world.pass().await.freed, ["all/a"]);
    // what came in later is of another time
    assert_eq!(world.lake.ledger.segment("later").unwrap().holds, Vec::<String>::new());
    world.clock.pass(60 * DAY);
    assert_eq!(world.pass().await.tombstoned, ["later"]);
    world.clock.pass(8 * DAY);
    assert_eq!(world.pass().await.deleted, ["later"]);
    assert_eq!(hold::list(&world.lake)[0].segments.len(), 1);
    let now_ms = world.clock.now_ms();
    assert!(hold::release(&world.lake, "2026-7", "settled", "ann", now_ms).await.unwrap().is_empty());
    assert!(matches!(
        hold::release(&world.lake, "2026-7", "settled", "ann", now_ms).await,
        Err(HoldError::NoCase(_))
    ));
    assert_eq!(world.pass().await.tombstoned, ["a"]);
    world.clock.pass(8 * DAY);
    assert_eq!(world.pass().await.deleted, ["a"]);
}

#[tokio::test]
async fn a_hold_between_the_two_steps_keeps() {
    let world = World::new(class(&[], 30)).await;
    world.segment("a", 4000).await;
    world.clock.pass(30 * DAY);
    assert_eq!(world.pass().await.tombstoned, ["a"]);
    let asked = hold::Asked {
        case: "c".to_owned(),
        predicate: "true".to_owned(),
        from_ms: None,
        to_ms: None,
        by: "ann".to_owned(),
    };
    hold::add(&world.lake, &asked, world.clock.now_ms()).await.unwrap();
    world.clock.pass(8 * DAY);
    assert_eq!(world.pass().await.deleted.len(), 0);
    // so does a policy that keeps it longer by then
    hold::release(&world.lake, "c", "settled", "ann", world.clock.now_ms()).await.unwrap();
    let mut world = world;
    world.classes[0].expire = 60 * DAY;
    assert_eq!(world.pass().await.deleted.len(), 0);
    world.clock.pass(30 * DAY);
    assert_eq!(world.pass().await.deleted, ["a"]);
}

#[tokio::test]
async fn what_a_dead_worker_left_open_is_locked() {
    let mut world = World::new(class(&[(30, StorageClass::DeepArchive)], 400)).await;
    world.segment("a", 4000).await;
    world.classes[0].lock = Some(Lock::Compliance);
    world.habits.sweep = false;
    world.segment("b", 4000).await;
    assert_eq!(world.pass().await.locked, ["a"]);
    let until_ms = START_MS + 44 * DAY.as_millis() as i64;
    assert_eq!(world.store.head("all/a").await.unwrap().locked_until_ms, Some(until_ms));
    assert_eq!(world.pass().await, Enforced::default());
    // Later, the passes look at everything once a day.
    world.classes[0].lock = None;
    world.segment("c", 4000).await;
    world.classes[0].lock = Some(Lock::Compliance);
    world.clock.pass(DAY);
    assert_eq!(world.pass().await.locked, [""; 0]);
    world.habits.sweep = true;
    assert_eq!(world.pass().await.locked, ["c"]);
}

#[tokio::test]
async fn a_class_that_gets_its_lock_later_locks_what_has_moved() {
    let mut world = World::new(class(&[(7, StorageClass::GlacierIr)], 400)).await;
    world.segment("a", 4000).await;
    world.clock.pass(20 * DAY);
    world.pass().await;
    world.classes[0].lock = Some(Lock::Compliance);
    assert_eq!(world.pass().await.locked, ["a"]);
    let segment = world.lake.ledger.segment("a").unwrap();
    let head = world.store.head(&segment.place().object).await.unwrap();
    let until_ms = START_MS + 400 * DAY.as_millis() as i64;
    assert_eq!((head.class.as_str(), head.locked_until_ms), ("GLACIER_IR", Some(until_ms)));
}

#[tokio::test]
async fn a_locked_object_is_written_anew_and_goes_after_its_lock() {
    let tiers = [(7, StorageClass::GlacierIr), (180, StorageClass::DeepArchive)];
    let world = World::new(RetentionClass { lock: Some(Lock::Compliance), ..class(&tiers, 400) }).await;
    world.segment("a", 4000).await;
    let until = |days: i64| START_MS + days * DAY.as_millis() as i64;
    assert_eq!(world.store.head("all/a").await.unwrap().locked_until_ms, Some(until(21)));
    world.clock.pass(7 * DAY);
    assert_eq!(world.pass().await.repacked, ["a"]);
    let first = world.lake.ledger.segment("a").unwrap().place().object.clone();
    let head = world.store.head(&first).await.unwrap();
    assert_eq!((head.class.as_str(), head.locked_until_ms), ("GLACIER_IR", Some(until(194))));
    world.clock.pass(13 * DAY);
    assert_eq!(world.pass().await.freed.len(), 0, "its lock is not over");
    world.clock.pass(DAY);
    assert_eq!(world.pass().await.freed, ["all/a"]);
    world.clock.pass(160 * DAY);
    assert_eq!(world.pass().await.repacked, ["a"]);
    let head = world.store.head(&world.lake.ledger.segment("a").unwrap().place().object).await.unwrap();
    assert_eq!((head.class.as_str(), head.locked_until_ms), ("DEEP_ARCHIVE", Some(until(400))));
    world.clock.pass(220 * DAY);
    let done = world.pass().await;
    assert_eq!((done.freed, done.tombstoned), (vec![first], vec!["a".to_owned()]));
    world.clock.pass(7 * DAY);
    assert_eq!(world.pass().await.deleted, ["a"]);
    assert!(world.store.list("", None).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_much_at_once_is_refused() {
    let mut world = World::new(class(&[], 300)).await;
    for day in 0..120 {
        world.segment(&format!("s{day:03}"), 500).await;
        world.clock.pass(DAY);
    }
    world.classes[0].expire = DAY;
    let done = world.pass_with(Passed::All).await.unwrap();
    assert!(done.tombstoned.is_empty() && done.problems[0].contains("--any-volume"), "{done:?}");
    world.habits.any_volume = true;
    assert_eq!(world.pass().await.tombstoned.len(), 120);
}

#[tokio::test]
async fn a_wrong_clock_does_nothing() {
    let world = World::new(class(&[], 30)).await;
    world.segment("a", 500).await;
    world.clock.pass(40 * DAY);
    for away in [-10, 10] {
        let now_ms = world.clock.now_ms() + away * 365 * DAY.as_millis() as i64;
        let order = Order {
            classes: &world.classes,
            policy: POLICY,
            now_ms,
            dated_ms: now_ms,
            signer: None,
            habits: world.habits,
        };
        let answer = once(&world.lake, &order, async |_| Ok(Passed::All)).await;
        assert!(matches!(answer, Err(EnforceError::Clock { .. })), "{answer:?}");
    }
    let other = Order {
        classes: &world.classes,
        policy: [1; 32],
        now_ms: world.clock.now_ms(),
        dated_ms: world.clock.now_ms(),
        signer: None,
        habits: world.habits,
    };
    let answer = once(&world.lake, &other, async |_| Ok(Passed::All)).await;
    assert!(matches!(answer, Err(EnforceError::NotApplied)), "{answer:?}");
    assert_eq!(world.pass().await.tombstoned, ["a"]);
}
